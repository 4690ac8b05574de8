#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/pickle_private.h"
#include "tensor/region.h"

/* The objects that a .metadata has hundreds of thousands of. */
static const struct shape {
    enum tt_py_id id;
    uint32_t n;
    const char *names[TT_PY_NATTRS_MAX];
} shapes[TT_PY_NSHAPES] = {
    [TT_PY_CHUNK] = { TT_PY_CHUNK_METADATA, 2, { [TT_PY_CHUNK_OFFSETS] = "offsets", [TT_PY_CHUNK_SIZES] = "sizes" } },
    [TT_PY_INDEX] = { TT_PY_METADATA_INDEX, 3,
                      { [TT_PY_INDEX_FQN] = "fqn", [TT_PY_INDEX_INDEX] = "index", [TT_PY_INDEX_OFFSET] = "offset" } },
    [TT_PY_PLACE] = { TT_PY_STORAGE_INFO, 4,
                      { [TT_PY_PLACE_PATH] = "relative_path", [TT_PY_PLACE_OFFSET] = "offset", [TT_PY_PLACE_LENGTH] = "length",
                        [TT_PY_PLACE_TRANSFORMS] = "transform_descriptors" } },
};

_Static_assert(TT_PY_METADATA_INDEX == TT_PY_CHUNK_METADATA + TT_PY_INDEX && TT_PY_STORAGE_INFO == TT_PY_CHUNK_METADATA + TT_PY_PLACE,
               "the ids of the shapes stand together");

/* --- asking ------------------------------------------------------------------------------------------------------------------- */

enum tt_py_id tt_py_flat_id(const struct tt_py *v) { return shapes[v->n].id; }

const struct tt_py *tt_py_object_attributes(const struct tt_py *v, enum tt_py_shape s, struct tt_py own[TT_PY_NATTRS_MAX])
{
    if (!tt_py_is_object(v, shapes[s].id))
        return NULL;
    for (uint32_t i = 0; i < shapes[s].n; i++) {
        const struct tt_py *a = tt_py_get(&v->u.object->state, shapes[s].names[i]);
        own[i] = a ? *a : (struct tt_py){ .kind = TT_PY_NONE };
    }
    return own;
}

/* --- dims --------------------------------------------------------------------------------------------------------------------- */

void tt_py_dims_release(struct tt_py_dims *pool) { free(pool->slots); }

static uint64_t hash_dims(const int64_t *dims, uint32_t n)
{
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)dims[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static inline bool same_dims(const struct tt_py_dims_slot *s, const int64_t *dims, uint32_t n)
{
    if (s->n != n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (s->dims[i] != dims[i])
            return false;
    return true;
}

static struct tt_py_dims_slot *find_dims(const struct tt_py_dims *pool, const int64_t *dims, uint32_t n)
{
    for (uint64_t i = hash_dims(dims, n);; i++) {
        struct tt_py_dims_slot *s = &pool->slots[i & (pool->nslots - 1)];
        if (!s->dims || same_dims(s, dims, n))
            return s;
    }
}

static bool grow_dims(struct tt_py_dims *pool)
{
    struct tt_py_dims bigger = *pool;

    bigger.nslots = pool->nslots ? pool->nslots * 2 : 256;
    bigger.slots = calloc(bigger.nslots, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < pool->nslots; i++)
        if (pool->slots[i].dims)
            *find_dims(&bigger, pool->slots[i].dims, pool->slots[i].n) = pool->slots[i];
    free(pool->slots);
    *pool = bigger;
    return true;
}

const int64_t *tt_py_dims_put(struct tt_py_dims *pool, const int64_t *dims, uint32_t n)
{
    if (pool->n + pool->n / 2 >= pool->nslots && !grow_dims(pool))
        return NULL;
    struct tt_py_dims_slot *s = find_dims(pool, dims, n);
    if (s->dims)
        return s->dims;
    int64_t *copy = tt_arena_array(pool->arena, n, sizeof *copy);
    if (!copy)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        copy[i] = dims[i];
    *s = (struct tt_py_dims_slot){ copy, n };
    pool->n++;
    return copy;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

/* Bytes that stand in every object, and how many values they put into the memo. */
struct pattern {
    uint64_t bytes; /* the first lowest */
    uint8_t n, nputs;
};

/* Python's pickler memoizes each value as soon as it is there; others, titan's among them, only what comes again. */
static const struct form {
    struct pattern head; /* EMPTY_TUPLE NEWOBJ EMPTY_DICT MARK, of every object */
    struct pattern tail[5]; /* of a torch.Size of so many numbers (4: or more): its tuple, TUPLE1 REDUCE */
    uint8_t str_nputs;
} memoizing = { { 0x28947d948129, 6, 2 },
                { { 0x9452948529, 5, 2 }, { 0x945294859485, 6, 3 }, { 0x945294859486, 6, 3 }, { 0x945294859487, 6, 3 },
                  { 0x945294859474, 6, 3 } }, 1 },
  bare = { { 0x287d8129, 4, 0 },
           { { 0x528529, 3, 0 }, { 0x528585, 3, 0 }, { 0x528586, 3, 0 }, { 0x528587, 3, 0 }, { 0x528574, 3, 0 } }, 0 };

/* No object of these shapes is longer, but for its strings: so far ahead of the pickle's end nothing has to be checked against
 * it. */
enum { OBJECT_NBYTES_MAX = 1024 };

struct cursor {
    struct tt_py_flat_reader *r;
    const struct form *form;
    const uint8_t *end; /* OBJECT_NBYTES_MAX before that of the pickle */
    uint64_t nputs;     /* values that were put into the memo */
    enum tt_py_shape shape;
    uint32_t attr; /* whose value is read */
};

/* Each takes where it begins, returns where it ends; NULL: something else is there. */

static inline const uint8_t *skip(struct cursor *c, const uint8_t *p, const struct pattern *pattern)
{
    c->nputs += pattern->nputs;
    return (tt_load_le64(p) ^ pattern->bytes) << (64 - 8 * pattern->n) ? NULL : p + pattern->n;
}

static inline const uint8_t *read_int(const uint8_t *p, int64_t *out)
{
    uint64_t v = 0;

    switch (*p) {
    case OP_BININT1: *out = p[1]; return p + 2;
    case OP_BININT2: *out = tt_load_le16(p + 1); return p + 3;
    case OP_BININT: *out = (int32_t)tt_load_le32(p + 1); return p + 5;
    case OP_LONG1: break;
    default: return NULL;
    }
    const uint8_t n = p[1];
    if (n == 0 || n > 8)
        return NULL;
    v = tt_load_le64(p + 2) << (64 - 8 * n);
    *out = (int64_t)v >> (64 - 8 * n);
    return p + 2 + n;
}

static inline const uint8_t *read_str(struct cursor *c, const uint8_t *p, struct tt_py *out)
{
    const bool is_short = *p == OP_SHORT_BINUNICODE;
    const uint32_t n = is_short ? p[1] : tt_load_le32(p + 1);
    p += is_short ? 2 : 5;
    if (p >= c->end || n > c->end - p)
        return NULL;
    *out = (struct tt_py){ .kind = TT_PY_STR, .n = n, .u.s = p };
    p += n;
    c->nputs += c->form->str_nputs;
    return !c->form->str_nputs || *p == OP_MEMOIZE ? p + c->form->str_nputs : NULL;
}

static inline const uint8_t *read_slot(const uint8_t *p, uint64_t *slot)
{
    if (*p == OP_LONG_BINGET) {
        *slot = tt_load_le32(p + 1);
        return p + 5;
    }
    *slot = p[1];
    return *p == OP_BINGET ? p + 2 : NULL;
}

/* The arguments of torch.Size, ((2, 3),), and the call. */
static inline const uint8_t *read_dims(struct cursor *c, const uint8_t *p, struct tt_py *out)
{
    int64_t dims[TT_NDIM_MAX];
    uint32_t n = 0;
    const bool marked = *p == OP_MARK;
    struct tt_py_dims_slot *last = &c->r->last_dims[c->attr]; /* chunks of a tensor are most often of the same size */

    p += marked;
    for (const uint8_t *next; n < TT_NDIM_MAX && (next = read_int(p, &dims[n])); p = next)
        n++;
    if (marked != (n > 3))
        return NULL;
    if (!last->dims || !same_dims(last, dims, n))
        *last = (struct tt_py_dims_slot){ tt_py_dims_put(c->r->dims, dims, n), n };
    if (!last->dims)
        return NULL;
    *out = (struct tt_py){ .kind = TT_PY_DIMS, .n = n, .u.dims = last->dims };
    return skip(c, p, &c->form->tail[n < 4 ? n : 4]);
}

static inline const uint8_t *read_ref(struct cursor *c, const uint8_t *p, struct tt_py *out)
{
    uint64_t slot;

    p = read_slot(p, &slot);
    if (slot == c->r->size_slot)
        return read_dims(c, p, out);
    const struct tt_py *kept = tt_py_memo_slot(c->r->memo, slot);
    if (!kept || kept->kind == TT_PY_UNSET)
        return NULL;
    if (kept->kind == TT_PY_GLOBAL && kept->u.global->id == TT_PY_SIZE) {
        c->r->size_slot = slot;
        return read_dims(c, p, out);
    }
    *out = *kept;
    return p;
}

/* A list of one str; equal ones are shared. */
static const uint8_t *read_list(struct cursor *c, const uint8_t *p, struct tt_py *out)
{
    struct tt_py item, *last = &c->r->list;

    p += 1 + c->form->str_nputs;
    c->nputs += c->form->str_nputs;
    p = *p == OP_SHORT_BINUNICODE ? read_str(c, p, &item)
        : *p == OP_BINGET || *p == OP_LONG_BINGET ? read_ref(c, p, &item) : NULL;
    if (!p || item.kind != TT_PY_STR || *p != OP_APPEND)
        return NULL;
    if (last->kind != TT_PY_LIST || tt_py_item(last, 0)->n != item.n || memcmp(tt_py_item(last, 0)->u.s, item.u.s, item.n) != 0) {
        struct { struct tt_py_items head; struct tt_py item; } *list = tt_arena_alloc(c->r->arena, sizeof *list);
        if (!list)
            return NULL;
        list->item = item;
        list->head = (struct tt_py_items){ .items = &list->item, .n = 1, .cap = 1 };
        *last = (struct tt_py){ .kind = TT_PY_LIST, .u.seq = &list->head };
    }
    *out = *last;
    return p + 1;
}

static inline const uint8_t *read_value(struct cursor *c, const uint8_t *p, struct tt_py *out)
{
    switch (*p) {
    case OP_BININT1:
    case OP_BININT2:
    case OP_BININT:
    case OP_LONG1: out->kind = TT_PY_INT; return read_int(p, &out->u.i);
    case OP_BINGET:
    case OP_LONG_BINGET: return read_ref(c, p, out);
    case OP_SHORT_BINUNICODE:
    case OP_BINUNICODE: return read_str(c, p, out);
    case OP_NONE: out->kind = TT_PY_NONE; return p + 1;
    case OP_EMPTY_LIST: return read_list(c, p, out);
    default: return NULL;
    }
}

/* The name of an attribute: a reference to the memo, as it is in all objects but the first. `likely` is the one that is
 * expected. */
static inline const uint8_t *read_name(struct cursor *c, const uint8_t *p, uint32_t likely, uint32_t *attr)
{
    uint64_t slot, *known = c->r->name_slots[c->shape];
    const uint8_t *next = read_slot(p, &slot);

    if (!next)
        return NULL;
    *attr = likely;
    if (slot == known[likely])
        return next;
    const struct tt_py *name = tt_py_memo_slot(c->r->memo, slot);
    for (uint32_t i = 0; name && i < shapes[c->shape].n; i++)
        if (tt_py_is_str(name, shapes[c->shape].names[i])) {
            known[i] = slot;
            *attr = i;
            return next;
        }
    return NULL;
}

/* (), NEWOBJ, a dict of the attributes, BUILD. */
static inline const uint8_t *read_object(struct cursor *c, const uint8_t *p, struct tt_py *attrs)
{
    p = skip(c, p, &c->form->head);
    for (uint32_t n = 0; p && *p != OP_SETITEMS; n++) {
        p = n < shapes[c->shape].n ? read_name(c, p, n, &c->attr) : NULL;
        p = p ? read_value(c, p, &attrs[c->attr]) : NULL;
    }
    return p && p[1] == OP_BUILD ? p + 2 : NULL;
}

void tt_py_flat_init(struct tt_py_flat_reader *r, struct tt_arena *arena, struct tt_py_memo *memo, struct tt_py_dims *dims)
{
    *r = (struct tt_py_flat_reader){ .arena = arena, .memo = memo, .dims = dims };
    r->size_slot = UINT64_MAX;
    memset(r->name_slots, 0xff, sizeof r->name_slots);
    memset(r->class_slots, 0xff, sizeof r->class_slots);
}

/* Room for the attributes of an object; taken from the arena many at a time. */
static inline struct tt_py *get_room(struct tt_py_flat_reader *r, uint32_t n)
{
    enum { ROOM = 8192 }; /* of the 1000 pairs that Python puts into a dict at a time, and some */

    if (n > r->room_left) {
        r->rooms = r->room = tt_arena_array(r->arena, ROOM, sizeof *r->room);
        r->room_left = r->room ? ROOM : 0;
    }
    return r->room;
}

void tt_py_flat_drop(struct tt_py_flat_reader *r, const struct tt_py *values, size_t n)
{
    const struct tt_py *first = n && values[0].kind == TT_PY_FLAT ? values[0].u.flat : NULL;
    size_t nattrs = 0;

    for (size_t i = 0; i < n; i++)
        nattrs += values[i].kind == TT_PY_FLAT ? shapes[values[i].n].n : 0;
    if (r->is_shared || !first || first < r->rooms || first >= r->room || (size_t)(r->room - first) != nattrs)
        return;
    r->room -= nattrs;
    r->room_left += (uint32_t)nattrs;
}

const uint8_t *tt_py_read_flat(struct tt_py_flat_reader *r, enum tt_py_shape shape, const uint8_t *at, const uint8_t *end,
                               struct tt_py *out)
{
    const uint32_t n = shapes[shape].n;
    struct cursor c = { .r = r, .shape = shape };
    struct tt_py *attrs = get_room(r, n);

    if (!attrs || end - at <= OBJECT_NBYTES_MAX)
        return NULL;
    c.end = end - OBJECT_NBYTES_MAX;
    c.form = at[2] == OP_MEMOIZE ? &memoizing : &bare;
    for (uint32_t i = 0; i < n; i++)
        attrs[i] = (struct tt_py){ .kind = TT_PY_NONE };
    const uint8_t *behind = read_object(&c, at, attrs);
    if (!behind || tt_py_memo_wants(r->memo, c.nputs))
        return NULL;
    r->room += n;
    r->room_left -= n;
    r->memo->next += c.nputs;
    *out = (struct tt_py){ .kind = TT_PY_FLAT, .n = shape, .u.flat = attrs };
    return behind;
}

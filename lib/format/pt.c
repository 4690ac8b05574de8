#include "format/pt.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

/* The decoder; what is written is in pt_write.c. */

struct reader {
    struct tt_arena *arena;
    const char *name;
    const struct tt_source *src; /* of the archive; NULL: there is data.pkl alone */
    struct tt_zip zip;
    struct tt_map by_key; /* storage key to index */
    struct tt_pt_storage **storages;
    size_t n, cap;
};

static tt_status bad(const struct reader *r, struct tt_err *err, const char *what)
{
    return tt_err_set(err, TT_EFORMAT, "%s: data.pkl: %s", r->name, what);
}

static tt_status nomem(const struct reader *r, struct tt_err *err) { return tt_err_nomem(err, r->arena->used, r->name); }

/* --- storages ----------------------------------------------------------------------------------------------------------------- */

static tt_status resolve_record(const struct reader *r, struct tt_pt_storage *s, struct tt_err *err)
{
    const char *name = tt_arena_printf(r->arena, "data/%s", s->key);
    if (!name)
        return nomem(r, err);
    const struct tt_zip_entry *entry = tt_zip_find(&r->zip, name);
    if (!entry)
        return tt_err_set(err, TT_EFORMAT, "%s: data.pkl: there is no record %s", r->name, name);
    if (entry->nbytes != s->nbytes && entry->nbytes != TT_ZIP_NBYTES_UNKNOWN)
        return tt_err_set(err, TT_EFORMAT,
                          "%s: offset %" PRIu64 ": record %s: expected the %" PRIu64 " bytes of its storage, found %" PRIu64,
                          r->name, entry->offset, name, s->nbytes, entry->nbytes);
    s->offset = r->src->offset + entry->offset;
    s->crc = entry->crc;
    return TT_OK;
}

static bool grow_list(struct reader *r)
{
    if (r->n < r->cap)
        return true;
    const size_t cap = r->cap ? r->cap * 2 : 16;
    struct tt_pt_storage **items = tt_arena_array(r->arena, cap, sizeof(struct tt_pt_storage *));
    if (items && r->n)
        memcpy(items, r->storages, r->n * sizeof(struct tt_pt_storage *));
    if (items) {
        r->storages = items;
        r->cap = cap;
    }
    return items != NULL;
}

/* ("storage", class, key, device, numel); numel of an UntypedStorage is in bytes. */
static tt_status get_storage(struct reader *r, const struct tt_py *node, struct tt_pt_storage **out, struct tt_err *err)
{
    const struct tt_py *pid = node->kind == TT_PY_PERSID ? node->u.persid : NULL;
    if (!pid || pid->kind != TT_PY_TUPLE || tt_py_len(pid) < 5 || !tt_py_is_str(tt_py_item(pid, 0), "storage"))
        return bad(r, err, "expected the persistent id of a storage");
    const struct tt_py *cls = tt_py_item(pid, 1), *key = tt_py_item(pid, 2), *numel = tt_py_item(pid, 4);
    const bool untyped = cls->kind == TT_PY_GLOBAL && cls->u.global->id == TT_PY_UNTYPED_STORAGE;
    if (!untyped && (cls->kind != TT_PY_GLOBAL || cls->u.global->id != TT_PY_STORAGE))
        return bad(r, err, "expected a storage class in the persistent id");
    if (key->kind != TT_PY_STR || key->n > 200 || memchr(key->u.s, 0, key->n))
        return bad(r, err, "expected a storage key in the persistent id");
    if (numel->kind != TT_PY_INT || numel->u.i < 0)
        return bad(r, err, "expected a number of elements in the persistent id");
    const enum tt_dtype dtype = untyped ? TT_U8 : cls->u.global->dtype;
    uint64_t nbytes, old;
    if (tt_mul_overflows((uint64_t)numel->u.i, tt_dtype_nbytes(dtype), &nbytes))
        return bad(r, err, "a storage of more than 2^64 bytes");
    if (tt_map_get(&r->by_key, (const char *)key->u.s, key->n, &old)) {
        *out = r->storages[old];
        return (*out)->nbytes == nbytes ? TT_OK : bad(r, err, "two persistent ids of one storage disagree about its size");
    }
    struct tt_pt_storage *s = tt_arena_alloc(r->arena, sizeof *s);
    if (!s || !grow_list(r))
        return nomem(r, err);
    *s = (struct tt_pt_storage){ .dtype = dtype, .nbytes = nbytes, .number = -1 };
    s->key = tt_arena_strn(r->arena, (const char *)key->u.s, key->n);
    if (!s->key)
        return nomem(r, err);
    tt_status st = r->src ? resolve_record(r, s, err) : TT_OK;
    if (st == TT_OK)
        st = tt_map_put(&r->by_key, s->key, key->n, r->n, NULL, NULL, err);
    if (st == TT_OK)
        *out = r->storages[r->n++] = s;
    return st;
}

/* --- tensors ------------------------------------------------------------------------------------------------------------------ */

/* A tuple (or torch.Size, or list) of numbers that are not negative. */
static tt_status get_dims(const struct reader *r, const struct tt_py *node, int64_t **dims, int *n, struct tt_err *err)
{
    if (tt_py_is_object(node, TT_PY_SIZE) && tt_py_len(&node->u.object->args) == 1)
        node = tt_py_item(&node->u.object->args, 0);
    if (node->kind != TT_PY_TUPLE && node->kind != TT_PY_LIST)
        return bad(r, err, "expected a tuple of sizes or strides");
    const uint32_t ndim = tt_py_len(node);
    if (ndim > TT_NDIM_MAX)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: data.pkl: a tensor of %" PRIu32 " dimensions; titan reads up to %d",
                          r->name, ndim, TT_NDIM_MAX);
    *dims = tt_arena_array(r->arena, ndim, sizeof **dims);
    if (!*dims)
        return nomem(r, err);
    for (uint32_t i = 0; i < ndim; i++) {
        const struct tt_py *item = tt_py_item(node, i);
        if (item->kind != TT_PY_INT || item->u.i < 0)
            return bad(r, err, "expected sizes and strides that are not negative");
        (*dims)[i] = item->u.i;
    }
    *n = (int)ndim;
    return TT_OK;
}

/* The last element that the view reaches lies inside the storage. */
static bool view_fits(const struct tt_pt_tensor *t)
{
    const uint64_t elements = t->storage->nbytes / tt_dtype_nbytes(t->dtype);
    uint64_t last = (uint64_t)t->first;
    int64_t numel;

    if (t->first < 0 || !tt_numel(t->ndim, t->shape, &numel))
        return false;
    if (numel == 0)
        return true;
    for (int d = 0; d < t->ndim; d++) {
        uint64_t reach;
        if (tt_mul_overflows((uint64_t)(t->shape[d] - 1), (uint64_t)t->strides[d], &reach) || tt_add_overflows(last, reach, &last))
            return false;
    }
    return last < elements;
}

static tt_status get_dtype(const struct reader *r, const struct tt_py *node, enum tt_dtype *out, struct tt_err *err)
{
    if (node->kind != TT_PY_GLOBAL || node->u.global->id != TT_PY_DTYPE)
        return bad(r, err, "expected a dtype as the 7th argument of _rebuild_tensor_v3");
    *out = node->u.global->dtype;
    return TT_OK;
}

/* The metadata of conjugate and negative views, {"conj": True}: their bytes are not what the tensor says. */
static tt_status check_extra(const struct reader *r, const struct tt_py *args, uint32_t at, struct tt_err *err)
{
    if (tt_py_len(args) <= at)
        return TT_OK;
    const struct tt_py *extra = tt_py_item(args, at);
    if (extra->kind == TT_PY_NONE || (extra->kind == TT_PY_DICT && tt_py_len(extra) == 0))
        return TT_OK;
    return tt_err_set(err, TT_EUNSUPPORTED, "%s: data.pkl: a tensor with extra metadata (a conjugate or negative view); "
                      "save it resolved (resolve_conj, resolve_neg)", r->name);
}

static tt_status rebuild_tensor(struct reader *r, const struct tt_py_object *o, struct tt_pt_tensor *t, struct tt_err *err)
{
    const bool v1 = o->cls->id == TT_PY_REBUILD_TENSOR, v3 = o->cls->id == TT_PY_REBUILD_TENSOR_V3;
    const struct tt_py *args = &o->args;
    int64_t *shape = NULL, *strides = NULL;
    int nstrides = 0;

    if (tt_py_len(args) < (v1 ? 4 : v3 ? 7 : 6))
        return bad(r, err, "too few arguments of _rebuild_tensor");
    tt_status st = get_storage(r, tt_py_item(args, 0), &t->storage, err);
    if (st == TT_OK)
        st = get_dims(r, tt_py_item(args, 2), &shape, &t->ndim, err);
    if (st == TT_OK)
        st = get_dims(r, tt_py_item(args, 3), &strides, &nstrides, err);
    if (st == TT_OK && nstrides != t->ndim)
        st = bad(r, err, "sizes and strides of a tensor differ in number");
    if (st == TT_OK)
        t->dtype = t->storage->dtype;
    if (st == TT_OK && v3)
        st = get_dtype(r, tt_py_item(args, 6), &t->dtype, err);
    if (st == TT_OK)
        st = check_extra(r, args, v3 ? 7 : 6, err);
    if (st != TT_OK)
        return st;
    const struct tt_py *first = tt_py_item(args, 1), *grad = v1 ? NULL : tt_py_item(args, 4);
    t->first = first->kind == TT_PY_INT ? first->u.i : -1;
    t->shape = shape;
    t->strides = strides;
    t->requires_grad = grad && grad->kind == TT_PY_BOOL && grad->u.b;
    if (!view_fits(t))
        return tt_err_set(err, TT_EFORMAT, "%s: data.pkl: a tensor reaches beyond the %" PRIu64 " bytes of its storage %s",
                          r->name, t->storage->nbytes, t->storage->key);
    return TT_OK;
}

static bool is_rebuild(const struct tt_py_object *o)
{
    return o->cls->id == TT_PY_REBUILD_TENSOR || o->cls->id == TT_PY_REBUILD_TENSOR_V2 || o->cls->id == TT_PY_REBUILD_TENSOR_V3;
}

/* The call that makes the tensor itself, within the one that makes it a parameter; NULL: there is none. */
static const struct tt_py_object *inside_parameter(const struct tt_py_object *o, bool *requires_grad)
{
    if (tt_py_len(&o->args) < 3 || tt_py_item(&o->args, 0)->kind != TT_PY_OBJECT) /* (tensor, requires_grad, hooks [, state]) */
        return NULL;
    const struct tt_py *grad = tt_py_item(&o->args, 1);
    *requires_grad = grad->kind == TT_PY_BOOL && grad->u.b;
    return tt_py_item(&o->args, 0)->u.object;
}

/* (function, type, args, state): how tensors are saved that have attributes of their own, which are dropped. *made is storage for
 * what is returned. */
static const struct tt_py_object *from_type(const struct tt_py_object *o, struct tt_py_object *made, bool *is_parameter)
{
    if (tt_py_len(&o->args) < 3)
        return NULL;
    const struct tt_py *function = tt_py_item(&o->args, 0), *type = tt_py_item(&o->args, 1), *args = tt_py_item(&o->args, 2);
    if (function->kind != TT_PY_GLOBAL || type->kind != TT_PY_GLOBAL || type->u.global->id != TT_PY_TENSOR_TYPE ||
        args->kind != TT_PY_TUPLE)
        return NULL;
    *is_parameter = strcmp(type->u.global->name, "Parameter") == 0;
    *made = (struct tt_py_object){ .cls = function->u.global, .args = *args };
    return made;
}

static tt_status make_tensor(void *ctx, const struct tt_py_object *o, struct tt_value **out, struct tt_err *err)
{
    struct reader *r = ctx;
    struct tt_py_object made;
    bool is_parameter = false, requires_grad = false;

    if (o->cls->id == TT_PY_REBUILD_FROM_TYPE)
        o = from_type(o, &made, &is_parameter);
    if (o && (o->cls->id == TT_PY_REBUILD_PARAMETER || o->cls->id == TT_PY_REBUILD_PARAMETER_STATE)) {
        is_parameter = true;
        o = inside_parameter(o, &requires_grad);
    }
    if (!o || !is_rebuild(o))
        return TT_OK;
    struct tt_pt_tensor *t = tt_arena_alloc(r->arena, sizeof *t);
    struct tt_value *v = tt_value_null(r->arena);
    if (!t || !v)
        return nomem(r, err);
    const tt_status st = rebuild_tensor(r, o, t, err);
    if (st != TT_OK)
        return st;
    t->is_parameter = is_parameter;
    t->requires_grad |= requires_grad;
    v->kind = TT_V_TENSOR;
    v->u.ref = t;
    *out = v;
    return TT_OK;
}

/* --- the archive -------------------------------------------------------------------------------------------------------------- */

static const uint8_t legacy[] = { 0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19 };

bool tt_pt_is_legacy(const uint8_t *head, size_t nbytes)
{
    enum { ENOUGH = 9 }; /* nothing else begins with a number of ten bytes, these */
    return nbytes >= ENOUGH && memcmp(head, legacy, nbytes < sizeof legacy ? nbytes : sizeof legacy) == 0;
}

static tt_status check_kind(const struct tt_source *src, struct tt_err *err)
{
    uint8_t head[sizeof legacy] = { 0 };
    const tt_status st = tt_source_read(src, head, src->nbytes < sizeof head ? src->nbytes : sizeof head, 0, err);

    if (st != TT_OK)
        return st;
    if (tt_pt_is_legacy(head, sizeof head))
        return tt_err_set(err, TT_EUNSUPPORTED,
                          "%s: offset 0: a .pt of before PyTorch 1.6, which is no zip; load it there and save it again", src->name);
    if (src->nbytes < 4)
        return tt_err_set(err, TT_EFORMAT, "%s: offset 0: expected a torch zip (PK\\3\\4), found the end of the file at %d", src->name,
                          (int)src->nbytes);
    if (memcmp(head, "PK\3\4", 4) != 0)
        return tt_err_set(err, TT_EFORMAT, "%s: offset 0: expected a torch zip (PK\\3\\4), found %02x %02x %02x %02x", src->name,
                          head[0], head[1], head[2], head[3]);
    return TT_OK;
}

/* 1 to 10, as PyTorch has it, with a newline or without. A prefix ends before it. */
static tt_status check_version(struct reader *r, struct tt_err *err)
{
    const struct tt_zip_entry *entry = tt_zip_find(&r->zip, "version");
    const uint8_t *text = NULL;

    if (!entry)
        return TT_OK;
    const tt_status st = tt_zip_read(entry, r->arena, r->src, 64, &text, err);
    if (st != TT_OK)
        return st;
    uint64_t n = entry->nbytes, version = 0;
    n -= n && text[n - 1] == '\n';
    for (uint64_t i = 0; i < n; i++)
        version = text[i] >= '0' && text[i] <= '9' && version <= 10 ? version * 10 + text[i] - '0' : 11;
    if (version < 1 || version > 10)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: record version: expected 1 to 10, as torch.save writes it", r->name);
    return TT_OK;
}

static tt_status check_records(struct reader *r, struct tt_err *err)
{
    const struct tt_zip_entry *order = tt_zip_find(&r->zip, "byteorder");
    const uint8_t *text = NULL;

    tt_status st = order ? tt_zip_read(order, r->arena, r->src, 64, &text, err) : TT_OK;
    if (st == TT_OK && order && (order->nbytes != 6 || memcmp(text, "little", 6) != 0))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: record byteorder: expected \"little\"", r->name);
    return st == TT_OK ? check_version(r, err) : st;
}

/* data.pkl in bytes[0, nbytes) to values; nodes holds what is needed on the way. */
static tt_status read_value(struct reader *r, struct tt_arena *nodes, const uint8_t *bytes, size_t nbytes, struct tt_pt *out,
                            struct tt_err *err)
{
    struct tt_value *root = NULL;
    struct tt_py node;
    const char *where = tt_arena_printf(r->arena, "%s: data.pkl", r->name);
    if (!where)
        return nomem(r, err);
    const struct tt_py_how decode = { .allow = TT_PY_ALLOW_VALUE | TT_PY_ALLOW_TENSOR, .where = where, .names = r->arena };
    tt_status st = tt_pickle_decode(nodes, &node, bytes, nbytes, &decode, err);
    if (st != TT_OK)
        return st;
    struct tt_py_convert how = { .arena = r->arena, .where = where, .tensor = make_tensor, .ctx = r };
    st = tt_py_to_value(&how, &node, &root, err);
    tt_map_release(&r->by_key);
    if (st == TT_OK)
        *out = (struct tt_pt){ root, r->storages, r->n };
    return st;
}

tt_status tt_pt_decode(struct tt_pt *out, struct tt_arena *arena, const uint8_t *pickle, size_t nbytes, const char *name,
                       struct tt_err *err)
{
    struct reader r = { .arena = arena, .name = name };
    struct tt_arena nodes = { 0 };
    const tt_status st = read_value(&r, &nodes, pickle, nbytes, out, err);
    tt_arena_release(&nodes);
    return st;
}

static tt_status read_pickle(const struct reader *r, struct tt_arena *nodes, const uint8_t **bytes, size_t *nbytes, struct tt_err *err)
{
    const struct tt_zip_entry *entry = tt_zip_find(&r->zip, "data.pkl");
    if (!entry)
        return tt_err_set(err, TT_EFORMAT, "%s: expected a record data.pkl", r->name);
    *nbytes = (size_t)entry->nbytes;
    return tt_zip_read(entry, nodes, r->src, TT_PT_PICKLE_NBYTES_MAX, bytes, err);
}

tt_status tt_pt_open_records(struct tt_pt *out, struct tt_arena *arena, const struct tt_source *src, const struct tt_zip *zip,
                             struct tt_err *err)
{
    struct reader r = { .arena = arena, .name = src->name, .src = src, .zip = *zip };
    struct tt_arena nodes = { 0 };
    const uint8_t *pickle = NULL;
    size_t nbytes = 0;
    tt_status st = check_records(&r, err);

    if (st == TT_OK)
        st = read_pickle(&r, &nodes, &pickle, &nbytes, err);
    if (st == TT_OK)
        st = read_value(&r, &nodes, pickle, nbytes, out, err);
    tt_arena_release(&nodes);
    return st;
}

tt_status tt_pt_open(struct tt_pt *out, struct tt_arena *arena, const struct tt_source *src, struct tt_err *err)
{
    enum { END_NBYTES = 1 << 12 }; /* at both ends: all but the storage of an archive of one tensor */
    uint8_t head[END_NBYTES], tail[END_NBYTES];
    struct tt_source near = *src;
    struct tt_zip zip = { 0 };
    tt_status st = TT_OK;

    if (src->file && !src->tail && src->nbytes > 4 * END_NBYTES) { /* smaller ones are read whole */
        st = tt_source_read(src, head, sizeof head, 0, err);
        if (st == TT_OK)
            st = tt_source_read(src, tail, sizeof tail, src->nbytes - sizeof tail, err);
        near.data = head;
        near.head_end = sizeof head;
        near.tail = tail;
        near.tail_offset = src->nbytes - sizeof tail;
    }
    if (st == TT_OK)
        st = check_kind(&near, err);
    if (st == TT_OK)
        st = tt_zip_open(&zip, arena, &near, err);
    return st == TT_OK ? tt_pt_open_records(out, arena, &near, &zip, err) : st;
}

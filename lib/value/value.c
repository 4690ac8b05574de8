#include "value/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_FROM = 16 }; /* maps of more pairs than this get an index at the first look-up by key */

static struct tt_value *make(struct tt_arena *arena, enum tt_vkind kind)
{
    struct tt_value *v = tt_arena_alloc(arena, sizeof *v);
    if (v)
        v->kind = kind;
    return v;
}

struct tt_value *tt_value_null(struct tt_arena *arena) { return make(arena, TT_V_NULL); }
struct tt_value *tt_value_list(struct tt_arena *arena) { return make(arena, TT_V_LIST); }
struct tt_value *tt_value_tuple(struct tt_arena *arena) { return make(arena, TT_V_TUPLE); }
struct tt_value *tt_value_map(struct tt_arena *arena) { return make(arena, TT_V_MAP); }

struct tt_value *tt_value_bool(struct tt_arena *arena, bool b)
{
    struct tt_value *v = make(arena, TT_V_BOOL);
    if (v)
        v->u.b = b;
    return v;
}

struct tt_value *tt_value_int(struct tt_arena *arena, int64_t i)
{
    struct tt_value *v = make(arena, TT_V_INT);
    if (v)
        v->u.i = i;
    return v;
}

struct tt_value *tt_value_float(struct tt_arena *arena, double f)
{
    struct tt_value *v = make(arena, TT_V_FLOAT);
    if (v)
        v->u.f = f;
    return v;
}

static struct tt_value *text(struct tt_arena *arena, enum tt_vkind kind, const char *s, size_t n)
{
    struct tt_value *v = make(arena, kind);
    if (!v || !(v->u.str.s = tt_arena_strn(arena, s, n)))
        return NULL;
    v->u.str.nbytes = n;
    return v;
}

struct tt_value *tt_value_strn(struct tt_arena *arena, const char *s, size_t n) { return text(arena, TT_V_STR, s, n); }
struct tt_value *tt_value_str(struct tt_arena *arena, const char *s) { return text(arena, TT_V_STR, s, strlen(s)); }

struct tt_value *tt_value_bytes(struct tt_arena *arena, const void *bytes, size_t n)
{
    return text(arena, TT_V_BYTES, bytes, n);
}

/* Arrays double inside the arena; what they leave behind is at most what they hold. */
static void *grow(struct tt_arena *arena, const void *old, size_t n, size_t *cap, size_t size)
{
    const size_t bigger = *cap ? *cap * 2 : 4;
    void *p = tt_arena_array(arena, bigger, size);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, old, n * size);
    *cap = bigger;
    return p;
}

bool tt_value_append(struct tt_arena *arena, struct tt_value *list, struct tt_value *item)
{
    if (!list || !item)
        return false;
    if (list->u.list.n == list->u.list.cap) {
        struct tt_value **items = grow(arena, list->u.list.items, list->u.list.n, &list->u.list.cap, sizeof *items);
        if (!items)
            return false;
        list->u.list.items = items;
    }
    list->u.list.items[list->u.list.n++] = item;
    return true;
}

/* The index lives in the arena too, as a plain open-addressed table whose slots the arena owns. */
static bool index_insert(struct tt_arena *arena, struct tt_value *map, size_t pair)
{
    const struct tt_value *key = map->u.map.pairs[pair].key;
    struct tt_map *index = map->u.map.index;
    if (key->kind != TT_V_STR)
        return true;
    if (index->n * 2 >= index->nslots) {
        struct tt_map bigger = { .nslots = index->nslots ? index->nslots * 2 : 64 };
        bigger.slots = tt_arena_array(arena, bigger.nslots, sizeof *bigger.slots);
        if (!bigger.slots)
            return false;
        for (size_t i = 0; i < index->nslots; i++)
            if (index->slots[i].key &&
                tt_map_put(&bigger, index->slots[i].key, index->slots[i].nkey, index->slots[i].value, NULL, NULL, NULL) != TT_OK)
                return false;
        *index = bigger;
    }
    return tt_map_put(index, key->u.str.s, key->u.str.nbytes, pair, NULL, NULL, NULL) == TT_OK;
}

bool tt_value_put(struct tt_arena *arena, struct tt_value *map, struct tt_value *key, struct tt_value *value)
{
    if (!map || !key || !value)
        return false;
    if (map->u.map.n == map->u.map.cap) {
        struct tt_pair *pairs = grow(arena, map->u.map.pairs, map->u.map.n, &map->u.map.cap, sizeof *pairs);
        if (!pairs)
            return false;
        map->u.map.pairs = pairs;
    }
    map->u.map.pairs[map->u.map.n++] = (struct tt_pair){ key, value };
    if (map->u.map.index)
        return index_insert(arena, map, map->u.map.n - 1);
    if (map->u.map.n > INDEX_FROM) {
        map->u.map.index = tt_arena_alloc(arena, sizeof *map->u.map.index);
        for (size_t i = 0; map->u.map.index && i < map->u.map.n; i++)
            if (!index_insert(arena, map, i))
                return false;
        return map->u.map.index != NULL;
    }
    return true;
}

static struct tt_pair *find(const struct tt_value *v, const char *key)
{
    if (!v || v->kind != TT_V_MAP)
        return NULL;
    if (v->u.map.index) {
        uint64_t i;
        return tt_map_get(v->u.map.index, key, strlen(key), &i) ? &v->u.map.pairs[i] : NULL;
    }
    for (size_t i = 0; i < v->u.map.n; i++)
        if (tt_value_is_str(v->u.map.pairs[i].key, key))
            return &v->u.map.pairs[i];
    return NULL;
}

bool tt_value_set(struct tt_arena *arena, struct tt_value *map, const char *key, struct tt_value *value)
{
    struct tt_pair *pair = find(map, key);
    if (!pair || !value)
        return tt_value_put(arena, map, tt_value_str(arena, key), value);
    pair->value = value;
    return true;
}

/* Without its index, which has the old places, the map is searched from end to end. */
void tt_value_remove(struct tt_value *map, const char *key)
{
    struct tt_pair *pair = find(map, key);
    if (!pair)
        return;
    const size_t at = (size_t)(pair - map->u.map.pairs);
    memmove(pair, pair + 1, (map->u.map.n - at - 1) * sizeof *pair);
    map->u.map.n--;
    map->u.map.index = NULL;
}

struct tt_value *tt_value_get(const struct tt_value *v, const char *key)
{
    const struct tt_pair *pair = find(v, key);
    return pair ? pair->value : NULL;
}

struct tt_value *tt_value_at(const struct tt_value *v, ...)
{
    struct tt_value *at = NULL;
    va_list ap;

    va_start(ap, v);
    for (const char *key; (key = va_arg(ap, const char *));)
        v = at = tt_value_get(v, key);
    va_end(ap);
    return at;
}

bool tt_value_is_str(const struct tt_value *v, const char *s)
{
    return v && v->kind == TT_V_STR && v->u.str.nbytes == strlen(s) && memcmp(v->u.str.s, s, v->u.str.nbytes) == 0;
}

static bool equal_map(const struct tt_value *a, const struct tt_value *b)
{
    if (a->u.map.n != b->u.map.n)
        return false;
    for (size_t i = 0; i < a->u.map.n; i++) {
        const struct tt_pair *p = &a->u.map.pairs[i];
        const struct tt_pair *q = p->key->kind == TT_V_STR ? find(b, p->key->u.str.s) : NULL;
        for (size_t j = 0; !q && j < b->u.map.n; j++)
            if (tt_value_equal(p->key, b->u.map.pairs[j].key))
                q = &b->u.map.pairs[j];
        if (!q || !tt_value_equal(p->value, q->value))
            return false;
    }
    return true;
}

static struct tt_value *copy_list(struct tt_arena *arena, const struct tt_value *v)
{
    struct tt_value *out = v->kind == TT_V_LIST ? tt_value_list(arena) : tt_value_tuple(arena);
    for (size_t i = 0; out && i < v->u.list.n; i++)
        if (!tt_value_append(arena, out, tt_value_copy(arena, v->u.list.items[i])))
            return NULL;
    return out;
}

static struct tt_value *copy_map(struct tt_arena *arena, const struct tt_value *v)
{
    struct tt_value *out = tt_value_map(arena);
    for (size_t i = 0; out && i < v->u.map.n; i++)
        if (!tt_value_put(arena, out, tt_value_copy(arena, v->u.map.pairs[i].key), tt_value_copy(arena, v->u.map.pairs[i].value)))
            return NULL;
    return out;
}

struct tt_value *tt_value_copy(struct tt_arena *arena, const struct tt_value *v)
{
    if (v->kind == TT_V_STR)
        return tt_value_strn(arena, v->u.str.s, v->u.str.nbytes);
    if (v->kind == TT_V_BYTES)
        return tt_value_bytes(arena, v->u.str.s, v->u.str.nbytes);
    if (v->kind == TT_V_LIST || v->kind == TT_V_TUPLE)
        return copy_list(arena, v);
    if (v->kind == TT_V_MAP)
        return copy_map(arena, v);
    struct tt_value *out = tt_arena_alloc(arena, sizeof *out);
    if (out)
        *out = *v;
    return out;
}

bool tt_value_equal(const struct tt_value *a, const struct tt_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TT_V_NULL: return true;
    case TT_V_BOOL: return a->u.b == b->u.b;
    case TT_V_INT: return a->u.i == b->u.i;
    case TT_V_FLOAT: return a->u.f == b->u.f || (isnan(a->u.f) && isnan(b->u.f));
    case TT_V_STR:
    case TT_V_BYTES: return a->u.str.nbytes == b->u.str.nbytes && memcmp(a->u.str.s, b->u.str.s, a->u.str.nbytes) == 0;
    case TT_V_LIST:
    case TT_V_TUPLE:
        if (a->u.list.n != b->u.list.n)
            return false;
        for (size_t i = 0; i < a->u.list.n; i++)
            if (!tt_value_equal(a->u.list.items[i], b->u.list.items[i]))
                return false;
        return true;
    case TT_V_MAP: return equal_map(a, b);
    case TT_V_TENSOR:
    case TT_V_OBJECT: return a->u.ref == b->u.ref;
    }
    return false;
}

const char *tt_value_kind_name(enum tt_vkind kind)
{
    static const char *const names[] = {
        [TT_V_NULL] = "null",      [TT_V_BOOL] = "a boolean", [TT_V_INT] = "an integer",   [TT_V_FLOAT] = "a number",
        [TT_V_STR] = "a string",   [TT_V_BYTES] = "bytes",    [TT_V_LIST] = "a list",      [TT_V_TUPLE] = "a tuple",
        [TT_V_MAP] = "a table",    [TT_V_TENSOR] = "a tensor", [TT_V_OBJECT] = "an object",
    };
    return names[kind];
}

/* lib/value/value.h: the tree of values that configuration files, JSON documents, pickles and checkpoint entries share.
 *
 * Values live in an arena and are freed with it; there is no ownership between them. A MAP keeps insertion order; its keys are
 * values too (pickles have integer and tuple keys), strings everywhere else. */
#ifndef TT_VALUE_VALUE_H
#define TT_VALUE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

enum tt_vkind {
    TT_V_NULL,
    TT_V_BOOL,
    TT_V_INT,    /* int64; wider integers of a pickle are TT_V_OBJECT */
    TT_V_FLOAT,  /* double */
    TT_V_STR,    /* UTF-8, may hold NULs; also NUL-terminated */
    TT_V_BYTES,
    TT_V_LIST,
    TT_V_TUPLE,  /* Python's; the text forms write it as a list */
    TT_V_MAP,
    TT_V_TENSOR, /* a tensor inside a value: `ref` points at what its room (lib/format) made for it */
    TT_V_OBJECT, /* something of Python's with no plain form (dtype, torch.Size, set ...): `ref`, made and read by lib/format */
};

/* No text form nests deeper, so that who walks a tree may recurse. */
enum { TT_VALUE_DEPTH_MAX = 200 };

struct tt_value;
struct tt_pair { struct tt_value *key, *value; };

struct tt_value {
    enum tt_vkind kind;
    uint32_t line; /* where it stood in its text file, from 1; 0: unknown */
    union {
        bool b;
        int64_t i;
        double f;
        struct { const char *s; size_t nbytes; } str; /* STR and BYTES */
        struct { struct tt_value **items; size_t n, cap; } list; /* LIST and TUPLE */
        struct { struct tt_pair *pairs; size_t n, cap; struct tt_map *index; } map; /* index: string keys, of large maps */
        const void *ref;
    } u;
};

/* All of these return NULL where the arena is exhausted. Strings are copied. */
struct tt_value *tt_value_null(struct tt_arena *arena);
struct tt_value *tt_value_bool(struct tt_arena *arena, bool b);
struct tt_value *tt_value_int(struct tt_arena *arena, int64_t i);
struct tt_value *tt_value_float(struct tt_arena *arena, double f);
struct tt_value *tt_value_str(struct tt_arena *arena, const char *s);
struct tt_value *tt_value_strn(struct tt_arena *arena, const char *s, size_t n);
struct tt_value *tt_value_bytes(struct tt_arena *arena, const void *bytes, size_t n);
struct tt_value *tt_value_list(struct tt_arena *arena);
struct tt_value *tt_value_tuple(struct tt_arena *arena);
struct tt_value *tt_value_map(struct tt_arena *arena);

/* Append an item or a pair; NULL arguments count as exhausted memory, so that constructors nest: check the last call only.
 * tt_value_set replaces the value of an existing string key. */
TT_MUST_CHECK bool tt_value_append(struct tt_arena *arena, struct tt_value *list, struct tt_value *item);
TT_MUST_CHECK bool tt_value_put(struct tt_arena *arena, struct tt_value *map, struct tt_value *key, struct tt_value *value);
TT_MUST_CHECK bool tt_value_set(struct tt_arena *arena, struct tt_value *map, const char *key, struct tt_value *value);
/* Takes the pair of a string key out; nothing where there is none. */
void tt_value_remove(struct tt_value *map, const char *key);

/* The value of a string key; NULL where the map has none or v is no map (or NULL). */
struct tt_value *tt_value_get(const struct tt_value *v, const char *key);
/* Follows string keys: tt_value_at(v, "a", "b", NULL). */
struct tt_value *tt_value_at(const struct tt_value *v, ...) __attribute__((sentinel));

/* The whole tree again, in another arena; what a `ref` points at is shared. */
struct tt_value *tt_value_copy(struct tt_arena *arena, const struct tt_value *v);

bool tt_value_is_str(const struct tt_value *v, const char *s);
/* Deep equality; ints and floats differ, NaN equals NaN, maps compare without regard to order. */
bool tt_value_equal(const struct tt_value *a, const struct tt_value *b);
/* "null", "a boolean", "an integer" ... for messages. */
const char *tt_value_kind_name(enum tt_vkind kind);

#endif

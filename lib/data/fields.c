#include "data/fields.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "value/utf8.h"

static bool absent(const struct tt_value *v) { return !v || v->kind == TT_V_NULL; }

tt_status tt_field_wrong(const struct tt_value *found, const char *expected, const char *where, const char *key, struct tt_err *err)
{
    return tt_err_set(err, TT_EFORMAT, "%s: %s: expected %s, found %s", where, key, expected,
                      found ? tt_value_kind_name(found->kind) : "nothing");
}

tt_status tt_field_bool(bool *out, const struct tt_value *map, const char *key, enum tt_need need, const char *where,
                        struct tt_err *err)
{
    const struct tt_value *v = tt_value_get(map, key);
    if (absent(v) && need == TT_OPTIONAL)
        return TT_OK;
    if (absent(v) || v->kind != TT_V_BOOL)
        return tt_field_wrong(v, "true or false", where, key, err);
    *out = v->u.b;
    return TT_OK;
}

tt_status tt_field_str(const char **out, size_t *nbytes, const struct tt_value *map, const char *key, enum tt_need need,
                       const char *where, struct tt_err *err)
{
    const struct tt_value *v = tt_value_get(map, key);
    if (absent(v) && need == TT_OPTIONAL)
        return TT_OK;
    if (absent(v) || v->kind != TT_V_STR)
        return tt_field_wrong(v, "a string", where, key, err);
    *out = v->u.str.s;
    *nbytes = v->u.str.nbytes;
    return TT_OK;
}

tt_status tt_field_count(int64_t *out, const struct tt_value *map, const char *key, const char *where, struct tt_err *err)
{
    static const int64_t most = INT64_C(1) << 53;
    const struct tt_value *v = tt_value_get(map, key);
    if (!v || v->kind != TT_V_INT)
        return tt_field_wrong(v, "an integer from 0 to 2^53", where, key, err);
    if (v->u.i < 0 || v->u.i > most)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected an integer from 0 to 2^53, found %" PRId64, where, key, v->u.i);
    *out = v->u.i;
    return TT_OK;
}

tt_status tt_field_tree(const struct tt_value **out, const struct tt_value *map, const char *key, enum tt_vkind kind,
                        enum tt_need need, const char *where, struct tt_err *err)
{
    const struct tt_value *v = tt_value_get(map, key);
    if (absent(v) && need == TT_OPTIONAL) {
        *out = NULL;
        return TT_OK;
    }
    if (absent(v) || v->kind != kind)
        return tt_field_wrong(v, kind == TT_V_LIST ? "a list" : "an object", where, key, err);
    *out = v;
    return TT_OK;
}

tt_status tt_field_char(char out[4], uint8_t *nbytes, const struct tt_value *map, const char *key, const char *where,
                        struct tt_err *err)
{
    const char *s = "";
    size_t n = 0;
    const tt_status st = tt_field_str(&s, &n, map, key, TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    if (n == 0 || tt_utf8_len(s, n) != n)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected one character, found \"%.60s\"", where, key, s);
    memcpy(out, s, n);
    *nbytes = (uint8_t)n;
    return TT_OK;
}

tt_status tt_field_copy(char **out, size_t *nbytes, const struct tt_value *map, const char *key, const char *where,
                        struct tt_err *err)
{
    const char *s = "";
    size_t n = 0;
    const tt_status st = tt_field_str(&s, &n, map, key, TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    char *copy = malloc(n + 1);
    if (!copy)
        return tt_err_nomem(err, n, key);
    memcpy(copy, s, n);
    copy[n] = '\0';
    *out = copy;
    *nbytes = n;
    return TT_OK;
}

tt_status tt_token_id_of(int32_t *out, const struct tt_value *v, const char *where, const char *what, struct tt_err *err)
{
    if (absent(v) || v->kind != TT_V_INT || v->u.i < 0 || v->u.i > INT32_MAX - 1)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected a token id, an integer from 0 to 2147483646", where, what);
    *out = (int32_t)v->u.i;
    return TT_OK;
}

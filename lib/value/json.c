#include "value/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value/utf8.h"

/* --- reading --------------------------------------------------------------------------------------------------------------- */

enum found { MADE, TOO_DEEP, NO_MEMORY };

static enum found convert(struct tt_value **out, struct tt_arena *arena, const json_t *j, int depth);

static enum found convert_array(struct tt_value **out, struct tt_arena *arena, const json_t *j, int depth)
{
    struct tt_value *list = tt_value_list(arena);
    for (size_t i = 0; i < json_array_size(j); i++) {
        struct tt_value *item = NULL;
        const enum found f = convert(&item, arena, json_array_get(j, i), depth + 1);
        if (f != MADE)
            return f;
        if (!tt_value_append(arena, list, item))
            return NO_MEMORY;
    }
    *out = list;
    return list ? MADE : NO_MEMORY;
}

static enum found convert_object(struct tt_value **out, struct tt_arena *arena, json_t *j, int depth)
{
    struct tt_value *map = tt_value_map(arena);
    for (void *at = json_object_iter(j); at; at = json_object_iter_next(j, at)) {
        struct tt_value *item = NULL;
        const enum found f = convert(&item, arena, json_object_iter_value(at), depth + 1);
        if (f != MADE)
            return f;
        if (!tt_value_put(arena, map, tt_value_str(arena, json_object_iter_key(at)), item))
            return NO_MEMORY;
    }
    *out = map;
    return map ? MADE : NO_MEMORY;
}

static enum found convert(struct tt_value **out, struct tt_arena *arena, const json_t *j, int depth)
{
    if (depth > TT_VALUE_DEPTH_MAX)
        return TOO_DEEP;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return convert_object(out, arena, (json_t *)(uintptr_t)j, depth); /* its iterators take no const */
    case JSON_ARRAY:
        return convert_array(out, arena, j, depth);
    case JSON_STRING:
        *out = tt_value_strn(arena, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        *out = tt_value_int(arena, json_integer_value(j));
        break;
    case JSON_REAL:
        *out = tt_value_float(arena, json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = tt_value_bool(arena, json_is_true(j));
        break;
    case JSON_NULL:
        *out = tt_value_null(arena);
        break;
    }
    return *out ? MADE : NO_MEMORY;
}

static tt_status parse(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes, size_t flags,
                       const char *path, struct tt_err *err)
{
    json_error_t at;
    json_t *j = json_loadb(nbytes ? bytes : "", nbytes, JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, &at);
    if (!j)
        return tt_err_set(err, TT_EFORMAT, "%s:%d:%d: not JSON: %s", path, at.line, at.column, at.text);

    struct tt_value *v = NULL;
    const enum found f = convert(&v, arena, j, 0);
    json_decref(j);
    if (f == TOO_DEEP)
        return tt_err_set(err, TT_EFORMAT, "%s: nested deeper than %d levels", path, TT_VALUE_DEPTH_MAX);
    if (f == NO_MEMORY)
        return tt_err_nomem(err, nbytes, path);
    *out = v;
    return TT_OK;
}

tt_status tt_json_parse(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes, const char *path,
                        struct tt_err *err)
{
    return parse(out, arena, bytes, nbytes, 0, path, err);
}

tt_status tt_json_parse_distinct(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes,
                                 const char *path, struct tt_err *err)
{
    return parse(out, arena, bytes, nbytes, JSON_REJECT_DUPLICATES, path, err);
}

tt_status tt_json_parse_reals(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes, const char *path,
                              struct tt_err *err)
{
    return parse(out, arena, bytes, nbytes, JSON_DECODE_INT_AS_REAL, path, err);
}

/* --- writing --------------------------------------------------------------------------------------------------------------- */

struct decimal {
    char digits[24];       /* without trailing zeros */
    int ndigits, exponent; /* d.ddd times 10 to the exponent */
};

static double decimal_value(const struct decimal *d)
{
    char text[64];
    snprintf(text, sizeof text, "%c.%se%d", d->digits[0], d->digits + 1, d->exponent);
    return strtod(text, NULL);
}

static void decimal_round(struct decimal *d, double f, int ndigits)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", ndigits - 1, f);
    d->ndigits = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p != '.')
            d->digits[d->ndigits++] = *p;
    d->digits[d->ndigits] = 0;
    d->exponent = (int)strtol(p + 1, NULL, 10);
}

/* The last digit one up. Digits that are all 9 stay: one digit less would have given what follows them. */
static bool decimal_step_up(struct decimal *d)
{
    int i = d->ndigits - 1;
    while (i >= 0 && d->digits[i] == '9')
        i--;
    if (i < 0)
        return false;
    d->digits[i]++;
    memset(d->digits + i + 1, '0', (size_t)(d->ndigits - 1 - i));
    return true;
}

/* The fewest digits that read back as f > 0. The rounded decimal is the nearest one, and so the one to try; but below a power of
 * two doubles lie closer than above it, so there the next decimal up can read back where the nearest, below, does not. */
static void decimal_shortest(struct decimal *d, double f)
{
    for (int n = 1; n <= 17; n++) {
        decimal_round(d, f, n);
        if (decimal_value(d) == f)
            break;
        struct decimal up = *d;
        if (decimal_value(d) < f && decimal_step_up(&up) && decimal_value(&up) == f) {
            *d = up;
            break;
        }
    }
    while (d->ndigits > 1 && d->digits[d->ndigits - 1] == '0')
        d->digits[--d->ndigits] = 0;
}

void tt_json_write_double(struct tt_buf *out, double f)
{
    if (isnan(f)) {
        tt_buf_str(out, "NaN");
        return;
    }
    if (signbit(f))
        tt_buf_byte(out, '-');
    f = fabs(f);
    if (isinf(f) || f == 0) {
        tt_buf_str(out, f == 0 ? "0.0" : "Infinity");
        return;
    }
    struct decimal d;
    decimal_shortest(&d, f);
    const int e = d.exponent, n = d.ndigits;
    if (e < -4 || e >= 16)
        tt_buf_printf(out, "%c%s%se%c%02d", d.digits[0], n > 1 ? "." : "", d.digits + 1, e < 0 ? '-' : '+', abs(e));
    else if (e < 0)
        tt_buf_printf(out, "0.%.*s%s", -e - 1, "000", d.digits);
    else if (n <= e + 1)
        tt_buf_printf(out, "%s%.*s.0", d.digits, e + 1 - n, "0000000000000000");
    else
        tt_buf_printf(out, "%.*s.%s", e + 1, d.digits, d.digits + e + 1);
}

void tt_json_write_str(struct tt_buf *out, const char *s, size_t nbytes)
{
    static const char escapes[32] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };

    tt_buf_byte(out, '"');
    for (size_t i = 0; i < nbytes;) {
        const unsigned char c = (unsigned char)s[i];
        const size_t n = tt_utf8_len(s + i, nbytes - i);
        if (n == 0) /* not UTF-8 (an argument may be anything): Python's surrogateescape */
            tt_buf_printf(out, "\\udc%02x", c);
        else if (c == '"' || c == '\\')
            tt_buf_printf(out, "\\%c", c);
        else if (c < 0x20 && escapes[c])
            tt_buf_printf(out, "\\%c", escapes[c]);
        else if (c < 0x20)
            tt_buf_printf(out, "\\u%04x", c);
        else
            tt_buf_put(out, s + i, n);
        i += n ? n : 1;
    }
    tt_buf_byte(out, '"');
}

/* Between items and at the ends of a list or map that is not empty. */
static void break_line(struct tt_buf *out, int indent, int level)
{
    if (indent > 0) {
        tt_buf_byte(out, '\n');
        tt_buf_fill(out, ' ', (size_t)indent * (size_t)level);
    }
}

static void between(struct tt_buf *out, size_t i, int indent, int level)
{
    if (i > 0)
        tt_buf_str(out, indent > 0 ? "," : ", ");
    break_line(out, indent, level);
}

static void write_value(struct tt_buf *out, const struct tt_value *v, int indent, int level);

static void write_key(struct tt_buf *out, const struct tt_value *key)
{
    struct tt_buf text = { 0 };
    if (key->kind == TT_V_STR) {
        tt_json_write_str(out, key->u.str.s, key->u.str.nbytes);
        return;
    }
    write_value(&text, key, 0, 0);
    tt_json_write_str(out, tt_buf_cstr(&text), text.len);
    out->failed |= text.failed;
    tt_buf_release(&text);
}

static void write_map(struct tt_buf *out, const struct tt_value *v, int indent, int level)
{
    tt_buf_byte(out, '{');
    for (size_t i = 0; i < v->u.map.n; i++) {
        between(out, i, indent, level + 1);
        write_key(out, v->u.map.pairs[i].key);
        tt_buf_str(out, ": ");
        write_value(out, v->u.map.pairs[i].value, indent, level + 1);
    }
    if (v->u.map.n)
        break_line(out, indent, level);
    tt_buf_byte(out, '}');
}

static void write_list(struct tt_buf *out, const struct tt_value *v, int indent, int level)
{
    tt_buf_byte(out, '[');
    for (size_t i = 0; i < v->u.list.n; i++) {
        between(out, i, indent, level + 1);
        write_value(out, v->u.list.items[i], indent, level + 1);
    }
    if (v->u.list.n)
        break_line(out, indent, level);
    tt_buf_byte(out, ']');
}

static void write_value(struct tt_buf *out, const struct tt_value *v, int indent, int level)
{
    switch (v->kind) {
    case TT_V_BOOL:
        tt_buf_str(out, v->u.b ? "true" : "false");
        break;
    case TT_V_INT:
        tt_buf_printf(out, "%" PRId64, v->u.i);
        break;
    case TT_V_FLOAT:
        tt_json_write_double(out, v->u.f);
        break;
    case TT_V_STR:
        tt_json_write_str(out, v->u.str.s, v->u.str.nbytes);
        break;
    case TT_V_LIST:
    case TT_V_TUPLE:
        write_list(out, v, indent, level);
        break;
    case TT_V_MAP:
        write_map(out, v, indent, level);
        break;
    case TT_V_NULL:
    case TT_V_BYTES:
    case TT_V_TENSOR:
    case TT_V_OBJECT:
        tt_buf_str(out, "null");
        break;
    }
}

void tt_json_write(struct tt_buf *out, const struct tt_value *value, int indent) { write_value(out, value, indent, 0); }

#include "format/pickle_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "format/entry.h"
#include "format/pickle_value.h"
#include "format/pt.h"
#include "value/json.h"

static void put_text(struct tt_buf *out, const struct tt_value *v, size_t end);

/* --- Python's repr ------------------------------------------------------------------------------------------------------------ */

static void put_quoted(struct tt_buf *out, const struct tt_value *v, size_t end)
{
    const bool is_bytes = v->kind == TT_V_BYTES;
    const char *s = v->u.str.s;
    const size_t n = v->u.str.nbytes;
    const char quote = memchr(s, '\'', n) && !memchr(s, '"', n) ? '"' : '\'';

    if (is_bytes)
        tt_buf_byte(out, 'b');
    tt_buf_byte(out, (uint8_t)quote);
    for (size_t i = 0; i < n && out->len < end; i++) {
        const uint8_t c = (uint8_t)s[i];
        if (c == '\\' || c == quote)
            tt_buf_printf(out, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            tt_buf_str(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else if (c < ' ' || c == 0x7f || (is_bytes && c >= 0x80))
            tt_buf_printf(out, "\\x%02x", c);
        else
            tt_buf_byte(out, c);
    }
    tt_buf_byte(out, (uint8_t)quote);
}

static void put_float(struct tt_buf *out, double f)
{
    if (isnan(f))
        tt_buf_str(out, "nan");
    else if (isinf(f))
        tt_buf_str(out, f < 0 ? "-inf" : "inf");
    else
        tt_json_write_double(out, f);
}

static void put_between(struct tt_buf *out, const char *open, const struct tt_value *v, const char *close, size_t end)
{
    tt_buf_str(out, open);
    for (size_t i = 0; i < v->u.list.n && out->len < end; i++) {
        if (i)
            tt_buf_str(out, ", ");
        put_text(out, v->u.list.items[i], end);
    }
    tt_buf_str(out, close);
}

static void put_items(struct tt_buf *out, const struct tt_value *v, size_t end)
{
    if (v->kind == TT_V_LIST)
        put_between(out, "[", v, "]", end);
    else
        put_between(out, "(", v, v->u.list.n == 1 ? ",)" : ")", end);
}

static void put_map(struct tt_buf *out, const struct tt_value *v, size_t end)
{
    tt_buf_byte(out, '{');
    for (size_t i = 0; i < v->u.map.n && out->len < end; i++) {
        if (i)
            tt_buf_str(out, ", ");
        put_text(out, v->u.map.pairs[i].key, end);
        tt_buf_str(out, ": ");
        put_text(out, v->u.map.pairs[i].value, end);
    }
    tt_buf_byte(out, '}');
}

/* An int beyond 64 bits in decimal; one beyond reason by its length. */
static void put_bigint(struct tt_buf *out, const struct tt_pyobj *o)
{
    enum { NBYTES_MAX = 64, NDIGITS_MAX = 160 };
    uint8_t magnitude[NBYTES_MAX];
    char digits[NDIGITS_MAX];
    size_t ndigits = 0, n = o->nbytes;
    const bool negative = n && (o->bytes[n - 1] & 0x80);
    unsigned carry = 1;

    if (n > NBYTES_MAX) {
        tt_buf_printf(out, "int(%zu bytes)", n);
        return;
    }
    for (size_t i = 0; i < n; i++) { /* two's complement: invert and add 1 */
        const unsigned v = negative ? (uint8_t)~o->bytes[i] + carry : o->bytes[i];
        magnitude[i] = (uint8_t)v;
        carry = v >> 8;
    }
    do { /* the digits from the last: remainders of division by 10 */
        unsigned rest = 0;
        for (size_t i = n; i-- > 0;) {
            const unsigned v = rest << 8 | magnitude[i];
            magnitude[i] = (uint8_t)(v / 10);
            rest = v % 10;
        }
        digits[ndigits++] = (char)('0' + rest);
        while (n && magnitude[n - 1] == 0)
            n--;
    } while (n);
    if (negative)
        tt_buf_byte(out, '-');
    while (ndigits)
        tt_buf_byte(out, (uint8_t)digits[--ndigits]);
}

static bool is_builtin(const struct tt_pyobj *o)
{
    return strcmp(o->cls->module, "builtins") == 0 || strcmp(o->cls->module, "__builtin__") == 0;
}

static bool is_plain(const struct tt_pyobj *o, const char *name)
{
    return o->cls->id == TT_PY_INERT && strcmp(o->cls->name, name) == 0;
}

/* A part of a complex number has no ".0". */
static void put_component(struct tt_buf *out, double f)
{
    put_float(out, f);
    if (out->len > 2 && memcmp(out->data + out->len - 2, ".0", 2) == 0)
        out->len -= 2;
}

static void put_complex(struct tt_buf *out, double re, double im)
{
    const bool has_real = re != 0 || signbit(re);

    if (has_real) {
        tt_buf_byte(out, '(');
        put_component(out, re);
        if (isnan(im) || !signbit(im))
            tt_buf_byte(out, '+');
    }
    put_component(out, im);
    tt_buf_str(out, has_real ? "j)" : "j");
}

static void put_set(struct tt_buf *out, const char *name, const struct tt_value *of, size_t end)
{
    const bool bare = of->u.list.n && strcmp(name, "set") == 0;

    if (!bare)
        tt_buf_printf(out, "%s(", name);
    if (of->u.list.n)
        put_between(out, "{", of, "}", end);
    if (!bare)
        tt_buf_byte(out, ')');
}

static void put_range(struct tt_buf *out, const struct tt_value *args, size_t end)
{
    struct tt_value shown = *args;

    shown.u.list.n -= args->u.list.items[2]->u.i == 1;
    put_between(out, "range(", &shown, ")", end);
}

static void put_device(struct tt_buf *out, const struct tt_value *args, size_t end)
{
    for (size_t i = 0; i < args->u.list.n; i++) {
        tt_buf_str(out, i ? ", index=" : "device(type=");
        put_text(out, args->u.list.items[i], end);
    }
    tt_buf_byte(out, ')');
}

static bool is_of(const struct tt_value *args, enum tt_vkind kind, size_t n)
{
    bool is = args->u.list.n == n;
    for (size_t i = 0; i < n && is; i++)
        is = args->u.list.items[i]->kind == kind;
    return is;
}

/* What Python prints otherwise than as a call with its arguments; false: not this one. */
static bool put_literal(struct tt_buf *out, const struct tt_pyobj *o, size_t end)
{
    const struct tt_value *const args = o->args, *const *items = (const struct tt_value *const *)args->u.list.items;
    const bool is_of_items = is_of(args, TT_V_LIST, 1) || is_of(args, TT_V_TUPLE, 1);

    if (o->callee || o->items || o->state)
        return false;
    if (is_of_items && (o->cls->id == TT_PY_SET || o->cls->id == TT_PY_FROZENSET))
        put_set(out, o->cls->name, items[0], end);
    else if (is_of_items && o->cls->id == TT_PY_SIZE)
        put_between(out, "torch.Size([", items[0], "])", end);
    else if (is_plain(o, "complex") && is_of(args, TT_V_FLOAT, 2))
        put_complex(out, items[0]->u.f, items[1]->u.f);
    else if ((is_plain(o, "range") || is_plain(o, "xrange")) && is_of(args, TT_V_INT, 3))
        put_range(out, args, end);
    else if (is_plain(o, "device") && (args->u.list.n == 1 || args->u.list.n == 2))
        put_device(out, args, end);
    else
        return false;
    return true;
}

static void put_object(struct tt_buf *out, const struct tt_pyobj *o, size_t end)
{
    if (o->kind == TT_PYOBJ_BIGINT) {
        put_bigint(out, o);
        return;
    }
    if (o->kind == TT_PYOBJ_CALL && put_literal(out, o, end))
        return;
    if (o->callee)
        put_text(out, o->callee, end);
    else
        tt_buf_printf(out, "%s%s%s", is_builtin(o) ? "" : o->cls->module, is_builtin(o) ? "" : ".", o->cls->name);
    if (o->kind == TT_PYOBJ_OPAQUE)
        tt_buf_str(out, "(...)");
    else if (o->kind != TT_PYOBJ_GLOBAL)
        put_between(out, "(", o->args, ")", end);
}

static void put_tensor(struct tt_buf *out, const struct tt_pt_tensor *t)
{
    char dims[400];
    tt_buf_printf(out, "tensor(%s, %s)", tt_dtype_name(t->dtype), tt_dims_text(dims, sizeof dims, t->ndim, t->shape));
}

static void put_text(struct tt_buf *out, const struct tt_value *v, size_t end)
{
    switch (v->kind) {
    case TT_V_NULL: tt_buf_str(out, "None"); break;
    case TT_V_BOOL: tt_buf_str(out, v->u.b ? "True" : "False"); break;
    case TT_V_INT: tt_buf_printf(out, "%" PRId64, v->u.i); break;
    case TT_V_FLOAT: put_float(out, v->u.f); break;
    case TT_V_STR:
    case TT_V_BYTES: put_quoted(out, v, end); break;
    case TT_V_LIST:
    case TT_V_TUPLE: put_items(out, v, end); break;
    case TT_V_MAP: put_map(out, v, end); break;
    case TT_V_TENSOR: put_tensor(out, v->u.ref); break;
    case TT_V_OBJECT: put_object(out, v->u.ref, end); break;
    }
}

void tt_value_text(struct tt_buf *out, const struct tt_value *value, size_t max_nbytes)
{
    put_text(out, value, out->len + max_nbytes);
}

/* --- JSON --------------------------------------------------------------------------------------------------------------------- */

/* Bytes that are a pickle that has bytes that are a pickle ... are opened so deep: the stack has an end. */
enum { INNER_MAX = 4 };

static void put_json(struct tt_buf *out, const struct tt_value *v, int inner);

static void put_json_text(struct tt_buf *out, const struct tt_value *v)
{
    struct tt_buf text = { 0 };
    tt_value_text(&text, v, 1 << 20);
    tt_json_write_str(out, (const char *)text.data, text.len);
    out->failed |= text.failed;
    tt_buf_release(&text);
}

static void put_json_bytes(struct tt_buf *out, const struct tt_value *v, int inner)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *opened = NULL;

    tt_buf_printf(out, "{\"bytes\": %zu", v->u.str.nbytes);
    if (inner < INNER_MAX && tt_pickle_to_value(&arena, v->u.str.s, v->u.str.nbytes, "", &opened, NULL) == TT_OK) {
        tt_buf_str(out, ", \"pickle\": ");
        put_json(out, opened, inner + 1);
    }
    tt_buf_byte(out, '}');
    tt_arena_release(&arena);
}

static void put_json_map(struct tt_buf *out, const struct tt_value *v, int inner)
{
    tt_buf_byte(out, '{');
    for (size_t i = 0; i < v->u.map.n; i++) {
        const struct tt_value *key = v->u.map.pairs[i].key;
        if (i)
            tt_buf_str(out, ", ");
        if (key->kind == TT_V_STR)
            tt_json_write_str(out, key->u.str.s, key->u.str.nbytes);
        else
            put_json_text(out, key);
        tt_buf_str(out, ": ");
        put_json(out, v->u.map.pairs[i].value, inner);
    }
    tt_buf_byte(out, '}');
}

/* Readers of JSON other than Python's refuse a bare NaN. */
static void put_json_float(struct tt_buf *out, double f)
{
    const char *quote = isfinite(f) ? "" : "\"";

    tt_buf_str(out, quote);
    tt_json_write_double(out, f);
    tt_buf_str(out, quote);
}

static void put_json(struct tt_buf *out, const struct tt_value *v, int inner)
{
    switch (v->kind) {
    case TT_V_BYTES: put_json_bytes(out, v, inner); break;
    case TT_V_LIST:
    case TT_V_TUPLE:
        tt_buf_byte(out, '[');
        for (size_t i = 0; i < v->u.list.n; i++) {
            if (i)
                tt_buf_str(out, ", ");
            put_json(out, v->u.list.items[i], inner);
        }
        tt_buf_byte(out, ']');
        break;
    case TT_V_MAP: put_json_map(out, v, inner); break;
    case TT_V_TENSOR:
    case TT_V_OBJECT: put_json_text(out, v); break;
    case TT_V_FLOAT: put_json_float(out, v->u.f); break;
    default: tt_json_write(out, v, 0); break;
    }
}

void tt_value_json(struct tt_buf *out, const struct tt_value *value) { put_json(out, value, 0); }

#include "format/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "value/json.h"
#include "value/utf8.h"

static const char metadata_key[] = "__metadata__", sharding_key[] = "DCP_SHARDING_INFO";

/* A float4 byte holds two numbers; the format counts numbers, torch (and titan) count bytes: the last dimension differs. */
static bool is_halved(enum tt_dtype dtype) { return dtype == TT_F4_E2M1FN_X2; }

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

struct reader {
    struct tt_arena *arena;
    struct tt_arena nodes; /* of the header's JSON: released when all is taken out */
    const struct tt_source *src;
    const struct tt_value *sharding; /* DCP_SHARDING_INFO, parsed; NULL: none */
    uint64_t data_offset, data_nbytes;
    struct tt_err *err;
};

static tt_status nomem(const struct reader *r) { return tt_err_nomem(r->err, r->arena->used, r->src->name); }

static tt_status bad(const struct reader *r, const char *tensor, const char *what)
{
    return tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: %s", r->src->name, tensor, what);
}

bool tt_st_is_start(const uint8_t head[TT_ST_PREFIX_NBYTES + 1])
{
    const uint8_t c = head[TT_ST_PREFIX_NBYTES];
    return tt_load_le64(head) <= TT_ST_HEADER_NBYTES_MAX && (c == '{' || c == ' ' || c == '\t' || c == '\r' || c == '\n');
}

static tt_status read_header(struct reader *r, struct tt_value **header)
{
    const char *name = r->src->name;
    uint8_t prefix[TT_ST_PREFIX_NBYTES];

    if (r->src->nbytes < sizeof prefix)
        return tt_err_set(r->err, TT_EFORMAT, "%s: offset 0: expected 8 bytes of header length, found %" PRIu64, name,
                          r->src->nbytes);
    tt_status st = tt_source_read(r->src, prefix, sizeof prefix, 0, r->err);
    if (st != TT_OK)
        return st;
    const uint64_t n = tt_load_le64(prefix), rest = r->src->nbytes - sizeof prefix;
    if (n > TT_ST_HEADER_NBYTES_MAX)
        return tt_err_set(r->err, TT_EFORMAT, "%s: offset 0: expected a header length of at most %d, found %" PRIu64, name,
                          TT_ST_HEADER_NBYTES_MAX, n);
    if (n > rest)
        return tt_err_set(r->err, TT_EFORMAT, "%s: offset 8: expected %" PRIu64 " bytes of header, found %" PRIu64, name, n, rest);

    char *json = malloc((size_t)n + 1);
    const char *where = tt_arena_printf(&r->nodes, "%s: offset 8: header", name);
    st = json && where ? tt_source_read(r->src, json, n, sizeof prefix, r->err) : tt_err_nomem(r->err, (size_t)n, name);
    if (st == TT_OK)
        st = tt_json_parse_distinct(header, &r->nodes, json, (size_t)n, where, r->err);
    free(json);
    if (st == TT_OK && (*header)->kind != TT_V_MAP)
        st = tt_err_set(r->err, TT_EFORMAT, "%s: expected a JSON object, found %s", where, tt_value_kind_name((*header)->kind));
    r->data_offset = sizeof prefix + n;
    r->data_nbytes = rest - n;
    return st;
}

/* Strings to strings, copied; and what DCP keeps in them. */
static tt_status take_metadata(struct reader *r, const struct tt_value *v, struct tt_st_file *out)
{
    struct tt_value *copy = tt_value_map(r->arena), *sharding = NULL;

    if (v->kind != TT_V_MAP)
        return tt_err_set(r->err, TT_EFORMAT, "%s: %s: expected an object, found %s", r->src->name, metadata_key,
                          tt_value_kind_name(v->kind));
    for (size_t i = 0; i < v->u.map.n; i++) {
        const struct tt_value *key = v->u.map.pairs[i].key, *text = v->u.map.pairs[i].value;
        if (text->kind != TT_V_STR)
            return tt_err_set(r->err, TT_EFORMAT, "%s: %s: %s: expected a string, found %s", r->src->name, metadata_key,
                              key->u.str.s, tt_value_kind_name(text->kind));
        if (!tt_value_put(r->arena, copy, tt_value_strn(r->arena, key->u.str.s, key->u.str.nbytes),
                          tt_value_strn(r->arena, text->u.str.s, text->u.str.nbytes)))
            return nomem(r);
    }
    const struct tt_value *text = tt_value_get(v, sharding_key);
    if (text) {
        const char *where = tt_arena_printf(&r->nodes, "%s: %s: %s", r->src->name, metadata_key, sharding_key);
        if (!where)
            return nomem(r);
        const tt_status st = tt_json_parse_distinct(&sharding, &r->nodes, text->u.str.s, text->u.str.nbytes, where, r->err);
        if (st != TT_OK)
            return st;
        if (sharding->kind != TT_V_MAP)
            return tt_err_set(r->err, TT_EFORMAT, "%s: expected an object, found %s", where, tt_value_kind_name(sharding->kind));
    }
    r->sharding = sharding;
    out->metadata = copy;
    return copy ? TT_OK : nomem(r);
}

/* A list of numbers that are not negative; at most max of them. */
static tt_status take_dims(struct reader *r, const char *tensor, const char *what, const struct tt_value *v, size_t max,
                           int64_t *dims, int *n)
{
    if (!v || v->kind != TT_V_LIST)
        return tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: expected a list as its %s, found %s", r->src->name, tensor, what,
                          v ? tt_value_kind_name(v->kind) : "none");
    if (v->u.list.n > max)
        return tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: expected at most %zu numbers in its %s, found %zu", r->src->name,
                          tensor, max, what, v->u.list.n);
    for (size_t i = 0; i < v->u.list.n; i++) {
        const struct tt_value *item = v->u.list.items[i];
        if (item->kind != TT_V_INT || item->u.i < 0)
            return tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: expected integers that are not negative in its %s", r->src->name,
                              tensor, what);
        dims[i] = item->u.i;
    }
    *n = (int)v->u.list.n;
    return TT_OK;
}

static tt_status take_dtype(struct reader *r, const char *tensor, const struct tt_value *v, enum tt_dtype *dtype)
{
    if (!v || v->kind != TT_V_STR)
        return bad(r, tensor, "expected a string as its dtype");
    if (!tt_dtype_from_safetensors(v->u.str.s, dtype))
        return tt_err_set(r->err, TT_EUNSUPPORTED, "%s: tensor %s: titan has no dtype %s", r->src->name, tensor, v->u.str.s);
    return TT_OK;
}

static tt_status take_offsets(struct reader *r, struct tt_st_tensor *t, const struct tt_value *v)
{
    int64_t range[2] = { 0 }, numel;
    uint64_t expected;
    int n = 0;
    const tt_status st = take_dims(r, t->name, "data_offsets", v, 2, range, &n);

    if (st != TT_OK)
        return st;
    if (n != 2 || range[0] > range[1])
        return bad(r, t->name, "expected [begin, end] as its data_offsets");
    if ((uint64_t)range[1] > r->data_nbytes)
        return tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: offset %" PRIu64 ": expected its data to end at %" PRIu64
                          ", found the end of the file at %" PRIu64, r->src->name, t->name, r->data_offset + (uint64_t)range[0],
                          r->data_offset + (uint64_t)range[1], r->data_offset + r->data_nbytes);
    if (!tt_numel(t->ndim, t->shape, &numel) || tt_mul_overflows((uint64_t)numel, tt_dtype_nbytes(t->dtype), &expected))
        return bad(r, t->name, "a shape of more than 2^63 elements");
    t->offset = r->data_offset + (uint64_t)range[0];
    t->nbytes = (uint64_t)(range[1] - range[0]);
    if (t->nbytes != expected)
        return tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: offset %" PRIu64 ": expected the %" PRIu64
                          " bytes of its shape, found data_offsets over %" PRIu64, r->src->name, t->name, t->offset, expected,
                          t->nbytes);
    return TT_OK;
}

static tt_status take_sharding(struct reader *r, struct tt_st_tensor *t)
{
    const struct tt_value *info = r->sharding ? tt_value_get(r->sharding, t->name) : NULL;
    int n = 0;

    if (!info)
        return TT_OK;
    int64_t *offsets = tt_arena_array(r->arena, (size_t)t->ndim, sizeof *offsets);
    if (!offsets)
        return nomem(r);
    const tt_status st =
        take_dims(r, t->name, "saved_offsets", tt_value_get(info, "saved_offsets"), (size_t)t->ndim, offsets, &n);
    if (st != TT_OK)
        return st;
    if (n != t->ndim)
        return bad(r, t->name, "expected a number for each dimension in its saved_offsets");
    for (int d = 0; d < n; d++)
        if (offsets[d] > INT64_MAX - t->shape[d])
            return bad(r, t->name, "its saved_offsets lie beyond any tensor");
    t->saved_offsets = offsets;
    return TT_OK;
}

static tt_status take_tensor(struct reader *r, const struct tt_value *key, const struct tt_value *v, struct tt_st_tensor *t)
{
    int64_t dims[TT_NDIM_MAX];
    const char *name = key->u.str.s;

    if (v->kind != TT_V_MAP)
        return tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: expected an object, found %s", r->src->name, name,
                          tt_value_kind_name(v->kind));
    t->name = tt_arena_str(r->arena, name);
    if (!t->name)
        return nomem(r);
    tt_status st = take_dtype(r, name, tt_value_get(v, "dtype"), &t->dtype);
    if (st == TT_OK)
        st = take_dims(r, name, "shape", tt_value_get(v, "shape"), TT_NDIM_MAX, dims, &t->ndim);
    if (st != TT_OK)
        return st;
    if (is_halved(t->dtype)) {
        if (t->ndim == 0 || dims[t->ndim - 1] % 2)
            return bad(r, name, "expected an even last dimension for F4");
        dims[t->ndim - 1] /= 2;
    }
    int64_t *shape = tt_arena_array(r->arena, (size_t)t->ndim, sizeof *shape);
    if (!shape)
        return nomem(r);
    memcpy(shape, dims, (size_t)t->ndim * sizeof *shape);
    t->shape = shape;
    st = take_offsets(r, t, tt_value_get(v, "data_offsets"));
    return st == TT_OK ? take_sharding(r, t) : st;
}

static int by_offset(const void *a, const void *b)
{
    const struct tt_st_tensor *x = *(const struct tt_st_tensor *const *)a, *y = *(const struct tt_st_tensor *const *)b;
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : x->nbytes != y->nbytes ? (x->nbytes < y->nbytes ? -1 : 1) : 0;
}

/* One behind the other, from the first byte of the data to the last. */
static tt_status check_tiles(const struct reader *r, const struct tt_st_file *f)
{
    const struct tt_st_tensor **order = malloc((f->n + 1) * sizeof *order);
    uint64_t at = r->data_offset;
    tt_status st = order ? TT_OK : tt_err_nomem(r->err, (f->n + 1) * sizeof *order, r->src->name);

    for (size_t i = 0; i < f->n && st == TT_OK; i++)
        order[i] = &f->tensors[i];
    if (st == TT_OK)
        qsort(order, f->n, sizeof *order, by_offset);
    for (size_t i = 0; i < f->n && st == TT_OK; i++) {
        if (order[i]->offset < at)
            st = tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: offset %" PRIu64 ": its data overlaps that of another tensor, "
                            "which ends at %" PRIu64, r->src->name, order[i]->name, order[i]->offset, at);
        else if (order[i]->offset > at)
            st = tt_err_set(r->err, TT_EFORMAT, "%s: tensor %s: offset %" PRIu64 ": a hole of %" PRIu64 " bytes before its data",
                            r->src->name, order[i]->name, order[i]->offset, order[i]->offset - at);
        at = order[i]->offset + order[i]->nbytes;
    }
    if (st == TT_OK && at != r->data_offset + r->data_nbytes)
        st = tt_err_set(r->err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected the end of the file, found %" PRIu64
                        " bytes that belong to no tensor", r->src->name, at, r->data_offset + r->data_nbytes - at);
    free(order);
    return st;
}

static tt_status take_all(struct reader *r, const struct tt_value *header, struct tt_st_file *out)
{
    const struct tt_value *metadata = tt_value_get(header, metadata_key);
    struct tt_st_file f = { .data_offset = r->data_offset };
    tt_status st = metadata ? take_metadata(r, metadata, &f) : TT_OK;

    f.tensors = tt_arena_array(r->arena, header->u.map.n, sizeof *f.tensors);
    if (st == TT_OK && !f.tensors)
        st = nomem(r);
    for (size_t i = 0; i < header->u.map.n && st == TT_OK; i++)
        if (header->u.map.pairs[i].value != metadata)
            st = take_tensor(r, header->u.map.pairs[i].key, header->u.map.pairs[i].value, &f.tensors[f.n++]);
    if (st == TT_OK)
        st = check_tiles(r, &f);
    if (st == TT_OK)
        *out = f;
    return st;
}

tt_status tt_st_decode(struct tt_st_file *out, struct tt_arena *arena, const struct tt_source *src, struct tt_err *err)
{
    struct reader r = { .arena = arena, .src = src, .err = err };
    struct tt_value *header = NULL;
    tt_status st = read_header(&r, &header);

    if (st == TT_OK)
        st = take_all(&r, header, out);
    tt_arena_release(&r.nodes);
    return st;
}

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

static tt_status put_string(struct tt_buf *json, const char *s, size_t nbytes, struct tt_err *err)
{
    for (size_t i = 0; i < nbytes;) {
        const size_t n = tt_utf8_len(s + i, nbytes - i);
        if (n == 0)
            return tt_err_set(err, TT_EUNSUPPORTED, "tensor %s: safetensors takes names in UTF-8 only", s);
        i += n;
    }
    tt_json_write_str(json, s, nbytes);
    return TT_OK;
}

static tt_status put_metadata(struct tt_buf *json, const struct tt_value *metadata, struct tt_err *err)
{
    tt_status st = TT_OK;

    tt_buf_printf(json, "\"%s\":{", metadata_key);
    for (size_t i = 0; i < metadata->u.map.n && st == TT_OK; i++) {
        const struct tt_value *key = metadata->u.map.pairs[i].key, *text = metadata->u.map.pairs[i].value;
        if (key->kind != TT_V_STR || text->kind != TT_V_STR)
            return tt_err_set(err, TT_EUNSUPPORTED, "%s: expected strings only", metadata_key);
        if (i)
            tt_buf_byte(json, ',');
        st = put_string(json, key->u.str.s, key->u.str.nbytes, err);
        tt_buf_byte(json, ':');
        if (st == TT_OK)
            st = put_string(json, text->u.str.s, text->u.str.nbytes, err);
    }
    tt_buf_byte(json, '}');
    return st;
}

/* *at: where its data begins, then where it ends. */
static tt_status put_tensor(struct tt_buf *json, struct tt_st_tensor *t, uint64_t *at, struct tt_err *err)
{
    const char *dtype = tt_dtypes[t->dtype].safetensors;
    int64_t numel;
    uint64_t end;

    if (!dtype || (is_halved(t->dtype) && t->ndim == 0))
        return tt_err_set(err, TT_EUNSUPPORTED, "tensor %s: safetensors has no dtype for %storch.%s", t->name,
                          dtype ? "one element of " : "", tt_dtype_name(t->dtype));
    if (is_halved(t->dtype) && t->shape[t->ndim - 1] > INT64_MAX / 2)
        return tt_err_set(err, TT_EUNSUPPORTED, "tensor %s: a dimension of more than 2^62", t->name);
    if (!tt_numel(t->ndim, t->shape, &numel) || tt_mul_overflows((uint64_t)numel, tt_dtype_nbytes(t->dtype), &t->nbytes) ||
        tt_add_overflows(*at, t->nbytes, &end) || end > INT64_MAX)
        return tt_err_set(err, TT_EUNSUPPORTED, "tensor %s: the file would have more than 2^63 bytes", t->name);
    const tt_status st = put_string(json, t->name, strlen(t->name), err);
    if (st != TT_OK)
        return st;
    tt_buf_printf(json, ":{\"dtype\":\"%s\",\"shape\":[", dtype);
    for (int d = 0; d < t->ndim; d++)
        tt_buf_printf(json, "%s%" PRId64, d ? "," : "", t->shape[d] * (is_halved(t->dtype) && d == t->ndim - 1 ? 2 : 1));
    tt_buf_printf(json, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", *at, end);
    t->offset = *at;
    *at = end;
    return TT_OK;
}

tt_status tt_st_encode(struct tt_buf *out, struct tt_st_tensor *tensors, size_t n, const struct tt_value *metadata,
                       struct tt_err *err)
{
    struct tt_buf json = { 0 };
    uint64_t at = 0;
    tt_status st = TT_OK;

    tt_buf_byte(&json, '{');
    if (metadata)
        st = put_metadata(&json, metadata, err);
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        if (i || metadata)
            tt_buf_byte(&json, ',');
        st = put_tensor(&json, &tensors[i], &at, err);
    }
    tt_buf_byte(&json, '}');
    tt_buf_fill(&json, ' ', -json.len % 8);
    if (st == TT_OK)
        st = tt_buf_check(&json, "the header of a safetensors file", err);
    if (st == TT_OK && json.len > TT_ST_HEADER_NBYTES_MAX)
        st = tt_err_set(err, TT_EUNSUPPORTED, "a safetensors header of %zu bytes; the format allows %d", json.len,
                        TT_ST_HEADER_NBYTES_MAX);
    if (st == TT_OK) {
        tt_buf_le64(out, json.len);
        tt_buf_put(out, json.data, json.len);
        for (size_t i = 0; i < n; i++)
            tensors[i].offset += TT_ST_PREFIX_NBYTES + json.len;
        st = tt_buf_check(out, "the header of a safetensors file", err);
    }
    tt_buf_release(&json);
    return st;
}

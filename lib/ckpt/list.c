#include "ckpt/list.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "ckpt/ckpt.h"
#include "ckpt/pipe.h"
#include "format/pickle_text.h"
#include "format/pickle_value.h"
#include "value/json.h"

enum { TEXT_MAX = 60 }; /* of a value in the table */

struct list {
    FILE *out;
    const char *path;
    struct tt_ckpt *ckpt;
    struct tt_arena arena; /* the value at hand */
    struct tt_buf line;
    size_t ntensors, nvalues, nchunks;
    uint64_t tensor_nbytes, value_nbytes;
    int key_width;
    tt_status status; /* of the first value that could not be read */
    struct tt_err err;
};

static uint64_t tensor_nbytes(const struct tt_entry *e)
{
    int64_t numel = 0;
    return tt_numel(e->ndim, e->shape, &numel) ? (uint64_t)numel * tt_dtype_nbytes(e->dtype) : 0;
}

/* Characters, not bytes, so that columns of UTF-8 line up. */
static int width_of(const char *s, size_t n)
{
    int width = 0;
    for (size_t i = 0; i < n; i++)
        width += ((uint8_t)s[i] & 0xc0) != 0x80;
    return width;
}

/* A key as it is, or as a JSON string where it could not be told from the columns around it. */
static void put_key(struct tt_buf *out, const char *key)
{
    bool plain = key[0] != 0 && key[0] != '"';
    for (const char *p = key; *p; p++)
        plain &= (uint8_t)*p > ' ' && *p != 0x7f;
    if (plain)
        tt_buf_str(out, key);
    else
        tt_json_write_str(out, key, strlen(key));
}

static void pad_to(struct tt_buf *out, size_t begin, int width)
{
    const int now = width_of((const char *)out->data + begin, out->len - begin);
    tt_buf_fill(out, ' ', now < width ? (size_t)(width - now) : 0);
}

/* NULL where it cannot be read: the first such error is kept. */
static const struct tt_value *read_value(struct list *l, const struct tt_entry *e)
{
    const struct tt_value *v = NULL;
    struct tt_err err;

    tt_arena_release(&l->arena);
    if (l->ckpt->is_pipe && !e->value) /* of a .metadata: the value is in a file that is not here */
        return NULL;
    if (tt_ckpt_read_value(l->ckpt, e, &l->arena, &v, &err) != TT_OK && l->status == TT_OK) {
        l->status = err.status;
        l->err = err;
    }
    return v;
}

/* --- the table ---------------------------------------------------------------------------------------------------------------- */

/* Bytes that are a pickle are shown by what is in it. */
static void put_value(struct list *l, const struct tt_value *v)
{
    struct tt_buf text = { 0 };
    const struct tt_value *inner = NULL;

    if (!v)
        tt_buf_str(&text, l->ckpt->is_pipe ? "(not in .metadata)" : "(unreadable)");
    else if (v->kind == TT_V_BYTES &&
             tt_pickle_to_value(&l->arena, v->u.str.s, v->u.str.nbytes, "", &inner, NULL) == TT_OK) {
        tt_buf_printf(&text, "%zu bytes, a pickle of ", v->u.str.nbytes);
        tt_value_text(&text, inner, 2 * TEXT_MAX);
    } else
        tt_value_text(&text, v, 2 * TEXT_MAX);
    size_t n = text.len;
    if (width_of((const char *)text.data, n) > TEXT_MAX) {
        for (n = 0; width_of((const char *)text.data, n + 1) <= TEXT_MAX - 3; n++)
            ;
        while (n < text.len && (text.data[n] & 0xc0) == 0x80)
            n++;
    }
    tt_buf_put(&l->line, text.data, n);
    if (n < text.len)
        tt_buf_str(&l->line, "...");
    l->line.failed |= text.failed;
    tt_buf_release(&text);
}

static void put_row(struct list *l, const struct tt_entry *e)
{
    char dims[400];

    put_key(&l->line, e->fqn);
    pad_to(&l->line, 0, l->key_width);
    if (e->kind == TT_ENTRY_TENSOR) {
        tt_buf_printf(&l->line, "  %-15s %6" PRIu32 " %14" PRIu64 "  %s", tt_dtype_name(e->dtype), e->nchunks, tensor_nbytes(e),
                      tt_dims_text(dims, sizeof dims, e->ndim, e->shape));
    } else {
        tt_buf_printf(&l->line, "  %-15s %6s %14" PRIu64 "  ", "value", "-", e->nchunks ? e->chunks[0].nbytes : 0);
        put_value(l, read_value(l, e));
    }
}

static void measure_keys(struct list *l)
{
    l->key_width = 3;
    for (size_t i = 0; i < l->ckpt->entries.n; i++) {
        tt_buf_clear(&l->line);
        put_key(&l->line, l->ckpt->entries.items[i].fqn);
        const int width = width_of((const char *)l->line.data, l->line.len);
        if (width > l->key_width)
            l->key_width = width < 100 ? width : 100;
    }
    tt_buf_clear(&l->line);
}

/* --- JSON --------------------------------------------------------------------------------------------------------------------- */

static void put_dims(struct tt_buf *out, const char *name, int ndim, const int64_t *dims)
{
    tt_buf_printf(out, "\"%s\": [", name);
    for (int d = 0; d < ndim; d++)
        tt_buf_printf(out, "%s%" PRId64, d ? ", " : "", dims[d]);
    tt_buf_byte(out, ']');
}

static void put_chunk(struct list *l, const struct tt_entry *e, const struct tt_chunk *c)
{
    tt_buf_byte(&l->line, '{');
    if (e->kind == TT_ENTRY_TENSOR) {
        put_dims(&l->line, "offsets", e->ndim, c->offsets);
        tt_buf_str(&l->line, ", ");
        put_dims(&l->line, "sizes", e->ndim, c->sizes);
        tt_buf_str(&l->line, ", ");
    }
    const char *file = c->file == TT_FILE_NONE ? "" : l->ckpt->entries.files[c->file];
    tt_buf_str(&l->line, "\"file\": ");
    tt_json_write_str(&l->line, file, strlen(file));
    tt_buf_printf(&l->line, ", \"offset\": %" PRIu64 ", \"nbytes\": %" PRIu64 "}", c->offset, c->nbytes);
}

static void put_path(struct tt_buf *out, const struct tt_entry *e)
{
    tt_buf_str(out, ", \"path\": [");
    if (e->npath == 0)
        tt_json_write_str(out, e->fqn, strlen(e->fqn));
    for (uint32_t i = 0; i < e->npath; i++) {
        if (i)
            tt_buf_str(out, ", ");
        if (e->path[i].key)
            tt_json_write_str(out, e->path[i].key, strlen(e->path[i].key));
        else
            tt_buf_printf(out, "%" PRId64, e->path[i].index);
    }
    tt_buf_byte(out, ']');
}

static void put_object(struct list *l, const struct tt_entry *e)
{
    tt_buf_str(&l->line, "{\"checkpoint\": ");
    tt_json_write_str(&l->line, l->path, strlen(l->path));
    tt_buf_str(&l->line, ", \"key\": ");
    tt_json_write_str(&l->line, e->fqn, strlen(e->fqn));
    put_path(&l->line, e);
    if (e->kind == TT_ENTRY_TENSOR) {
        tt_buf_printf(&l->line, ", \"kind\": \"tensor\", \"dtype\": \"%s\", ", tt_dtype_name(e->dtype));
        put_dims(&l->line, "shape", e->ndim, e->shape);
        tt_buf_printf(&l->line, ", \"nbytes\": %" PRIu64, tensor_nbytes(e));
    } else {
        const struct tt_value *v = read_value(l, e);
        tt_buf_str(&l->line, ", \"kind\": \"value\", \"value\": ");
        if (v)
            tt_value_json(&l->line, v);
        else
            tt_buf_str(&l->line, "null");
    }
    tt_buf_str(&l->line, ", \"chunks\": [");
    for (uint32_t i = 0; i < e->nchunks; i++) {
        if (i)
            tt_buf_str(&l->line, ", ");
        put_chunk(l, e, &e->chunks[i]);
    }
    tt_buf_str(&l->line, "]}");
}

/* --- both --------------------------------------------------------------------------------------------------------------------- */

static void count(struct list *l, const struct tt_entry *e)
{
    if (e->kind == TT_ENTRY_TENSOR) {
        l->ntensors++;
        l->nchunks += e->nchunks;
        l->tensor_nbytes += tensor_nbytes(e);
    } else {
        l->nvalues++;
        l->value_nbytes += e->nchunks ? e->chunks[0].nbytes : 0;
    }
}

static tt_status list_all(struct list *l, const struct tt_ckpt_list_opts *how, struct tt_err *err)
{
    if (!how->json) {
        measure_keys(l);
        fprintf(l->out, "%s\n%-*s  %-15s %6s %14s  %s\n", l->path, l->key_width, "key", "dtype", "chunks", "bytes",
                "shape or value");
    }
    for (size_t i = 0; i < l->ckpt->entries.n; i++) {
        const struct tt_entry *e = &l->ckpt->entries.items[i];
        tt_buf_clear(&l->line);
        if (how->json)
            put_object(l, e);
        else
            put_row(l, e);
        count(l, e);
        tt_buf_byte(&l->line, '\n');
        const tt_status st = tt_buf_check(&l->line, "a line", err);
        if (st != TT_OK)
            return st;
        fwrite(l->line.data, 1, l->line.len, l->out);
    }
    if (!how->json)
        fprintf(l->out, "total: %zu tensors in %zu chunks, %" PRIu64 " bytes; %zu values, %" PRIu64 " bytes\n", l->ntensors,
                l->nchunks, l->tensor_nbytes, l->nvalues, l->value_nbytes);
    return l->status == TT_OK ? TT_OK : tt_err_set(err, l->status, "%s", l->err.msg);
}

tt_status tt_ckpt_list(FILE *out, const char *path, const struct tt_ckpt_list_opts *how, struct tt_err *err)
{
    struct list l = { .out = out, .path = path };
    const bool is_pipe = strcmp(path, "-") == 0;
    tt_status st = is_pipe ? tt_ckpt_open_pipe(&l.ckpt, STDIN_FILENO, "stdin", err) : tt_ckpt_open(&l.ckpt, path, err);

    if (st == TT_OK)
        st = list_all(&l, how, err);
    tt_ckpt_close(l.ckpt);
    tt_arena_release(&l.arena);
    tt_buf_release(&l.line);
    return st;
}

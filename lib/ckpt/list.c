#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/list_private.h"
#include "ckpt/pipe.h"
#include "format/pickle_text.h"
#include "format/pickle_value.h"

enum {
    TEXT_MAX = 60,       /* of a value in the table, in characters */
    KEY_WIDTH_MAX = 100, /* longer keys stand out */
    FLUSH_NBYTES = 1 << 16,
};

tt_status tt_list_flush(struct tt_lister *l, bool all)
{
    if (!all && l->text.len < FLUSH_NBYTES)
        return TT_OK;
    return tt_show_write(l->out, &l->text, l->err);
}

/* --- values ------------------------------------------------------------------------------------------------------------------- */

/* Bytes that are a pickle are shown by what is in it. */
static void render_text(struct tt_lister *l, const struct tt_value *v, struct tt_buf *out)
{
    struct tt_buf text = { 0 };
    const struct tt_value *inner = NULL;

    const struct tt_py_global *unknown = tt_value_unknown(v, NULL);
    if (unknown) {
        tt_buf_printf(&text, "object %s.%s", unknown->module, unknown->name);
    } else if (v->kind == TT_V_BYTES && tt_pickle_to_value(&l->scratch, v->u.str.s, v->u.str.nbytes, "", &inner, NULL) == TT_OK) {
        tt_buf_printf(&text, "%zu bytes, a pickle of ", v->u.str.nbytes);
        tt_value_text(&text, inner, 2 * TEXT_MAX);
    } else {
        tt_value_text(&text, v, 2 * TEXT_MAX);
    }
    size_t n = text.len;
    if (tt_show_width((const char *)text.data, n) > TEXT_MAX) {
        for (n = 0; tt_show_width((const char *)text.data, n + 1) <= TEXT_MAX - 3; n++)
            ;
        while (n < text.len && (text.data[n] & 0xc0) == 0x80)
            n++;
    }
    tt_buf_put(out, text.data, n);
    if (n < text.len)
        tt_buf_str(out, "...");
    out->failed |= text.failed;
    tt_buf_release(&text);
}

static tt_status new_text(struct tt_lister *l, struct tt_buf **out)
{
    if (l->nrendered == l->rendered_cap) {
        const size_t cap = l->rendered_cap ? l->rendered_cap * 2 : 64;
        struct tt_buf *p = realloc(l->rendered, cap * sizeof *p);
        if (!p)
            return tt_err_nomem(l->err, cap * sizeof *p, "values");
        l->rendered = p;
        l->rendered_cap = cap;
    }
    *out = &l->rendered[l->nrendered++];
    **out = (struct tt_buf){ 0 };
    return TT_OK;
}

static void render_object(const struct tt_value *v, struct tt_buf *out)
{
    const struct tt_py_global *g = tt_value_unknown(v, NULL);
    char name[400];
    const int n = snprintf(name, sizeof name, "%s.%s", g->module, g->name);
    tt_buf_str(out, "{\"object\": ");
    tt_show_str(out, name, n < (int)sizeof name ? (size_t)n : sizeof name - 1);
    tt_buf_byte(out, '}');
}

/* What cannot be read is marked; the first such error is kept. A pipe that is a .metadata has no values. */
static void render(struct tt_lister *l, const struct tt_entry *e, bool json, struct tt_buf *out, bool *failed)
{
    const struct tt_value *v = NULL;
    struct tt_err err;
    const bool absent = l->ckpt->is_pipe && !e->value;

    tt_arena_release(&l->scratch);
    *failed = absent || tt_values_read(l->values, e, &l->scratch, &v, &err) != TT_OK;
    if (*failed && !absent && l->status == TT_OK) {
        l->status = err.status;
        l->first = err;
    }
    if (*failed)
        tt_buf_str(out, json ? "null" : absent ? "(not in .metadata)" : "(unreadable)");
    else if (json && tt_value_unknown(v, NULL))
        render_object(v, out);
    else if (json)
        tt_value_json(out, v);
    else
        render_text(l, v, out);
}

tt_status tt_list_value(struct tt_lister *l, const struct tt_entry *e, bool json, const struct tt_buf **out)
{
    struct tt_buf *text = NULL;
    size_t nbytes = 0;
    uint64_t i;
    const uint8_t *item = tt_values_item(l->values, e, &nbytes);
    bool failed = false;

    if (item && tt_map_get(&l->by_item, (const char *)item, nbytes, &i)) {
        *out = &l->rendered[i];
        return TT_OK;
    }
    /* Slot 0 is for what is not kept. */
    tt_status st = l->nrendered == 0 ? new_text(l, &text) : TT_OK;
    if (st == TT_OK && item)
        st = new_text(l, &text);
    if (st != TT_OK)
        return st;
    if (!item) {
        text = &l->rendered[0];
        tt_buf_clear(text);
    }
    render(l, e, json, text, &failed);
    if (item && !failed) /* an error names its key */
        st = tt_map_put(&l->by_item, (const char *)item, nbytes, l->nrendered - 1, NULL, NULL, l->err);
    if (st == TT_OK)
        st = tt_buf_check(text, "a value", l->err);
    *out = text;
    return st;
}

/* --- the table ---------------------------------------------------------------------------------------------------------------- */

static tt_status put_row(struct tt_lister *l, const struct tt_entry *e)
{
    const bool is_tensor = e->kind == TT_ENTRY_TENSOR;
    const char *dtype = is_tensor ? tt_dtype_name(e->dtype) : "value";
    const struct tt_buf *value = NULL;
    char dims[400];

    const tt_status st = is_tensor ? TT_OK : tt_list_value(l, e, false, &value);
    if (st != TT_OK)
        return st;
    tt_show_blanks(&l->text, l->key_width - tt_show_key(&l->text, e->fqn) + 2);
    tt_buf_str(&l->text, dtype);
    tt_show_blanks(&l->text, 16 - (int)strlen(dtype));
    if (is_tensor)
        tt_show_u64(&l->text, 6, e->nchunks);
    else
        tt_buf_str(&l->text, "     -");
    tt_show_u64(&l->text, 15, is_tensor ? tt_entry_nbytes(e) : e->nchunks ? e->chunks[0].nbytes : 0);
    tt_buf_str(&l->text, "  ");
    if (is_tensor)
        tt_buf_str(&l->text, tt_dims_text(dims, sizeof dims, e->ndim, e->shape));
    else
        tt_buf_put(&l->text, value->data, value->len);
    tt_buf_byte(&l->text, '\n');
    return TT_OK;
}

static tt_status put_table(struct tt_lister *l)
{
    size_t ntensors = 0, nvalues = 0, nchunks = 0;
    uint64_t tensor_nbytes = 0, value_nbytes = 0;
    tt_status st = TT_OK;

    tt_buf_printf(&l->text, "%-*s  %-15s %6s %14s  %s\n", l->key_width, "key", "dtype", "chunks", "bytes", "shape or value");
    for (size_t i = 0; i < l->ckpt->entries.n && st == TT_OK; i++) {
        const struct tt_entry *e = &l->ckpt->entries.items[i];
        if (!tt_key_taken(&l->how->filter, e->fqn))
            continue;
        st = put_row(l, e);
        if (st == TT_OK)
            st = tt_list_flush(l, false);
        if (e->kind == TT_ENTRY_TENSOR) {
            ntensors++;
            nchunks += e->nchunks;
            tensor_nbytes += tt_entry_nbytes(e);
        } else {
            nvalues++;
            value_nbytes += e->nchunks ? e->chunks[0].nbytes : 0;
        }
    }
    tt_buf_printf(&l->text, "total: %zu tensors in %zu chunks, %" PRIu64 " bytes; %zu values, %" PRIu64 " bytes\n", ntensors, nchunks,
                  tensor_nbytes, nvalues, value_nbytes);
    return st;
}

/* --- chunks ------------------------------------------------------------------------------------------------------------------- */

static void put_file(struct tt_buf *out, const struct tt_lister *l, const struct tt_chunk *c)
{
    const char *name = c->file == TT_FILE_NONE ? "-" : l->ckpt->entries.files[c->file];
    tt_show_key(out, name[0] ? name : tt_path_base(l->path));
}

static void put_chunk_row(struct tt_lister *l, const struct tt_entry *e, const struct tt_chunk *c)
{
    tt_show_blanks(&l->text, l->key_width - tt_show_key(&l->text, e->fqn) + 2);
    const size_t begin = l->text.len;
    if (e->kind == TT_ENTRY_TENSOR)
        tt_show_region(&l->text, e->ndim, c->offsets, c->sizes);
    else
        tt_buf_byte(&l->text, '-');
    tt_show_pad(&l->text, begin, 24);
    tt_show_u64(&l->text, 15, c->offset);
    tt_show_u64(&l->text, 15, c->nbytes);
    tt_buf_str(&l->text, "  ");
    put_file(&l->text, l, c);
    tt_buf_byte(&l->text, '\n');
}

static tt_status put_chunks(struct tt_lister *l)
{
    tt_status st = TT_OK;

    tt_buf_printf(&l->text, "%-*s  %-24s %14s %14s  %s\n", l->key_width, "key", "region", "offset", "bytes", "file");
    for (size_t i = 0; i < l->ckpt->entries.n && st == TT_OK; i++) {
        const struct tt_entry *e = &l->ckpt->entries.items[i];
        if (!tt_key_taken(&l->how->filter, e->fqn))
            continue;
        for (uint32_t k = 0; k < e->nchunks; k++)
            put_chunk_row(l, e, &e->chunks[k]);
        st = tt_list_flush(l, false);
    }
    return st;
}

/* --- JSON --------------------------------------------------------------------------------------------------------------------- */

static void put_dims(struct tt_buf *out, const char *name, int ndim, const int64_t *dims)
{
    tt_buf_printf(out, "\"%s\": [", name);
    for (int d = 0; d < ndim; d++)
        tt_buf_printf(out, "%s%" PRId64, d ? ", " : "", dims[d]);
    tt_buf_byte(out, ']');
}

static void put_chunk(struct tt_lister *l, const struct tt_entry *e, const struct tt_chunk *c)
{
    const char *file = c->file == TT_FILE_NONE ? "" : l->ckpt->entries.files[c->file];

    tt_buf_byte(&l->text, '{');
    if (e->kind == TT_ENTRY_TENSOR) {
        put_dims(&l->text, "offsets", e->ndim, c->offsets);
        tt_buf_str(&l->text, ", ");
        put_dims(&l->text, "sizes", e->ndim, c->sizes);
        tt_buf_str(&l->text, ", ");
    }
    tt_buf_str(&l->text, "\"file\": ");
    tt_show_str(&l->text, file, strlen(file));
    tt_buf_printf(&l->text, ", \"offset\": %" PRIu64 ", \"nbytes\": %" PRIu64 "}", c->offset, c->nbytes);
}

static void put_path(struct tt_buf *out, const struct tt_entry *e)
{
    tt_buf_str(out, ", \"path\": [");
    if (e->npath == 0)
        tt_show_str(out, e->fqn, strlen(e->fqn));
    for (uint32_t i = 0; i < e->npath; i++) {
        if (i)
            tt_buf_str(out, ", ");
        if (e->path[i].key)
            tt_show_str(out, e->path[i].key, strlen(e->path[i].key));
        else
            tt_buf_printf(out, "%" PRId64, e->path[i].index);
    }
    tt_buf_byte(out, ']');
}

static tt_status put_object(struct tt_lister *l, const struct tt_entry *e)
{
    tt_buf_str(&l->text, "{\"checkpoint\": ");
    tt_show_str(&l->text, l->path, strlen(l->path));
    tt_buf_str(&l->text, ", \"key\": ");
    tt_show_str(&l->text, e->fqn, strlen(e->fqn));
    put_path(&l->text, e);
    if (e->kind == TT_ENTRY_TENSOR) {
        tt_buf_printf(&l->text, ", \"kind\": \"tensor\", \"dtype\": \"%s\", ", tt_dtype_name(e->dtype));
        put_dims(&l->text, "shape", e->ndim, e->shape);
        tt_buf_printf(&l->text, ", \"nbytes\": %" PRIu64, tt_entry_nbytes(e));
    } else {
        const struct tt_buf *value = NULL;
        const tt_status st = tt_list_value(l, e, true, &value);
        if (st != TT_OK)
            return st;
        tt_buf_str(&l->text, ", \"kind\": \"value\", \"value\": ");
        tt_buf_put(&l->text, value->data, value->len);
    }
    tt_buf_str(&l->text, ", \"chunks\": [");
    for (uint32_t i = 0; i < e->nchunks; i++) {
        if (i)
            tt_buf_str(&l->text, ", ");
        put_chunk(l, e, &e->chunks[i]);
    }
    tt_buf_str(&l->text, "]}\n");
    return TT_OK;
}

static tt_status put_json(struct tt_lister *l)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < l->ckpt->entries.n && st == TT_OK; i++) {
        if (!tt_key_taken(&l->how->filter, l->ckpt->entries.items[i].fqn))
            continue;
        st = put_object(l, &l->ckpt->entries.items[i]);
        if (st == TT_OK)
            st = tt_list_flush(l, false);
    }
    return st;
}

/* --- all forms ---------------------------------------------------------------------------------------------------------------- */

static void measure_keys(struct tt_lister *l)
{
    l->key_width = 3;
    for (size_t i = 0; i < l->ckpt->entries.n; i++) {
        if (!tt_key_taken(&l->how->filter, l->ckpt->entries.items[i].fqn))
            continue;
        const int width = tt_show_key_width(l->ckpt->entries.items[i].fqn);
        if (width > l->key_width)
            l->key_width = width < KEY_WIDTH_MAX ? width : KEY_WIDTH_MAX;
    }
}

static tt_status list_all(struct tt_lister *l)
{
    static tt_status (*const forms[])(struct tt_lister *l) = {
        [TT_LIST_TABLE] = put_table, [TT_LIST_JSON] = put_json, [TT_LIST_CHUNKS] = put_chunks,
        [TT_LIST_TREE] = tt_list_tree, [TT_LIST_LAYOUT] = tt_list_layout,
    };
    const bool shows_values = l->how->form == TT_LIST_TABLE || l->how->form == TT_LIST_JSON || l->how->form == TT_LIST_TREE;
    tt_status st = TT_OK;

    if (shows_values)
        st = tt_values_new(&l->values, l->ckpt, &l->how->filter, l->err);
    if (st != TT_OK)
        return st;
    measure_keys(l);
    if (l->how->form != TT_LIST_JSON) {
        tt_show_key(&l->text, l->path);
        tt_buf_byte(&l->text, '\n');
    }
    st = forms[l->how->form](l);
    if (st == TT_OK)
        st = tt_list_flush(l, true);
    return st == TT_OK && l->status != TT_OK ? tt_err_set(l->err, l->status, "%s", l->first.msg) : st;
}

tt_status tt_ckpt_list(FILE *out, const char *path, const struct tt_ckpt_list_opts *how, struct tt_err *err)
{
    struct tt_lister l = { .out = out, .path = path, .how = how, .err = err };
    tt_status st = tt_ckpt_open_catalogue(&l.ckpt, path, err);

    if (st == TT_OK)
        st = tt_keys_check(&how->filter, l.ckpt, err);
    if (st == TT_OK)
        st = list_all(&l);
    for (size_t i = 0; i < l.nrendered; i++)
        tt_buf_release(&l.rendered[i]);
    free(l.rendered);
    tt_map_release(&l.by_item);
    tt_values_free(l.values);
    tt_ckpt_close(l.ckpt);
    tt_arena_release(&l.arena);
    tt_arena_release(&l.scratch);
    tt_buf_release(&l.text);
    return st;
}

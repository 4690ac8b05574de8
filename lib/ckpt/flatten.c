#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "ckpt/ckpt_private.h"
#include "format/pickle_text.h"
#include "format/pt.h"

struct flattener {
    struct tt_entries *out;
    const char *where;
    struct tt_path_part path[TT_VALUE_DEPTH_MAX + 2];
    uint32_t depth;
    struct tt_err *err;
};

static tt_status nomem(const struct flattener *f) { return tt_err_nomem(f->err, f->out->arena.used, f->where); }

static bool is_entered(const struct tt_value *v)
{
    if (v->kind == TT_V_MAP)
        return true;
    if (v->kind != TT_V_LIST)
        return false;
    for (size_t i = 0; i < v->u.list.n; i++)
        if (v->u.list.items[i]->kind == TT_V_TENSOR || is_entered(v->u.list.items[i]))
            return true;
    return false;
}

static const char *printed(const struct flattener *f, const struct tt_value *key)
{
    struct tt_buf text = { 0 };
    tt_value_text(&text, key, 1 << 16);
    const char *s = text.failed ? NULL : tt_arena_strn(&f->out->arena, (const char *)text.data, text.len);
    tt_buf_release(&text);
    return s;
}

/* str(key), for the keys that dicts have. */
static const char *key_text(const struct flattener *f, const struct tt_value *key)
{
    struct tt_arena *arena = &f->out->arena;
    switch (key->kind) {
    case TT_V_STR: return strlen(key->u.str.s) == key->u.str.nbytes ? key->u.str.s : NULL;
    case TT_V_INT: return tt_arena_printf(arena, "%" PRId64, key->u.i);
    case TT_V_BOOL: return key->u.b ? "True" : "False";
    case TT_V_NULL: return "None";
    case TT_V_FLOAT:
    case TT_V_TUPLE: return printed(f, key);
    default: return NULL;
    }
}

static char *join_path(const struct flattener *f)
{
    struct tt_buf text = { 0 };
    for (uint32_t i = 0; i < f->depth; i++) {
        if (i)
            tt_buf_byte(&text, '.');
        if (f->path[i].key)
            tt_buf_str(&text, f->path[i].key);
        else
            tt_buf_printf(&text, "%" PRId64, f->path[i].index);
    }
    char *fqn = text.failed ? NULL : tt_arena_strn(&f->out->arena, (const char *)text.data, text.len);
    tt_buf_release(&text);
    return fqn;
}

static tt_status add_tensor(struct flattener *f, struct tt_entry *entry, const struct tt_pt_tensor *t)
{
    int64_t *zeros = tt_arena_array(&f->out->arena, (size_t)t->ndim, sizeof *zeros);
    struct tt_chunk *chunk = tt_arena_alloc(&f->out->arena, sizeof *chunk);
    if (!zeros || !chunk)
        return nomem(f);
    *chunk = (struct tt_chunk){
        .offsets = zeros, .sizes = t->shape, .strides = t->strides, .first = t->first, .codec = TT_CODEC_RAW,
        .offset = t->storage->offset, .nbytes = t->storage->nbytes, .crc = t->storage->crc,
    };
    entry->kind = TT_ENTRY_TENSOR;
    entry->dtype = t->dtype;
    entry->ndim = t->ndim;
    entry->shape = t->shape;
    entry->requires_grad = t->requires_grad;
    entry->chunks = chunk;
    entry->nchunks = 1;
    return TT_OK;
}

static tt_status add_leaf(struct flattener *f, const struct tt_value *v)
{
    struct tt_entry entry = { .kind = TT_ENTRY_VALUE, .value = v };
    struct tt_path_part *path = tt_arena_array(&f->out->arena, f->depth, sizeof *path);

    entry.fqn = join_path(f);
    if (!path || !entry.fqn)
        return nomem(f);
    memcpy(path, f->path, f->depth * sizeof *path);
    entry.path = path;
    entry.npath = f->depth;
    tt_status st = v->kind == TT_V_TENSOR ? add_tensor(f, &entry, v->u.ref) : TT_OK;
    if (st == TT_OK)
        st = tt_entries_add(f->out, &entry, f->err);
    return st == TT_EFORMAT ? tt_err_set(f->err, TT_EFORMAT, "%s: two values have the path %s", f->where, entry.fqn) : st;
}

static tt_status enter(struct flattener *f, const struct tt_value *v)
{
    const bool is_map = v->kind == TT_V_MAP;
    const size_t n = is_map ? v->u.map.n : v->u.list.n;
    tt_status st = TT_OK;

    f->depth++;
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const struct tt_value *child = is_map ? v->u.map.pairs[i].value : v->u.list.items[i];
        struct tt_path_part *part = &f->path[f->depth - 1];
        *part = (struct tt_path_part){ is_map ? key_text(f, v->u.map.pairs[i].key) : NULL, (int64_t)i };
        if (is_map && !part->key)
            return tt_err_set(f->err, TT_EUNSUPPORTED, "%s: a dict has %s as a key; titan reads str, int, float, bool, None and tuples of them", f->where,
                              tt_value_kind_name(v->u.map.pairs[i].key->kind));
        st = is_entered(child) ? enter(f, child) : add_leaf(f, child);
    }
    f->depth--;
    return st;
}

tt_status tt_flatten(struct tt_entries *out, const struct tt_value *root, const char *where, struct tt_err *err)
{
    struct flattener f = { .out = out, .where = where, .err = err };
    if (root->kind != TT_V_MAP)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: expected a dict (a state dict), found %s", where,
                          tt_value_kind_name(root->kind));
    return enter(&f, root);
}

#include <string.h>

#include "ckpt/ckpt_private.h"
#include "ckpt/write_private.h"
#include "format/pt.h"

struct nester {
    const struct tt_recipe *recipe;
    const struct tt_write_opts *opts;
    struct tt_arena *arena;
    struct tt_err *err;
};

static tt_status nomem(const struct nester *n) { return tt_err_nomem(n->err, n->arena->used, "a nested state dict"); }

/* --- leaves ------------------------------------------------------------------------------------------------------------------- */

/* A storage that a value's tensors share is copied as it is, so that they still share it. */
struct raw_storage {
    struct tt_entry entry;
    struct tt_chunk chunk;
    struct tt_part part;
    struct tt_output output;
    struct tt_output_box box;
    int64_t dims[2];
};

static tt_status own_storage(struct tt_arena *arena, struct tt_ckpt *ckpt, const char *fqn, struct tt_pt_storage *s,
                             struct tt_err *err)
{
    if (s->owner)
        return TT_OK;
    struct raw_storage *raw = tt_arena_alloc(arena, sizeof *raw);
    if (!raw)
        return tt_err_nomem(err, sizeof *raw, fqn);
    raw->dims[0] = (int64_t)s->nbytes; /* dims[1] is the offset: 0 */
    raw->chunk = (struct tt_chunk){ .codec = TT_CODEC_RAW, .offsets = &raw->dims[1], .sizes = raw->dims, .offset = s->offset,
                                    .nbytes = s->nbytes, .crc = s->crc, .file = s->file };
    raw->entry = (struct tt_entry){ .fqn = fqn, .kind = TT_ENTRY_TENSOR, .dtype = TT_U8, .ndim = 1, .shape = raw->dims,
                                    .chunks = &raw->chunk, .nchunks = 1 };
    raw->output = tt_output_identity(&raw->entry, &raw->part);
    raw->part.ckpt = ckpt;
    raw->box = (struct tt_output_box){ &raw->output, NULL, NULL };
    s->owner = &raw->box;
    return TT_OK;
}

tt_status tt_value_own_storages(const struct tt_value *v, struct tt_arena *arena, struct tt_ckpt *ckpt, const char *fqn,
                                struct tt_err *err)
{
    tt_status st = TT_OK;

    if (v->kind == TT_V_TENSOR)
        return own_storage(arena, ckpt, fqn, ((const struct tt_pt_tensor *)v->u.ref)->storage, err);
    if (v->kind == TT_V_LIST || v->kind == TT_V_TUPLE)
        for (size_t i = 0; i < v->u.list.n && st == TT_OK; i++)
            st = tt_value_own_storages(v->u.list.items[i], arena, ckpt, fqn, err);
    if (v->kind == TT_V_MAP)
        for (size_t i = 0; i < v->u.map.n && st == TT_OK; i++)
            st = tt_value_own_storages(v->u.map.pairs[i].value, arena, ckpt, fqn, err);
    if (v->kind == TT_V_OBJECT) {
        const struct tt_pyobj *o = v->u.ref;
        if (o->kind == TT_PYOBJ_OPAQUE)
            return tt_err_set(err, TT_EUNSUPPORTED, "key %s: an object of %s.%s cannot be written again: %s; --exclude leaves it out",
                              fqn, o->cls->module, o->cls->name, o->why);
        const struct tt_value *const parts[] = { o->callee, o->args, o->items, o->state };
        for (size_t i = 0; i < sizeof parts / sizeof *parts && st == TT_OK; i++)
            st = parts[i] ? tt_value_own_storages(parts[i], arena, ckpt, fqn, err) : TT_OK;
    }
    return st;
}

tt_status tt_recipe_value(const struct tt_recipe_item *item, const struct tt_write_opts *opts, struct tt_arena *arena,
                          const struct tt_value **out, struct tt_err *err)
{
    const struct tt_value *v = item->value;
    struct tt_err why;
    tt_status st = TT_OK;

    if (!v && opts->allow_objects)
        st = tt_ckpt_read_object(item->ckpt, item->entry, arena, &v, &why);
    else if (!v)
        st = tt_ckpt_read_value(item->ckpt, item->entry, arena, &v, &why);
    if (st == TT_EUNSUPPORTED && !opts->allow_objects)
        return tt_err_set(err, st, "%s; --exclude leaves it out, --allow_objects carries it over", why.msg);
    if (st != TT_OK)
        return tt_err_set(err, st, "%s", why.msg);
    const struct tt_py_global *g = opts->allow_objects ? tt_value_unknown(v, NULL) : NULL;
    if (g)
        tt_log_line(opts->log, TT_LOG_WARNING, "key %s: an object of %s.%s, which titan does not know, is carried over as it is",
                    item->fqn, g->module, g->name);
    *out = v;
    return TT_OK;
}

/* Of plain data; what titan does not know has its warning. */
static void warn_of_refused(const struct nester *n, const struct tt_recipe_item *item, const struct tt_value *value)
{
    const struct tt_py_global *g = tt_value_unknown(value, NULL) ? NULL : tt_value_refused_by_torch(value);
    if (g)
        tt_log_line(n->opts->log, TT_LOG_WARNING, "key %s: for its %s torch.load(weights_only=True) refuses the file", item->fqn,
                    g->name);
}

static tt_status make_leaf(const struct nester *n, const struct tt_recipe_item *item, struct tt_value **out)
{
    const struct tt_value *value = NULL;
    tt_status st = TT_OK;

    if (item->kind == TT_ENTRY_TENSOR) {
        struct tt_output_box *box = tt_arena_alloc(n->arena, sizeof *box);
        if (box) {
            *box = (struct tt_output_box){ &item->output, NULL, NULL };
            *out = tt_copy_tensor(n->arena, box);
        }
        return box && *out ? TT_OK : nomem(n);
    }
    st = tt_recipe_value(item, n->opts, n->arena, &value, n->err);
    if (st == TT_OK)
        warn_of_refused(n, item, value);
    if (st == TT_OK)
        st = tt_value_own_storages(value, n->arena, item->ckpt, item->fqn, n->err);
    if (st == TT_OK)
        *out = (struct tt_value *)value;
    return st;
}

/* --- nesting ------------------------------------------------------------------------------------------------------------------ */

static tt_status conflict(const struct nester *n, const struct tt_recipe_item *item, const char *what)
{
    return tt_err_set(n->err, TT_EFORMAT, "key %s: its path in the nested state dict %s", item->fqn, what);
}

/* The list gets so long that it has `index`; what is in between is None. */
static tt_status pad_list(const struct nester *n, const struct tt_recipe_item *item, struct tt_value *list, int64_t index)
{
    if (index >= (int64_t)(4 * n->recipe->n + 1024))
        return conflict(n, item, "has a list position far beyond the number of keys");
    while ((int64_t)list->u.list.n <= index)
        if (!tt_value_append(n->arena, list, tt_value_null(n->arena)))
            return nomem(n);
    return TT_OK;
}

/* What stands at `part` of the container; NULL: nothing (a list's None counts as nothing). */
static tt_status look(const struct nester *n, const struct tt_recipe_item *item, struct tt_value *at, const struct tt_path_part *part,
                      struct tt_value **out)
{
    if (at->kind != (part->key ? TT_V_MAP : TT_V_LIST))
        return conflict(n, item, "goes through something that is no dict or list, or is both");
    if (part->key) {
        *out = tt_value_get(at, part->key);
        return TT_OK;
    }
    const tt_status st = pad_list(n, item, at, part->index);
    if (st == TT_OK)
        *out = at->u.list.items[part->index]->kind == TT_V_NULL ? NULL : at->u.list.items[part->index];
    return st;
}

static tt_status put(const struct nester *n, struct tt_value *at, const struct tt_path_part *part, struct tt_value *v)
{
    if (!part->key) {
        at->u.list.items[part->index] = v;
        return TT_OK;
    }
    return tt_value_set(n->arena, at, part->key, v) ? TT_OK : nomem(n);
}

static tt_status place(const struct nester *n, struct tt_value *root, const struct tt_recipe_item *item, struct tt_value *leaf)
{
    const struct tt_path_part flat = { .key = item->fqn };
    const struct tt_path_part *path = item->npath ? item->path : &flat;
    const uint32_t npath = item->npath ? item->npath : 1;
    struct tt_value *at = root, *there = NULL;

    for (uint32_t i = 0; i + 1 < npath; i++) {
        tt_status st = look(n, item, at, &path[i], &there);
        if (st == TT_OK && !there) {
            there = path[i + 1].key ? tt_value_map(n->arena) : tt_value_list(n->arena);
            st = there ? put(n, at, &path[i], there) : nomem(n);
        }
        if (st != TT_OK)
            return st;
        at = there;
    }
    const tt_status st = look(n, item, at, &path[npath - 1], &there);
    if (st != TT_OK)
        return st;
    return there ? conflict(n, item, "is that of another key too") : put(n, at, &path[npath - 1], leaf);
}

tt_status tt_recipe_nest(const struct tt_recipe *recipe, const struct tt_write_opts *opts, bool flat, struct tt_arena *arena,
                         struct tt_value **out, struct tt_err *err)
{
    const struct nester n = { recipe, opts, arena, err };
    struct tt_value *root = tt_value_map(arena);
    tt_status st = root ? TT_OK : nomem(&n);

    for (size_t i = 0; i < recipe->n && st == TT_OK; i++) {
        struct tt_recipe_item item = recipe->items[i];
        struct tt_value *leaf = NULL;
        if (item.npath > TT_VALUE_DEPTH_MAX)
            return conflict(&n, &item, "is too deep");
        st = make_leaf(&n, &recipe->items[i], &leaf);
        if (flat)
            item.npath = 0;
        if (st == TT_OK)
            st = place(&n, root, &item, leaf);
    }
    if (st == TT_OK)
        *out = root;
    return st;
}

tt_status tt_recipe_pt_entries(struct tt_entries *out, const struct tt_recipe *recipe, bool flat, struct tt_err *err)
{
    struct tt_entries entries = { 0 };
    struct tt_value *root = NULL;
    const struct tt_write_opts opts = { .allow_objects = true };
    tt_status st = tt_recipe_nest(recipe, &opts, flat, &entries.arena, &root, err);

    if (st == TT_OK)
        st = tt_flatten(&entries, root, "the output", err);
    if (st == TT_OK)
        *out = entries;
    else
        tt_entries_release(&entries);
    return st;
}

#include "ckpt/to_pt.h"

#include <string.h>
#include <unistd.h>

#include "ckpt/copy.h"
#include "format/pt.h"

struct nester {
    struct tt_ckpt *ckpt;
    struct tt_arena *arena;
    struct tt_err *err;
};

static tt_status nomem(const struct nester *n) { return tt_err_nomem(n->err, n->arena->used, n->ckpt->path); }

/* --- leaves ------------------------------------------------------------------------------------------------------------------- */

struct leaf {
    struct tt_part part;
    struct tt_output output;
    struct tt_fill fill;
};

static struct tt_value *tensor_leaf(const struct nester *n, const struct tt_entry *entry)
{
    struct leaf *leaf = tt_arena_alloc(n->arena, sizeof *leaf);
    if (!leaf)
        return NULL;
    leaf->output = tt_output_identity(entry, &leaf->part);
    leaf->fill = (struct tt_fill){ &leaf->output, NULL, NULL };
    return tt_copy_tensor(n->arena, &leaf->fill);
}

/* A storage that a value's tensors share is copied as it is, so that they still share it. */
static tt_status own_storage(const struct nester *n, const char *fqn, struct tt_pt_storage *s)
{
    struct {
        struct tt_entry entry;
        struct tt_chunk chunk;
        struct leaf leaf;
        int64_t dims[2];
    } *raw;

    if (s->owner)
        return TT_OK;
    raw = tt_arena_alloc(n->arena, sizeof *raw);
    if (!raw)
        return nomem(n);
    raw->dims[0] = (int64_t)s->nbytes; /* dims[1] is the offset: 0 */
    raw->chunk = (struct tt_chunk){ .codec = TT_CODEC_RAW, .offsets = &raw->dims[1], .sizes = raw->dims, .offset = s->offset,
                                    .nbytes = s->nbytes, .crc = s->crc, .file = s->file };
    raw->entry = (struct tt_entry){ .fqn = fqn, .kind = TT_ENTRY_TENSOR, .dtype = TT_U8, .ndim = 1, .shape = raw->dims,
                                    .chunks = &raw->chunk, .nchunks = 1 };
    raw->leaf.output = tt_output_identity(&raw->entry, &raw->leaf.part);
    raw->leaf.fill = (struct tt_fill){ &raw->leaf.output, NULL, NULL };
    s->owner = &raw->leaf.fill;
    return TT_OK;
}

static tt_status own_storages(const struct nester *n, const char *fqn, const struct tt_value *v)
{
    tt_status st = TT_OK;

    if (v->kind == TT_V_TENSOR)
        return own_storage(n, fqn, ((const struct tt_pt_tensor *)v->u.ref)->storage);
    if (v->kind == TT_V_LIST || v->kind == TT_V_TUPLE)
        for (size_t i = 0; i < v->u.list.n && st == TT_OK; i++)
            st = own_storages(n, fqn, v->u.list.items[i]);
    if (v->kind == TT_V_MAP)
        for (size_t i = 0; i < v->u.map.n && st == TT_OK; i++)
            st = own_storages(n, fqn, v->u.map.pairs[i].value);
    if (v->kind == TT_V_OBJECT) {
        const struct tt_pyobj *o = v->u.ref;
        if (o->args)
            st = own_storages(n, fqn, o->args);
        if (st == TT_OK && o->state)
            st = own_storages(n, fqn, o->state);
    }
    return st;
}

static tt_status make_leaf(const struct nester *n, const struct tt_entry *entry, struct tt_value **out)
{
    const struct tt_value *value = NULL;

    if (entry->kind == TT_ENTRY_TENSOR) {
        *out = tensor_leaf(n, entry);
        return *out ? TT_OK : nomem(n);
    }
    const tt_status st = tt_ckpt_read_value(n->ckpt, entry, n->arena, &value, n->err);
    if (st != TT_OK)
        return st;
    *out = (struct tt_value *)value;
    return own_storages(n, entry->fqn, value);
}

/* --- nesting ------------------------------------------------------------------------------------------------------------------ */

static tt_status conflict(const struct nester *n, const struct tt_entry *entry, const char *what)
{
    return tt_err_set(n->err, TT_EFORMAT, "%s: key %s: its path in planner_data %s", n->ckpt->path, entry->fqn, what);
}

/* The list gets so long that it has `index`; what is in between is None. */
static tt_status pad_list(const struct nester *n, const struct tt_entry *entry, struct tt_value *list, int64_t index)
{
    if (index >= (int64_t)(4 * n->ckpt->entries.n + 1024))
        return conflict(n, entry, "has a list position far beyond the number of keys");
    while ((int64_t)list->u.list.n <= index)
        if (!tt_value_append(n->arena, list, tt_value_null(n->arena)))
            return nomem(n);
    return TT_OK;
}

/* What stands at `part` of the container; NULL: nothing (a list's None counts as nothing). */
static tt_status look(const struct nester *n, const struct tt_entry *entry, struct tt_value *at, const struct tt_path_part *part,
                      struct tt_value **out)
{
    if (at->kind != (part->key ? TT_V_MAP : TT_V_LIST))
        return conflict(n, entry, "goes through something that is no dict or list, or is both");
    if (part->key) {
        *out = tt_value_get(at, part->key);
        return TT_OK;
    }
    const tt_status st = pad_list(n, entry, at, part->index);
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

static tt_status place(const struct nester *n, struct tt_value *root, const struct tt_entry *entry, struct tt_value *leaf)
{
    const struct tt_path_part flat = { .key = entry->fqn };
    const struct tt_path_part *path = entry->npath ? entry->path : &flat;
    const uint32_t npath = entry->npath ? entry->npath : 1;
    struct tt_value *at = root, *there = NULL;

    for (uint32_t i = 0; i + 1 < npath; i++) {
        tt_status st = look(n, entry, at, &path[i], &there);
        if (st == TT_OK && !there) {
            there = path[i + 1].key ? tt_value_map(n->arena) : tt_value_list(n->arena);
            st = there ? put(n, at, &path[i], there) : nomem(n);
        }
        if (st != TT_OK)
            return st;
        at = there;
    }
    const tt_status st = look(n, entry, at, &path[npath - 1], &there);
    if (st != TT_OK)
        return st;
    return there ? conflict(n, entry, "is that of another key too") : put(n, at, &path[npath - 1], leaf);
}

tt_status tt_ckpt_nest(struct tt_ckpt *ckpt, struct tt_arena *arena, struct tt_value **out, struct tt_err *err)
{
    const struct nester n = { ckpt, arena, err };
    struct tt_value *root = tt_value_map(arena);
    tt_status st = root ? TT_OK : nomem(&n);

    for (size_t i = 0; i < ckpt->entries.n && st == TT_OK; i++) {
        const struct tt_entry *entry = &ckpt->entries.items[i];
        struct tt_value *leaf = NULL;
        if (entry->npath > TT_VALUE_DEPTH_MAX)
            return conflict(&n, entry, "is too deep");
        st = make_leaf(&n, entry, &leaf);
        if (st == TT_OK)
            st = place(&n, root, entry, leaf);
    }
    if (st == TT_OK)
        *out = root;
    return st;
}

/* --- the file ----------------------------------------------------------------------------------------------------------------- */

static tt_status write_at(void *ctx, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    const struct tt_outfile *file = ctx;
    return tt_pwrite_full(file->fd, bytes, nbytes, offset, file->path, err);
}

static tt_status write_next(void *ctx, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    uint64_t *at = ctx;
    if (offset != *at)
        return tt_err_set(err, TT_EINVAL, "stdout: blocks are out of order");
    *at += nbytes;
    return tt_write_full(STDOUT_FILENO, bytes, nbytes, "stdout", err);
}

static tt_status run_to_file(struct tt_copy *copy, const char *path, struct tt_pool *pool, struct tt_err *err)
{
    struct tt_outfile file = { .fd = -1 };
    const struct tt_sink sink = { .write = write_at, .ctx = &file };
    tt_status st = tt_outfile_open(&file, path, err);

    if (st == TT_OK)
        st = tt_copy_run(copy, pool, &sink, err);
    if (st == TT_OK)
        return tt_outfile_commit(&file, err);
    tt_outfile_abandon(&file);
    return st;
}

/* The folder inside the zip is the file's name without its last extension, as torch.save has it; "archive" for a stream and where
 * the name is not plain ASCII. */
static const char *root_name(struct tt_arena *arena, const char *path)
{
    const char *base = tt_path_base(path);
    const char *dot = strrchr(base, '.');
    const size_t n = dot ? (size_t)(dot - base) : strlen(base);

    for (size_t i = 0; i < n; i++)
        if ((uint8_t)base[i] < ' ' || (uint8_t)base[i] >= 0x7f)
            return "archive";
    return n == 0 || n > 200 || strcmp(path, "-") == 0 ? "archive" : tt_arena_strn(arena, base, n);
}

/* A file among those of the checkpoint could take the name of one of them. */
static tt_status check_outside(const struct tt_ckpt *ckpt, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    const char *dir = tt_path_dir(arena, path);

    if (!dir)
        return tt_err_nomem(err, strlen(path), path);
    if (strcmp(path, "-") != 0 && tt_path_same(dir, ckpt->path))
        return tt_err_set(err, TT_EINVAL, "%s: lies inside the checkpoint that it is made of; write it elsewhere", path);
    return TT_OK;
}

tt_status tt_ckpt_to_pt(struct tt_ckpt *ckpt, const char *path, struct tt_pool *pool, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_copy *copy = NULL;
    struct tt_value *root = NULL;
    uint64_t at = 0;
    const struct tt_sink stream = { .write = write_next, .ctx = &at, .in_order = true };
    const char *name = root_name(&arena, path);
    tt_status st = name ? check_outside(ckpt, &arena, path, err) : tt_err_nomem(err, strlen(path), path);

    if (st == TT_OK)
        st = tt_ckpt_nest(ckpt, &arena, &root, err);
    if (st == TT_OK)
        st = tt_copy_new(&copy, ckpt, err);
    if (st == TT_OK)
        st = tt_copy_add_archive(copy, name, root, NULL, NULL, err);
    if (st == TT_OK)
        st = strcmp(path, "-") == 0 ? tt_copy_run(copy, pool, &stream, err) : run_to_file(copy, path, pool, err);
    tt_copy_free(copy);
    tt_arena_release(&arena);
    return st;
}

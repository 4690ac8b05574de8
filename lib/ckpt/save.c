#define _GNU_SOURCE
#include "ckpt/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ckpt/copy.h"
#include "ckpt/save_dir.h"
#include "format/metadata.h"

/* --- one rank's file ---------------------------------------------------------------------------------------------------------- */

/* An item on its way into the file. */
struct planned {
    struct tt_entry src; /* the chunk, as a tensor of its own */
    struct tt_chunk chunk;
    struct tt_part part;
    struct tt_output output;
    struct tt_output_box box;
    uint64_t offset, nbytes; /* in the file */
};

struct rank_save {
    struct tt_ckpt *memory;
    struct planned *plan;  /* (n) */
    struct tt_copy *copy;
    const struct tt_save_opts *opts;
    int fd;
    const char *path;
};

static const int64_t *item_sizes(const struct tt_save_item *item) { return item->sizes ? item->sizes : item->shape; }

static tt_status check_item(const struct tt_save_item *item, struct tt_err *err)
{
    const struct tt_region r = tt_region_make(item->ndim, item->offsets, item_sizes(item));
    int64_t numel;

    if (!tt_numel(item->ndim, item->shape, &numel) || !tt_region_fits(&r, item->shape))
        return tt_err_set(err, TT_EINVAL, "key %s: the chunk does not lie inside its tensor", item->fqn);
    return TT_OK;
}

static tt_status plan_tensor(struct rank_save *s, struct planned *p, const struct tt_save_item *item,
                             const struct tt_save_opts *opts, struct tt_err *err)
{
    static const int64_t zeros[TT_NDIM_MAX];
    tt_status st = check_item(item, err);

    if (st != TT_OK)
        return st;
    p->chunk = (struct tt_chunk){ .codec = TT_CODEC_MEMORY, .offsets = zeros, .sizes = item_sizes(item), .data = item->data };
    p->src = (struct tt_entry){ .fqn = item->fqn, .kind = TT_ENTRY_TENSOR, .dtype = item->dtype, .ndim = item->ndim,
                                .shape = p->chunk.sizes, .chunks = &p->chunk, .nchunks = 1 };
    p->output = tt_output_identity(&p->src, &p->part);
    if (opts->cast && tt_dtypes[item->dtype].is_float)
        p->output.dtype = opts->cast_dtype;
    p->box = (struct tt_output_box){ &p->output, NULL, NULL };
    return tt_copy_add_item(s->copy, 0, &p->box, &p->offset, &p->nbytes, err);
}

/* Values first, then tensors, as PyTorch's writer has them. */
static tt_status plan_items(struct rank_save *s, const struct tt_save_item *items, size_t n, const struct tt_save_opts *opts,
                            struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < n && st == TT_OK; i++)
        if (items[i].value)
            st = tt_copy_add_archive(s->copy, 0, "archive", items[i].value, &s->plan[i].offset, &s->plan[i].nbytes, err);
    for (size_t i = 0; i < n && st == TT_OK; i++)
        if (!items[i].value)
            st = plan_tensor(s, &s->plan[i], &items[i], opts, err);
    return st;
}

static tt_status write_file(void *ctx, uint32_t file, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    (void)file;
    const struct rank_save *s = ctx;
    const tt_status st = tt_pwrite_full(s->fd, bytes, nbytes, offset, s->path, err);
    if (st == TT_OK && s->opts->pace) {
        /* On its way to the disk piece by piece, in this thread's time: an fsync of all of it would take a core for a while. */
        (void)sync_file_range(s->fd, (off_t)offset, (off_t)nbytes, SYNC_FILE_RANGE_WRITE);
        tt_pace_rest(s->opts->pace);
    }
    return st;
}

static tt_status run_rank(struct rank_save *s, const struct tt_save_opts *opts, struct tt_err *err)
{
    const struct tt_sink sink = { .write = write_file, .ctx = s };

    s->fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s->fd < 0)
        return tt_err_errno(err, errno, "%s: cannot create", s->path);
    tt_status st = tt_copy_run(s->copy, opts->pool, &sink, NULL, err);
    if (st == TT_OK && fsync(s->fd) != 0)
        st = tt_err_errno(err, errno, "%s: cannot fsync", s->path);
    if (close(s->fd) != 0 && st == TT_OK)
        st = tt_err_errno(err, errno, "%s: cannot close", s->path);
    return st;
}

/* --- what was written --------------------------------------------------------------------------------------------------------- */

static const int64_t *copy_dims(struct tt_arena *arena, const int64_t *dims, int ndim)
{
    int64_t *copy = tt_arena_array(arena, (size_t)ndim, sizeof *copy);
    if (copy && dims && ndim)
        memcpy(copy, dims, (size_t)ndim * sizeof *copy);
    return copy;
}

static const struct tt_path_part *copy_path(struct tt_arena *arena, const struct tt_path_part *path, uint32_t n)
{
    struct tt_path_part *copy = tt_arena_array(arena, n, sizeof *copy);
    for (uint32_t i = 0; copy && i < n; i++) {
        copy[i] = path[i];
        if (path[i].key && !(copy[i].key = tt_arena_str(arena, path[i].key)))
            return NULL;
    }
    return copy;
}

/* Room for one more chunk; a tensor rarely has many on one rank. */
static struct tt_chunk *new_chunk(struct tt_arena *arena, struct tt_entry *entry)
{
    struct tt_chunk *chunks = tt_arena_array(arena, entry->nchunks + 1, sizeof *chunks);
    if (!chunks)
        return NULL;
    if (entry->nchunks)
        memcpy(chunks, entry->chunks, entry->nchunks * sizeof *chunks);
    entry->chunks = chunks;
    return &chunks[entry->nchunks++];
}

static tt_status add_entry(struct tt_entries *out, const struct tt_save_item *item, enum tt_dtype dtype, struct tt_err *err)
{
    struct tt_entry e = { .kind = item->value ? TT_ENTRY_VALUE : TT_ENTRY_TENSOR, .npath = item->npath };

    e.fqn = tt_arena_str(&out->arena, item->fqn);
    e.path = copy_path(&out->arena, item->path, item->npath);
    if (!item->value) {
        e.dtype = dtype;
        e.ndim = item->ndim;
        e.shape = copy_dims(&out->arena, item->shape, item->ndim);
    }
    if (!e.fqn || !e.path || (!item->value && !e.shape))
        return tt_err_nomem(err, 0, item->fqn);
    return tt_entries_add(out, &e, err);
}

static tt_status record_item(struct tt_entries *out, const struct tt_save_item *item, const struct planned *p, uint32_t file,
                             struct tt_err *err)
{
    struct tt_entry *e = tt_entries_find(out, item->fqn);

    if (e && (e->kind != TT_ENTRY_TENSOR || item->value))
        return tt_err_set(err, TT_EINVAL, "key %s is saved twice", item->fqn);
    if (!e) {
        const tt_status st = add_entry(out, item, p->output.dtype, err);
        if (st != TT_OK)
            return st;
        e = &out->items[out->n - 1];
    }
    struct tt_chunk *c = new_chunk(&out->arena, e);
    if (!c)
        return tt_err_nomem(err, 0, item->fqn);
    *c = (struct tt_chunk){ .codec = TT_CODEC_BLOB, .file = file, .offset = p->offset, .nbytes = p->nbytes };
    if (!item->value) {
        c->offsets = copy_dims(&out->arena, item->offsets, item->ndim);
        c->sizes = copy_dims(&out->arena, item_sizes(item), item->ndim);
        if (!c->offsets || !c->sizes)
            return tt_err_nomem(err, 0, item->fqn);
    }
    return TT_OK;
}

tt_status tt_dcp_write_rank(struct tt_entries *written, const char *tmp, int rank, const struct tt_save_item *items, size_t n,
                            const struct tt_save_opts *opts, struct tt_err *err)
{
    static const struct tt_save_opts none;
    struct tt_entries out = { 0 };
    struct rank_save s = { .plan = calloc(n + 1, sizeof *s.plan) };
    const char *name = tt_arena_printf(&out.arena, "__%d_0.distcp", rank);
    uint32_t file = 0;
    tt_status st = TT_OK;

    opts = opts ? opts : &none;
    s.opts = opts;
    s.path = name ? tt_path_join(&out.arena, tmp, name) : NULL;
    if (!s.plan || !s.path)
        st = tt_err_nomem(err, n * sizeof *s.plan, "the plan of a save");
    if (st == TT_OK)
        st = tt_ckpt_memory(&s.memory, err);
    if (st == TT_OK)
        st = tt_copy_new(&s.copy, s.memory, err);
    if (st == TT_OK)
        st = plan_items(&s, items, n, opts, err);
    if (st == TT_OK)
        st = tt_entries_file(&out, name, &file, err);
    for (size_t i = 0; i < n && st == TT_OK; i++)
        st = record_item(&out, &items[i], &s.plan[i], file, err);
    if (st == TT_OK)
        st = run_rank(&s, opts, err);
    tt_copy_free(s.copy);
    tt_ckpt_close(s.memory);
    free(s.plan);
    if (st == TT_OK)
        *written = out;
    else
        tt_entries_release(&out);
    return st;
}

/* --- all ranks ---------------------------------------------------------------------------------------------------------------- */

struct tt_dcp_save {
    struct tt_save_dir dir;
};

tt_status tt_dcp_save_begin(struct tt_dcp_save **out, const char *dir, const struct tt_log *log, struct tt_err *err)
{
    struct tt_dcp_save *save = calloc(1, sizeof *save);
    const tt_status st = save ? tt_save_dir_open(&save->dir, dir, log, err) : tt_err_nomem(err, sizeof *save, dir);

    if (st == TT_OK)
        *out = save;
    else
        free(save);
    return st;
}

const char *tt_dcp_save_tmp(const struct tt_dcp_save *save) { return save->dir.tmp; }

void tt_dcp_save_abandon(struct tt_dcp_save *save)
{
    if (!save)
        return;
    tt_save_dir_abandon(&save->dir);
    free(save);
}

/* Appends a rank's chunks. What is borrowed lives in the ranks' own entries. */
static tt_status merge_entry(struct tt_entries *all, const struct tt_entry *e, const uint32_t *files, struct tt_err *err)
{
    struct tt_entry *to = tt_entries_find(all, e->fqn);

    if (!to) {
        struct tt_entry fresh = *e;
        fresh.chunks = NULL;
        fresh.nchunks = 0;
        const tt_status st = tt_entries_add(all, &fresh, err);
        if (st != TT_OK)
            return st;
        to = &all->items[all->n - 1];
    } else if (to->kind != TT_ENTRY_TENSOR || e->kind != TT_ENTRY_TENSOR || to->dtype != e->dtype || to->ndim != e->ndim ||
               (e->ndim && memcmp(to->shape, e->shape, (size_t)e->ndim * sizeof *e->shape) != 0)) {
        return tt_err_set(err, TT_EINVAL, "key %s: two ranks disagree about what it is", e->fqn);
    }
    for (uint32_t i = 0; i < e->nchunks; i++) {
        struct tt_chunk *c = new_chunk(&all->arena, to);
        if (!c)
            return tt_err_nomem(err, 0, e->fqn);
        *c = e->chunks[i];
        c->file = files[c->file];
    }
    return TT_OK;
}

static tt_status merge_rank(struct tt_entries *all, const struct tt_entries *rank, struct tt_err *err)
{
    uint32_t *files = tt_arena_array(&all->arena, rank->nfiles, sizeof *files);
    tt_status st = files ? TT_OK : tt_err_nomem(err, rank->nfiles * sizeof *files, "a list of files");

    for (size_t i = 0; i < rank->nfiles && st == TT_OK; i++)
        st = tt_entries_file(all, rank->files[i], &files[i], err);
    for (size_t i = 0; i < rank->n && st == TT_OK; i++)
        st = merge_entry(all, &rank->items[i], files, err);
    return st;
}

static tt_status write_metadata(const char *tmp, const struct tt_entries *all, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_buf bytes = { 0 };
    const char *path = tt_path_join(&arena, tmp, ".metadata");
    tt_status st = path ? tt_metadata_encode(&bytes, all, err) : tt_err_nomem(err, 0, tmp);

    if (st == TT_OK)
        st = tt_file_write_all(path, bytes.data, bytes.len, err);
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
    return st;
}

tt_status tt_dcp_save_commit(struct tt_dcp_save *save, const struct tt_entries *const *ranks, size_t nranks, struct tt_err *err)
{
    struct tt_entries all = { 0 };
    tt_status st = TT_OK;

    for (size_t i = 0; i < nranks && st == TT_OK; i++)
        st = merge_rank(&all, ranks[i], err);
    for (size_t i = 0; i < all.n && st == TT_OK; i++)
        if (all.items[i].kind == TT_ENTRY_TENSOR)
            st = tt_entry_check_chunks(&all.items[i], save->dir.final, err);
    if (st == TT_OK)
        st = write_metadata(save->dir.tmp, &all, err);
    if (st == TT_OK)
        st = tt_save_dir_commit(&save->dir, err);
    tt_entries_release(&all);
    tt_dcp_save_abandon(save);
    return st;
}

tt_status tt_dcp_save(const char *dir, const struct tt_save_item *items, size_t n, const struct tt_save_opts *opts,
                      struct tt_err *err)
{
    struct tt_dcp_save *save = NULL;
    struct tt_entries written = { 0 };
    const struct tt_entries *ranks[] = { &written };
    tt_status st = tt_dcp_save_begin(&save, dir, opts ? opts->log : NULL, err);

    if (st == TT_OK)
        st = tt_dcp_write_rank(&written, tt_dcp_save_tmp(save), 0, items, n, opts, err);
    if (st == TT_OK) {
        st = tt_dcp_save_commit(save, ranks, 1, err);
        save = NULL;
    }
    tt_dcp_save_abandon(save);
    tt_entries_release(&written);
    return st;
}

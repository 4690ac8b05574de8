#define _GNU_SOURCE
#include "ckpt/write.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ckpt/save_dir.h"
#include "ckpt/write_private.h"
#include "format/metadata.h"
#include "format/zstd.h"

enum { THREADS_MAX = 4 };
static const uint64_t default_memory = 64 << 20;

/* --- names ------------------------------------------------------------------------------------------------------------------------ */

/* A name from outside is one component: it can lead nowhere but into the folder, and not to what is written there last. */
static tt_status check_name(const char *name, struct tt_err *err)
{
    const bool ok = tt_path_is_name(name) && strcmp(name, ".metadata") != 0;
    return ok ? TT_OK : tt_err_set(err, TT_EINVAL, "'%s': not a name that a file of a checkpoint may have", name);
}

static tt_status check_names(const struct write_plan *plan, struct tt_err *err)
{
    tt_status st = TT_OK;
    for (uint32_t f = 0; f < plan->nfiles && st == TT_OK; f++)
        st = check_name(plan->files[f], err);
    for (size_t i = 0; i < plan->target->nextras && st == TT_OK; i++)
        st = check_name(plan->target->extras[i].name, err);
    return st;
}

static bool is_folder(const struct tt_target *target)
{
    return target->format == TT_CKPT_DCP || target->format == TT_CKPT_HF;
}

/* --- the run ------------------------------------------------------------------------------------------------------------------------ */

static tt_status run_copy(const struct write_plan *plan, const struct tt_sink *sink, int nthreads, struct tt_err *err)
{
    const struct tt_copy_opts opts = { .no_verify = plan->opts->no_verify, .stop = plan->opts->stop };
    struct tt_pool *pool = NULL;
    tt_status st = nthreads > 1 ? tt_pool_new(&pool, nthreads, err) : TT_OK;

    if (st == TT_OK)
        st = tt_copy_run(plan->copy, pool, sink, &opts, err);
    tt_pool_free(pool);
    return st;
}

static void plan_file(struct out_files *files, uint32_t i, const char *path, uint64_t nbytes)
{
    files->items[i].path = path;
    files->items[i].nbytes = files->items[i].left = nbytes;
    files->total += nbytes;
}

static tt_status write_next(void *ctx, uint32_t file, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    struct out_files *files = ctx;
    (void)file;
    if (offset != files->done)
        return tt_err_set(err, TT_EINVAL, "stdout: blocks are out of order");
    files->done += nbytes;
    if (files->opts->progress)
        files->opts->progress(files->opts->ctx, files->done, files->total);
    return tt_write_full(STDOUT_FILENO, bytes, nbytes, "stdout", err);
}

static tt_status write_stdout(const struct write_plan *plan, struct tt_err *err)
{
    struct out_files files = { .opts = plan->opts, .total = tt_copy_file_nbytes(plan->copy, 0) };
    const struct tt_sink sink = { .write = write_next, .ctx = &files, .in_order = true };
    return run_copy(plan, &sink, 1, err);
}

static tt_status write_file(struct write_plan *plan, int nthreads, struct tt_err *err)
{
    struct tt_outfile out = { .fd = -1 };
    struct out_files files = { 0 };
    const char *folder = tt_path_dir(&plan->arena, plan->target->path);
    tt_status st = folder ? tt_mkdir_p(folder, err) : tt_err_nomem(err, 0, plan->target->path);

    if (st != TT_OK)
        return st;
    tt_save_dir_recover(folder, plan->opts->log);
    st = tt_outfile_open(&out, plan->target->path, err);
    if (st != TT_OK)
        return st;
    out.no_replace = !plan->replaces;
    st = tt_out_files_init(&files, 1, plan->opts, err);
    if (st == TT_OK) {
        const struct tt_sink sink = tt_out_files_sink(&files);
        plan_file(&files, 0, plan->target->path, tt_copy_file_nbytes(plan->copy, 0));
        files.items[0].fd = out.fd;
        files.items[0].is_kept = true;
        st = run_copy(plan, &sink, nthreads, err);
    }
    tt_out_files_release(&files);
    if (st == TT_OK)
        st = tt_copy_check_stop(plan->opts->stop, err); /* the last moment before the output gets its name */
    if (st == TT_OK)
        return tt_outfile_commit(&out, err);
    tt_outfile_abandon(&out);
    return st;
}

/* --- memory ------------------------------------------------------------------------------------------------------------------------- */

static uint64_t memory_of(const struct tt_write_opts *opts) { return opts->max_memory ? opts->max_memory : default_memory; }

/* Of nthreads, as many as may compress: a compressor's tables are large at high levels. */
static int count_workers(const struct write_plan *plan, int nthreads)
{
    const uint64_t most = memory_of(plan->opts) / tt_zstd_writer_nbytes(plan->target->zstd_level);
    return most >= (uint64_t)nthreads ? nthreads : most > 1 ? (int)most : 1;
}

/* --- a folder ----------------------------------------------------------------------------------------------------------------------- */

static tt_status write_metadata(const struct write_plan *plan, const char *folder, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_buf bytes = { 0 };
    const char *path = tt_path_join(&arena, folder, ".metadata");
    tt_status st = path ? tt_metadata_encode(&bytes, &plan->dcp, err) : tt_err_nomem(err, 0, folder);

    if (st == TT_OK)
        st = tt_file_write_all(path, bytes.data, bytes.len, err);
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
    return st;
}

static tt_status write_extra(const struct tt_extra *extra, const char *folder, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_buf bytes = { 0 };
    const char *path = tt_path_join(&arena, folder, extra->name);
    tt_status st = path ? TT_OK : tt_err_nomem(err, 0, folder);

    if (st == TT_OK && extra->copy_of)
        st = tt_file_read_all(&bytes, extra->copy_of, TT_EXTRA_NBYTES_MAX, err);
    if (st == TT_OK)
        st = tt_file_write_all(path, extra->copy_of ? bytes.data : extra->bytes, extra->copy_of ? bytes.len : extra->nbytes, err);
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
    return st;
}

static tt_status clone_files(const struct write_plan *plan, struct out_files *files, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (uint32_t f = 0; f < plan->nfiles && st == TT_OK; f++) {
        const struct write_clone *clone = plan->clones ? &plan->clones[f] : NULL;
        const struct tt_infile *from = NULL;
        if (!clone || !clone->ckpt)
            continue;
        st = tt_files_pin(&clone->ckpt->files, clone->file, &from, err);
        if (st != TT_OK)
            return st;
        if (from->nbytes != clone->nbytes)
            st = tt_err_set(err, TT_EFORMAT, "%s: expected %" PRIu64 " bytes, found %" PRIu64 ": it changes while it is read",
                            from->path, clone->nbytes, from->nbytes);
        if (st == TT_OK)
            st = tt_out_files_clone(files, f, from, plan->target->link, err);
        tt_files_unpin(&clone->ckpt->files, clone->file);
    }
    return st;
}

static tt_status fill_folder(struct write_plan *plan, const char *folder, int nthreads, struct tt_err *err)
{
    struct out_files files = { 0 };
    tt_status st = tt_out_files_init(&files, plan->nfiles, plan->opts, err);

    for (uint32_t f = 0; f < plan->nfiles && st == TT_OK; f++) {
        const char *path = tt_path_join(&plan->arena, folder, plan->files[f]);
        if (!path)
            st = tt_err_nomem(err, strlen(folder), folder);
        else
            plan_file(&files, f, path, tt_write_plan_file_nbytes(plan, f));
    }
    if (st == TT_OK)
        st = clone_files(plan, &files, err);
    if (st == TT_OK && plan->target->zstd_level) {
        st = tt_write_zstd(plan, &files, count_workers(plan, nthreads), err);
    } else if (st == TT_OK) {
        const struct tt_sink sink = tt_out_files_sink(&files);
        st = run_copy(plan, &sink, nthreads, err);
        if (st == TT_OK)
            st = tt_out_files_finish(&files, err);
    }
    tt_out_files_release(&files);
    tt_copy_free(plan->copy); /* before .metadata, which of many chunks is as large */
    plan->copy = NULL;
    for (size_t i = 0; i < plan->target->nextras && st == TT_OK; i++)
        st = write_extra(&plan->target->extras[i], folder, err);
    return st == TT_OK && plan->target->format == TT_CKPT_DCP ? write_metadata(plan, folder, err) : st;
}

static tt_status write_folder(struct write_plan *plan, int nthreads, struct tt_err *err)
{
    struct tt_save_dir dir = { .lock_fd = -1 };
    tt_status st = tt_save_dir_open(&dir, plan->target->path, plan->opts->log, err);

    if (st != TT_OK)
        return st;
    dir.no_replace = !plan->replaces;
    st = fill_folder(plan, dir.tmp, nthreads, err);
    if (st == TT_OK)
        st = tt_copy_check_stop(plan->opts->stop, err); /* the last moment before the output gets its name */
    if (st == TT_OK)
        return tt_save_dir_commit(&dir, err);
    tt_save_dir_abandon(&dir);
    return st;
}

/* --- all ------------------------------------------------------------------------------------------------------------------------------ */

/* As many threads as the buffers may take. */
static tt_status count_threads(const struct tt_write_opts *opts, int zstd_level, int *nthreads, struct tt_err *err)
{
    const int ncores = tt_ncores();
    const uint64_t each = tt_copy_thread_nbytes(), memory = memory_of(opts);
    const uint64_t zstd_nbytes = zstd_level ? tt_zstd_writer_nbytes(zstd_level) : 0;
    int n = opts->threads > 0 ? opts->threads : ncores < THREADS_MAX ? ncores : THREADS_MAX;

    if (memory < each)
        return tt_err_set(err, TT_EINVAL, "max_memory: expected at least %" PRIu64 " bytes for one thread's buffers, found %" PRIu64, each,
                          memory);
    if (opts->max_memory && zstd_nbytes > memory) /* unasked, a level has what it takes */
        return tt_err_set(err, TT_EINVAL, "max_memory: expected at least %" PRIu64 " bytes to compress at level %d, found %" PRIu64,
                          zstd_nbytes, zstd_level, memory);
    if ((uint64_t)n > memory / each)
        n = (int)(memory / each);
    *nthreads = n;
    return TT_OK;
}

static void count(const struct write_plan *plan, int nthreads, struct tt_write_stats *stats)
{
    const struct tt_target *target = plan->target;

    stats->nfiles = plan->nfiles;
    for (size_t i = 0; i < plan->recipe->n; i++)
        if (plan->recipe->items[i].kind == TT_ENTRY_TENSOR)
            stats->ntensors++;
        else
            stats->nvalues++;
    for (uint32_t f = 0; f < plan->nfiles; f++)
        stats->written_nbytes += tt_write_plan_file_nbytes(plan, f);
    for (size_t i = 0; i < target->nextras; i++)
        stats->written_nbytes += target->extras[i].nbytes;
    stats->memory_nbytes = (uint64_t)nthreads * tt_copy_thread_nbytes() + plan->arena.used + plan->dcp.arena.used +
                           plan->recipe->arena.used;
    if (target->zstd_level)
        stats->memory_nbytes += (uint64_t)count_workers(plan, nthreads) * tt_zstd_writer_nbytes(target->zstd_level);
}

static uint64_t count_items(const struct tt_entries *entries)
{
    uint64_t nbytes = 0;
    for (size_t i = 0; i < entries->n; i++)
        for (uint32_t c = 0; c < entries->items[i].nchunks; c++)
            nbytes += entries->items[i].chunks[c].nbytes;
    return nbytes;
}

tt_status tt_recipe_write(const struct tt_recipe *recipe, const struct tt_target *target, const struct tt_write_opts *opts,
                          struct tt_write_stats *stats, struct tt_err *err)
{
    static const struct tt_write_opts none;
    struct tt_write_stats unasked = { 0 }, *s = stats ? stats : &unasked;
    struct write_plan plan = { .recipe = recipe, .target = target, .opts = opts ? opts : &none };
    const double start = tt_seconds();
    int nthreads = 1;
    const bool to_stdout = strcmp(target->path, "-") == 0;
    tt_status st = count_threads(plan.opts, target->zstd_level, &nthreads, err);

    *s = (struct tt_write_stats){ 0 };
    if (st == TT_OK && to_stdout && is_folder(target))
        st = tt_err_set(err, TT_EINVAL, "a folder cannot be written to stdout");
    if (st == TT_OK)
        st = tt_write_plan_make(&plan, err);
    if (st == TT_OK)
        st = check_names(&plan, err);
    if (st == TT_OK) {
        count(&plan, nthreads, s);
        st = tt_write_check(&plan, s, err);
    }
    if (st == TT_OK && !plan.opts->dry_run) {
        if (to_stdout)
            st = write_stdout(&plan, err);
        else if (is_folder(target))
            st = write_folder(&plan, nthreads, err);
        else
            st = write_file(&plan, nthreads, err);
    }
    if (st == TT_OK && target->zstd_level && !plan.opts->dry_run)
        s->written_nbytes = count_items(&plan.dcp); /* the plan had only what they would be uncompressed */
    tt_write_plan_release(&plan);
    s->seconds = tt_seconds() - start;
    return st;
}

tt_status tt_ckpt_write(struct tt_ckpt *ckpt, const struct tt_target *target, const struct tt_write_opts *opts, struct tt_err *err)
{
    struct tt_recipe recipe = { 0 };
    tt_status st = TT_OK;

    for (size_t i = 0; i < ckpt->entries.n && st == TT_OK; i++)
        st = tt_recipe_add_entry(&recipe, ckpt, &ckpt->entries.items[i], err);
    if (st == TT_OK)
        st = tt_recipe_write(&recipe, target, opts, NULL, err);
    tt_recipe_release(&recipe);
    return st;
}

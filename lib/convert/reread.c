#define _GNU_SOURCE
#include "convert/reread.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/output.h"
#include "ckpt/write.h"
#include "format/pt.h"

struct reread {
    const struct tt_recipe *recipe;
    const struct tt_reread_opts *opts;
    struct tt_ckpt *out;
    struct tt_entries folded; /* of a .pt: what its values are, which are not the recipe's where dicts and lists fold */
    struct tt_verify verify; /* of the output: its stored CRCs */
    pthread_mutex_t lock;    /* over all that follows */
    size_t item;             /* the next, and its next element */
    int64_t first;
    uint64_t done, total;
    tt_status status; /* the first failure */
    struct tt_err err;
};

/* A block of a tensor. */
struct piece {
    const struct tt_recipe_item *item;
    const struct tt_entry *entry; /* of the output */
    struct tt_region region;
    int64_t first, numel;
};

struct worker {
    struct reread *all;
    struct tt_assembler *input;
    struct tt_reader *output;
    uint8_t *expected, *found; /* (TT_BLOCK_NBYTES) */
    struct tt_err err;
};

/* --- what there is ------------------------------------------------------------------------------------------------------------ */

static tt_status check_tensor(const struct tt_recipe_item *item, const struct tt_entry *e, const char *path, struct tt_err *err)
{
    const struct tt_output *o = &item->output;
    char a[200], b[200];

    const size_t nshape = (size_t)o->ndim * sizeof *o->shape;
    if (e->dtype == o->dtype && e->ndim == o->ndim && (o->ndim == 0 || memcmp(e->shape, o->shape, nshape) == 0))
        return TT_OK;
    return tt_err_set(err, TT_EFORMAT, "%s: key %s: expected %s %s, found %s %s", path, item->fqn, tt_dtype_name(o->dtype),
                      tt_dims_text(a, sizeof a, o->ndim, o->shape), tt_dtype_name(e->dtype),
                      tt_dims_text(b, sizeof b, e->ndim, e->shape));
}

static tt_status check_kind(const struct reread *all, const char *fqn, enum tt_entry_kind kind, struct tt_err *err)
{
    const struct tt_entry *e = tt_entries_find(&all->out->entries, fqn);

    if (e && e->kind == kind)
        return TT_OK;
    return tt_err_set(err, TT_EFORMAT, "%s: key %s: expected a %s, found %s", all->out->path, fqn,
                      kind == TT_ENTRY_TENSOR ? "tensor" : "value", e ? "something else" : "none");
}

static tt_status check_items(const struct reread *all, const char *path, struct tt_err *err)
{
    const struct tt_recipe *recipe = all->recipe;
    tt_status st = TT_OK;

    const bool is_pt = all->out->format == TT_CKPT_PT;
    const size_t n = is_pt ? all->folded.n : recipe->n;

    if (all->out->entries.n != n)
        return tt_err_set(err, TT_EFORMAT, "%s: expected %zu keys, found %zu", path, n, all->out->entries.n);
    for (size_t i = 0; i < all->folded.n && st == TT_OK; i++)
        st = check_kind(all, all->folded.items[i].fqn, all->folded.items[i].kind, err);
    for (size_t i = 0; i < recipe->n && st == TT_OK; i++) {
        const struct tt_recipe_item *item = &recipe->items[i];
        if (item->kind == TT_ENTRY_TENSOR || !is_pt)
            st = check_kind(all, item->fqn, item->kind, err);
        if (st == TT_OK && item->kind == TT_ENTRY_TENSOR)
            st = check_tensor(item, tt_entries_find(&all->out->entries, item->fqn), path, err);
    }
    return st;
}

static void forget_cached(struct tt_ckpt *out)
{
    for (uint32_t i = 0; i < out->entries.nfiles; i++) {
        const struct tt_infile *file;
        if (tt_files_pin(&out->files, i, &file, NULL) != TT_OK)
            continue; /* who reads it will say so */
        posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
        tt_files_unpin(&out->files, i);
    }
}

static uint64_t item_nbytes(const struct tt_recipe_item *item)
{
    int64_t numel = 0;
    const bool ok = item->kind == TT_ENTRY_TENSOR && tt_numel(item->output.ndim, item->output.shape, &numel);
    return ok ? (uint64_t)numel * tt_dtype_nbytes(item->output.dtype) : 0;
}

/* --- values ------------------------------------------------------------------------------------------------------------------- */

static tt_status compare_value(const struct reread *all, const char *fqn, const struct tt_value *expected, struct tt_err *err)
{
    const struct tt_entry *e = tt_entries_find(&all->out->entries, fqn);
    const struct tt_value *found = NULL;
    struct tt_arena arena = { 0 };
    tt_status st = tt_ckpt_read_object(all->out, e, &arena, &found, err);

    if (st == TT_OK && !tt_pt_equal(expected, found))
        st = tt_err_set(err, TT_EFORMAT, "%s: key %s: its value is not the one that was to be written", all->out->path, fqn);
    tt_arena_release(&arena);
    return st;
}

static tt_status compare_item(const struct reread *all, const struct tt_recipe_item *item, struct tt_err *err)
{
    const struct tt_value *expected = item->value;
    struct tt_arena arena = { 0 };
    tt_status st = expected ? TT_OK : tt_ckpt_read_object(item->ckpt, item->entry, &arena, &expected, err);

    if (st == TT_OK)
        st = compare_value(all, item->fqn, expected, err);
    tt_arena_release(&arena);
    return st;
}

static tt_status compare_values(const struct reread *all, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < all->folded.n && st == TT_OK; i++)
        if (all->folded.items[i].kind == TT_ENTRY_VALUE)
            st = compare_value(all, all->folded.items[i].fqn, all->folded.items[i].value, err);
    for (size_t i = 0; i < all->recipe->n && st == TT_OK; i++)
        if (all->recipe->items[i].kind == TT_ENTRY_VALUE && all->out->format != TT_CKPT_PT)
            st = compare_item(all, &all->recipe->items[i], err);
    return st;
}

/* --- tensors ------------------------------------------------------------------------------------------------------------------ */

static void check_stop(struct reread *all)
{
    const volatile sig_atomic_t *stop = all->opts->stop;
    if (all->status == TT_OK && stop && *stop)
        all->status = tt_err_set(&all->err, TT_EIO, "ended by signal %d; %s is written, but was not read again to its end", (int)*stop,
                                 all->out->path);
}

/* False: nothing is left, or something failed. Under the lock. */
static bool take(struct reread *all, struct piece *piece)
{
    const struct tt_recipe *recipe = all->recipe;

    check_stop(all);
    while (all->status == TT_OK && all->item < recipe->n) {
        const struct tt_recipe_item *item = &recipe->items[all->item];
        const struct tt_output *o = &item->output;
        int64_t total = 0;
        if (item->kind != TT_ENTRY_TENSOR || !tt_numel(o->ndim, o->shape, &total) || all->first >= total) {
            all->item++;
            all->first = 0;
            continue;
        }
        const struct tt_region whole = tt_region_make(o->ndim, NULL, o->shape);
        piece->item = item;
        piece->first = all->first;
        piece->numel = tt_region_piece(&piece->region, &whole, all->first, tt_output_piece_numel(o));
        all->first += piece->numel;
        return true;
    }
    return false;
}

static tt_status compare(struct worker *w, const struct piece *piece)
{
    const struct tt_output *o = &piece->item->output;
    const struct tt_entry *entry = tt_entries_find(&w->all->out->entries, piece->item->fqn);
    const size_t unit = tt_dtype_nbytes(o->dtype), nbytes = (size_t)piece->numel * unit;
    size_t i = 0;
    tt_status st = tt_assemble(w->input, o, &piece->region, w->expected, &w->err);

    if (st == TT_OK)
        st = tt_read_region(w->output, entry, &piece->region, w->found, &w->err);
    if (st != TT_OK || memcmp(w->expected, w->found, nbytes) == 0)
        return st;
    while (w->expected[i] == w->found[i])
        i++;
    return tt_err_set(&w->err, TT_EFORMAT, "%s: key %s: element %" PRId64 " is not the one that was to be written",
                      w->all->out->path, o->fqn, piece->first + (int64_t)(i / unit));
}

static tt_status work(struct worker *w)
{
    struct reread *all = w->all;
    struct piece piece;
    tt_status st = tt_assembler_new(&w->input, NULL, NULL, &w->err);

    w->expected = tt_io_buffer(TT_BLOCK_NBYTES);
    w->found = tt_io_buffer(TT_BLOCK_NBYTES);
    if (st == TT_OK)
        st = tt_reader_new(&w->output, all->out, &all->verify, NULL, &w->err);
    if (st == TT_OK && (!w->expected || !w->found))
        st = tt_err_nomem(&w->err, TT_BLOCK_NBYTES, "a buffer");
    while (st == TT_OK) {
        pthread_mutex_lock(&all->lock);
        const bool taken = take(all, &piece);
        pthread_mutex_unlock(&all->lock);
        if (!taken)
            break;
        st = compare(w, &piece);
        pthread_mutex_lock(&all->lock);
        all->done += (uint64_t)piece.numel * tt_dtype_nbytes(piece.item->output.dtype);
        if (st == TT_OK && all->opts->progress)
            all->opts->progress(all->opts->ctx, all->done, all->total);
        pthread_mutex_unlock(&all->lock);
    }
    tt_assembler_free(w->input);
    tt_reader_free(w->output);
    free(w->expected);
    free(w->found);
    return st;
}

static void work_in_thread(void *ctx, int64_t begin, int64_t end, int thread)
{
    struct reread *all = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        struct worker w = { .all = all };
        if (work(&w) == TT_OK)
            continue;
        pthread_mutex_lock(&all->lock);
        if (all->status == TT_OK) {
            all->status = w.err.status;
            all->err = w.err;
        }
        pthread_mutex_unlock(&all->lock);
    }
}

static tt_status compare_tensors(struct reread *all, struct tt_err *err)
{
    tt_status st = tt_verify_init(&all->verify, err);

    if (st != TT_OK)
        return st;
    tt_pool_run(all->opts->pool, tt_pool_nthreads(all->opts->pool), 1, work_in_thread, all);
    if (all->status != TT_OK)
        st = tt_err_set(err, all->status, "%s", all->err.msg);
    else
        st = tt_verify_finish(&all->verify, err);
    tt_verify_release(&all->verify);
    return st;
}

tt_status tt_recipe_reread(const struct tt_recipe *recipe, const char *path, const struct tt_reread_opts *opts, struct tt_err *err)
{
    struct reread all = { .recipe = recipe, .opts = opts };
    tt_status st = tt_ckpt_open(&all.out, path, err);

    if (st != TT_OK)
        return st;
    const int e = pthread_mutex_init(&all.lock, NULL);
    if (e)
        st = tt_err_errno(err, e, "pthread_mutex_init");
    for (size_t i = 0; i < recipe->n; i++)
        all.total += item_nbytes(&recipe->items[i]);
    if (st == TT_OK && all.out->format == TT_CKPT_PT)
        st = tt_recipe_pt_entries(&all.folded, recipe, opts->flat, err);
    if (st == TT_OK)
        st = check_items(&all, path, err);
    if (st == TT_OK) {
        forget_cached(all.out);
        st = compare_values(&all, err);
    }
    if (st == TT_OK)
        st = compare_tensors(&all, err);
    if (!e)
        pthread_mutex_destroy(&all.lock);
    tt_entries_release(&all.folded);
    tt_ckpt_close(all.out);
    return st;
}

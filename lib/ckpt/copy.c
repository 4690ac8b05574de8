#include "ckpt/copy.h"

#include <stdlib.h>
#include <string.h>

#include "ckpt/output.h"
#include "format/pt.h"

/* One contiguous run of output: the bytes of a storage, or of a region in memory. */
struct data {
    const struct tt_fill *fill;
    void *dst; /* memory; NULL: a storage of an archive */
    uint64_t left; /* bytes that are not written yet */
    struct tt_crc_pieces pieces;
};

struct archive {
    uint64_t offset;
    struct tt_pt_records records;
    struct tt_buf pickle;
    size_t first_data, ndata;
    size_t left; /* of its head and its storages: those that are not written yet */
};

struct tt_copy {
    struct tt_ckpt *src;
    struct tt_arena arena;
    struct data *data;
    size_t ndata, data_cap;
    struct archive *archives;
    size_t narchives, archives_cap;
    uint64_t nbytes;
};

/* --- the plan ----------------------------------------------------------------------------------------------------------------- */

tt_status tt_copy_new(struct tt_copy **out, struct tt_ckpt *src, struct tt_err *err)
{
    struct tt_copy *copy = calloc(1, sizeof *copy);
    if (!copy)
        return tt_err_nomem(err, sizeof *copy, "a copy");
    copy->src = src;
    *out = copy;
    return TT_OK;
}

void tt_copy_free(struct tt_copy *copy)
{
    if (!copy)
        return;
    for (size_t i = 0; i < copy->ndata; i++)
        tt_crc_pieces_release(&copy->data[i].pieces);
    for (size_t i = 0; i < copy->narchives; i++)
        tt_buf_release(&copy->archives[i].pickle);
    free(copy->data);
    free(copy->archives);
    tt_arena_release(&copy->arena);
    free(copy);
}

static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    const size_t bigger = *cap ? *cap * 2 : 64;
    void *p = realloc(*items, bigger * size);
    if (p) {
        *items = p;
        *cap = bigger;
    }
    return p != NULL;
}

static uint64_t fill_nbytes(const struct tt_fill *fill)
{
    const struct tt_region r = tt_fill_region(fill);
    int64_t numel = 0;
    return tt_numel(r.ndim, r.size, &numel) ? (uint64_t)numel * tt_dtype_nbytes(fill->output->dtype) : 0;
}

static tt_status add_data(struct tt_copy *copy, const struct tt_fill *fill, void *dst, struct tt_err *err)
{
    void *items = copy->data;

    const tt_status st = tt_output_check(fill->output, err);
    if (st != TT_OK)
        return st;
    const bool ok = grow(&items, copy->ndata, &copy->data_cap, sizeof *copy->data);
    copy->data = items;
    if (!ok)
        return tt_err_nomem(err, copy->data_cap * sizeof *copy->data, "a copy");
    copy->data[copy->ndata++] = (struct data){ .fill = fill, .dst = dst, .left = fill_nbytes(fill) };
    return TT_OK;
}

tt_status tt_copy_add_memory(struct tt_copy *copy, const struct tt_fill *fill, void *dst, struct tt_err *err)
{
    return add_data(copy, fill, dst, err);
}

static tt_status plan_archive(struct tt_copy *copy, struct archive *a, const char *root, const struct tt_value *value,
                              struct tt_err *err)
{
    struct tt_pt_storages storages = { 0 };
    tt_status st = tt_pt_encode(&a->pickle, &storages, &copy->arena, value, err);
    uint64_t *nbytes = tt_arena_array(&copy->arena, storages.n, sizeof *nbytes);

    if (st == TT_OK && !nbytes)
        st = tt_err_nomem(err, storages.n * sizeof *nbytes, "a copy");
    a->first_data = copy->ndata;
    for (size_t i = 0; i < storages.n && st == TT_OK; i++) {
        nbytes[i] = storages.items[i]->nbytes;
        st = add_data(copy, storages.items[i]->owner, NULL, err);
    }
    a->ndata = storages.n;
    a->left = 1 + storages.n;
    return st == TT_OK ? tt_pt_layout(&a->records, &copy->arena, root, &a->pickle, nbytes, storages.n, err) : st;
}

tt_status tt_copy_add_archive(struct tt_copy *copy, const char *root, const struct tt_value *value, uint64_t *offset,
                              uint64_t *nbytes, struct tt_err *err)
{
    void *items = copy->archives;
    const bool ok = grow(&items, copy->narchives, &copy->archives_cap, sizeof *copy->archives);

    copy->archives = items;
    if (!ok)
        return tt_err_nomem(err, copy->archives_cap * sizeof *copy->archives, "a copy");
    struct archive *a = &copy->archives[copy->narchives++];
    *a = (struct archive){ .offset = copy->nbytes };
    const tt_status st = plan_archive(copy, a, root, value, err);
    if (st != TT_OK)
        return st;
    copy->nbytes += a->records.nbytes;
    if (offset)
        *offset = a->offset;
    if (nbytes)
        *nbytes = a->records.nbytes;
    return TT_OK;
}

struct tt_value *tt_copy_tensor(struct tt_arena *arena, const struct tt_fill *fill)
{
    const struct tt_region region = tt_fill_region(fill);
    struct tt_value *v = tt_value_null(arena);
    struct tt_pt_tensor *t = tt_arena_alloc(arena, sizeof *t);
    struct tt_pt_storage *s = tt_arena_alloc(arena, sizeof *s);
    int64_t *dims = tt_arena_array(arena, 2 * (size_t)region.ndim, sizeof *dims);

    if (!v || !t || !s || !dims)
        return NULL;
    if (region.ndim)
        memcpy(dims, region.size, (size_t)region.ndim * sizeof *dims);
    tt_strides_row_major(dims + region.ndim, region.ndim, dims);
    *s = (struct tt_pt_storage){ .dtype = fill->output->dtype, .nbytes = fill_nbytes(fill), .owner = fill, .number = -1 };
    *t = (struct tt_pt_tensor){ .dtype = fill->output->dtype, .ndim = region.ndim, .shape = dims, .strides = dims + region.ndim,
                                .storage = s };
    v->kind = TT_V_TENSOR;
    v->u.ref = t;
    return v;
}

/* --- the run
 * ---------------------------------------------------------------------------------------------------------------------- Work is
 * handed out in the order of the output, under one lock: the head of an archive, then block after block of its storages. What
 * stands between two storages is written by whoever finishes the first of them, and the end by whoever finishes the last: with a
 * single thread that is the order of the bytes, which is what a stream needs. */
struct run {
    struct tt_copy *copy;
    const struct tt_sink *sink;
    struct tt_verify verify;
    pthread_mutex_t lock; /* over all that follows, and what is left of data and archives */
    size_t archive, data; /* the next of each */
    bool in_data;         /* inside an archive: its head was handed out */
    int64_t first;        /* next element of `data` */
    tt_status status;     /* the first failure */
    struct tt_err err;
};

struct worker {
    struct run *run;
    struct tt_assembler *assembler;
    uint8_t *block;        /* (TT_BLOCK_NBYTES) in the output's dtype */
    struct tt_buf text;    /* headers */
    struct tt_buf pending; /* small writes, one behind the other, that are not written yet ... */
    uint64_t pending_at;   /* ... and where they go */
    struct tt_err err;
};

struct job {
    struct archive *archive; /* whose head it is, or whose storage; NULL: memory */
    struct data *data;       /* NULL: the head of the archive */
    struct tt_region piece;
    int64_t first, numel; /* of the piece, in elements of the data */
};

/* A checkpoint has some thousand items of a few hundred bytes: a worker takes as many jobs at a time as make a write worth its
 * call, and writes what is small together with what follows it. */
enum { JOBS_MAX = 64, JOBS_NBYTES = 1 << 18, SMALL_WRITE_NBYTES = 1 << 16, PENDING_NBYTES = 1 << 20 };

/* The next piece of the current data. */
static void take_piece(struct run *run, struct job *job)
{
    struct data *data = &run->copy->data[run->data];
    const struct tt_region whole = tt_fill_region(data->fill);
    int64_t total = 0;
    const size_t unit = tt_output_unit(data->fill->output);

    job->data = data;
    job->first = run->first;
    if (tt_region_is_empty(&whole) || !tt_numel(whole.ndim, whole.size, &total)) {
        job->piece = whole;
    } else {
        job->numel = tt_region_piece(&job->piece, &whole, run->first, TT_BLOCK_NBYTES / (int64_t)unit);
        run->first += job->numel;
    }
    if (run->first >= total) {
        run->data++;
        run->first = 0;
    }
}

/* False: nothing is left, or something failed. Under the lock. */
static bool take_job(struct run *run, struct job *job)
{
    struct tt_copy *copy = run->copy;
    bool taken = false;

    *job = (struct job){ 0 };
    while (run->status == TT_OK && !taken) {
        struct archive *a = run->archive < copy->narchives ? &copy->archives[run->archive] : NULL;
        if (a && run->in_data && run->data == a->first_data + a->ndata) {
            run->archive++;
            run->in_data = false;
            continue;
        }
        if (a && !run->in_data && run->data == a->first_data) {
            job->archive = a;
            run->in_data = taken = true;
        } else if (run->data < copy->ndata) {
            job->archive = a && run->in_data ? a : NULL;
            take_piece(run, job);
            taken = true;
        } else {
            break;
        }
    }
    return taken;
}

static int take_jobs(struct run *run, struct job jobs[JOBS_MAX])
{
    uint64_t nbytes = 0;
    int n = 0;

    pthread_mutex_lock(&run->lock);
    while (n < JOBS_MAX && nbytes < JOBS_NBYTES && take_job(run, &jobs[n])) {
        const struct job *job = &jobs[n++];
        nbytes += job->data ? (uint64_t)job->numel * tt_dtype_nbytes(job->data->fill->output->dtype) : job->archive->pickle.len;
    }
    pthread_mutex_unlock(&run->lock);
    return n;
}

static tt_status flush(struct worker *w)
{
    const struct tt_sink *sink = w->run->sink;
    tt_status st = tt_buf_check(&w->pending, "what is to be written", &w->err);

    if (st == TT_OK && w->pending.len)
        st = sink->write(sink->ctx, w->pending.data, w->pending.len, w->pending_at, &w->err);
    tt_buf_clear(&w->pending);
    return st;
}

static tt_status sink_write(struct worker *w, const void *bytes, size_t nbytes, uint64_t offset)
{
    const struct tt_sink *sink = w->run->sink;
    const bool follows = offset == w->pending_at + w->pending.len, is_small = nbytes < SMALL_WRITE_NBYTES;
    tt_status st = TT_OK;

    if (nbytes == 0)
        return TT_OK;
    if (!follows || !is_small || w->pending.len + nbytes > PENDING_NBYTES)
        st = flush(w);
    if (st != TT_OK || !is_small)
        return st == TT_OK ? sink->write(sink->ctx, bytes, nbytes, offset, &w->err) : st;
    if (w->pending.len == 0)
        w->pending_at = offset;
    tt_buf_put(&w->pending, bytes, nbytes);
    return TT_OK;
}

static tt_status write_text(struct worker *w, uint64_t offset)
{
    const tt_status st = tt_buf_check(&w->text, "the headers of a torch zip", &w->err);
    return st == TT_OK ? sink_write(w, w->text.data, w->text.len, offset) : st;
}

static uint64_t data_end(const struct archive *a, size_t i)
{
    const struct tt_zip_record *r = &a->records.items[TT_PT_DATA0 + i];
    return a->offset + r->data_offset + r->nbytes;
}

/* The head or a storage is written; with the last of them comes the tail, which has the CRCs of all. */
static tt_status finish_one(struct worker *w, struct archive *a)
{
    pthread_mutex_lock(&w->run->lock);
    const bool last = --a->left == 0;
    pthread_mutex_unlock(&w->run->lock);
    if (!last)
        return TT_OK;
    tt_buf_clear(&w->text);
    tt_pt_put_tail(&w->text, &a->records);
    return write_text(w, a->offset + a->records.nbytes - w->text.len);
}

static tt_status write_head(struct worker *w, struct archive *a)
{
    tt_buf_clear(&w->text);
    tt_pt_put_head(&w->text, &a->records, &a->pickle);
    const tt_status st = write_text(w, a->offset);
    return st == TT_OK ? finish_one(w, a) : st;
}

/* Storage i of the archive is complete. */
static tt_status finish_data(struct worker *w, struct archive *a, struct data *data)
{
    const size_t i = (size_t)(data - w->run->copy->data) - a->first_data;
    struct tt_zip_record *record = &a->records.items[TT_PT_DATA0 + i];
    tt_status st = TT_OK;

    if (!tt_crc_pieces_join(&data->pieces, record->nbytes, &record->crc))
        return tt_err_set(&w->err, TT_EINVAL, "key %s: the blocks of its copy do not tile it", data->fill->output->fqn);
    tt_crc_pieces_release(&data->pieces);
    if (i + 1 < a->ndata) {
        tt_buf_clear(&w->text);
        tt_pt_put_between(&w->text, &a->records, i);
        st = write_text(w, data_end(a, i));
    }
    return st == TT_OK ? finish_one(w, a) : st;
}

/* --- a piece ------------------------------------------------------------------------------------------------------------------ */

static tt_status do_piece(struct worker *w, const struct job *job)
{
    struct data *data = job->data;
    const struct tt_output *o = data->fill->output;
    const size_t unit = tt_dtype_nbytes(o->dtype), nbytes = (size_t)job->numel * unit;
    const uint64_t begin = (uint64_t)job->first * unit;
    uint8_t *out = data->dst ? (uint8_t *)data->dst + begin : w->block;
    tt_status st = job->numel ? tt_assemble(w->assembler, o, &job->piece, out, &w->err) : TT_OK;

    if (st != TT_OK || data->dst)
        return st;
    struct archive *a = job->archive;
    const size_t i = (size_t)(data - w->run->copy->data) - a->first_data;
    const uint32_t crc = tt_crc32(0, out, nbytes);
    st = sink_write(w, out, nbytes, a->offset + a->records.items[TT_PT_DATA0 + i].data_offset + begin);
    pthread_mutex_lock(&w->run->lock);
    if (st == TT_OK && nbytes)
        st = tt_crc_pieces_add(&data->pieces, begin, nbytes, crc, &w->err);
    data->left -= nbytes;
    const bool complete = data->left == 0;
    pthread_mutex_unlock(&w->run->lock);
    return st == TT_OK && complete ? finish_data(w, a, data) : st;
}

/* --- threads ------------------------------------------------------------------------------------------------------------------ */

static tt_status work(struct worker *w)
{
    struct job jobs[JOBS_MAX];
    int n;
    tt_status st = tt_assembler_new(&w->assembler, w->run->copy->src, &w->run->verify, &w->err);

    w->block = malloc(TT_BLOCK_NBYTES);
    if (st == TT_OK && !w->block)
        st = tt_err_nomem(&w->err, TT_BLOCK_NBYTES, "a buffer");
    while (st == TT_OK && (n = take_jobs(w->run, jobs)) > 0)
        for (int i = 0; i < n && st == TT_OK; i++)
            st = jobs[i].data ? do_piece(w, &jobs[i]) : write_head(w, jobs[i].archive);
    if (st == TT_OK)
        st = flush(w);
    tt_assembler_free(w->assembler);
    tt_buf_release(&w->text);
    tt_buf_release(&w->pending);
    free(w->block);
    return st;
}

static void work_in_thread(void *ctx, int64_t begin, int64_t end, int thread)
{
    struct run *run = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        struct worker w = { .run = run };
        if (work(&w) == TT_OK)
            continue;
        pthread_mutex_lock(&run->lock);
        if (run->status == TT_OK) {
            run->status = w.err.status;
            run->err = w.err;
        }
        pthread_mutex_unlock(&run->lock);
    }
}

tt_status tt_copy_run(struct tt_copy *copy, struct tt_pool *pool, const struct tt_sink *sink, struct tt_err *err)
{
    struct run run = { .copy = copy, .sink = sink };
    tt_status st = tt_verify_init(&run.verify, err);
    if (st != TT_OK)
        return st;
    const int rc = pthread_mutex_init(&run.lock, NULL);
    if (rc) {
        tt_verify_release(&run.verify);
        return tt_err_errno(err, rc, "cannot make a lock");
    }
    const bool alone = sink && sink->in_order;
    tt_pool_run(alone ? NULL : pool, alone ? 1 : tt_pool_nthreads(pool), 1, work_in_thread, &run);
    if (run.status != TT_OK)
        st = tt_err_set(err, run.status, "%s", run.err.msg);
    else
        st = tt_verify_finish(&run.verify, err);
    pthread_mutex_destroy(&run.lock);
    tt_verify_release(&run.verify);
    return st;
}

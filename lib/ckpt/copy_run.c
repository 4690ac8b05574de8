#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/copy_private.h"

/* Work is handed out segment after segment, under one lock: the head of an archive, then piece after piece of its storages.
 * What stands between two storages is written by whoever finishes the first of them, and the end by whoever finishes the last:
 * with a single thread that is the order of the bytes, which is what a stream needs. */
struct run {
    struct tt_copy *copy;
    const struct tt_sink *sink;
    const struct tt_copy_opts *opts;
    struct tt_verify verify;
    pthread_mutex_t lock; /* over all that follows, and what is left of data and archives */
    size_t next, data; /* of the order of the segments; of the data */
    bool begun;           /* the head of the segment was handed out */
    int64_t first;        /* next element of `data`, next byte of a RUN */
    tt_status status;     /* the first failure */
    struct tt_err err;
};

struct worker {
    struct run *run;
    struct tt_assembler *assembler;
    uint8_t *block;        /* (TT_BLOCK_NBYTES) in the output's dtype; NULL until it is needed */
    struct tt_buf text;    /* headers */
    struct tt_buf pending; /* small writes, one behind the other, that are not written yet ... */
    uint32_t pending_file; /* ... and where they go */
    uint64_t pending_at;
    struct tt_err err;
};

struct job {
    struct copy_segment *segment;
    struct copy_data *data;       /* NULL: the head of an archive, bytes, or part of a run */
    const struct tt_chunk *chunk; /* not NULL: the elements are this chunk of the source, all of it and nothing else */
    int64_t first, numel;         /* elements of the data; bytes of a RUN */
};

enum {
    /* A checkpoint has some thousand items of a few hundred bytes: a worker takes as many jobs at a time as make a write worth
     * its call, and writes what is small together with what follows it. */
    JOBS_MAX = 64,
    JOBS_NBYTES = 1 << 18,
    SMALL_WRITE_NBYTES = 1 << 16,
    PENDING_NBYTES = 1 << 20,
    CARRY_NBYTES_MIN = 1 << 18, /* what is smaller is copied faster together with its neighbours */
    RUN_NBYTES = 8 << 20,       /* what the kernel copies at a time */
};

uint64_t tt_copy_thread_nbytes(void) { return tt_assembler_nbytes() + TT_BLOCK_NBYTES + PENDING_NBYTES; }

tt_status tt_copy_check_stop(const volatile sig_atomic_t *stop, struct tt_err *err)
{
    return stop && *stop ? tt_err_set(err, TT_EIO, "ended by signal %d; nothing was left behind", (int)*stop) : TT_OK;
}

static tt_status check_stop(struct worker *w) { return tt_copy_check_stop(w->run->opts->stop, &w->err); }

/* --- handing out -------------------------------------------------------------------------------------------------------------- */

/* Whether the output is one part of one source, element for element. */
static bool is_identity(const struct tt_output *o)
{
    const struct tt_part *p = o->parts;
    return o->nparts == 1 && !o->weights && tt_part_is_plain(o, p) && p->src->dtype == o->dtype;
}

/* The elements of the data, where they lie in memory as they are to be written: what a running job saves. */
static const uint8_t *in_memory(const struct copy_data *d)
{
    const struct tt_output *o = d->box.output;
    const struct tt_entry *src = o->nparts ? o->parts->src : NULL;
    const struct tt_region whole = tt_output_box_region(&d->box);

    if (!src || !is_identity(o) || src->nchunks != 1 || src->chunks->codec != TT_CODEC_MEMORY || src->ndim != whole.ndim)
        return NULL;
    for (int i = 0; i < whole.ndim; i++)
        if (whole.size[i] != src->shape[i] || src->chunks->sizes[i] != src->shape[i])
            return NULL;
    return src->chunks->data;
}

/* The chunk of the source whose elements are the data's from `first` on, in their order; *numel is how many. NULL: there is none
 * of so many bytes. */
static const struct tt_chunk *whole_chunk(const struct copy_data *d, int64_t first, uint64_t nbytes_min, int64_t *numel)
{
    const struct tt_output *o = d->box.output;
    const struct tt_part *p = o->parts;
    struct tt_region want = tt_output_box_region(&d->box);
    const int64_t nrows = want.ndim ? want.size[0] : 1;
    int64_t row = 1, n = 0;

    if (!is_identity(o))
        return NULL;
    want = tt_part_source(p, &want);
    for (int i = 1; i < want.ndim; i++)
        row *= want.size[i];
    if (row == 0 || first % row)
        return NULL;
    if (want.ndim) { /* the row that comes next */
        want.offset[0] += first / row;
        want.size[0] = 1;
    }
    struct tt_chunk_search search = tt_chunks_in(p->src, &want);
    for (const struct tt_chunk *chunk; (chunk = tt_chunks_next(&search));) {
        bool same = want.ndim == 0 || (chunk->offsets[0] == want.offset[0] && chunk->sizes[0] <= nrows - first / row);
        for (int i = 1; i < want.ndim; i++)
            same &= chunk->offsets[i] == want.offset[i] && chunk->sizes[i] == want.size[i];
        if (same && tt_numel(want.ndim, chunk->sizes, &n) && (uint64_t)n * tt_dtype_nbytes(o->dtype) >= nbytes_min) {
            *numel = n;
            return chunk;
        }
    }
    return NULL;
}

/* Whether the kernel shall copy it, with the CRC that it was stored with: where that saves something, or nothing is to be looked
 * at. */
static bool is_carried(const struct run *run, const struct copy_segment *s, const struct copy_data *d)
{
    const struct tt_part *part = d->box.output->parts;
    struct tt_ckpt *ckpt = part && part->ckpt ? part->ckpt : run->copy->src;

    return run->sink && run->sink->copy && s->u.archive && (s->kind == COPY_ARCHIVE || s->kind == COPY_ITEM) && ckpt &&
           (run->opts->no_verify || tt_files_by_kernel(&ckpt->files));
}

/* The next piece of the current data. */
static void take_piece(struct run *run, struct job *job)
{
    struct copy_data *data = &run->copy->data[run->data];
    const struct tt_region whole = tt_output_box_region(&data->box);
    struct tt_region piece;
    int64_t total = 0;

    job->data = data;
    job->first = run->first;
    if (!tt_region_is_empty(&whole) && tt_numel(whole.ndim, whole.size, &total)) {
        const uint64_t nbytes_min = run->opts->no_verify ? 1 : CARRY_NBYTES_MIN; /* no new CRC for what nobody looked at */
        job->chunk = is_carried(run, job->segment, data) ? whole_chunk(data, run->first, nbytes_min, &job->numel) : NULL;
        if (!job->chunk)
            job->numel = tt_output_piece(&piece, data->box.output, &whole, run->first);
        run->first += job->numel;
    }
    if (run->first >= total) {
        run->data++;
        run->first = 0;
    }
}

/* The head of the segment, where it has one: true, and job is it. */
static bool begin_segment(struct run *run, struct job *job)
{
    struct copy_segment *s = job->segment;

    run->begun = true;
    run->data = s->first_data;
    run->first = 0;
    if (s->kind == COPY_ITEM) {
        run->status = tt_copy_open_item(&s->u.archive, &run->copy->data[s->first_data].box, &run->err);
        return run->status == TT_OK;
    }
    return s->kind == COPY_ARCHIVE || s->kind == COPY_BYTES;
}

/* False: nothing is left, or something failed. Under the lock. */
static bool take_job(struct run *run, struct job *job)
{
    while (run->status == TT_OK && run->next < run->copy->nsegments) {
        struct copy_segment *s = &run->copy->segments[run->copy->order ? run->copy->order[run->next] : run->next];
        *job = (struct job){ .segment = s };
        if (!run->begun && begin_segment(run, job))
            return true;
        if (run->status != TT_OK)
            return false;
        if (s->kind == COPY_RUN && (uint64_t)run->first < s->nbytes) {
            const uint64_t left = s->nbytes - (uint64_t)run->first;
            job->first = run->first;
            job->numel = (int64_t)(left < RUN_NBYTES ? left : RUN_NBYTES);
            run->first += job->numel;
            return true;
        }
        if (s->kind != COPY_RUN && run->data < s->first_data + s->ndata) {
            take_piece(run, job);
            return true;
        }
        run->next++;
        run->begun = false;
    }
    return false;
}

static uint64_t job_nbytes(const struct job *job)
{
    if (job->data)
        return (uint64_t)job->numel * tt_dtype_nbytes(job->data->box.output->dtype);
    switch (job->segment->kind) {
    case COPY_BYTES: return job->segment->nbytes;
    case COPY_RUN: return (uint64_t)job->numel;
    default: return job->segment->u.archive->pickle.len;
    }
}

static int take_jobs(struct run *run, struct job jobs[JOBS_MAX])
{
    uint64_t nbytes = 0;
    int n = 0;

    pthread_mutex_lock(&run->lock);
    while (n < JOBS_MAX && nbytes < JOBS_NBYTES && take_job(run, &jobs[n]))
        nbytes += job_nbytes(&jobs[n++]);
    pthread_mutex_unlock(&run->lock);
    return n;
}

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

static tt_status flush(struct worker *w)
{
    const struct tt_sink *sink = w->run->sink;
    tt_status st = tt_buf_check(&w->pending, "what is to be written", &w->err);

    if (st == TT_OK && w->pending.len)
        st = sink->write(sink->ctx, w->pending_file, w->pending.data, w->pending.len, w->pending_at, &w->err);
    tt_buf_clear(&w->pending);
    return st;
}

static tt_status sink_write(struct worker *w, const struct copy_segment *s, const void *bytes, size_t nbytes, uint64_t at)
{
    const struct tt_sink *sink = w->run->sink;
    const uint64_t offset = s->offset + at;
    const bool follows = s->file == w->pending_file && offset == w->pending_at + w->pending.len;
    const bool is_small = nbytes < SMALL_WRITE_NBYTES;
    tt_status st = TT_OK;

    if (nbytes == 0)
        return TT_OK;
    if (!follows || !is_small || w->pending.len + nbytes > PENDING_NBYTES)
        st = flush(w);
    if (st != TT_OK || !is_small)
        return st == TT_OK ? sink->write(sink->ctx, s->file, bytes, nbytes, offset, &w->err) : st;
    if (w->pending.len == 0) {
        w->pending_file = s->file;
        w->pending_at = offset;
    }
    tt_buf_put(&w->pending, bytes, nbytes);
    return TT_OK;
}

static tt_status write_text(struct worker *w, const struct copy_segment *s, uint64_t at)
{
    const tt_status st = tt_buf_check(&w->text, "the headers of a torch zip", &w->err);
    return st == TT_OK ? sink_write(w, s, w->text.data, w->text.len, at) : st;
}

/* The segment is written; a stream is told so. */
static tt_status end_segment(struct worker *w, const struct copy_segment *s)
{
    const struct tt_sink *sink = w->run->sink;
    if (!sink->end)
        return TT_OK;
    const tt_status st = flush(w);
    return st == TT_OK ? sink->end(sink->ctx, (size_t)(s - w->run->copy->segments), &w->err) : st;
}

/* The head or a storage is written; with the last of them comes the tail, which has the CRCs of all. */
static tt_status finish_one(struct worker *w, struct copy_segment *s)
{
    struct copy_archive *a = s->u.archive;

    pthread_mutex_lock(&w->run->lock);
    const bool last = --a->left == 0;
    pthread_mutex_unlock(&w->run->lock);
    if (!last)
        return TT_OK;
    tt_buf_clear(&w->text);
    tt_pt_put_tail(&w->text, &a->records);
    const tt_status st = write_text(w, s, s->nbytes - w->text.len);
    if (s->kind == COPY_ITEM) {
        tt_copy_close_archive(a);
        s->u.archive = NULL;
    }
    return st == TT_OK ? end_segment(w, s) : st;
}

static tt_status write_head(struct worker *w, struct copy_segment *s)
{
    tt_buf_clear(&w->text);
    tt_pt_put_head(&w->text, &s->u.archive->records, &s->u.archive->pickle);
    const tt_status st = write_text(w, s, 0);
    return st == TT_OK ? finish_one(w, s) : st;
}

/* Which storage of the archive the data is, and its record. */
static size_t storage_of(const struct worker *w, const struct copy_segment *s, const struct copy_data *data)
{
    return (size_t)(data - w->run->copy->data) - s->first_data;
}

static struct tt_zip_record *record_of(const struct worker *w, const struct copy_segment *s, const struct copy_data *data)
{
    return &s->u.archive->records.items[TT_PT_DATA0 + storage_of(w, s, data)];
}

/* The storage is complete. */
static tt_status finish_storage(struct worker *w, struct copy_segment *s, struct copy_data *data)
{
    const size_t i = storage_of(w, s, data);
    struct copy_archive *a = s->u.archive;
    struct tt_zip_record *record = record_of(w, s, data);
    tt_status st = TT_OK;

    if (!tt_crc_sum_is_whole(&data->written, record->nbytes))
        return tt_err_set(&w->err, TT_EINVAL, "key %s: the blocks of its copy do not tile it", data->box.output->fqn);
    record->crc = data->written.crc;
    if (i + 1 < s->ndata) {
        tt_buf_clear(&w->text);
        tt_pt_put_between(&w->text, &a->records, i);
        st = write_text(w, s, record->data_offset + record->nbytes);
    }
    return st == TT_OK ? finish_one(w, s) : st;
}

/* --- a job -------------------------------------------------------------------------------------------------------------------- */

static uint64_t data_at(const struct worker *w, const struct copy_segment *s, const struct copy_data *data)
{
    return s->kind == COPY_ELEMENTS ? 0 : record_of(w, s, data)->data_offset;
}

/* nbytes of the data, from `begin`, are written; crc is theirs. */
static tt_status note_written(struct worker *w, struct copy_segment *s, struct copy_data *data, uint64_t begin, uint64_t nbytes,
                              uint32_t crc)
{
    pthread_mutex_lock(&w->run->lock);
    if (s->kind != COPY_ELEMENTS)
        tt_crc_sum_add(&data->written, record_of(w, s, data)->nbytes, begin, nbytes, crc);
    data->left -= nbytes;
    const bool complete = data->left == 0;
    pthread_mutex_unlock(&w->run->lock);
    return complete && s->kind != COPY_ELEMENTS ? finish_storage(w, s, data) : TT_OK;
}

static tt_status do_piece(struct worker *w, const struct job *job, const struct tt_region *piece, int64_t first, int64_t numel)
{
    struct copy_segment *s = job->segment;
    struct copy_data *data = job->data;
    const struct tt_output *o = data->box.output;
    const size_t unit = tt_dtype_nbytes(o->dtype), nbytes = (size_t)numel * unit;
    const uint64_t begin = (uint64_t)first * unit;
    const uint8_t *out = in_memory(data);
    tt_status st = TT_OK;

    if (s->kind == COPY_MEMORY)
        return numel ? tt_assemble(w->assembler, o, piece, (uint8_t *)s->u.dst + begin, &w->err) : TT_OK;
    if (out) {
        out += begin;
    } else {
        out = tt_io_buffer_once(&w->block, TT_BLOCK_NBYTES);
        if (!out)
            return tt_err_nomem(&w->err, TT_BLOCK_NBYTES, "a buffer");
        st = numel ? tt_assemble(w->assembler, o, piece, w->block, &w->err) : TT_OK;
    }
    if (st != TT_OK)
        return st;
    const uint32_t crc = s->kind == COPY_ELEMENTS ? 0 : tt_crc32(0, out, nbytes);
    st = sink_write(w, s, out, nbytes, data_at(w, s, data) + begin);
    return st == TT_OK ? note_written(w, s, data, begin, nbytes, crc) : st;
}

/* The elements of a job through this process. */
static tt_status do_pieces(struct worker *w, const struct job *job)
{
    const struct tt_region whole = tt_output_box_region(&job->data->box);
    const int64_t most = tt_output_piece_numel(job->data->box.output);
    struct tt_region piece = whole;
    tt_status st = TT_OK;

    if (job->numel == 0)
        return do_piece(w, job, &piece, 0, 0);
    for (int64_t done = 0; done < job->numel && st == TT_OK;) {
        const int64_t left = job->numel - done;
        const int64_t n = tt_region_piece(&piece, &whole, job->first + done, left < most ? left : most);
        st = check_stop(w);
        if (st == TT_OK)
            st = do_piece(w, job, &piece, job->first + done, n);
        done += n;
    }
    return st;
}

/* nbytes of a file by the kernel; *done says how many before it had to give up. */
static tt_status sink_copy(struct worker *w, const struct copy_segment *s, const struct tt_infile *from, uint64_t from_offset,
                           uint64_t nbytes, uint64_t at, uint64_t *done)
{
    const struct tt_sink *sink = w->run->sink;
    tt_status st = flush(w);

    *done = 0;
    while (st == TT_OK && sink->copy && *done < nbytes) {
        const uint64_t left = nbytes - *done, n = left < RUN_NBYTES ? left : RUN_NBYTES;
        uint64_t copied = 0;
        st = check_stop(w);
        if (st == TT_OK)
            st = sink->copy(sink->ctx, s->file, from, from_offset + *done, n, s->offset + at + *done, &copied, &w->err);
        *done += copied;
        if (copied < n)
            break;
    }
    return st;
}

/* The kernel copied some and then no more: most likely the file ends there, which reading says better. */
static tt_status stopped_midway(struct worker *w, const struct tt_infile *from, uint64_t offset)
{
    uint8_t byte;
    const tt_status st = tt_infile_pread(from, &byte, 1, offset, &w->err);
    return st != TT_OK ? st
                       : tt_err_set(&w->err, TT_EIO, "%s: offset %" PRIu64 ": the kernel stopped copying there", from->path, offset);
}

/* A whole chunk by the kernel, with the CRC that it was stored with; where that cannot be, through this process. */
static tt_status do_chunk(struct worker *w, const struct job *job)
{
    struct copy_segment *s = job->segment;
    const struct tt_part *part = job->data->box.output->parts;
    struct tt_ckpt *ckpt = part->ckpt ? part->ckpt : w->run->copy->src;
    const uint64_t unit = tt_dtype_nbytes(part->src->dtype), nbytes = (uint64_t)job->numel * unit;
    const struct tt_infile *file = NULL;
    struct tt_stored stored = { 0 };
    uint64_t done = 0;
    tt_status st = tt_assembler_stored(w->assembler, part, job->chunk, &stored, &w->err);

    if (st != TT_OK)
        return st;
    if (!stored.is_plain || stored.crc == 0 || stored.nbytes != nbytes)
        return do_pieces(w, job);
    st = tt_files_pin(&ckpt->files, stored.file, &file, &w->err);
    if (st != TT_OK)
        return st;
    st = sink_copy(w, s, file, stored.offset, nbytes, data_at(w, s, job->data) + (uint64_t)job->first * unit, &done);
    if (st == TT_OK && done > 0 && done < nbytes)
        st = stopped_midway(w, file, stored.offset + done);
    tt_files_unpin(&ckpt->files, stored.file);
    if (st != TT_OK)
        return st;
    return done ? note_written(w, s, job->data, (uint64_t)job->first * unit, nbytes, stored.crc) : do_pieces(w, job);
}

static tt_status do_run(struct worker *w, const struct job *job)
{
    struct copy_segment *s = job->segment;
    const struct copy_source *run = s->u.run;
    const struct tt_infile *file = NULL;
    const uint64_t begin = (uint64_t)job->first, nbytes = (uint64_t)job->numel;
    uint64_t done = 0;
    tt_status st = tt_files_pin(&run->ckpt->files, run->file, &file, &w->err);

    if (st != TT_OK)
        return st;
    if (nbytes >= CARRY_NBYTES_MIN)
        st = sink_copy(w, s, file, run->offset + begin, nbytes, begin, &done);
    while (st == TT_OK && done < nbytes) {
        const uint64_t left = nbytes - done, n = left < TT_PIECE_NBYTES ? left : TT_PIECE_NBYTES;
        st = check_stop(w);
        if (st == TT_OK && !tt_io_buffer_once(&w->block, TT_BLOCK_NBYTES))
            st = tt_err_nomem(&w->err, TT_BLOCK_NBYTES, "a buffer");
        if (st == TT_OK)
            st = tt_infile_pread(file, w->block, (size_t)n, run->offset + begin + done, &w->err);
        if (st == TT_OK)
            st = sink_write(w, s, w->block, (size_t)n, begin + done);
        done += n;
    }
    tt_files_unpin(&run->ckpt->files, run->file);
    return st == TT_OK && begin + nbytes == s->nbytes ? end_segment(w, s) : st;
}

static tt_status do_job(struct worker *w, const struct job *job)
{
    if (job->chunk)
        return do_chunk(w, job);
    if (job->data)
        return do_pieces(w, job);
    if (job->segment->kind == COPY_RUN)
        return do_run(w, job);
    if (job->segment->kind == COPY_BYTES)
        return sink_write(w, job->segment, job->segment->u.bytes, (size_t)job->segment->nbytes, 0);
    return write_head(w, job->segment);
}

/* --- threads ------------------------------------------------------------------------------------------------------------------ */

static tt_status work(struct worker *w)
{
    struct job jobs[JOBS_MAX];
    struct tt_verify *verify = w->run->opts->no_verify ? NULL : &w->run->verify;
    int n = take_jobs(w->run, jobs);
    tt_status st = n > 0 ? tt_assembler_new(&w->assembler, w->run->copy->src, verify, &w->err) : TT_OK;

    if (w->assembler && w->run->opts->exact)
        tt_assembler_read_exactly(w->assembler);
    for (; st == TT_OK && n > 0; n = take_jobs(w->run, jobs))
        for (int i = 0; i < n && st == TT_OK; i++)
            st = do_job(w, &jobs[i]);
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

tt_status tt_copy_run(struct tt_copy *copy, struct tt_pool *pool, const struct tt_sink *sink, const struct tt_copy_opts *opts,
                      struct tt_err *err)
{
    static const struct tt_copy_opts none;
    struct run run = { .copy = copy, .sink = sink, .opts = opts ? opts : &none };
    tt_status st = tt_verify_init(&run.verify, err);
    if (st != TT_OK)
        return st;
    run.verify.is_shared = run.opts->shares != NULL;
    const int rc = pthread_mutex_init(&run.lock, NULL);
    if (rc) {
        tt_verify_release(&run.verify);
        return tt_err_errno(err, rc, "cannot make a lock");
    }
    const bool alone = !pool || (sink && sink->in_order);
    tt_pool_run(alone ? NULL : pool, alone ? 1 : tt_pool_nthreads(pool), 1, work_in_thread, &run);
    if (run.status != TT_OK)
        st = tt_err_set(err, run.status, "%s", run.err.msg);
    else
        st = tt_verify_finish(&run.verify, err);
    if (st == TT_OK && run.opts->shares) {
        tt_verify_shares(&run.verify, run.opts->shares);
        st = tt_buf_check(run.opts->shares, "checksums", err);
    }
    pthread_mutex_destroy(&run.lock);
    tt_verify_release(&run.verify);
    return st;
}

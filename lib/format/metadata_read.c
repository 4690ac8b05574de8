#include <inttypes.h>

#include "base/pool.h"
#include "format/metadata_private.h"

/* A large .metadata, of tens of megabytes, is read in pieces by two threads, who look each over for what its memo has to keep
 * while it is in the cache. */
enum { NTHREADS = 2, PIECE_NBYTES = 1 << 18, OPERAND_NBYTES = 4, HALVED_NBYTES = 4 << 20 };

struct part {
    struct tt_py_gets gets;
    size_t scanned; /* up to there; 0: nothing was to be read */
    tt_status status;
    struct tt_err err;
};

struct reading {
    const struct tt_infile *file;
    uint8_t *bytes;
    struct part parts[NTHREADS];
};

static tt_status nomem(const struct reading *r, struct tt_err *err)
{
    return tt_err_nomem(err, r->parts[0].gets.nfound, r->file->path);
}

static void read_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    struct reading *r = ctx;
    struct part *part = &r->parts[thread];
    size_t at = (size_t)begin;

    part->scanned = at;
    while (at < (size_t)end && part->status == TT_OK) {
        const size_t n = (size_t)end - at < PIECE_NBYTES ? (size_t)end - at : PIECE_NBYTES;
        part->status = tt_infile_pread(r->file, r->bytes + at, n, at, &part->err);
        at += n;
        /* The number of the last slots may lie in the next piece. */
        const size_t ready = at - (size_t)begin < OPERAND_NBYTES ? (size_t)begin : at - OPERAND_NBYTES;
        if (part->status == TT_OK && !tt_py_gets_scan(&part->gets, r->bytes, (size_t)r->file->nbytes, part->scanned, ready))
            part->status = nomem(r, &part->err);
        part->scanned = ready;
    }
}

/* What is between the parts, and all in one. */
static tt_status join_parts(struct reading *r, struct tt_err *err)
{
    struct tt_py_gets *all = &r->parts[0].gets;
    const size_t nbytes = (size_t)r->file->nbytes;

    for (int i = 0; i < NTHREADS; i++) {
        const struct part *part = &r->parts[i];
        const size_t tail = nbytes - part->scanned < 2 * OPERAND_NBYTES ? nbytes : part->scanned + OPERAND_NBYTES;
        if (part->status != TT_OK)
            return tt_err_set(err, part->status, "%s", part->err.msg);
        if (!tt_py_gets_scan(all, r->bytes, nbytes, part->scanned, tail) || (i > 0 && !tt_py_gets_join(all, &part->gets)))
            return nomem(r, err);
    }
    return TT_OK;
}

static tt_status read_all(struct reading *r, struct tt_err *err)
{
    struct tt_pool *pool = NULL;
    const int nthreads = r->file->nbytes >= HALVED_NBYTES && tt_ncores() > 1 ? NTHREADS : 1;
    const tt_status st = tt_pool_new(&pool, nthreads, err);

    if (st != TT_OK)
        return st;
    tt_pool_run(pool, (int64_t)r->file->nbytes, 1, read_part, r);
    tt_pool_free(pool);
    return join_parts(r, err);
}

tt_status tt_metadata_read(struct tt_entries *out, const struct tt_infile *file, const struct tt_problems *problems,
                           struct tt_err *err)
{
    struct tt_arena arena = { 0 }; /* has a large one on huge pages */
    struct reading r = { .file = file };

    if (file->nbytes > TT_METADATA_NBYTES_MAX)
        return tt_err_set(err, TT_EFORMAT, "%s: expected at most %d bytes, found %" PRIu64, file->path, TT_METADATA_NBYTES_MAX,
                          file->nbytes);
    r.bytes = tt_arena_alloc(&arena, (size_t)file->nbytes);
    tt_status st = r.bytes ? read_all(&r, err) : tt_err_nomem(err, (size_t)file->nbytes, file->path);
    if (st == TT_OK)
        st = tt_metadata_decode_all(out, r.bytes, (size_t)file->nbytes, file->path, &r.parts[0].gets, problems, err);
    for (int i = 0; i < NTHREADS; i++)
        tt_py_gets_release(&r.parts[i].gets);
    tt_arena_release(&arena);
    return st;
}

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "ckpt/write_private.h"
#include "format/zstd.h"

/* Compressed items: where one begins is known when the one before it has ended, so that they are written in order. */
struct zstd_sink {
    struct write_plan *plan;
    struct out_files *files;
    struct tt_zstd_writer *writer;
    struct tt_buf out;
    uint32_t file;    /* the open one */
    int fd;           /* -1: none */
    uint64_t at, begin; /* where the next byte goes, and where the current item began */
};

enum { WRITE_NBYTES = 1 << 20 };

static tt_status flush(struct zstd_sink *s, struct tt_err *err)
{
    tt_status st = tt_buf_check(&s->out, "compressed bytes", err);
    if (st == TT_OK)
        st = tt_pwrite_full(s->fd, s->out.data, s->out.len, s->at, s->files->items[s->file].path, err);
    s->at += s->out.len;
    tt_buf_clear(&s->out);
    return st;
}

/* What is held back goes out, and the file is safe. */
static tt_status close_file(struct zstd_sink *s, struct tt_err *err)
{
    const char *path = s->files->items[s->file].path;

    if (s->fd < 0)
        return TT_OK;
    tt_status st = flush(s, err);
    if (st == TT_OK && fsync(s->fd) != 0)
        st = tt_err_errno(err, errno, "%s: cannot fsync", path);
    if (close(s->fd) != 0 && st == TT_OK)
        st = tt_err_errno(err, errno, "%s: cannot close", path);
    s->fd = -1;
    return st;
}

static tt_status open_file(struct zstd_sink *s, uint32_t file, struct tt_err *err)
{
    tt_status st = close_file(s, err);

    if (st != TT_OK)
        return st;
    s->file = file;
    s->at = s->begin = 0;
    s->fd = open(s->files->items[file].path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (s->fd < 0)
        return tt_err_errno(err, errno, "%s: cannot create", s->files->items[file].path);
    return TT_OK;
}

static tt_status write_next(void *ctx, uint32_t file, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err)
{
    struct zstd_sink *s = ctx;
    tt_status st = s->fd < 0 || s->file != file ? open_file(s, file, err) : TT_OK;

    (void)offset;
    if (st == TT_OK)
        st = tt_zstd_put(s->writer, bytes, nbytes, &s->out, err);
    if (st == TT_OK && s->out.len >= WRITE_NBYTES)
        st = flush(s, err);
    s->files->done += nbytes;
    if (s->files->opts->progress)
        s->files->opts->progress(s->files->opts->ctx, s->files->done, s->files->total);
    return st;
}

static tt_status end_item(void *ctx, size_t segment, struct tt_err *err)
{
    struct zstd_sink *s = ctx;
    struct tt_chunk *chunk = s->plan->segment_chunk[segment];
    tt_status st = tt_zstd_end(s->writer, &s->out, err);

    chunk->codec = TT_CODEC_ZSTD;
    chunk->offset = s->begin;
    chunk->nbytes = s->at + s->out.len - s->begin;
    s->begin += chunk->nbytes;
    if (st == TT_OK && s->out.len >= WRITE_NBYTES)
        st = flush(s, err);
    return st;
}

tt_status tt_write_zstd(struct write_plan *plan, struct out_files *files, int nthreads, struct tt_err *err)
{
    struct zstd_sink s = { .plan = plan, .files = files, .fd = -1 };
    const struct tt_sink sink = { .write = write_next, .end = end_item, .ctx = &s, .in_order = true };
    const struct tt_copy_opts opts = { .no_verify = plan->opts->no_verify, .stop = plan->opts->stop };
    tt_status st = tt_zstd_writer_new(&s.writer, plan->target->zstd_level, nthreads, err);

    if (st == TT_OK)
        st = tt_copy_run(plan->copy, NULL, &sink, &opts, err);
    if (st == TT_OK)
        st = close_file(&s, err);
    else if (s.fd >= 0)
        close(s.fd);
    for (uint32_t f = 0; f < files->n && st == TT_OK; f++)
        if (files->items[f].nbytes == 0) { /* a rank without items */
            st = open_file(&s, f, err);
            if (st == TT_OK)
                st = close_file(&s, err);
        }
    tt_zstd_writer_free(s.writer);
    tt_buf_release(&s.out);
    return st;
}

#include "data/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "base/file.h"

enum { BLOCK = 256 * 1024 };

struct decoder;

struct tt_lines {
    const struct decoder *decoder;
    char *path;
    int fd;
    gzFile gz;
    ZSTD_DStream *zstd;
    uint8_t *packed; /* zst: compressed bytes that wait, [packed_at, packed_n) */
    size_t packed_at, packed_n;
    bool frame_open; /* zst: inside a frame */

    char *buf; /* [at, n) was read and not yet given out */
    size_t at, n, cap;
    bool eof;
    uint64_t number, offset;
};

/* --- the three encodings ----------------------------------------------------------------------------------------------- */

/* Up to cap bytes into dst; *got 0 at the end. */
typedef tt_status read_fn(struct tt_lines *l, char *dst, size_t cap, size_t *got, struct tt_err *err);

static tt_status read_fd(struct tt_lines *l, void *dst, size_t cap, size_t *got, struct tt_err *err)
{
    ssize_t n;
    do
        n = read(l->fd, dst, cap);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return tt_err_errno(err, errno, "%s: read", l->path);
    *got = (size_t)n;
    return TT_OK;
}

static tt_status read_plain(struct tt_lines *l, char *dst, size_t cap, size_t *got, struct tt_err *err)
{
    return read_fd(l, dst, cap, got, err);
}

static tt_status open_gz(struct tt_lines *l, struct tt_err *err)
{
    l->gz = gzdopen(l->fd, "rb");
    if (!l->gz)
        return tt_err_nomem(err, 0, "decompression");
    l->fd = -1; /* gzclose closes it */
    return TT_OK;
}

static tt_status read_gz(struct tt_lines *l, char *dst, size_t cap, size_t *got, struct tt_err *err)
{
    const int n = gzread(l->gz, dst, (unsigned)cap);
    int code = Z_OK;
    const char *why = gzerror(l->gz, &code), *colon = strstr(why, ": "); /* "<fd:3>: what is wrong" */
    if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
        return tt_err_set(err, TT_EFORMAT, "%s: after line %llu: damaged or cut short (%s)", l->path, (unsigned long long)l->number,
                          code == Z_ERRNO ? strerror(errno) : colon ? colon + 2 : why);
    *got = (size_t)n;
    return TT_OK;
}

static tt_status open_zst(struct tt_lines *l, struct tt_err *err)
{
    l->zstd = ZSTD_createDStream();
    l->packed = malloc(BLOCK);
    return l->zstd && l->packed ? TT_OK : tt_err_nomem(err, BLOCK, "decompression");
}

static tt_status read_zst(struct tt_lines *l, char *dst, size_t cap, size_t *got, struct tt_err *err)
{
    ZSTD_outBuffer out = { dst, cap, 0 };
    while (out.pos == 0) {
        if (l->packed_at == l->packed_n) {
            l->packed_at = 0;
            const tt_status st = read_fd(l, l->packed, BLOCK, &l->packed_n, err);
            if (st != TT_OK)
                return st;
            if (l->packed_n == 0 && l->frame_open)
                return tt_err_set(err, TT_EFORMAT, "%s: after line %llu: cut short", l->path, (unsigned long long)l->number);
            if (l->packed_n == 0)
                break;
        }
        ZSTD_inBuffer in = { l->packed, l->packed_n, l->packed_at };
        const size_t rc = ZSTD_decompressStream(l->zstd, &out, &in);
        if (ZSTD_isError(rc))
            return tt_err_set(err, TT_EFORMAT, "%s: after line %llu: damaged (%s)", l->path, (unsigned long long)l->number,
                              ZSTD_getErrorName(rc));
        l->packed_at = in.pos;
        l->frame_open = rc != 0;
    }
    *got = out.pos;
    return TT_OK;
}

static tt_status open_plain(struct tt_lines *l, struct tt_err *err)
{
    (void)l, (void)err;
    return TT_OK;
}

static const struct decoder {
    const char *suffix;
    tt_status (*open)(struct tt_lines *, struct tt_err *);
    read_fn *read;
} decoders[] = {
    { ".gz", open_gz, read_gz },
    { ".zst", open_zst, read_zst },
    { "", open_plain, read_plain },
};

/* --- lines ------------------------------------------------------------------------------------------------------------- */

static tt_status open_fd(struct tt_lines *l, struct tt_err *err)
{
    struct stat st;
    if (strcmp(l->path, "-") == 0) {
        l->fd = STDIN_FILENO;
        return TT_OK;
    }
    l->fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no waiting on a named pipe that is then refused */
    if (l->fd < 0)
        return tt_err_errno(err, errno, "%s: open", l->path);
    if (fstat(l->fd, &st) != 0)
        return tt_err_errno(err, errno, "%s: fstat", l->path);
    if (!S_ISREG(st.st_mode))
        return tt_err_set(err, TT_EIO, "%s: expected a file (\"-\" reads a pipe)", l->path);
    return TT_OK;
}

tt_status tt_lines_open(struct tt_lines **out, const char *path, struct tt_err *err)
{
    struct tt_lines *l = calloc(1, sizeof *l);
    if (!l || !(l->path = strdup(path)) || !(l->buf = malloc(BLOCK))) {
        if (l)
            free(l->path);
        free(l);
        return tt_err_nomem(err, BLOCK, "reading text");
    }
    l->cap = BLOCK;
    l->fd = -1;
    for (l->decoder = decoders; !tt_has_suffix(path, l->decoder->suffix); l->decoder++) {}
    tt_status st = open_fd(l, err);
    if (st == TT_OK)
        st = l->decoder->open(l, err);
    if (st != TT_OK) {
        tt_lines_close(l);
        return st;
    }
    *out = l;
    return TT_OK;
}

void tt_lines_close(struct tt_lines *l)
{
    if (!l)
        return;
    if (l->gz)
        gzclose(l->gz);
    ZSTD_freeDStream(l->zstd);
    if (l->fd > STDIN_FILENO)
        close(l->fd);
    free(l->packed);
    free(l->buf);
    free(l->path);
    free(l);
}

/* More bytes behind [at, n), which moves to the front where room is needed. */
static tt_status fill(struct tt_lines *l, struct tt_err *err)
{
    if (l->at > 0) {
        memmove(l->buf, l->buf + l->at, l->n - l->at);
        l->n -= l->at;
        l->at = 0;
    }
    if (l->n == l->cap) {
        if (l->cap >= TT_LINE_BYTES_MAX)
            return tt_err_set(err, TT_EFORMAT, "%s: line %llu: longer than %d bytes", l->path, (unsigned long long)l->number + 1,
                              TT_LINE_BYTES_MAX);
        char *bigger = realloc(l->buf, 2 * l->cap);
        if (!bigger)
            return tt_err_nomem(err, 2 * l->cap, "a line of text");
        l->buf = bigger;
        l->cap *= 2;
    }
    size_t got = 0;
    const tt_status st = l->decoder->read(l, l->buf + l->n, l->cap - l->n, &got, err);
    l->n += got;
    l->eof = st == TT_OK && got == 0;
    return st;
}

tt_status tt_lines_next(struct tt_lines *l, const char **line, size_t *nbytes, struct tt_err *err)
{
    size_t looked = 0;
    for (;;) {
        const char *begin = l->buf + l->at, *end = memchr(begin + looked, '\n', l->n - l->at - looked);
        if (end || (l->eof && l->n > l->at)) {
            *line = begin;
            *nbytes = end ? (size_t)(end - begin) : l->n - l->at;
            const size_t used = *nbytes + (end != NULL);
            l->at += used;
            l->offset += used;
            l->number++;
            return TT_OK;
        }
        if (l->eof) {
            *line = NULL;
            *nbytes = 0;
            return TT_OK;
        }
        looked = l->n - l->at;
        const tt_status st = fill(l, err);
        if (st != TT_OK)
            return st;
    }
}

tt_status tt_lines_peek(struct tt_lines *l, size_t nbytes, const char **bytes, size_t *n, struct tt_err *err)
{
    while (l->n - l->at < nbytes && !l->eof) {
        const tt_status st = fill(l, err);
        if (st != TT_OK)
            return st;
    }
    *bytes = l->buf + l->at;
    *n = l->n - l->at;
    return TT_OK;
}

void tt_lines_skip(struct tt_lines *l, size_t n)
{
    const char *p = l->buf + l->at, *end = p + n;
    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL && p++ < end)
        l->number++;
    l->at += n;
    l->offset += n;
}

uint64_t tt_lines_number(const struct tt_lines *l) { return l->number; }
uint64_t tt_lines_offset(const struct tt_lines *l) { return l->offset; }

bool tt_lines_can_seek(const struct tt_lines *l) { return l->decoder->read == read_plain && l->fd != STDIN_FILENO; }

tt_status tt_lines_seek(struct tt_lines *l, uint64_t offset, uint64_t number, struct tt_err *err)
{
    if (lseek(l->fd, (off_t)offset, SEEK_SET) < 0)
        return tt_err_errno(err, errno, "%s: seek", l->path);
    l->at = l->n = 0;
    l->eof = false;
    l->offset = offset;
    l->number = number;
    return TT_OK;
}

#include "base/instream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_NBYTES = 1 << 18 };

struct tt_instream tt_instream_of(int fd, const char *name) { return (struct tt_instream){ .fd = fd, .name = name }; }

struct tt_instream tt_instream_from(tt_instream_fn *read, void *ctx, const char *name)
{
    return (struct tt_instream){ .read = read, .ctx = ctx, .fd = -1, .name = name };
}

void tt_instream_release(struct tt_instream *in) { tt_buf_release(&in->window); }

static size_t left(const struct tt_instream *in) { return in->window.len - in->head; }

static tt_status read_fd(const struct tt_instream *in, void *dst, size_t *n, struct tt_err *err)
{
    ssize_t got;
    do
        got = read(in->fd, dst, READ_NBYTES);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return tt_err_errno(err, errno, "%s: offset %" PRIu64 ": cannot read", in->name, in->at + left(in));
    *n = (size_t)got;
    return TT_OK;
}

/* One read behind the window; *n 0: the end. */
static tt_status fill(struct tt_instream *in, size_t *n, struct tt_err *err)
{
    if (in->head) { /* what was taken makes room */
        memmove(in->window.data, in->window.data + in->head, left(in));
        in->window.len -= in->head;
        in->head = 0;
    }
    uint8_t *p = tt_buf_reserve(&in->window, READ_NBYTES);
    if (!p)
        return tt_err_nomem(err, READ_NBYTES, in->name);
    const tt_status st = in->read ? in->read(in->ctx, p, READ_NBYTES, n, err) : read_fd(in, p, n, err);
    if (st == TT_OK)
        in->window.len += *n;
    return st;
}

tt_status tt_instream_peek(struct tt_instream *in, size_t nbytes, const uint8_t **p, size_t *have, struct tt_err *err)
{
    size_t n = 1;
    tt_status st = TT_OK;

    while (left(in) < nbytes && n && st == TT_OK)
        st = fill(in, &n, err);
    if (st != TT_OK)
        return st;
    *p = in->window.data ? in->window.data + in->head : (const uint8_t *)"";
    *have = left(in);
    return TT_OK;
}

bool tt_instream_is_file(const struct tt_instream *in, struct tt_infile *file)
{
    struct stat st;

    if (in->read || in->at || fstat(in->fd, &st) != 0 || !S_ISREG(st.st_mode) || lseek(in->fd, 0, SEEK_CUR) != (off_t)left(in))
        return false;
    *file = (struct tt_infile){ .fd = in->fd, .nbytes = (uint64_t)st.st_size, .path = (char *)(uintptr_t)in->name };
    return true;
}

void tt_instream_drop(struct tt_instream *in, size_t nbytes)
{
    in->head += nbytes;
    in->at += nbytes;
}

tt_status tt_instream_some(struct tt_instream *in, uint64_t max, const uint8_t **p, size_t *n, struct tt_err *err)
{
    size_t have = 0;
    const tt_status st = tt_instream_peek(in, 1, p, &have, err);

    if (st != TT_OK)
        return st;
    *n = have < max ? have : (size_t)max;
    tt_instream_drop(in, *n);
    return TT_OK;
}

tt_status tt_instream_take(struct tt_instream *in, void *dst, size_t nbytes, struct tt_err *err)
{
    for (size_t done = 0; done < nbytes;) {
        const uint8_t *p = NULL;
        size_t n = 0;
        const tt_status st = tt_instream_some(in, nbytes - done, &p, &n, err);
        if (st != TT_OK)
            return st;
        if (n == 0)
            return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected %zu more bytes, found the end", in->name, in->at,
                              nbytes - done);
        memcpy((char *)dst + done, p, n);
        done += n;
    }
    return TT_OK;
}

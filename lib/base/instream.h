/* lib/base/instream.h: an input that can only be read from its first byte to its last: a pipe, or what is decoded on the way. */
#ifndef TT_BASE_INSTREAM_H
#define TT_BASE_INSTREAM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

/* The next bytes, at most nbytes; *got 0: the end. */
typedef tt_status tt_instream_fn(void *ctx, void *dst, size_t nbytes, size_t *got, struct tt_err *err);

struct tt_instream {
    tt_instream_fn *read; /* NULL: from fd, borrowed */
    void *ctx;
    int fd;
    const char *name; /* starts the messages: "stdin" */
    uint64_t at;      /* bytes taken so far */
    struct tt_buf window; /* read, from `head` on not yet taken */
    size_t head;
};

struct tt_instream tt_instream_of(int fd, const char *name);
struct tt_instream tt_instream_from(tt_instream_fn *read, void *ctx, const char *name);
void tt_instream_release(struct tt_instream *in);

/* What comes next, without taking it: *p has *have bytes, at least nbytes but where the stream ends before. It is valid until
 * the next call. The window grows to nbytes and no further: the caller bounds them. */
TT_MUST_CHECK tt_status tt_instream_peek(struct tt_instream *in, size_t nbytes, const uint8_t **p, size_t *have, struct tt_err *err);

/* Whether the stream is a regular file that nothing was taken from: *file, whose path is the stream's name, borrowed, can be
 * read at offsets instead. */
bool tt_instream_is_file(const struct tt_instream *in, struct tt_infile *file);

/* Takes nbytes that were peeked at. */
void tt_instream_drop(struct tt_instream *in, size_t nbytes);

/* Takes what is there, from 1 byte to max; *n 0: the stream has ended. *p is valid until the next call. */
TT_MUST_CHECK tt_status tt_instream_some(struct tt_instream *in, uint64_t max, const uint8_t **p, size_t *n, struct tt_err *err);

/* Takes exactly nbytes. TT_EFORMAT, with the offset, where the stream ends before. */
TT_MUST_CHECK tt_status tt_instream_take(struct tt_instream *in, void *dst, size_t nbytes, struct tt_err *err);

#endif

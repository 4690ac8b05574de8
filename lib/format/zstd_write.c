#define ZSTD_STATIC_LINKING_ONLY /* for ZSTD_estimateCStreamSize */
#include <stdlib.h>
#include <zstd.h>

#include "format/zstd.h"

struct tt_zstd_writer {
    ZSTD_CCtx *ctx;
};

static tt_status failed(size_t code, struct tt_err *err)
{
    return tt_err_set(err, TT_EIO, "zstd: %s", ZSTD_getErrorName(code));
}

void tt_zstd_writer_free(struct tt_zstd_writer *w)
{
    if (!w)
        return;
    ZSTD_freeCCtx(w->ctx);
    free(w);
}

uint64_t tt_zstd_writer_nbytes(int level) { return ZSTD_estimateCStreamSize(level); }

tt_status tt_zstd_writer_new(struct tt_zstd_writer **out, int level, int nthreads, struct tt_err *err)
{
    struct tt_zstd_writer *w = calloc(1, sizeof *w);
    tt_status st = TT_OK;

    if (!w || !(w->ctx = ZSTD_createCCtx()))
        st = tt_err_nomem(err, sizeof *w, "a zstd compressor");
    const size_t code = st == TT_OK ? ZSTD_CCtx_setParameter(w->ctx, ZSTD_c_compressionLevel, level) : 0;
    if (st == TT_OK && ZSTD_isError(code))
        st = failed(code, err);
    /* A library built without threads says so, and compresses all the same. */
    if (st == TT_OK && nthreads > 1)
        (void)ZSTD_CCtx_setParameter(w->ctx, ZSTD_c_nbWorkers, nthreads);
    if (st == TT_OK)
        *out = w;
    else
        tt_zstd_writer_free(w);
    return st;
}

/* One step; *left is what zstd still holds back. */
static tt_status step(struct tt_zstd_writer *w, ZSTD_inBuffer *in, ZSTD_EndDirective how, struct tt_buf *out, size_t *left,
                      struct tt_err *err)
{
    const size_t room = ZSTD_CStreamOutSize();
    uint8_t *to = tt_buf_reserve(out, room);

    if (!to)
        return tt_err_nomem(err, out->len + room, "compressed bytes");
    ZSTD_outBuffer buf = { to, room, 0 };
    *left = ZSTD_compressStream2(w->ctx, &buf, in, how);
    if (ZSTD_isError(*left))
        return failed(*left, err);
    out->len += buf.pos;
    return TT_OK;
}

tt_status tt_zstd_put(struct tt_zstd_writer *w, const void *bytes, size_t nbytes, struct tt_buf *out, struct tt_err *err)
{
    ZSTD_inBuffer in = { bytes, nbytes, 0 };
    size_t left = 0;
    tt_status st = TT_OK;

    while (st == TT_OK && in.pos < in.size)
        st = step(w, &in, ZSTD_e_continue, out, &left, err);
    return st;
}

tt_status tt_zstd_end(struct tt_zstd_writer *w, struct tt_buf *out, struct tt_err *err)
{
    ZSTD_inBuffer in = { NULL, 0, 0 };
    size_t left = 0;
    tt_status st = TT_OK;

    do
        st = step(w, &in, ZSTD_e_end, out, &left, err);
    while (st == TT_OK && left > 0);
    return st;
}

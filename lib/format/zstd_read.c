#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"
#include "format/zstd.h"

enum { IN_NBYTES = 1 << 17, HEADER_NBYTES_MAX = 18 };

/* Of RFC 8878, 3.1.1 and 3.1.2. */
#define MAGIC UINT32_C(0xfd2fb528)
#define MAGIC_SKIPPABLE UINT32_C(0x184d2a50) /* and the 15 behind it */

struct tt_zstd_reader {
    ZSTD_DCtx *ctx;
    const struct tt_source *src;
    uint64_t max_nbytes, decoded;
    uint64_t next; /* of the source, not read so far */
    bool in_frame, has_size;
    uint64_t frame_nbytes; /* of the frame's content: as decoded so far, and ... */
    uint64_t frame_size;   /* ... as its header has it, where it does */
    uint8_t in[IN_NBYTES]; /* [begin, end) is not decoded so far */
    size_t begin, end;
};

void tt_zstd_reader_free(struct tt_zstd_reader *r)
{
    if (!r)
        return;
    ZSTD_freeDCtx(r->ctx);
    free(r);
}

tt_status tt_zstd_reader_new(struct tt_zstd_reader **out, const struct tt_source *src, uint64_t max_nbytes, struct tt_err *err)
{
    struct tt_zstd_reader *r = malloc(sizeof *r);

    if (!r || !(r->ctx = ZSTD_createDCtx())) {
        free(r);
        return tt_err_nomem(err, sizeof *r, "a zstd decoder");
    }
    r->src = src;
    r->max_nbytes = max_nbytes;
    r->decoded = r->next = 0;
    r->in_frame = r->has_size = false;
    r->frame_nbytes = r->frame_size = 0;
    r->begin = r->end = 0;
    *out = r;
    return TT_OK;
}

/* Of the source: the first byte that is not decoded. */
static uint64_t offset_of(const struct tt_zstd_reader *r) { return r->next - (r->end - r->begin); }

static tt_status bad(const struct tt_zstd_reader *r, struct tt_err *err, const char *what)
{
    return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": %s", r->src->name, offset_of(r), what);
}

/* As much input as there is room for. */
static tt_status fill(struct tt_zstd_reader *r, struct tt_err *err)
{
    const uint64_t left = r->src->nbytes - r->next;

    memmove(r->in, r->in + r->begin, r->end - r->begin);
    r->end -= r->begin;
    r->begin = 0;
    const size_t room = sizeof r->in - r->end, n = left < room ? (size_t)left : room;
    const tt_status st = tt_source_read(r->src, r->in + r->end, n, r->next, err);
    if (st == TT_OK) {
        r->next += n;
        r->end += n;
    }
    return st;
}

struct frame_header {
    uint64_t window; /* what it asks for */
    uint64_t size;   /* of its content */
    bool has_size;
};

/* False: the header is cut short. p has n bytes. */
static bool read_header(struct frame_header *h, const uint8_t *p, size_t n)
{
    static const uint8_t id_nbytes[] = { 0, 1, 2, 4 }, size_nbytes[] = { 0, 2, 4, 8 };
    const uint8_t descriptor = n > 4 ? p[4] : 0;
    const bool single = descriptor & 1 << 5; /* no window but the content itself */
    const size_t at = 5 + !single + id_nbytes[descriptor & 3], nsize = single && descriptor >> 6 == 0 ? 1 : size_nbytes[descriptor >> 6];

    if (n < 6 || n < at + nsize)
        return false;
    *h = (struct frame_header){ .has_size = nsize > 0 };
    memcpy(&h->size, p + at, nsize);
    h->size += nsize == 2 ? 256 : 0;
    const uint64_t base = UINT64_C(1) << (10 + (p[5] >> 3));
    h->window = !single ? base + base / 8 * (p[5] & 7) : h->size ? h->size : 1;
    return true;
}

tt_status tt_zstd_window(const struct tt_source *src, uint64_t *nbytes, struct tt_err *err)
{
    uint8_t head[HEADER_NBYTES_MAX];
    struct frame_header h;
    const size_t n = src->nbytes < sizeof head ? (size_t)src->nbytes : sizeof head;
    const tt_status st = tt_source_read(src, head, n, 0, err);

    if (st == TT_OK)
        *nbytes = n >= 4 && tt_load_le32(head) == MAGIC && read_header(&h, head, n) ? h.window : 0;
    return st;
}

static tt_status begin_frame(struct tt_zstd_reader *r, struct tt_err *err)
{
    const uint8_t *p = r->in + r->begin;
    const size_t n = r->end - r->begin;
    const uint32_t magic = n >= 4 ? tt_load_le32(p) : 0;
    struct frame_header h;

    r->in_frame = true;
    r->has_size = false;
    if (n >= 4 && (magic & ~UINT32_C(15)) == MAGIC_SKIPPABLE)
        return TT_OK;
    if (n < 4 || magic != MAGIC)
        return bad(r, err, offset_of(r) == 0 ? "expected a zstd frame" : "bytes behind the zstd frame");
    if (!read_header(&h, p, n))
        return bad(r, err, "the zstd frame is cut short");
    r->has_size = h.has_size;
    r->frame_size = h.size;
    r->frame_nbytes = 0;
    if (h.window > UINT64_C(1) << TT_ZSTD_WINDOW_LOG_MAX)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: offset %" PRIu64 ": its zstd frame needs a window of %" PRIu64
                          " bytes; titan's limit is %" PRIu64, r->src->name, offset_of(r), h.window,
                          UINT64_C(1) << TT_ZSTD_WINDOW_LOG_MAX);
    return TT_OK;
}

static tt_status failed(const struct tt_zstd_reader *r, size_t code, struct tt_err *err)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return tt_err_nomem(err, UINT64_C(1) << TT_ZSTD_WINDOW_LOG_MAX, r->src->name);
    if (ZSTD_getErrorCode(code) == ZSTD_error_dictionary_wrong)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: offset %" PRIu64 ": its zstd frame needs a dictionary", r->src->name,
                          offset_of(r));
    return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": damaged zstd frame: %s", r->src->name, offset_of(r),
                      ZSTD_getErrorName(code));
}

/* One step into out; *done: nothing is left. */
static tt_status step(struct tt_zstd_reader *r, ZSTD_outBuffer *out, bool *done, struct tt_err *err)
{
    tt_status st = r->end - r->begin < HEADER_NBYTES_MAX ? fill(r, err) : TT_OK;

    if (st == TT_OK && !r->in_frame) {
        /* An item is at least one frame. */
        *done = r->begin == r->end && r->next > 0;
        if (!*done)
            st = begin_frame(r, err);
    }
    if (st != TT_OK || *done)
        return st;
    ZSTD_inBuffer in = { r->in, r->end, r->begin };
    const size_t before = out->pos, code = ZSTD_decompressStream(r->ctx, out, &in);
    const bool stuck = in.pos == r->begin && out->pos == before;
    r->begin = in.pos;
    if (ZSTD_isError(code))
        return failed(r, code, err);
    r->in_frame = code != 0;
    r->frame_nbytes += out->pos - before;
    /* zstd does not look where the last block is empty and the frame was not decoded in one go. */
    if (code == 0 && r->has_size && r->frame_nbytes != r->frame_size)
        return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected a zstd frame of %" PRIu64 " decoded bytes, found %" PRIu64,
                          r->src->name, offset_of(r), r->frame_size, r->frame_nbytes);
    if (stuck && out->pos < out->size && r->in_frame)
        return bad(r, err, "the zstd frame is cut short");
    return TT_OK;
}

tt_status tt_zstd_read(struct tt_zstd_reader *r, void *dst, size_t nbytes, size_t *got, struct tt_err *err)
{
    const uint64_t left = r->max_nbytes - r->decoded;
    ZSTD_outBuffer out = { dst, left < nbytes ? (size_t)left : nbytes, 0 };
    bool done = false;
    tt_status st = TT_OK;

    while (st == TT_OK && !done && out.pos < out.size)
        st = step(r, &out, &done, err);
    r->decoded += out.pos;
    *got = out.pos;
    if (st != TT_OK || done || out.pos == nbytes)
        return st;
    /* As many bytes as there may be: the end has to be here. */
    uint8_t more;
    ZSTD_outBuffer beyond = { &more, 1, 0 };
    while (st == TT_OK && !done && beyond.pos == 0)
        st = step(r, &beyond, &done, err);
    return st == TT_OK && beyond.pos
               ? tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected at most %" PRIu64
                            " decoded bytes, found more", r->src->name, offset_of(r), r->max_nbytes)
               : st;
}

/* lib/format/zstd.h: DCP's transform "stream.zstd/1": an item of a .distcp file as a zstd frame (RFC 8878) of the bytes that it would
 * be. torch writes one frame an item, of unknown content size, without checksum or dictionary. */
#ifndef TT_FORMAT_ZSTD_H
#define TT_FORMAT_ZSTD_H

#include "base/buf.h"
#include "format/source.h"

#define TT_ZSTD_TRANSFORM "stream.zstd/1"

/* --- decoding: one or more frames, with or without checksums and content sizes; nothing else behind them -------------------------- */

enum { TT_ZSTD_WINDOW_LOG_MAX = 27 }; /* a frame that needs a larger window (128 MiB, zstd's own default) is refused */

/* The window that the first frame of an item needs; 0: it is none, or cut short, as a reader will say. */
TT_MUST_CHECK tt_status tt_zstd_window(const struct tt_source *src, uint64_t *nbytes, struct tt_err *err);

/* A decoder of an item, forward. */
struct tt_zstd_reader;

/* src is borrowed. max_nbytes: what decodes to more is TT_EFORMAT, once so many bytes were read. */
TT_MUST_CHECK tt_status tt_zstd_reader_new(struct tt_zstd_reader **out, const struct tt_source *src, uint64_t max_nbytes,
                                           struct tt_err *err);
void tt_zstd_reader_free(struct tt_zstd_reader *reader);

/* The next nbytes; *got is fewer only at the end of the item. TT_EFORMAT names the offset in the item: damage, a frame cut short, bytes
 * that are no frame. TT_EUNSUPPORTED: a window beyond the limit, with the number; a dictionary. */
TT_MUST_CHECK tt_status tt_zstd_read(struct tt_zstd_reader *reader, void *dst, size_t nbytes, size_t *got, struct tt_err *err);

/* --- encoding --------------------------------------------------------------------------------------------------------------------- */

/* A compressor, for frame after frame. */
struct tt_zstd_writer;

/* Bytes that a compressor of one thread needs, and each of several about as many: some MB up to level 12, hundreds from 18 on. */
uint64_t tt_zstd_writer_nbytes(int level);

/* level: as zstd's -1 .. 22. nthreads: workers within a frame; 1: this thread alone. */
TT_MUST_CHECK tt_status tt_zstd_writer_new(struct tt_zstd_writer **out, int level, int nthreads, struct tt_err *err);
void tt_zstd_writer_free(struct tt_zstd_writer *writer);

/* Compresses nbytes more of the current frame; what is ready is appended to *out, which may be none. */
TT_MUST_CHECK tt_status tt_zstd_put(struct tt_zstd_writer *writer, const void *bytes, size_t nbytes, struct tt_buf *out,
                                    struct tt_err *err);
/* Appends the rest of the frame, and ends it: what is put next begins another. */
TT_MUST_CHECK tt_status tt_zstd_end(struct tt_zstd_writer *writer, struct tt_buf *out, struct tt_err *err);

#endif

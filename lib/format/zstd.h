/* lib/format/zstd.h: DCP's transform "stream.zstd/1": an item of a .distcp file as a zstd frame (RFC 8878) of the bytes that it would
 * be. torch writes one frame an item, of unknown content size, without checksum or dictionary. */
#ifndef TT_FORMAT_ZSTD_H
#define TT_FORMAT_ZSTD_H

#include "base/buf.h"

#define TT_ZSTD_TRANSFORM "stream.zstd/1"

/* A compressor, for frame after frame. */
struct tt_zstd_writer;

/* level: as zstd's -1 .. 22. nthreads: workers within a frame; 1: this thread alone. */
TT_MUST_CHECK tt_status tt_zstd_writer_new(struct tt_zstd_writer **out, int level, int nthreads, struct tt_err *err);
void tt_zstd_writer_free(struct tt_zstd_writer *writer);

/* Compresses nbytes more of the current frame; what is ready is appended to *out, which may be none. */
TT_MUST_CHECK tt_status tt_zstd_put(struct tt_zstd_writer *writer, const void *bytes, size_t nbytes, struct tt_buf *out,
                                    struct tt_err *err);
/* Appends the rest of the frame, and ends it: what is put next begins another. */
TT_MUST_CHECK tt_status tt_zstd_end(struct tt_zstd_writer *writer, struct tt_buf *out, struct tt_err *err);

#endif

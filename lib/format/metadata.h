/* lib/format/metadata.h: the .metadata file of a DCP folder, a pickle of torch.distributed.checkpoint.metadata.Metadata.
 *
 * Read are the dialects of PyTorch 2.1 to 2.15, pickle protocols 2 to 5; written is the form that all from 2.4 on read.
 * man/titan-dcp.5 has every object. */
#ifndef TT_FORMAT_METADATA_H
#define TT_FORMAT_METADATA_H

#include "base/buf.h"
#include "base/file.h"
#include "format/entry.h"

enum { TT_METADATA_NBYTES_MAX = 1 << 30 }; /* more is refused before it is read */

/* Whether a file that begins with these two bytes can be one: a pickle. */
static inline bool tt_metadata_is_start(const uint8_t head[2]) { return head[0] == 0x80 && head[1] >= 2 && head[1] <= 5; }

/* *out, which is empty before, gets the entries in the order of state_dict_metadata: their chunks are TT_CODEC_BLOB or _ZSTD.
 * Checked: each chunk has its storage, lies inside the shape, overlaps none, and together they leave no hole; file names stay
 * inside the folder. Messages begin with `where`, and name the key. On error *out is released. */
TT_MUST_CHECK tt_status tt_metadata_decode(struct tt_entries *out, const uint8_t *bytes, size_t nbytes, const char *where,
                                           struct tt_err *err);

/* The same of what one of several ranks wrote: chunks may be missing. */
TT_MUST_CHECK tt_status tt_metadata_decode_part(struct tt_entries *out, const uint8_t *bytes, size_t nbytes, const char *where,
                                                struct tt_err *err);

/* Who is told of keys whose chunks are wrong (they overlap, leave a hole, have no storage), where the first is not to be the
 * end: the keys stay, as they are. A note that fails ends the decoding. */
struct tt_problems {
    tt_status (*note)(void *ctx, const char *message);
    void *ctx;
};

/* As tt_metadata_decode, of a file, whose path messages begin with; problems may be NULL, err only then. */
TT_MUST_CHECK tt_status tt_metadata_read(struct tt_entries *out, const struct tt_infile *file, const struct tt_problems *problems,
                                         struct tt_err *err);

TT_MUST_CHECK tt_status tt_metadata_encode(struct tt_buf *out, const struct tt_entries *entries, struct tt_err *err);

#endif

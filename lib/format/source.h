/* lib/format/source.h: bytes that a decoder reads at offsets: a part of a file, or memory, or the two ends of what passed by. The
 * decoders do not care which. What describes an archive lies at its ends: read once, they are not asked of the file again and again. */
#ifndef TT_FORMAT_SOURCE_H
#define TT_FORMAT_SOURCE_H

#include "base/file.h"

struct tt_source {
    const struct tt_infile *file; /* NULL: memory */
    uint64_t offset; /* of the part, in the file */
    const uint8_t *data;
    const uint8_t *tail; /* not NULL: data has the bytes before head_end, tail those from tail_offset on; the rest is in the file,
                          * or gone where there is none */
    uint64_t head_end, tail_offset;
    uint64_t nbytes; /* of the part */
    const char *name; /* starts the messages: "run/step-10/__0_0.distcp: key norm.weight" */
};

/* nbytes from `offset` within the part. TT_EFORMAT where that is not inside it. */
TT_MUST_CHECK tt_status tt_source_read(const struct tt_source *src, void *dst, uint64_t nbytes, uint64_t offset,
                                       struct tt_err *err);

#endif

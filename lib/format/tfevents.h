/* lib/format/tfevents.h: the records of a TensorBoard event file.
 *
 *   8 bytes   n, the length of the message (u64, little-endian)
 *   4 bytes   the masked CRC32C of those 8 bytes
 *   n bytes   a message of protocol buffers: an Event
 *   4 bytes   the masked CRC32C of the message
 *
 * A masked CRC is the CRC rotated right by 15 bits, plus 0xa282ead8. Fields of an Event: 1 wall_time (double), 2 step (varint),
 * 3 file_version (string), 5 summary, 10 source_metadata; of a Summary: 1 value, repeated; of a Value: 1 tag, 2 simple_value (float).
 * Source: event.proto, summary.proto and record_writer.py of TensorBoard. */
#ifndef TT_FORMAT_TFEVENTS_H
#define TT_FORMAT_TFEVENTS_H

#include "base/buf.h"

struct tt_tfscalar {
    const char *tag;
    double value; /* stored as float32 */
};

/* Appends the record that a file begins with. wall_time: seconds since 1970. */
void tt_tfevents_begin(struct tt_buf *out, double wall_time);

/* Appends a record of n numbers of one step. */
void tt_tfevents_scalars(struct tt_buf *out, double wall_time, int64_t step, const struct tt_tfscalar *scalars, size_t n);

#endif

/* lib/ckpt/values.h: the values of a checkpoint, for who shows all of them. A job has thousands, each an item of about a kilobyte:
 * small items are read ahead, in the order in which they lie in their files, many in one read, up to a bound. */
#ifndef TT_CKPT_VALUES_H
#define TT_CKPT_VALUES_H

#include "ckpt/ckpt.h"
#include "ckpt/filter.h"

enum { TT_VALUES_AHEAD_NBYTES = 32 << 20 }; /* kept at most; the rest is read when it is asked for */

struct tt_values;

/* ckpt is borrowed. Reads ahead what the filter takes; what cannot be read is an error when it is asked for. */
TT_MUST_CHECK tt_status tt_values_new(struct tt_values **out, struct tt_ckpt *ckpt, const struct tt_key_filter *filter,
                                      struct tt_err *err);
void tt_values_free(struct tt_values *values);

/* The bytes of the entry's item (and *nbytes) where they are at hand, else NULL: equal bytes are equal values. */
const uint8_t *tt_values_item(const struct tt_values *values, const struct tt_entry *entry, size_t *nbytes);

/* As tt_ckpt_read_object. */
TT_MUST_CHECK tt_status tt_values_read(struct tt_values *values, const struct tt_entry *entry, struct tt_arena *arena,
                                       const struct tt_value **out, struct tt_err *err);

#endif

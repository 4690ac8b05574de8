/* lib/format/pickle_text.h: Python values as text, for people: as Python would print them. */
#ifndef TT_FORMAT_PICKLE_TEXT_H
#define TT_FORMAT_PICKLE_TEXT_H

#include "base/buf.h"
#include "value/value.h"

/* Appends {'lr': 0.0008, 'betas': (0.9, 0.95)}, tensor(float32, (2, 3)), torch.Size([2, 3]) ... Text of strings is escaped as
 * Python's repr does. It stops soon after max_nbytes. */
void tt_value_text(struct tt_buf *out, const struct tt_value *value, size_t max_nbytes);

/* As JSON: what JSON has no form for becomes a string of the text above, floats that are not finite "NaN", "Infinity", "-Infinity",
 * bytes {"bytes": n} and, where they are a pickle of plain values (in one another four deep at most), {"bytes": n, "pickle": ...}. */
void tt_value_json(struct tt_buf *out, const struct tt_value *value);

#endif

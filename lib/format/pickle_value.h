/* lib/format/pickle_value.h: plain Python values (None, bool, int, float, str, bytes, list, tuple, dict) to pickles and back.
 *
 * What a checkpoint holds beside tensors, and the pickles within it: TorchTitan's dataloader state is bytes that are a pickle of
 * a dict. Reading executes nothing: a pickle that names a class or a function is refused, by that name, unless it is
 * one of the few in pickle_value.c that stand for plain data (_codecs.encode, collections.OrderedDict ...). */
#ifndef TT_FORMAT_PICKLE_VALUE_H
#define TT_FORMAT_PICKLE_VALUE_H

#include "base/buf.h"
#include "value/value.h"

/* Protocol 2 to 5. The value lives in the arena and keeps nothing of `bytes`. `where` starts every message
 * ("dataloader.dp_rank_0"). An OrderedDict comes as a MAP. Cyclic values, and those nested or repeated beyond reason, are TT_EFORMAT. */
TT_MUST_CHECK tt_status tt_pickle_to_value(struct tt_arena *arena, const void *bytes, size_t nbytes, const char *where,
                                           const struct tt_value **out, struct tt_err *err);

/* Appends a whole pickle (protocol 2) of a plain value. TT_EUNSUPPORTED on a TENSOR or OBJECT in it. */
TT_MUST_CHECK tt_status tt_pickle_from_value(struct tt_buf *out, const struct tt_value *value, struct tt_err *err);

#endif

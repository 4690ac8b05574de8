/* lib/data/ahead.h: a loader's batches, made ahead by a thread, with the position after each. */
#ifndef TT_DATA_AHEAD_H
#define TT_DATA_AHEAD_H

#include <stdint.h>

#include "base/err.h"
#include "value/value.h"

struct tt_loader;
struct tt_ahead;

/* Starts at the loader's position; from now on the thread alone touches the loader. At most depth batches wait. */
TT_MUST_CHECK tt_status tt_ahead_new(struct tt_ahead **out, struct tt_loader *loader, int64_t depth, struct tt_err *err);
void tt_ahead_free(struct tt_ahead *ahead); /* stops the thread */

/* As tt_loader_next. Behind the last batch, and where one could not be made, it is the same answer again and again. */
TT_MUST_CHECK tt_status tt_ahead_next(struct tt_ahead *ahead, int32_t *input, int32_t *labels, int64_t *nseq, struct tt_err *err);

/* What tt_loader_state and tt_loader_rest give after the batch that tt_ahead_next gave last; until the next call of that. */
const struct tt_value *tt_ahead_state(const struct tt_ahead *ahead);
const struct tt_value *tt_ahead_rest(const struct tt_ahead *ahead);

#endif

/* lib/train/same.h: that the ranks of a run are all at the same work. */
#ifndef TT_TRAIN_SAME_H
#define TT_TRAIN_SAME_H

#include "train/ranks.h"

/* Together, where ranks are processes: TT_EINVAL, with what differs and how, where a rank has not rank 0's settings (but for those of tt_ranks_write_nothing),
 * program, model, tokenizer or data. Of data it looks at the files' names and sizes, and at their first and last bytes: what differs only
 * amid a file of the same size is not found. */
TT_MUST_CHECK tt_status tt_same_check(const struct tt_ranks *ranks, const struct tt_config *config, struct tt_err *err);

#endif

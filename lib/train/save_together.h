/* lib/train/save_together.h: a checkpoint that all ranks of a run write: rank 0 makes the folder, every rank its file, and rank 0 the
 * .metadata of what all of them wrote, and the name. A failure of any rank is one of the save, and leaves nothing of it. */
#ifndef TT_TRAIN_SAVE_TOGETHER_H
#define TT_TRAIN_SAVE_TOGETHER_H

#include "ckpt/save.h"
#include "train/ranks.h"

/* Together. items: those of this rank (tt_share_items); dir and opts as tt_dcp_save has them. */
TT_MUST_CHECK tt_status tt_save_together(const struct tt_ranks *ranks, const char *dir, const struct tt_save_item *items, size_t n,
                                         const struct tt_save_opts *opts, struct tt_err *err);

#endif

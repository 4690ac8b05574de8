/* lib/train/share.h: what of a run's state a rank holds, and what of a checkpoint it writes.
 *
 * A rank writes the shards that no other rank holds. What several hold goes, largest first, to the one of them with the fewest bytes so
 * far, and values to any rank by the same rule; all ranks come to the same result, each for itself. A position in the data is written
 * by the first of the ranks that read that data, all else of the data loader by rank 0. */
#ifndef TT_TRAIN_SHARE_H
#define TT_TRAIN_SHARE_H

#include "ckpt/save.h"
#include "comm/mesh.h"
#include "convert/job.h"
#include "tensor/region.h"
#include "train/ranks.h"
#include "train/state.h"

/* The rank's part of each parameter of the job: part (job->params.n). TT_EINVAL: tt_job_find's. */
TT_MUST_CHECK tt_status tt_share_parts(struct tt_region *part, struct tt_job *job, const struct tt_mesh *mesh, struct tt_err *err);

/* Leaves of the items (*n) those that the rank writes, in their order. All ranks have the same items, each with its own part of tensors,
 * but for those of the data loader. */
TT_MUST_CHECK tt_status tt_share_items(struct tt_save_item *items, size_t *n, struct tt_job *job, const struct tt_mesh *mesh,
                                       struct tt_err *err);

/* Where a rank is in what is left of a pass that other ranks began: makes of all ranks' positions one in titan's own form, in the arena,
 * which rank 0 is to save (state->one_position). Together; ranks NULL: alone. */
TT_MUST_CHECK tt_status tt_share_position(struct tt_train_state *state, const struct tt_ranks *ranks, struct tt_arena *arena,
                                          struct tt_err *err);

#endif

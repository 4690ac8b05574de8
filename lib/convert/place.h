/* lib/convert/place.h: as which chunks the items of a recipe are written, and into which files: their `placed` and the target's
 * `files`, all in the recipe's arena or borrowed. The target is a DCP folder. */
#ifndef TT_CONVERT_PLACE_H
#define TT_CONVERT_PLACE_H

#include "ckpt/write.h"
#include "convert/balance.h"
#include "convert/job.h"

/* As a job would: file r is rank r's, __<r>_0.distcp, and has the shards that no other rank holds. What several ranks hold goes, largest
 * first, to the one of them with the fewest bytes so far, and values to any rank by the same rule. TT_EINVAL: tt_job_find's. */
TT_MUST_CHECK tt_status tt_place_job(struct tt_recipe *recipe, struct tt_target *target, struct tt_job *job, struct tt_err *err);

/* One tensor or value of a job in the making, by that rule: placed (holders->shards->n, or 1) is the caller's, borrowed until
 * tt_balance_decide. */
TT_MUST_CHECK tt_status tt_place_shards(struct tt_balance *b, struct tt_placed *placed, const struct tt_holders *holders,
                                        enum tt_dtype dtype, int ndim, struct tt_err *err);
TT_MUST_CHECK tt_status tt_place_anywhere(struct tt_balance *b, struct tt_placed *placed, struct tt_err *err);

/* As another DCP checkpoint has its keys; a slot of the optimizer that it does not have, as its parameter. Values that it does not
 * have go to its file with the fewest bytes. TT_EINVAL: it has no such tensor, or one of another shape. */
TT_MUST_CHECK tt_status tt_place_like(struct tt_recipe *recipe, struct tt_target *target, const struct tt_ckpt *other,
                                      struct tt_err *err);

/* As the DCP checkpoint has them that the items come from (their first part, or entry), whatever their names are now. */
TT_MUST_CHECK tt_status tt_place_as_is(struct tt_recipe *recipe, struct tt_target *target, const struct tt_ckpt *source,
                                       struct tt_err *err);

#endif

/* lib/train/init.h: initial weights: each parameter of a family's table drawn in the table's order from one generator, which gives
 * the weights of TorchTitan's create_seed_checkpoint for the same seed (within 2e-6; rng.h says how close and why). */
#ifndef TT_TRAIN_INIT_H
#define TT_TRAIN_INIT_H

#include "base/pool.h"
#include "family/family.h"
#include "tensor/dtype.h"
#include "tensor/region.h"

/* value[i]: the elements of params->p[i], of this type (TT_F32 or TT_BF16): all numel of them, or, with part (params->n of them), those
 * of its region, row-major, which are those that they are in the whole. pool NULL: this thread alone; the values do not depend on it. */
TT_MUST_CHECK tt_status tt_init_draw(const struct tt_params *params, const struct tt_model_args *args, uint64_t seed,
                                     enum tt_dtype dtype, const struct tt_region *part, void *const *value, struct tt_pool *pool,
                                     struct tt_err *err);

#endif

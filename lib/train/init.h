/* lib/train/init.h: initial weights: each parameter of a family's table drawn in the table's order from one generator, which gives
 * the weights of TorchTitan's create_seed_checkpoint for the same seed (within 2e-6; rng.h says how close and why). */
#ifndef TT_TRAIN_INIT_H
#define TT_TRAIN_INIT_H

#include "base/pool.h"
#include "family/family.h"
#include "tensor/dtype.h"

/* value[i]: the numel elements of params->p[i], of this type (TT_F32 or TT_BF16). pool NULL: this thread alone; the values do not
 * depend on it. TT_ENOMEM (a bfloat16 tensor is drawn beside its place, in float32). */
TT_MUST_CHECK tt_status tt_init_draw(const struct tt_params *params, const struct tt_model_args *args, uint64_t seed,
                                     enum tt_dtype dtype, void *const *value, struct tt_pool *pool, struct tt_err *err);

#endif

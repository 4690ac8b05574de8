/* lib/train/activations.h: [activation_checkpoint], as what a step keeps of its forwards. */
#ifndef TT_TRAIN_ACTIVATIONS_H
#define TT_TRAIN_ACTIVATIONS_H

#include "base/log.h"
#include "config/config.h"
#include "train/step.h"

/* Sets keep and keep_budget; strings are the config's. TT_EINVAL: a selective_ac_option that is neither op nor a number, a name for
 * per_op_sac_force_recompute_mm_shapes_by_fqns that is part of a module's that is no linear layer. */
TT_MUST_CHECK tt_status tt_activations_choose(struct tt_step_opts *out, const struct tt_config *config, const struct tt_params *params,
                                              struct tt_err *err);

/* Says what that came to. */
void tt_activations_log(const struct tt_config *config, const struct tt_step *step, const struct tt_log *log);

#endif

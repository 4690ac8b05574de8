/* lib/train/setup.h: the model that the settings name, for a run of whatever kind. */
#ifndef TT_TRAIN_SETUP_H
#define TT_TRAIN_SETUP_H

#include "base/log.h"
#include "config/config.h"
#include "family/family.h"

/* The family, which has a forward function; the errors below. */
TT_MUST_CHECK tt_status tt_setup_family(const struct tt_family **family, const struct tt_config *config, struct tt_err *err);

/* The family, which has a forward function; its args, with training.seq_len for max_seq_len, as TorchTitan has it; its parameters, in
 * the arena. TT_EINVAL, TT_EUNSUPPORTED: there is no such family or flavor, or no forward function; with the setting's place. */
TT_MUST_CHECK tt_status tt_setup_model(const struct tt_family **family, struct tt_model_args *args, struct tt_params *params,
                                       struct tt_arena *arena, const struct tt_config *config, const struct tt_log *log,
                                       struct tt_err *err);


#endif

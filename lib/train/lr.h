/* lib/train/lr.h: the learning rate of each step: TorchTitan's warm-up / stable / decay over PyTorch's LambdaLR.
 *
 *   epoch e < warmup            factor = (e + 1) / warmup
 *   e < warmup + stable         factor = 1
 *   after                       factor = min + (1 - min) f(p), p = (e + 1 - warmup - stable) / decay,
 *                               f = 1 - p (linear), 1 - sqrt(p) (sqrt), (1 + cos(pi p)) / 2 (cosine)
 *
 * warmup + stable + decay is one more than the total, so that the last step's rate is not 0. Epoch e belongs to step e + 1. All in
 * double precision, in TorchTitan's order of operations: a checkpoint holds these numbers. */
#ifndef TT_TRAIN_LR_H
#define TT_TRAIN_LR_H

#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "config/config.h"

struct tt_lr_schedule {
    int64_t warmup, stable, decay;
    enum tt_decay_type decay_type;
    double min_factor;
};

/* From [lr_scheduler] and training.steps. Steps that do not fit are cut, with TorchTitan's warnings. decay_ratio of the total is
 * rounded to nearest, ties to even. TT_EINVAL where a step would have no factor: past total_steps with nothing to decay over; and
 * beyond 2^53 steps. */
TT_MUST_CHECK tt_status tt_lr_schedule_init(struct tt_lr_schedule *out, const struct tt_config_lr_scheduler *config, int64_t steps,
                                            const struct tt_log *log, struct tt_err *err);

double tt_lr_factor(const struct tt_lr_schedule *schedule, int64_t epoch);

/* Where a run is in its schedule: what a checkpoint keeps under lr_scheduler. */
struct tt_lr {
    struct tt_lr_schedule schedule; /* of this run's settings; not in the checkpoint */
    double base;                    /* base_lrs[0]: the peak rate */
    double last;                    /* _last_lr[0]: the rate of the step to come */
    int64_t last_epoch, step_count; /* steps done, and one more */
};

void tt_lr_init(struct tt_lr *out, const struct tt_lr_schedule *schedule, double base);

/* TT_EINVAL where one of the next nsteps would have no factor: a checkpoint can be further on in the schedule than the run is. */
TT_MUST_CHECK tt_status tt_lr_check(const struct tt_lr *lr, int64_t nsteps, struct tt_err *err);

/* After an optimizer step: on to the next rate. */
void tt_lr_step(struct tt_lr *lr);

#endif

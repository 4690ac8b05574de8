#include "train/lr.h"

#include <inttypes.h>
#include <math.h>

/* Counts of steps stay exact as doubles, and sums of two of them fit. */
static const int64_t steps_max = INT64_C(1) << 53;

/* Python's round(): to nearest, ties to even, whatever the rounding mode of the process. */
static int64_t round_half_even(double x)
{
    const double low = floor(x), rest = x - low;
    const int64_t n = (int64_t)low;
    return rest > 0.5 || (rest == 0.5 && n % 2 != 0) ? n + 1 : n;
}

tt_status tt_lr_schedule_init(struct tt_lr_schedule *out, const struct tt_config_lr_scheduler *config, int64_t steps,
                              const struct tt_log *log, struct tt_err *err)
{
    const int64_t total = config->total_steps.set ? config->total_steps.v : steps;
    int64_t warmup = config->warmup_steps, decay;

    if (total > steps_max || steps > steps_max)
        return tt_err_set(err, TT_EINVAL, "%s: expected at most %" PRId64 ", found %" PRId64,
                          total > steps ? "lr_scheduler.total_steps" : "training.steps", steps_max, total > steps ? total : steps);
    if (warmup > total) {
        tt_log_line(log, TT_LOG_WARNING,
                    "Warmup steps (%" PRId64 ") exceed total steps (%" PRId64 "). Adjusting warmup steps to %" PRId64 ".", warmup,
                    total, total);
        warmup = total;
    }
    decay = total - warmup;
    if (config->decay_ratio.set) {
        const int64_t wanted = round_half_even((double)total * config->decay_ratio.v);
        if (wanted > decay)
            tt_log_line(log, TT_LOG_WARNING,
                        "Warmup (%" PRId64 ") + decay (%" PRId64 ") steps exceed total steps (%" PRId64
                        "). Adjusting decay steps to %" PRId64 ".",
                        warmup, wanted, total, decay);
        else
            decay = wanted;
    }
    if (decay == 0 && steps > total)
        return tt_err_set(err, TT_EINVAL,
                          "training.steps is %" PRId64 ", beyond lr_scheduler.total_steps %" PRId64
                          " where no steps of decay are left",
                          steps, total);
    *out = (struct tt_lr_schedule){
        .warmup = warmup,
        .stable = total + 1 - warmup - decay,
        .decay = decay,
        .decay_type = config->decay_type,
        .min_factor = config->min_lr_factor,
    };
    return TT_OK;
}

static double decayed(enum tt_decay_type type, double progress)
{
    static const double pi = 3.14159265358979323846;
    switch (type) {
    case TT_DECAY_SQRT:
        return 1 - sqrt(progress);
    case TT_DECAY_COSINE:
        return 0.5 * (1.0 + cos(pi * progress));
    case TT_DECAY_LINEAR:
        break;
    }
    return 1 - progress;
}

double tt_lr_factor(const struct tt_lr_schedule *s, int64_t epoch)
{
    if (epoch < s->warmup)
        return (double)(epoch + 1) / (double)s->warmup;
    if (epoch < s->warmup + s->stable)
        return 1.0;
    const double progress = (double)(epoch + 1 - s->warmup - s->stable) / (double)s->decay;
    return s->min_factor + (1 - s->min_factor) * decayed(s->decay_type, progress);
}

void tt_lr_init(struct tt_lr *out, const struct tt_lr_schedule *schedule, double base)
{
    *out = (struct tt_lr){ .schedule = *schedule, .base = base, .last = base * tt_lr_factor(schedule, 0), .step_count = 1 };
}

tt_status tt_lr_check(const struct tt_lr *lr, int64_t nsteps, struct tt_err *err)
{
    const int64_t whole = lr->schedule.warmup + lr->schedule.stable;
    if (lr->schedule.decay == 0 && nsteps > 0 && lr->last_epoch + nsteps >= whole)
        return tt_err_set(err, TT_EINVAL,
                          "the learning rate's schedule is at step %" PRId64 " and %" PRId64
                          " steps are to follow, beyond its %" PRId64 " where no steps of decay are left",
                          lr->last_epoch, nsteps, whole - 1);
    return TT_OK;
}

void tt_lr_step(struct tt_lr *lr)
{
    lr->last_epoch++;
    lr->step_count++;
    lr->last = lr->base * tt_lr_factor(&lr->schedule, lr->last_epoch);
}

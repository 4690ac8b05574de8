/* lib/train/profiler.h: traces of steps, in the form that chrome://tracing and Perfetto read:
 *
 *   <job.dump_folder>/<profiling.save_traces_folder>/iteration_<step>/rank<rank>_trace.json
 *
 * Of every profiling.profile_freq steps the last profiling.profiler_active are recorded, and written after the last of them; what a run
 * that ends before has recorded is written then. A step is an event, named as PyTorch names it (ProfilerStep#0 is the first), and so is
 * each operation, a validation's too, with its operands' shapes and types, their bytes, and its floating point operations where these
 * count; a collective is an asynchronous event ("b", "e"), from its launch until it has been waited for, with its queue. */
#ifndef TT_TRAIN_PROFILER_H
#define TT_TRAIN_PROFILER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "train/step.h"

struct tt_profiler {
    const struct tt_config_profiling *config; /* NULL: nothing is asked for */
    const struct tt_log *log;
    int rank;
    struct tt_step *step, *eval; /* of training and of validation; NULL: there is none */
    struct tt_arena arena;
    const char *folder;       /* in the arena */
    double begin;             /* of the step in progress */
    struct tt_buf ops, steps; /* of the trace in progress: arrays of what profiler.c says */
    struct tt_plan_watch watch, eval_watch;
};

/* Makes the folder where profiling.enable_profiling asks for traces; rank: of the run's. All but the err is borrowed. *out, once it is filled, stays
 * where it is. */
TT_MUST_CHECK tt_status tt_profiler_open(struct tt_profiler *out, const struct tt_config *config, int rank, struct tt_step *step,
                                         struct tt_step *eval, const struct tt_log *log, struct tt_err *err);

/* Around each step, from 1. TT_EIO, TT_ENOMEM: the trace that was due is not there. */
void tt_profiler_begin(struct tt_profiler *profiler, int64_t step);
TT_MUST_CHECK tt_status tt_profiler_end(struct tt_profiler *profiler, int64_t step, struct tt_err *err);

/* After the last step. */
TT_MUST_CHECK tt_status tt_profiler_finish(struct tt_profiler *profiler, struct tt_err *err);
void tt_profiler_release(struct tt_profiler *profiler); /* fine on a zeroed struct */

#endif

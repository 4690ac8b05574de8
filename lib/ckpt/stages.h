/* lib/ckpt/stages.h: which modules of a model each pipeline rank has, as TorchTitan splits them.
 *
 * A model of n_layers layers is cut into stages of as many layers as possible alike, where tok_embeddings counts as `first_less`
 * layers of the first stage and norm with output as `last_less` of the last one. A schedule of one stage a rank gives stage i to rank i;
 * others give a rank every pp-th stage (loops), or its i-th and its i-th from the end (ZBVZeroBubble, DualPipeV).
 * Sources: torchtitan/distributed/pipeline_parallel.py, torch/distributed/pipelining/schedules.py (get_schedule_class). */
#ifndef TT_CKPT_STAGES_H
#define TT_CKPT_STAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct tt_modules {
    const char *const *names; /* "tok_embeddings", "layers.3", "norm", "output" */
    size_t n;
};

/* [parallelism]'s pipeline_parallel_*: schedule, layers_per_stage (0: not set), first_stage_less_layers, last_stage_less_layers, and
 * module_fqns_per_model_part (nparts 0: not set). */
struct tt_stages_opts {
    const char *schedule; /* its case does not matter */
    int64_t layers_per_stage, first_less, last_less;
    const struct tt_modules *parts;
    size_t nparts;
};

struct tt_stages {
    const struct tt_modules *stage; /* (n), in the arena */
    const int64_t *rank;            /* (n) the pipeline rank of each */
    int64_t n;
};

/* TT_EINVAL names the setting: no such schedule, a number of stages that the schedule or the ranks do not take. With pp 1 there is one
 * stage, which has everything. */
TT_MUST_CHECK tt_status tt_stages_make(struct tt_stages *out, struct tt_arena *arena, int64_t pp, int64_t n_layers,
                                       const struct tt_stages_opts *opts, struct tt_err *err);

/* Whether a stage has the tensor of this fqn. */
bool tt_stage_has(const struct tt_stages *stages, int64_t stage, const char *fqn);

#endif

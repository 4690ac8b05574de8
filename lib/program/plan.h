/* lib/program/plan.h: every buffer of a step fixed before it runs, and the step itself.
 *
 * Lifetimes come from the schedule's order; values whose lifetimes do not meet share memory, an output lies over an input that
 * dies there where the op allows it. Microbatches in flight at the same time have places of their own. Where a step has one
 * microbatch, copies and gradients of parameters are such values too; gradients live to the end of the step. */
#ifndef TT_PROGRAM_PLAN_H
#define TT_PROGRAM_PLAN_H

#include "device/device.h"
#include "program/program.h"
#include "program/schedule.h"

/* Bytes by kind, without those that are another plan's (share), floating point operations of a step. */
struct tt_cost {
    uint64_t arena;    /* activations, gradients in flight, scratch; of one microbatch copies, grads: what the packing came to */
    uint64_t live_max; /* the most that is alive at once: arena can be no smaller */
    uint64_t params, copies, grads, optim, inputs, cache;
    uint64_t flops;
};

struct tt_plan;

struct tt_plan_opts {
    const struct tt_program *model; /* the stage's program; borrowed, as is what follows */
    const struct tt_program *step;  /* NULL: no optimizer (evaluation) */
    const struct tt_sched *sched;
    int rank;
    const struct tt_params *params;
    struct tt_device *device;
    /* NULL, or a plan, bound before this one, whose parameters and cache this one uses, and whose arena where that is large enough:
     * validation beside training, a prompt beside single tokens, one of which runs at a time. The caches of the two programs are of
     * the same sizes. */
    const struct tt_plan *share;
};

TT_MUST_CHECK tt_status tt_plan_new(struct tt_plan **out, const struct tt_plan_opts *opts, struct tt_err *err);
void tt_plan_free(struct tt_plan *plan);
const struct tt_cost *tt_plan_cost(const struct tt_plan *plan);

/* Allocates everything, zeroed. After it tt_plan_run allocates nothing. */
TT_MUST_CHECK tt_status tt_plan_bind(struct tt_plan *plan, struct tt_err *err);

/* Buffers, after bind: NULL where the plan has no such value. */
void *tt_plan_input(const struct tt_plan *plan, enum tt_input which, int mb);
void *tt_plan_const(const struct tt_plan *plan, enum tt_const which);
float *tt_plan_losses(const struct tt_plan *plan); /* one a microbatch */
void *tt_plan_logits(const struct tt_plan *plan, int mb); /* (B, 1, V) */
void *tt_plan_param(const struct tt_plan *plan, int param, enum tt_role role);
struct tt_scalars *tt_plan_scalars(const struct tt_plan *plan);

/* What takes room in the arena, from one operation of the step to another, both included: a value of the model's program, or scratch
 * of the operation that it begins with. Values that lie over one are part of it. */
struct tt_plan_buffer {
    uint64_t offset, nbytes;
    int begin, end; /* operations of the step, from 0 */
    tt_val value;   /* TT_NO_VAL: scratch */
};

/* All of them, in the order in which they begin; the caller frees. */
TT_MUST_CHECK tt_status tt_plan_buffers(struct tt_plan_buffer **out, size_t *n, const struct tt_plan *plan, struct tt_err *err);

/* The operations of a step in their order. *mb -1: of no microbatch. */
int tt_plan_nops(const struct tt_plan *plan);
const struct tt_op *tt_plan_op(const struct tt_plan *plan, int i, const struct tt_program **prog, int *mb);

TT_MUST_CHECK tt_status tt_plan_run(struct tt_plan *plan, struct tt_err *err);

/* Who is told of each operation that has run, of which microbatch (-1: of none), and from when to when, in tt_seconds(): of a
 * collective when it has been waited for. The call lives as long as the plan. */
struct tt_plan_watch {
    void (*ran)(void *ctx, const struct tt_call *call, int mb, double begin, double end);
    void *ctx;
};
void tt_plan_watch(struct tt_plan *plan, const struct tt_plan_watch *watch); /* borrowed; NULL: nobody, as at first */

#endif

/* lib/program/plan_private.h: what a plan consists of; plan.c makes its timeline and runs it, plan_arena.c finds places in its arena. */
#ifndef TT_PROGRAM_PLAN_PRIVATE_H
#define TT_PROGRAM_PLAN_PRIVATE_H

#include "program/pack.h"
#include "program/plan.h"
#include "program/waits.h"

enum { TT_PLAN_ALIGN = 64 };

struct tt_plan_block { /* memory outside the arena */
    void *p;
    uint64_t nbytes;
};

struct tt_plan {
    struct tt_plan_opts opts;
    struct tt_cost cost;

    struct tt_moment *event;
    struct tt_call *call; /* one an event */
    int nevents;
    int *before;           /* [event]: in front of which event it is waited for (waits.h) */
    int *waits, *next;     /* [event]: the first that is waited for in front of it; that one's next; -1: none */
    struct tt_event *done; /* [event] */
    double *begun;         /* [event]: when it was launched, for the watch */
    const struct tt_plan_watch *watch;

    /* A thing is what takes room in the arena: a value of the model's program, by its number, an operation's scratch, by nvals +
     * its number, or behind those a copy or the gradient of a parameter (tt_plan_param_thing). */
    size_t nthings;
    uint64_t *thing_nbytes;
    struct tt_span *span; /* [thing * nmb + mb]: from the op that makes it to its last reader; end -1: nowhere */
    tt_val *root;         /* [value]: in whose place it lies */
    int nslots, *slot;    /* slot[mb]: microbatches in flight together have different ones */
    uint64_t *offset;     /* [slot * nthings + root]: in the arena */
    uint64_t side_scratch, side_offset; /* for what is outside the microbatches */

    uint64_t *param_offset[TT_NROLES]; /* [param]; UINT64_MAX: no program asks for it */
    uint64_t input_nbytes[TT_NINPUTS]; /* of one microbatch */

    uint64_t *cache_offset; /* [value] */
    uint64_t logits_nbytes; /* of one microbatch */

    struct tt_plan_block arena, role[TT_NROLES], input[TT_NINPUTS], constant[TT_NCONSTS], losses, logits, cache, scalars;
    bool borrows; /* the shared plan's arena; this plan has none of its own */
};

static inline uint64_t tt_plan_align_up(uint64_t n)
{
    return (n + TT_PLAN_ALIGN - 1) / TT_PLAN_ALIGN * TT_PLAN_ALIGN;
}

static inline struct tt_span *tt_plan_span(const struct tt_plan *plan, size_t thing, int mb)
{
    return &plan->span[thing * (size_t)plan->opts.sched->nmb + (size_t)mb];
}

/* Does another plan have the parameters' buffers of this role? */
static inline bool tt_plan_is_shared(const struct tt_plan *plan, int role)
{
    return plan->opts.share && plan->opts.share->role[role].nbytes > 0;
}

static inline size_t tt_plan_param_thing(const struct tt_plan *plan, enum tt_role role, int param)
{
    const size_t first = (size_t)plan->opts.model->nvals + (size_t)plan->opts.model->nops;
    return first + (role == TT_ROLE_GRAD ? (size_t)plan->opts.params->n : 0) + (size_t)param;
}

/* Of a copy or a gradient? */
static inline bool tt_plan_is_passing(enum tt_role role) { return role == TT_ROLE_FULL || role == TT_ROLE_GRAD; }

/* Has a buffer of a parameter its place in the arena? */
static inline bool tt_plan_is_param_in_arena(const struct tt_plan *plan, enum tt_role role, int param)
{
    return tt_plan_is_passing(role) && tt_plan_span(plan, tt_plan_param_thing(plan, role, param), 0)->end >= 0;
}

/* The arena of a plan that has its timeline: what is in it, how large, and where. */
TT_MUST_CHECK tt_status tt_plan_arena(struct tt_plan *plan, struct tt_err *err);

#endif

/* lib/program/schedule.h: what each rank does in a step, in order: forwards and backwards of stages and microbatches, and what
 * happens to the units of parameters around them.
 *
 * Without pipeline parallelism there is one stage, and gradient accumulation is its microbatches: F0 B0 F1 B1 ... STEP. */
#ifndef TT_PROGRAM_SCHEDULE_H
#define TT_PROGRAM_SCHEDULE_H

#include <stdint.h>

#include "base/err.h"

enum tt_act {
    TT_A_F, TT_A_I, TT_A_W, TT_A_B, /* B: I and W of each operation together */
    TT_A_UNSHARD, TT_A_RESHARD, TT_A_REDUCE_GRAD, TT_A_STEP,
    TT_A_SEND_F, TT_A_RECV_F, TT_A_SEND_B, TT_A_RECV_B,
    TT_NACTS
};

extern const char *const tt_act_names[TT_NACTS]; /* "F", ..., "UNSHARD", ... */

struct tt_action {
    enum tt_act act;
    int16_t stage, unit; /* unit -1: all of the stage's */
    int16_t mb;          /* -1: all of the step's */
};

struct tt_sched {
    int nranks, nstages, nmb;
    struct tt_action **rank; /* [nranks][n[rank]] */
    int *n;
};

/* "1F1B" or "GPipe": stage s runs on rank s, nstages = pp. TT_EINVAL: another name, or counts that cannot be. */
TT_MUST_CHECK tt_status tt_sched_make(struct tt_sched *out, const char *name, int pp, int nstages, int nmb, struct tt_err *err);
void tt_sched_release(struct tt_sched *sched);

/* Adds UNSHARD before the first use, SEND and RECV between stages, REDUCE_GRAD after a stage's last backward, STEP at the end. */
TT_MUST_CHECK tt_status tt_sched_lower(struct tt_sched *sched, struct tt_err *err);

/* Every stage has F and B (or I and W) of every microbatch once, in an order that dependencies allow, sends and receives pair up
 * and do not wait for each other in a circle (sends are rendezvous). TT_EINVAL names the rank and the action. */
TT_MUST_CHECK tt_status tt_sched_check(const struct tt_sched *sched, struct tt_err *err);

#endif

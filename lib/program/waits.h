/* lib/program/waits.h: when an operation of another queue is waited for.
 *
 * Products are launched in order on one queue; a collective runs beside those behind it, until one of them needs what it writes or
 * would write what it reads or writes. */
#ifndef TT_PROGRAM_WAITS_H
#define TT_PROGRAM_WAITS_H

#include "program/program.h"

/* One operation at one point of a step's timeline. */
struct tt_moment {
    const struct tt_program *prog;
    int op, mb; /* mb -1: not of a microbatch */
    bool first; /* of a weight gradient: nothing was accumulated before */
};

/* before[t], for n of them: the moment in front of which t is waited for, t + 1 at the soonest and n where nothing needs it; 0 where t
 * is on the products' queue. What belongs to a microbatch is waited for by its last moment. */
TT_MUST_CHECK tt_status tt_waits_find(int *before, const struct tt_moment *moment, int n, int nmb, struct tt_err *err);

#endif

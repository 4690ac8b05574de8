/* lib/base/pace.h: a thread that works beside others which matter more, and takes no more than a share of a core until somebody
 * waits for it. It sleeps between the pieces of its work, by the processor time that they took: a lower priority would take
 * privileges to be undone. */
#ifndef TT_BASE_PACE_H
#define TT_BASE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>

struct tt_pace {
    double share;        /* of a core, above 0 and at most 1 */
    double worked;       /* processor seconds of the thread when it last slept */
    atomic_bool hurried; /* somebody waits */
};

/* For a thread that is about to be started. */
void tt_pace_init(struct tt_pace *pace, double share);
/* In that thread, after each piece of work: sleeps for what the piece took beyond the share. */
void tt_pace_rest(struct tt_pace *pace);
/* In any thread: from now on it does not sleep. */
void tt_pace_hurry(struct tt_pace *pace);

#endif

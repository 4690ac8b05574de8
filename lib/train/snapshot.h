/* lib/train/snapshot.h: a copy of a run's tensors, so that they can be saved while training changes them. */
#ifndef TT_TRAIN_SNAPSHOT_H
#define TT_TRAIN_SNAPSHOT_H

#include "base/pool.h"
#include "train/state.h"

struct tt_snapshot {
    struct tt_state_tensor *tensors; /* (ntensors) the state's, with their data in bytes; owned, as bytes is */
    size_t ntensors;
    char *bytes;
    size_t nbytes;
};

/* Room for the weights and moments of the state, and a first copy of them, so that no later one waits for pages. pool may be
 * NULL. */
TT_MUST_CHECK tt_status tt_snapshot_init(struct tt_snapshot *out, const struct tt_train_state *state, struct tt_pool *pool,
                                         struct tt_err *err);
void tt_snapshot_release(struct tt_snapshot *snapshot); /* fine on a zeroed struct */

/* Copies the tensors; the state as it is now, with the copies, which is good until the next take. Its loader stays the one that
 * trains: tt_state_items is called before that goes on. */
struct tt_train_state tt_snapshot_take(struct tt_snapshot *snapshot, const struct tt_train_state *state, struct tt_pool *pool);

#endif

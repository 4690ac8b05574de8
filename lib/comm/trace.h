/* lib/comm/trace.h: the flight record: a rank's last operations, for the day on which a run stands still.
 *
 * One line of JSON an operation, the oldest first:
 *
 *   time    seconds since 1970, when it was posted
 *   group   the communicator's name; number: of the operation there, from 1
 *   kind    "all_gather" ...
 *   what    what it was for; of several buffers the first
 *   dtype, count    on the wire; count is of this rank's part, or of all where parts are uneven, in all buffers
 *   peer    the other rank (in the world) of a send or recv, the root of a broadcast; null for others
 *   state   "done", "under way" or "posted" */
#ifndef TT_COMM_TRACE_H
#define TT_COMM_TRACE_H

#include "comm/comm.h"

struct tt_trace_entry {
    double time;
    uint64_t comm, number, collective; /* comm: its id; collective: the number among those that are not send or recv */
    int64_t count;
    enum tt_coll_kind kind;
    enum tt_dtype wire;
    int peer;                 /* -1: none */
    char group[24], what[56]; /* cut where longer */
};

struct tt_trace;

/* Of the last noperations. From then on what is posted in this world is recorded. */
TT_MUST_CHECK tt_status tt_trace_start(struct tt_world *world, int64_t noperations, struct tt_err *err);
void tt_trace_stop(struct tt_world *world);

/* From any thread. count is what the record says of it; counts are not looked at. */
void tt_trace_add(struct tt_trace *trace, const struct tt_comm *comm, const struct tt_coll *coll, uint64_t number);
/* The operation of that number; false where it is not among the last. */
bool tt_trace_find(struct tt_trace *trace, uint64_t comm, uint64_t number, struct tt_trace_entry *out);
/* The last noperations of those. */
TT_MUST_CHECK tt_status tt_trace_write(struct tt_world *world, int64_t noperations, const char *path, struct tt_err *err);

#endif

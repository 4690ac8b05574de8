/* lib/comm/watchdog.h: what ends a run of many processes that cannot go on.
 *
 * A thread of each rank tells the others, over connections of its own, how far the rank has come: its step, what it reports of its
 * progress, and the last operation that it has posted and that is done in each communicator. Every rank so knows of every other one.
 * A run ends where
 *
 *   an operation is late      it was not done for the timeout, and some rank has not entered it, or has been silent for as long
 *   a connection closes       a rank is gone
 *   a rank fails              and says so in tt_watchdog_stop
 *   the launcher is gone
 *
 * The lowest of the ranks that live says in its log which rank it is and what was waited for; each writes its record of operations
 * (comm/trace.h) and ends its process with status 1. A rank that is busy by itself is not late however long others wait for it, nor is one
 * that waits itself: what it waits for is. */
#ifndef TT_COMM_WATCHDOG_H
#define TT_COMM_WATCHDOG_H

#include "base/log.h"
#include "comm/comm.h"

struct tt_watchdog;

struct tt_watchdog_opts {
    double init_timeout_s;    /* until the second tt_watchdog_step: a first step does what no other does */
    double train_timeout_s;   /* from then on */
    int64_t noperations;      /* of the record; 0: none is written */
    const char *record;       /* "out/comm_traces/rank_": the record of rank 3 is the file rank_3 there; its folder is made */
    const struct tt_log *log; /* all are borrowed until the stop */
};

/* Every rank of the world calls it, before anything is posted that is to be watched. It ends the limit of tt_mpi_run. In a world that
 * is one process nothing is watched, and *out is NULL. */
TT_MUST_CHECK tt_status tt_watchdog_start(struct tt_watchdog **out, struct tt_world *world, const struct tt_watchdog_opts *opts,
                                          struct tt_err *err);

/* This rank has come to this step. NULL is fine, as for all below. */
void tt_watchdog_step(struct tt_watchdog *watchdog, int64_t step);

/* In between, which may be several times at once, this rank is busy with what takes as long as it takes: it reads, counts, writes, waits
 * for a disk. It waits for no other rank there. */
void tt_watchdog_busy(struct tt_watchdog *watchdog);
void tt_watchdog_done(struct tt_watchdog *watchdog);

/* A group of the background's: what a thread beside the one that trains does together with those of other ranks. In between busy_for and
 * done_for that thread is busy, which excuses nothing but what is late in such groups; of any other group they are as busy and done.
 * While the thread that trains waits for the background (awaits) it is as busy as that, and as what that waits for. */
void tt_watchdog_set_background(struct tt_comm *group);
void tt_watchdog_busy_for(struct tt_watchdog *watchdog, const struct tt_comm *group);
void tt_watchdog_done_for(struct tt_watchdog *watchdog, const struct tt_comm *group);
void tt_watchdog_await_background(struct tt_watchdog *watchdog, bool awaits);

/* This rank needs no watching any more: it has done all it will do (failed NULL), or has failed, which ends the others. Where a lower rank
 * has failed alike it does not return: that one says it. */
void tt_watchdog_stop(struct tt_watchdog *watchdog, const struct tt_err *failed);

#endif

/* lib/comm/comm.h: collectives between the ranks of a run.
 *
 * A run has ranks [0, size), its world: one process (self), threads of one process (local), or processes that a launcher started (mpi). A
 * communicator is a group of them with a queue of its own: what a rank posts to it happens in that order, beside what happens in
 * other communicators. Posting returns at once, waiting sleeps. Every rank of a group posts the same collectives in the same order;
 * a send only its sender and a recv only its receiver, in the same order among the two. A send is done when the receiver has it all:
 * two ranks that first send to each other in one communicator wait for ever.
 *
 * Results are bit for bit the same wherever the ranks run and however they are timed: each element is summed on one rank, in the
 * order of the ranks in the group, ((x0 + x1) + x2) + ..., in the dtype `sum`, and then rounded once to `wire` (where sum is
 * bfloat16, after each addition). No partial sum travels, so a bfloat16 wire with float32 sums loses only that one rounding.
 *
 * What a rank sends, in elements of `wire` (n ranks):
 *
 *   all_gather      counts[rank] to each other rank
 *   reduce_scatter  counts[j] to each rank j
 *   all_reduce      up to TT_COMM_SMALL bytes: all of it to each; more: a reduce_scatter into n pieces of ceil(count / n), the last
 *                   ones shorter, and an all_gather of them
 *   broadcast       to each of its children in the binomial tree at the root
 *
 * in messages of at most TT_COMM_CHUNK bytes. Of an operation of several buffers (more) a message is of one of them, or of some that
 * together have no more than TT_COMM_SMALL bytes. */
#ifndef TT_COMM_COMM_H
#define TT_COMM_COMM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/dtype.h"

enum { TT_COMM_CHUNK = 256 << 10, TT_COMM_SMALL = 8 << 10 }; /* bytes */

enum tt_coll_kind {
    TT_COLL_ALL_GATHER,
    TT_COLL_REDUCE_SCATTER,
    TT_COLL_ALL_REDUCE,
    TT_COLL_BROADCAST,
    TT_COLL_BARRIER,
    TT_COLL_SEND,
    TT_COLL_RECV,
    TT_COLL_NKINDS
};

enum tt_reduce_op { TT_REDUCE_SUM, TT_REDUCE_MAX }; /* the maximum of what has a NaN is NaN */

/* One operation. src and dst are borrowed, as counts and what are, until it is done. They do not overlap but where it says so.
 *
 *   kind            src                          dst                          src within dst
 *   all_gather      own part                     all parts, in rank order     at the own part's place
 *   reduce_scatter  all parts, in rank order     own part of the result       dst at the own part's place in src
 *   all_reduce      count                        count, the same on all       dst == src
 *   broadcast       count, at the root           count, at the others         -
 *   send, recv      count to peer (send)         count from peer (recv)       -
 *
 * A part has counts[rank] elements, or `count` where counts is NULL. Any of them may be 0, and a buffer of none NULL. */
struct tt_coll {
    enum tt_coll_kind kind;
    enum tt_reduce_op op;
    enum tt_dtype wire; /* of src, dst and the messages; what does not reduce takes any: bytes are TT_U8 */
    enum tt_dtype sum;  /* of the sums: wire, or TT_F32 for TT_BF16; reductions are of float32, float64, bfloat16 and int64 */
    bool unrounded;     /* reduce_scatter: dst has the dtype sum */
    const void *src;
    void *dst;
    int64_t count;         /* elements */
    const int64_t *counts; /* (size), for all_gather and reduce_scatter; NULL: even */
    int peer;              /* the other rank of send and recv, the root of broadcast: within the group */
    const char *what;      /* for messages and the flight record: "gradients of layers.3" */

    /* What is posted next in this communicator belongs to the same all_gather, reduce_scatter or all_reduce, and has the same op and
     * dtypes: each buffer on its own has the result that it would have alone. It begins when the last of them is posted. */
    bool more;
};

struct tt_world {
    int rank, size;

    /* For lib/comm alone. */
    const struct tt_world_ops *ops;
    pthread_mutex_t lock;   /* over what follows */
    struct tt_comm *comms;  /* that this rank has made */
    struct tt_trace *trace; /* NULL: what is posted is not recorded */
};

/* One group and queue. */
struct tt_comm {
    struct tt_world *world;
    const char *name; /* "dp_shard" */
    int rank, size;   /* of this rank, within the group */
    const int *ranks; /* (size) their ranks in the world */

    /* For lib/comm alone; tt_comm_seen reads it. */
    const struct tt_comm_ops *ops;
    atomic_ullong posted, done, collectives, sent_nbytes, messages;
    atomic_int waits;     /* threads in tt_comm_wait */
    struct tt_comm *next; /* of the world's */
    uint64_t id;          /* the same for all of the group, and like no other's */
    bool is_background;   /* for the watchdog */
    uint64_t watched;     /* by the watchdog: operations done, and since when this is so */
    double watched_since, finished_since; /* this: when another rank was first known to have done what is under way; 0: none is */
    struct tt_coll open; /* `more`: of what is not complete, count of all its buffers so far, what of the first */
};

/* What a rank does, with its own world; on its own thread where it is one of several. */
typedef tt_status tt_rank_fn(struct tt_world *world, void *ctx, struct tt_err *err);

/* Starts the ranks, has each call fn, and returns when all are done.
 *
 * self: fn is called here, in a world of one.
 * local: nranks threads of this process. Where ranks fail, the lowest of those that failed by themselves gives the error, with its
 * number before it ("rank 3: ..."); the others are woken, whatever they wait for. Where all ranks
 * wait for each other and nothing moves for some seconds, that is an error too, which says what each waits for.
 * mpi: fn is called here; this process is one of those that a launcher has started (comm/launch.h), and all of them call this. It is the
 * only function that needs MPI's library, and takes 0.3 s to start. From its call to the return of tt_watchdog_start, and from the
 * return of fn to its own, it takes at most timeout_s each (0: any time), or the process ends (base/limit.h). Where this rank fails
 * the others do not learn of it here: the process should end with an error, and the launcher ends the others. */
TT_MUST_CHECK tt_status tt_self_run(tt_rank_fn *fn, void *ctx, struct tt_err *err);
TT_MUST_CHECK tt_status tt_local_run(int nranks, tt_rank_fn *fn, void *ctx, struct tt_err *err);
TT_MUST_CHECK tt_status tt_mpi_run(tt_rank_fn *fn, void *ctx, double timeout_s, struct tt_err *err);

/* This rank has failed: every rank's wait and post fail from now on, with why->msg. It returns when no other thread touches this
 * rank's buffers any more: on the way out of an error it comes before they are freed, unless all that was posted has been waited
 * for. Of several calls the first counts. When fn fails, it is called. */
void tt_world_abort(struct tt_world *world, const struct tt_err *why);

/* A communicator of n ranks of the world, ascending, this one among them; NULL: of all. Each of them makes it; ranks that share several
 * make these in the same order. name is copied. TT_EINVAL: no such group. */
TT_MUST_CHECK tt_status tt_comm_new(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name,
                                    struct tt_err *err);
/* All that was posted has been waited for, or the world is aborted. NULL is fine. */
void tt_comm_free(struct tt_comm *comm);

/* The operation is in the queue; *ticket is its number in this communicator, from 1, of all its buffers the same (ticket may be NULL).
 * One thread of a rank at a time. TT_EINVAL: an operation that cannot be, of which nothing is posted; or as after tt_world_abort. */
TT_MUST_CHECK tt_status tt_comm_post(struct tt_comm *comm, const struct tt_coll *coll, uint64_t *ticket, struct tt_err *err);
/* Returns when the operation, and so all posted before it, is done. Fails where the world is aborted: by a rank that failed, or
 * because ranks posted what does not fit together. */
TT_MUST_CHECK tt_status tt_comm_wait(struct tt_comm *comm, uint64_t ticket, struct tt_err *err);
/* Both. */
TT_MUST_CHECK tt_status tt_comm_do(struct tt_comm *comm, const struct tt_coll *coll, struct tt_err *err);

/* From any thread. Of operations done, and begun; so posted == done: nothing is under way. */
struct tt_comm_seen {
    uint64_t posted, done;          /* the numbers of the last operations */
    uint64_t sent_nbytes, messages; /* by this rank: what the table above comes to, also where nothing is sent (local) */
};
struct tt_comm_seen tt_comm_seen(const struct tt_comm *comm);

const char *tt_coll_name(enum tt_coll_kind kind); /* "all_gather" */

#endif

/* lib/comm/comm_private.h: what a backend is, and what all of them share. */
#ifndef TT_COMM_COMM_PRIVATE_H
#define TT_COMM_COMM_PRIVATE_H

#include "comm/comm.h"

struct tt_world_ops {
    bool processes; /* each rank is one */
    /* ranks, n and the place of this rank among them are checked. The backend makes its struct, whose first member is the tt_comm that
     * tt_comm_init has filled. */
    tt_status (*comm_new)(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name,
                          struct tt_err *err);
    void (*abort)(struct tt_world *world, const struct tt_err *why);
};

struct tt_comm_ops {
    /* coll is checked; ticket is posted + 1, and the backend sets `posted` with what it takes to be seen. */
    tt_status (*post)(struct tt_comm *comm, const struct tt_coll *coll, uint64_t ticket, struct tt_err *err);
    tt_status (*wait)(struct tt_comm *comm, uint64_t ticket, struct tt_err *err);
    void (*free)(struct tt_comm *comm);
};

/* What tt_world begins with. */
void tt_world_init(struct tt_world *world, const struct tt_world_ops *ops, int rank, int size);
void tt_world_release(struct tt_world *world);

/* Copies ranks and name; tt_comm_release frees them. */
TT_MUST_CHECK tt_status tt_comm_init(struct tt_comm *comm, const struct tt_comm_ops *ops, struct tt_world *world, const int *ranks,
                                     int n, const char *name, struct tt_err *err);
void tt_comm_release(struct tt_comm *comm);
void tt_comm_enlist(struct tt_comm *comm); /* among those of its world; tt_comm_new does it */

/* What has been posted and is not done, buffer by buffer: [head, ready) of operations that are complete, [ready, tail) of one that is not;
 * each at its number % cap of ring. Zeroed: empty; the ring is malloced. */
struct tt_coll_queue {
    struct tt_coll *ring;
    uint64_t cap, head, ready, tail;
};
TT_MUST_CHECK tt_status tt_coll_push(struct tt_coll_queue *queue, const struct tt_coll *coll, struct tt_err *err);
/* Of the operation to be done next, of a queue that has any: how many buffers; each of them. */
int tt_coll_nbufs(const struct tt_coll_queue *queue);
static inline const struct tt_coll *tt_coll_buf(const struct tt_coll_queue *queue, int i)
{
    return &queue->ring[(queue->head + (uint64_t)i) % queue->cap];
}

/* A communicator of one rank, in any world. */
TT_MUST_CHECK tt_status tt_self_comm_new(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name,
                                         struct tt_err *err);

/* What only two ranks of a group take part in. */
static inline bool tt_coll_is_pair(enum tt_coll_kind kind) { return kind == TT_COLL_SEND || kind == TT_COLL_RECV; }

/* all_gather and reduce_scatter; the others have `count` elements, and counts NULL once they are posted. */
static inline bool tt_coll_has_parts(const struct tt_coll *coll)
{
    return coll->kind == TT_COLL_ALL_GATHER || coll->kind == TT_COLL_REDUCE_SCATTER;
}
/* Element i of a buffer, which may be NULL where it has none. */
static inline void *tt_coll_at(const void *base, int64_t i, enum tt_dtype dtype)
{
    return base ? (char *)base + (uint64_t)i * tt_dtype_nbytes(dtype) : NULL;
}

/* The part of rank r: where it begins among all parts, and its elements. */
int64_t tt_coll_count(const struct tt_coll *coll, int r);
int64_t tt_coll_offset(const struct tt_coll *coll, int r);
bool tt_coll_is_small(const struct tt_coll *coll, int nbufs); /* an all_reduce that goes to each at once */
int64_t tt_coll_chunk(enum tt_dtype wire);                    /* elements in a message */

/* What of an operation's buffers a message sequence is of: rank r's part of each, an all_reduce being cut into a piece a rank; or
 * TT_COLL_ALL: `count`. */
enum { TT_COLL_ALL = -1 };
int64_t tt_coll_part_count(const struct tt_coll *coll, int size, int part);
int64_t tt_coll_part_offset(const struct tt_coll *coll, int size, int part);

/* A message: bytes [at, at + nbytes) of that part of buffer `buf`; or, where these are few, on into what follows, all of each. */
struct tt_message {
    int buf;
    int64_t at, nbytes;
};
/* *m becomes the message behind it; zeroed: the first. False: there is none. */
bool tt_message_next(struct tt_message *m, const struct tt_coll *coll, int nbufs, int size, int part);

/* How many children rank r has in a broadcast's binomial tree, which are they, and who is its parent (-1: the root has none). */
int tt_tree_children(int r, int root, int size, int children[64]);
int tt_tree_parent(int r, int root, int size);

/* Adds what this rank sends to the communicator's counts. */
void tt_comm_count_sent(struct tt_comm *comm, const struct tt_coll *coll, int nbufs);

/* dst[i] = src[0][at + i] op src[1][at + i] op ... as coll says, for n elements. dst has coll->wire, or coll->sum where to_sum; it may
 * begin where one of the sources does (at `at`), if these have the same dtype. */
void tt_reduce(void *dst, bool to_sum, const struct tt_coll *coll, const void *const *src, int nsrc, int64_t at, int64_t n);

#endif

/* lib/comm/mpi_private.h: one operation as messages, and the thread that owns MPI. */
#ifndef TT_COMM_MPI_PRIVATE_H
#define TT_COMM_MPI_PRIVATE_H

#include <mpi.h>

#include "comm/comm_private.h"

enum { TT_MPI_WINDOW = 2 }; /* messages of a flow that are under way at a time */

/* Bytes to or from one rank, as messages. Where they lie: message i at slot i % TT_MPI_WINDOW of `flat`; or else in the operation's
 * buffers, those of one message that are several ones' being copied from or to a slot of `together`. */
struct tt_mpi_flow {
    int peer; /* within the group */
    bool send;
    int part;    /* whose part of the buffers, or TT_COLL_ALL */
    bool in_dst; /* of dst, else of src */
    int at;      /* whose part's place, or TT_COLL_ALL: where the buffer begins */
    char *flat, *together;
    int64_t messages;
    int64_t begun, done;                    /* messages */
    struct tt_message next;                 /* the last that has begun */
    struct tt_message under[TT_MPI_WINDOW]; /* those under way, by slot */
    const int64_t *upto;                    /* a message is begun where its number is below; NULL: at any time */
    bool landed[TT_MPI_WINDOW];
};

/* The operation at the head of a communicator's queue. Arrays have room for 2 * (size - 1) flows. */
struct tt_mpi_op {
    struct tt_coll *coll; /* (nbufs) */
    int nbufs, cap;       /* cap: buffers that there is room for */
    int phase;
    bool more; /* another phase follows */
    int nflows;
    struct tt_mpi_flow *flow;
    MPI_Request *request; /* (TT_MPI_WINDOW) each flow */
    int *index;           /* what MPI_Testsome says */
    MPI_Status *status;   /* (as request) of those in index */

    /* What is reduced in this phase: message i of every rank, once all are there. */
    bool reduces;
    int64_t folded, room;      /* messages: reduced; that there is room for */
    struct tt_message fold;    /* the next */
    const void **src;          /* (size) */
    struct tt_mpi_flow **from; /* (size) by rank; NULL: this one */
    int part;                  /* that is reduced here, or TT_COLL_ALL */
    const char *own;           /* this rank's elements, where they are not in src */
    char *scratch;
    size_t scratch_nbytes;
};

struct tt_mpi_comm {
    struct tt_comm comm;
    int tag;
    struct tt_coll_queue posted;
    bool begun; /* the head is under way */
    struct tt_mpi_op op;
    struct tt_mpi_comm *next; /* of those that have something to do */
    bool active;
};

/* For the thread that owns MPI. The operation at the head: begins it; moves it on, *moved where anything happened, *done where it is
 * complete. */
TT_MUST_CHECK tt_status tt_mpi_op_begin(struct tt_mpi_comm *c, struct tt_err *err);
TT_MUST_CHECK tt_status tt_mpi_op_advance(struct tt_mpi_comm *c, bool *moved, bool *done, struct tt_err *err);

TT_MUST_CHECK tt_status tt_mpi_op_init(struct tt_mpi_op *op, int size, struct tt_err *err);
void tt_mpi_op_release(struct tt_mpi_op *op);

/* The buffers of the operation that the queue begins with. */
TT_MUST_CHECK tt_status tt_mpi_op_take(struct tt_mpi_op *op, const struct tt_coll_queue *queue, struct tt_err *err);

tt_status tt_mpi_error(struct tt_err *err, int rc, const char *call, const struct tt_mpi_comm *c);

#endif

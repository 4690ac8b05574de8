/* lib/comm/mpi_private.h: one operation as messages, and the thread that owns MPI. */
#ifndef TT_COMM_MPI_PRIVATE_H
#define TT_COMM_MPI_PRIVATE_H

#include <mpi.h>

#include "comm/comm_private.h"

enum { TT_MPI_WINDOW = 2 }; /* messages of a flow that are under way at a time */

/* Bytes to or from one rank, as messages of a chunk. */
struct tt_mpi_flow {
    int peer; /* within the group */
    bool send;
    char *base; /* message i lies at i * chunk bytes; where `ring`, at i % TT_MPI_WINDOW * chunk */
    bool ring;
    int64_t nbytes, messages;
    int64_t begun, done; /* messages */
    const int64_t *upto; /* a message is begun where its number is below; NULL: at any time */
    bool landed[TT_MPI_WINDOW];
};

/* The operation at the head of a communicator's queue. Arrays have room for 2 * (size - 1) flows. */
struct tt_mpi_op {
    struct tt_coll coll;
    int phase;
    bool more; /* another phase follows */
    int nflows;
    struct tt_mpi_flow *flow;
    MPI_Request *request; /* (TT_MPI_WINDOW) each flow */
    int *index;           /* what MPI_Testsome says */

    /* What is reduced in this phase: message i of every rank, once all are there. */
    bool reduces;
    int64_t folded, room;      /* messages: reduced; that there is room for */
    const void **src;          /* (size) */
    struct tt_mpi_flow **from; /* (size) by rank; NULL: this one */
    const char *own;           /* this rank's elements */
    char *into;
    bool into_sum;
    int64_t count; /* elements */
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

tt_status tt_mpi_error(struct tt_err *err, int rc, const char *call, const struct tt_mpi_comm *c);

#endif

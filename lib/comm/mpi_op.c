/* Operations as messages. Everybody sends to everybody at once: as many bytes as around a ring, one hop where a ring has n - 1, and the
 * parts arrive as they were sent, so that they can be summed in the order of ranks. MPI's own reductions know no bfloat16 (Open MPI 4.1),
 * and its own order. */
#include <stdlib.h>
#include <string.h>

#include "comm/mpi_private.h"

tt_status tt_mpi_op_init(struct tt_mpi_op *op, int size, struct tt_err *err)
{
    const size_t n = (size_t)size, nflows = 2 * n;

    *op = (struct tt_mpi_op){ .flow = calloc(nflows, sizeof *op->flow),
                              .request = calloc(nflows * TT_MPI_WINDOW, sizeof(MPI_Request)),
                              .index = calloc(nflows * TT_MPI_WINDOW, sizeof *op->index),
                              .src = calloc(n, sizeof *op->src),
                              .from = calloc(n, sizeof *op->from) };
    if (!op->flow || !op->request || !op->index || !op->src || !op->from) {
        tt_mpi_op_release(op);
        return tt_err_nomem(err, nflows * sizeof *op->flow, "a communicator");
    }
    return TT_OK;
}

void tt_mpi_op_release(struct tt_mpi_op *op)
{
    free(op->flow);
    free(op->request);
    free(op->index);
    free(op->src);
    free(op->from);
    free(op->scratch);
}

/* --- what a phase consists of ------------------------------------------------------------------------------------------------- */

static struct tt_mpi_flow *add_flow(struct tt_mpi_op *op, int peer, bool send, const void *base, int64_t count)
{
    struct tt_mpi_flow *f = &op->flow[op->nflows];
    const int64_t nbytes = count * (int64_t)tt_dtype_nbytes(op->coll.wire);

    *f = (struct tt_mpi_flow){
        .peer = peer, .send = send, .base = (char *)base, .nbytes = nbytes, .messages = (nbytes + TT_COMM_CHUNK - 1) / TT_COMM_CHUNK
    };
    for (int i = 0; i < TT_MPI_WINDOW; i++)
        op->request[op->nflows * TT_MPI_WINDOW + i] = MPI_REQUEST_NULL;
    op->nflows++;
    return f;
}

/* The d-th of the others, d in [1, size): each rank begins with its neighbour, so that not all send to the same. */
static int other(const struct tt_comm *comm, int d) { return (comm->rank + d) % comm->size; }

/* Part r of `parts` comes from rank r; the own one is there. */
static void plan_gather(struct tt_mpi_comm *c, char *parts, const void *own)
{
    const struct tt_comm *comm = &c->comm;
    struct tt_mpi_op *op = &c->op;
    const struct tt_coll *coll = &op->coll;
    const bool pieces = coll->kind == TT_COLL_ALL_REDUCE;

    for (int d = 1; d < comm->size; d++) {
        const int r = other(comm, d);
        const int64_t offset = pieces ? tt_coll_piece_offset(coll, comm->size, r) : tt_coll_offset(coll, r);
        add_flow(op, r, false, tt_coll_at(parts, offset, coll->wire),
                 pieces ? tt_coll_piece_count(coll, comm->size, r) : tt_coll_count(coll, r));
        add_flow(op, r, true, own, pieces ? tt_coll_piece_count(coll, comm->size, comm->rank) : tt_coll_count(coll, comm->rank));
    }
}

static tt_status need_scratch(struct tt_mpi_op *op, int64_t nbytes, struct tt_err *err)
{
    if (op->scratch_nbytes >= (size_t)nbytes)
        return TT_OK;
    char *more = realloc(op->scratch, (size_t)nbytes);
    if (!more)
        return tt_err_nomem(err, (size_t)nbytes, "what other ranks send to be summed");
    op->scratch = more;
    op->scratch_nbytes = (size_t)nbytes;
    return TT_OK;
}

/* `count` elements from each rank are summed here, as they come. */
static void plan_fold(struct tt_mpi_op *op, const void *own, void *into, bool into_sum, int64_t count)
{
    op->reduces = count > 0;
    op->folded = 0;
    op->room = TT_MPI_WINDOW;
    op->own = own;
    op->into = into;
    op->into_sum = into_sum;
    op->count = count;
}

static int64_t ring_nbytes(const struct tt_mpi_op *op, int64_t count)
{
    const int64_t nbytes = count * (int64_t)tt_dtype_nbytes(op->coll.wire), most = TT_MPI_WINDOW * (int64_t)TT_COMM_CHUNK;
    return nbytes < most ? nbytes : most;
}

static tt_status plan_scatter(struct tt_mpi_comm *c, struct tt_err *err)
{
    const struct tt_comm *comm = &c->comm;
    struct tt_mpi_op *op = &c->op;
    const struct tt_coll *coll = &op->coll;
    const bool pieces = coll->kind == TT_COLL_ALL_REDUCE;
    const int64_t offset = pieces ? tt_coll_piece_offset(coll, comm->size, comm->rank) : tt_coll_offset(coll, comm->rank);
    const int64_t count = pieces ? tt_coll_piece_count(coll, comm->size, comm->rank) : tt_coll_count(coll, comm->rank);
    const int64_t room = ring_nbytes(op, count);
    const tt_status st = need_scratch(op, room * comm->size + 1, err); /* never NULL */

    if (st != TT_OK)
        return st;
    plan_fold(op, tt_coll_at(coll->src, offset, coll->wire), pieces ? tt_coll_at(coll->dst, offset, coll->wire) : coll->dst,
              coll->unrounded, count);
    for (int d = 1; d < comm->size; d++) {
        const int r = other(comm, d);
        op->from[r] = add_flow(op, r, false, op->scratch + r * room, count);
        op->from[r]->ring = true;
        op->from[r]->upto = &op->room;
        add_flow(op, r, true,
                 tt_coll_at(coll->src, pieces ? tt_coll_piece_offset(coll, comm->size, r) : tt_coll_offset(coll, r), coll->wire),
                 pieces ? tt_coll_piece_count(coll, comm->size, r) : tt_coll_count(coll, r));
    }
    return TT_OK;
}

/* All of it to everybody, from a copy: dst may be src, and is written before all have it. */
static tt_status plan_small(struct tt_mpi_comm *c, struct tt_err *err)
{
    const struct tt_comm *comm = &c->comm;
    struct tt_mpi_op *op = &c->op;
    const int64_t count = op->coll.count, room = ring_nbytes(op, count);
    const tt_status st = need_scratch(op, room * comm->size + 1, err); /* never NULL */

    if (st != TT_OK || count == 0)
        return st;
    char *own = memcpy(op->scratch + comm->rank * room, op->coll.src, (size_t)room);
    plan_fold(op, own, op->coll.dst, false, count);
    for (int d = 1; d < comm->size; d++) {
        const int r = other(comm, d);
        op->from[r] = add_flow(op, r, false, op->scratch + r * room, count);
        add_flow(op, r, true, own, count);
    }
    return TT_OK;
}

static void plan_broadcast(struct tt_mpi_comm *c)
{
    const struct tt_comm *comm = &c->comm;
    struct tt_mpi_op *op = &c->op;
    const int parent = tt_tree_parent(comm->rank, op->coll.peer, comm->size);
    const void *base = parent < 0 ? op->coll.src : op->coll.dst;
    const struct tt_mpi_flow *from = parent < 0 ? NULL : add_flow(op, parent, false, base, op->coll.count);
    int children[64];

    const int n = tt_tree_children(comm->rank, op->coll.peer, comm->size, children);
    for (int i = 0; i < n; i++)
        add_flow(op, children[i], true, base, op->coll.count)->upto = from ? &from->done : NULL;
}

static void plan_barrier(struct tt_mpi_comm *c)
{
    for (int d = 1; d < c->comm.size; d++) {
        add_flow(&c->op, other(&c->comm, d), false, NULL, 0)->messages = 1;
        add_flow(&c->op, other(&c->comm, d), true, NULL, 0)->messages = 1;
    }
}

/* The phases of an operation. *more: another one follows. */
static tt_status plan(struct tt_mpi_comm *c, bool *more, struct tt_err *err)
{
    struct tt_mpi_op *op = &c->op;
    const struct tt_coll *coll = &op->coll;
    const int rank = c->comm.rank, size = c->comm.size;

    op->nflows = 0;
    op->reduces = false;
    memset(op->from, 0, (size_t)size * sizeof *op->from);
    *more = false;
    switch (coll->kind) {
    case TT_COLL_ALL_GATHER: {
        const size_t nbytes = (size_t)tt_coll_count(coll, rank) * tt_dtype_nbytes(coll->wire);
        char *place = tt_coll_at(coll->dst, tt_coll_offset(coll, rank), coll->wire);
        if (nbytes > 0 && place != coll->src)
            memcpy(place, coll->src, nbytes);
        plan_gather(c, coll->dst, coll->src);
        return TT_OK;
    }
    case TT_COLL_REDUCE_SCATTER: return plan_scatter(c, err);
    case TT_COLL_ALL_REDUCE:
        if (tt_coll_is_small(coll))
            return plan_small(c, err);
        *more = op->phase == 0;
        if (op->phase == 0)
            return plan_scatter(c, err);
        plan_gather(c, coll->dst, tt_coll_at(coll->dst, tt_coll_piece_offset(coll, size, rank), coll->wire));
        return TT_OK;
    case TT_COLL_BROADCAST: plan_broadcast(c); return TT_OK;
    case TT_COLL_BARRIER: plan_barrier(c); return TT_OK;
    case TT_COLL_SEND: add_flow(op, coll->peer, true, coll->src, coll->count); return TT_OK;
    default: add_flow(op, coll->peer, false, coll->dst, coll->count); return TT_OK;
    }
}

/* --- moving on ---------------------------------------------------------------------------------------------------------------- */

static tt_status begin_message(struct tt_mpi_comm *c, int flow, struct tt_err *err)
{
    struct tt_mpi_flow *f = &c->op.flow[flow];
    const int slot = (int)(f->begun % TT_MPI_WINDOW);
    const int64_t begin = f->begun * TT_COMM_CHUNK, rest = f->nbytes - begin;
    const int n = (int)(rest < TT_COMM_CHUNK ? rest : TT_COMM_CHUNK);
    char *p = n == 0 ? NULL : f->base + (f->ring ? (int64_t)slot * TT_COMM_CHUNK : begin);
    MPI_Request *request = &c->op.request[flow * TT_MPI_WINDOW + slot];

    const int rc = f->send ? MPI_Isend(p, n, MPI_BYTE, c->comm.ranks[f->peer], c->tag, MPI_COMM_WORLD, request)
                           : MPI_Irecv(p, n, MPI_BYTE, c->comm.ranks[f->peer], c->tag, MPI_COMM_WORLD, request);
    if (rc != MPI_SUCCESS)
        return tt_mpi_error(err, rc, f->send ? "MPI_Isend" : "MPI_Irecv", c);
    f->begun++;
    if (f->send && n > 0) {
        atomic_fetch_add(&c->comm.sent_nbytes, (uint64_t)n);
        atomic_fetch_add(&c->comm.messages, 1);
    }
    return TT_OK;
}

static tt_status begin_messages(struct tt_mpi_comm *c, bool *moved, struct tt_err *err)
{
    for (int i = 0; i < c->op.nflows; i++) {
        const struct tt_mpi_flow *f = &c->op.flow[i];
        while (f->begun < f->messages && f->begun - f->done < TT_MPI_WINDOW && (!f->upto || f->begun < *f->upto)) {
            const tt_status st = begin_message(c, i, err);
            if (st != TT_OK)
                return st;
            *moved = true;
        }
    }
    return TT_OK;
}

static tt_status land_messages(struct tt_mpi_comm *c, bool *moved, struct tt_err *err)
{
    struct tt_mpi_op *op = &c->op;
    int n = 0;

    if (op->nflows == 0)
        return TT_OK;
    const int rc = MPI_Testsome(op->nflows * TT_MPI_WINDOW, op->request, &n, op->index, MPI_STATUSES_IGNORE);
    if (rc != MPI_SUCCESS)
        return tt_mpi_error(err, rc, "MPI_Testsome", c);
    for (int i = 0; n != MPI_UNDEFINED && i < n; i++) {
        struct tt_mpi_flow *f = &op->flow[op->index[i] / TT_MPI_WINDOW];
        f->landed[op->index[i] % TT_MPI_WINDOW] = true;
        while (f->done < f->begun && f->landed[f->done % TT_MPI_WINDOW])
            f->landed[f->done++ % TT_MPI_WINDOW] = false;
        *moved = true;
    }
    return TT_OK;
}

static bool all_have(const struct tt_mpi_comm *c, int64_t message)
{
    for (int r = 0; r < c->comm.size; r++)
        if (c->op.from[r] && c->op.from[r]->done <= message)
            return false;
    return true;
}

static void fold_messages(struct tt_mpi_comm *c)
{
    struct tt_mpi_op *op = &c->op;
    const int64_t chunk = tt_coll_chunk(op->coll.wire);
    const enum tt_dtype to = op->into_sum ? op->coll.sum : op->coll.wire;

    while (op->reduces && all_have(c, op->folded)) {
        const int64_t begin = op->folded * chunk, rest = op->count - begin;
        for (int r = 0; r < c->comm.size; r++)
            op->src[r] = op->from[r] ? op->from[r]->base + op->folded % TT_MPI_WINDOW * TT_COMM_CHUNK
                                     : (const char *)tt_coll_at(op->own, begin, op->coll.wire);
        tt_reduce(tt_coll_at(op->into, begin, to), op->into_sum, &op->coll, op->src, c->comm.size, 0, rest < chunk ? rest : chunk);
        op->folded++;
        op->room++;
        op->reduces = op->folded * chunk < op->count;
    }
}

static bool phase_is_done(const struct tt_mpi_op *op)
{
    for (int i = 0; i < op->nflows; i++)
        if (op->flow[i].done < op->flow[i].messages)
            return false;
    return !op->reduces;
}

tt_status tt_mpi_op_begin(struct tt_mpi_comm *c, struct tt_err *err)
{
    c->op.phase = 0;
    return plan(c, &c->op.more, err);
}

tt_status tt_mpi_op_advance(struct tt_mpi_comm *c, bool *moved, bool *done, struct tt_err *err)
{
    tt_status st = land_messages(c, moved, err);

    if (st == TT_OK) {
        fold_messages(c);
        st = begin_messages(c, moved, err);
    }
    *done = false;
    if (st != TT_OK || !phase_is_done(&c->op))
        return st;
    *moved = true;
    *done = !c->op.more;
    if (*done)
        return TT_OK;
    c->op.phase++;
    return plan(c, &c->op.more, err);
}

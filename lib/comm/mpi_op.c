/* Operations as messages. Everybody sends to everybody at once: as many bytes as around a ring, one hop where a ring has n - 1, and the
 * parts arrive as they were sent, so that they can be summed in the order of ranks. MPI's own reductions know no bfloat16 (Open MPI 4.1),
 * and its own order. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/mpi_private.h"

tt_status tt_mpi_op_init(struct tt_mpi_op *op, int size, struct tt_err *err)
{
    const size_t n = (size_t)size, nflows = 2 * n;

    *op = (struct tt_mpi_op){ .flow = calloc(nflows, sizeof *op->flow),
                              .request = calloc(nflows * TT_MPI_WINDOW, sizeof(MPI_Request)),
                              .index = calloc(nflows * TT_MPI_WINDOW, sizeof *op->index),
                              .status = calloc(nflows * TT_MPI_WINDOW, sizeof *op->status),
                              .src = calloc(n, sizeof *op->src),
                              .from = calloc(n, sizeof *op->from) };
    if (!op->flow || !op->request || !op->index || !op->status || !op->src || !op->from) {
        tt_mpi_op_release(op);
        return tt_err_nomem(err, nflows * sizeof *op->flow, "a communicator");
    }
    return TT_OK;
}

void tt_mpi_op_release(struct tt_mpi_op *op)
{
    free(op->coll);
    free(op->flow);
    free(op->request);
    free(op->index);
    free(op->status);
    free(op->src);
    free(op->from);
    free(op->scratch);
}

tt_status tt_mpi_op_take(struct tt_mpi_op *op, const struct tt_coll_queue *queue, struct tt_err *err)
{
    const int nbufs = tt_coll_nbufs(queue);

    if (nbufs > op->cap) {
        struct tt_coll *more = realloc(op->coll, (size_t)nbufs * sizeof *more);
        if (!more)
            return tt_err_nomem(err, (size_t)nbufs * sizeof *more, "an operation of many buffers");
        op->coll = more;
        op->cap = nbufs;
    }
    op->nbufs = nbufs;
    for (int b = 0; b < nbufs; b++)
        op->coll[b] = *tt_coll_buf(queue, b);
    return TT_OK;
}

/* --- what a phase consists of ------------------------------------------------------------------------------------------------- */

static int64_t count_messages(const struct tt_mpi_comm *c, int part)
{
    struct tt_message m = { 0 };
    int64_t n = 0;
    while (tt_message_next(&m, c->op.coll, c->op.nbufs, c->comm.size, part))
        n++;
    return n;
}

static struct tt_mpi_flow *add_flow(struct tt_mpi_comm *c, int peer, bool send, int part)
{
    struct tt_mpi_op *op = &c->op;
    struct tt_mpi_flow *f = &op->flow[op->nflows];

    *f = (struct tt_mpi_flow){ .peer = peer, .send = send, .part = part, .at = TT_COLL_ALL, .messages = count_messages(c, part) };
    for (int i = 0; i < TT_MPI_WINDOW; i++)
        op->request[op->nflows * TT_MPI_WINDOW + i] = MPI_REQUEST_NULL;
    op->nflows++;
    return f;
}

/* The d-th of the others, d in [1, size): each rank begins with its neighbour, so that not all send to the same. */
static int other(const struct tt_comm *comm, int d) { return (comm->rank + d) % comm->size; }

static int64_t whole_nbytes(const struct tt_mpi_comm *c, int part)
{
    int64_t nbytes = 0;
    for (int b = 0; b < c->op.nbufs; b++)
        nbytes += tt_coll_part_count(&c->op.coll[b], c->comm.size, part) * (int64_t)tt_dtype_nbytes(c->op.coll->wire);
    return nbytes;
}

/* Of what arrives of a part, to be summed. */
static int64_t ring_nbytes(const struct tt_mpi_comm *c, int part)
{
    const int64_t nbytes = whole_nbytes(c, part), most = TT_MPI_WINDOW * (int64_t)TT_COMM_CHUNK;
    return c->op.nbufs == 1 && nbytes < most ? nbytes : most;
}

/* Room for `nbytes`, never NULL, and behind it for what small messages of every flow are put together in. */
static tt_status need_scratch(struct tt_mpi_comm *c, int64_t nbytes, struct tt_err *err)
{
    struct tt_mpi_op *op = &c->op;
    const size_t slots = op->nbufs == 1 ? 0 : 2 * (size_t)c->comm.size * TT_MPI_WINDOW,
                 all = (size_t)nbytes + slots * TT_COMM_SMALL + 1;

    if (op->scratch_nbytes >= all)
        return TT_OK;
    free(op->scratch);
    op->scratch_nbytes = 0;
    op->scratch = malloc(all);
    if (!op->scratch)
        return tt_err_nomem(err, all, "what other ranks send to be summed");
    op->scratch_nbytes = all;
    return TT_OK;
}

static void share_out(struct tt_mpi_op *op, int64_t nbytes)
{
    for (int i = 0; i < op->nflows && op->nbufs > 1; i++)
        op->flow[i].together = op->scratch + nbytes + (int64_t)i * TT_MPI_WINDOW * TT_COMM_SMALL;
}

/* Each rank's part comes from that rank; the own one, which is sent, lies where `at` says of dst, or is src. */
static tt_status plan_gather(struct tt_mpi_comm *c, bool in_dst, int at, struct tt_err *err)
{
    const struct tt_comm *comm = &c->comm;
    const tt_status st = need_scratch(c, 0, err);

    for (int d = 1; d < comm->size; d++) {
        const int r = other(comm, d);
        struct tt_mpi_flow *f = add_flow(c, r, false, r);
        f->in_dst = true;
        f->at = r;
        f = add_flow(c, r, true, comm->rank);
        f->in_dst = in_dst;
        f->at = at;
    }
    share_out(&c->op, 0);
    return st;
}

/* A part from each rank is summed here, as it comes. */
static void plan_fold(struct tt_mpi_comm *c, const char *own, int part)
{
    struct tt_mpi_op *op = &c->op;

    op->folded = 0;
    op->room = TT_MPI_WINDOW;
    op->own = own;
    op->part = part;
    op->fold = (struct tt_message){ 0 };
    op->reduces = tt_message_next(&op->fold, op->coll, op->nbufs, c->comm.size, part);
}

static tt_status plan_scatter(struct tt_mpi_comm *c, struct tt_err *err)
{
    const struct tt_comm *comm = &c->comm;
    struct tt_mpi_op *op = &c->op;
    const int64_t room = ring_nbytes(c, comm->rank);
    const tt_status st = need_scratch(c, room * comm->size, err);

    if (st != TT_OK)
        return st;
    plan_fold(c, NULL, comm->rank);
    for (int d = 1; d < comm->size; d++) {
        const int r = other(comm, d);
        op->from[r] = add_flow(c, r, false, comm->rank);
        op->from[r]->flat = op->scratch + r * room;
        op->from[r]->upto = &op->room;
        add_flow(c, r, true, r)->at = r;
    }
    share_out(op, room * comm->size);
    return TT_OK;
}

/* All of it to everybody, from a copy: dst may be src, and is written before all have it. */
static tt_status plan_small(struct tt_mpi_comm *c, struct tt_err *err)
{
    const struct tt_comm *comm = &c->comm;
    struct tt_mpi_op *op = &c->op;
    const int64_t room = whole_nbytes(c, TT_COLL_ALL);
    const tt_status st = need_scratch(c, room * comm->size, err);

    if (st != TT_OK || room == 0)
        return st;
    char *own = op->scratch + comm->rank * room, *end = own;
    for (int b = 0; b < op->nbufs; b++) {
        const size_t nbytes = (size_t)op->coll[b].count * tt_dtype_nbytes(op->coll->wire);
        if (nbytes > 0)
            memcpy(end, op->coll[b].src, nbytes);
        end += nbytes;
    }
    plan_fold(c, own, TT_COLL_ALL);
    for (int d = 1; d < comm->size; d++) {
        const int r = other(comm, d);
        op->from[r] = add_flow(c, r, false, TT_COLL_ALL);
        op->from[r]->flat = op->scratch + r * room;
        add_flow(c, r, true, TT_COLL_ALL)->flat = own;
    }
    return TT_OK;
}

static void plan_broadcast(struct tt_mpi_comm *c)
{
    const struct tt_comm *comm = &c->comm;
    const int root = c->op.coll->peer, parent = tt_tree_parent(comm->rank, root, comm->size);
    struct tt_mpi_flow *from = parent < 0 ? NULL : add_flow(c, parent, false, TT_COLL_ALL);
    int children[64];

    if (from)
        from->in_dst = true;
    const int n = tt_tree_children(comm->rank, root, comm->size, children);
    for (int i = 0; i < n; i++) {
        struct tt_mpi_flow *f = add_flow(c, children[i], true, TT_COLL_ALL);
        f->in_dst = from != NULL;
        f->upto = from ? &from->done : NULL;
    }
}

static void plan_barrier(struct tt_mpi_comm *c)
{
    for (int d = 1; d < c->comm.size; d++) {
        add_flow(c, other(&c->comm, d), false, TT_COLL_ALL)->messages = 1;
        add_flow(c, other(&c->comm, d), true, TT_COLL_ALL)->messages = 1;
    }
}

/* What a rank gathers from itself. */
static void copy_own(struct tt_mpi_comm *c)
{
    for (int b = 0; b < c->op.nbufs; b++) {
        const struct tt_coll *coll = &c->op.coll[b];
        const size_t nbytes = (size_t)tt_coll_count(coll, c->comm.rank) * tt_dtype_nbytes(coll->wire);
        char *place = tt_coll_at(coll->dst, tt_coll_offset(coll, c->comm.rank), coll->wire);
        if (nbytes > 0 && place != coll->src)
            memcpy(place, coll->src, nbytes);
    }
}

/* The phases of an operation. *more: another one follows. */
static tt_status plan(struct tt_mpi_comm *c, bool *more, struct tt_err *err)
{
    struct tt_mpi_op *op = &c->op;

    op->nflows = 0;
    op->reduces = false;
    memset(op->from, 0, (size_t)c->comm.size * sizeof *op->from);
    *more = false;
    switch (op->coll->kind) {
    case TT_COLL_ALL_GATHER: copy_own(c); return plan_gather(c, false, TT_COLL_ALL, err);
    case TT_COLL_REDUCE_SCATTER: return plan_scatter(c, err);
    case TT_COLL_ALL_REDUCE:
        if (tt_coll_is_small(op->coll, op->nbufs))
            return plan_small(c, err);
        *more = op->phase == 0;
        return op->phase == 0 ? plan_scatter(c, err) : plan_gather(c, true, c->comm.rank, err);
    case TT_COLL_BROADCAST: plan_broadcast(c); return TT_OK;
    case TT_COLL_BARRIER: plan_barrier(c); return TT_OK;
    case TT_COLL_SEND: add_flow(c, op->coll->peer, true, TT_COLL_ALL); return TT_OK;
    default: add_flow(c, op->coll->peer, false, TT_COLL_ALL)->in_dst = true; return TT_OK;
    }
}

/* --- where messages lie ------------------------------------------------------------------------------------------------------- */

/* Of buffer b. */
static char *part_at(const struct tt_mpi_comm *c, const struct tt_mpi_flow *f, int b)
{
    const struct tt_coll *coll = &c->op.coll[b];
    return tt_coll_at(f->in_dst ? coll->dst : coll->src, tt_coll_part_offset(coll, c->comm.size, f->at), coll->wire);
}

/* The bytes that message m has of buffer b, which is m->buf or a later one, `before` of them being of buffers before it. */
static int64_t nbytes_in(const struct tt_mpi_comm *c, const struct tt_message *m, int part, int b, int64_t before)
{
    const struct tt_coll *coll = &c->op.coll[b];
    const int64_t nbytes = tt_coll_part_count(coll, c->comm.size, part) * (int64_t)tt_dtype_nbytes(coll->wire);
    const int64_t rest = b == m->buf ? nbytes - m->at : nbytes;
    return rest < m->nbytes - before ? rest : m->nbytes - before;
}

static bool is_together(const struct tt_mpi_comm *c, const struct tt_mpi_flow *f, const struct tt_message *m)
{
    return !f->flat && m->nbytes > 0 && nbytes_in(c, m, f->part, m->buf, 0) < m->nbytes;
}

static void copy_together(const struct tt_mpi_comm *c, const struct tt_mpi_flow *f, int slot)
{
    const struct tt_message *m = &f->under[slot];
    char *slot_at = f->together + (int64_t)slot * TT_COMM_SMALL;

    for (int64_t b = m->buf, n = 0, k; n < m->nbytes; b++, n += k) {
        k = nbytes_in(c, m, f->part, (int)b, n);
        if (k == 0)
            continue;
        char *in_buf = part_at(c, f, (int)b) + (b == m->buf ? m->at : 0);
        memcpy(f->send ? slot_at + n : in_buf, f->send ? in_buf : slot_at + n, (size_t)k);
    }
}

static char *message_at(const struct tt_mpi_comm *c, const struct tt_mpi_flow *f, int slot)
{
    const struct tt_message *m = &f->under[slot];
    if (f->flat)
        return f->flat + (int64_t)slot * TT_COMM_CHUNK;
    return is_together(c, f, m) ? f->together + (int64_t)slot * TT_COMM_SMALL : part_at(c, f, m->buf) + m->at;
}

/* --- moving on ---------------------------------------------------------------------------------------------------------------- */

static tt_status begin_message(struct tt_mpi_comm *c, int flow, struct tt_err *err)
{
    struct tt_mpi_flow *f = &c->op.flow[flow];
    const int slot = (int)(f->begun % TT_MPI_WINDOW);
    MPI_Request *request = &c->op.request[flow * TT_MPI_WINDOW + slot];

    tt_message_next(&f->next, c->op.coll, c->op.nbufs, c->comm.size, f->part); /* there is none in a barrier: 0 bytes */
    f->under[slot] = f->next;
    const int n = (int)f->next.nbytes;
    if (f->send && is_together(c, f, &f->next))
        copy_together(c, f, slot);
    char *p = n == 0 ? NULL : message_at(c, f, slot);
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

static void land(const struct tt_mpi_comm *c, struct tt_mpi_flow *f, int slot)
{
    if (!f->send && is_together(c, f, &f->under[slot]))
        copy_together(c, f, slot);
    f->landed[slot] = true;
    while (f->done < f->begun && f->landed[f->done % TT_MPI_WINDOW])
        f->landed[f->done++ % TT_MPI_WINDOW] = false;
}

/* status is of a message that has arrived or gone, or has not: failed. */
static tt_status check_message(const struct tt_mpi_comm *c, const struct tt_mpi_flow *f, int slot, MPI_Status *status, bool failed,
                               struct tt_err *err)
{
    const int peer = c->comm.ranks[f->peer];
    char call[64];
    int n;

    if (failed && status->MPI_ERROR != MPI_SUCCESS && status->MPI_ERROR != MPI_ERR_PENDING) {
        snprintf(call, sizeof call, "a message %s rank %d", f->send ? "to" : "from", peer);
        return tt_mpi_error(err, status->MPI_ERROR, call, c);
    }
    if (failed || f->send || (MPI_Get_count(status, MPI_BYTE, &n) == MPI_SUCCESS && n == f->under[slot].nbytes))
        return TT_OK;
    return tt_err_set(err, TT_EINVAL, "%s of %s in group %s: rank %d sends %d bytes where %" PRId64 " are expected",
                      tt_coll_name(c->op.coll->kind), c->op.coll->what, c->comm.name, peer, n, f->under[slot].nbytes);
}

static tt_status land_messages(struct tt_mpi_comm *c, bool *moved, struct tt_err *err)
{
    struct tt_mpi_op *op = &c->op;
    int n = 0;

    if (op->nflows == 0)
        return TT_OK;
    const int rc = MPI_Testsome(op->nflows * TT_MPI_WINDOW, op->request, &n, op->index, op->status);
    for (int i = 0; n != MPI_UNDEFINED && i < n; i++) {
        struct tt_mpi_flow *f = &op->flow[op->index[i] / TT_MPI_WINDOW];
        const int slot = op->index[i] % TT_MPI_WINDOW;
        const tt_status st = check_message(c, f, slot, &op->status[i], rc == MPI_ERR_IN_STATUS, err);
        if (st != TT_OK)
            return st;
        land(c, f, slot);
        *moved = true;
    }
    return rc == MPI_SUCCESS ? TT_OK : tt_mpi_error(err, rc, "MPI_Testsome", c);
}

static bool all_have(const struct tt_mpi_comm *c, int64_t message)
{
    for (int r = 0; r < c->comm.size; r++)
        if (c->op.from[r] && c->op.from[r]->done <= message)
            return false;
    return true;
}

/* Of buffer b n bytes from byte `from` of the part, which every rank's message has from its byte `in` on. */
static void fold_range(struct tt_mpi_comm *c, int b, int64_t from, int64_t in, int64_t n)
{
    struct tt_mpi_op *op = &c->op;
    const struct tt_coll *coll = &op->coll[b];
    const int64_t elem = (int64_t)tt_dtype_nbytes(coll->wire),
                  offset = tt_coll_part_offset(coll, c->comm.size, op->part) + from / elem;
    const int64_t to = coll->kind == TT_COLL_REDUCE_SCATTER ? from / elem : offset;

    for (int r = 0; r < c->comm.size; r++)
        op->src[r] = op->from[r] ? op->from[r]->flat + op->folded % TT_MPI_WINDOW * TT_COMM_CHUNK + in
                     : op->own   ? op->own + in
                                 : (const char *)tt_coll_at(coll->src, offset, coll->wire);
    tt_reduce(tt_coll_at(coll->dst, to, coll->unrounded ? coll->sum : coll->wire), coll->unrounded, coll, op->src, c->comm.size, 0,
              n / elem);
}

static void fold_messages(struct tt_mpi_comm *c)
{
    struct tt_mpi_op *op = &c->op;

    while (op->reduces && all_have(c, op->folded)) {
        const struct tt_message *m = &op->fold;
        for (int64_t b = m->buf, n = 0, k; n < m->nbytes; b++, n += k) {
            k = nbytes_in(c, m, op->part, (int)b, n);
            fold_range(c, (int)b, b == m->buf ? m->at : 0, n, k);
        }
        op->folded++;
        op->room++;
        op->reduces = tt_message_next(&op->fold, op->coll, op->nbufs, c->comm.size, op->part);
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

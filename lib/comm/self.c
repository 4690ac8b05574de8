/* A group of one rank: what it gives it gets. */
#include <stdlib.h>
#include <string.h>

#include "comm/comm_private.h"

static tt_status post(struct tt_comm *comm, const struct tt_coll *coll, uint64_t ticket, struct tt_err *err)
{
    const int64_t count = tt_coll_count(coll, 0);

    (void)err;
    switch (coll->kind) {
    case TT_COLL_ALL_GATHER:
        if (count > 0 && coll->dst != coll->src)
            memcpy(coll->dst, coll->src, (size_t)count * tt_dtype_nbytes(coll->wire));
        break;
    case TT_COLL_REDUCE_SCATTER: tt_reduce(coll->dst, coll->unrounded, coll, &coll->src, 1, 0, count); break;
    case TT_COLL_ALL_REDUCE: tt_reduce(coll->dst, false, coll, &coll->src, 1, 0, coll->count); break;
    default: break;
    }
    atomic_store(&comm->posted, coll->more ? ticket - 1 : ticket);
    atomic_store(&comm->done, coll->more ? ticket - 1 : ticket);
    return TT_OK;
}

static tt_status wait_done(struct tt_comm *comm, uint64_t ticket, struct tt_err *err)
{
    (void)comm;
    (void)ticket;
    (void)err;
    return TT_OK;
}

static void free_comm(struct tt_comm *comm)
{
    tt_comm_release(comm);
    free(comm);
}

static const struct tt_comm_ops comm_ops = { .post = post, .wait = wait_done, .free = free_comm };

tt_status tt_self_comm_new(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name,
                           struct tt_err *err)
{
    struct tt_comm *comm = malloc(sizeof *comm);
    const tt_status st =
        comm ? tt_comm_init(comm, &comm_ops, world, ranks, n, name, err) : tt_err_nomem(err, sizeof *comm, "a communicator");
    if (st == TT_OK)
        *out = comm;
    else
        free(comm);
    return st;
}

static void abort_world(struct tt_world *world, const struct tt_err *why)
{
    (void)world;
    (void)why;
}

static const struct tt_world_ops world_ops = { .comm_new = tt_self_comm_new, .abort = abort_world };

tt_status tt_self_run(tt_rank_fn *fn, void *ctx, struct tt_err *err)
{
    struct tt_world world;
    tt_world_init(&world, &world_ops, 0, 1);
    const tt_status st = fn(&world, ctx, err);
    tt_world_release(&world);
    return st;
}

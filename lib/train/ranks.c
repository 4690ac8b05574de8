#include "train/ranks.h"

#include <stdlib.h>

tt_status tt_ranks_open(struct tt_ranks *out, struct tt_world *world, int64_t nranks, const struct tt_config *config,
                        struct tt_err *err)
{
    struct tt_ranks r = { .world = world };

    tt_status status = tt_job_open(&r.job, config, nranks, err);
    if (status == TT_OK) {
        r.mesh = (struct tt_mesh){ .degrees = r.job.degrees, .rank = world->rank };
        status = tt_comm_new(&r.all, world, NULL, 0, "all ranks", err);
    }
    if (status == TT_OK)
        *out = r;
    else
        tt_ranks_close(&r);
    return status;
}

tt_status tt_ranks_meet(struct tt_ranks *r, struct tt_err *err)
{
    return r->world->size > 1 ? tt_ranks_group(&r->loss, r, TT_MESH_LOSS, "loss", err) : TT_OK;
}

tt_status tt_ranks_await(const struct tt_ranks *r, const char *what, struct tt_err *err)
{
    const struct tt_coll barrier = { .kind = TT_COLL_BARRIER, .what = what };
    return tt_comm_do(r->all, &barrier, err);
}

void tt_ranks_close(struct tt_ranks *r)
{
    tt_comm_free(r->loss);
    tt_comm_free(r->all);
    tt_job_close(&r->job);
    *r = (struct tt_ranks){ 0 };
}

tt_status tt_ranks_group(struct tt_comm **out, const struct tt_ranks *r, enum tt_mesh_dim dim, const char *name, struct tt_err *err)
{
    const int n = tt_mesh_size(&r->mesh, dim);
    int *peers = calloc((size_t)n, sizeof *peers);
    if (!peers)
        return tt_err_nomem(err, (size_t)n * sizeof *peers, name);
    for (int i = 0; i < n; i++)
        peers[i] = tt_mesh_peer(&r->mesh, dim, i);
    const tt_status status = tt_comm_new(out, r->world, peers, n, name, err);
    free(peers);
    return status;
}

tt_status tt_ranks_sum(const struct tt_ranks *r, int64_t *v, int64_t n, struct tt_err *err)
{
    const struct tt_coll coll = {
        .kind = TT_COLL_ALL_REDUCE, .wire = TT_I64, .sum = TT_I64, .src = v, .dst = v, .count = n, .what = "control"
    };
    return tt_comm_do(r->all, &coll, err);
}

static tt_status move(const struct tt_ranks *r, enum tt_coll_kind kind, int peer, void *bytes, size_t nbytes, struct tt_err *err)
{
    const struct tt_coll coll = { .kind = kind,
                                  .wire = TT_U8,
                                  .sum = TT_U8,
                                  .src = bytes,
                                  .dst = bytes,
                                  .count = (int64_t)nbytes,
                                  .peer = peer,
                                  .what = "control" };
    return tt_comm_do(r->all, &coll, err);
}

tt_status tt_ranks_broadcast(const struct tt_ranks *r, void *bytes, size_t nbytes, struct tt_err *err)
{
    return move(r, TT_COLL_BROADCAST, 0, bytes, nbytes, err);
}

tt_status tt_ranks_agree(const struct tt_ranks *r, tt_status status, struct tt_err *err)
{
    const int size = r->world->size, rank = r->world->rank;
    int64_t last = status == TT_OK ? 0 : size - rank; /* of the first rank that failed the largest */
    const struct tt_coll most = { .kind = TT_COLL_ALL_REDUCE,
                                  .op = TT_REDUCE_MAX,
                                  .wire = TT_I64,
                                  .sum = TT_I64,
                                  .src = &last,
                                  .dst = &last,
                                  .count = 1,
                                  .what = "control" };
    struct tt_err first = { .status = status };
    struct tt_err why;

    if (size == 1)
        return status;
    if (status != TT_OK && err)
        first = *err;
    if (tt_comm_do(r->all, &most, &why) != TT_OK)
        return status != TT_OK ? status : tt_err_copy(err, &why);
    if (last == 0)
        return TT_OK;
    const int failed = size - (int)last;
    if (move(r, TT_COLL_BROADCAST, failed, &first, sizeof first, &why) != TT_OK)
        return status != TT_OK ? status : tt_err_copy(err, &why);
    tt_err_set_rank(&first, failed);
    return tt_err_copy(err, &first);
}

/* --- bytes of many ---------------------------------------------------------------------------------------------------------- */

static tt_status receive(const struct tt_ranks *r, int peer, struct tt_buf *part, struct tt_err *err)
{
    uint64_t nbytes;
    tt_status status = move(r, TT_COLL_RECV, peer, &nbytes, sizeof nbytes, err);
    if (status != TT_OK)
        return status;
    if (nbytes && !tt_buf_reserve(part, nbytes))
        return tt_err_nomem(err, nbytes, "what a rank sends");
    status = move(r, TT_COLL_RECV, peer, part->data, nbytes, err);
    part->len = nbytes;
    return status;
}

tt_status tt_ranks_gather(const struct tt_ranks *r, const void *bytes, size_t nbytes, struct tt_buf *parts, struct tt_err *err)
{
    uint64_t n = nbytes;
    tt_status status = TT_OK;

    if (r->world->rank > 0) {
        status = move(r, TT_COLL_SEND, 0, &n, sizeof n, err);
        return status == TT_OK ? move(r, TT_COLL_SEND, 0, (void *)bytes, nbytes, err) : status;
    }
    tt_buf_put(&parts[0], bytes, nbytes);
    for (int peer = 1; peer < r->world->size && status == TT_OK; peer++)
        status = receive(r, peer, &parts[peer], err);
    if (status == TT_OK)
        status = tt_buf_check(&parts[0], "what a rank sends", err);
    if (status != TT_OK)
        tt_world_abort(r->world, err);
    return status;
}

tt_status tt_ranks_reduce_loss(const struct tt_ranks *r, enum tt_reduce_op op, float *loss, struct tt_err *err)
{
    const struct tt_coll coll = { .kind = TT_COLL_ALL_REDUCE,
                                  .op = op,
                                  .wire = TT_F32,
                                  .sum = TT_F32,
                                  .src = loss,
                                  .dst = loss,
                                  .count = 1,
                                  .what = "the loss" };
    return r->loss ? tt_comm_do(r->loss, &coll, err) : TT_OK;
}

void tt_ranks_write_nothing(struct tt_config *config)
{
    config->job.save_config_file = config->metrics.save_jsonl = NULL;
    config->job.print_config = false;
    config->metrics.enable_tensorboard &= config->metrics.save_for_all_ranks;
}

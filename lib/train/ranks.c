#include "train/ranks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/sha256.h"

tt_status tt_ranks_open(struct tt_ranks *out, struct tt_world *world, int64_t nranks, const struct tt_config *config,
                        struct tt_err *err)
{
    struct tt_ranks r = { .world = world };

    tt_status status = tt_job_open(&r.job, config, nranks, err);
    if (status == TT_OK) {
        r.mesh = (struct tt_mesh){ .degrees = r.job.degrees, .rank = world->rank };
        status = tt_comm_new(&r.all, world, NULL, 0, "all ranks", err);
    }
    if (status == TT_OK && world->size > 1)
        status = tt_ranks_group(&r.loss, &r, TT_MESH_LOSS, "loss", err);
    if (status == TT_OK)
        *out = r;
    else
        tt_ranks_close(&r);
    return status;
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

static tt_status broadcast_from(const struct tt_ranks *r, int root, void *bytes, size_t nbytes, struct tt_err *err)
{
    const struct tt_coll coll = { .kind = TT_COLL_BROADCAST, .wire = TT_U8, .sum = TT_U8, .src = bytes, .dst = bytes,
                                  .count = (int64_t)nbytes, .peer = root, .what = "control" };
    return tt_comm_do(r->all, &coll, err);
}

tt_status tt_ranks_broadcast(const struct tt_ranks *r, void *bytes, size_t nbytes, struct tt_err *err)
{
    return broadcast_from(r, 0, bytes, nbytes, err);
}

tt_status tt_ranks_agree(const struct tt_ranks *r, tt_status status, struct tt_err *err)
{
    const int size = r->world->size, rank = r->world->rank;
    int64_t last = status == TT_OK ? 0 : size - rank; /* of the first rank that failed the largest */
    const struct tt_coll most = { .kind = TT_COLL_ALL_REDUCE, .op = TT_REDUCE_MAX, .wire = TT_I64, .sum = TT_I64, .src = &last,
                                  .dst = &last, .count = 1, .what = "control" };
    struct tt_err first = { .status = status };
    struct tt_err why;

    if (size == 1)
        return status;
    if (status != TT_OK && err)
        first = *err;
    if (tt_comm_do(r->all, &most, &why) != TT_OK)
        return status != TT_OK ? status : tt_err_set(err, why.status, "%s", why.msg);
    if (last == 0)
        return TT_OK;
    const int failed = size - (int)last;
    if (broadcast_from(r, failed, &first, sizeof first, &why) != TT_OK)
        return status != TT_OK ? status : tt_err_set(err, why.status, "%s", why.msg);
    return failed == rank ? status : tt_err_set(err, first.status, "rank %d: %s", failed, first.msg);
}

/* --- bytes of many ---------------------------------------------------------------------------------------------------------- */

static tt_status move(const struct tt_ranks *r, enum tt_coll_kind kind, int peer, void *bytes, size_t nbytes, struct tt_err *err)
{
    const struct tt_coll coll = { .kind = kind, .wire = TT_U8, .sum = TT_U8, .src = bytes, .dst = bytes, .count = (int64_t)nbytes,
                                  .peer = peer, .what = "control" };
    return tt_comm_do(r->all, &coll, err);
}

static tt_status receive(const struct tt_ranks *r, int peer, struct tt_buf *part, struct tt_err *err)
{
    uint64_t nbytes;
    tt_status status = move(r, TT_COLL_RECV, peer, &nbytes, sizeof nbytes, err);
    if (status != TT_OK)
        return status;
    if (!tt_buf_reserve(part, nbytes))
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
    return status == TT_OK ? tt_buf_check(&parts[0], "what a rank sends", err) : status;
}

tt_status tt_ranks_sum_loss(const struct tt_ranks *r, float *loss, struct tt_err *err)
{
    const struct tt_coll coll = {
        .kind = TT_COLL_ALL_REDUCE, .wire = TT_F32, .sum = TT_F32, .src = loss, .dst = loss, .count = 1, .what = "the loss"
    };
    return r->loss ? tt_comm_do(r->loss, &coll, err) : TT_OK;
}

/* --- the same everywhere ------------------------------------------------------------------------------------------------------ */

static tt_status check_same(const struct tt_ranks *r, const struct tt_buf *mine, tt_status status, const char *what,
                            struct tt_err *err)
{
    struct tt_sha256 sha = tt_sha256_begin();
    uint8_t digest[TT_SHA256_NBYTES], first[TT_SHA256_NBYTES];

    if (status == TT_OK)
        status = tt_buf_check(mine, what, err);
    status = tt_ranks_agree(r, status, err);
    if (status != TT_OK)
        return status;
    tt_sha256_add(&sha, mine->data, mine->len);
    tt_sha256_end(&sha, digest);
    memcpy(first, digest, sizeof first);
    status = tt_ranks_broadcast(r, first, sizeof first, err);
    if (status == TT_OK && memcmp(digest, first, sizeof first) != 0)
        status = tt_err_set(err, TT_EINVAL, "%s of this rank is not that of rank 0", what);
    return tt_ranks_agree(r, status, err);
}

void tt_ranks_write_nothing(struct tt_config *config)
{
    config->job.save_config_file = config->metrics.save_jsonl = NULL;
    config->job.print_config = config->metrics.enable_tensorboard = false;
}

/* The settings but for those that are rank 0's alone. */
static tt_status put_config(struct tt_buf *out, const struct tt_config *config, struct tt_err *err)
{
    struct tt_config common = *config;
    tt_ranks_write_nothing(&common);
    return tt_config_json(out, &common, err);
}

static void put_size(struct tt_buf *out, const char *path)
{
    struct stat st;
    if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        tt_buf_printf(out, "%s %lld\n", path, (long long)st.st_size);
}

tt_status tt_ranks_check_same(const struct tt_ranks *r, const struct tt_config *config, struct tt_err *err)
{
    struct tt_buf settings = { 0 }, program = { 0 }, data = { 0 };
    tt_status status = TT_OK;

    if (r->world->size == 1)
        return TT_OK;
    status = check_same(r, &settings, put_config(&settings, config, err), "the configuration", err);
    if (status == TT_OK)
        status = check_same(r, &program, tt_file_read_all(&program, "/proc/self/exe", 1 << 30, err), "the program", err);
    put_size(&data, config->training.dataset_path);
    put_size(&data, config->validation.dataset_path);
    if (status == TT_OK)
        status = check_same(r, &data, TT_OK, "the data", err);
    tt_buf_release(&settings);
    tt_buf_release(&program);
    tt_buf_release(&data);
    return status;
}

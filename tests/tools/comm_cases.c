/* comm_cases cases SEED | sent | fail | unlike N | large: collectives between processes that mpirun starts. Says nothing, or what is wrong.
 * cases and sent: those of tests/unit/comm_cases.h; fail: the last rank does, while the others wait for it; unlike: rank 0 broadcasts 100 bytes
 * to ranks that expect N; large: two ranks, threads where no launcher started them, and buffers of more than 2 GiB each. */
#include "comm/launch.h"
#include "tests/unit/comm_cases.h"

static tt_status last_fails(struct tt_world *world, void *ctx, struct tt_err *err)
{
    const struct tt_coll barrier = { .kind = TT_COLL_BARRIER, .what = "the start" };
    struct tt_comm *all;

    (void)ctx;
    if (tt_comm_new(&all, world, NULL, 0, "everybody", err) != TT_OK)
        return err->status;
    const tt_status st = world->rank == world->size - 1 ? tt_err_set(err, TT_ENOENT, "no data") : tt_comm_do(all, &barrier, err);
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(all);
    return st;
}

/* Rank 0 sends 100 elements where the others expect as many as the seed says. */
static tt_status unlike(struct tt_world *world, void *ctx, struct tt_err *err)
{
    static char bytes[200];
    const struct tt_coll broadcast = { .kind = TT_COLL_BROADCAST,
                                       .wire = TT_U8,
                                       .sum = TT_U8,
                                       .src = bytes,
                                       .dst = bytes,
                                       .count = world->rank == 0 ? 100 : *(const int64_t *)ctx,
                                       .what = "the settings" };
    struct tt_comm *all;

    if (tt_comm_new(&all, world, NULL, 0, "everybody", err) != TT_OK)
        return err->status;
    const tt_status st = tt_comm_do(all, &broadcast, err);
    tt_comm_free(all);
    return st;
}

/* Element i of what rank r has. */
static float large_number(int r, int64_t i) { return (float)((r + 1) * (i % CASE_PERIOD)); }

static tt_status check_large(const char *what, const float *x, int64_t n, int times, struct tt_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != (float)times * large_number(0, i))
            return tt_err_set(err, TT_EINVAL, "%s: element %lld is %g", what, (long long)i, (double)x[i]);
    return TT_OK;
}

static void fill_large(float *x, int r, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        x[i] = large_number(r, i);
}

static tt_status go_large(struct tt_comm *all, float *x, int64_t n, struct tt_err *err)
{
    const int64_t counts[2] = { n / 2 + 13, n - n / 2 - 13 }, begin = all->rank == 0 ? 0 : counts[0];
    const struct tt_coll reduce = {
        .kind = TT_COLL_ALL_REDUCE, .wire = TT_F32, .sum = TT_F32, .src = x, .dst = x, .count = n, .what = "a large sum"
    };
    const struct tt_coll broadcast = { .kind = TT_COLL_BROADCAST,
                                       .wire = TT_U8,
                                       .sum = TT_U8,
                                       .src = x,
                                       .dst = x,
                                       .count = n * (int64_t)sizeof *x,
                                       .peer = 1,
                                       .what = "a large message" };
    const struct tt_coll gather = { .kind = TT_COLL_ALL_GATHER,
                                    .wire = TT_F32,
                                    .sum = TT_F32,
                                    .src = x + begin,
                                    .dst = x,
                                    .counts = counts,
                                    .what = "large parts" };

    fill_large(x, all->rank, 0, n);
    tt_status st = tt_comm_do(all, &reduce, err);
    if (st == TT_OK)
        st = check_large(reduce.what, x, n, 3, err);
    fill_large(x, all->rank, 0, n);
    if (st == TT_OK)
        st = tt_comm_do(all, &broadcast, err);
    if (st == TT_OK)
        st = check_large(broadcast.what, x, n, 2, err);
    fill_large(x, 4, 0, n);
    fill_large(x, 0, begin, begin + counts[all->rank]);
    if (st == TT_OK)
        st = tt_comm_do(all, &gather, err);
    return st == TT_OK ? check_large(gather.what, x, n, 1, err) : st;
}

static tt_status large(struct tt_world *world, void *ctx, struct tt_err *err)
{
    const int64_t n = (INT64_C(1) << 29) + 77; /* whose bytes no int counts */
    struct tt_comm *all;

    (void)ctx;
    if (tt_comm_new(&all, world, NULL, 0, "everybody", err) != TT_OK)
        return err->status;
    float *x = malloc((size_t)n * sizeof *x);
    tt_status st = x ? go_large(all, x, n, err) : tt_err_nomem(err, (size_t)n * sizeof *x, "a large buffer");
    free(x);
    tt_comm_free(all);
    return st;
}

static tt_status run(tt_rank_fn *fn, void *ctx, struct tt_err *err)
{
    return fn == large && tt_launch_nranks() == 1 ? tt_local_run(2, fn, ctx, err) : tt_mpi_run(fn, ctx, 0, err);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        tt_rank_fn *fn;
    } modes[] = { { "cases", case_run }, { "sent", case_sent }, { "fail", last_fails }, { "unlike", unlike }, { "large", large } };
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct tt_err err = { .msg = "which mode?" };

    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0 && run(modes[i].fn, &seed, &err) == TT_OK)
            return 0;
    fprintf(stderr, "comm_cases: %s\n", err.msg);
    return 1;
}

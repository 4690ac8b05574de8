/* comm_bench [-n RANKS]: what the collectives take, and what ranks that wait take from one that works. With -n the ranks are threads,
 * else mpirun's processes, or one. Rank 0 prints a line
 *
 *   work S       seconds that a fixed amount of work takes on all cores, while the other ranks wait for it; best of 5
 *   waiting P    percent of a core that a process took meanwhile which waited, the most of them
 *   NAME US MB/S for each collective: the time of one, and what a rank sends in it a second
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/pool.h"
#include "comm/comm.h"
#include "comm/launch.h"

enum { WORK = 100000000, ELEMENTS = 4 << 20 };

static void spin(void *ctx, int64_t begin, int64_t end, int thread)
{
    double x = (double)thread;
    for (int64_t i = begin; i < end; i++)
        x = x * 0.999 + (double)i;
    ((volatile double *)ctx)[8 * thread] = x;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static tt_status time_work(struct tt_comm *all, struct tt_err *err)
{
    const struct tt_coll barrier = { .kind = TT_COLL_BARRIER, .what = "the work" };
    double best = 1e9, sink[8 * 512] = { 0 }, share = 0, most = 0;
    const struct tt_coll worst = { .kind = TT_COLL_ALL_REDUCE,
                                   .op = TT_REDUCE_MAX,
                                   .wire = TT_F64,
                                   .sum = TT_F64,
                                   .src = &share,
                                   .dst = &most,
                                   .count = 1,
                                   .what = "shares" };
    struct tt_pool *pool;
    tt_status st = tt_pool_new(&pool, 0, err);

    for (int i = 0; st == TT_OK && i < 5; i++) {
        st = tt_comm_do(all, &barrier, err);
        const double begin = tt_seconds(), cpu = cpu_seconds();
        if (all->rank == 0) {
            tt_pool_run(pool, WORK * (int64_t)tt_pool_nthreads(pool), 1, spin, sink);
            best = tt_seconds() - begin < best ? tt_seconds() - begin : best;
        }
        if (st == TT_OK)
            st = tt_comm_do(all, &barrier, err);
        const double now = 100 * (cpu_seconds() - cpu) / (tt_seconds() - begin);
        share = all->rank > 0 && now > share ? now : share;
    }
    if (st == TT_OK)
        st = tt_comm_do(all, &worst, err);
    if (all->rank == 0)
        printf("work %.3f\nwaiting %.1f\n", best, most);
    tt_pool_free(pool);
    return st;
}

static tt_status time_coll(struct tt_comm *all, const struct tt_coll *coll, const char *name, int times, struct tt_err *err)
{
    const struct tt_coll barrier = { .kind = TT_COLL_BARRIER, .what = "a collective" };
    tt_status st = tt_comm_do(all, &barrier, err);
    const uint64_t before = tt_comm_seen(all).sent_nbytes;
    const double begin = tt_seconds();

    for (int i = 0; st == TT_OK && i < times; i++)
        st = tt_comm_do(all, coll, err);
    const double seconds = tt_seconds() - begin;
    if (all->rank == 0)
        printf("%s %.0f us %.0f MB/s\n", name, seconds / times * 1e6,
               (double)(tt_comm_seen(all).sent_nbytes - before) / seconds / 1e6);
    return st;
}

static tt_status bench(struct tt_world *world, void *ctx, struct tt_err *err)
{
    const int64_t part = ELEMENTS / world->size;
    float *src = calloc(ELEMENTS, sizeof *src), *dst = calloc(ELEMENTS, sizeof *dst);
    const struct tt_coll few = { .kind = TT_COLL_ALL_REDUCE, .count = 3, .src = src, .dst = dst, .what = "few" },
                         gather = { .kind = TT_COLL_ALL_GATHER, .count = part, .src = src, .dst = dst, .what = "gather" },
                         scatter = { .kind = TT_COLL_REDUCE_SCATTER, .count = part, .src = src, .dst = dst, .what = "scatter" },
                         reduce = { .kind = TT_COLL_ALL_REDUCE, .count = ELEMENTS, .src = src, .dst = dst, .what = "reduce" };
    struct tt_comm *all = NULL;

    (void)ctx;
    tt_status st = tt_comm_new(&all, world, NULL, 0, "all", err);
    if (st == TT_OK)
        st = time_work(all, err);
    if (st == TT_OK)
        st = time_coll(all, &few, "all_reduce of 12 bytes", 500, err);
    if (st == TT_OK)
        st = time_coll(all, &gather, "all_gather of 16 MiB", 10, err);
    if (st == TT_OK)
        st = time_coll(all, &scatter, "reduce_scatter of 16 MiB", 10, err);
    if (st == TT_OK)
        st = time_coll(all, &reduce, "all_reduce of 16 MiB", 10, err);
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(all);
    free(src);
    free(dst);
    return st;
}

int main(int argc, char **argv)
{
    const int threads = argc > 2 && strcmp(argv[1], "-n") == 0 ? atoi(argv[2]) : 0;
    struct tt_err err;
    const tt_status st = threads > 0              ? tt_local_run(threads, bench, NULL, &err)
                         : tt_launch_nranks() > 1 ? tt_mpi_run(bench, NULL, 0, &err)
                                                  : tt_self_run(bench, NULL, &err);
    if (st != TT_OK)
        fprintf(stderr, "comm_bench: %s\n", err.msg);
    return st != TT_OK;
}

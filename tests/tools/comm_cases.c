/* comm_cases cases SEED | sent | fail | unlike N: collectives between processes that mpirun starts. Says nothing, or what is wrong. cases and
 * sent: those of tests/unit/comm_cases.h; fail: the last rank does, while the others wait for it; unlike: rank 0 broadcasts 100 bytes to
 * ranks that expect N. */
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

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        tt_rank_fn *fn;
    } modes[] = { { "cases", case_run }, { "sent", case_sent }, { "fail", last_fails }, { "unlike", unlike } };
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct tt_err err = { .msg = "which mode?" };

    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0 && tt_mpi_run(modes[i].fn, &seed, 0, &err) == TT_OK)
            return 0;
    fprintf(stderr, "comm_cases: %s\n", err.msg);
    return 1;
}

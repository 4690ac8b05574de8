/* comm_watch TIMEOUT MODE: ranks under mpirun that go from step to step, an all_reduce in each, until one of them does not. Each writes
 * its process id to the file pid.RANK. What its watchdog says goes to standard error.
 *
 *   steps   they go on until somebody stops or kills one
 *   late    rank 1 does not enter step 3, and sleeps
 *   chain   rank 3 sleeps in step 3, rank 2 waits for it in a group of their own, and the others for rank 2
 *   busy    rank 1 enters step 3 after three times the timeout, being busy meanwhile; then all end
 *   awaits  as busy, but it is its background that is busy, and rank 1 waits for that
 *   behind  as busy, but it is an operation of the background's that rank 1 enters so late
 *   beside  as late, with rank 1 busy in the background, where the others have waited for it for longer
 *   awaited rank 0 waits for its background, and that for rank 1's, which is busy for three times the timeout; then all end
 *   within  as late, with a background of rank 1's that waits for rank 2's, which is busy
 *   ahead   as late, with an operation that rank 1 has only posted, of a group that nobody else comes to; ranks 2 and 3 are busy
 *   fails   the last rank fails at step 3
 *   meet    rank 0 does not start its watchdog
 *   group   rank 0 does not make the group of everybody
 *   part    rank 0 has taken its steps, and does not come to the end */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "comm/watchdog.h"

struct run {
    const char *mode;
    double timeout_s;
    struct tt_watchdog *watchdog;
    struct tt_comm *all, *pair, *background; /* pair: of ranks 2 and 3 */
    uint64_t ticket;                         /* of the save */
    pthread_t behind;
};

static void say(void *ctx, enum tt_log_level level, const char *line)
{
    (void)ctx;
    if (level >= TT_LOG_WARNING)
        fprintf(stderr, "%s\n", line);
}

static bool is_mode(const struct run *r, const char *mode) { return strcmp(r->mode, mode) == 0; }

/* They end by themselves. */
static bool is_slow(const struct run *r)
{
    return is_mode(r, "busy") || is_mode(r, "awaits") || is_mode(r, "behind") || is_mode(r, "awaited");
}

static void nap(double seconds)
{
    const long s = (long)seconds;
    nanosleep(&(struct timespec){ .tv_sec = s, .tv_nsec = (long)((seconds - (double)s) * 1e9) }, NULL);
}

/* Rank 0 of a run of that mode stays there. */
static void stay(const struct run *r, const char *mode, const struct tt_world *world)
{
    if (is_mode(r, mode) && world->rank == 0)
        nap(1000);
}

static const struct tt_coll pair = { .kind = TT_COLL_BARRIER, .what = "the pair" };
static const struct tt_coll save = { .kind = TT_COLL_BARRIER, .what = "a save" };

/* Rank 1's background, which in "awaited" is busy first; the run ends with it or without. */
static void *save_behind(void *arg)
{
    struct run *r = arg;
    struct tt_err err;

    if (is_mode(r, "awaited")) {
        tt_watchdog_busy_for(r->watchdog, r->background);
        nap(3 * r->timeout_s);
        tt_watchdog_done_for(r->watchdog, r->background);
    }
    if (tt_comm_do(r->background, &save, &err) != TT_OK)
        fprintf(stderr, "%s\n", err.msg);
    return NULL;
}

/* Of modes with a save in the background of every rank. */
static tt_status save_together(struct run *r, struct tt_err *err)
{
    const int rank = r->all->rank;
    tt_status st = TT_OK;

    if (rank == 1)
        return pthread_create(&r->behind, NULL, save_behind, r) == 0 ? TT_OK : tt_err_set(err, TT_ENOMEM, "no thread");
    if (rank == 2 && is_mode(r, "within"))
        tt_watchdog_busy_for(r->watchdog, r->background);
    else
        st = tt_comm_post(r->background, &save, &r->ticket, err);
    if (st != TT_OK || rank != 0 || !is_mode(r, "awaited"))
        return st;
    tt_watchdog_await_background(r->watchdog, true);
    st = tt_comm_wait(r->background, r->ticket, err);
    tt_watchdog_await_background(r->watchdog, false);
    return st;
}

/* What each has to do besides, in modes in which rank 1 is late. */
static tt_status besides(struct run *r, struct tt_err *err)
{
    const int rank = r->all->rank;
    tt_status st = TT_OK;

    if (is_mode(r, "awaited") || is_mode(r, "within"))
        return save_together(r, err);

    if (is_mode(r, "beside") && rank == 1)
        tt_watchdog_busy_for(r->watchdog, r->background);
    if (is_mode(r, "ahead") && rank >= 2)
        tt_watchdog_busy_for(r->watchdog, r->all);
    if (is_mode(r, "beside") ? rank != 1 : is_mode(r, "ahead") && rank == 1)
        st = tt_comm_post(r->background, &save, NULL, err);
    if (is_mode(r, "beside"))
        nap(r->timeout_s / 2);
    return st;
}

static tt_status step_3(struct run *r, struct tt_err *err)
{
    const struct tt_comm *busy = is_mode(r, "busy") ? r->all : r->background;
    const int rank = r->all->rank;
    const bool is_chain = is_mode(r, "chain"), is_late = is_mode(r, "late") || is_mode(r, "beside") || is_mode(r, "ahead") || is_mode(r, "within");
    const tt_status st = besides(r, err);

    if (st != TT_OK)
        return st;
    if ((is_late && rank == 1) || (is_chain && rank == 3))
        nap(1000);
    if (is_chain && rank == 2)
        return tt_comm_do(r->pair, &pair, err);
    if (is_slow(r) && !is_mode(r, "awaited") && rank == 1) {
        tt_watchdog_await_background(r->watchdog, is_mode(r, "awaits"));
        tt_watchdog_busy_for(r->watchdog, busy);
        nap(3 * r->timeout_s);
        tt_watchdog_done_for(r->watchdog, busy);
        tt_watchdog_await_background(r->watchdog, false);
    }
    if (is_mode(r, "behind"))
        return tt_comm_do(r->background, &save, err);
    return is_mode(r, "fails") && rank == r->all->size - 1 ? tt_err_set(err, TT_ENOENT, "no data") : TT_OK;
}

static tt_status steps(struct run *r, struct tt_err *err)
{
    int64_t x = 1, sum;
    const struct tt_coll loss = {
        .kind = TT_COLL_ALL_REDUCE, .wire = TT_I64, .sum = TT_I64, .src = &x, .dst = &sum, .count = 1, .what = "the loss"
    };
    tt_status st = TT_OK;

    for (int64_t step = 1; st == TT_OK && !((is_slow(r) || is_mode(r, "part")) && step > 6); step++) {
        if (step == 3)
            st = step_3(r, err);
        if (st == TT_OK)
            st = tt_comm_do(r->all, &loss, err);
        tt_watchdog_step(r->watchdog, step);
        nap(0.02);
    }
    return st;
}

static tt_status run(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct run *r = ctx;
    const struct tt_log log = { .write = say };
    const struct tt_watchdog_opts opts = { .init_timeout_s = is_mode(r, "group") ? r->timeout_s : 30,
                                           .train_timeout_s = r->timeout_s,
                                           .noperations = 5,
                                           .record = "record/rank_",
                                           .log = &log };
    static const int pair_ranks[] = { 2, 3 };
    char path[64], pid[32];

    snprintf(path, sizeof path, "pid.%d", world->rank);
    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    tt_status st = tt_file_write_all(path, pid, strlen(pid), err);
    stay(r, "meet", world);
    if (st == TT_OK)
        st = tt_watchdog_start(&r->watchdog, world, &opts, err);
    stay(r, "group", world);
    if (st == TT_OK)
        st = tt_comm_new(&r->all, world, NULL, 0, "everybody", err);
    if (st == TT_OK && world->rank >= 2)
        st = tt_comm_new(&r->pair, world, pair_ranks, 2, "pair", err);
    if (st == TT_OK)
        st = tt_comm_new(&r->background, world, NULL, 0, "background", err);
    if (st == TT_OK)
        tt_watchdog_set_background(r->background);
    if (st == TT_OK)
        st = steps(r, err);
    if (st == TT_OK && is_mode(r, "awaited") && world->rank == 1)
        pthread_join(r->behind, NULL);
    tt_watchdog_stop(r->watchdog, st == TT_OK ? NULL : err);
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(r->all);
    tt_comm_free(r->pair);
    tt_comm_free(r->background);
    stay(r, "part", world);
    return st;
}

int main(int argc, char **argv)
{
    struct run r = { .timeout_s = argc > 2 ? atof(argv[1]) : 1, .mode = argc > 2 ? argv[2] : "steps" };
    struct tt_err err;

    const double limit_s = is_mode(&r, "meet") ? r.timeout_s : is_mode(&r, "part") ? 15 : 30;

    signal(SIGTERM, SIG_IGN); /* mpirun's, when the first rank has gone: titan-train catches it too */
    if (tt_mpi_run(run, &r, limit_s, &err) == TT_OK)
        return 0;
    fprintf(stderr, "comm_watch: %s\n", err.msg);
    return 1;
}

/* Ranks that are processes which MPI started.
 *
 * One thread makes all calls of MPI. It goes through the operations that are under way, and sleeps between two rounds in which nothing
 * moved, longer and longer up to 200 us; where nothing is under way any more it sleeps, 0.3 s later, until something is posted. Ranks
 * that wait inside MPI's own calls would take the cores from those that work. */
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limit.h"
#include "base/thread.h"
#include "comm/launch.h"
#include "comm/mpi_private.h"

enum { GROUPS_MAX = 4096, SLEEP_MIN_NS = 5000, SLEEP_MAX_NS = 200000, ROUNDS_AWAKE = 20, DOUBLINGS = 6, ROUNDS_AFTER = 16 };

struct mpi_world {
    struct tt_world world;
    pthread_t thread;
    pthread_mutex_t lock;   /* over the rest, and all queues */
    pthread_cond_t posted;  /* for the thread */
    pthread_cond_t changed; /* for those who wait: something is done, or the state has changed */
    enum { STARTING, RUNNING, ENDING, ENDED } state;
    bool aborted;
    struct tt_err err;          /* where aborted */
    struct tt_mpi_comm *active; /* have something in their queues */
    int groups;                 /* that this rank was the lowest of */
    struct tt_comm *all;        /* for the numbers of new groups, and the end */
};

static struct mpi_world *mpi_of(struct tt_world *world) { return (struct mpi_world *)world; }

tt_status tt_mpi_error(struct tt_err *err, int rc, const char *call, const struct tt_mpi_comm *c)
{
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int n;
    MPI_Error_string(rc, text, &n);
    return tt_err_set(err, TT_EIO, "%s, %s of %s in group %s: %s", call, tt_coll_name(c->op.coll->kind), c->op.coll->what,
                      c->comm.name, text);
}

/* --- the thread --------------------------------------------------------------------------------------------------------------- */

/* What a machine of few cores and no InfiniBand needs; what the user has set stays. Copies between processes by the kernel are not
 * allowed in most containers. */
static void set_defaults(void)
{
    static const char *const defaults[][2] = {
        { "OMPI_MCA_pml", "ob1" },
        { "OMPI_MCA_btl", "self,vader,tcp" },
        { "OMPI_MCA_btl_vader_single_copy_mechanism", "none" },
        { "OMPI_MCA_mpi_yield_when_idle", "1" },
    };
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        setenv(defaults[i][0], defaults[i][1], 0);
}

static tt_status init(struct mpi_world *w, struct tt_err *err)
{
    int has, *tag_max, found, rc = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &has);

    if (rc != MPI_SUCCESS || has < MPI_THREAD_FUNNELED)
        return tt_err_set(err, TT_EIO, "MPI_Init_thread: error %d, thread level %d", rc, has);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &w->world.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &w->world.size);
    if (w->world.size != tt_launch_nranks())
        return tt_err_set(err, TT_EUNSUPPORTED,
                          "the launcher says that it started %" PRId64
                          " processes, MPI knows of %d: srun has to be told which MPI this is "
                          "(--mpi=pmix for Open MPI)",
                          tt_launch_nranks(), w->world.size);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, (void *)&tag_max, &found);
    if (found && *tag_max / GROUPS_MAX < w->world.size)
        return tt_err_set(err, TT_EUNSUPPORTED, "MPI's largest tag is %d: too small for %d ranks", *tag_max, w->world.size);
    return TT_OK;
}

/* Sleeps for a while, longer each time, until something is posted. With the lock held. */
static void rest(struct mpi_world *w, int times, long most_ns)
{
    const long ns = (long)SLEEP_MIN_NS << times;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ns < most_ns ? ns : most_ns;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&w->posted, &w->lock, &until);
}

/* One step of the operation at the head of c's queue, without the lock. */
static tt_status step(struct tt_mpi_comm *c, bool *moved, bool *done, struct tt_err *err)
{
    *done = false;
    if (!c->begun) {
        const tt_status st = tt_mpi_op_begin(c, err);
        if (st != TT_OK)
            return st;
        c->begun = *moved = true;
    }
    return tt_mpi_op_advance(c, moved, done, err);
}

static void fail(struct mpi_world *w, const struct tt_err *why)
{
    if (w->aborted)
        return;
    w->aborted = true;
    w->err = *why;
    tt_err_set_rank(&w->err, w->world.rank);
}

/* A round through all that is under way. With the lock held, but for the steps. */
static bool go_round(struct mpi_world *w)
{
    bool moved = false;

    for (struct tt_mpi_comm **link = &w->active, *c; (c = *link) && !w->aborted;) {
        struct tt_err err;
        bool done = false;
        tt_status st = c->begun ? TT_OK : tt_mpi_op_take(&c->op, &c->posted, &err);
        pthread_mutex_unlock(&w->lock);
        if (st == TT_OK)
            st = step(c, &moved, &done, &err);
        pthread_mutex_lock(&w->lock);
        if (st != TT_OK)
            fail(w, &err);
        if (done) {
            c->posted.head += (uint64_t)c->op.nbufs;
            c->begun = false;
            atomic_fetch_add(&c->comm.done, 1);
            pthread_cond_broadcast(&w->changed);
        }
        if (c->posted.head == c->posted.ready) {
            *link = c->next;
            c->active = false;
        } else {
            link = &c->next;
        }
    }
    return moved;
}

/* What looks sent to this rank may still be on its way out, which only calls of MPI bring on: over tcp, the word that it is all there. In
 * 0.3 s a slow network has taken what a socket holds. */
static void go_on_sending(struct mpi_world *w)
{
    int any;
    pthread_mutex_unlock(&w->lock);
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &any, MPI_STATUS_IGNORE);
    pthread_mutex_lock(&w->lock);
}

static bool has_nothing(const struct mpi_world *w) { return !w->aborted && !w->active && w->state == RUNNING; }

/* Until something is posted, which it may be while the lock is not held. Returns how many rounds nothing has moved. */
static int lie_idle(struct mpi_world *w, int idle)
{
    if (idle > ROUNDS_AFTER) {
        pthread_cond_wait(&w->posted, &w->lock);
        return 0;
    }
    go_on_sending(w);
    if (has_nothing(w))
        rest(w, idle, LONG_MAX);
    return idle;
}

static void *thread_main(void *arg)
{
    struct mpi_world *w = arg;
    struct tt_err err;

    const tt_status st = init(w, &err);
    pthread_mutex_lock(&w->lock);
    if (st != TT_OK)
        fail(w, &err);
    w->state = RUNNING;
    pthread_cond_broadcast(&w->changed);
    for (int idle = 0; !w->aborted && (w->state == RUNNING || w->active);) {
        idle = go_round(w) ? 0 : idle + 1;
        if (has_nothing(w)) {
            idle = lie_idle(w, idle);
        } else if (!w->aborted && idle > ROUNDS_AWAKE) {
            rest(w, idle - ROUNDS_AWAKE < DOUBLINGS ? idle - ROUNDS_AWAKE : DOUBLINGS, SLEEP_MAX_NS);
        }
    }
    const bool end = !w->aborted;
    w->state = ENDED;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (end)
        MPI_Finalize();
    return NULL;
}

/* --- for the ranks ------------------------------------------------------------------------------------------------------------ */

/* With the lock held. Where the thread has ended it touches no buffer. */
static tt_status tell(struct mpi_world *w, struct tt_err *err)
{
    while (w->state != ENDED)
        pthread_cond_wait(&w->changed, &w->lock);
    return tt_err_copy(err, &w->err);
}

static void abort_world(struct tt_world *world, const struct tt_err *why)
{
    struct mpi_world *w = mpi_of(world);
    struct tt_err ignored;

    pthread_mutex_lock(&w->lock);
    fail(w, why);
    pthread_cond_signal(&w->posted);
    pthread_cond_broadcast(&w->changed);
    tell(w, &ignored);
    pthread_mutex_unlock(&w->lock);
}

/* At the end: the thread may be at any place of the list. */
static void append(struct mpi_world *w, struct tt_mpi_comm *c)
{
    struct tt_mpi_comm **link = &w->active;
    while (*link)
        link = &(*link)->next;
    *link = c;
    c->next = NULL;
    c->active = true;
}

static tt_status post(struct tt_comm *comm, const struct tt_coll *coll, uint64_t ticket, struct tt_err *err)
{
    struct mpi_world *w = mpi_of(comm->world);
    struct tt_mpi_comm *c = (struct tt_mpi_comm *)comm;
    tt_status st = TT_OK;

    pthread_mutex_lock(&w->lock);
    if (w->aborted)
        st = tell(w, err);
    else
        st = tt_coll_push(&c->posted, coll, err);
    if (st == TT_OK && !coll->more) {
        atomic_store(&comm->posted, ticket);
        if (!c->active)
            append(w, c);
        pthread_cond_signal(&w->posted);
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}

static tt_status wait_done(struct tt_comm *comm, uint64_t ticket, struct tt_err *err)
{
    struct mpi_world *w = mpi_of(comm->world);
    tt_status st = TT_OK;

    pthread_mutex_lock(&w->lock);
    while (atomic_load(&comm->done) < ticket && !w->aborted)
        pthread_cond_wait(&w->changed, &w->lock);
    if (atomic_load(&comm->done) < ticket)
        st = tell(w, err);
    pthread_mutex_unlock(&w->lock);
    return st;
}

static void free_comm(struct tt_comm *comm)
{
    struct tt_mpi_comm *c = (struct tt_mpi_comm *)comm;

    tt_mpi_op_release(&c->op);
    free(c->posted.ring);
    tt_comm_release(comm);
    free(c);
}

static const struct tt_comm_ops comm_ops = { .post = post, .wait = wait_done, .free = free_comm };

static tt_status make(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name, int tag,
                      struct tt_err *err)
{
    struct tt_mpi_comm *c = calloc(1, sizeof *c);
    tt_status st =
        c ? tt_comm_init(&c->comm, &comm_ops, world, ranks, n, name, err) : tt_err_nomem(err, sizeof *c, "a communicator");

    if (st != TT_OK) {
        free(c);
        return st;
    }
    c->tag = tag;
    st = tt_mpi_op_init(&c->op, n, err);
    if (st == TT_OK)
        *out = &c->comm;
    else
        free_comm(&c->comm);
    return st;
}

/* The lowest rank of a group tells the others its tag, which is like no other of that rank's, and of which group it is. */
struct introduction {
    int64_t tag, n;
    char ranks_and_name[112]; /* cut where longer */
};

static struct introduction introduce(int tag, const int *ranks, int n, const char *name)
{
    struct introduction intro = { .tag = tag, .n = n };
    int len = snprintf(intro.ranks_and_name, sizeof intro.ranks_and_name, "%.40s of ranks", name);
    for (int i = 0; i < n && len < (int)sizeof intro.ranks_and_name; i++)
        len += snprintf(intro.ranks_and_name + len, sizeof intro.ranks_and_name - (size_t)len, " %d", ranks[i]);
    return intro;
}

static tt_status comm_new(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name,
                          struct tt_err *err)
{
    struct mpi_world *w = mpi_of(world);
    const bool lowest = ranks[0] == world->rank;
    struct introduction mine = introduce(lowest ? 1 + world->rank * GROUPS_MAX + w->groups : 0, ranks, n, name), got = mine;
    tt_status st = TT_OK;

    if (lowest && w->groups++ == GROUPS_MAX - 1)
        return tt_err_set(err, TT_EUNSUPPORTED, "group %s: rank %d is the lowest of more than %d groups", name, world->rank,
                          GROUPS_MAX);
    for (int i = 1; lowest && st == TT_OK && i < n; i++) {
        const struct tt_coll tell_it = { TT_COLL_SEND,         .wire = TT_U8,    .src = &mine,
                                         .count = sizeof mine, .peer = ranks[i], .what = name };
        st = tt_comm_do(w->all, &tell_it, err);
    }
    if (!lowest) {
        const struct tt_coll hear = {
            TT_COLL_RECV, .wire = TT_U8, .dst = &got, .count = sizeof got, .peer = ranks[0], .what = name
        };
        st = tt_comm_do(w->all, &hear, err);
    }
    if (st == TT_OK && (got.n != n || memcmp(got.ranks_and_name, mine.ranks_and_name, sizeof mine.ranks_and_name) != 0))
        return tt_err_set(err, TT_EINVAL, "rank %d makes group %.100s where rank %d makes %.100s", world->rank, mine.ranks_and_name,
                          ranks[0], got.ranks_and_name);
    return st == TT_OK ? make(out, world, ranks, n, name, (int)got.tag, err) : st;
}

static const struct tt_world_ops world_ops = { .processes = true, .comm_new = comm_new, .abort = abort_world };

/* --- the run ------------------------------------------------------------------------------------------------------------------ */

static tt_status start_thread(struct mpi_world *w, struct tt_err *err)
{
    set_defaults();
    const int rc = tt_thread_start(&w->thread, thread_main, w);
    return rc == 0 ? TT_OK : tt_err_errno(err, rc, "cannot start the thread of MPI");
}

static tt_status await_start(struct mpi_world *w, struct tt_err *err)
{
    pthread_mutex_lock(&w->lock);
    while (w->state == STARTING)
        pthread_cond_wait(&w->changed, &w->lock);
    const tt_status st = w->aborted ? tell(w, err) : TT_OK;
    pthread_mutex_unlock(&w->lock);
    return st;
}

static tt_status make_all(struct mpi_world *w, struct tt_err *err)
{
    const int n = w->world.size;
    int *ranks = malloc((size_t)n * sizeof *ranks);
    tt_status st = ranks ? TT_OK : tt_err_nomem(err, (size_t)n * sizeof *ranks, "the ranks");

    for (int i = 0; st == TT_OK && i < n; i++)
        ranks[i] = i;
    if (st == TT_OK)
        st = make(&w->all, &w->world, ranks, n, "all", 0, err);
    if (st == TT_OK)
        tt_comm_enlist(w->all);
    free(ranks);
    return st;
}

static void limit(double timeout_s, const char *what)
{
    char text[128];
    snprintf(text, sizeof text, "rank %" PRId64 ": %s within %.0f s: one of them hangs, or has not been started", tt_launch_rank(),
             what, timeout_s);
    tt_limit_begin(timeout_s, text);
}

/* All ranks have come to the end: what is under way in MPI is no rank's loss. */
static tt_status finish(struct mpi_world *w, struct tt_err *err)
{
    const struct tt_coll barrier = { .kind = TT_COLL_BARRIER, .what = "the end" };
    const tt_status st = tt_comm_do(w->all, &barrier, err);

    pthread_mutex_lock(&w->lock);
    w->state = w->state == RUNNING ? ENDING : w->state;
    pthread_cond_signal(&w->posted);
    pthread_mutex_unlock(&w->lock);
    return st;
}

tt_status tt_mpi_run(tt_rank_fn *fn, void *ctx, double timeout_s, struct tt_err *err)
{
    struct mpi_world w = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    pthread_condattr_t monotonic;

    tt_world_init(&w.world, &world_ops, 0, 0);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w.posted, &monotonic);
    pthread_condattr_destroy(&monotonic);

    limit(timeout_s, "the ranks have not met");
    if (start_thread(&w, err) != TT_OK)
        return err->status;
    tt_status st = await_start(&w, err);
    if (st == TT_OK)
        st = make_all(&w, err);
    if (st == TT_OK)
        st = fn(&w.world, ctx, err);
    limit(timeout_s, "the ranks have not parted");
    if (st == TT_OK)
        st = finish(&w, err);
    if (st != TT_OK) {
        abort_world(&w.world, err);
        tt_err_copy(err, &w.err);
        tt_err_name_rank(err);
    }
    pthread_join(w.thread, NULL);
    tt_limit_end();
    tt_comm_free(w.all);
    tt_world_release(&w.world);
    return st;
}

/* Ranks that are threads of one process.
 *
 * Posting puts an operation into the rank's own queue in the group. An operation that reaches the head of its queue arrives: at the
 * match of all ranks' n-th collective, or of the n-th send from one rank to another with its recv. A match that everybody has arrived
 * at is cut into pieces, which are done by whichever threads of the group wait at the time, for this operation or a later one: so
 * no rank waits for another that is busy elsewhere once both have posted, and waiting threads work or sleep. What is read and
 * written in a piece is fixed; who does it, and when, is not. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/names.h"
#include "base/thread.h"
#include "comm/comm_private.h"

struct match {
    struct match *next;
    int nbufs, cap;       /* cap: buffers that there is room for */
    struct tt_coll *coll; /* (nbufs, n): of the ranks that have arrived */
    const void **src;     /* (nbufs, n) */
    int arrived, first;   /* how many, and who came first */
    bool pair;            /* a send and its recv */
    int from, to;
    uint64_t number; /* among the group's collectives, or among the pair's */
    int64_t pieces, taken, done;
};

/* What one rank has posted. */
struct queue {
    bool has_joined;
    struct tt_comm *comm;
    struct tt_coll_queue posted;
    bool head_has_arrived;
    uint64_t collectives;    /* that have arrived so far */
    uint64_t *sends, *recvs; /* (n) by peer, the same */
};

struct group {
    struct group *next;
    struct shared *shared;
    int n, *ranks, left; /* left: how many have freed their communicator */
    char *name;
    pthread_mutex_t lock; /* over all that follows, and the queues' communicators' counts */
    pthread_cond_t changed;
    struct queue *queue; /* (n) */
    struct match *matches, *unused;
    int working; /* threads within a piece */
};

/* What the threads share. */
struct shared {
    pthread_mutex_t lock; /* over groups and err; a group's may be taken after it, not before */
    struct group *groups; /* in the order they were made */
    atomic_bool aborted;  /* err is there, and stays as it is */
    struct tt_err err;

    struct local_world *rank; /* (nranks) */
    int nranks;
    atomic_int resting;         /* ranks that are in a wait, or have ended */
    atomic_ullong moves;        /* operations posted and done, and pieces, of all */
    pthread_mutex_t rests_lock; /* over the ranks' `rests`; nothing is taken after it */
};

struct local_world {
    struct tt_world world;
    struct shared *shared;
    tt_rank_fn *fn;
    void *ctx;
    pthread_t thread, self; /* the same; self is set by itself */
    tt_status status;
    struct tt_err err;
    atomic_bool told; /* of another's failure */
    char rests[200];  /* what it has waited for some time: "rank 1 for ..." */
};

struct local_comm {
    struct tt_comm comm;
    struct group *group;
};

/* --- pieces ------------------------------------------------------------------------------------------------------------------- */

static int64_t pieces_of(const struct tt_coll *coll, int r)
{
    const int64_t chunk = tt_coll_chunk(coll->wire);
    return coll->kind == TT_COLL_BARRIER ? 0 : (tt_coll_count(coll, r) + chunk - 1) / chunk;
}

static void copy(void *dst, const void *src, int64_t n, enum tt_dtype dtype)
{
    if (dst != src)
        memcpy(dst, src, (size_t)n * tt_dtype_nbytes(dtype));
}

/* Of buffer b elements [i, i + k) of the part of rank r, which begins at element `offset` of all parts. */
static void do_range(const struct match *m, int n, int b, int r, int64_t offset, int64_t i, int64_t k)
{
    const struct tt_coll *c = &m->coll[b * n], *own = &c[m->pair ? m->to : r];
    const void *const *src = &m->src[b * n];
    const enum tt_dtype wire = own->wire;

    switch (own->kind) {
    case TT_COLL_ALL_GATHER:
        for (int d = 0; d < n; d++)
            copy(tt_coll_at(c[d].dst, offset + i, wire), tt_coll_at(own->src, i, wire), k, wire);
        break;
    case TT_COLL_REDUCE_SCATTER:
        tt_reduce(tt_coll_at(own->dst, i, own->unrounded ? own->sum : wire), own->unrounded, own, src, n, offset + i, k);
        break;
    case TT_COLL_ALL_REDUCE:
        tt_reduce(tt_coll_at(own->dst, i, wire), false, own, src, n, i, k);
        for (int d = 1; d < n; d++)
            copy(tt_coll_at(c[d].dst, i, wire), tt_coll_at(own->dst, i, wire), k, wire);
        break;
    case TT_COLL_BROADCAST:
        for (int d = 0; d < n; d++)
            if (d != own->peer)
                copy(tt_coll_at(c[d].dst, i, wire), tt_coll_at(c[own->peer].src, i, wire), k, wire);
        break;
    case TT_COLL_RECV: copy(tt_coll_at(own->dst, i, wire), tt_coll_at(c[m->from].src, i, wire), k, wire); break;
    default: break;
    }
}

static int nparts(const struct tt_coll *coll, int n) { return tt_coll_has_parts(coll) ? n : 1; }

static void do_piece(const struct match *m, int n, int64_t piece)
{
    const struct tt_coll *any = &m->coll[m->first];
    const int64_t chunk = tt_coll_chunk(any->wire);
    int64_t offset = 0;
    int b = 0, r = 0;

    while (piece >= pieces_of(&any[b * n], r)) {
        piece -= pieces_of(&any[b * n], r);
        offset += tt_coll_count(&any[b * n], r++);
        if (r == nparts(any, n)) {
            offset = r = 0;
            b++;
        }
    }
    const int64_t count = tt_coll_count(&any[b * n], r), i = piece * chunk;
    do_range(m, n, b, r, offset, i, count - i < chunk ? count - i : chunk);
}

/* --- matches ------------------------------------------------------------------------------------------------------------------ */

/* The match that the head of rank r's queue belongs to, new where it is the first to come. */
static struct match *match_of(struct group *g, int r, const struct tt_coll *coll)
{
    struct queue *q = &g->queue[r];
    const bool pair = tt_coll_is_pair(coll->kind);
    const int from = coll->kind == TT_COLL_SEND ? r : coll->peer, to = coll->kind == TT_COLL_SEND ? coll->peer : r;
    uint64_t *count = !pair ? &q->collectives : coll->kind == TT_COLL_SEND ? &q->sends[to] : &q->recvs[from];
    const uint64_t number = (*count)++;
    struct match **m = &g->matches;

    for (; *m; m = &(*m)->next)
        if ((*m)->pair == pair && (*m)->number == number && (!pair || ((*m)->from == from && (*m)->to == to)))
            return *m;
    if (!g->unused)
        g->unused = calloc(1, sizeof *g->unused);
    if (!g->unused)
        return NULL;
    struct match *new = g->unused;
    g->unused = new->next;
    *m = new;
    new->next = NULL;
    new->arrived = 0;
    new->pair = pair;
    new->from = from;
    new->to = to;
    new->number = number;
    new->taken = new->done = 0;
    return new;
}

static bool agree(const struct tt_coll *a, const struct tt_coll *b, int n)
{
    if (tt_coll_is_pair(a->kind) ? a->wire != b->wire : a->kind != b->kind)
        return false;
    if (a->kind == TT_COLL_BARRIER)
        return true;
    if (a->wire != b->wire || (a->kind == TT_COLL_BROADCAST && a->peer != b->peer))
        return false;
    if ((a->kind == TT_COLL_REDUCE_SCATTER || a->kind == TT_COLL_ALL_REDUCE) &&
        (a->op != b->op || a->sum != b->sum || a->unrounded != b->unrounded))
        return false;
    for (int r = 0; r < (tt_coll_has_parts(a) ? n : 1); r++)
        if (tt_coll_count(a, r) != tt_coll_count(b, r))
            return false;
    return true;
}

static void describe(char *text, size_t nbytes, const struct group *g, int r, const struct tt_coll *coll)
{
    const int64_t count = tt_coll_has_parts(coll) ? tt_coll_offset(coll, g->n) : coll->count;
    if (coll->kind == TT_COLL_BARRIER)
        snprintf(text, nbytes, "rank %d a barrier (%s)", g->ranks[r], coll->what);
    else
        snprintf(text, nbytes, "rank %d %s of %s (%" PRId64 " elements, %s)", g->ranks[r], tt_coll_name(coll->kind), coll->what,
                 count, tt_dtype_name(coll->wire));
}

static tt_status disagree(const struct group *g, int r, int s, const struct tt_coll *mine, const struct tt_coll *other,
                          struct tt_err *err)
{
    char low[300], high[300];
    describe(low, sizeof low, g, r < s ? r : s, r < s ? mine : other);
    describe(high, sizeof high, g, r < s ? s : r, r < s ? other : mine);
    return tt_err_set(err, TT_EINVAL, "group %s: the ranks' operations do not fit together: %s, %s", g->name, low, high);
}

/* The first to come says how large the match is. */
static tt_status size_match(struct match *m, const struct group *g, const struct tt_coll_queue *posted, struct tt_err *err)
{
    const struct tt_coll *coll = tt_coll_buf(posted, 0);
    const int nbufs = tt_coll_nbufs(posted);

    if (nbufs > m->cap) {
        const size_t n = (size_t)nbufs * (size_t)g->n;
        free(m->coll);
        free(m->src);
        m->coll = calloc(n, sizeof *m->coll);
        m->src = calloc(n, sizeof *m->src);
        m->cap = m->coll && m->src ? nbufs : 0;
        if (m->cap == 0)
            return tt_err_nomem(err, n * sizeof *m->coll, "an operation of many ranks");
    }
    m->nbufs = nbufs;
    m->pieces = 0;
    for (int b = 0; b < nbufs; b++)
        for (int i = 0; i < nparts(coll, g->n); i++)
            m->pieces += pieces_of(tt_coll_buf(posted, b), i);
    return TT_OK;
}

static tt_status arrive(struct group *g, int r, struct tt_err *err)
{
    struct queue *q = &g->queue[r];
    struct match *m = match_of(g, r, tt_coll_buf(&q->posted, 0));
    tt_status st = TT_OK;

    if (!m)
        return tt_err_nomem(err, sizeof *m, "an operation of many ranks");
    q->head_has_arrived = true;
    if (m->arrived == 0) {
        m->first = r;
        st = size_match(m, g, &q->posted, err);
    }
    const int nbufs = tt_coll_nbufs(&q->posted);
    for (int b = 0; b < nbufs && st == TT_OK; b++) {
        const struct tt_coll *coll = tt_coll_buf(&q->posted, b);
        const struct tt_coll *first = &m->coll[(b < m->nbufs ? b : 0) * g->n + m->first];
        if (m->arrived > 0 && (nbufs != m->nbufs || !agree(first, coll, g->n)))
            return disagree(g, r, m->first, coll, first, err);
        m->coll[b * g->n + r] = *coll;
        m->src[b * g->n + r] = coll->src;
    }
    m->arrived++;
    return st;
}

static bool is_ready(const struct group *g, const struct match *m) { return m->arrived == (m->pair ? 2 : g->n); }

static void finish(struct group *g, struct match **link)
{
    struct match *m = *link;

    for (int r = 0; r < g->n; r++) {
        struct queue *q = &g->queue[r];
        if (m->pair && r != m->from && r != m->to)
            continue;
        for (int b = 0; b < m->nbufs; b++) /* this rank's buffers one behind the other: the match is over */
            m->coll[b] = *tt_coll_buf(&q->posted, b);
        tt_comm_count_sent(q->comm, m->coll, m->nbufs);
        atomic_fetch_add(&q->comm->done, 1);
        atomic_fetch_add(&g->shared->moves, 1);
        q->posted.head += (uint64_t)m->nbufs;
        q->head_has_arrived = false;
    }
    *link = m->next;
    m->next = g->unused;
    g->unused = m;
}

/* Whatever can arrive or be finished now. With the lock held. */
static tt_status settle(struct group *g, struct tt_err *err)
{
    for (bool again = true; again;) {
        again = false;
        for (int r = 0; r < g->n; r++)
            if (g->queue[r].posted.head != g->queue[r].posted.ready && !g->queue[r].head_has_arrived) {
                const tt_status st = arrive(g, r, err);
                if (st != TT_OK)
                    return st;
                again = true;
            }
        for (struct match **m = &g->matches; *m;)
            if (is_ready(g, *m) && (*m)->done == (*m)->pieces) {
                finish(g, m);
                again = true;
            } else {
                m = &(*m)->next;
            }
    }
    pthread_cond_broadcast(&g->changed);
    return TT_OK;
}

/* --- failing ------------------------------------------------------------------------------------------------------------------ */

/* Returns when no thread works on any operation; none begins to, once `aborted` is set. */
static void stop_work(struct shared *shared)
{
    pthread_mutex_lock(&shared->lock);
    for (struct group *g = shared->groups; g; g = g->next) {
        pthread_mutex_lock(&g->lock);
        pthread_cond_broadcast(&g->changed);
        while (g->working > 0)
            pthread_cond_wait(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
    }
    pthread_mutex_unlock(&shared->lock);
}

static void set_failed(struct shared *shared, const struct tt_err *why)
{
    pthread_mutex_lock(&shared->lock);
    if (!atomic_load(&shared->aborted))
        shared->err = *why;
    atomic_store(&shared->aborted, true);
    pthread_mutex_unlock(&shared->lock);
    stop_work(shared);
}

static struct local_world *local_of(struct tt_world *world) { return (struct local_world *)world; }

static void abort_world(struct tt_world *world, const struct tt_err *why)
{
    struct tt_err with_rank = *why;
    tt_err_set_rank(&with_rank, world->rank);
    set_failed(local_of(world)->shared, &with_rank);
}

/* What a rank is told that did not fail itself. */
static tt_status tell(struct local_world *local, struct tt_err *err)
{
    stop_work(local->shared);
    local->told = true;
    return tt_err_copy(err, &local->shared->err);
}

/* --- communicators ------------------------------------------------------------------------------------------------------------ */

static tt_status post(struct tt_comm *comm, const struct tt_coll *coll, uint64_t ticket, struct tt_err *err)
{
    struct local_world *local = local_of(comm->world);
    struct group *g = ((struct local_comm *)comm)->group;
    struct queue *q = &g->queue[comm->rank];
    struct tt_err why;
    tt_status st = TT_OK, settled = TT_OK;

    pthread_mutex_lock(&g->lock);
    const bool aborted = atomic_load(&local->shared->aborted);
    if (!aborted)
        st = tt_coll_push(&q->posted, coll, err);
    if (!aborted && st == TT_OK && !coll->more) {
        atomic_store(&comm->posted, ticket);
        atomic_fetch_add(&g->shared->moves, 1);
        settled = settle(g, &why);
    }
    pthread_mutex_unlock(&g->lock);
    if (settled != TT_OK)
        set_failed(local->shared, &why);
    return aborted || settled != TT_OK ? tell(local, err) : st;
}

static struct match *with_work(struct group *g)
{
    for (struct match *m = g->matches; m; m = m->next)
        if (is_ready(g, m) && m->taken < m->pieces)
            return m;
    return NULL;
}

/* With the lock held, which is released for as long as the piece takes. */
static tt_status work(struct group *g, struct match *m, struct tt_err *err)
{
    const int64_t piece = m->taken++;

    g->working++;
    pthread_mutex_unlock(&g->lock);
    do_piece(m, g->n, piece);
    pthread_mutex_lock(&g->lock);
    g->working--;
    m->done++;
    atomic_fetch_add(&g->shared->moves, 1);
    if (atomic_load(&g->shared->aborted))
        pthread_cond_broadcast(&g->changed);
    else if (m->done == m->pieces)
        return settle(g, err);
    return TT_OK;
}

/* --- waiting for each other ---------------------------------------------------------------------------------------------------
 * Where every rank sleeps in a wait, or has ended, and nothing moves, nothing ever will. A thread of a rank beside its own might still
 * post what others wait for: so that has to last for some seconds. */
enum { STILL_SECONDS = 3 };

struct stillness {
    uint64_t moves;
    int seconds;
};

static void note_rest(struct local_world *local, struct group *g, const struct tt_comm *comm)
{
    const struct queue *q = &g->queue[comm->rank];
    const struct tt_coll *coll = tt_coll_buf(&q->posted, 0);

    pthread_mutex_lock(&local->shared->rests_lock);
    snprintf(local->rests, sizeof local->rests, "rank %d for %s of %s (group %s)", local->world.rank, tt_coll_name(coll->kind),
             coll->what, g->name);
    pthread_mutex_unlock(&local->shared->rests_lock);
}

static tt_status describe_rests(struct shared *shared, struct tt_err *err)
{
    struct tt_names_text names = { 0 };

    pthread_mutex_lock(&shared->rests_lock);
    for (int r = 0; r < shared->nranks; r++)
        tt_names_text_add(&names, shared->rank[r].rests);
    pthread_mutex_unlock(&shared->rests_lock);
    tt_err_set(err, TT_EINVAL, "the ranks wait for each other: %s", tt_names_text_end(&names));
    tt_names_text_release(&names);
    return TT_EINVAL;
}

/* Until something has changed in the group, or a second has passed. With its lock held. */
static tt_status sleep_in(struct group *g, struct local_world *local, const struct tt_comm *comm, struct stillness *still,
                          struct tt_err *err)
{
    struct shared *shared = g->shared;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (pthread_cond_timedwait(&g->changed, &g->lock, &until) != ETIMEDOUT)
        return TT_OK;
    const bool all_rest = atomic_load(&shared->resting) == shared->nranks;
    const uint64_t moves = atomic_load(&shared->moves);
    note_rest(local, g, comm);
    still->seconds = all_rest && moves == still->moves ? still->seconds + 1 : 0;
    still->moves = moves;
    return still->seconds > STILL_SECONDS ? describe_rests(shared, err) : TT_OK;
}

static tt_status wait_done(struct tt_comm *comm, uint64_t ticket, struct tt_err *err)
{
    struct local_world *local = local_of(comm->world);
    struct group *g = ((struct local_comm *)comm)->group;
    struct tt_err why;
    struct stillness still = { 0 };
    const bool own = pthread_equal(pthread_self(), local->self);
    tt_status st = TT_OK;

    pthread_mutex_lock(&g->lock);
    atomic_fetch_add(&g->shared->resting, own);
    while (st == TT_OK && atomic_load(&comm->done) < ticket && !atomic_load(&g->shared->aborted)) {
        struct match *m = with_work(g);
        st = m ? work(g, m, &why) : sleep_in(g, local, comm, &still, &why);
    }
    atomic_fetch_sub(&g->shared->resting, own);
    const bool done = atomic_load(&comm->done) >= ticket;
    pthread_mutex_unlock(&g->lock);
    if (st != TT_OK)
        set_failed(g->shared, &why);
    return done && st == TT_OK ? TT_OK : tell(local, err);
}

static void free_matches(struct match *m)
{
    for (struct match *next; m; m = next) {
        next = m->next;
        free(m->coll);
        free(m->src);
        free(m);
    }
}

static void free_group(struct group *g)
{
    for (int r = 0; r < g->n && g->queue; r++) {
        free(g->queue[r].posted.ring);
        free(g->queue[r].sends);
    }
    free_matches(g->matches);
    free_matches(g->unused);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g->queue);
    free(g->ranks);
    free(g->name);
    free(g);
}

static tt_status new_group(struct group **out, struct shared *shared, const int *ranks, int n, const char *name, struct tt_err *err)
{
    struct group *g = calloc(1, sizeof *g);
    bool whole = g != NULL;

    if (g) {
        g->shared = shared;
        g->n = n;
        g->queue = calloc((size_t)n, sizeof *g->queue);
        g->ranks = malloc((size_t)n * sizeof *g->ranks);
        g->name = strdup(name);
        pthread_mutex_init(&g->lock, NULL);
        pthread_cond_init(&g->changed, NULL);
        whole = g->queue && g->ranks && g->name;
    }
    for (int r = 0; whole && r < n; r++) {
        g->ranks[r] = ranks[r];
        g->queue[r].sends = calloc(2 * (size_t)n, sizeof *g->queue[r].sends);
        g->queue[r].recvs = g->queue[r].sends + n;
        whole = g->queue[r].sends != NULL;
    }
    if (!whole) {
        if (g)
            free_group(g);
        return tt_err_nomem(err, (size_t)n * sizeof(struct queue), "a group of ranks");
    }
    *out = g;
    return TT_OK;
}

/* The first group of these ranks that this one has not joined; made where there is none. With the world's lock held. */
static tt_status join(struct group **out, struct shared *shared, const int *ranks, int n, int rank, const char *name,
                      struct tt_err *err)
{
    struct group **g = &shared->groups;

    for (; *g; g = &(*g)->next)
        if ((*g)->n == n && memcmp((*g)->ranks, ranks, (size_t)n * sizeof *ranks) == 0 && !(*g)->queue[rank].has_joined)
            break;
    const tt_status st = *g ? TT_OK : new_group(g, shared, ranks, n, name, err);
    if (st != TT_OK)
        return st;
    if (strcmp((*g)->name, name) != 0)
        return tt_err_set(err, TT_EINVAL, "rank %d makes group %s where another makes %s of the same ranks", ranks[rank], name,
                          (*g)->name);
    (*g)->queue[rank].has_joined = true;
    *out = *g;
    return TT_OK;
}

static void free_comm(struct tt_comm *comm)
{
    struct group *g = ((struct local_comm *)comm)->group;
    struct shared *shared = g->shared;

    pthread_mutex_lock(&shared->lock);
    if (++g->left == g->n) {
        struct group **link = &shared->groups;
        while (*link != g)
            link = &(*link)->next;
        *link = g->next;
        free_group(g);
    }
    pthread_mutex_unlock(&shared->lock);
    tt_comm_release(comm);
    free(comm);
}

static const struct tt_comm_ops comm_ops = { .post = post, .wait = wait_done, .free = free_comm };

static tt_status comm_new(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name,
                          struct tt_err *err)
{
    struct shared *shared = local_of(world)->shared;
    struct local_comm *own = malloc(sizeof *own);
    tt_status st =
        own ? tt_comm_init(&own->comm, &comm_ops, world, ranks, n, name, err) : tt_err_nomem(err, sizeof *own, "a communicator");

    if (st != TT_OK) {
        free(own);
        return st;
    }
    pthread_mutex_lock(&shared->lock);
    st = join(&own->group, shared, ranks, n, own->comm.rank, name, err);
    pthread_mutex_unlock(&shared->lock);
    if (st != TT_OK) {
        tt_comm_release(&own->comm);
        free(own);
        return st;
    }
    pthread_mutex_lock(&own->group->lock);
    own->group->queue[own->comm.rank].comm = &own->comm;
    pthread_mutex_unlock(&own->group->lock);
    *out = &own->comm;
    return TT_OK;
}

static const struct tt_world_ops world_ops = { .comm_new = comm_new, .abort = abort_world };

/* --- the run ------------------------------------------------------------------------------------------------------------------ */

static void *rank_main(void *arg)
{
    struct local_world *local = arg;

    local->self = pthread_self();
    local->status = local->fn(&local->world, local->ctx, &local->err);
    if (local->status != TT_OK && !local->told)
        abort_world(&local->world, &local->err);
    pthread_mutex_lock(&local->shared->rests_lock);
    snprintf(local->rests, sizeof local->rests, "rank %d has ended", local->world.rank);
    pthread_mutex_unlock(&local->shared->rests_lock);
    atomic_fetch_add(&local->shared->resting, 1);
    return NULL;
}

static tt_status start(struct local_world *rank, int n, int *started, struct tt_err *err)
{
    for (*started = 0; *started < n; ++*started) {
        const int rc = tt_thread_start(&rank[*started].thread, rank_main, &rank[*started]);
        if (rc == 0)
            continue;
        tt_err_errno(err, rc, "cannot start the thread of rank %d of %d", *started, n);
        set_failed(rank->shared, err);
        return err->status;
    }
    return TT_OK;
}

/* The first failure that a rank was not told of. */
static tt_status outcome(const struct local_world *rank, int n, struct tt_err *err)
{
    struct tt_err why = rank->shared->err;
    bool failed = atomic_load(&rank->shared->aborted);

    for (int r = n; r-- > 0;) {
        if (rank[r].status == TT_OK || rank[r].told)
            continue;
        why = rank[r].err;
        tt_err_set_rank(&why, r);
        failed = true;
    }
    if (!failed)
        return TT_OK;
    tt_err_name_rank(&why);
    return tt_err_copy(err, &why);
}

tt_status tt_local_run(int nranks, tt_rank_fn *fn, void *ctx, struct tt_err *err)
{
    struct local_world *rank = calloc((size_t)nranks, sizeof *rank);
    struct shared shared = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .rests_lock = PTHREAD_MUTEX_INITIALIZER, .rank = rank, .nranks = nranks
    };
    struct tt_err why;
    int started;

    if (!rank)
        return tt_err_nomem(err, (size_t)nranks * sizeof *rank, "the ranks");
    for (int r = 0; r < nranks; r++) {
        rank[r] = (struct local_world){ .shared = &shared, .fn = fn, .ctx = ctx };
        tt_world_init(&rank[r].world, &world_ops, r, nranks);
    }
    tt_status st = start(rank, nranks, &started, &why);
    for (int r = 0; r < started; r++)
        pthread_join(rank[r].thread, NULL);
    st = st == TT_OK ? outcome(rank, nranks, err) : tt_err_copy(err, &why);
    for (struct group *g = shared.groups, *next; g; g = next) {
        next = g->next;
        free_group(g);
    }
    for (int r = 0; r < nranks; r++)
        tt_world_release(&rank[r].world);
    pthread_mutex_destroy(&shared.lock);
    pthread_mutex_destroy(&shared.rests_lock);
    free(rank);
    return st;
}

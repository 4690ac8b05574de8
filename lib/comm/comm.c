#include "comm/comm_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "comm/trace.h"

static const char *const kind_names[TT_COLL_NKINDS] = {
    [TT_COLL_ALL_GATHER] = "all_gather",
    [TT_COLL_REDUCE_SCATTER] = "reduce_scatter",
    [TT_COLL_ALL_REDUCE] = "all_reduce",
    [TT_COLL_BROADCAST] = "broadcast",
    [TT_COLL_BARRIER] = "barrier",
    [TT_COLL_SEND] = "send",
    [TT_COLL_RECV] = "recv",
};

const char *tt_coll_name(enum tt_coll_kind kind) { return kind_names[kind]; }

/* --- parts and pieces --------------------------------------------------------------------------------------------------------- */

int64_t tt_coll_count(const struct tt_coll *coll, int r) { return coll->counts ? coll->counts[r] : coll->count; }

int64_t tt_coll_offset(const struct tt_coll *coll, int r)
{
    if (!coll->counts)
        return coll->count * r;
    int64_t offset = 0;
    for (int i = 0; i < r; i++)
        offset += coll->counts[i];
    return offset;
}

/* A piece a rank, the last ones shorter. */
static int64_t piece_offset(const struct tt_coll *coll, int size, int r)
{
    const int64_t piece = coll->count / size + (coll->count % size != 0);
    return piece * r < coll->count ? piece * r : coll->count;
}

int64_t tt_coll_part_offset(const struct tt_coll *coll, int size, int part)
{
    if (part == TT_COLL_ALL)
        return 0;
    return tt_coll_has_parts(coll) ? tt_coll_offset(coll, part) : piece_offset(coll, size, part);
}

int64_t tt_coll_part_count(const struct tt_coll *coll, int size, int part)
{
    if (part == TT_COLL_ALL)
        return coll->count;
    return tt_coll_has_parts(coll) ? tt_coll_count(coll, part)
                                   : piece_offset(coll, size, part + 1) - piece_offset(coll, size, part);
}

bool tt_coll_is_small(const struct tt_coll *coll, int nbufs)
{
    int64_t count = 0;
    for (int b = 0; b < nbufs; b++)
        count += coll[b].count;
    return count <= TT_COMM_SMALL / (int64_t)tt_dtype_nbytes(coll->wire);
}

int64_t tt_coll_chunk(enum tt_dtype wire) { return TT_COMM_CHUNK / (int64_t)tt_dtype_nbytes(wire); }

/* --- messages ----------------------------------------------------------------------------------------------------------------- */

static int64_t part_nbytes(const struct tt_coll *coll, int size, int part)
{
    return tt_coll_part_count(coll, size, part) * (int64_t)tt_dtype_nbytes(coll->wire);
}

bool tt_message_next(struct tt_message *m, const struct tt_coll *coll, int nbufs, int size, int part)
{
    int64_t rest = 0, more;

    m->at += m->nbytes;
    m->nbytes = 0;
    for (; m->buf < nbufs; m->buf++, m->at -= rest) {
        rest = part_nbytes(&coll[m->buf], size, part);
        if (m->at < rest)
            break;
    }
    if (m->buf == nbufs)
        return false;
    rest -= m->at;
    m->nbytes = rest < TT_COMM_CHUNK ? rest : TT_COMM_CHUNK;
    for (int b = m->buf + 1; b < nbufs && m->nbytes == rest; b++, rest += more) {
        more = part_nbytes(&coll[b], size, part);
        if (rest + more <= TT_COMM_SMALL)
            m->nbytes += more;
    }
    return true;
}

/* --- the binomial tree --------------------------------------------------------------------------------------------------------
 * Ranks are counted from the root; the parent of one is it without its lowest bit. */
static int from_root(int r, int root, int size) { return (r - root + size) % size; }

int tt_tree_parent(int r, int root, int size)
{
    const int v = from_root(r, root, size);
    return v == 0 ? -1 : ((v & (v - 1)) + root) % size;
}

int tt_tree_children(int r, int root, int size, int children[64])
{
    const int v = from_root(r, root, size);
    int n = 0;
    for (int64_t bit = 1; bit < size && !(v & bit); bit <<= 1)
        if (v + bit < size)
            children[n++] = (int)((v + bit + root) % size);
    return n;
}

/* --- what is sent ------------------------------------------------------------------------------------------------------------- */

/* A part of every buffer, to so many ranks. */
static void add_sent(struct tt_comm *comm, const struct tt_coll *coll, int nbufs, int part, int times)
{
    struct tt_message m = { 0 };

    while (tt_message_next(&m, coll, nbufs, comm->size, part)) {
        atomic_fetch_add(&comm->sent_nbytes, (uint64_t)(m.nbytes * times));
        atomic_fetch_add(&comm->messages, (uint64_t)times);
    }
}

static void add_parts(struct tt_comm *comm, const struct tt_coll *coll, int nbufs)
{
    for (int r = 0; r < comm->size; r++)
        if (r != comm->rank)
            add_sent(comm, coll, nbufs, r, 1);
}

void tt_comm_count_sent(struct tt_comm *comm, const struct tt_coll *coll, int nbufs)
{
    int children[64];

    switch (coll->kind) {
    case TT_COLL_ALL_GATHER: add_sent(comm, coll, nbufs, comm->rank, comm->size - 1); break;
    case TT_COLL_REDUCE_SCATTER: add_parts(comm, coll, nbufs); break;
    case TT_COLL_ALL_REDUCE:
        if (tt_coll_is_small(coll, nbufs)) {
            add_sent(comm, coll, nbufs, TT_COLL_ALL, comm->size - 1);
            break;
        }
        add_sent(comm, coll, nbufs, comm->rank, comm->size - 1);
        add_parts(comm, coll, nbufs);
        break;
    case TT_COLL_BROADCAST:
        add_sent(comm, coll, nbufs, TT_COLL_ALL, tt_tree_children(comm->rank, coll->peer, comm->size, children));
        break;
    case TT_COLL_SEND: add_sent(comm, coll, nbufs, TT_COLL_ALL, 1); break;
    default: break;
    }
}

/* --- worlds ------------------------------------------------------------------------------------------------------------------- */

void tt_world_init(struct tt_world *world, const struct tt_world_ops *ops, int rank, int size)
{
    *world = (struct tt_world){ .rank = rank, .size = size, .ops = ops };
    pthread_mutex_init(&world->lock, NULL);
}

void tt_world_release(struct tt_world *world) { pthread_mutex_destroy(&world->lock); }

void tt_world_abort(struct tt_world *world, const struct tt_err *why) { world->ops->abort(world, why); }

/* --- communicators ------------------------------------------------------------------------------------------------------------ */

tt_status tt_comm_init(struct tt_comm *comm, const struct tt_comm_ops *ops, struct tt_world *world, const int *ranks, int n,
                       const char *name, struct tt_err *err)
{
    int *own_ranks = malloc((size_t)n * sizeof *own_ranks);
    char *own_name = strdup(name);

    if (!own_ranks || !own_name) {
        free(own_ranks);
        free(own_name);
        return tt_err_nomem(err, (size_t)n * sizeof *own_ranks, "a communicator");
    }
    memset(comm, 0, sizeof *comm);
    comm->world = world;
    comm->name = own_name;
    comm->size = n;
    comm->ranks = memcpy(own_ranks, ranks, (size_t)n * sizeof *own_ranks);
    comm->ops = ops;
    while (ranks[comm->rank] != world->rank)
        comm->rank++;
    return TT_OK;
}

void tt_comm_release(struct tt_comm *comm)
{
    free((void *)comm->ranks);
    free((void *)comm->name);
}

tt_status tt_coll_push(struct tt_coll_queue *queue, const struct tt_coll *coll, struct tt_err *err)
{
    if (queue->tail - queue->head == queue->cap) {
        const uint64_t cap = queue->cap ? 2 * queue->cap : 16;
        struct tt_coll *ring = calloc(cap, sizeof *ring);
        if (!ring)
            return tt_err_nomem(err, cap * sizeof *ring, "a queue of operations");
        for (uint64_t i = queue->head; i < queue->tail; i++)
            ring[i % cap] = queue->ring[i % queue->cap];
        free(queue->ring);
        queue->ring = ring;
        queue->cap = cap;
    }
    queue->ring[queue->tail++ % queue->cap] = *coll;
    queue->ready = coll->more ? queue->ready : queue->tail;
    return TT_OK;
}

int tt_coll_nbufs(const struct tt_coll_queue *queue)
{
    int n = 1;
    while (tt_coll_buf(queue, n - 1)->more)
        n++;
    return n;
}

static tt_status check_group(const struct tt_world *world, const int *ranks, int n, const char *name, struct tt_err *err)
{
    bool found = false;
    for (int i = 0; i < n; i++) {
        found |= ranks[i] == world->rank;
        if (ranks[i] < 0 || ranks[i] >= world->size || (i > 0 && ranks[i] <= ranks[i - 1]))
            return tt_err_set(err, TT_EINVAL, "group %s: expected ascending ranks below %d, found %d as number %d", name,
                              world->size, ranks[i], i);
    }
    return found ? TT_OK : tt_err_set(err, TT_EINVAL, "group %s: rank %d, which makes it, is not in it", name, world->rank);
}

/* Its id is of the group's ranks and name, and of how many of these there are. */
void tt_comm_enlist(struct tt_comm *comm)
{
    struct tt_world *world = comm->world;
    uint64_t id =
        tt_hash_bytes(comm->ranks, (size_t)comm->size * sizeof *comm->ranks) ^ tt_hash_bytes(comm->name, strlen(comm->name));

    pthread_mutex_lock(&world->lock);
    for (const struct tt_comm *c = world->comms; c; c = c->next)
        if (strcmp(c->name, comm->name) == 0 && c->size == comm->size &&
            memcmp(c->ranks, comm->ranks, (size_t)c->size * sizeof *c->ranks) == 0)
            id++;
    comm->id = id;
    comm->next = world->comms;
    world->comms = comm;
    pthread_mutex_unlock(&world->lock);
}

tt_status tt_comm_new(struct tt_comm **out, struct tt_world *world, const int *ranks, int n, const char *name, struct tt_err *err)
{
    int *all = NULL;
    tt_status st = TT_OK;

    if (!ranks) {
        n = world->size;
        all = malloc((size_t)n * sizeof *all);
        for (int i = 0; all && i < n; i++)
            all[i] = i;
        st = all ? TT_OK : tt_err_nomem(err, (size_t)n * sizeof *all, "a communicator");
        ranks = all;
    }
    if (st == TT_OK)
        st = check_group(world, ranks, n, name, err);
    if (st == TT_OK)
        st = n == 1 ? tt_self_comm_new(out, world, ranks, n, name, err) : world->ops->comm_new(out, world, ranks, n, name, err);
    if (st == TT_OK)
        tt_comm_enlist(*out);
    free(all);
    return st;
}

void tt_comm_free(struct tt_comm *comm)
{
    if (!comm)
        return;
    pthread_mutex_lock(&comm->world->lock);
    struct tt_comm **link = &comm->world->comms;
    while (*link && *link != comm)
        link = &(*link)->next;
    if (*link)
        *link = comm->next;
    pthread_mutex_unlock(&comm->world->lock);
    comm->ops->free(comm);
}

/* --- operations --------------------------------------------------------------------------------------------------------------- */

static bool can_reduce(const struct tt_coll *coll)
{
    switch (coll->wire) {
    case TT_F32:
    case TT_F64:
    case TT_I64: return coll->sum == coll->wire;
    case TT_BF16: return coll->sum == TT_BF16 || coll->sum == TT_F32;
    default: return false;
    }
}

static tt_status check_peer(const struct tt_comm *comm, const struct tt_coll *coll, struct tt_err *err)
{
    const bool self = coll->kind != TT_COLL_BROADCAST && coll->peer == comm->rank;
    if (coll->peer >= 0 && coll->peer < comm->size && !self)
        return TT_OK;
    return tt_err_set(err, TT_EINVAL, "%s of %s in group %s: rank %d of %d has no peer %d", tt_coll_name(coll->kind), coll->what,
                      comm->name, comm->rank, comm->size, coll->peer);
}

static tt_status check(const struct tt_comm *comm, const struct tt_coll *coll, struct tt_err *err)
{
    const bool reduces = coll->kind == TT_COLL_REDUCE_SCATTER || coll->kind == TT_COLL_ALL_REDUCE;

    if (reduces && !can_reduce(coll))
        return tt_err_set(err, TT_EINVAL, "%s of %s in group %s: %s is not summed in %s", tt_coll_name(coll->kind), coll->what,
                          comm->name, tt_dtype_name(coll->wire), tt_dtype_name(coll->sum));
    if (coll->more && !tt_coll_has_parts(coll) && coll->kind != TT_COLL_ALL_REDUCE)
        return tt_err_set(err, TT_EINVAL, "%s of %s in group %s: has one buffer, expected no more", tt_coll_name(coll->kind),
                          coll->what, comm->name);
    for (int r = 0; r < (coll->counts ? comm->size : 1); r++) {
        const int64_t count = tt_coll_count(coll, r);
        if (count < 0)
            return tt_err_set(err, TT_EINVAL, "%s of %s in group %s: rank %d has %" PRId64 " elements", tt_coll_name(coll->kind),
                              coll->what, comm->name, r, count);
    }
    if (coll->kind == TT_COLL_BROADCAST || tt_coll_is_pair(coll->kind))
        return check_peer(comm, coll, err);
    return TT_OK;
}

/* Does it go on with the operation that is open? */
static bool goes_on(const struct tt_coll *open, const struct tt_coll *coll)
{
    return !open->more || (coll->kind == open->kind && coll->op == open->op && coll->wire == open->wire && coll->sum == open->sum &&
                           coll->unrounded == open->unrounded);
}

/* How many elements it is of so far, in the way of the flight record. */
static int64_t count_of(const struct tt_comm *comm, const struct tt_coll *coll)
{
    return (comm->open.more ? comm->open.count : 0) + (coll->counts ? tt_coll_offset(coll, comm->size) : coll->count);
}

tt_status tt_comm_post(struct tt_comm *comm, const struct tt_coll *coll, uint64_t *ticket, struct tt_err *err)
{
    const uint64_t number = atomic_load(&comm->posted) + 1;
    struct tt_coll own = *coll;

    if (!tt_coll_has_parts(coll))
        own.counts = NULL;
    if (coll->kind == TT_COLL_BARRIER)
        own.count = 0;
    if (!own.what)
        own.what = "nothing";
    tt_status st = check(comm, &own, err);
    if (st == TT_OK && !goes_on(&comm->open, &own))
        st = tt_err_set(err, TT_EINVAL, "%s of %s in group %s: does not go on with %s of %s", tt_coll_name(own.kind), own.what,
                        comm->name, tt_coll_name(comm->open.kind), comm->open.what);
    if (st == TT_OK)
        st = comm->ops->post(comm, &own, number, err);
    if (st != TT_OK)
        return st;
    own.count = count_of(comm, &own);
    own.what = comm->open.more ? comm->open.what : own.what;
    own.counts = NULL;
    comm->open = own;
    if (!own.more && !tt_coll_is_pair(own.kind))
        atomic_fetch_add(&comm->collectives, 1);
    if (!own.more && comm->world->trace)
        tt_trace_add(comm->world->trace, comm, &own, number);
    if (ticket)
        *ticket = number;
    return st;
}

tt_status tt_comm_wait(struct tt_comm *comm, uint64_t ticket, struct tt_err *err)
{
    if (ticket > atomic_load(&comm->posted))
        return tt_err_set(err, TT_EINVAL, "group %s: operation %" PRIu64 " was not posted", comm->name, ticket);
    atomic_fetch_add(&comm->waits, 1);
    const tt_status st = comm->ops->wait(comm, ticket, err);
    atomic_fetch_sub(&comm->waits, 1);
    return st;
}

tt_status tt_comm_do(struct tt_comm *comm, const struct tt_coll *coll, struct tt_err *err)
{
    uint64_t ticket;
    const tt_status st = tt_comm_post(comm, coll, &ticket, err);
    return st == TT_OK ? tt_comm_wait(comm, ticket, err) : st;
}

struct tt_comm_seen tt_comm_seen(const struct tt_comm *comm)
{
    /* done before posted: never more done than posted. */
    const uint64_t done = atomic_load(&comm->done);
    return (struct tt_comm_seen){ .posted = atomic_load(&comm->posted),
                                  .done = done,
                                  .sent_nbytes = atomic_load(&comm->sent_nbytes),
                                  .messages = atomic_load(&comm->messages) };
}

/* Every operation on every kind of group, against sums that are made one after another. The same cases run in one process, on
 * threads and under mpirun; which rank does what is drawn from a seed that all ranks share, when it does so from its own. */
#ifndef TEST_COMM_CASES_H
#define TEST_COMM_CASES_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/comm.h"

/* Numbers repeat after CASE_PERIOD elements, a prime, so that what lies at a wrong place shows and little has to be computed. */
enum { CASE_GROUPS = 6, CASE_JOBS = 24, CASE_BUFS = 4, CASE_PERIOD = 1009 };

/* Pseudo-random (splitmix64): the i-th number of a stream. */
static uint64_t case_hash(uint64_t stream, uint64_t i)
{
    uint64_t x = stream * 0x9e3779b97f4a7c15u + i + 1;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Element i of what rank r gives: numbers of such different sizes that the order of a sum shows, and sometimes a NaN. */
static double case_number(uint64_t stream, int r, int64_t i)
{
    const uint64_t h = case_hash(stream * 1000 + (uint64_t)r, (uint64_t)i % CASE_PERIOD);
    return h % 1009 == 0 ? NAN : ldexp((double)(h >> 40) - (double)(1 << 23), (int)(h % 13) - 6);
}

static void case_put(void *buf, int64_t at, enum tt_dtype dtype, double x)
{
    const int64_t whole = isnan(x) ? INT64_MIN : (int64_t)(x * 1e3);
    switch (dtype) {
    case TT_F32: ((float *)buf)[at] = (float)x; break;
    case TT_F64: ((double *)buf)[at] = x; break;
    case TT_BF16: ((uint16_t *)buf)[at] = tt_f32_to_bf16((float)x); break;
    case TT_I64: ((int64_t *)buf)[at] = whole; break;
    default: ((uint8_t *)buf)[at] = (uint8_t)whole; break;
    }
}

static double case_get(const void *buf, enum tt_dtype dtype)
{
    return dtype == TT_F32   ? (double)*(const float *)buf
           : dtype == TT_F64 ? *(const double *)buf
                             : (double)tt_bf16_to_f32(*(const uint16_t *)buf);
}

static double case_round(double x, enum tt_dtype dtype)
{
    uint64_t room = 0;
    case_put(&room, 0, dtype, x);
    return case_get(&room, dtype);
}

/* Element i of the reduction, as the header defines it. */
static void case_put_reduced(void *buf, int64_t at, enum tt_dtype to, const struct tt_coll *c, uint64_t stream, int n, int64_t i)
{
    if (c->wire == TT_I64) {
        int64_t acc = 0, x;
        for (int r = 0; r < n; r++) {
            case_put(&x, 0, TT_I64, case_number(stream, r, i));
            if (r == 0)
                acc = x;
            else
                acc = c->op == TT_REDUCE_MAX ? (x > acc ? x : acc) : (int64_t)((uint64_t)acc + (uint64_t)x);
        }
        ((int64_t *)buf)[at] = acc;
        return;
    }
    double acc = 0;
    for (int r = 0; r < n; r++) {
        const double x = case_round(case_number(stream, r, i), c->wire);
        if (r == 0)
            acc = x;
        else if (c->op == TT_REDUCE_MAX)
            acc = isnan(acc) || isnan(x) ? NAN : fmax(acc, x);
        else /* of two float32 the float64 sum is exact enough to be rounded again (2 * 24 + 2 bits) */
            acc = case_round(acc + x, c->sum);
    }
    case_put(buf, at, to, acc);
}

static void case_repeat(char *buf, int64_t nbytes, int64_t period)
{
    for (int64_t i = period; i < nbytes; i += period)
        memcpy(buf + i, buf, (size_t)(nbytes - i < period ? nbytes - i : period));
}

/* The first n elements: a period one by one, the rest copied. */
static void case_put_all(void *buf, enum tt_dtype dtype, int64_t n, uint64_t stream, int r)
{
    const int64_t elem = (int64_t)tt_dtype_nbytes(dtype);
    for (int64_t i = 0; i < n && i < CASE_PERIOD; i++)
        case_put(buf, i, dtype, case_number(stream, r, i));
    case_repeat(buf, n * elem, CASE_PERIOD * elem);
}

static void case_put_all_reduced(void *buf, enum tt_dtype to, const struct tt_coll *c, int64_t n, uint64_t stream, int size,
                                 int64_t from)
{
    const int64_t elem = (int64_t)tt_dtype_nbytes(to);
    for (int64_t i = 0; i < n && i < CASE_PERIOD; i++)
        case_put_reduced(buf, i, to, c, stream, size, from + i);
    case_repeat(buf, n * elem, CASE_PERIOD * elem);
}

struct case_job {
    struct tt_comm *comm;
    struct tt_coll coll;
    int64_t *counts;
    void *src, *dst, *expected; /* dst within src, or src within dst, where in place */
    bool in_place;
    int64_t dst_n;
    enum tt_dtype dst_dtype;
    uint64_t stream, ticket;
};

static const struct {
    enum tt_dtype wire, sum;
    bool unrounded;
} case_dtypes[] = {
    { TT_F32, TT_F32, false }, { TT_BF16, TT_F32, false }, { TT_BF16, TT_F32, true }, { TT_BF16, TT_BF16, false },
    { TT_F64, TT_F64, false }, { TT_I64, TT_I64, false },  { TT_U8, TT_U8, false },
};
enum { CASE_DTYPES = sizeof case_dtypes / sizeof *case_dtypes };

/* Around what a message and a small all_reduce hold, and nothing. */
static int64_t case_count(uint64_t h, int64_t elem)
{
    const int64_t chunk = TT_COMM_CHUNK / elem, small = TT_COMM_SMALL / elem;
    const int64_t counts[] = { 0, 1, 2, 17, 18, 31, 500, small / 2, small - 1, small, small + 1, 2 * small + 1, 3 * small };
    const int64_t many[] = { chunk - 1, chunk, chunk + 1, 2 * chunk + 3 };
    if (h % 8 == 0)
        return many[h / 8 % (sizeof many / sizeof *many)];
    return counts[h % (sizeof counts / sizeof *counts)];
}

static void case_fill(struct case_job *j)
{
    struct tt_coll *c = &j->coll;
    const int n = j->comm->size, me = j->comm->rank;
    const bool parts = c->kind == TT_COLL_ALL_GATHER || c->kind == TT_COLL_REDUCE_SCATTER;
    int64_t before = 0, all = 0;

    for (int r = 0; r < n; r++) {
        const int64_t count = c->counts ? c->counts[r] : c->count;
        before += r < me ? count : 0;
        all += count;
    }
    const int64_t own = c->counts ? c->counts[me] : c->count;
    const int64_t src_n = c->kind == TT_COLL_REDUCE_SCATTER ? all : own;
    const enum tt_dtype to = c->kind == TT_COLL_REDUCE_SCATTER && c->unrounded ? c->sum : c->wire;
    j->dst_n = c->kind == TT_COLL_ALL_GATHER ? all : own;
    j->dst_dtype = to;
    j->src = malloc((size_t)(parts ? all : own) * tt_dtype_nbytes(c->wire) + 1);
    j->dst = malloc((size_t)j->dst_n * tt_dtype_nbytes(to) + 1);
    j->expected = malloc((size_t)j->dst_n * tt_dtype_nbytes(to) + 1);
    j->in_place = (c->kind == TT_COLL_ALL_GATHER || c->kind == TT_COLL_REDUCE_SCATTER || c->kind == TT_COLL_ALL_REDUCE) &&
                  !c->unrounded && case_hash(j->stream, 99) % 2;

    const uint64_t elem = tt_dtype_nbytes(c->wire);
    char *place = j->src; /* where the operation finds src */
    if (j->in_place && c->kind == TT_COLL_ALL_GATHER)
        place = (char *)j->dst + (uint64_t)before * elem;
    if (j->in_place && c->kind == TT_COLL_ALL_REDUCE)
        place = j->dst;
    c->src = place;
    c->dst = j->in_place && c->kind == TT_COLL_REDUCE_SCATTER ? (char *)j->src + (uint64_t)before * elem : j->dst;
    case_put_all(place, c->wire, src_n, j->stream, me);
    if (src_n == 0)
        c->src = NULL;
    if (j->dst_n == 0)
        c->dst = NULL;

    const int64_t out_elem = (int64_t)tt_dtype_nbytes(to);
    switch (c->kind) {
    case TT_COLL_ALL_GATHER:
        for (int64_t r = 0, at = 0; r < n; r++) {
            const int64_t count = c->counts ? c->counts[r] : c->count;
            case_put_all((char *)j->expected + at * out_elem, to, count, j->stream, (int)r);
            at += count;
        }
        break;
    case TT_COLL_REDUCE_SCATTER: case_put_all_reduced(j->expected, to, c, own, j->stream, n, before); break;
    case TT_COLL_ALL_REDUCE: case_put_all_reduced(j->expected, to, c, own, j->stream, n, 0); break;
    case TT_COLL_BROADCAST:
        j->dst_n = c->peer == me ? 0 : own;
        case_put_all(j->expected, to, j->dst_n, j->stream, c->peer);
        break;
    case TT_COLL_RECV: case_put_all(j->expected, to, own, j->stream, c->peer); break;
    default: j->dst_n = 0; break;
    }
}

/* How many buffers the operation of a stream has. */
static int case_nbufs(uint64_t stream)
{
    const enum tt_coll_kind kind = (enum tt_coll_kind)(case_hash(stream, 0) % TT_COLL_NKINDS);
    const bool many = kind == TT_COLL_ALL_GATHER || kind == TT_COLL_REDUCE_SCATTER || kind == TT_COLL_ALL_REDUCE;
    return many ? 1 + (int)(case_hash(stream, 7) % CASE_BUFS) : 1;
}

/* Buffer b of the operation of a stream, the same on all ranks of the group but for send and recv; false: this rank has no part in it. */
static bool case_draw(struct case_job *j, struct tt_comm *comm, uint64_t stream, int b)
{
    const uint64_t sizes = case_hash(stream, 1000 + (uint64_t)b);
    const uint64_t h = case_hash(stream, 0);
    enum tt_coll_kind kind = (enum tt_coll_kind)(h % TT_COLL_NKINDS);
    const int d = (int)(case_hash(stream, 1) % CASE_DTYPES), n = comm->size, root = (int)(case_hash(stream, 2) % (uint64_t)n);
    const int64_t elem = (int64_t)tt_dtype_nbytes(case_dtypes[d].wire);

    memset(j, 0, sizeof *j);
    j->comm = comm;
    j->stream = sizes;
    j->coll = (struct tt_coll){ .kind = kind,
                                .op = case_hash(stream, 3) % 3 ? TT_REDUCE_SUM : TT_REDUCE_MAX,
                                .wire = case_dtypes[d].wire,
                                .sum = case_dtypes[d].sum,
                                .peer = root,
                                .count = case_count(case_hash(sizes, 4), elem),
                                .what = "a case",
                                .more = b < case_nbufs(stream) - 1 };
    if (kind == TT_COLL_REDUCE_SCATTER)
        j->coll.unrounded = case_dtypes[d].unrounded;
    if ((kind == TT_COLL_REDUCE_SCATTER || kind == TT_COLL_ALL_REDUCE) && j->coll.wire == TT_U8)
        j->coll.kind = kind = TT_COLL_ALL_GATHER;
    if ((kind == TT_COLL_ALL_GATHER || kind == TT_COLL_REDUCE_SCATTER) && case_hash(sizes, 5) % 3) {
        j->counts = calloc((size_t)n, sizeof *j->counts);
        for (int r = 0; r < n; r++)
            j->counts[r] = case_count(case_hash(sizes, 10 + (uint64_t)r), elem);
        j->coll.counts = j->counts;
        j->coll.count = -7; /* nobody looks at it */
    }
    if (kind == TT_COLL_SEND || kind == TT_COLL_RECV) {
        const int to = (int)((root + 1 + (int)(case_hash(stream, 6) % (uint64_t)(n > 1 ? n - 1 : 1))) % n);
        if (n == 1 || (comm->rank != root && comm->rank != to))
            return false;
        j->coll.kind = comm->rank == root ? TT_COLL_SEND : TT_COLL_RECV;
        j->coll.peer = comm->rank == root ? to : root;
    }
    case_fill(j);
    return true;
}

static void case_pause(uint64_t h)
{
    if (h % 4 == 0)
        nanosleep(&(struct timespec){ .tv_nsec = (long)(h / 4 % 3000000) }, NULL);
}

static tt_status case_compare(const struct case_job *j, struct tt_err *err)
{
    const uint64_t elem = tt_dtype_nbytes(j->dst_dtype);
    if (j->dst_n == 0 || memcmp(j->coll.dst, j->expected, (size_t)j->dst_n * elem) == 0)
        return TT_OK;
    for (int64_t i = 0; i < j->dst_n; i++) {
        const char *got = (const char *)j->coll.dst + (uint64_t)i * elem,
                   *expected = (const char *)j->expected + (uint64_t)i * elem;
        const bool nan = j->dst_dtype != TT_I64 && j->dst_dtype != TT_U8 && isnan(case_get(expected, j->dst_dtype)) &&
                         isnan(case_get(got, j->dst_dtype)); /* which NaN is not promised */
        if (!nan && memcmp(got, expected, elem) != 0)
            return tt_err_set(err, TT_EINVAL, "%s %s, %s in %s%s, group %s of %d: element %lld of %lld differs",
                              tt_coll_name(j->coll.kind), j->coll.op == TT_REDUCE_SUM ? "sum" : "max", tt_dtype_name(j->coll.wire),
                              tt_dtype_name(j->coll.sum), j->in_place ? ", in place" : "", j->comm->name, j->comm->size,
                              (long long)i, (long long)j->dst_n);
    }
    return TT_OK;
}

static void case_release(struct case_job *j)
{
    free(j->counts);
    free(j->src);
    free(j->dst);
    free(j->expected);
}

/* All ranks; the halves; every second one; all again, as another queue; neighbours. Each rank is in some of them. */
static tt_status case_groups(struct tt_comm **comm, int *n, struct tt_world *world, struct tt_err *err)
{
    int *ranks = calloc((size_t)world->size, sizeof *ranks);
    tt_status st = TT_OK;

    *n = 0;
    for (int kind = 0; kind < 6 && st == TT_OK; kind++) {
        int k = 0;
        bool mine = false;
        for (int r = 0; r < world->size; r++) {
            const bool in = kind < 2 || (kind == 2 && r / ((world->size + 1) / 2) == world->rank / ((world->size + 1) / 2)) ||
                            (kind == 3 && r % 2 == world->rank % 2) || (kind == 4 && r / 2 == world->rank / 2) ||
                            (kind == 5 && (r + 1) / 2 == (world->rank + 1) / 2);
            if (in)
                ranks[k++] = r;
            mine |= in && r == world->rank;
        }
        static const char *const names[] = { "all", "all_again", "half", "second", "pair", "other_pair" };
        if (mine)
            st = tt_comm_new(&comm[(*n)++], world, kind == 0 ? NULL : ranks, k, names[kind], err);
    }
    free(ranks);
    return st;
}

/* Stream numbers are those of the group's kind, so that its ranks draw the same and other groups something else. */
static uint64_t case_stream(uint64_t seed, const struct tt_comm *comm, int i)
{
    return case_hash(case_hash(seed, (uint64_t)comm->name[0] * 256 + (uint64_t)strlen(comm->name)),
                     (uint64_t)(comm->ranks[0] * 1000 + i));
}

static tt_status case_round_of_jobs(struct tt_comm **comm, int ncomms, struct case_job *job, uint64_t seed, struct tt_err *err)
{
    const uint64_t mine = seed * 64 + (uint64_t)comm[0]->rank;
    int next[CASE_GROUPS] = { 0 }, njobs = 0, order[CASE_GROUPS * CASE_JOBS * CASE_BUFS];
    tt_status st = TT_OK;

    /* Each rank goes through its groups in an order of its own; within a group the order is the same for all. */
    for (int turn = 0; st == TT_OK && turn < ncomms * CASE_JOBS; turn++) {
        int g = (int)(case_hash(mine, (uint64_t)turn) % (uint64_t)ncomms);
        while (next[g] == CASE_JOBS)
            g = (g + 1) % ncomms;
        const uint64_t stream = case_stream(seed, comm[g], next[g]++);
        for (int b = 0; b < case_nbufs(stream) && st == TT_OK; b++) {
            if (!case_draw(&job[njobs], comm[g], stream, b))
                continue;
            case_pause(case_hash(mine, 10000 + (uint64_t)turn));
            st = tt_comm_post(comm[g], &job[njobs].coll, &job[njobs].ticket, err);
            order[njobs] = njobs;
            njobs++;
        }
    }
    for (int i = njobs - 1; i > 0; i--) {
        const int k = (int)(case_hash(mine, 20000 + (uint64_t)i) % (uint64_t)(i + 1)), t = order[i];
        order[i] = order[k];
        order[k] = t;
    }
    for (int i = 0; st == TT_OK && i < njobs; i++) {
        case_pause(case_hash(mine, 30000 + (uint64_t)i));
        st = tt_comm_wait(job[order[i]].comm, job[order[i]].ticket, err);
        if (st == TT_OK)
            st = case_compare(&job[order[i]], err);
    }
    if (st != TT_OK)
        tt_world_abort(comm[0]->world, err);
    for (int i = 0; i < njobs; i++)
        case_release(&job[i]);
    return st;
}

/* ctx: the seed. */
static tt_status case_run(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct tt_comm *comm[CASE_GROUPS] = { 0 };
    struct case_job *job = calloc(CASE_GROUPS * CASE_JOBS * CASE_BUFS, sizeof *job);
    int n = 0;

    tt_status st = case_groups(comm, &n, world, err);
    for (uint64_t k = 0; st == TT_OK && k < 2; k++)
        st = case_round_of_jobs(comm, n, job, *(const uint64_t *)ctx + k, err);
    if (st != TT_OK)
        tt_world_abort(world, err);
    for (int i = 0; i < n; i++) {
        const struct tt_comm_seen seen = tt_comm_seen(comm[i]);
        if (st == TT_OK && seen.posted != seen.done)
            st = tt_err_set(err, TT_EINVAL, "group %s: %llu posted, %llu done", comm[i]->name, (unsigned long long)seen.posted,
                            (unsigned long long)seen.done);
        tt_comm_free(comm[i]);
    }
    free(job);
    return st;
}

/* What each of three ranks sends, by hand: 4 bytes an element, 65536 elements a message. */
static tt_status case_sent(struct tt_world *world, void *ctx, struct tt_err *err)
{
    enum { BIG = 300000 };
    static const int64_t counts[3] = { 100000, 0, 7 };
    static const struct {
        struct tt_coll coll;
        uint64_t nbytes[3], messages[3];
    } rows[] = {
        /* a row with `more` is of what it has come to so far */
        { { TT_COLL_ALL_GATHER, .counts = counts }, { 2 * 400000, 0, 2 * 28 }, { 2 * 2, 0, 2 } },
        { { TT_COLL_REDUCE_SCATTER, .counts = counts }, { 28, 400000 + 28, 400000 }, { 1, 2 + 1, 2 } },
        { { TT_COLL_ALL_REDUCE, .count = BIG }, { 4 * 400000, 4 * 400000, 4 * 400000 }, { 4 * 2, 4 * 2, 4 * 2 } },
        { { TT_COLL_ALL_REDUCE, .count = 3 }, { 2 * 12, 2 * 12, 2 * 12 }, { 2, 2, 2 } },
        { { TT_COLL_BROADCAST, .count = BIG, .peer = 1 }, { 0, 2 * 4 * BIG, 0 }, { 0, 2 * 5, 0 } },
        { { TT_COLL_BARRIER, .count = 5 }, { 0, 0, 0 }, { 0, 0, 0 } },
        /* 2 small buffers of a large one and them: one message */
        { { TT_COLL_ALL_GATHER, .counts = counts, .more = true }, { 0, 0, 0 }, { 0, 0, 0 } },
        { { TT_COLL_ALL_GATHER, .count = 300, .more = true }, { 0, 0, 0 }, { 0, 0, 0 } },
        { { TT_COLL_ALL_GATHER, .count = 20 }, { 2 * 401280, 2 * 1280, 2 * 1308 }, { 2 * 3, 2 * 1, 2 * 1 } },
        /* 3 of 6000 bytes, of which each rank reduces 2000 */
        { { TT_COLL_ALL_REDUCE, .count = 1500, .more = true }, { 0, 0, 0 }, { 0, 0, 0 } },
        { { TT_COLL_ALL_REDUCE, .count = 1500, .more = true }, { 0, 0, 0 }, { 0, 0, 0 } },
        { { TT_COLL_ALL_REDUCE, .count = 1500 }, { 4 * 6000, 4 * 6000, 4 * 6000 }, { 4, 4, 4 } },
    };
    float *src = calloc(3 * BIG, sizeof *src), *dst = calloc(3 * BIG, sizeof *dst);
    const int me = world->rank;
    struct tt_comm *all;
    uint64_t ndone = 0;
    int64_t at = 0; /* of the buffer within its operation's */

    (void)ctx;
    tt_status st = tt_comm_new(&all, world, NULL, 0, "all", err);
    for (size_t i = 0; st == TT_OK && i < sizeof rows / sizeof *rows; i++) {
        struct tt_coll coll = rows[i].coll;
        coll.src = src + at;
        coll.dst = dst + at;
        at = coll.more ? at + BIG : 0;
        const struct tt_comm_seen before = tt_comm_seen(all);
        st = coll.more ? tt_comm_post(all, &coll, NULL, err) : tt_comm_do(all, &coll, err);
        ndone += !coll.more;
        const struct tt_comm_seen after = tt_comm_seen(all);
        if (st == TT_OK && (after.sent_nbytes - before.sent_nbytes != rows[i].nbytes[me] ||
                            after.messages - before.messages != rows[i].messages[me] || after.done != ndone))
            st = tt_err_set(err, TT_EINVAL, "%s, number %d: %llu bytes in %llu messages", tt_coll_name(coll.kind), (int)after.done,
                            (unsigned long long)(after.sent_nbytes - before.sent_nbytes),
                            (unsigned long long)(after.messages - before.messages));
    }
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(all);
    free(src);
    free(dst);
    return st;
}

#endif

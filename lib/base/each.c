#include "base/each.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct each {
    int64_t n;
    tt_each_fn *fn;
    void *ctx;
    atomic_llong next;
    atomic_bool failed;
    pthread_mutex_t lock; /* over what is below */
    int64_t failed_at;
    tt_status status;
    struct tt_err *err;
};

static void fail(struct each *e, int64_t i, tt_status st, const struct tt_err *err)
{
    pthread_mutex_lock(&e->lock);
    if (e->status == TT_OK || i < e->failed_at) {
        e->failed_at = i;
        e->status = st;
        if (e->err)
            *e->err = *err;
    }
    pthread_mutex_unlock(&e->lock);
    atomic_store(&e->failed, true);
}

static void work(void *ctx, int64_t begin, int64_t end, int thread)
{
    struct each *e = ctx;
    struct tt_err err;
    (void)begin;
    (void)end;
    while (!atomic_load(&e->failed)) {
        const int64_t i = atomic_fetch_add(&e->next, 1);
        if (i >= e->n)
            return;
        const tt_status st = e->fn(e->ctx, i, thread, &err);
        if (st != TT_OK)
            fail(e, i, st, &err);
    }
}

tt_status tt_each(struct tt_pool *pool, int64_t n, tt_each_fn *fn, void *ctx, struct tt_err *err)
{
    struct each e = { .n = n, .fn = fn, .ctx = ctx, .err = err };
    const int rc = pthread_mutex_init(&e.lock, NULL);

    if (rc)
        return tt_err_errno(err, rc, "cannot make a lock");
    const int nthreads = tt_pool_nthreads(pool);
    tt_pool_run(n > 1 ? pool : NULL, n > 1 ? nthreads : 1, 1, work, &e);
    pthread_mutex_destroy(&e.lock);
    return e.status;
}

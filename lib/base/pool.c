#define _GNU_SOURCE
#include "base/pool.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Spinning for about 20 us bridges the gap between two kernels of a step; longer waits belong to the kernel's scheduler. */
enum { SPINS = 4000, THREADS_MAX = 512 };

struct worker {
    struct tt_pool *pool;
    pthread_t thread;
    int id;
};

struct tt_pool {
    int nthreads;
    struct worker *workers; /* nthreads - 1 */
    int nstarted;

    /* The job, published by the increment of `generation`. Every thread owns the pieces that its number gives it. */
    tt_pool_fn *fn;
    void *ctx;
    int64_t n, piece;
    atomic_uint generation;
    atomic_int running;
    bool stop;

    pthread_mutex_t mutex;
    pthread_cond_t start, done;
};

int tt_ncores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void run_piece(const struct tt_pool *pool, int thread)
{
    const int64_t begin = pool->piece * thread;
    const int64_t end = begin + pool->piece < pool->n ? begin + pool->piece : pool->n;
    if (begin < end)
        pool->fn(pool->ctx, begin, end, thread);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct tt_pool *pool = w->pool;
    unsigned seen = 0;

    for (;;) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&pool->generation, memory_order_acquire) == seen; i++)
            relax();
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen) {
            pthread_mutex_lock(&pool->mutex);
            while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen)
                pthread_cond_wait(&pool->start, &pool->mutex);
            pthread_mutex_unlock(&pool->mutex);
        }
        seen++;
        if (pool->stop)
            return NULL;
        run_piece(pool, w->id);
        if (atomic_fetch_sub_explicit(&pool->running, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static void publish(struct tt_pool *pool)
{
    atomic_store_explicit(&pool->running, pool->nstarted, memory_order_relaxed);
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
}

tt_status tt_pool_new(struct tt_pool **out, int nthreads, struct tt_err *err)
{
    if (nthreads <= 0)
        nthreads = tt_ncores();
    if (nthreads > THREADS_MAX)
        nthreads = THREADS_MAX;

    struct tt_pool *pool = calloc(1, sizeof *pool);
    struct worker *workers = calloc((size_t)nthreads, sizeof *workers);
    if (!pool || !workers) {
        free(pool);
        free(workers);
        return tt_err_nomem(err, sizeof *pool + (size_t)nthreads * sizeof *workers, "a thread pool");
    }
    pool->nthreads = nthreads;
    pool->workers = workers;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (int i = 1; i < nthreads; i++) {
        workers[i - 1] = (struct worker){ .pool = pool, .id = i };
        const int rc = tt_thread_start(&workers[i - 1].thread, worker_main, &workers[i - 1]);
        if (rc != 0) {
            tt_pool_free(pool);
            return tt_err_errno(err, rc, "cannot start thread %d of %d", i, nthreads);
        }
        pool->nstarted++;
    }
    *out = pool;
    return TT_OK;
}

void tt_pool_free(struct tt_pool *pool)
{
    if (!pool)
        return;
    pool->stop = true;
    publish(pool);
    for (int i = 0; i < pool->nstarted; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->start);
    pthread_cond_destroy(&pool->done);
    free(pool->workers);
    free(pool);
}

int tt_pool_nthreads(const struct tt_pool *pool) { return pool ? pool->nthreads : 1; }

void tt_pool_run(struct tt_pool *pool, int64_t n, int64_t grain, tt_pool_fn *fn, void *ctx)
{
    if (n <= 0)
        return;
    const int64_t nthreads = tt_pool_nthreads(pool);
    int64_t piece = (n + nthreads - 1) / nthreads;
    if (piece < grain)
        piece = grain;
    if (!pool || pool->nstarted == 0 || piece >= n) {
        fn(ctx, 0, n, 0);
        return;
    }
    pool->fn = fn;
    pool->ctx = ctx;
    pool->n = n;
    pool->piece = piece;
    publish(pool);
    run_piece(pool, 0);
    for (int i = 0; i < SPINS && atomic_load_explicit(&pool->running, memory_order_acquire) > 0; i++)
        relax();
    if (atomic_load_explicit(&pool->running, memory_order_acquire) > 0) {
        pthread_mutex_lock(&pool->mutex);
        while (atomic_load_explicit(&pool->running, memory_order_acquire) > 0)
            pthread_cond_wait(&pool->done, &pool->mutex);
        pthread_mutex_unlock(&pool->mutex);
    }
}

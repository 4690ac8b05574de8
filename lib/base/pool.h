/* lib/base/pool.h: a few threads that wait for work, so that a kernel or a copy can use every core.
 *
 * One pool a program (or a rank); tt_pool_run is called from one thread at a time. Workers spin briefly between calls, then
 * sleep. */
#ifndef TT_BASE_POOL_H
#define TT_BASE_POOL_H

#include <stdint.h>

#include "base/err.h"

struct tt_pool;

/* nthreads 0: one a core that this process may run on. The calling thread is one of them. */
TT_MUST_CHECK tt_status tt_pool_new(struct tt_pool **out, int nthreads, struct tt_err *err);
void tt_pool_free(struct tt_pool *pool);
int tt_pool_nthreads(const struct tt_pool *pool);
int tt_ncores(void);

/* Calls fn(ctx, begin, end, thread) for pieces that together cover [0, n), each of them once: contiguous, at least `grain` long
 * but for the last, and the same pieces whenever n, grain and nthreads are the same (sums over pieces are deterministic).
 * Returns when all are done. A NULL pool runs everything here. Not reentrant. */
typedef void tt_pool_fn(void *ctx, int64_t begin, int64_t end, int thread);
void tt_pool_run(struct tt_pool *pool, int64_t n, int64_t grain, tt_pool_fn *fn, void *ctx);

#endif

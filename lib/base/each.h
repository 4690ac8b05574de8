/* lib/base/each.h: units of work of unequal cost, which the threads of a pool take one after another. */
#ifndef TT_BASE_EACH_H
#define TT_BASE_EACH_H

#include "base/pool.h"

/* Unit i, by thread [0, tt_pool_nthreads). */
typedef tt_status tt_each_fn(void *ctx, int64_t i, int thread, struct tt_err *err);

/* Calls fn for each i of [0, n), begun in that order. After a unit that fails no other is begun; the error is that of the first unit
 * that failed, whatever the threads did. pool NULL: this thread alone. */
TT_MUST_CHECK tt_status tt_each(struct tt_pool *pool, int64_t n, tt_each_fn *fn, void *ctx, struct tt_err *err);

#endif

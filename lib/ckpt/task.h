/* lib/ckpt/task.h: what the readings of a whole checkpoint have in common: which keys, how many threads, who is told how far they are.
 */
#ifndef TT_CKPT_TASK_H
#define TT_CKPT_TASK_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/pool.h"
#include "ckpt/filter.h"

struct tt_task {
    struct tt_key_filter filter;
    struct tt_pool *pool; /* NULL: this thread alone */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* in bytes; from any thread; NULL: nobody */
    void (*clear)(void *ctx); /* before something is printed where progress may be shown; NULL: nobody is */
    void *ctx;
};

static inline void tt_task_clear(const struct tt_task *task)
{
    if (task->clear)
        task->clear(task->ctx);
}

/* Counts the bytes that threads are done with. */
struct tt_task_meter {
    const struct tt_task *task;
    _Atomic uint64_t done;
    uint64_t total;
};

static inline void tt_task_done(struct tt_task_meter *meter, uint64_t nbytes)
{
    const uint64_t done = atomic_fetch_add(&meter->done, nbytes) + nbytes; /* clang 14 refuses the value of += here */
    if (meter->task->progress)
        meter->task->progress(meter->task->ctx, done, meter->total);
}

#endif

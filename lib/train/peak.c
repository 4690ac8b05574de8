#include "train/peak.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "kernels.h"

enum { SIDE_MIN = 512, SIDE_MAX = 1024, ALIGN = 64 };

static const double BUDGET = 0.03; /* seconds */

struct core {
    double flops; /* a second, at best */
    tt_status status;
    struct tt_err err;
};

struct peak {
    enum tt_dtype dtype;
    struct core *core; /* one a thread */
};

/* Seconds that the calling thread has had a core. */
static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The fastest of at least two products, of which the first prepares what the others find. */
static tt_status fastest(double *seconds, const struct tt_matmul *op, struct tt_err *err)
{
    const double begin = tt_seconds();

    *seconds = HUGE_VAL;
    for (int i = 0; i < 2 || tt_seconds() - begin < BUDGET / 2; i++) {
        const double start = thread_seconds();
        const tt_status status = tt_kernels_cpu()->matmul(NULL, op, err);
        if (status != TT_OK)
            return status;
        const double took = thread_seconds() - start;
        *seconds = took < *seconds ? took : *seconds;
    }
    return TT_OK;
}

static tt_status measure_side(double *seconds, int64_t side, enum tt_dtype dtype, struct tt_err *err)
{
    const size_t nbytes = (size_t)(side * side) * tt_dtype_nbytes(dtype);
    struct tt_matmul op = { .m = side, .n = side, .k = side, .lda = side, .ldb = side, .ldc = side };
    op.a.dtype = op.b.dtype = op.c.dtype = dtype;
    const size_t scratch = tt_matmul_scratch(&op, 1);
    char *memory = aligned_alloc(ALIGN, 3 * nbytes + (scratch + ALIGN - 1) / ALIGN * ALIGN);
    if (!memory)
        return tt_err_nomem(err, 3 * nbytes + scratch, "measuring the machine's peak");

    op.a.p = memory;
    op.b.p = memory + nbytes;
    op.c.p = memory + 2 * nbytes;
    op.scratch = memory + 3 * nbytes;
    tt_kernels_cpu()->fill(NULL, &(struct tt_fill){ 2 * side * side, 1.25f, { memory, dtype } });
    const tt_status status = fastest(seconds, &op, err);
    free(memory);
    return status;
}

static void measure_core(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct peak *peak = ctx;
    double seconds = 0;

    for (struct core *core = peak->core + begin; core < peak->core + end; core++)
        /* A side takes eight times as long as the one before it. */
        for (int64_t side = SIDE_MIN; side <= SIDE_MAX && core->status == TT_OK && 16 * seconds < BUDGET; side *= 2) {
            core->status = measure_side(&seconds, side, peak->dtype, &core->err);
            const double flops = core->status == TT_OK ? 2.0 * (double)(side * side * side) / seconds : 0;
            core->flops = flops > core->flops ? flops : core->flops;
        }
}

tt_status tt_peak_flops(double *out, struct tt_pool *pool, enum tt_dtype dtype, struct tt_err *err)
{
    const int ncores = tt_pool_nthreads(pool);
    struct peak peak = { .dtype = dtype, .core = calloc((size_t)ncores, sizeof *peak.core) };
    tt_status status = peak.core ? TT_OK : tt_err_nomem(err, (size_t)ncores * sizeof *peak.core, "measuring the machine's peak");
    double sum = 0;

    if (peak.core)
        tt_pool_run(pool, ncores, 1, measure_core, &peak);
    for (int i = 0; status == TT_OK && i < ncores; i++) {
        status = peak.core[i].status;
        if (status != TT_OK && err)
            *err = peak.core[i].err;
        sum += peak.core[i].flops;
    }
    free(peak.core);
    if (status == TT_OK)
        *out = sum;
    return status;
}

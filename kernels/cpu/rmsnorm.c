#include "cpu/cpu.h"

enum { GRAIN = 8 }; /* rows */

static float row_rstd(const struct tt_rmsnorm_fwd *op, struct tt_in x)
{
    vf sum = vf_zero();
    for (int64_t j = 0; j < op->d; j += VL) {
        const vf v = vf_get_some(x, j, op->d - j, 0);
        sum = vf_fma(v, v, sum);
    }
    return 1 / sqrtf(vf_sum(sum) / (float)op->d + op->eps);
}

static void fwd_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_rmsnorm_fwd *op = ctx;
    for (int64_t i = begin; i < end; i++) {
        const struct tt_in x = in_at(op->x, i * op->d);
        const struct tt_out y = out_at(op->y, i * op->d);
        const float r = row_rstd(op, x);
        for (int64_t j = 0; j < op->d; j += VL) {
            const int64_t left = op->d - j;
            vf_put_some(y, j, left, vf_get_some(x, j, left, 0) * vf_set(r) * vf_get_some(op->w, j, left, 0));
        }
        if (op->rstd)
            op->rstd[i] = r;
    }
}

void TT_FN(tt_rmsnorm_fwd)(struct tt_pool *pool, const struct tt_rmsnorm_fwd *op)
{
    tt_pool_run(pool, op->n, GRAIN, fwd_rows, (void *)(uintptr_t)op);
}

static void bwd_input_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_rmsnorm_bwd_input *op = ctx;
    for (int64_t i = begin; i < end; i++) {
        const struct tt_in x = in_at(op->x, i * op->d), dy = in_at(op->dy, i * op->d), add = in_at(op->add, i * op->d);
        const struct tt_out dx = out_at(op->dx, i * op->d);
        const vf r = vf_set(op->rstd[i]);
        vf dot = vf_zero();
        for (int64_t j = 0; j < op->d; j += VL) {
            const int64_t left = op->d - j;
            dot = vf_fma(vf_get_some(dy, j, left, 0) * vf_get_some(op->w, j, left, 0), vf_get_some(x, j, left, 0) * r, dot);
        }
        const vf mean = vf_set(vf_sum(dot) / (float)op->d);
        for (int64_t j = 0; j < op->d; j += VL) {
            const int64_t left = op->d - j;
            const vf g = vf_get_some(dy, j, left, 0) * vf_get_some(op->w, j, left, 0);
            vf v = r * vf_fnma(vf_get_some(x, j, left, 0) * r, mean, g);
            if (op->add.p)
                v = vf_get_some(add, j, left, 0) + vf_rounded(dx.dtype, v);
            vf_put_some(dx, j, left, v);
        }
    }
}

void TT_FN(tt_rmsnorm_bwd_input)(struct tt_pool *pool, const struct tt_rmsnorm_bwd_input *op)
{
    tt_pool_run(pool, op->n, GRAIN, bwd_input_rows, (void *)(uintptr_t)op);
}

/* The rows are summed in blocks, and the blocks' sums added up: the error grows with the blocks, not with the rows. Every thread
 * has two lines of scratch, the block's and its total. */
enum { BLOCK_ROWS = 64 };

struct weight_job {
    const struct tt_rmsnorm_bwd_weight *op;
    int64_t line, parts;
};

static int64_t line_floats(int64_t d) { return round_up(d, 16); }

static void sum_block(const struct tt_rmsnorm_bwd_weight *op, int64_t begin, int64_t end, float *sum)
{
    memset(sum, 0, (size_t)line_floats(op->d) * sizeof *sum);
    for (int64_t i = begin; i < end; i++) {
        const struct tt_in x = in_at(op->x, i * op->d), dy = in_at(op->dy, i * op->d);
        const vf r = vf_set(op->rstd[i]);
        for (int64_t j = 0; j < op->d; j += VL) {
            const int64_t left = op->d - j;
            vf_store(sum + j, vf_fma(vf_get_some(dy, j, left, 0), vf_get_some(x, j, left, 0) * r, vf_load(sum + j)));
        }
    }
}

static void weight_parts(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct weight_job *job = ctx;
    for (int64_t part = begin; part < end; part++) {
        float *total = (float *)job->op->scratch + part * 2 * job->line, *block = total + job->line;
        const int64_t last = job->op->n * (part + 1) / job->parts;
        memset(total, 0, (size_t)job->line * sizeof *total);
        for (int64_t i = job->op->n * part / job->parts; i < last; i += BLOCK_ROWS) {
            sum_block(job->op, i, min64(i + BLOCK_ROWS, last), block);
            for (int64_t j = 0; j < job->line; j += VL)
                vf_store(total + j, vf_load(total + j) + vf_load(block + j));
        }
    }
}

void TT_FN(tt_rmsnorm_bwd_weight)(struct tt_pool *pool, const struct tt_rmsnorm_bwd_weight *op)
{
    struct weight_job job = { .op = op, .line = line_floats(op->d), .parts = tt_pool_nthreads(pool) };
    const float beta = beta_of(op->beta);
    float *sum = op->scratch;

    tt_pool_run(pool, job.parts, 1, weight_parts, &job);
    for (int64_t j = 0; j < op->d; j += VL) {
        vf total = vf_zero();
        if (beta != 0)
            total = vf_set(beta) * vf_get_some(tt_in_of(op->dw), j, op->d - j, 0);
        for (int64_t part = 0; part < job.parts; part++)
            total += vf_load(sum + part * 2 * job.line + j);
        vf_put_some(op->dw, j, op->d - j, total);
    }
}

/* Each kernel's speed on this machine, at the shapes of a training step: GFLOP/s for products and attention, GB/s for the rest,
 * the median of several runs. `bench_kernels [threads] [name]` runs only the rows whose name contains the word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pool.h"
#include "kernels.h"

enum { RUNS = 7 };

struct bench {
    const struct tt_kernels *kernels;
    struct tt_pool *pool;
    int nthreads;
    const char *only;
};

struct model {
    const char *name;
    int64_t batch, t, dim, heads, kv_heads, head_dim, hidden, vocab;
};

/* TorchTitan's debugmodel at its debug_model.toml, and a slice of the 8B model's layer. */
static const struct model models[] = {
    { "debugmodel", 8, 2048, 256, 16, 16, 16, 768, 2048 },
    { "8B", 1, 1024, 4096, 32, 8, 128, 14336, 16384 },
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Memory with values in (-1, 1); it is freed when the program ends. */
static void *operand(enum tt_dtype dtype, int64_t n)
{
    void *p = aligned_alloc(64, ((size_t)n * tt_dtype_nbytes(dtype) + 63) / 64 * 64);
    uint32_t state = 1;
    if (!p)
        abort();
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        const float v = (float)(int32_t)state * 0x1p-31f;
        if (dtype == TT_BF16)
            ((uint16_t *)p)[i] = tt_f32_to_bf16(v);
        else
            ((float *)p)[i] = v;
    }
    return p;
}

static struct tt_in in(enum tt_dtype dtype, int64_t n) { return (struct tt_in){ operand(dtype, n), dtype }; }
static struct tt_out out(enum tt_dtype dtype, int64_t n) { return (struct tt_out){ operand(dtype, n), dtype }; }

static void *room(size_t nbytes)
{
    void *p = aligned_alloc(64, (nbytes + 64) / 64 * 64);
    if (!p)
        abort();
    return p;
}

/* work is in flop or bytes; the unit says which. */
static void report(const struct bench *b, const struct model *m, const char *name, enum tt_dtype dtype, double work,
                   const char *unit, void (*call)(const struct bench *, const void *), const void *op)
{
    double seconds[RUNS];
    call(b, op);
    for (int i = 0; i < RUNS; i++) {
        const double start = now();
        call(b, op);
        seconds[i] = now() - start;
    }
    qsort(seconds, RUNS, sizeof *seconds, by_value);
    printf("%-11s %-24s %-9s %9.3f ms %8.1f %s\n", m->name, name, tt_dtype_name(dtype), 1e3 * seconds[RUNS / 2],
           work / seconds[RUNS / 2] * 1e-9, unit);
    fflush(stdout);
}

static bool wanted(const struct bench *b, const char *name) { return !b->only || strstr(name, b->only); }

#define CALL(field, type) \
    static void call_##field(const struct bench *b, const void *op) { b->kernels->field(b->pool, (const struct type *)op); }
CALL(embedding_fwd, tt_embedding_fwd)
CALL(embedding_bwd_weight, tt_embedding_bwd_weight)
CALL(rmsnorm_fwd, tt_rmsnorm_fwd)
CALL(rmsnorm_bwd_input, tt_rmsnorm_bwd_input)
CALL(rmsnorm_bwd_weight, tt_rmsnorm_bwd_weight)
CALL(rope, tt_rope)
CALL(attn_fwd, tt_attn_fwd)
CALL(attn_bwd, tt_attn_bwd)
CALL(swiglu_fwd, tt_swiglu_fwd)
CALL(swiglu_bwd, tt_swiglu_bwd)
CALL(cross_entropy_fwd, tt_cross_entropy_fwd)
CALL(cast, tt_cast)
CALL(add, tt_add)
CALL(adam, tt_adam)
CALL(sumsq, tt_sumsq)

static void call_matmul(const struct bench *b, const void *op)
{
    struct tt_err err;
    if (b->kernels->matmul(b->pool, op, &err) != TT_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.msg);
        exit(1);
    }
}

static void bench_product(const struct bench *b, const struct model *m, enum tt_dtype dtype, const char *name, struct tt_matmul op)
{
    if (!wanted(b, name))
        return;
    op.a = in(dtype, op.m * op.k);
    op.b = in(dtype, op.n * op.k);
    op.c = out(dtype, op.m * op.n);
    op.lda = op.ta ? op.m : op.k;
    op.ldb = op.tb ? op.k : op.n;
    op.ldc = op.n;
    op.scratch = room(tt_matmul_scratch(&op, b->nthreads));
    report(b, m, name, dtype, 2.0 * (double)op.m * (double)op.n * (double)op.k, "GFLOP/s", call_matmul, &op);
    free((void *)(uintptr_t)op.a.p);
    free((void *)(uintptr_t)op.b.p);
    free(op.c.p);
    free(op.scratch);
}

static void bench_linear(const struct bench *b, const struct model *m, enum tt_dtype dtype, const char *layer, int64_t outs,
                         int64_t ins)
{
    const int64_t rows = m->batch * m->t;
    char name[32];
    snprintf(name, sizeof name, "matmul %s fwd", layer);
    bench_product(b, m, dtype, name, (struct tt_matmul){ .m = rows, .n = outs, .k = ins, .tb = true });
    snprintf(name, sizeof name, "matmul %s bwd input", layer);
    bench_product(b, m, dtype, name, (struct tt_matmul){ .m = rows, .n = ins, .k = outs });
    snprintf(name, sizeof name, "matmul %s bwd weight", layer);
    bench_product(b, m, dtype, name, (struct tt_matmul){ .m = outs, .n = ins, .k = rows, .ta = true });
}

static void bench_attention(const struct bench *b, const struct model *m, enum tt_dtype dtype)
{
    const int64_t rows = m->batch * m->t, qs = m->heads * m->head_dim, ks = m->kv_heads * m->head_dim;
    const struct tt_attn at = { .batch = m->batch,
                                .tq = m->t,
                                .tk = m->t,
                                .heads = m->heads,
                                .kv_heads = m->kv_heads,
                                .dim = m->head_dim,
                                .dim_v = m->head_dim,
                                .scale = 0.25f,
                                .mask.causal = true };
    const double product = (double)(m->batch * m->heads * m->t) * (double)m->t * (double)m->head_dim; /* half of it is masked */
    const struct tt_in q = in(dtype, rows * qs), k = in(dtype, rows * ks), v = in(dtype, rows * ks), dout = in(dtype, rows * qs);
    const struct tt_out o = out(dtype, rows * qs);
    float *lse = room((size_t)(m->batch * m->heads * m->t) * sizeof *lse);
    const struct tt_attn_fwd fwd = { .at = at,
                                     .q = q,
                                     .k = k,
                                     .v = v,
                                     .q_stride = qs,
                                     .k_stride = ks,
                                     .v_stride = ks,
                                     .o = o,
                                     .o_stride = qs,
                                     .lse = lse,
                                     .scratch = room(tt_attn_fwd_scratch(&at, b->nthreads)) };
    const struct tt_attn_bwd bwd = { .at = at,
                                     .q = q,
                                     .k = k,
                                     .v = v,
                                     .o = tt_in_of(o),
                                     .dout = dout,
                                     .q_stride = qs,
                                     .k_stride = ks,
                                     .v_stride = ks,
                                     .o_stride = qs,
                                     .dout_stride = qs,
                                     .lse = lse,
                                     .dq = out(dtype, rows * qs),
                                     .dk = out(dtype, rows * ks),
                                     .dv = out(dtype, rows * ks),
                                     .dq_stride = qs,
                                     .dk_stride = ks,
                                     .dv_stride = ks,
                                     .scratch = room(tt_attn_bwd_scratch(&at, b->nthreads)) };
    if (!wanted(b, "attention"))
        return;
    report(b, m, "attention fwd", dtype, 2 * product, "GFLOP/s", call_attn_fwd, &fwd);
    report(b, m, "attention bwd", dtype, 5 * product, "GFLOP/s", call_attn_bwd, &bwd);
}

static void bench_rows(const struct bench *b, const struct model *m, enum tt_dtype dtype)
{
    const int64_t rows = m->batch * m->t, n = rows * m->dim, nh = rows * m->hidden;
    const double size = (double)tt_dtype_nbytes(dtype);
    const struct tt_in x = in(dtype, n), dy = in(dtype, n), w = in(dtype, m->dim), a = in(dtype, nh), g = in(dtype, nh);
    const struct tt_out y = out(dtype, n), h = out(dtype, nh), h2 = out(dtype, nh);
    float *rstd = operand(TT_F32, rows), *table = operand(TT_F32, m->t * m->head_dim);

    const struct tt_rmsnorm_fwd nf = { rows, m->dim, 1e-5f, x, w, y, rstd };
    const struct tt_rmsnorm_bwd_input ni = { rows, m->dim, dy, x, w, { NULL, dtype }, rstd, y };
    const struct tt_rmsnorm_bwd_weight nw = {
        rows, m->dim, dy, x, rstd, out(dtype, m->dim), NULL, room(tt_rmsnorm_scratch(m->dim, b->nthreads))
    };
    const struct tt_rope rope = { m->batch, m->t, m->dim / m->head_dim, m->head_dim, x, m->dim, y, m->dim, table, NULL, false };
    const struct tt_swiglu_fwd sf = { nh, a, g, h };
    const struct tt_swiglu_bwd sb = { nh, tt_in_of(h), a, g, out(dtype, nh), h2 };
    const struct tt_add add = { n, x, dy, y };
    const struct tt_cast cast = { n, x, out(TT_BF16, n) };
    report(b, m, "rmsnorm fwd", dtype, 2 * (double)n * size, "GB/s", call_rmsnorm_fwd, &nf);
    report(b, m, "rmsnorm bwd input", dtype, 3 * (double)n * size, "GB/s", call_rmsnorm_bwd_input, &ni);
    report(b, m, "rmsnorm bwd weight", dtype, 2 * (double)n * size, "GB/s", call_rmsnorm_bwd_weight, &nw);
    report(b, m, "rope", dtype, 2 * (double)n * size, "GB/s", call_rope, &rope);
    report(b, m, "swiglu fwd", dtype, 3 * (double)nh * size, "GB/s", call_swiglu_fwd, &sf);
    report(b, m, "swiglu bwd", dtype, 5 * (double)nh * size, "GB/s", call_swiglu_bwd, &sb);
    report(b, m, "add", dtype, 3 * (double)n * size, "GB/s", call_add, &add);
    report(b, m, "cast to bfloat16", dtype, (double)n * (size + 2), "GB/s", call_cast, &cast);
}

static void bench_ends(const struct bench *b, const struct model *m, enum tt_dtype dtype)
{
    const int64_t rows = m->batch * m->t, nz = rows * m->vocab, nw = m->dim * m->hidden;
    const double size = (double)tt_dtype_nbytes(dtype);
    const struct tt_adam_hyper hyper = { 1e-3, 0.9, 0.95, 1e-8, 0.1, true };
    const struct tt_adam_scalars scalars = tt_adam_scalars(&hyper, 10);
    int32_t *ids = room((size_t)rows * sizeof *ids);
    double sumsq, parts[TT_SUMSQ_PARTS];
    float loss;

    for (int64_t i = 0; i < rows; i++)
        ids[i] = (int32_t)(i * 7919 % m->vocab);
    const struct tt_in id = { ids, TT_I32 }, table = in(dtype, m->vocab * m->dim), dy = in(dtype, rows * m->dim);
    const struct tt_out v = out(TT_F32, nw), dz = out(dtype, nz);
    const struct tt_embedding_fwd ef = { rows, m->dim, m->vocab, table, id, out(dtype, rows * m->dim), 0 };
    const struct tt_embedding_bwd_weight ew = { rows,     m->dim,
                                                m->vocab, dy,
                                                id,       out(TT_F32, m->vocab * m->dim),
                                                NULL,     room(tt_embedding_scratch(rows, m->dim, m->vocab, b->nthreads)),
                                                0 };
    const struct tt_cross_entropy_fwd ce = { .n = rows,
                                             .vocab = m->vocab,
                                             .z = tt_in_of(dz),
                                             .label = id,
                                             .lse = operand(TT_F32, rows),
                                             .loss = &loss,
                                             .dz = out(dtype, nz),
                                             .row_loss = room((size_t)rows * sizeof(double)) };
    const struct tt_adam adam = {
        nw, out(TT_F32, nw), out(TT_F32, nw), { v.p, TT_F32 }, in(TT_F32, nw), tt_adam_consts(&hyper), &scalars, NULL
    };
    const struct tt_sumsq ss = { nz, tt_in_of(dz), &sumsq, parts };
    memset(v.p, 0, (size_t)nw * sizeof(float));
    report(b, m, "embedding fwd", dtype, 2 * (double)(rows * m->dim) * size, "GB/s", call_embedding_fwd, &ef);
    report(b, m, "embedding bwd weight", dtype, (double)(rows * m->dim) * size, "GB/s", call_embedding_bwd_weight, &ew);
    report(b, m, "cross entropy fwd, bwd", dtype, 2 * (double)nz * size, "GB/s", call_cross_entropy_fwd, &ce);
    report(b, m, "sumsq", dtype, (double)nz * size, "GB/s", call_sumsq, &ss);
    if (dtype == TT_F32)
        report(b, m, "adam", dtype, 7 * (double)nw * size, "GB/s", call_adam, &adam);
}

static void bench_model(const struct bench *b, const struct model *m, enum tt_dtype dtype)
{
    bench_linear(b, m, dtype, "dim dim", m->dim, m->dim);
    bench_linear(b, m, dtype, "hidden dim", m->hidden, m->dim);
    bench_linear(b, m, dtype, "dim hidden", m->dim, m->hidden);
    bench_linear(b, m, dtype, "vocab dim", m->vocab, m->dim);
    bench_attention(b, m, dtype);
    if (wanted(b, "rows"))
        bench_rows(b, m, dtype);
    if (wanted(b, "ends"))
        bench_ends(b, m, dtype);
}

int main(int argc, char **argv)
{
    struct bench b = { .kernels = tt_kernels_cpu(), .only = argc > 2 ? argv[2] : NULL };
    struct tt_err err;
    if (tt_pool_new(&b.pool, argc > 1 ? atoi(argv[1]) : 0, &err) != TT_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.msg);
        return 1;
    }
    b.nthreads = tt_pool_nthreads(b.pool);
    printf("%s, %d threads\n", b.kernels->name, b.nthreads);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (int bf = 0; bf < 2; bf++)
            bench_model(&b, &models[i], bf ? TT_BF16 : TT_F32);
    tt_pool_free(b.pool);
    return 0;
}

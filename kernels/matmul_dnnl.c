/* The one file that knows oneDNN, its v2 and its v3.
 *
 * Debian's oneDNN runs on OpenMP. A team of OpenMP workers beside our pool would fight with it for the cores (idle workers spin),
 * so every thread of the pool asks for a team of one and computes a part of the product by itself: C is cut along m or n, or, where
 * C is small and k long (weight gradients), along k with the parts added up afterwards. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <dnnl.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "kernels.h"
#include "matmul_private.h"

/* The blocks that are widened to float32 at a time: about the size of a core's second-level cache. UNIT keeps the cuts aligned. */
enum { BLOCK_M = 256, BLOCK_N = 512, BLOCK_K = 512, UNIT = 32, SMALL_C = 1 << 20 };

enum axis { AXIS_M, AXIS_N, AXIS_K };

/* What a part has room for: elements of A, B and C that are widened or narrowed at a time; 0 for a matrix of float32. */
struct blocks {
    size_t a, b, c;
};

struct product {
    const struct tt_matmul *op;
    const struct tt_kernels *kernels;
    enum tt_matmul_path path;
    enum axis axis;
    int64_t parts;
    float *partial; /* AXIS_K: (parts, m, n) */
    struct blocks size;
    char *blocks; /* (parts) of that size, in float32 */
    void (*set_num_threads)(int);
    atomic_int status; /* of oneDNN: the first that is not 0 */
};

/* A part of the product and where it goes: rows m, columns n, terms k. */
struct range {
    int64_t begin, end;
};
struct slice {
    struct range m, n, k;
    struct tt_out c;
    int64_t ldc, c_m0, c_n0; /* c points at row c_m0, column c_n0 */
    float beta;
};

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t len(struct range r) { return r.end - r.begin; }

/* An instruction set is a set of bits: its own and those of what it builds on. */
static bool has_isa(dnnl_cpu_isa_t want)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)want) == (unsigned)want;
}

bool tt_matmul_has_path(enum tt_matmul_path path) { return path == TT_MATMUL_SGEMM || has_isa(dnnl_cpu_isa_avx512_core); }

enum tt_matmul_path tt_matmul_path(const struct tt_matmul *op)
{
    const bool bf16 = op->a.dtype == TT_BF16 && op->b.dtype == TT_BF16;
    return bf16 && has_isa(dnnl_cpu_isa_avx512_core_bf16) ? TT_MATMUL_NATIVE : TT_MATMUL_SGEMM;
}

static enum axis choose_axis(const struct tt_matmul *op)
{
    if (op->m * op->n <= SMALL_C && op->k >= 4 * op->m && op->k >= 4 * op->n)
        return AXIS_K;
    return op->m >= op->n ? AXIS_M : AXIS_N;
}

static int64_t units_of(int64_t n) { return (n + UNIT - 1) / UNIT; }

/* None is empty. */
static int64_t parts_of(const struct tt_matmul *op, int nthreads)
{
    const int64_t extent[] = { [AXIS_M] = op->m, [AXIS_N] = op->n, [AXIS_K] = op->k };
    return min64(nthreads, units_of(extent[choose_axis(op)]));
}

/* Elements of a block of rows and cols, which begins on a line of the cache. */
static size_t block_of(int64_t rows, int64_t cols) { return ((size_t)(rows * cols) + 15) & ~(size_t)15; }

static struct blocks blocks_of(const struct tt_matmul *op, int64_t parts)
{
    const enum axis axis = choose_axis(op);
    int64_t extent[] = { [AXIS_M] = op->m, [AXIS_N] = op->n, [AXIS_K] = op->k };

    if (parts > 1) /* the longest part */
        extent[axis] = min64(extent[axis], (units_of(extent[axis]) + parts - 1) / parts * UNIT);
    const int64_t m = min64(extent[AXIS_M], BLOCK_M), n = min64(extent[AXIS_N], BLOCK_N), k = min64(extent[AXIS_K], BLOCK_K);
    return (struct blocks){
        .a = op->a.dtype == TT_F32 ? 0 : block_of(m, k),
        .b = op->b.dtype == TT_F32 ? 0 : block_of(k, n),
        .c = op->c.dtype == TT_F32 || axis == AXIS_K ? 0 : block_of(m, n), /* parts along k are float32 */
    };
}

static size_t block_bytes(const struct blocks *size) { return sizeof(float) * (size->a + size->b + size->c); }

static size_t partial_bytes(const struct tt_matmul *op, int64_t parts)
{
    const size_t bytes = choose_axis(op) == AXIS_K ? (size_t)(op->m * op->n * parts) * sizeof(float) : 0;
    return (bytes + 63) & ~(size_t)63;
}

size_t tt_matmul_scratch(const struct tt_matmul *op, int nthreads)
{
    const int64_t parts = parts_of(op, nthreads);
    const struct blocks size = blocks_of(op, parts);
    return partial_bytes(op, parts) + block_bytes(&size) * (size_t)parts;
}

/* --- one block by dnnl_sgemm ------------------------------------------------------------------------------------------------ */

/* rows x cols of a matrix as stored, beginning at (row, col), as float32: in place, or widened into buf. */
static const float *widened(const struct product *p, struct tt_in x, int64_t ld, struct range rows, struct range cols, float *buf,
                            int64_t *out_ld)
{
    if (x.dtype == TT_F32) {
        *out_ld = ld;
        return (const float *)x.p + rows.begin * ld + cols.begin;
    }
    const uint16_t *src = (const uint16_t *)x.p + rows.begin * ld + cols.begin;
    for (int64_t i = 0; i < len(rows); i++)
        p->kernels->cast(NULL, &(struct tt_cast){ len(cols), tt_in_bf16(src + i * ld), tt_out_f32(buf + i * len(cols)) });
    *out_ld = len(cols);
    return buf;
}

/* c (bfloat16, rows m, columns n) = beta c + sum, row by row through a line of float32. */
static void narrow(const struct product *p, const struct slice *s, struct range m, struct range n, float *sum)
{
    for (int64_t i = m.begin; i < m.end; i++) {
        uint16_t *c = (uint16_t *)s->c.p + (i - s->c_m0) * s->ldc + n.begin - s->c_n0;
        float *row = sum + (i - m.begin) * len(n);
        if (s->beta != 0)
            for (int64_t j = 0; j < len(n); j++)
                row[j] += s->beta * tt_bf16_to_f32(c[j]);
        p->kernels->cast(NULL, &(struct tt_cast){ len(n), tt_in_f32(row), tt_out_bf16(c) });
    }
}

static int sgemm_slice(const struct product *p, const struct slice *s, float *buf)
{
    const struct tt_matmul *op = p->op;
    const bool wide_a = op->a.dtype == TT_F32, wide_b = op->b.dtype == TT_F32, wide_c = s->c.dtype == TT_F32;
    const int64_t step_m = wide_a && wide_c ? len(s->m) : BLOCK_M;
    const int64_t step_n = wide_b && wide_c ? len(s->n) : BLOCK_N;
    const int64_t step_k = wide_a && wide_b ? len(s->k) : BLOCK_K;
    /* NULL: all is float32, and none of them is used */
    float *buf_a = buf, *buf_b = buf ? buf_a + p->size.a : NULL, *buf_c = buf ? buf_b + p->size.b : NULL;
    struct range m, n, k, b_n = { -1, -1 }, b_k = { -1, -1 };
    const float *b = NULL;
    int64_t lda, ldb = 0;
    int status = 0;

    for (n.begin = s->n.begin; n.begin < s->n.end; n.begin = n.end) {
        n.end = min64(n.begin + step_n, s->n.end);
        for (m.begin = s->m.begin; m.begin < s->m.end; m.begin = m.end) {
            m.end = min64(m.begin + step_m, s->m.end);
            float *c = wide_c ? (float *)s->c.p + (m.begin - s->c_m0) * s->ldc + n.begin - s->c_n0 : buf_c;
            for (k.begin = s->k.begin; k.begin < s->k.end && !status; k.begin = k.end) {
                k.end = min64(k.begin + step_k, s->k.end);
                const float *a =
                    op->ta ? widened(p, op->a, op->lda, k, m, buf_a, &lda) : widened(p, op->a, op->lda, m, k, buf_a, &lda);
                if (b_n.begin != n.begin || b_k.begin != k.begin) { /* else it is still there from the rows before */
                    b = op->tb ? widened(p, op->b, op->ldb, n, k, buf_b, &ldb) : widened(p, op->b, op->ldb, k, n, buf_b, &ldb);
                    b_n = n;
                    b_k = k;
                }
                const float beta = k.begin > s->k.begin ? 1 : wide_c ? s->beta : 0;
                status = dnnl_sgemm(op->ta ? 'T' : 'N', op->tb ? 'T' : 'N', len(m), len(n), len(k), 1, a, lda, b, ldb, beta, c,
                                    wide_c ? s->ldc : len(n));
            }
            if (!wide_c)
                narrow(p, s, m, n, buf_c);
        }
    }
    return status;
}

/* --- one slice by oneDNN's primitive, bfloat16 as it is --------------------------------------------------------------------- */

static int describe(dnnl_memory_desc_t *out, enum tt_dtype dtype, int64_t rows, int64_t cols, int64_t ld, bool transposed)
{
    const dnnl_dims_t dims = { rows, cols }, strides = { transposed ? 1 : ld, transposed ? ld : 1 };
    const dnnl_data_type_t type = dtype == TT_BF16 ? dnnl_bf16 : dnnl_f32;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(out, 2, dims, type, strides);
#else
    return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides);
#endif
}

static int append_sum(dnnl_post_ops_t ops, float beta)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_sum(ops, beta, 0, dnnl_data_type_undef);
#else
    return dnnl_post_ops_append_sum(ops, beta);
#endif
}

static int make_primitive(dnnl_primitive_t *out, dnnl_engine_t engine, const dnnl_memory_desc_t md[3], float beta)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_desc_t desc = NULL;
    int status = dnnl_primitive_attr_create(&attr);

    if (!status && beta != 0) {
        status = dnnl_post_ops_create(&ops);
        if (!status)
            status = append_sum(ops, beta);
        if (!status)
            status = dnnl_primitive_attr_set_post_ops(attr, ops);
    }
#if DNNL_VERSION_MAJOR >= 3
    if (!status)
        status = dnnl_matmul_primitive_desc_create(&desc, engine, md[0], md[1], NULL, md[2], attr);
#else
    dnnl_matmul_desc_t what;
    if (!status)
        status = dnnl_matmul_desc_init(&what, &md[0], &md[1], NULL, &md[2]);
    if (!status)
        status = dnnl_primitive_desc_create(&desc, &what, attr, engine, NULL);
#endif
    if (!status)
        status = dnnl_primitive_create(out, desc);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    if (ops)
        dnnl_post_ops_destroy(ops);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return status;
}

static int memory_create(dnnl_memory_t *out, const dnnl_memory_desc_t *md, dnnl_engine_t engine, void *data)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_create(out, *md, engine, data);
#else
    return dnnl_memory_create(out, md, engine, data);
#endif
}

static void md_destroy(dnnl_memory_desc_t md)
{
#if DNNL_VERSION_MAJOR >= 3
    if (md)
        dnnl_memory_desc_destroy(md);
#else
    (void)md;
#endif
}

static int run_primitive(const dnnl_memory_desc_t md[3], void *const data[3], float beta)
{
    static const int arg[3] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST };
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_exec_arg_t args[3] = { 0 };

    int status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (!status)
        status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (!status)
        status = make_primitive(&primitive, engine, md, beta);
    for (int i = 0; i < 3 && !status; i++) {
        args[i].arg = arg[i];
        status = memory_create(&args[i].memory, &md[i], engine, data[i]);
    }
    if (!status)
        status = dnnl_primitive_execute(primitive, stream, 3, args);
    if (!status)
        status = dnnl_stream_wait(stream);
    for (int i = 0; i < 3; i++)
        if (args[i].memory)
            dnnl_memory_destroy(args[i].memory);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (stream)
        dnnl_stream_destroy(stream);
    if (engine)
        dnnl_engine_destroy(engine);
    return status;
}

static int native_slice(const struct product *p, const struct slice *s)
{
    const struct tt_matmul *op = p->op;
    const uint16_t *a = op->a.p, *b = op->b.p;
    void *const data[3] = {
        (void *)(uintptr_t)(a + (op->ta ? s->k.begin * op->lda + s->m.begin : s->m.begin * op->lda + s->k.begin)),
        (void *)(uintptr_t)(b + (op->tb ? s->n.begin * op->ldb + s->k.begin : s->k.begin * op->ldb + s->n.begin)),
        (char *)s->c.p + (size_t)((s->m.begin - s->c_m0) * s->ldc + s->n.begin - s->c_n0) * tt_dtype_nbytes(s->c.dtype),
    };
    dnnl_memory_desc_t md[3] = { 0 };
    int status = describe(&md[0], TT_BF16, len(s->m), len(s->k), op->lda, op->ta);
    if (!status)
        status = describe(&md[1], TT_BF16, len(s->k), len(s->n), op->ldb, op->tb);
    if (!status)
        status = describe(&md[2], s->c.dtype, len(s->m), len(s->n), s->ldc, false);
    if (!status)
        status = run_primitive(md, data, s->beta);
    for (int i = 0; i < 3; i++)
        md_destroy(md[i]);
    return status;
}

/* --- the whole product ------------------------------------------------------------------------------------------------------ */

/* parts <= units_of(n), so that none is empty */
static struct range part_of(int64_t n, int64_t part, int64_t parts)
{
    const int64_t units = units_of(n);
    return (struct range){ min64(n, units * part / parts * UNIT), min64(n, units * (part + 1) / parts * UNIT) };
}

static void compute_part(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    struct product *p = ctx;
    const struct tt_matmul *op = p->op;

    if (p->set_num_threads)
        p->set_num_threads(1); /* for this thread only */
    for (int64_t part = begin; part < end; part++) {
        struct slice s = {
            .m = { 0, op->m }, .n = { 0, op->n }, .k = { 0, op->k }, .c = op->c, .ldc = op->ldc, .beta = op->beta ? *op->beta : 0
        };
        struct range *const cut[] = { [AXIS_M] = &s.m, [AXIS_N] = &s.n, [AXIS_K] = &s.k };
        *cut[p->axis] = part_of(cut[p->axis]->end, part, p->parts);
        if (p->axis == AXIS_K) {
            s.c = tt_out_f32(p->partial + part * op->m * op->n);
            s.ldc = op->n;
            s.beta = 0;
        }
        float *blocks = (float *)(p->blocks ? p->blocks + (size_t)part * block_bytes(&p->size) : NULL);
        int status = p->path == TT_MATMUL_NATIVE ? native_slice(p, &s) : dnnl_unimplemented, none = 0;
        if (status == dnnl_unimplemented) /* oneDNN has no such primitive: widening computes the same */
            status = sgemm_slice(p, &s, blocks);
        if (status)
            atomic_compare_exchange_strong(&p->status, &none, status);
    }
}

/* Rows [begin, end) of C = beta C + the sum of the parts along k, added in order. */
static void add_parts(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct product *p = ctx;
    const struct tt_matmul *op = p->op;
    const float beta = op->beta ? *op->beta : 0;

    for (int64_t i = begin; i < end; i++) {
        float *sum = p->partial + i * op->n;
        for (int64_t part = 1; part < p->parts; part++)
            for (int64_t j = 0; j < op->n; j++)
                sum[j] += sum[part * op->m * op->n + j];
        if (op->c.dtype == TT_F32) {
            float *c = (float *)op->c.p + i * op->ldc;
            for (int64_t j = 0; j < op->n; j++)
                c[j] = beta != 0 ? beta * c[j] + sum[j] : sum[j];
        } else {
            uint16_t *c = (uint16_t *)op->c.p + i * op->ldc;
            for (int64_t j = 0; j < op->n; j++)
                c[j] = tt_f32_to_bf16(beta != 0 ? beta * tt_bf16_to_f32(c[j]) + sum[j] : sum[j]);
        }
    }
}

/* k = 0: no terms to add. */
static void scale_c(const struct tt_matmul *op, const struct tt_kernels *kernels)
{
    const size_t nbytes = tt_dtype_nbytes(op->c.dtype);
    for (int64_t i = 0; i < op->m; i++) {
        const struct tt_out row = { (char *)op->c.p + (size_t)(i * op->ldc) * nbytes, op->c.dtype };
        if (op->beta && *op->beta != 0)
            kernels->scale(NULL, &(struct tt_scale){ op->n, tt_in_of(row), op->beta, row });
        else
            kernels->fill(NULL, &(struct tt_fill){ op->n, 0, row });
    }
}

tt_status tt_matmul_dnnl_by(enum tt_matmul_path path, struct tt_pool *pool, const struct tt_matmul *op, struct tt_err *err)
{
    struct product p = { .op = op, .kernels = tt_kernels_cpu(), .path = path, .axis = choose_axis(op) };
    p.parts = parts_of(op, tt_pool_nthreads(pool));
    p.size = blocks_of(op, p.parts);
    p.partial = op->scratch;
    p.blocks = op->scratch ? (char *)op->scratch + partial_bytes(op, p.parts) : NULL;
    *(void **)&p.set_num_threads = dlsym(RTLD_DEFAULT, "omp_set_num_threads"); /* not there: oneDNN is built without OpenMP */

    if (op->m == 0 || op->n == 0)
        return TT_OK;
    if (op->k == 0) {
        scale_c(op, p.kernels);
        return TT_OK;
    }
    tt_pool_run(pool, p.parts, 1, compute_part, &p);
    if (p.status != 0)
        return tt_err_set(err, TT_EUNSUPPORTED, "oneDNN: status %d for a product of (%lld, %lld) and (%lld, %lld)", p.status,
                          (long long)op->m, (long long)op->k, (long long)op->k, (long long)op->n);
    if (p.axis == AXIS_K)
        tt_pool_run(pool, op->m, 16, add_parts, &p);
    return TT_OK;
}

tt_status tt_matmul_dnnl(struct tt_pool *pool, const struct tt_matmul *op, struct tt_err *err)
{
    return tt_matmul_dnnl_by(tt_matmul_path(op), pool, op, err);
}

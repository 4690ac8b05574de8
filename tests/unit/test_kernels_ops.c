/* The operations that go row by row or element by element: every instruction set against the reference. */
#include "tensor/region.h"
#include "test_kernels.h"

static const int64_t sizes[] = { 1, 15, 16, 31, 33, 257 };
enum { NSIZES = sizeof sizes / sizeof *sizes, ROWS = 70 };
static const enum tt_dtype floats[] = { TT_F32, TT_BF16 };
static const float half = 0.5f;

#define EACH_SIZE_AND_TYPE(d, dtype)                                 \
    for (int s_ = 0; s_ < NSIZES * 2; s_++)                          \
        for (int64_t d = sizes[s_ / 2], once_ = 1; once_; once_ = 0) \
            for (enum tt_dtype dtype = floats[s_ % 2], *p_ = &dtype; p_; p_ = NULL)

static const struct tt_kernels *const ref = &tt_kernels_ref;

static void free_all(struct array **all)
{
    for (; *all; all++)
        array_free(*all);
}

#define FREE(...) free_all((struct array *[]){ __VA_ARGS__, NULL })

static struct array tokens(int64_t n, int64_t vocab, uint64_t seed)
{
    struct array ids = array_new(TT_I32, n);
    for (int64_t i = 0; i < n; i++)
        array_i32(&ids)[i] = (int32_t)((uniform(&seed) + 1) / 2 * (double)vocab);
    return ids;
}

static void check_embedding(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    enum { VOCAB = 41 };
    EACH_SIZE_AND_TYPE(d, dtype)
    {
        struct array id = tokens(ROWS, VOCAB, 1), w = array_random(dtype, VOCAB * d, 2), dy = array_random(dtype, ROWS * d, 3);
        struct array y = array_new(dtype, ROWS * d), y_ref = array_copy(&y), dw = array_random(TT_F32, VOCAB * d, 4);
        struct array dw_ref = array_copy(&dw);
        array_i32(&id)[3] = -1; /* outside of the table */
        array_i32(&id)[ROWS - 1] = VOCAB;
        void *scratch = scratch_new(tt_embedding_scratch(ROWS, d, VOCAB, nthreads));
        struct tt_embedding_fwd fwd = { ROWS, d, VOCAB, array_in(&w), array_in(&id), array_out(&y), 0 };
        struct tt_embedding_bwd_weight bwd = { ROWS, d, VOCAB, array_in(&dy), array_in(&id), array_out(&dw), &half, scratch, 0 };

        kernels->embedding_fwd(pool, &fwd);
        kernels->embedding_bwd_weight(pool, &bwd);
        fwd.y = array_out(&y_ref);
        bwd.dw = array_out(&dw_ref);
        ref->embedding_fwd(NULL, &fwd);
        ref->embedding_bwd_weight(NULL, &bwd);
        check_close(&y, &y_ref, 0, "embedding");
        check_close(&dw, &dw_ref, 1, "embedding dw");
        free(scratch);
        FREE(&id, &w, &dy, &y, &y_ref, &dw, &dw_ref);
    }
}

/* Tables of a few rows each put together are the table. */
static void check_embedding_in_pieces(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    enum { VOCAB = 41, D = 33, PIECES = 6 }; /* of 7 rows, the last of 6 */
    struct array id = tokens(ROWS, VOCAB, 1), w = array_random(TT_F32, VOCAB * D, 2), dy = array_random(TT_F32, ROWS * D, 3);
    struct array y = array_new(TT_F32, ROWS * D), sum = array_new(TT_F32, ROWS * D), want = array_new(TT_F32, ROWS * D);
    struct array dw = array_new(TT_F32, VOCAB * D), dw_want = array_new(TT_F32, VOCAB * D);
    void *scratch = scratch_new(tt_embedding_scratch(ROWS, D, VOCAB, nthreads));

    for (int64_t i = 0; i < ROWS * D; i++)
        array_set(&sum, i, 0);
    for (int r = 0; r < PIECES; r++) {
        const struct tt_run run = tt_chunk(VOCAB, PIECES, r);
        kernels->embedding_fwd(pool, &(struct tt_embedding_fwd){ .n = ROWS,
                                                                 .d = D,
                                                                 .vocab = run.len,
                                                                 .first = run.at,
                                                                 .w = tt_in_f32(array_f32(&w) + run.at * D),
                                                                 .id = array_in(&id),
                                                                 .y = array_out(&y) });
        kernels->embedding_bwd_weight(pool, &(struct tt_embedding_bwd_weight){ .n = ROWS,
                                                                               .d = D,
                                                                               .vocab = run.len,
                                                                               .first = run.at,
                                                                               .dy = array_in(&dy),
                                                                               .id = array_in(&id),
                                                                               .dw = tt_out_f32(array_f32(&dw) + run.at * D),
                                                                               .scratch = scratch });
        for (int64_t i = 0; i < ROWS * D; i++)
            array_set(&sum, i, array_get(&sum, i) + array_get(&y, i));
    }
    ref->embedding_fwd(NULL, &(struct tt_embedding_fwd){ ROWS, D, VOCAB, array_in(&w), array_in(&id), array_out(&want), 0 });
    ref->embedding_bwd_weight(NULL, &(struct tt_embedding_bwd_weight){ ROWS, D, VOCAB, array_in(&dy), array_in(&id),
                                                                       array_out(&dw_want), NULL, scratch, 0 });
    check_close(&sum, &want, 0, "embedding in pieces");
    check_close(&dw, &dw_want, 1, "embedding dw in pieces");
    free(scratch);
    FREE(&id, &w, &dy, &y, &sum, &want, &dw, &dw_want);
}

static void check_rmsnorm(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    EACH_SIZE_AND_TYPE(d, dtype)
    {
        struct array x = array_random(dtype, ROWS * d, 1), w = array_random(dtype, d, 2), dy = array_random(dtype, ROWS * d, 3);
        struct array add = array_random(dtype, ROWS * d, 4), rstd = array_new(TT_F32, ROWS), rstd_ref = array_copy(&rstd);
        struct array y = array_new(dtype, ROWS * d), y_ref = array_copy(&y), dx = array_copy(&y), dx_ref = array_copy(&y);
        struct array dw = array_random(dtype, d, 5), dw_ref = array_copy(&dw);
        void *scratch = scratch_new(tt_rmsnorm_scratch(d, nthreads));
        struct tt_rmsnorm_fwd fwd = { ROWS, d, 1e-5f, array_in(&x), array_in(&w), array_out(&y), array_f32(&rstd) };
        struct tt_rmsnorm_bwd_input bwd = {
            ROWS, d, array_in(&dy), array_in(&x), array_in(&w), array_in(&add), array_f32(&rstd_ref), array_out(&dx)
        };
        struct tt_rmsnorm_bwd_weight bww = { ROWS,           d,     array_in(&dy), array_in(&x), array_f32(&rstd_ref),
                                             array_out(&dw), &half, scratch };

        kernels->rmsnorm_fwd(pool, &fwd);
        fwd.y = array_out(&y_ref);
        fwd.rstd = array_f32(&rstd_ref);
        ref->rmsnorm_fwd(NULL, &fwd);
        kernels->rmsnorm_bwd_input(pool, &bwd);
        kernels->rmsnorm_bwd_weight(pool, &bww);
        bwd.dx = array_out(&dx_ref);
        bww.dw = array_out(&dw_ref);
        ref->rmsnorm_bwd_input(NULL, &bwd);
        ref->rmsnorm_bwd_weight(NULL, &bww);
        check_close(&y, &y_ref, 1, "rmsnorm");
        check_close(&rstd, &rstd_ref, 1, "rstd");
        check_close(&dx, &dx_ref, 1, "rmsnorm dx");
        check_close(&dw, &dw_ref, 1, "rmsnorm dw");
        free(scratch);
        FREE(&x, &w, &dy, &add, &rstd, &rstd_ref, &y, &y_ref, &dx, &dx_ref, &dw, &dw_ref);
    }
}

static void check_rope(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    enum { END = 50, BATCH = 2, T = 19, HEADS = 3 };
    static const struct tt_rope_scaling scaling = { 8, 1, 4, 8192 };
    (void)nthreads;
    for (int mix = 0; mix < 16; mix++) {
        const enum tt_dtype dtype = floats[mix & 1];
        const int64_t dim = mix & 2 ? 32 : 18, stride = HEADS * dim + 5;
        struct array table = array_new(TT_F32, END * dim), pos = tokens(BATCH * T, END, 1);
        struct array x = array_random(dtype, BATCH * T * stride, 2), want = array_random(dtype, BATCH * T * stride, 3);
        struct array y = array_copy(&want);
        tt_rope_table(array_f32(&table), dim, END, 500000, &scaling);
        struct tt_rope op = { BATCH,
                              T,
                              HEADS,
                              dim,
                              array_in(&x),
                              stride,
                              array_out(&want),
                              stride,
                              array_f32(&table),
                              mix & 4 ? array_i32(&pos) : NULL,
                              mix & 8 };
        ref->rope(NULL, &op);
        op.y = array_out(&y);
        kernels->rope(pool, &op);
        check_close(&y, &want, 1, "rope");
        FREE(&table, &pos, &x, &want, &y);
    }
}

static void check_swiglu(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    (void)nthreads;
    EACH_SIZE_AND_TYPE(d, dtype)
    {
        const int64_t n = d * ROWS;
        struct array a = array_random(dtype, n, 1), b = array_random(dtype, n, 2), dy = array_random(dtype, n, 3);
        struct array y = array_new(dtype, n), y_ref = array_copy(&y), da = array_copy(&y), da_ref = array_copy(&y);
        struct array db = array_copy(&y), db_ref = array_copy(&y);
        array_set(&a, 0, -200); /* exp overflows there */
        array_set(&a, n - 1, 200);
        struct tt_swiglu_fwd fwd = { n, array_in(&a), array_in(&b), array_out(&y) };
        struct tt_swiglu_bwd bwd = { n, array_in(&dy), array_in(&a), array_in(&b), array_out(&da), array_out(&db) };
        kernels->swiglu_fwd(pool, &fwd);
        kernels->swiglu_bwd(pool, &bwd);
        fwd.y = array_out(&y_ref);
        bwd.da = array_out(&da_ref);
        bwd.db = array_out(&db_ref);
        ref->swiglu_fwd(NULL, &fwd);
        ref->swiglu_bwd(NULL, &bwd);
        check_close(&y, &y_ref, 1, "swiglu");
        check_close(&da, &da_ref, 1, "swiglu da");
        check_close(&db, &db_ref, 1, "swiglu db");
        FREE(&a, &b, &dy, &y, &y_ref, &da, &da_ref, &db, &db_ref);
    }
}

static void check_elementwise(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    (void)nthreads;
    for (int s = 0; s < NSIZES; s++)
        for (int mix = 0; mix < 8; mix++) {
            const int64_t n = sizes[s] * 300;
            struct array a = array_random(floats[mix & 1], n, 1), b = array_random(floats[mix >> 1 & 1], n, 2);
            struct array y = array_new(floats[mix >> 2], n), want = array_copy(&y);
            kernels->cast(pool, &(struct tt_cast){ n, array_in(&a), array_out(&y) });
            ref->cast(NULL, &(struct tt_cast){ n, array_in(&a), array_out(&want) });
            check_close(&y, &want, 0, "cast");
            kernels->add(pool, &(struct tt_add){ n, array_in(&a), array_in(&b), array_out(&y) });
            ref->add(NULL, &(struct tt_add){ n, array_in(&a), array_in(&b), array_out(&want) });
            check_close(&y, &want, 0, "add");
            kernels->scale(pool, &(struct tt_scale){ n, array_in(&a), &half, array_out(&y) });
            ref->scale(NULL, &(struct tt_scale){ n, array_in(&a), &half, array_out(&want) });
            check_close(&y, &want, 0, "scale");
            kernels->fill(pool, &(struct tt_fill){ n, 3, array_out(&y) });
            ref->fill(NULL, &(struct tt_fill){ n, 3, array_out(&want) });
            check_close(&y, &want, 0, "fill");
            FREE(&a, &b, &y, &want);
        }
}

static void check_cross_entropy(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    (void)nthreads;
    EACH_SIZE_AND_TYPE(vocab, dtype)
    {
        struct array z = array_random(dtype, ROWS * vocab, 1), label = tokens(ROWS, vocab, 2);
        struct array dz = array_new(dtype, ROWS * vocab), fused = array_copy(&dz), want = array_copy(&dz);
        struct array lse = array_new(TT_F32, ROWS), lse_ref = array_copy(&lse), loss = array_new(TT_F32, 1),
                     loss_ref = array_copy(&loss);
        double rows[ROWS];
        array_i32(&label)[5] = TT_IGNORE_INDEX;
        array_set(&z, 2 * vocab, 3000); /* its exp overflows */
        struct tt_cross_entropy_fwd fwd = {
            .n = ROWS,
            .vocab = vocab,
            .z = array_in(&z),
            .label = array_in(&label),
            .scale = &half,
            .lse = array_f32(&lse_ref),
            .loss = array_f32(&loss_ref),
            .dz = array_out(&want),
            .row_loss = rows,
        };
        struct tt_cross_entropy_bwd bwd = {
            ROWS, vocab, array_in(&z), array_in(&label), &half, array_f32(&lse_ref), array_out(&dz)
        };
        ref->cross_entropy_fwd(NULL, &fwd);
        fwd.lse = array_f32(&lse);
        fwd.loss = array_f32(&loss);
        fwd.dz = array_out(&fused);
        kernels->cross_entropy_fwd(pool, &fwd);
        kernels->cross_entropy_bwd(pool, &bwd);
        check_close(&lse, &lse_ref, 1, "lse");
        check_close(&loss, &loss_ref, 1, "loss");
        check_close(&dz, &want, 1, "dz");
        check_close(&fused, &want, 1, "dz in one pass");
        for (int64_t v = 0; v < vocab; v++)
            assert_true(array_get(&dz, 5 * vocab + v) == 0);
        FREE(&z, &label, &dz, &fused, &want, &lse, &lse_ref, &loss, &loss_ref);
    }
}

/* The logits' columns in three pieces, of which the last are shorter or empty. */
static void check_cross_entropy_in_pieces(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    enum { PIECES = 3 };
    (void)nthreads;
    EACH_SIZE_AND_TYPE(vocab, dtype)
    {
        struct array z = array_random(dtype, ROWS * vocab, 1), label = tokens(ROWS, vocab, 2),
                     want = array_new(dtype, ROWS * vocab);
        struct array lse = array_new(TT_F32, ROWS), lse_ref = array_copy(&lse), loss = array_new(TT_F32, 1),
                     loss_ref = array_copy(&loss), part = array_new(TT_F32, PIECES * ROWS * 2), piece[PIECES];
        double rows[ROWS];
        array_i32(&label)[5] = TT_IGNORE_INDEX;
        array_set(&z, 2 * vocab, 3000); /* its exp overflows */
        ref->cross_entropy_fwd(NULL, &(struct tt_cross_entropy_fwd){ .n = ROWS,
                                                                     .vocab = vocab,
                                                                     .z = array_in(&z),
                                                                     .label = array_in(&label),
                                                                     .scale = &half,
                                                                     .lse = array_f32(&lse_ref),
                                                                     .loss = array_f32(&loss_ref),
                                                                     .dz = array_out(&want),
                                                                     .row_loss = rows });
        for (int r = 0; r < PIECES; r++) {
            const struct tt_run run = tt_chunk(vocab, PIECES, r);
            piece[r] = array_new(dtype, ROWS * run.len);
            for (int64_t i = 0; i < ROWS * run.len; i++)
                array_set(&piece[r], i, array_get(&z, i / run.len * vocab + run.at + i % run.len));
            kernels->cross_entropy_part(pool, &(struct tt_cross_entropy_part){ ROWS, run.len, run.at, array_in(&piece[r]),
                                                                               array_in(&label), array_f32(&part) + r * ROWS * 2 });
        }
        for (int r = 0; r < PIECES; r++) {
            const struct tt_run run = tt_chunk(vocab, PIECES, r);
            kernels->cross_entropy_fwd(pool,
                                       &(struct tt_cross_entropy_fwd){ ROWS, run.len, array_in(&piece[r]), array_in(&label), &half,
                                                                       array_f32(&lse), array_f32(&loss), array_out(&piece[r]),
                                                                       rows, PIECES, array_f32(&part), run.at, vocab });
            for (int64_t i = 0; i < ROWS * run.len; i++)
                array_set(&z, i / run.len * vocab + run.at + i % run.len, array_get(&piece[r], i));
            check_close(&lse, &lse_ref, 1, "lse");
            check_close(&loss, &loss_ref, 1, "loss");
            array_free(&piece[r]);
        }
        check_close(&z, &want, 1, "dz");
        FREE(&z, &label, &want, &lse, &lse_ref, &loss, &loss_ref, &part);
    }
}

static void check_adam(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    (void)nthreads;
    for (int s = 0; s < NSIZES; s++)
        for (int mix = 0; mix < 16; mix++) {
            const struct tt_adam_hyper hyper = { 1e-2, 0.9, 0.95, 1e-8, mix & 1 ? 0.1 : 0, mix & 2 };
            const struct tt_adam_scalars scalars = tt_adam_scalars(&hyper, 3);
            const enum tt_dtype dtype = floats[mix >> 2 & 1];
            const int64_t n = sizes[s];
            struct array g = array_random(dtype, n, 1), p = array_random(dtype, n, 2), m = array_random(dtype, n, 3);
            struct array v = array_random(dtype, n, 4);
            for (int64_t i = 0; i < n; i++)
                array_set(&v, i, fabsf(array_get(&v, i)));
            struct array p_ref = array_copy(&p), m_ref = array_copy(&m), v_ref = array_copy(&v);
            struct tt_adam op = {
                n,        array_out(&p),         array_out(&m), array_out(&v), array_in(&g), tt_adam_consts(&hyper),
                &scalars, mix & 8 ? &half : NULL
            };
            kernels->adam(pool, &op);
            op.p = array_out(&p_ref);
            op.m = array_out(&m_ref);
            op.v = array_out(&v_ref);
            ref->adam(NULL, &op);
            check_close(&p, &p_ref, 1, "adam p");
            check_close(&m, &m_ref, 1, "adam m");
            check_close(&v, &v_ref, 1, "adam v");
            FREE(&g, &p, &m, &v, &p_ref, &m_ref, &v_ref);
        }
}

static void check_sumsq(const struct tt_kernels *kernels, struct tt_pool *pool, int nthreads)
{
    (void)nthreads;
    EACH_SIZE_AND_TYPE(d, dtype)
    {
        const int64_t n = d * 400;
        struct array x = array_random(dtype, n, 1);
        double scratch[TT_SUMSQ_PARTS], got, want;
        kernels->sumsq(pool, &(struct tt_sumsq){ n, array_in(&x), &got, scratch });
        ref->sumsq(NULL, &(struct tt_sumsq){ n, array_in(&x), &want, scratch });
        assert_true(got == want);
        array_free(&x);
    }
    /* More than one part. */
    const int64_t n = TT_SUMSQ_PART + 13;
    struct array x = array_random(TT_F32, n, 1);
    double scratch[TT_SUMSQ_PARTS], got, want;
    kernels->sumsq(pool, &(struct tt_sumsq){ n, array_in(&x), &got, scratch });
    ref->sumsq(NULL, &(struct tt_sumsq){ n, array_in(&x), &want, scratch });
    assert_true(got == want);
    array_free(&x);
}

static void test_embedding_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_embedding);
    each_cpu(check_embedding_in_pieces);
}
static void test_rmsnorm_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_rmsnorm);
}
static void test_rope_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_rope);
}
static void test_swiglu_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_swiglu);
}
static void test_elementwise_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_elementwise);
}
static void test_cross_entropy_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_cross_entropy);
    each_cpu(check_cross_entropy_in_pieces);
}
static void test_adam_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_adam);
}
static void test_sumsq_agrees_with_its_definition(void **state)
{
    (void)state;
    each_cpu(check_sumsq);
}

static void test_clipping_takes_the_norm_of_the_norms(void **state)
{
    (void)state;
    const double sumsq[] = { 9, 16 };
    float norm, coef;
    tt_clip_coef(sumsq, 2, 1, &norm, &coef);
    assert_true(norm == 5);
    assert_true(fabsf(coef - 0.2f) <= 1e-7f);
    tt_clip_coef(sumsq, 2, 10, &norm, &coef);
    assert_true(coef == 1);
    tt_clip_coef(sumsq, 2, 0, &norm, &coef);
    assert_true(coef == 0);
    tt_clip_coef((const double[]){ (double)NAN }, 1, 1, &norm, &coef);
    assert_true(isnan(coef));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedding_agrees_with_its_definition),
        cmocka_unit_test(test_rmsnorm_agrees_with_its_definition),
        cmocka_unit_test(test_rope_agrees_with_its_definition),
        cmocka_unit_test(test_swiglu_agrees_with_its_definition),
        cmocka_unit_test(test_elementwise_agrees_with_its_definition),
        cmocka_unit_test(test_cross_entropy_agrees_with_its_definition),
        cmocka_unit_test(test_adam_agrees_with_its_definition),
        cmocka_unit_test(test_sumsq_agrees_with_its_definition),
        cmocka_unit_test(test_clipping_takes_the_norm_of_the_norms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

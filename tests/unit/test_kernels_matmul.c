/* Products: both ways through oneDNN against the reference, in every mix of types and transposes. */
#include "matmul_private.h"
#include "test_kernels.h"

struct shape {
    int64_t m, n, k;
};

static const struct shape shapes[] = {
    { 1, 1, 1 },   { 31, 33, 17 }, { 5, 7, 0 },      { 300, 40, 70 }, /* cut along m, a row past the block */
    { 40, 600, 9 }, { 8, 9, 1100 },                                   /* along n; along k */
    { 70, 65, 530 },
};

/* Fills m * ld elements, rows of n with a gap that nothing may touch. */
static void check_product(enum tt_matmul_path path, struct tt_pool *pool, int nthreads, const struct tt_matmul *like)
{
    struct tt_matmul op = *like;
    const float beta = 0.5f;
    op.lda = (op.ta ? op.m : op.k) + 3;
    op.ldb = (op.tb ? op.k : op.n) + 1;
    op.ldc = op.n + 2;
    struct array a = array_random(op.a.dtype, (op.ta ? op.k : op.m) * op.lda, 1);
    struct array b = array_random(op.b.dtype, (op.tb ? op.n : op.k) * op.ldb, 2);
    struct array got = array_random(op.c.dtype, op.m * op.ldc, 3), want = array_copy(&got);
    op.a = array_in(&a);
    op.b = array_in(&b);
    op.scratch = scratch_new(tt_matmul_scratch(&op, nthreads));

    struct tt_err err;
    char what[96];
    snprintf(what, sizeof what, "path %d, %lld %lld %lld, ta %d tb %d, types %d %d %d", path, (long long)op.m, (long long)op.n,
             (long long)op.k, op.ta, op.tb, op.a.dtype, op.b.dtype, op.c.dtype);
    for (int with_beta = 0; with_beta < 2; with_beta++) {
        op.beta = with_beta ? &beta : NULL;
        op.c = array_out(&want);
        assert_int_equal(tt_kernels_ref.matmul(NULL, &op, &err), TT_OK);
        op.c = array_out(&got);
        if (tt_matmul_dnnl_by(path, pool, &op, &err) != TT_OK)
            fail_msg("%s: %s", what, err.msg);
        check_close(&got, &want, 1, what);
    }
    free(op.scratch);
    array_free(&a);
    array_free(&b);
    array_free(&got);
    array_free(&want);
}

static void each_product(enum tt_matmul_path path, struct tt_pool *pool, int nthreads)
{
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int mix = 0; mix < 32; mix++) {
            const struct tt_matmul op = { .m = shapes[s].m, .n = shapes[s].n, .k = shapes[s].k,
                .ta = mix & 1, .tb = mix & 2, .a.dtype = mix & 4 ? TT_BF16 : TT_F32, .b.dtype = mix & 8 ? TT_BF16 : TT_F32,
                .c.dtype = mix & 16 ? TT_BF16 : TT_F32 };
            if (path == TT_MATMUL_SGEMM || (mix & 12) == 12)
                check_product(path, pool, nthreads, &op);
        }
}

static void test_widened_products_agree_with_their_definition(void **state)
{
    (void)state;
    struct tt_pool *pool;
    assert_int_equal(tt_pool_new(&pool, 3, NULL), TT_OK);
    each_product(TT_MATMUL_SGEMM, NULL, 1);
    each_product(TT_MATMUL_SGEMM, pool, 3);
    tt_pool_free(pool);
}

static void test_native_bfloat16_products_agree_with_their_definition(void **state)
{
    (void)state;
    struct tt_pool *pool;
    if (!tt_matmul_has_path(TT_MATMUL_NATIVE)) {
        print_message("SKIP native bfloat16 products: oneDNN has them from AVX-512 on\n");
        skip();
    }
    assert_int_equal(tt_pool_new(&pool, 3, NULL), TT_OK);
    each_product(TT_MATMUL_NATIVE, NULL, 1);
    each_product(TT_MATMUL_NATIVE, pool, 3);
    tt_pool_free(pool);
}

static void test_products_that_onednn_refuses_are_widened(void **state)
{
    (void)state;
    if (tt_matmul_has_path(TT_MATMUL_NATIVE)) {
        print_message("SKIP refused bfloat16 products: oneDNN refuses none on this machine\n");
        skip();
    }
    each_product(TT_MATMUL_NATIVE, NULL, 1);
}

static void test_a_product_that_does_not_add_may_find_nan_there(void **state)
{
    (void)state;
    struct tt_err err;
    struct array a = array_random(TT_F32, 6, 1), c = array_new(TT_F32, 4);
    const float zero = 0;
    for (int64_t i = 0; i < 4; i++)
        array_set(&c, i, NAN);
    const struct tt_matmul op = { .m = 2, .n = 2, .k = 3, .tb = true, .a = array_in(&a), .b = array_in(&a), .c = array_out(&c),
                                  .lda = 3, .ldb = 3, .ldc = 2, .beta = &zero };
    assert_int_equal(tt_kernels_cpu()->matmul(NULL, &op, &err), TT_OK);
    for (int64_t i = 0; i < 4; i++)
        assert_true(isfinite(array_get(&c, i)));
    array_free(&a);
    array_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widened_products_agree_with_their_definition),
        cmocka_unit_test(test_native_bfloat16_products_agree_with_their_definition),
        cmocka_unit_test(test_products_that_onednn_refuses_are_widened),
        cmocka_unit_test(test_a_product_that_does_not_add_may_find_nan_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The machine's peak, as far as a test can know it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/clock.h"
#include "kernels.h"
#include "train/peak.h"

enum { SIDE = 384 };

/* What products of these threads come to, as they are timed from outside: never more than the peak. */
static double reached(struct tt_pool *pool)
{
    float *x = calloc(3 * SIDE * SIDE, sizeof *x);
    const struct tt_matmul op = { .m = SIDE, .n = SIDE, .k = SIDE, .a = tt_in_f32(x), .b = tt_in_f32(x + SIDE * SIDE),
                                  .c = tt_out_f32(x + 2 * SIDE * SIDE), .lda = SIDE, .ldb = SIDE, .ldc = SIDE };
    double best = 0;
    for (int i = 0; i < 5; i++) {
        const double begin = tt_seconds();
        assert_int_equal(tt_kernels_cpu()->matmul(pool, &op, NULL), TT_OK);
        const double flops = 2.0 * SIDE * SIDE * SIDE / (tt_seconds() - begin);
        best = flops > best ? flops : best;
    }
    free(x);
    return best;
}

static void test_the_peak_is_that_of_all_threads(void **state)
{
    (void)state;
    double one, both, narrow;
    struct tt_pool *pool;
    assert_int_equal(tt_pool_new(&pool, 2, NULL), TT_OK);
    assert_int_equal(tt_peak_flops(&one, NULL, TT_F32, NULL), TT_OK);
    assert_int_equal(tt_peak_flops(&both, pool, TT_F32, NULL), TT_OK);
    assert_int_equal(tt_peak_flops(&narrow, pool, TT_BF16, NULL), TT_OK);
    /* Cores that share their units, or a busy machine, halve what two threads come to together. */
    assert_true(both > 0.5 * one && both < 4 * one);
    assert_true(narrow > 0.2 * both);
    assert_true(reached(pool) < 1.5 * both);
    tt_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_peak_is_that_of_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

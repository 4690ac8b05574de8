/* The machine's peak: a number for each type and any number of threads. How large is a matter of the machine and what else it does,
 * which a benchmark can say and a test cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "train/peak.h"

static void test_every_type_and_pool_has_a_peak(void **state)
{
    (void)state;
    static const enum tt_dtype dtypes[] = { TT_F32, TT_BF16 };
    struct tt_pool *pool;
    assert_int_equal(tt_pool_new(&pool, 2, NULL), TT_OK);
    for (int i = 0; i < 4; i++) {
        double flops = NAN;
        assert_int_equal(tt_peak_flops(&flops, i % 2 ? pool : NULL, dtypes[i / 2], NULL), TT_OK);
        assert_true(isfinite(flops) && flops > 0);
    }
    tt_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_and_pool_has_a_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which file gets what several could have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/balance.h"

static const uint32_t no_base[] = { 0 };

static struct tt_balance begin(uint32_t nfiles)
{
    struct tt_balance b;
    assert_int_equal(tt_balance_init(&b, nfiles, NULL), TT_OK);
    return b;
}

static void open_among(struct tt_balance *b, struct tt_placed *p, uint64_t nbytes, const uint32_t *ranks, uint32_t n)
{
    const struct tt_candidates among = { ranks, n, no_base, 1 };
    assert_int_equal(tt_balance_open(b, p, nbytes, &among, NULL), TT_OK);
}

static void test_the_largest_goes_first_to_the_emptiest_that_may_have_it(void **state)
{
    static const uint32_t pair[] = { 0, 1 }, other[] = { 1, 2 };
    struct tt_balance b = begin(3);
    struct tt_placed p[4] = { { 0 } };
    (void)state;
    b.load[0] = 10; /* already there */
    open_among(&b, &p[0], 5, pair, 2);
    open_among(&b, &p[1], 8, pair, 2);
    open_among(&b, &p[2], 9, other, 2);
    open_among(&b, &p[3], 1, NULL, 0); /* anywhere: last */
    assert_int_equal(tt_balance_decide(&b, NULL), TT_OK);
    assert_int_equal(p[2].file, 1); /* 9: 1 and 2 are empty, the lower one */
    assert_int_equal(p[1].file, 1); /* 8: 10 and 9 */
    assert_int_equal(p[0].file, 0); /* 5: 10 and 17 */
    assert_int_equal(p[3].file, 2);
    assert_int_equal(b.load[0] + b.load[1] + b.load[2], 10 + 5 + 8 + 9 + 1);
    tt_balance_release(&b);
}

static void test_candidates_count_from_each_base(void **state)
{
    static const uint32_t ranks[] = { 1 }, bases[] = { 0, 4 };
    const struct tt_candidates among = { ranks, 1, bases, 2 };
    struct tt_balance b = begin(8);
    struct tt_placed p[3] = { { 0 } };
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(tt_balance_open(&b, &p[i], 1, &among, NULL), TT_OK);
    assert_int_equal(tt_balance_decide(&b, NULL), TT_OK);
    assert_int_equal(p[0].file, 1);
    assert_int_equal(p[1].file, 5);
    assert_int_equal(p[2].file, 1);
    tt_balance_release(&b);
}

static void test_no_file_has_more_than_the_mean_and_one_item(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 50; round++) {
        const uint32_t nfiles = 1 + (uint32_t)rand() % 40;
        struct tt_balance b = begin(nfiles);
        struct tt_placed p[300] = { { 0 } };
        uint64_t sum = 0, most = 0;
        for (int i = 0; i < 300; i++) {
            const uint64_t nbytes = (uint64_t)rand() % 1000;
            open_among(&b, &p[i], nbytes, NULL, 0);
            sum += nbytes;
            most = nbytes > most ? nbytes : most;
        }
        assert_int_equal(tt_balance_decide(&b, NULL), TT_OK);
        for (uint32_t f = 0; f < nfiles; f++)
            assert_true(b.load[f] <= sum / nfiles + most);
        tt_balance_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_largest_goes_first_to_the_emptiest_that_may_have_it),
        cmocka_unit_test(test_candidates_count_from_each_base),
        cmocka_unit_test(test_no_file_has_more_than_the_mean_and_one_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The CRC of a whole from those of its pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ckpt/crc_sum.h"
#include "format/zip.h"

enum { N = 1000 };
static uint8_t bytes[N];

static int fill_bytes(void **state)
{
    uint32_t x = 1;
    (void)state;
    for (int i = 0; i < N; i++)
        bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    return 0;
}

static void add(struct tt_crc_sum *sum, uint64_t begin, uint64_t end)
{
    tt_crc_sum_add(sum, N, begin, end - begin, tt_crc32(0, bytes + begin, end - begin));
}

static void test_pieces_in_any_order_are_the_whole(void **state)
{
    (void)state;
    struct tt_crc_sum all = { 0 }, some = { 0 };

    add(&all, 700, N);
    add(&all, 0, 1);
    assert_false(tt_crc_sum_is_whole(&all, N));
    add(&some, 3, 700); /* by another reader */
    add(&some, 1, 3);
    assert_false(tt_crc_sum_is_whole(&some, N));
    tt_crc_sum_join(&all, &some);
    assert_true(tt_crc_sum_is_whole(&all, N));
    assert_int_equal(all.crc, tt_crc32(0, bytes, N));
    add(&all, 5, 5); /* no byte */
    assert_true(tt_crc_sum_is_whole(&all, N));
    assert_int_equal(all.crc, tt_crc32(0, bytes, N));
}

static void test_bytes_met_twice_or_not_at_all_are_not_the_whole(void **state)
{
    (void)state;
    struct tt_crc_sum all = { 0 };

    assert_false(tt_crc_sum_is_whole(&all, N));
    add(&all, 0, 500);
    add(&all, 0, 500);
    assert_false(tt_crc_sum_is_whole(&all, N));
    add(&all, 500, N);
    assert_false(tt_crc_sum_is_whole(&all, N));
    assert_false(tt_crc_sum_is_whole(&all, N + 500));
    all = (struct tt_crc_sum){ 0 };
    add(&all, 0, 499); /* and, as many bytes, 500 twice */
    add(&all, 500, N);
    add(&all, 500, 501);
    assert_false(tt_crc_sum_is_whole(&all, N));
}

static void test_nothing_is_a_whole_of_no_bytes(void **state)
{
    (void)state;
    const struct tt_crc_sum none = { 0 };
    assert_true(tt_crc_sum_is_whole(&none, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_in_any_order_are_the_whole),
        cmocka_unit_test(test_bytes_met_twice_or_not_at_all_are_not_the_whole),
        cmocka_unit_test(test_nothing_is_a_whole_of_no_bytes),
    };
    return cmocka_run_group_tests(tests, fill_bytes, NULL);
}

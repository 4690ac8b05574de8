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

/* As they come from a file: in rows, in rows of two kinds of blocks, and back and forth. */
static void test_a_comb_is_the_sum_of_its_pieces(void **state)
{
    (void)state;
    static const uint64_t begins[] = { 0, 10, 20, 30, 40, 100, 110, 120, 140, 990, 500, 520, 505, 510, 700 };
    struct tt_crc_sum one = { 0 }, many = { 0 }, none = { 0 };
    struct tt_crc_comb comb = tt_crc_comb_begin(&many, N, 5);

    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        add(&one, begins[i], begins[i] + 5);
        tt_crc_comb_add(&comb, begins[i], tt_crc32(0, bytes + begins[i], 5));
    }
    tt_crc_comb_end(&comb);
    assert_true(one.where == many.where);
    assert_int_equal(one.crc, many.crc);
    comb = tt_crc_comb_begin(&none, N, 5);
    tt_crc_comb_end(&comb);
    assert_true(none.where == 0 && none.crc == 0);
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
        cmocka_unit_test(test_a_comb_is_the_sum_of_its_pieces),
        cmocka_unit_test(test_nothing_is_a_whole_of_no_bytes),
    };
    return cmocka_run_group_tests(tests, fill_bytes, NULL);
}

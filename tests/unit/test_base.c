/* The ground that every other room stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/pace.h"
#include "base/pool.h"
#include "value/value.h"

static void test_a_message_that_is_too_long_ends_in_dots(void **state)
{
    (void)state;
    struct tt_err err;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    assert_int_equal(tt_err_set(&err, TT_EFORMAT, "%s", big), TT_EFORMAT);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    assert_string_equal(err.msg + sizeof err.msg - 4, "...");
}

static void test_an_arena_stops_at_its_limit(void **state)
{
    (void)state;
    struct tt_arena arena = { .limit = 1 << 16 };
    size_t got = 0;
    while (tt_arena_alloc(&arena, 1000))
        got += 1000;
    assert_in_range(got, 50000, 1 << 16);
    assert_null(tt_arena_array(&arena, SIZE_MAX / 2, 16));
    tt_arena_release(&arena);
}

static void test_a_map_finds_what_was_put_and_nothing_else(void **state)
{
    (void)state;
    struct tt_map map = { 0 };
    struct tt_arena arena = { 0 };
    for (uint64_t i = 0; i < 10000; i++) {
        const char *key = tt_arena_printf(&arena, "layers.%llu.weight", (unsigned long long)i);
        bool added;
        assert_int_equal(tt_map_put(&map, key, strlen(key), i, &added, NULL, NULL), TT_OK);
        assert_true(added);
    }
    uint64_t v;
    assert_true(tt_map_get(&map, "layers.777.weight", 17, &v));
    assert_int_equal(v, 777);
    assert_false(tt_map_get(&map, "layers.10000.weight", 19, &v));
    tt_map_release(&map);
    tt_arena_release(&arena);
}

static void test_values_nest_and_compare(void **state)
{
    (void)state;
    struct tt_arena a = { 0 };
    struct tt_value *maps[2];
    for (int k = 0; k < 2; k++) {
        maps[k] = tt_value_map(&a);
        for (int i = 0; i < 100; i++) {
            const int j = k ? 99 - i : i; /* the other order */
            assert_true(tt_value_set(&a, maps[k], tt_arena_printf(&a, "k%d", j), tt_value_int(&a, j)));
        }
    }
    assert_true(tt_value_equal(maps[0], maps[1]));
    assert_int_equal(tt_value_get(maps[0], "k57")->u.i, 57);
    assert_null(tt_value_get(maps[0], "k100"));
    assert_true(tt_value_set(&a, maps[0], "k57", tt_value_str(&a, "else")));
    assert_false(tt_value_equal(maps[0], maps[1]));
    tt_arena_release(&a);
}

static void count_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    int *hits = ctx;
    for (int64_t i = begin; i < end; i++)
        hits[i]++;
}

static void test_a_pool_covers_every_index_once(void **state)
{
    (void)state;
    static int hits[100003];
    struct tt_pool *pool;
    struct tt_err err;
    assert_int_equal(tt_pool_new(&pool, 3, &err), TT_OK);
    for (int round = 0; round < 200; round++)
        tt_pool_run(pool, 100003 - round, 7, count_piece, hits);
    for (int i = 0; i < 100003 - 199; i++)
        assert_int_equal(hits[i], 200);
    tt_pool_free(pool);
}

/* Takes 5 ms of processor time, and rests. */
static void *work(void *pace)
{
    struct timespec t;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (t.tv_sec == 0 && t.tv_nsec < 5 * 1000 * 1000);
    tt_pace_rest(pace);
    return NULL;
}

static double seconds_of_work(struct tt_pace *pace)
{
    const double start = tt_seconds();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, pace), 0);
    pthread_join(thread, NULL);
    return tt_seconds() - start;
}

static void test_a_paced_thread_takes_its_share_until_it_is_hurried(void **state)
{
    (void)state;
    struct tt_pace pace;
    tt_pace_init(&pace, 0.1);
    assert_true(seconds_of_work(&pace) >= 0.05);
    tt_pace_init(&pace, 0.0001); /* a rest of 50 seconds */
    tt_pace_hurry(&pace);
    assert_true(seconds_of_work(&pace) < 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_that_is_too_long_ends_in_dots),
        cmocka_unit_test(test_an_arena_stops_at_its_limit),
        cmocka_unit_test(test_a_map_finds_what_was_put_and_nothing_else),
        cmocka_unit_test(test_values_nest_and_compare),
        cmocka_unit_test(test_a_pool_covers_every_index_once),
        cmocka_unit_test(test_a_paced_thread_takes_its_share_until_it_is_hurried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Collectives within a process: one rank, and ranks that are threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/comm_cases.h"

static void test_a_rank_alone_gets_what_it_gives(void **state)
{
    (void)state;
    struct tt_err err = { 0 };
    for (uint64_t seed = 0; seed < 3; seed++)
        if (tt_self_run(case_run, &seed, &err) != TT_OK)
            fail_msg("%s", err.msg);
}

static void test_every_operation_between_threads(void **state)
{
    (void)state;
    struct tt_err err = { 0 };
    for (int n = 1; n <= 5; n++)
        for (uint64_t seed = 10; seed < 12; seed++)
            if (tt_local_run(n, case_run, &seed, &err) != TT_OK)
                fail_msg("%d ranks, seed %d: %s", n, (int)seed, err.msg);
}

/* --- waiting --------------------------------------------------------------------------------------------------------- */

/* Each rank has posted two operations in two groups, and waits for them in another order than its neighbour. */
static tt_status cross(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct tt_comm *a, *b;
    uint64_t ta, tb;
    int64_t x = world->rank, y = 0, z = 0;
    const struct tt_coll sum = {
        .kind = TT_COLL_ALL_REDUCE, .wire = TT_I64, .sum = TT_I64, .src = &x, .dst = &y, .count = 1, .what = "y"
    };
    const struct tt_coll max = { .kind = TT_COLL_ALL_REDUCE,
                                 .op = TT_REDUCE_MAX,
                                 .wire = TT_I64,
                                 .sum = TT_I64,
                                 .src = &x,
                                 .dst = &z,
                                 .count = 1,
                                 .what = "z" };
    (void)ctx;
    assert_int_equal(tt_comm_new(&a, world, NULL, 0, "a", err), TT_OK);
    assert_int_equal(tt_comm_new(&b, world, NULL, 0, "b", err), TT_OK);
    assert_int_equal(tt_comm_post(a, &sum, &ta, err), TT_OK);
    assert_int_equal(tt_comm_post(b, &max, &tb, err), TT_OK);
    assert_int_equal(world->rank % 2 ? tt_comm_wait(a, ta, err) : tt_comm_wait(b, tb, err), TT_OK);
    assert_int_equal(world->rank % 2 ? tt_comm_wait(b, tb, err) : tt_comm_wait(a, ta, err), TT_OK);
    assert_int_equal(y, world->size * (world->size - 1) / 2);
    assert_int_equal(z, world->size - 1);
    tt_comm_free(a);
    tt_comm_free(b);
    return TT_OK;
}

static void test_ranks_wait_in_any_order_across_groups(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(tt_local_run(4, cross, NULL, NULL), TT_OK);
}

static tt_status in_a_circle(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct tt_comm *all, *again;
    const struct tt_coll barrier = { .kind = TT_COLL_BARRIER, .what = "the start" };
    (void)ctx;
    assert_int_equal(tt_comm_new(&all, world, NULL, 0, "all", err), TT_OK);
    assert_int_equal(tt_comm_new(&again, world, NULL, 0, "again", err), TT_OK);
    const tt_status st = world->rank == 2 ? TT_OK : tt_comm_do(world->rank ? all : again, &barrier, err);
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(again);
    tt_comm_free(all);
    return st;
}

static void test_ranks_that_wait_for_each_other_are_told(void **state)
{
    (void)state;
    struct tt_err err;
    assert_int_equal(tt_local_run(3, in_a_circle, NULL, &err), TT_EINVAL);
    assert_string_equal(err.msg,
                        "the ranks wait for each other: rank 0 for barrier of the start (group again), rank 1 for barrier of "
                        "the start (group all), rank 2 has ended");
}

/* --- failing ------------------------------------------------------------------------------------------------------------------ */

static tt_status one_fails(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct tt_comm *all;
    const struct tt_coll barrier = { .kind = TT_COLL_BARRIER, .what = "the start" };
    (void)ctx;
    tt_status st = tt_comm_new(&all, world, NULL, 0, "all", err);
    if (st == TT_OK && world->rank == 2)
        st = tt_err_set(err, TT_ENOENT, "no data");
    else if (st == TT_OK)
        st = tt_comm_do(all, &barrier, err);
    if (world->rank != 2) {
        assert_string_equal(err->msg, "no data");
        assert_int_equal(err->of_rank, 2 + 1);
    }
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(all);
    return st;
}

static void test_the_failure_of_a_rank_wakes_the_others(void **state)
{
    (void)state;
    struct tt_err err;
    assert_int_equal(tt_local_run(4, one_fails, NULL, &err), TT_ENOENT);
    assert_string_equal(err.msg, "rank 2: no data");
}

static tt_status odd_one_out(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct tt_comm *all;
    float x[4] = { 0 }, y[12];
    struct tt_coll coll = *(const struct tt_coll *)ctx;
    coll.src = x;
    coll.dst = y;
    if (world->rank != 1)
        coll = (struct tt_coll){ .kind = TT_COLL_ALL_GATHER, .src = x, .dst = y, .count = 4, .what = "weights" };
    tt_status st = tt_comm_new(&all, world, NULL, 0, "dp", err);
    if (st == TT_OK)
        st = tt_comm_do(all, &coll, err);
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(all);
    return st;
}

static void test_operations_that_do_not_fit_together_are_named(void **state)
{
    (void)state;
    static const struct {
        struct tt_coll coll;
        const char *message;
    } cases[] = {
        { { .kind = TT_COLL_REDUCE_SCATTER, .count = 1, .what = "gradients" },
          "group dp: the ranks' operations do not fit together: rank 0 all_gather of weights (8 elements, float32), "
          "rank 1 reduce_scatter of gradients (2 elements, float32)" },
        { { .kind = TT_COLL_ALL_GATHER, .count = 3, .what = "weights" },
          "group dp: the ranks' operations do not fit together: rank 0 all_gather of weights (8 elements, float32), "
          "rank 1 all_gather of weights (6 elements, float32)" },
        { { .kind = TT_COLL_ALL_GATHER, .wire = TT_BF16, .count = 4, .what = "weights" },
          "group dp: the ranks' operations do not fit together: rank 0 all_gather of weights (8 elements, float32), "
          "rank 1 all_gather of weights (8 elements, bfloat16)" },
        { { .kind = TT_COLL_BARRIER, .what = "the end" },
          "group dp: the ranks' operations do not fit together: rank 0 all_gather of weights (8 elements, float32), "
          "rank 1 a barrier (the end)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tt_err err;
        assert_int_equal(tt_local_run(2, odd_one_out, (void *)&cases[i].coll, &err), TT_EINVAL);
        assert_string_equal(err.msg, cases[i].message);
    }
}

static tt_status refuse(struct tt_world *world, void *ctx, struct tt_err *err)
{
    static const struct {
        struct tt_coll coll;
        const char *message;
    } cases[] = {
        { { .kind = TT_COLL_ALL_REDUCE, .wire = TT_F16, .sum = TT_F32, .what = "x" },
          "all_reduce of x in group all: float16 is not summed in float32" },
        { { .kind = TT_COLL_ALL_REDUCE, .wire = TT_F32, .sum = TT_BF16, .what = "x" },
          "all_reduce of x in group all: float32 is not summed in bfloat16" },
        { { .kind = TT_COLL_ALL_GATHER, .count = -1, .what = "x" }, "all_gather of x in group all: rank 0 has -1 elements" },
        { { .kind = TT_COLL_BROADCAST, .peer = 1, .what = "x" }, "broadcast of x in group all: rank 0 of 1 has no peer 1" },
        { { .kind = TT_COLL_SEND, .what = "x" }, "send of x in group all: rank 0 of 1 has no peer 0" },
    };
    static const int descending[] = { 1, 0 }, others[] = { 1 };
    struct tt_comm *all;
    (void)ctx;
    assert_int_equal(tt_comm_new(&all, world, descending, 2, "bad", err), TT_EINVAL);
    assert_string_equal(err->msg, "group bad: expected ascending ranks below 1, found 1 as number 0");
    assert_int_equal(tt_comm_new(&all, world, others, 0, "bad", err), TT_EINVAL);
    assert_string_equal(err->msg, "group bad: rank 0, which makes it, is not in it");
    assert_int_equal(tt_comm_new(&all, world, NULL, 0, "all", err), TT_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(tt_comm_post(all, &cases[i].coll, NULL, err), TT_EINVAL);
        assert_string_equal(err->msg, cases[i].message);
    }
    const struct tt_coll first = { .kind = TT_COLL_ALL_GATHER, .what = "x", .more = true };
    const struct tt_coll second = { .kind = TT_COLL_ALL_REDUCE, .what = "y" };
    const struct tt_coll alone = { .kind = TT_COLL_BROADCAST, .what = "z", .more = true };
    assert_int_equal(tt_comm_post(all, &first, NULL, err), TT_OK);
    assert_int_equal(tt_comm_post(all, &second, NULL, err), TT_EINVAL);
    assert_string_equal(err->msg, "all_reduce of y in group all: does not go on with all_gather of x");
    assert_int_equal(tt_comm_post(all, &alone, NULL, err), TT_EINVAL);
    assert_string_equal(err->msg, "broadcast of z in group all: has one buffer, expected no more");
    assert_int_equal(tt_comm_wait(all, 1, err), TT_EINVAL);
    assert_string_equal(err->msg, "group all: operation 1 was not posted");
    tt_comm_free(all);
    return TT_OK;
}

static void test_an_operation_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct tt_err err;
    assert_int_equal(tt_self_run(refuse, NULL, &err), TT_OK);
}

/* --- what is sent ------------------------------------------------------------------------------------------------------------- */

static void test_what_a_rank_sends_is_counted(void **state)
{
    (void)state;
    struct tt_err err = { 0 };
    if (tt_local_run(3, case_sent, NULL, &err) != TT_OK)
        fail_msg("%s", err.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rank_alone_gets_what_it_gives),
        cmocka_unit_test(test_every_operation_between_threads),
        cmocka_unit_test(test_ranks_wait_in_any_order_across_groups),
        cmocka_unit_test(test_ranks_that_wait_for_each_other_are_told),
        cmocka_unit_test(test_the_failure_of_a_rank_wakes_the_others),
        cmocka_unit_test(test_operations_that_do_not_fit_together_are_named),
        cmocka_unit_test(test_an_operation_that_cannot_be_is_refused),
        cmocka_unit_test(test_what_a_rank_sends_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "program/schedule.h"

static void spell(char *out, size_t size, const struct tt_sched *s, int rank)
{
    size_t at = 0;

    *out = 0;
    for (int i = 0; i < s->n[rank]; i++) {
        const struct tt_action *a = &s->rank[rank][i];
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? " " : "", tt_act_names[a->act]);
        if (a->mb >= 0)
            at += (size_t)snprintf(out + at, size - at, "%d", a->mb);
    }
}

static void test_without_stages_microbatches_follow_each_other(void **state)
{
    struct tt_sched s;
    struct tt_err err;
    char text[512];

    (void)state;
    assert_int_equal(tt_sched_make(&s, "1F1B", 1, 1, 3, &err), TT_OK);
    assert_int_equal(tt_sched_lower(&s, &err), TT_OK);
    assert_int_equal(tt_sched_check(&s, &err), TT_OK);
    spell(text, sizeof text, &s, 0);
    assert_string_equal(text, "UNSHARD F0 B0 F1 B1 F2 B2 REDUCE_GRAD STEP");
    tt_sched_release(&s);
}

static void test_stages_warm_up_then_alternate(void **state)
{
    struct tt_sched s;
    struct tt_err err;
    char text[512];

    (void)state;
    assert_int_equal(tt_sched_make(&s, "1F1B", 3, 3, 4, &err), TT_OK);
    assert_int_equal(tt_sched_check(&s, &err), TT_OK);
    spell(text, sizeof text, &s, 0);
    assert_string_equal(text, "F0 F1 F2 B0 F3 B1 B2 B3");
    spell(text, sizeof text, &s, 2);
    assert_string_equal(text, "F0 B0 F1 B1 F2 B2 F3 B3");
    tt_sched_release(&s);
}

static void test_schedules_of_every_size_are_complete(void **state)
{
    static const char *const names[] = { "1F1B", "GPipe" };

    (void)state;
    for (int n = 0; n < 2; n++)
        for (int pp = 1; pp <= 5; pp++)
            for (int nmb = 1; nmb <= 9; nmb++) {
                struct tt_sched s;
                struct tt_err err = { 0 };
                assert_int_equal(tt_sched_make(&s, names[n], pp, pp, nmb, &err), TT_OK);
                assert_int_equal(tt_sched_check(&s, &err), TT_OK);
                tt_sched_release(&s);
            }
}

/* A send is a rendezvous: it returns when the other side receives. */
static void test_a_circle_of_sends_is_found(void **state)
{
    struct tt_sched s;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_sched_make(&s, "GPipe", 2, 2, 2, &err), TT_OK);
    assert_int_equal(tt_sched_lower(&s, &err), TT_OK);
    assert_int_equal(tt_sched_check(&s, &err), TT_OK);
    for (int i = 0; i < s.n[0]; i++) /* rank 0 wants its gradient before it has sent what it is the gradient of */
        if (s.rank[0][i].act == TT_A_SEND_F && s.rank[0][i].mb == 1) {
            const struct tt_action send = s.rank[0][i];
            s.rank[0][i] = s.rank[0][i + 1];
            s.rank[0][i + 1] = send;
            break;
        }
    assert_int_equal(tt_sched_check(&s, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "waits forever"));
    tt_sched_release(&s);
}

static void test_what_is_missing_or_twice_is_named(void **state)
{
    struct tt_sched s;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_sched_make(&s, "1F1B", 1, 1, 2, &err), TT_OK);
    s.rank[0][3].act = TT_A_I; /* the last backward has no weight gradients */
    assert_int_equal(tt_sched_check(&s, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "stage 0, microbatch 1"));
    s.rank[0][3] = s.rank[0][1];
    assert_int_equal(tt_sched_check(&s, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "rank 0, action 3: B of stage 0, microbatch 0 a second time"));
    tt_sched_release(&s);
}

static void test_a_backward_waits_for_its_forward(void **state)
{
    struct tt_sched s;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_sched_make(&s, "1F1B", 1, 1, 1, &err), TT_OK);
    const struct tt_action f = s.rank[0][0];
    s.rank[0][0] = s.rank[0][1];
    s.rank[0][1] = f;
    assert_int_equal(tt_sched_check(&s, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "action 0, B of stage 0, microbatch 0"));
    tt_sched_release(&s);
}

static void test_names_and_counts_that_cannot_be_are_errors(void **state)
{
    struct tt_sched s;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_sched_make(&s, "2F2B", 1, 1, 1, &err), TT_EINVAL);
    assert_int_equal(tt_sched_make(&s, "1F1B", 2, 4, 1, &err), TT_EINVAL);
    assert_int_equal(tt_sched_make(&s, "1F1B", 1, 1, 0, &err), TT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_stages_microbatches_follow_each_other),
        cmocka_unit_test(test_stages_warm_up_then_alternate),
        cmocka_unit_test(test_schedules_of_every_size_are_complete),
        cmocka_unit_test(test_a_circle_of_sends_is_found),
        cmocka_unit_test(test_what_is_missing_or_twice_is_named),
        cmocka_unit_test(test_a_backward_waits_for_its_forward),
        cmocka_unit_test(test_names_and_counts_that_cannot_be_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

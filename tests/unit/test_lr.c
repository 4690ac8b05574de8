/* The learning rate of each step, against TorchTitan 0.2.2's build_lr_schedulers on PyTorch 2.13 (peak 8e-4): all bits of the
 * rates, and its warnings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "train/lr.h"

static const struct {
    int steps, warmup;
    struct tt_maybe_int total;
    struct tt_maybe_float ratio;
    enum tt_decay_type type;
    double min;
    double rate[12];
    const char *warnings;
} cases[] = {
    { 10,
      2,
      { 0 },
      { true, 0.8 },
      TT_DECAY_LINEAR,
      0,
      { 0x1.a36e2eb1c432dp-12, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.6f0068db8bac7p-11, 0x1.3a92a30553262p-11,
        0x1.0624dd2f1a9fcp-11, 0x1.a36e2eb1c432dp-12, 0x1.3a92a30553262p-12, 0x1.a36e2eb1c432dp-13, 0x1.a36e2eb1c432dp-14,
        0x0.0p+0 },
      "" },
    { 10,
      2,
      { 0 },
      { true, 0.25 },
      TT_DECAY_SQRT,
      0.1,
      { 0x1.a36e2eb1c432dp-12, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11,
        0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.310357a10b1e5p-12,
        0x1.4f8b588e368f1p-14 },
      "" },
    { 10,
      0,
      { 0 },
      { 0 },
      TT_DECAY_COSINE,
      0.1,
      { 0x1.a36e2eb1c432dp-11, 0x1.9a314ffcfca24p-11, 0x1.7f62314bd61f9p-11, 0x1.55a0a1fa0531fp-11, 0x1.21030063d6c75p-11,
        0x1.cd5f99c38b04cp-12, 0x1.58b932bf687adp-12, 0x1.defbdf26174b3p-13, 0x1.37f5a1ded394ap-13, 0x1.99724e3473140p-14,
        0x1.4f8b588e368f1p-14 },
      "" },
    { 5,
      8,
      { 0 },
      { true, 0.5 },
      TT_DECAY_LINEAR,
      0,
      { 0x1.4f8b588e368f1p-13, 0x1.4f8b588e368f1p-12, 0x1.f75104d551d69p-12, 0x1.4f8b588e368f1p-11, 0x1.a36e2eb1c432dp-11,
        0x1.a36e2eb1c432dp-11 },
      "Warmup steps (8) exceed total steps (5). Adjusting warmup steps to 5.\n"
      "Warmup (5) + decay (2) steps exceed total steps (5). Adjusting decay steps to 0.\n" },
    { 9,
      3,
      { true, 6 },
      { true, 0.5 },
      TT_DECAY_SQRT,
      0.2,
      { 0x1.179ec9cbd821ep-12, 0x1.179ec9cbd821ep-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.c36858049237fp-12,
        0x1.22eb51ff7e8bfp-12, 0x1.4f8b588e368f1p-13, 0x1.ffa2952ce0515p-15, -0x1.b82caec20887ap-16, -0x1.b8ceb36720646p-14 },
      "" },
    { 7,
      1,
      { true, 10 },
      { true, 0.45 },
      TT_DECAY_COSINE,
      0,
      { 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11,
        0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11, 0x1.660198f276ad3p-11 },
      "" },
    { 3,
      3,
      { 0 },
      { true, 0 },
      TT_DECAY_LINEAR,
      0,
      { 0x1.179ec9cbd821ep-12, 0x1.179ec9cbd821ep-11, 0x1.a36e2eb1c432dp-11, 0x1.a36e2eb1c432dp-11 },
      "" },
};

static void note(void *ctx, enum tt_log_level level, const char *line)
{
    assert_int_equal(level, TT_LOG_WARNING);
    tt_buf_printf(ctx, "%s\n", line);
}

static void test_the_rates_are_those_of_torchtitan(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tt_config_lr_scheduler config = {
            .warmup_steps = cases[i].warmup,
            .total_steps = cases[i].total,
            .decay_ratio = cases[i].ratio,
            .decay_type = cases[i].type,
            .min_lr_factor = cases[i].min,
        };
        struct tt_buf said = { 0 };
        const struct tt_log log = { note, &said };
        struct tt_lr_schedule schedule;
        struct tt_lr lr;
        assert_int_equal(tt_lr_schedule_init(&schedule, &config, cases[i].steps, &log, NULL), TT_OK);
        assert_string_equal(tt_buf_cstr(&said), cases[i].warnings);
        tt_lr_init(&lr, &schedule, 8e-4);
        for (int step = 0; step <= cases[i].steps; step++) {
            assert_int_equal(lr.last_epoch, step);
            assert_int_equal(lr.step_count, step + 1);
            assert_memory_equal(&lr.last, &cases[i].rate[step], sizeof lr.last);
            tt_lr_step(&lr);
        }
        tt_buf_release(&said);
    }
}

/* TorchTitan's own tests, tests/unit_tests/test_lr_scheduler.py: the same settings, and the factors that it expects to 6 decimals of
 * a rate of 0.1. Its types and minima that are not given are the defaults here. */
static const struct {
    const char *name;
    int steps, warmup;
    struct tt_maybe_float ratio;
    double min;
    int first; /* epoch of factor[0] */
    double factor[10];
    int nfactors;
    const char *warnings;
} torchtitans[] = {
    { "test_linear_warmup_decay",
      10,
      2,
      { 0 },
      0,
      0,
      { 0.5, 1, 1, 7.0 / 8, 6.0 / 8, 5.0 / 8, 4.0 / 8, 3.0 / 8, 2.0 / 8, 1.0 / 8 },
      10,
      "" },
    { "test_warmup_stable_decay", 10, 2, { true, 0.5 }, 0, 0, { 0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2 }, 10, "" },
    { "test_min_lr", 10, 2, { 0 }, 0.2, 10, { 0.2 }, 1, "" },
    { "test_warmup_exceeds_training",
      5,
      10,
      { 0 },
      0,
      0,
      { 0.2, 0.4, 0.6, 0.8, 1 },
      5,
      "Warmup steps (10) exceed total steps (5). Adjusting warmup steps to 5.\n" },
    { "test_warmup_stable_only", 10, 2, { true, 0 }, 0, 0, { 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 10, "" },
    { "test_warmup_plus_decay_exceeds_training",
      10,
      5,
      { true, 0.8 },
      0,
      0,
      { 0.2, 0.4, 0.6, 0.8, 1, 1, 0.8, 0.6, 0.4, 0.2 },
      10,
      "Warmup (5) + decay (8) steps exceed total steps (10). Adjusting decay steps to 5.\n" },
};

static void test_torchtitans_tests_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof torchtitans / sizeof *torchtitans; i++) {
        const struct tt_config_lr_scheduler config = { .warmup_steps = torchtitans[i].warmup,
                                                       .decay_ratio = torchtitans[i].ratio,
                                                       .min_lr_factor = torchtitans[i].min };
        struct tt_buf said = { 0 };
        const struct tt_log log = { note, &said };
        struct tt_lr_schedule schedule;
        struct tt_lr lr;
        assert_int_equal(tt_lr_schedule_init(&schedule, &config, torchtitans[i].steps, &log, NULL), TT_OK);
        assert_string_equal(tt_buf_cstr(&said), torchtitans[i].warnings);
        tt_lr_init(&lr, &schedule, 0.1);
        while (lr.last_epoch < torchtitans[i].first)
            tt_lr_step(&lr);
        for (int j = 0; j < torchtitans[i].nfactors; j++) {
            if (!(fabs(lr.last - 0.1 * torchtitans[i].factor[j]) < 5e-7))
                fail_msg("%s: epoch %d: %g", torchtitans[i].name, (int)lr.last_epoch, lr.last);
            tt_lr_step(&lr);
        }
        tt_buf_release(&said);
    }
}

static void test_steps_beyond_a_schedule_that_cannot_decay_are_an_error(void **state)
{
    (void)state;
    const struct tt_config_lr_scheduler config = { .warmup_steps = 5, .total_steps = { true, 5 } };
    struct tt_lr_schedule schedule;
    struct tt_err err;
    assert_int_equal(tt_lr_schedule_init(&schedule, &config, 6, NULL, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "total_steps 5"));
    assert_int_equal(tt_lr_schedule_init(&schedule, &config, 5, NULL, &err), TT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rates_are_those_of_torchtitan),
        cmocka_unit_test(test_torchtitans_tests_pass),
        cmocka_unit_test(test_steps_beyond_a_schedule_that_cannot_decay_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The log's lines and the JSON of a step. The expected step lines are Python's f-strings of TorchTitan's MetricsProcessor.log for
 * the same numbers. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/run_log.h"
#include "train/memory.h"
#include "train/metrics.h"

static const char *format(struct tt_buf *out, const struct tt_step_line *line, bool colors)
{
    tt_buf_clear(out);
    tt_step_line_format(out, line, tt_colors(colors));
    return tt_buf_cstr(out);
}

static void test_a_step_line_is_that_of_torchtitan(void **state)
{
    (void)state;
    struct tt_buf out = { 0 };
    struct tt_step_line line = {
        .report = { .step = 1, .loss = 8.1705051f, .grad_norm = 0.85914f },
        .memory = 1503238554,
        .memory_total = (uint64_t)24 << 30,
        .tps = 1234567.5,
        .tflops = 1234.567,
        .mfu = 0.0123,
    };
    assert_string_equal(format(&out, &line, false), "step:  1  loss:  8.17051  grad_norm:  0.8591  memory:  1.40GiB(5.83%)  "
                                                    "tps: 1,234,568  tflops: 1,234.57  mfu: 0.01%");
    assert_string_equal(format(&out, &line, true),
                        "\033[31mstep:  1  \033[32mloss:  8.17051  \033[38;2;180;60;0mgrad_norm:  0.8591  "
                        "\033[38;2;54;234;195mmemory:  1.40GiB(5.83%)  \033[34mtps: 1,234,568  \033[36mtflops: 1,234.57  "
                        "\033[35mmfu: 0.01%\033[39m");
    line.report = (struct tt_step_report){ .step = 12345, .loss = -NAN, .grad_norm = INFINITY };
    line.tps = 999.5; /* ties go to even: 1,000 */
    line.tflops = 0.005;
    assert_string_equal(format(&out, &line, false), "step: 12345  loss:      nan  grad_norm:     inf  memory:  1.40GiB(5.83%)  "
                                                    "tps: 1,000  tflops: 0.01  mfu: 0.01%");
    tt_buf_release(&out);
}

static void test_a_validation_line_is_that_of_torchtitan(void **state)
{
    (void)state;
    struct tt_buf out = { 0 };
    struct tt_validation_line line = {
        .report = { .step = 1, .loss = 8.1705051 },
        .memory = 1503238554,
        .memory_total = (uint64_t)24 << 30,
        .tps = 1234567.5,
    };
    tt_validation_line_format(&out, &line, tt_colors(true));
    assert_string_equal(tt_buf_cstr(&out),
                        "\033[33mvalidate step:  1  \033[32mloss:  8.1705  \033[38;2;54;234;195mmemory:  1.40GiB(5.83%)  "
                        "\033[34mtps: 1,234,568\033[39m");
    tt_buf_release(&out);
}

static void test_a_log_line_is_that_of_torchtitan(void **state)
{
    (void)state;
    struct tt_buf out = { 0 };
    setenv("TZ", "UTC0", 1);
    tzset();
    tt_run_log_format(&out, TT_LOG_WARNING, (struct timespec){ 1795367135, 33999999 }, "Ran out of data; last step was canceled.");
    assert_string_equal(tt_buf_cstr(&out),
                        "[titan] 2026-11-22 17:05:35,033 - root - WARNING - Ran out of data; last step was canceled.\n");
    tt_buf_release(&out);
}

struct heard {
    int n;
    char last[512];
};

static void hear(void *ctx, enum tt_log_level level, const char *line)
{
    struct heard *heard = ctx;
    (void)level;
    if (strncmp(line, "step:", 5) != 0)
        return;
    heard->n++;
    snprintf(heard->last, sizeof heard->last, "%s", line);
}

static void hear_all(void *ctx, enum tt_log_level level, const char *line)
{
    (void)level;
    tt_buf_printf(ctx, "%s\n", line);
}

static struct tt_config config_of(const char *jsonl)
{
    struct tt_config config;
    tt_config_init(&config);
    config.metrics.save_jsonl = jsonl;
    return config;
}

static void step_through(struct tt_metrics *m, int64_t first, int64_t last)
{
    for (int64_t step = first; step <= last; step++) {
        const struct tt_step_report report = {
            .step = step, .loss = step == 3 ? NAN : 0.1f, .grad_norm = 2.5f, .lr = 8e-4, .ntokens_seen = 100 * step
        };
        tt_metrics_count(m, 100, 0.001);
        assert_int_equal(tt_metrics_step(m, &report, NULL), TT_OK);
    }
}

static void test_lines_come_at_step_1_and_every_log_freq(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    const struct tt_log log = { hear, &heard };
    struct tt_metrics m;
    tt_metrics_init(&m, &log, false, 5);
    step_through(&m, 1, 4);
    assert_int_equal(heard.n, 1);
    step_through(&m, 5, 11);
    assert_int_equal(heard.n, 3);
    assert_non_null(strstr(heard.last, "step: 10  loss:  0.10000"));
}

static void test_json_has_a_line_a_step_and_a_resumed_run_adds_to_it(void **state)
{
    (void)state;
    char path[] = "/tmp/titan-metrics-XXXXXX";
    close(mkstemp(path));
    const struct tt_config config = config_of(path);
    for (int resumed = 0; resumed < 2; resumed++) {
        struct tt_metrics m;
        tt_metrics_init(&m, NULL, false, 10);
        assert_int_equal(tt_metrics_open(&m, &config, 0, resumed, NULL), TT_OK);
        step_through(&m, resumed ? 3 : 1, resumed ? 3 : 2);
        assert_int_equal(tt_metrics_close(&m, NULL), TT_OK);
    }
    struct tt_buf text = { 0 };
    assert_int_equal(tt_file_read_all(&text, path, 1 << 20, NULL), TT_OK);
    const char *json = tt_buf_cstr(&text);
    assert_ptr_equal(strstr(json, "{\"step\": 1, \"loss\": 0.100000001, \"grad_norm\": 2.5, \"lr\": 0.00080000000000000004, "
                                  "\"ntokens\": 100, \"tps\": "),
                     json);
    assert_non_null(strstr(json, ", \"data_seconds\": 0.001, \"memory\": "));
    const char *third = strstr(json, "\n{\"step\": 3, \"loss\": null, \"grad_norm\": 2.5,");
    assert_non_null(third);
    assert_ptr_equal(strchr(third + 1, '\n'), json + text.len - 1);
    tt_buf_release(&text);
    unlink(path);
}

/* As TorchTitan's tps, which are a device's: of ranks that share their tokens each has its part. */
static void test_tokens_a_second_are_one_ranks(void **state)
{
    const struct tt_validation_report report = { .step = 1, .loss = 1, .ntokens = 600, .seconds = 2 };
    char path[] = "/tmp/titan-metrics-XXXXXX";
    const struct tt_config config = config_of(path);
    struct tt_buf text = { 0 };
    struct tt_metrics m;

    (void)state;
    close(mkstemp(path));
    tt_metrics_init(&m, NULL, false, 10);
    m.sharers = 3;
    assert_int_equal(tt_metrics_open(&m, &config, 0, false, NULL), TT_OK);
    assert_int_equal(tt_metrics_validation(&m, &report, NULL), TT_OK);
    step_through(&m, 1, 1);
    assert_int_equal(tt_metrics_close(&m, NULL), TT_OK);
    assert_int_equal(tt_file_read_all(&text, path, 1 << 20, NULL), TT_OK);
    const char *json = tt_buf_cstr(&text), *tps = strstr(json, "\"tps\": "), *seconds = strstr(json, "\"seconds\": ");
    assert_non_null(strstr(json, "\"validation_ntokens\": 600, \"validation_tps\": 100, "));
    assert_true(tps && seconds);
    assert_true(fabs(strtod(tps + 7, NULL) * strtod(seconds + 11, NULL) - 100 / 3.0) < 1e-4);
    tt_buf_release(&text);
    unlink(path);
}

static void test_a_resumed_run_adds_nothing_to_a_line_that_was_cut_short(void **state)
{
    (void)state;
    char path[] = "/tmp/titan-metrics-XXXXXX";
    close(mkstemp(path));
    static const char torn[] = "{\"step\": 1}\n{\"step\": 2, \"lo";
    for (size_t n = 0; n < sizeof torn; n++) { /* cut anywhere */
        const struct tt_config config = config_of(path);
        struct tt_metrics m;
        struct tt_buf text = { 0 };
        assert_int_equal(tt_file_write_all(path, torn, n, NULL), TT_OK);
        tt_metrics_init(&m, NULL, false, 10);
        assert_int_equal(tt_metrics_open(&m, &config, 0, true, NULL), TT_OK);
        step_through(&m, 2, 2);
        assert_int_equal(tt_metrics_close(&m, NULL), TT_OK);
        assert_int_equal(tt_file_read_all(&text, path, 1 << 20, NULL), TT_OK);
        const char *json = tt_buf_cstr(&text), *second = strstr(json, "{\"step\": 2, \"loss\": 0.1");
        assert_ptr_equal(second, json + (n >= 12 ? 12 : 0)); /* the first line's bytes */
        tt_buf_release(&text);
    }
    unlink(path);
}

/* Its time and tokens are not those of the steps around it. */
static void test_a_validation_is_a_line_and_a_json_object_of_its_own(void **state)
{
    (void)state;
    char path[] = "/tmp/titan-metrics-XXXXXX";
    close(mkstemp(path));
    const struct tt_config config = config_of(path);
    struct tt_buf lines = { 0 }, text = { 0 };
    const struct tt_log log = { hear_all, &lines };
    struct tt_metrics m;
    tt_metrics_init(&m, &log, false, 4);
    assert_int_equal(tt_metrics_open(&m, &config, 0, false, NULL), TT_OK);
    step_through(&m, 1, 2);
    usleep(30000);
    const struct tt_validation_report report = { .step = 2, .loss = 7.5, .ntokens = 900, .seconds = 0.03125 };
    assert_int_equal(tt_metrics_validation(&m, &report, NULL), TT_OK);
    assert_non_null(strstr(tt_buf_cstr(&lines), "\nvalidate step:  2  loss:  7.5000  memory: "));
    assert_int_equal(m.line.ntokens + m.line.nsteps + m.step.nsteps, 0);
    assert_true(tt_seconds() - m.line.start < 0.03);
    assert_int_equal(tt_metrics_close(&m, NULL), TT_OK);
    assert_int_equal(tt_file_read_all(&text, path, 1 << 20, NULL), TT_OK);
    assert_non_null(strstr(tt_buf_cstr(&text), "\n{\"step\": 2, \"validation_loss\": 7.5, \"validation_ntokens\": 900, "
                                               "\"validation_tps\": 28800, \"validation_seconds\": 0.03125, \"memory\": "));
    tt_buf_release(&lines);
    tt_buf_release(&text);
    unlink(path);
}

static void test_a_json_file_that_cannot_be_written_is_an_error_with_its_name(void **state)
{
    (void)state;
    struct tt_metrics m;
    struct tt_err err;
    const struct tt_config nowhere = config_of("/nowhere/m.jsonl"), full = config_of("/dev/full");
    tt_metrics_init(&m, NULL, false, 10);
    assert_int_equal(tt_metrics_open(&m, &nowhere, 0, false, &err), TT_ENOENT);
    assert_non_null(strstr(err.msg, "/nowhere/m.jsonl"));
    assert_int_equal(tt_metrics_open(&m, &full, 0, false, &err), TT_OK);
    const struct tt_step_report report = { .step = 1 };
    assert_int_equal(tt_metrics_step(&m, &report, &err), TT_EIO);
    assert_non_null(strstr(err.msg, "/dev/full"));
    assert_int_equal(tt_metrics_close(&m, &err), TT_OK);
}

static void test_peak_memory_sees_what_was_touched(void **state)
{
    (void)state;
    enum { MANY = 64 << 20 };
    tt_memory_reset_peak();
    const uint64_t before = tt_memory_peak();
    volatile char *p = malloc(MANY);
    assert_non_null(p);
    for (size_t i = 0; i < MANY; i += 4096)
        p[i] = 1;
    free((void *)p);
    if (before == 0)
        skip(); /* no /proc */
    assert_true(tt_memory_peak() > before);
    assert_true(tt_memory_peak() < tt_memory_total());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_line_is_that_of_torchtitan),
        cmocka_unit_test(test_a_validation_line_is_that_of_torchtitan),
        cmocka_unit_test(test_a_log_line_is_that_of_torchtitan),
        cmocka_unit_test(test_lines_come_at_step_1_and_every_log_freq),
        cmocka_unit_test(test_json_has_a_line_a_step_and_a_resumed_run_adds_to_it),
        cmocka_unit_test(test_tokens_a_second_are_one_ranks),
        cmocka_unit_test(test_a_resumed_run_adds_nothing_to_a_line_that_was_cut_short),
        cmocka_unit_test(test_a_validation_is_a_line_and_a_json_object_of_its_own),
        cmocka_unit_test(test_a_json_file_that_cannot_be_written_is_an_error_with_its_name),
        cmocka_unit_test(test_peak_memory_sees_what_was_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

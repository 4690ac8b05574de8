/* Axes: round ticks that are inside the range, in labels of one form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "plot/axis.h"
#include "plot/plot.h"

/* A run whose loss goes from one value to the other, over the steps from first on. */
static struct tt_axis axis_of(double from, double to)
{
    const struct tt_plot_point points[] = { { 1, { from } }, { 2, { NAN } }, { 3, { to } } };
    const struct tt_plot_run run = { "run", points, 3 };
    struct tt_axis axis;
    assert_true(tt_axis_of_metric(&axis, &run, 1, TT_PLOT_LOSS, 5));
    return axis;
}

static void test_ticks_are_round_and_have_labels_of_one_form(void **state)
{
    (void)state;
    static const struct {
        double from, to;
        const char *labels;
    } cases[] = {
        { 0, 10, "0 5 10 " },
        { 2.31, 2.69, "2.3 2.4 2.5 2.6 2.7 " },
        { -3, 4, "-2 0 2 4 " },
        { -1, -0.5, "-1.0 -0.8 -0.6 " },
        { 0, 8e-4, "0 0.0002 0.0004 0.0006 0.0008 " },
        { 1e-6, 9e-6, "2e-06 4e-06 6e-06 8e-06 " },
        { 11000, 13000, "11.0k 11.5k 12.0k 12.5k 13.0k " },
        { 0, 5e9, "0 2G 4G " },
        { 1e50, 2e50, "1.0e+50 1.5e+50 2.0e+50 " },
        { 7, 7, "6.5 7.0 7.5 " },
        { 0, 0, "0 0.2 0.4 0.6 0.8 1.0 " },
        { -1e99, 1e99, "-1.0e+99 -5e+98 0 5e+98 1.0e+99 " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tt_axis axis = axis_of(cases[i].from, cases[i].to);
        struct tt_buf labels = { 0 };
        for (int64_t k = axis.first; k <= axis.last; k++) {
            tt_axis_label(&labels, &axis, k);
            tt_buf_byte(&labels, ' ');
            const double place = tt_axis_place(&axis, tt_axis_tick(&axis, k));
            assert_true(place >= -1e-6 && place <= 1 + 1e-6);
        }
        assert_string_equal(tt_buf_cstr(&labels), cases[i].labels);
        assert_true(tt_axis_place(&axis, cases[i].from) >= 0 && tt_axis_place(&axis, cases[i].to) <= 1);
        tt_buf_release(&labels);
    }
}

static void test_steps_have_whole_ticks(void **state)
{
    (void)state;
    const struct tt_plot_point points[] = { { 3, { 0 } }, { 4, { 0 } }, { 5, { 0 } } };
    const struct tt_plot_run runs[] = { { "a", points, 2 }, { "b", points + 1, 2 } };
    struct tt_axis axis;
    assert_true(tt_axis_of_steps(&axis, runs, 2, 6));
    assert_int_equal(axis.first, 3);
    assert_int_equal(axis.last, 5);
    assert_int_equal(axis.exponent, 0);
}

static void test_any_width_can_be_drawn(void **state)
{
    (void)state;
    const struct tt_plot_point points[] = { { 0, { 1, NAN, -1e100, 0 } }, { 9e18, { 2, NAN, 1e100, 0 } } };
    const struct tt_plot_run run = { "run", points, 2 };
    for (int columns = -1; columns < 300; columns++) {
        struct tt_buf out = { 0 };
        tt_plot_text(&out, &run, 1, columns, columns % 2);
        assert_int_equal(tt_buf_check(&out, "text", NULL), TT_OK);
        tt_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks_are_round_and_have_labels_of_one_form),
        cmocka_unit_test(test_steps_have_whole_ticks),
        cmocka_unit_test(test_any_width_can_be_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

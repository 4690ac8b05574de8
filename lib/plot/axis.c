#include "plot/axis.h"

#include <math.h>

/* --- ranges ---------------------------------------------------------------------------------------------------------------- */

/* The smallest 1, 2 or 5 times a power of ten that is not less than x > 0. */
static void round_up(struct tt_axis *axis, double x)
{
    static const int mantissas[] = { 1, 2, 5 };
    int exponent = (int)floor(log10(x));
    for (;; exponent++)
        for (int i = 0; i < 3; i++)
            if (mantissas[i] * pow(10, exponent) >= x * (1 - 1e-9)) {
                axis->mantissa = mantissas[i];
                axis->exponent = exponent;
                return;
            }
}

/* An axis with some room beside min and max, but not across 0. A range that is nothing, or next to nothing beside its values, is
 * widened: a constant is a line through the middle. */
static struct tt_axis make(double min, double max, double least_tick, int nticks)
{
    struct tt_axis axis = { .lo = min, .hi = max };
    const double size = fmax(fabs(min), fabs(max));
    double room = 0.04 * (max - min);

    if (max - min <= 1e-6 * size || max == min)
        room = size > 0 ? 0.1 * size : 1;
    axis.lo = min >= 0 ? fmax(min - room, 0) : min - room;
    axis.hi = max <= 0 && min < 0 ? fmin(max + room, 0) : max + room;
    round_up(&axis, fmax((axis.hi - axis.lo) / nticks, least_tick));
    const double tick = tt_axis_tick(&axis, 1);
    axis.first = (int64_t)ceil(axis.lo / tick - 1e-9);
    axis.last = (int64_t)floor(axis.hi / tick + 1e-9);
    return axis;
}

bool tt_axis_of_steps(struct tt_axis *out, const struct tt_plot_run *runs, size_t nruns, int nticks)
{
    double min = INFINITY, max = -INFINITY;
    for (size_t r = 0; r < nruns; r++) {
        min = fmin(min, runs[r].points[0].step);
        max = fmax(max, runs[r].points[runs[r].n - 1].step);
    }
    *out = make(nruns ? min : 0, nruns ? max : 1, 1, nticks); /* a step is whole */
    return nruns > 0;
}

bool tt_axis_of_metric(struct tt_axis *out, const struct tt_plot_run *runs, size_t nruns, enum tt_plot_metric metric, int nticks)
{
    double min = INFINITY, max = -INFINITY;
    for (size_t r = 0; r < nruns; r++)
        for (size_t i = 0; i < runs[r].n; i++) { /* fmin and fmax leave out a NaN */
            min = fmin(min, runs[r].points[i].value[metric]);
            max = fmax(max, runs[r].points[i].value[metric]);
        }
    const bool any = min <= max;
    *out = make(any ? min : 0, any ? max : 1, 0, nticks);
    return any;
}

double tt_axis_place(const struct tt_axis *axis, double v) { return (v - axis->lo) / (axis->hi - axis->lo); }

double tt_axis_tick(const struct tt_axis *axis, int64_t i)
{
    /* Dividing by a whole power of ten rounds once, where multiplying by a negative one rounds twice. */
    const double n = (double)(i * axis->mantissa);
    return axis->exponent < 0 ? n / pow(10, -axis->exponent) : n * pow(10, axis->exponent);
}

/* --- labels ---------------------------------------------------------------------------------------------------------------- */

void tt_axis_label(struct tt_buf *out, const struct tt_axis *axis, int64_t i)
{
    static const char suffixes[] = { [3] = 'k', [6] = 'M', [9] = 'G' };
    const double v = tt_axis_tick(axis, i), most = fmax(fabs(axis->lo), fabs(axis->hi));
    int scale = 0;

    if (i == 0) {
        tt_buf_byte(out, '0');
    } else if (most >= 1e12 || axis->exponent < -4) {
        tt_buf_printf(out, "%.*e", (int)floor(log10(fabs(v))) - axis->exponent, v);
    } else {
        while (most >= 1e4 && scale < 9 && most >= pow(10, scale + 3))
            scale += 3;
        const int decimals = scale - axis->exponent;
        tt_buf_printf(out, "%.*f", decimals > 0 ? decimals : 0, v / pow(10, scale));
        if (scale)
            tt_buf_byte(out, (uint8_t)suffixes[scale]);
    }
}

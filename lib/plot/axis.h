/* lib/plot/axis.h: the range of an axis, its round ticks, and what is written beside them. */
#ifndef TT_PLOT_AXIS_H
#define TT_PLOT_AXIS_H

#include "base/buf.h"
#include "plot/runs.h"

/* Ticks are the multiples first .. last of mantissa * 10^exponent, mantissa 1, 2 or 5. */
struct tt_axis {
    double lo, hi; /* lo < hi */
    int64_t first, last;
    int mantissa, exponent;
};

/* Of all the runs' steps, or of their values of a metric, with about nticks ticks or fewer. *out is that of 0 to 1 where no run
 * has a value: false. */
bool tt_axis_of_steps(struct tt_axis *out, const struct tt_plot_run *runs, size_t nruns, int nticks);
bool tt_axis_of_metric(struct tt_axis *out, const struct tt_plot_run *runs, size_t nruns, enum tt_plot_metric metric, int nticks);

/* Where v lies: 0 at lo, 1 at hi. */
double tt_axis_place(const struct tt_axis *axis, double v);
double tt_axis_tick(const struct tt_axis *axis, int64_t i);

/* Tick i in the form that suits all ticks of the axis: "0.25", "12.5k", "1.2e-05". */
void tt_axis_label(struct tt_buf *out, const struct tt_axis *axis, int64_t i);

#endif

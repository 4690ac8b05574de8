/* lib/plot/plot.h: curves of training runs over their steps, as a picture and as text: a panel each for loss, gradient norm,
 * learning rate and tokens/s, all runs in each, and a legend. */
#ifndef TT_PLOT_PLOT_H
#define TT_PLOT_PLOT_H

#include "base/buf.h"
#include "plot/runs.h"

/* Appends an SVG document of nruns > 0 runs. Of many points in one column of pixels the least and the greatest value are drawn,
 * so that no peak is lost and the file stays small. */
void tt_plot_svg(struct tt_buf *out, const struct tt_plot_run *runs, size_t nruns);

/* Appends lines of `columns` characters, each run in a character of its own, the mean of its values in a column; in colours, as a
 * terminal has them, where asked for. */
void tt_plot_text(struct tt_buf *out, const struct tt_plot_run *runs, size_t nruns, int columns, bool colors);

#endif

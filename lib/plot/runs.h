/* lib/plot/runs.h: what metrics.save_jsonl wrote, to be drawn. */
#ifndef TT_PLOT_RUNS_H
#define TT_PLOT_RUNS_H

#include "base/arena.h"
#include "base/err.h"

/* The numbers of a step that are drawn, each in a panel of its own. */
enum tt_plot_metric { TT_PLOT_LOSS, TT_PLOT_GRAD_NORM, TT_PLOT_LR, TT_PLOT_TPS, TT_PLOT_NMETRIC };

extern const struct tt_plot_metric_row {
    const char *key, *title; /* of the JSON object, and of the panel */
} tt_plot_metrics[TT_PLOT_NMETRIC];

struct tt_plot_point {
    double step;
    double value[TT_PLOT_NMETRIC]; /* NaN: there is none */
};

struct tt_plot_run {
    const char *name;                   /* valid UTF-8 without control characters */
    const struct tt_plot_point *points; /* (n), n > 0, of rising steps */
    size_t n;
};

/* Reads a file of JSON lines, "-" for the standard input; the run lives in the arena. Where steps come again, as in the file of
 * a run that was resumed, the later ones count. A last line without its end is left out: the run may be going on. TT_EFORMAT
 * with path and line: no JSON object, no "step" of at least 0, a number that is none; no step at all. */
TT_MUST_CHECK tt_status tt_plot_read(struct tt_plot_run *out, struct tt_arena *arena, const char *path, struct tt_err *err);

#endif

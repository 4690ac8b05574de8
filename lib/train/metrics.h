/* lib/train/metrics.h: what a run reports about its steps and validations: TorchTitan's lines in the log, the same and more for
 * TensorBoard, and a JSON object each.
 *
 *   step:  1  loss:  8.17051  grad_norm:  0.8591  memory:  0.31GiB(1.29%)  tps: 12,345  tflops: 0.44  mfu: 0.14%
 *   validate step:  1  loss:  8.1613  memory:  0.31GiB(1.29%)  tps: 23,456
 *
 * A step's line, and TensorBoard's numbers, come at step 1 and every log_freq steps, a validation's always; memory is the peak of
 * resident memory since the last line of either, tps what one process does: the tokens of this data-parallel rank since then over
 * the time and the ranks that share them. mfu is held against what the machine reaches in products of the run's type
 * (train/peak.h), which is measured when the first step is reported and logged then. TorchTitan, which knows accelerators only, takes an
 * A100's 312 TFLOPS for any other device. */
#ifndef TT_TRAIN_METRICS_H
#define TT_TRAIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pool.h"
#include "config/config.h"
#include "tensor/dtype.h"
#include "train/tensorboard.h"

/* TorchTitan's colours, each "" where the log goes to no terminal or metrics.disable_color_printing is set. */
struct tt_colors {
    const char *red, *green, *yellow, *blue, *magenta, *cyan, *orange, *turquoise, *reset;
};
const struct tt_colors *tt_colors(bool on);

struct tt_step_report {
    int64_t step;
    float loss;           /* sum over tokens over the number of valid tokens, of all microbatches */
    float max_loss;       /* of the rank where that is largest, of its own tokens; where a line is due */
    float grad_norm;      /* before clipping */
    double lr;            /* that the step was taken with */
    int64_t ntokens_seen; /* by this rank, since the first step of all */
};

struct tt_validation_report {
    int64_t step;
    double loss;     /* mean of the batches' */
    int64_t ntokens; /* of this validation */
    double seconds;
};

/* What happened since `start`. */
struct tt_metrics_span {
    double start; /* seconds */
    int64_t nsteps, ntokens, nbatches;
    double data_seconds; /* that reading the batches took */
};

struct tt_metrics {
    const struct tt_log *log;
    const struct tt_colors *colors;
    int64_t log_freq;
    uint64_t flops_per_token, memory_total;
    int sharers;                 /* ranks that have the same tokens, this one among them; 1 until it is set */
    struct tt_pool *pool;        /* borrowed; with product_dtype, what the peak is measured with: to be set before the first step */
    enum tt_dtype product_dtype; /* of the model's matrix products */
    double peak_flops;           /* 0: not measured yet */
    struct tt_metrics_span line, step; /* since the last line, and since the last step */
    FILE *jsonl;
    const char *jsonl_path; /* borrowed; "-": jsonl is stdout */
    struct tt_tensorboard tensorboard;
};

/* Starts the clocks and logs the machine's memory. log is borrowed and may be NULL. */
void tt_metrics_init(struct tt_metrics *out, const struct tt_log *log, bool colors, int64_t log_freq);

/* Opens what the settings ask for: the JSON file, metrics.save_jsonl, which a run from the first step on begins anew and one that
 * resumes continues, and TensorBoard's, which is this rank's. config is borrowed. */
TT_MUST_CHECK tt_status tt_metrics_open(struct tt_metrics *metrics, const struct tt_config *config, int rank, bool resumed,
                                        struct tt_err *err);

/* Is a line due for that step? The same on all ranks. */
bool tt_metrics_has_line(const struct tt_metrics *metrics, int64_t step);

/* The tokens that a microbatch brought, and the seconds that reading it took. */
void tt_metrics_count(struct tt_metrics *metrics, int64_t ntokens, double seconds);

/* A step is done: its JSON object, and its line where one is due; nothing where there is neither log nor file. TT_EIO where one of
 * the files cannot be written. The first call measures the peak, which no step's time includes. */
TT_MUST_CHECK tt_status tt_metrics_step(struct tt_metrics *metrics, const struct tt_step_report *report, struct tt_err *err);

/* A validation is done: its JSON object and its line; the time until now is not the next step's. */
TT_MUST_CHECK tt_status tt_metrics_validation(struct tt_metrics *metrics, const struct tt_validation_report *report,
                                              struct tt_err *err);

/* Closes the files, whose last bytes can fail late. Fine on a zeroed struct and twice. */
TT_MUST_CHECK tt_status tt_metrics_close(struct tt_metrics *metrics, struct tt_err *err);

/* What the model takes, once it is there. */
void tt_metrics_log_model(const struct tt_metrics *metrics);

/* What the step line shows, apart from where it comes from. */
struct tt_step_line {
    struct tt_step_report report;
    uint64_t memory, memory_total; /* bytes */
    double tps, tflops, mfu;
    /* Seconds of a step, and of the reading of a microbatch; the percentage of the time that all the reading took. */
    double end_to_end, data_loading, data_loading_pct;
};
void tt_step_line_format(struct tt_buf *out, const struct tt_step_line *line, const struct tt_colors *colors);

struct tt_validation_line {
    struct tt_validation_report report;
    uint64_t memory, memory_total; /* bytes */
    double tps;
};
void tt_validation_line_format(struct tt_buf *out, const struct tt_validation_line *line, const struct tt_colors *colors);

/* 1234567 as "1,234,567". */
void tt_buf_thousands(struct tt_buf *out, int64_t n);

#endif

/* lib/train/validator.h: the loss on a second dataset at step 1 and every validation.freq steps, as TorchTitan has it.
 *
 *   loss = mean over the batches of (sum of cross entropies / valid labels of the batch)
 *
 * A validation goes on in its data where the one before it ended; data that TorchTitan streams begins anew, after the tokens that were
 * left over (tt_loader_restart). Of validation.steps batches one more is read than is counted. -1 reads to the end of the data.
 *
 * In a run of several ranks all of them validate together: a batch is what each of them has read of its own data, be it nothing where
 * another still has some. */
#ifndef TT_TRAIN_VALIDATOR_H
#define TT_TRAIN_VALIDATOR_H

#include "base/log.h"
#include "config/config.h"
#include "data/loader.h"
#include "train/metrics.h"
#include "train/ranks.h"
#include "train/step.h"

struct tt_validator { /* zeroed: none is asked for */
    const struct tt_config *config;
    const struct tt_ranks *ranks;
    const struct tt_log *log;
    struct tt_step *step; /* the loss of a batch; owned, as is the loader */
    struct tt_loader *loader;
};

/* Plans the forward pass beside that of `train`, which `opts` describe, and logs what it takes; nothing without validation.enable.
 * TT_EINVAL: sequences that the model has no positions for. config, train, ranks and log are borrowed. */
TT_MUST_CHECK tt_status tt_validator_init(struct tt_validator *out, const struct tt_config *config, const struct tt_step_opts *opts,
                                          const struct tt_step *train, const struct tt_ranks *ranks, const struct tt_log *log,
                                          struct tt_err *err);
/* What it takes beside training; 0 where none is asked for. */
uint64_t tt_validator_nbytes(const struct tt_validator *v);
/* Opens the data; tok is borrowed. */
TT_MUST_CHECK tt_status tt_validator_open(struct tt_validator *v, const struct tt_tokenizer *tok, struct tt_err *err);
void tt_validator_release(struct tt_validator *v); /* fine on a zeroed struct */

bool tt_validator_is_due(const struct tt_validator *v, int64_t step);

/* Validates after this step, and rank 0 reports it. TT_EINVAL: the data has not a single batch. */
TT_MUST_CHECK tt_status tt_validator_run(struct tt_validator *v, int64_t step, struct tt_metrics *metrics, struct tt_err *err);

/* Reads what a validation reads, and computes nothing: the place after one that an earlier run has made. */
TT_MUST_CHECK tt_status tt_validator_skip(struct tt_validator *v, struct tt_err *err);

#endif

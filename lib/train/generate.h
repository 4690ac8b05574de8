/* lib/train/generate.h: how a model goes on from a text: [generate], which is titan's own section. TorchTitan has a script beside its
 * trainer for it (scripts/generate/test_generate.py), which computes the whole text again for each token; the tokens are the same.
 *
 * The prompt is generate.prompt, or with "-" the standard input, with BOS before it and no EOS behind; batch_size sequences go on from
 * it by max_new_tokens each, whatever they are. The weights are those that training would start from: checkpoint.load_step or the
 * newest step in checkpoint.folder, or checkpoint.initial_load_path. Everything is computed in training.dtype. */
#ifndef TT_TRAIN_GENERATE_H
#define TT_TRAIN_GENERATE_H

#include "base/log.h"
#include "config/config.h"

struct tt_generate_opts {
    const struct tt_log *log; /* borrowed; may be NULL */
    int threads;              /* 0: one a core */
    bool dry_run;             /* all but the text */
    /* Gets the text in pieces, as it comes: whole characters; the first sequence's, then that of each other one, a newline behind each.
     * With generate.out: once, a JSON object in the form of TorchTitan's script. */
    tt_status (*put)(void *ctx, const char *text, size_t nbytes, struct tt_err *err);
    void *ctx;
};

/* TT_EINVAL: nothing to load weights from, more tokens than training.seq_len, comm.mode fake_backend, one of several processes
 * that a launcher started. */
TT_MUST_CHECK tt_status tt_generate(const struct tt_config *config, const struct tt_generate_opts *opts, struct tt_err *err);

#endif

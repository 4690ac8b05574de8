/* lib/train/trainer.h: a training run of one process, from its settings to its last checkpoint. */
#ifndef TT_TRAIN_TRAINER_H
#define TT_TRAIN_TRAINER_H

#include <signal.h>
#include <stdbool.h>

#include "base/log.h"
#include "config/config.h"

struct tt_trainer_opts {
    const struct tt_log *log; /* borrowed; may be NULL */
    bool colors;              /* the log is a terminal */
    int threads;              /* 0: one a core */
    bool dry_run;             /* everything up to the first step, and the save of a seed checkpoint, and no further; nothing is written */
    /* Set by a signal handler to the signal's number: the step in progress, and a save and a validation that are due after it, are
     * finished, then the run ends, after any signal but SIGINT with a full save of that step. NULL: never. Nothing looks at it before
     * the first step; `started`, which may be NULL, is called when that is about to come. */
    const volatile sig_atomic_t *stop;
    void (*started)(void);
};

/* Trains to training.steps, or to the end of the data (a warning, as in TorchTitan), or until *stop; all of them are TT_OK, and
 * *stopped tells the last one. With checkpoint.create_seed_checkpoint: saves the initial weights as step 0 and ends. With comm.mode fake_backend:
 * tells in the log what a step would take, and ends; no memory is taken for it, and no data opened. */
TT_MUST_CHECK tt_status tt_train(bool *stopped, const struct tt_config *config, const struct tt_trainer_opts *opts,
                                 struct tt_err *err);

#endif

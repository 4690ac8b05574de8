/* lib/train/checkpoint.h: when a run saves and what it starts from: [checkpoint] as TorchTitan has it.
 *
 *   <dump_folder>/<folder>/step-<N>    see step_dirs.h
 *
 * A folder without a complete step counts as absent. Saving is lib/ckpt's: a step appears whole or not at all.
 *
 * In a run of several ranks all of them make, load and save together: rank 0 says what is loaded, each reads and writes its own part
 * of the state, and a failure of one is one of all. */
#ifndef TT_TRAIN_CHECKPOINT_H
#define TT_TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/pool.h"
#include "config/config.h"
#include "train/ranks.h"
#include "train/state.h"

struct tt_checkpointer {
    const struct tt_config *config; /* borrowed, as is all below */
    const struct tt_log *log;
    struct tt_pool *pool;
    struct tt_ranks *ranks; /* NULL: alone */
    char *folder;     /* owned; NULL: checkpointing is off */
    unsigned exclude; /* parts that are not loaded */
    int64_t saved;    /* the step that a checkpoint has all of: the newest one, or the one that the run began with */
    bool read_only;   /* what dead processes left is not set right */
    struct tt_checkpointer_background *background; /* owned; NULL: saves are made in the foreground */
};

/* TT_EINVAL: a part to exclude that there is not, keep_latest_k of 1, a last_save_in_hf that cannot be, a folder that nothing can be
 * saved in (TT_EIO: that may not be written). Off where
 * checkpoint.enable is: load and save do nothing. With async_mode the memory for a copy of the state is taken; *out then stays
 * where it is. */
TT_MUST_CHECK tt_status tt_checkpointer_init(struct tt_checkpointer *out, const struct tt_config *config,
                                             const struct tt_train_state *state, struct tt_ranks *ranks, const struct tt_log *log,
                                             struct tt_pool *pool, struct tt_err *err);
void tt_checkpointer_release(struct tt_checkpointer *ckpt); /* waits */

/* Until no save is in the making in the background; what became of it is in the log. */
void tt_checkpointer_wait(struct tt_checkpointer *ckpt);

/* checkpoint.load_step (without a folder a warning), or the newest complete step that can be read and has what is to be loaded
 * (why newer ones are skipped is a warning each), or where no step is complete initial_load_path, which may be a Hugging Face
 * folder (initial_load_in_hf: model.hf_assets_path by default). *loaded: the parts of the state (TT_STATE_*) that came from there, 0
 * where there was nothing. Step 0 is a seed: its model alone, and only where it is the newest; of what is loaded as a model alone
 * exclude_from_loading leaves out nothing. An error where steps are complete but none of them can be gone on from. Settings
 * that the checkpoint overrides are a warning each. */
TT_MUST_CHECK tt_status tt_checkpointer_load(struct tt_checkpointer *ckpt, struct tt_train_state *state, unsigned *loaded,
                                             struct tt_err *err);

enum tt_save_when {
    TT_SAVE_DUE,     /* after any step: every interval steps, and the first one with enable_first_step_checkpoint */
    TT_SAVE_LAST,    /* after the last one, always; obeys last_save_model_only, last_save_in_hf and export_dtype */
    TT_SAVE_STOPPED, /* where a run ends before: all of the state, but where a checkpoint has it already */
};

/* After a save that is not the last one, complete steps beyond the latest keep_latest_k are removed, but for the one saved. A save that was due and
 * fails is a warning: the next one that is due is another try. With async_mode, whichever it is, what is due is copied and saved
 * by a thread of its own, after the one before; all other saves are made here. */
TT_MUST_CHECK tt_status tt_checkpointer_save(struct tt_checkpointer *ckpt, const struct tt_train_state *state,
                                             enum tt_save_when when, struct tt_err *err);

#endif

/* lib/train/step_dirs.h: the steps in a folder of checkpoints.
 *
 *   <folder>/step-<N>    N in decimal, without a zero in front; complete where it has .metadata, or safetensors in Hugging Face's form
 *
 * Any other name is none of ours, but what stands there while ranks make a model of another form from theirs. */
#ifndef TT_TRAIN_STEP_DIRS_H
#define TT_TRAIN_STEP_DIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"

extern const char tt_staged_model[];

struct tt_step_dir {
    int64_t step;
    char *path;
    bool complete, is_hf;
};

struct tt_step_dirs {
    struct tt_step_dir *dir; /* (n) in ascending order */
    size_t n;
};

/* All of them, in the arena; none where there is no folder. */
TT_MUST_CHECK tt_status tt_step_dirs_list(struct tt_step_dirs *out, struct tt_arena *arena, const char *folder, struct tt_err *err);

/* NULL: none is complete. */
const struct tt_step_dir *tt_step_dirs_newest(const struct tt_step_dirs *steps);

/* NULL: that step is not there, or not complete. */
const struct tt_step_dir *tt_step_dirs_find(const struct tt_step_dirs *steps, int64_t step);

/* Removes all complete steps but the latest `keep`, and the one just saved, which is older than some where a run went on from an older
 * one (load_step). Those that are not complete are nobody's to count: they may be in the
 * making. */
TT_MUST_CHECK tt_status tt_step_dirs_retain(const char *folder, int64_t keep, int64_t saved, const struct tt_log *log,
                                            struct tt_err *err);

#endif

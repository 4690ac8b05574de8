/* lib/train/memory_snapshot.h: where the memory of a step goes, twice in
 *
 *   <job.dump_folder>/<profiling.save_memory_snapshot_folder>/iteration_<step>/
 *
 *   rank<rank>_memory_snapshot.pickle   in the form of torch.cuda.memory._snapshot(), for PyTorch's viewers
 *   rank<rank>_memory.txt               a table for everybody else
 *
 * Titan's memory is planned before the first step, and every step has the same: what is written is that plan. Its addresses are
 * made up: each block begins where the one before it ends. */
#ifndef TT_TRAIN_MEMORY_SNAPSHOT_H
#define TT_TRAIN_MEMORY_SNAPSHOT_H

#include "base/arena.h"
#include "base/log.h"
#include "config/config.h"
#include "train/step.h"

struct tt_memory_snapshot {
    const struct tt_config_profiling *config; /* NULL: nothing is asked for */
    const struct tt_log *log;
    int rank;
    const struct tt_step *step;
    struct tt_arena arena;
    const char *folder; /* in the arena */
};

/* Makes the folder where profiling.enable_memory_snapshot asks for snapshots. All but the err is borrowed. */
TT_MUST_CHECK tt_status tt_memory_snapshot_open(struct tt_memory_snapshot *out, const struct tt_config *config, int rank,
                                                const struct tt_step *step, const struct tt_log *log, struct tt_err *err);

/* After each step, from 1: writes where profiling.profile_freq says. */
TT_MUST_CHECK tt_status tt_memory_snapshot_end(const struct tt_memory_snapshot *snapshot, int64_t step, struct tt_err *err);

/* Of a run that had no memory for its first step; `step` is a plan alone. */
TT_MUST_CHECK tt_status tt_memory_snapshot_exit(const struct tt_memory_snapshot *snapshot, struct tt_err *err);
void tt_memory_snapshot_release(struct tt_memory_snapshot *snapshot); /* fine on a zeroed struct */

/* The two texts, appended. TT_ENOMEM. */
TT_MUST_CHECK tt_status tt_memory_snapshot_table(struct tt_buf *out, const struct tt_step *step, struct tt_err *err);
TT_MUST_CHECK tt_status tt_memory_snapshot_pickle(struct tt_buf *out, const struct tt_step *step, struct tt_err *err);

#endif

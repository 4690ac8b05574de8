/* lib/train/tensorboard.h: a run's event file, where TorchTitan has it, for TensorBoard:
 *
 *   <job.dump_folder>/<metrics.save_tb_folder>/<%Y%m%d-%H%M>[/rank_N]/events.out.tfevents.<seconds>.<host>.<process>.0
 *
 * with the rank where metrics.save_for_all_ranks is set. Each run has a file of its own, one that resumes too. */
#ifndef TT_TRAIN_TENSORBOARD_H
#define TT_TRAIN_TENSORBOARD_H

#include "base/arena.h"
#include "base/log.h"
#include "config/config.h"
#include "format/tfevents.h"

struct tt_tensorboard {
    struct tt_arena arena;
    const char *path; /* of the file, in the arena; NULL: it is closed */
    int fd;
};

/* Makes the folder and the file, and logs where they are. TT_EIO, TT_ENOMEM. */
TT_MUST_CHECK tt_status tt_tensorboard_open(struct tt_tensorboard *out, const struct tt_config *config, int rank,
                                            const struct tt_log *log, struct tt_err *err);

/* The numbers of a step, which a reader sees from now on. */
TT_MUST_CHECK tt_status tt_tensorboard_write(struct tt_tensorboard *tb, int64_t step, const struct tt_tfscalar *scalars, size_t n,
                                             struct tt_err *err);

/* Fine on a zeroed struct and twice. */
TT_MUST_CHECK tt_status tt_tensorboard_close(struct tt_tensorboard *tb, struct tt_err *err);

#endif

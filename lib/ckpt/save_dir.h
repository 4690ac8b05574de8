/* lib/ckpt/save_dir.h: a folder that appears whole or not at all (see save.h for the names and the promises). */
#ifndef TT_CKPT_SAVE_DIR_H
#define TT_CKPT_SAVE_DIR_H

#include "base/err.h"
#include "base/log.h"

struct tt_save_dir {
    char *final, *parent, *tmp; /* owned */
    int lock_fd;                /* the temporary folder, locked: it lives as long as this process */
    const struct tt_log *log;
};

/* Makes the folders above `dir`, removes what dead processes left half-written there, makes the temporary folder. */
TT_MUST_CHECK tt_status tt_save_dir_open(struct tt_save_dir *out, const char *dir, const struct tt_log *log, struct tt_err *err);

/* fsyncs the temporary folder and gives it its final name, in place of what has that name. The files in it are fsynced by who wrote
 * them. On error the temporary folder is removed. */
TT_MUST_CHECK tt_status tt_save_dir_commit(struct tt_save_dir *save, struct tt_err *err);

void tt_save_dir_abandon(struct tt_save_dir *save); /* fine after commit, and on a zeroed struct */

#endif

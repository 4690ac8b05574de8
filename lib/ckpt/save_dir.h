/* lib/ckpt/save_dir.h: a folder that appears whole or not at all (see save.h for the names and the promises). */
#ifndef TT_CKPT_SAVE_DIR_H
#define TT_CKPT_SAVE_DIR_H

#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"

struct tt_save_dir {
    char *final, *parent, *tmp; /* owned */
    int lock_fd;                /* the temporary folder, locked: it lives as long as this process */
    bool no_replace;            /* set between open and commit: only an empty folder is replaced */
    const struct tt_log *log;
};

/* Sets right what dead processes left in the folder of the steps: a step that was put aside to be replaced gets its name back where
 * nothing has it, folders and files half-written are removed. Before looking for the newest step, and at the begin of each save. What cannot
 * be done is logged. */
void tt_save_dir_recover(const char *parent, const struct tt_log *log);

/* Makes the folders above `dir`, removes what dead processes left half-written there, makes the temporary folder, which nobody else
 * may enter (0700). */
TT_MUST_CHECK tt_status tt_save_dir_open(struct tt_save_dir *out, const char *dir, const struct tt_log *log, struct tt_err *err);

/* fsyncs the temporary folder and gives it the mode that a new folder has and its final name, in place of what has that name, which is removed. The files in it
 * are fsynced by who wrote them. On error the temporary folder is removed, and the name belongs to whom it belonged before. */
TT_MUST_CHECK tt_status tt_save_dir_commit(struct tt_save_dir *save, struct tt_err *err);

void tt_save_dir_abandon(struct tt_save_dir *save); /* fine after commit, and on a zeroed struct */

#endif

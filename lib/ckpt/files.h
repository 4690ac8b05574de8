/* lib/ckpt/files.h: the files of a checkpoint, open while they are read. A job of many ranks has more of them than a process may
 * hold open: those that were not used for longest are closed, and opened again when needed. From any thread. */
#ifndef TT_CKPT_FILES_H
#define TT_CKPT_FILES_H

#include <pthread.h>

#include "base/file.h"

enum { TT_FILES_OPEN_MAX = 64 }; /* without those that are pinned; fewer where the process may not have as many */

struct tt_files {
    const char *folder;       /* borrowed, as are the names */
    const char *const *names; /* (n), relative to the folder; "" is the folder itself: a checkpoint that is one file */
    size_t n, nopen;
    enum { TT_FILES_UNKNOWN, TT_FILES_BY_KERNEL, TT_FILES_BY_READING } copied; /* tt_files_by_kernel */
    uint64_t clock;              /* counts pins */
    struct tt_files_slot *slots; /* (n) */
    struct tt_infile spill;      /* one more, of index n: temporary, without a name; fd -1: not needed so far */
    uint64_t spill_end;
    char *spill_folder;          /* owned */
    pthread_mutex_t lock;        /* over all of it */
};

TT_MUST_CHECK tt_status tt_files_init(struct tt_files *files, const char *folder, const char *const *names, size_t n,
                                      struct tt_err *err);
void tt_files_release(struct tt_files *files); /* nothing is pinned; fine on a zeroed struct */

/* Whether what is copied from the files is best copied by the kernel: files may share blocks there, or some have holes, which it keeps.
 * Elsewhere (ext4, tmpfs) copy_file_range copies page after page, which takes twice as long as reads and writes of a buffer that
 * stays in the cache. One thread at a time. */
bool tt_files_by_kernel(struct tt_files *files);

/* TT_EINVAL where there are no files: what came through a pipe. The file is open until it is unpinned as often as it was pinned. */
TT_MUST_CHECK tt_status tt_files_pin(struct tt_files *files, uint32_t index, const struct tt_infile **out, struct tt_err *err);
void tt_files_unpin(struct tt_files *files, uint32_t index);

/* Where the spill file is made: beside an output, for the disk that has the room. Without it, in $TMPDIR or /tmp. Before it is
 * needed. */
TT_MUST_CHECK tt_status tt_files_spill_into(struct tt_files *files, const char *folder, struct tt_err *err);

/* Room for nbytes in the spill file, which is made where there is none; it goes with the files, or with the process. */
TT_MUST_CHECK tt_status tt_files_spill_take(struct tt_files *files, uint64_t nbytes, uint64_t *offset, struct tt_err *err);
TT_MUST_CHECK tt_status tt_files_spill_write(struct tt_files *files, const void *bytes, size_t nbytes, uint64_t offset,
                                             struct tt_err *err);
void tt_files_spill_give(struct tt_files *files, uint64_t nbytes, uint64_t offset); /* the disk may have it back */

#endif

/* lib/ckpt/save.h: from memory to a DCP folder, as torch.distributed.checkpoint writes it.
 *
 *   <folder>/step-10/.metadata         what there is and where; written last
 *   <folder>/step-10/__<rank>_0.distcp the items of a rank, end to end
 *
 * The folder appears whole or not at all. It is written as <folder>/.titan-<random> (a name without "step-", which TorchTitan would
 * take for a step), every file and the folder are fsynced, then it is renamed. An existing folder of that name is exchanged
 * with the new one in one step, then removed. A failure or a kill leaves what was there before; what a dead process
 * left is removed by the next save in the same folder (a lock on it tells whether its process lives).
 *
 * Where the file system cannot exchange two names it takes three renames: the old folder goes to .titan-<random>-step%2D10, the new
 * one gets the name, the old one goes. A kill right after the first leaves no step-10, but tt_save_dir_recover (save_dir.h), which
 * starts each save and each resumed run, gives the old one its name back. */
#ifndef TT_CKPT_SAVE_H
#define TT_CKPT_SAVE_H

#include "base/log.h"
#include "base/pace.h"
#include "base/pool.h"
#include "format/entry.h"

/* A tensor chunk, or a value. All pointers are borrowed for the length of the call. */
struct tt_save_item {
    const char *fqn;
    const struct tt_path_part *path; /* (npath); npath 0: the fqn is the only part */
    uint32_t npath;
    const struct tt_value *value; /* not NULL: this item is a value, and the rest is not read */
    enum tt_dtype dtype;
    int ndim;
    const int64_t *shape;           /* (ndim) of the whole tensor */
    const int64_t *offsets, *sizes; /* (ndim) of the chunk; both NULL: all of it */
    const void *data;               /* row-major, of `sizes` */
};

struct tt_save_opts {
    bool cast;               /* write float tensors as `cast_dtype` (export_dtype) */
    enum tt_dtype cast_dtype;
    struct tt_pool *pool;    /* NULL: this thread alone */
    struct tt_pace *pace;    /* NULL: at full speed; else without a pool */
    const struct tt_log *log;
};

/* The whole save of a single process. dir is the final name, ".../step-10"; the folders above it are made. opts may be NULL. */
TT_MUST_CHECK tt_status tt_dcp_save(const char *dir, const struct tt_save_item *items, size_t n, const struct tt_save_opts *opts,
                                    struct tt_err *err);

/* The same in three parts, for a job of many ranks: one rank begins and commits, each rank writes its own file in between (all
 * use the name `tmp` that begin made). What a rank wrote is a `struct tt_entries`; commit takes those of all ranks, in rank order
 * (tt_metadata_encode and _decode_part carry them between processes). */
struct tt_dcp_save;
TT_MUST_CHECK tt_status tt_dcp_save_begin(struct tt_dcp_save **out, const char *dir, const struct tt_log *log, struct tt_err *err);
const char *tt_dcp_save_tmp(const struct tt_dcp_save *save);
TT_MUST_CHECK tt_status tt_dcp_write_rank(struct tt_entries *written, const char *tmp, int rank, const struct tt_save_item *items,
                                          size_t n, const struct tt_save_opts *opts, struct tt_err *err);
/* Frees save, also on error (then the temporary folder is removed). */
TT_MUST_CHECK tt_status tt_dcp_save_commit(struct tt_dcp_save *save, const struct tt_entries *const *ranks, size_t nranks,
                                           struct tt_err *err);
void tt_dcp_save_abandon(struct tt_dcp_save *save);

#endif

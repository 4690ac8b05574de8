/* lib/ckpt/write_private.h: what the files of tt_recipe_write share. */
#ifndef TT_CKPT_WRITE_PRIVATE_H
#define TT_CKPT_WRITE_PRIVATE_H

#include "ckpt/copy.h"
#include "ckpt/write.h"
#include "format/pt.h"

/* --- nest.c: a recipe as one Python value ------------------------------------------------------------------------------------------ */

/* Each item at its path in a dict of dicts and lists (flat: under its fqn), in the recipe's order: TENSOR leaves for
 * tt_copy_add_archive. In the arena. */
TT_MUST_CHECK tt_status tt_recipe_nest(const struct tt_recipe *recipe, const struct tt_write_opts *opts, bool flat,
                                       struct tt_arena *arena, struct tt_value **out, struct tt_err *err);

/* The value of a VALUE item. One that is no plain data is TT_EUNSUPPORTED, naming key and class, or, where opts allow it, a warning. */
TT_MUST_CHECK tt_status tt_recipe_value(const struct tt_recipe_item *item, const struct tt_write_opts *opts, struct tt_arena *arena,
                                        const struct tt_value **out, struct tt_err *err);

/* Storages that the tensors inside a value share get owners: they are copied as they are, so that they are still shared. */
TT_MUST_CHECK tt_status tt_value_own_storages(const struct tt_value *value, struct tt_arena *arena, struct tt_ckpt *ckpt,
                                              const char *fqn, struct tt_err *err);

/* --- write_plan.c: where every byte of the output lies ------------------------------------------------------------------------------ */

/* An output file that is an input's, byte for byte. */
struct write_clone {
    struct tt_ckpt *ckpt; /* NULL: it is not */
    uint32_t file;
    uint64_t nbytes;
};

struct write_plan {
    const struct tt_recipe *recipe;
    const struct tt_target *target;
    const struct tt_write_opts *opts;
    struct tt_arena arena;
    struct tt_copy *copy;
    const char *const *files; /* (nfiles) names */
    uint32_t nfiles;
    struct write_clone *clones; /* (nfiles) DCP */
    struct tt_entries dcp;      /* what .metadata is going to say */
    struct tt_chunk **segment_chunk; /* (nsegments) DCP: of each segment of the copy, in order: its chunk in `dcp` */
    size_t nsegments;
    bool replaces; /* what is there already, which was looked at; else nothing may be there by the end either */
};

TT_MUST_CHECK tt_status tt_write_plan_make(struct write_plan *plan, struct tt_err *err);
void tt_write_plan_release(struct write_plan *plan);
uint64_t tt_write_plan_file_nbytes(const struct write_plan *plan, uint32_t file);

enum { TT_EXTRA_NBYTES_MAX = 1 << 30 }; /* of a file that comes along */

/* --- write_check.c: what can be known to fail before the first byte ------------------------------------------------------------------- */

TT_MUST_CHECK tt_status tt_write_check(struct write_plan *plan, struct tt_write_stats *stats, struct tt_err *err);

/* --- write_files.c: the output's files ---------------------------------------------------------------------------------------------- */

struct out_file {
    const char *path; /* for opening, and messages */
    int fd;           /* -1: not open */
    bool is_kept;     /* whoever opened it closes it */
    bool is_linked;   /* a hard link of the input's: nothing to write */
    uint64_t nbytes, left; /* planned, and not written so far */
    uint64_t unsynced;     /* bytes since the kernel was told to start writing */
    pthread_mutex_t writing;
};

struct out_files {
    struct out_file *items; /* (n) */
    uint32_t n;
    pthread_mutex_t lock;
    uint64_t done, total; /* bytes, for progress */
    const struct tt_write_opts *opts;
};

/* Files that are made when their first byte is written, and fsynced and closed behind their last. */
TT_MUST_CHECK tt_status tt_out_files_init(struct out_files *files, uint32_t n, const struct tt_write_opts *opts, struct tt_err *err);
/* fsyncs and closes what is open; makes those of no bytes. */
TT_MUST_CHECK tt_status tt_out_files_finish(struct out_files *files, struct tt_err *err);
void tt_out_files_release(struct out_files *files); /* fine on a zeroed struct */
/* The sink of a copy into them. */
struct tt_sink tt_out_files_sink(struct out_files *files);
/* The whole of an input's file as output file `file`: shared where the file system can, else copied. */
TT_MUST_CHECK tt_status tt_out_files_clone(struct out_files *files, uint32_t file, const struct tt_infile *from, bool link,
                                           struct tt_err *err);

/* --- write_zstd.c: a DCP folder's files, compressed ---------------------------------------------------------------------------------- */

/* Fills the chunks of plan->dcp as their items end. */
TT_MUST_CHECK tt_status tt_write_zstd(struct write_plan *plan, struct out_files *files, int nthreads, struct tt_err *err);

#endif

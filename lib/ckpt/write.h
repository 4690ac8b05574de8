/* lib/ckpt/write.h: a recipe, written as a checkpoint of any format. The one way out for every tool.
 *
 *   DCP          a folder: .metadata and the target's files, each with the chunks placed in it, values first
 *   PT           a torch zip, nested by the items' paths as PyTorch's dcp_to_torch nests, or flat
 *   SAFETENSORS  one file
 *   HF           a folder: the target's files, each a safetensors, and extra files; lib/convert/hf_folder.h makes the index, an
 *                extra file as config.json is
 *
 * Everything is planned from metadata before the first byte: the offset of every output byte is known, space is checked, inputs
 * are whole, the output is absent (or empty, or recognised and `force`). The output is written under a temporary sibling,
 * .titan-<random>, made exclusively with mode 0700, fsynced, and appears by one rename. A signal (`stop`) removes the sibling.
 * Each output byte is written once; what no input byte has to change is copied by the kernel (copy_file_range) and carries its
 * stored CRC on. */
#ifndef TT_CKPT_WRITE_H
#define TT_CKPT_WRITE_H

#include <signal.h>

#include "base/log.h"
#include "ckpt/recipe.h"

/* A small file that goes into a folder beside the tensors: its bytes, or those of another file. */
struct tt_extra {
    const char *name; /* one component */
    const void *bytes;
    size_t nbytes;
    const char *copy_of; /* a path; bytes NULL */
};

struct tt_target {
    enum tt_ckpt_format format;
    const char *path;         /* "-": stdout, from the first byte to the last (PT, SAFETENSORS) */
    const char *const *files; /* DCP, HF: names, by the items' `placed`; NULL: one, of the format's usual name */
    size_t nfiles;
    bool flat;      /* PT: one dict of fqns */
    int zstd_level; /* DCP: 0: items as torch.save makes them; else as stream.zstd */
    bool link;      /* DCP: whole input files that are wanted byte for byte may become hard links of the input's */
    const struct tt_extra *extras;
    size_t nextras;
    const char *also_read; /* beside the recipe's inputs: the output never replaces it; NULL: nothing */
};

/* What a run is going to do, from the plan alone, and what it did. */
struct tt_write_stats {
    uint64_t read_nbytes, written_nbytes, spill_nbytes; /* of the plan */
    uint64_t memory_nbytes;                             /* buffers and catalogues */
    uint64_t free_nbytes;                               /* of the output's file system, before */
    size_t ntensors, nvalues, nfiles;
    double seconds;
};

struct tt_write_opts {
    int threads;         /* 0: one a core, at most 4 */
    uint64_t max_memory; /* of the buffers, in bytes; 0: 64 MiB. TT_EINVAL below what two blocks take */
    bool force;          /* replace what is there, where it is recognised as a checkpoint */
    bool dry_run;        /* plan and check, write nothing; the status is that of the run as far as the plan can tell */
    bool no_verify;      /* do not check the CRCs of what is read */
    bool allow_objects;  /* values that need an unknown GLOBAL are carried over as the pickles they are */
    bool allow_expand;   /* an output of more than 100 times the stored input */
    /* Called now and then from the run's threads, one at a time; NULL: none. done and total in bytes written. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    const volatile sig_atomic_t *stop; /* not 0: the number of a signal that asks to end: what was written is removed, and the status
                                        * is TT_EIO; NULL: nobody asks */
    const struct tt_log *log;          /* warnings; NULL: none */
};

/* TT_EINVAL and so on name the path, the key and what was expected; nothing is left behind. stats may be NULL; it is filled as far
 * as the run got. */
TT_MUST_CHECK tt_status tt_recipe_write(const struct tt_recipe *recipe, const struct tt_target *target,
                                        const struct tt_write_opts *opts, struct tt_write_stats *stats, struct tt_err *err);

/* The catalogue that the recipe's .pt has when it is opened again (flat: as tt_target has it): dicts and lists without a tensor or a dict
 * in them are one value, and empty dicts are gone. *out, which is empty before, holds all of it. */
TT_MUST_CHECK tt_status tt_recipe_pt_entries(struct tt_entries *out, const struct tt_recipe *recipe, bool flat, struct tt_err *err);

/* The identity of a whole checkpoint, in another format. */
TT_MUST_CHECK tt_status tt_ckpt_write(struct tt_ckpt *ckpt, const struct tt_target *target, const struct tt_write_opts *opts,
                                      struct tt_err *err);

#endif

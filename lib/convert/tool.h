/* lib/convert/tool.h: what the programs that convert checkpoints have in common: their options, which keys they take and as what
 * dtype, the run with its progress, and the report at its end. */
#ifndef TT_CONVERT_TOOL_H
#define TT_CONVERT_TOOL_H

#include "ckpt/write.h"
#include "cli/opt.h"

/* What the shared rows of the option table fill (tt_tool_opts_rows, in every such program's own struct as its first member). */
struct tt_tool_opts {
    struct tt_opt_list include, exclude; /* globs over the whole fqn: * crosses dots */
    struct tt_opt_list dtype;            /* "bfloat16", or "GLOB=float32"; the last that matches wins */
    int64_t threads;                     /* 0: one a core, at most 4 */
    uint64_t max_memory;                 /* 0: 64 MiB */
    bool force, dry_run, strict, quiet;
    bool verify;    /* read the output again at the end and check it against its CRCs */
    bool no_verify; /* do not check the CRCs of what is read */
    bool allow_objects, allow_expand;
    const char *progress; /* NULL: on a terminal's stderr only; "json"; "none" */
};

/* Whether the key is taken: an --include matches it, or there is none, and no --exclude does. */
bool tt_tool_takes(const struct tt_tool_opts *opts, const char *fqn);

/* The dtype that a floating-point tensor of the key is written in; others keep theirs unless a GLOB= names them. TT_EINVAL: no
 * such dtype, with the nearest. */
TT_MUST_CHECK tt_status tt_tool_dtype(enum tt_dtype *out, const struct tt_tool_opts *opts, const char *fqn, enum tt_dtype dtype,
                                      struct tt_err *err);

/* Appends every entry of the checkpoint that is taken, in its order, cast as asked for; what is cast is noted as recast. */
TT_MUST_CHECK tt_status tt_tool_add_all(struct tt_recipe *recipe, struct tt_ckpt *ckpt, const struct tt_tool_opts *opts,
                                        struct tt_err *err);

/* Writes the recipe: progress and, at the end, one line of what was done and the missing, unused, reshaped and recast keys, all on
 * stderr; with --dry_run the plan instead (bytes read and written, memory, free space). --strict makes any such key TT_EINVAL before
 * the first byte. */
TT_MUST_CHECK tt_status tt_tool_write(const struct tt_prog *prog, struct tt_recipe *recipe, const struct tt_target *target,
                                      const struct tt_tool_opts *opts, struct tt_err *err);

#endif

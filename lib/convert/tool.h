/* lib/convert/tool.h: what the programs that work on checkpoints have in common: their options, which keys they take and as what
 * dtype, the run with its progress, and the report at its end.
 *
 *     struct options { struct tt_tool_opts tool; bool flat; };       the program's own struct starts with the shared one
 *     static const struct tt_prog prog = { .name = ..., .opts = own rows, .shared = tt_tool_rows, .shared_rows = TT_TOOL_ALL }; */
#ifndef TT_CONVERT_TOOL_H
#define TT_CONVERT_TOOL_H

#include "ckpt/write.h"
#include "cli/opt.h"

/* What the rows of tt_tool_rows fill. */
struct tt_tool_opts {
    struct tt_opt_list include, exclude; /* globs over the whole fqn: * crosses dots (base/glob.h) */
    struct tt_opt_list dtype;            /* "bfloat16", or "GLOB=float32"; the last that matches wins */
    int64_t threads;                     /* 0: one a core, at most 4 */
    uint64_t max_memory;                 /* 0: 64 MiB */
    bool force, dry_run, strict, quiet;
    bool verify;    /* read the output again at the end and compare it with what the input gives */
    bool no_verify; /* do not check the CRCs of what is read */
    bool allow_objects, allow_expand;
    const char *progress; /* "auto" or NULL: on a terminal's stderr only; "json"; "none" */
};

/* The one table of the options that several programs have; offsets are into struct tt_tool_opts. A program says with a mask which
 * of them mean something to it. */
enum {
    TT_TOOL_INCLUDE = 1 << 0,
    TT_TOOL_EXCLUDE = 1 << 1,
    TT_TOOL_DTYPE = 1 << 2,
    TT_TOOL_THREADS = 1 << 3,
    TT_TOOL_MAX_MEMORY = 1 << 4,
    TT_TOOL_FORCE = 1 << 5,
    TT_TOOL_DRY_RUN = 1 << 6,
    TT_TOOL_STRICT = 1 << 7,
    TT_TOOL_QUIET = 1 << 8,
    TT_TOOL_PROGRESS = 1 << 9,
    TT_TOOL_VERIFY = 1 << 10,
    TT_TOOL_NO_VERIFY = 1 << 11,
    TT_TOOL_ALLOW_OBJECTS = 1 << 12,
    TT_TOOL_ALLOW_EXPAND = 1 << 13,
    TT_TOOL_ALL = (1 << 14) - 1,
};
extern const struct tt_opt tt_tool_rows[];

/* --- which keys, as what ------------------------------------------------------------------------------------------------------ */

/* Whether the key is taken: an --include matches it, or there is none, and no --exclude does. */
bool tt_tool_takes(const struct tt_tool_opts *opts, const char *fqn);

/* The dtype that a tensor of the key is written in, which is of `dtype` by itself. A plain name speaks of floating-point tensors; a
 * GLOB=name of every tensor that it matches; "like" of what it is by itself. TT_EINVAL: no such dtype, with the nearest. */
TT_MUST_CHECK tt_status tt_tool_dtype(enum tt_dtype *out, const struct tt_tool_opts *opts, const char *fqn, enum tt_dtype dtype,
                                      struct tt_err *err);

/* A value of --dtype: for rows of that kind in other tables (struct tt_opt's check). */
TT_MUST_CHECK tt_status tt_tool_check_dtype(const char *text, struct tt_err *err);

/* Appends every entry of the checkpoint that is taken, in its order, cast as asked for; what is cast is noted as recast. TT_EINVAL:
 * none of them is taken. */
TT_MUST_CHECK tt_status tt_tool_add_all(struct tt_recipe *recipe, struct tt_ckpt *ckpt, const struct tt_tool_opts *opts,
                                        struct tt_err *err);

/* --- the run ------------------------------------------------------------------------------------------------------------------ */

/* Writes the recipe: progress and, at the end, one line of what was done and the missing, unused, reshaped and recast keys, all on
 * stderr; with --dry_run the plan instead (bytes read and written, memory, free space). --strict makes any such key TT_EINVAL
 * before the first byte. SIGINT and SIGTERM leave no output, but that which was written whole and is read again, and end the process
 * here. */
TT_MUST_CHECK tt_status tt_tool_write(const struct tt_prog *prog, struct tt_recipe *recipe, const struct tt_target *target,
                                      const struct tt_tool_opts *opts, struct tt_err *err);

#endif

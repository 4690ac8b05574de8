/* The options that several programs have, and which keys they choose. */
#include <string.h>

#include "base/glob.h"
#include "base/nearest.h"
#include "convert/tool.h"

#define FIELD(name) offsetof(struct tt_tool_opts, name)

static const char *const progress_choices[] = { "auto", "json", "none", NULL };

/* In the order of the mask's bits. */
const struct tt_opt tt_tool_rows[] = {
    { .name = "include",
      .kind = TT_OPT_LIST,
      .offset = FIELD(include),
      .arg = "GLOB",
      .check = tt_glob_check,
      .text = "Take only the keys that match. * matches any characters, dots too, ? one, [a-c] one of a set. May be repeated: a "
              "key is taken where any of them matches." },
    { .name = "exclude",
      .kind = TT_OPT_LIST,
      .offset = FIELD(exclude),
      .arg = "GLOB",
      .check = tt_glob_check,
      .text = "Leave out the keys that match, even where --include takes them. May be repeated." },
    { .name = "dtype",
      .also = "export_dtype",
      .kind = TT_OPT_LIST,
      .offset = FIELD(dtype),
      .arg = "[GLOB=]DTYPE",
      .check = tt_tool_check_dtype,
      .text = "Write floating-point tensors as float32, bfloat16, float16 and so on; with GLOB= the tensors that match. May be "
              "repeated: the last that matches wins. like keeps what it is." },
    { .name = "threads",
      .kind = TT_OPT_INT,
      .offset = FIELD(threads),
      .min = 1,
      .max = 64,
      .arg = "N",
      .text = "Use N threads (default: one a core; to copy, at most 4)." },
    { .name = "max_memory",
      .kind = TT_OPT_SIZE,
      .offset = FIELD(max_memory),
      .arg = "SIZE",
      .text = "The most that buffers may take, such as 64MiB (the default) or 1GB." },
    { .name = "force",
      .kind = TT_OPT_FLAG,
      .offset = FIELD(force),
      .text = "Replace the output where it exists and is a checkpoint." },
    { .name = "dry_run",
      .kind = TT_OPT_FLAG,
      .offset = FIELD(dry_run),
      .text = "Write nothing; say what would be done, and exit as the run would." },
    { .name = "strict",
      .kind = TT_OPT_FLAG,
      .offset = FIELD(strict),
      .text = "Fail, before anything is written, where a key is missing, unused, reshaped or recast." },
    { .name = "quiet", .kind = TT_OPT_FLAG, .offset = FIELD(quiet), .text = "Print errors and warnings only." },
    { .name = "progress",
      .kind = TT_OPT_STR,
      .offset = FIELD(progress),
      .choices = progress_choices,
      .implied = "auto",
      .arg = "HOW",
      .text = "How progress is shown: as a line on stderr where that is a terminal (auto), as a JSON object a line on stderr "
              "(json), not at all (none)." },
    { .name = "verify",
      .kind = TT_OPT_FLAG,
      .offset = FIELD(verify),
      .text = "Read the output again at the end, and compare it with what the input gives." },
    { .name = "no_verify",
      .kind = TT_OPT_FLAG,
      .offset = FIELD(no_verify),
      .text = "Do not check what is read against its stored CRCs. What the kernel copies is never read and carries its CRC along: "
              "whole tensors with this option, and without it where files can share blocks (XFS, Btrfs) or have holes." },
    { .name = "allow_objects",
      .kind = TT_OPT_FLAG,
      .offset = FIELD(allow_objects),
      .text = "Carry over values whose pickle names a class or function that is not plain data, unexecuted, with a warning." },
    { .name = "allow_expand",
      .kind = TT_OPT_FLAG,
      .offset = FIELD(allow_expand),
      .text = "Allow an output of more than 100 times the stored input." },
    { 0 },
};

/* --- keys ----------------------------------------------------------------------------------------------------------------- */

static bool any_matches(const struct tt_opt_list *globs, const char *fqn)
{
    for (size_t i = 0; i < globs->n; i++)
        if (tt_glob_match(globs->items[i], fqn))
            return true;
    return false;
}

bool tt_tool_takes(const struct tt_tool_opts *opts, const char *fqn)
{
    return (opts->include.n == 0 || any_matches(&opts->include, fqn)) && !any_matches(&opts->exclude, fqn);
}

/* --- dtypes --------------------------------------------------------------------------------------------------------------- */

/* A value of --dtype, taken apart. */
struct wish {
    char glob[512]; /* "": it has none */
    bool like;
    enum tt_dtype dtype;
};

/* By torch's names, and near them also by what else people call them: safetensors' BF16 is what is nearest to "bf16". */
static tt_status no_such_dtype(const char *name, struct tt_err *err)
{
    const char *names[2 * TT_NDTYPE];
    size_t n = 0;
    enum tt_dtype near_dtype;

    for (int i = 0; i < TT_NDTYPE; i++)
        names[n++] = tt_dtypes[i].torch;
    for (int i = 0; i < TT_NDTYPE; i++)
        if (tt_dtypes[i].safetensors)
            names[n++] = tt_dtypes[i].safetensors;
    const char *near = tt_nearest_name(name, names, n);
    if (near && tt_dtype_from_safetensors(near, &near_dtype))
        near = tt_dtype_name(near_dtype);
    return tt_err_set(err, TT_EINVAL, "no such dtype: '%s'%s%s%s", name, near ? "; did you mean " : "", near ? near : "",
                      near ? "?" : "");
}

/* The dtype is behind the last '=': keys may have one, dtypes have none. */
static tt_status parse_wish(struct wish *out, const char *text, struct tt_err *err)
{
    const char *equals = strrchr(text, '='), *name = equals ? equals + 1 : text;
    const size_t nglob = equals ? (size_t)(equals - text) : 0;
    struct wish wish = { .like = strcmp(name, "like") == 0 };

    if (nglob >= sizeof wish.glob)
        return tt_err_set(err, TT_EINVAL, "a pattern of %zu bytes is too long", nglob);
    memcpy(wish.glob, text, nglob);
    if (!wish.like && !tt_dtype_from_torch(name, &wish.dtype))
        return no_such_dtype(name, err);
    if (equals) {
        const tt_status st = tt_glob_check(wish.glob, err);
        if (st != TT_OK)
            return st;
    } else if (!wish.like && !tt_dtypes[wish.dtype].is_float) {
        return tt_err_set(err, TT_EINVAL, "expected a floating-point dtype, or PATTERN=%s, found %s", name, name);
    }
    *out = wish;
    return TT_OK;
}

tt_status tt_tool_check_dtype(const char *text, struct tt_err *err)
{
    struct wish wish;
    return parse_wish(&wish, text, err);
}

tt_status tt_tool_dtype(enum tt_dtype *out, const struct tt_tool_opts *opts, const char *fqn, enum tt_dtype dtype,
                        struct tt_err *err)
{
    enum tt_dtype chosen = dtype;

    for (size_t i = 0; i < opts->dtype.n; i++) {
        struct wish wish;
        const tt_status st = parse_wish(&wish, opts->dtype.items[i], err);
        if (st != TT_OK)
            return st;
        if (wish.glob[0] ? tt_glob_match(wish.glob, fqn) : tt_dtypes[dtype].is_float)
            chosen = wish.like ? dtype : wish.dtype;
    }
    *out = chosen;
    return TT_OK;
}

/* titan-ckpt-inspect: what is in checkpoints. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/audit.h"
#include "ckpt/list.h"
#include "ckpt/manifest.h"
#include "ckpt/slice.h"
#include "ckpt/stats.h"
#include "cli/meter.h"
#include "convert/compare.h"
#include "convert/tool.h"

struct options {
    struct tt_tool_opts tool;
    bool json, chunks, tree, layout, stats, verify, diff;
    const char *values, *manifest, *manifest_check;
    const char *atol, *rtol, *model_name, *model_flavor;
};

#define FIELD(name) offsetof(struct options, name)

static tt_status check_tolerance(const char *text, struct tt_err *err)
{
    char *end;
    errno = 0;
    const double v = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(v) || v < 0)
        return tt_err_set(err, TT_EUSAGE, "expected a number of at least 0, found '%s'", text);
    return TT_OK;
}

static const struct tt_opt opts[] = {
    { .name = "json", .kind = TT_OPT_FLAG, .offset = FIELD(json), .text = "Print one JSON object for each key." },
    { .name = "chunks", .kind = TT_OPT_FLAG, .offset = FIELD(chunks),
      .text = "Print a line for each stored chunk: its region, and where it lies." },
    { .name = "tree", .kind = TT_OPT_FLAG, .offset = FIELD(tree), .text = "Draw the keys as a tree; layers that are alike once." },
    { .name = "layout", .kind = TT_OPT_FLAG, .offset = FIELD(layout),
      .text = "Draw which rank or file holds which region of each tensor." },
    { .name = "stats", .kind = TT_OPT_FLAG, .offset = FIELD(stats),
      .text = "Print min, max, mean, L2 norm, NaNs and infinities of each tensor." },
    { .name = "verify", .kind = TT_OPT_FLAG, .offset = FIELD(verify),
      .text = "Check the stored checksums, offsets, lengths, dtypes, overlaps and holes; exit 1 where anything is wrong." },
    { .name = "values", .kind = TT_OPT_STR, .offset = FIELD(values), .arg = "KEY[a:b,c]",
      .text = "Print elements of a tensor, chosen as in numpy, with text that reads back as the same elements; or a value." },
    { .name = "manifest", .kind = TT_OPT_STR, .offset = FIELD(manifest), .arg = "FILE",
      .text = "Write the SHA-256 of each file to FILE, as sha256sum does; - is stdout." },
    { .name = "manifest_check", .kind = TT_OPT_STR, .offset = FIELD(manifest_check), .arg = "FILE",
      .text = "Check the files against such a FILE, and that none is missing or new; exit 1 where any is." },
    { .name = "diff", .kind = TT_OPT_FLAG, .offset = FIELD(diff),
      .text = "Compare two checkpoints, whatever their formats and shardings; exit 0 where they are the same, 1 where not, 2 on an error." },
    { .name = "atol", .kind = TT_OPT_STR, .offset = FIELD(atol), .arg = "X", .check = check_tolerance,
      .text = "With --diff: numbers a and b may differ by X + rtol * |b|, and be of other dtypes (default of the one that is not given: 0)." },
    { .name = "rtol", .kind = TT_OPT_STR, .offset = FIELD(rtol), .arg = "Y", .check = check_tolerance,
      .text = "With --diff: numbers a and b may differ by atol + Y * |b|." },
    { .name = "model_name", .kind = TT_OPT_STR, .offset = FIELD(model_name), .arg = "NAME",
      .text = "With --diff: the family of a model that one side has in Hugging Face's form and the other in TorchTitan's." },
    { .name = "model_flavor", .kind = TT_OPT_STR, .offset = FIELD(model_flavor), .arg = "FLAVOR|FILE.yaml",
      .text = "Its flavor (default: 8B), or a file of model args." },
    { 0 },
};

static const struct tt_prog prog = {
    .name = "titan-ckpt-inspect", .synopsis = "[options] CHECKPOINT...", .about = "list, check and compare checkpoints",
    .opts = opts, .args_min = 1, .shared = tt_tool_rows,
    .shared_rows = TT_TOOL_INCLUDE | TT_TOOL_EXCLUDE | TT_TOOL_THREADS | TT_TOOL_QUIET | TT_TOOL_PROGRESS,
};

/* One run of the program: what all paths share. */
struct run {
    const struct options *o;
    struct tt_task task;
    struct tt_meter meter;
    bool bad; /* something is not as it should be, and that was printed */
};

static bool takes(const void *ctx, const char *fqn) { return tt_tool_takes(ctx, fqn); }

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct run *run = ctx;
    tt_meter_update(&run->meter, done, total);
}

static void on_clear(void *ctx)
{
    struct run *run = ctx;
    tt_meter_clear(&run->meter);
}

/* --- modes -------------------------------------------------------------------------------------------------------------------- */

typedef tt_status mode_fn(struct run *run, const char *path, struct tt_err *err);

static tt_status list(struct run *run, const char *path, enum tt_list_form form, struct tt_err *err)
{
    const struct tt_ckpt_list_opts how = { .form = form, .filter = run->task.filter };
    return tt_ckpt_list(stdout, path, &how, err);
}

static tt_status table(struct run *run, const char *path, struct tt_err *err) { return list(run, path, TT_LIST_TABLE, err); }
static tt_status json(struct run *run, const char *path, struct tt_err *err) { return list(run, path, TT_LIST_JSON, err); }
static tt_status chunks(struct run *run, const char *path, struct tt_err *err) { return list(run, path, TT_LIST_CHUNKS, err); }
static tt_status tree(struct run *run, const char *path, struct tt_err *err) { return list(run, path, TT_LIST_TREE, err); }
static tt_status layout(struct run *run, const char *path, struct tt_err *err) { return list(run, path, TT_LIST_LAYOUT, err); }

static tt_status stats(struct run *run, const char *path, struct tt_err *err) { return tt_ckpt_stats(stdout, path, &run->task, err); }

static tt_status values(struct run *run, const char *path, struct tt_err *err)
{
    return tt_ckpt_print_slice(stdout, path, run->o->values, err);
}

static tt_status verify(struct run *run, const char *path, struct tt_err *err)
{
    bool good = false;
    const tt_status st = tt_ckpt_audit(stdout, path, &run->task, &good, err);
    run->bad |= st == TT_OK && !good;
    return st;
}

/* All paths at once. */
static tt_status manifest(struct run *run, const char *const *paths, size_t n, struct tt_err *err)
{
    return tt_manifest_write(run->o->manifest, paths, n, &run->task, err);
}

static tt_status manifest_check(struct run *run, const char *const *paths, size_t n, struct tt_err *err)
{
    bool good = false;
    const tt_status st = tt_manifest_check(stdout, run->o->manifest_check, paths, n, &run->task, &good, err);
    run->bad |= st == TT_OK && !good;
    return st;
}

static tt_status diff(struct run *run, const char *const *paths, size_t n, struct tt_err *err)
{
    const struct options *o = run->o;
    const struct tt_compare_opts how = {
        .model_name = o->model_name, .model_flavor = o->model_flavor ? o->model_flavor : "8B",
        .diff = { .close = o->atol || o->rtol, .atol = o->atol ? strtod(o->atol, NULL) : 0, .rtol = o->rtol ? strtod(o->rtol, NULL) : 0,
                  .quiet = o->tool.quiet },
    };
    bool same = false;
    (void)n;
    const tt_status st = tt_compare(stdout, paths[0], paths[1], &how, &run->task, &same, err);
    run->bad |= st == TT_OK && !same;
    return st;
}

static const struct mode {
    const char *option; /* NULL: without one */
    mode_fn *fn;        /* for one path; NULL: */
    tt_status (*all)(struct run *run, const char *const *paths, size_t n, struct tt_err *err);
    bool reads;         /* files, beside the catalogue: on threads, with progress, and not from a pipe */
    bool no_keys;       /* it does not choose among keys */
    bool common;        /* of a folder of Megatron's, common.pt comes behind it */
} modes[] = {
    { NULL, .fn = table, .common = true },
    { "json", .fn = json, .common = true },
    { "chunks", .fn = chunks, .common = true },
    { "tree", .fn = tree, .common = true },
    { "layout", .fn = layout },
    { "stats", .fn = stats, .reads = true, .common = true },
    { "verify", .fn = verify, .reads = true, .common = true },
    { "values", .fn = values, .reads = true, .no_keys = true },
    { "manifest", .all = manifest, .reads = true, .no_keys = true },
    { "manifest_check", .all = manifest_check, .reads = true, .no_keys = true },
    { "diff", .all = diff, .reads = true },
};

static bool is_given(const struct options *o, const char *option)
{
    for (const struct tt_opt *row = opts; row->name; row++)
        if (strcmp(row->name, option) == 0)
            return row->kind == TT_OPT_FLAG ? *(const bool *)((const char *)o + row->offset)
                                            : *(const char *const *)((const char *)o + row->offset) != NULL;
    return false;
}

static tt_status find_mode(const struct mode **out, const struct options *o, int n, char **paths, struct tt_err *err)
{
    static const char *const of_diff[] = { "atol", "rtol", "model_name", "model_flavor" };
    const struct mode *mode = &modes[0];

    for (size_t i = 1; i < sizeof modes / sizeof *modes; i++) {
        if (!is_given(o, modes[i].option))
            continue;
        if (mode->option)
            return tt_err_set(err, TT_EUSAGE, "--%s and --%s exclude one another", mode->option, modes[i].option);
        mode = &modes[i];
    }
    if (mode->all == diff && n != 2)
        return tt_err_set(err, TT_EUSAGE, "--diff: expected two checkpoints, found %d", n);
    for (size_t i = 0; i < sizeof of_diff / sizeof *of_diff; i++)
        if (mode->all != diff && is_given(o, of_diff[i]))
            return tt_err_set(err, TT_EUSAGE, "--%s: only --diff takes it", of_diff[i]);
    if (mode->no_keys && (o->tool.include.n || o->tool.exclude.n))
        return tt_err_set(err, TT_EUSAGE, "--%s does not choose among keys: --include and --exclude mean nothing to it", mode->option);
    for (int i = 0; i < n && mode->reads; i++)
        if (strcmp(paths[i], "-") == 0)
            return tt_err_set(err, TT_EUSAGE, "--%s reads at offsets, which a pipe (-) does not allow", mode->option);
    *out = mode;
    return TT_OK;
}

/* --- the run ------------------------------------------------------------------------------------------------------------------ */

static tt_status begin(struct run *run, const struct options *o, const struct mode *mode, struct tt_err *err)
{
    const int ncores = tt_ncores();

    run->task = (struct tt_task){ .filter = { takes, &o->tool } };
    if (!mode->reads)
        return TT_OK;
    const tt_status st = tt_meter_init(&run->meter, o->tool.progress, o->tool.quiet, err);
    if (st != TT_OK)
        return st;
    run->task.progress = on_progress;
    run->task.clear = on_clear;
    run->task.ctx = run;
    return tt_pool_new(&run->task.pool, o->tool.threads ? (int)o->tool.threads : ncores < 4 ? ncores : 4, err);
}

static void end(struct run *run, const struct mode *mode)
{
    tt_pool_free(run->task.pool);
    if (mode->reads)
        tt_meter_release(&run->meter);
}

/* One path, and what lies beside it, where no key was chosen that one of both would not have. How many of the two failed. */
static int run_one(struct run *run, const struct mode *mode, const char *path)
{
    const bool all_keys = run->o->tool.include.n == 0 && run->o->tool.exclude.n == 0;
    struct tt_arena arena = { 0 };
    const char *paths[] = { path, mode->common && all_keys ? tt_ckpt_common(&arena, path) : NULL };
    struct tt_err err = { 0 };
    int failures = 0;

    for (int i = 0; i < 2 && paths[i]; i++) {
        const tt_status st = mode->fn(run, paths[i], &err);
        tt_task_clear(&run->task);
        failures += st != TT_OK ? tt_prog_report(&prog, &err) : 0;
    }
    tt_arena_release(&arena);
    return failures;
}

static int run_all(struct run *run, const struct mode *mode, const char *const *paths, size_t n)
{
    struct tt_err err = { 0 };
    const tt_status st = mode->all(run, paths, n, &err);
    tt_task_clear(&run->task);
    return st != TT_OK ? tt_prog_report(&prog, &err) : 0;
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    struct run run = { .o = &o };
    const struct mode *mode = NULL;
    struct tt_err err = { 0 };
    int first, failures = 0;

    if (tt_opt_parse(&prog, argc, argv, &o, &first, &err) != TT_OK ||
        find_mode(&mode, &o, argc - first, argv + first, &err) != TT_OK) {
        tt_opt_release(&prog, &o);
        return tt_prog_usage(&prog, &err);
    }
    const bool begun = begin(&run, &o, mode, &err) == TT_OK;
    if (!begun)
        failures = tt_prog_report(&prog, &err);
    if (begun && mode->all)
        failures += run_all(&run, mode, (const char *const *)argv + first, (size_t)(argc - first));
    for (int i = first; i < argc && begun && mode->fn; i++)
        failures += run_one(&run, mode, argv[i]);
    end(&run, mode);
    tt_opt_release(&prog, &o);
    const int unwritten = tt_prog_finish(&prog, failures);
    return mode->all == diff && unwritten ? 2 : unwritten ? 1 : run.bad;
}

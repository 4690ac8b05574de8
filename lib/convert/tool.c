#include "convert/tool.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/names.h"
#include "cli/meter.h"
#include "cli/signals.h"
#include "convert/reread.h"

tt_status tt_tool_add_all(struct tt_recipe *recipe, struct tt_ckpt *ckpt, const struct tt_tool_opts *opts, struct tt_err *err)
{
    const size_t before = recipe->n;
    tt_status st = TT_OK;

    for (size_t i = 0; i < ckpt->entries.n && st == TT_OK; i++) {
        const struct tt_entry *entry = &ckpt->entries.items[i];
        enum tt_dtype dtype = entry->dtype;
        if (!tt_tool_takes(opts, entry->fqn))
            continue;
        if (entry->kind == TT_ENTRY_TENSOR)
            st = tt_tool_dtype(&dtype, opts, entry->fqn, entry->dtype, err);
        if (st == TT_OK)
            st = tt_recipe_add_entry(recipe, ckpt, entry, err);
        if (st == TT_OK && dtype != entry->dtype) {
            recipe->items[recipe->n - 1].output.dtype = dtype;
            st = tt_recipe_note(recipe, &recipe->recast, entry->fqn, err);
        }
    }
    if (st == TT_OK && ckpt->entries.n && recipe->n == before)
        st = tt_err_set(err, TT_EINVAL, "%s: --include and --exclude leave none of its %zu keys", ckpt->path, ckpt->entries.n);
    return st;
}

/* --- what did not fit one to one ---------------------------------------------------------------------------------------------- */

struct kind {
    const char *name;
    const struct tt_names *keys;
};
enum { NKINDS = 4 };

static void list_kinds(struct kind kinds[NKINDS], const struct tt_recipe *recipe)
{
    kinds[0] = (struct kind){ "missing", &recipe->missing };
    kinds[1] = (struct kind){ "unused", &recipe->unused };
    kinds[2] = (struct kind){ "reshaped", &recipe->reshaped };
    kinds[3] = (struct kind){ "recast", &recipe->recast };
}

/* "12 unused keys: a, b ... and 2 more" */
static void put_kind(struct tt_buf *out, const struct kind *kind)
{
    struct tt_names_text names = { 0 };

    for (size_t i = 0; i < kind->keys->n; i++)
        tt_names_text_add(&names, kind->keys->items[i]);
    tt_buf_printf(out, "%zu %s key%s: %s", names.n, kind->name, names.n == 1 ? "" : "s", tt_names_text_end(&names));
    tt_names_text_release(&names);
}

static tt_status check_strict(const struct tt_recipe *recipe, struct tt_err *err)
{
    struct kind kinds[NKINDS];
    struct tt_buf text = { 0 };
    tt_status st = TT_OK;

    list_kinds(kinds, recipe);
    for (int i = 0; i < NKINDS; i++)
        if (kinds[i].keys->n) {
            tt_buf_str(&text, text.len ? "; " : "");
            put_kind(&text, &kinds[i]);
        }
    if (text.len)
        st = tt_err_set(err, TT_EINVAL, "refused by --strict: %s", tt_buf_cstr(&text));
    tt_buf_release(&text);
    return st;
}

/* --- what is said ------------------------------------------------------------------------------------------------------------- */

struct run {
    const struct tt_prog *prog;
    const struct tt_target *target;
    const struct tt_tool_opts *opts;
    struct tt_meter meter;
};

static void say(const struct run *run, struct tt_buf *line)
{
    if (!line->failed)
        tt_prog_say(run->prog, tt_buf_cstr(line));
    tt_buf_clear(line);
}

static void on_log(void *ctx, enum tt_log_level level, const char *line)
{
    struct run *run = ctx;
    struct tt_buf text = { 0 };

    if (level < (run->opts->quiet ? TT_LOG_WARNING : TT_LOG_INFO))
        return;
    tt_meter_clear(&run->meter);
    tt_buf_printf(&text, "%s%s", level == TT_LOG_WARNING ? "warning: " : "", line);
    say(run, &text);
    tt_buf_release(&text);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct run *run = ctx;
    tt_meter_update(&run->meter, done, total);
}

/* "out.pt: wrote 57 tensors and 3 values" */
static void put_what(struct tt_buf *out, const struct run *run, const char *verb, const struct tt_write_stats *stats)
{
    const char *name = strcmp(run->target->path, "-") == 0 ? "stdout" : run->target->path;

    tt_buf_printf(out, "%s: %s %zu tensor%s", name, verb, stats->ntensors, stats->ntensors == 1 ? "" : "s");
    if (stats->nvalues)
        tt_buf_printf(out, " and %zu value%s", stats->nvalues, stats->nvalues == 1 ? "" : "s");
    if (stats->nfiles > 1)
        tt_buf_printf(out, " in %zu files", stats->nfiles);
}

static void say_done(const struct run *run, struct tt_buf *line, const struct tt_write_stats *stats)
{
    put_what(line, run, "wrote", stats);
    tt_buf_str(line, ", ");
    tt_buf_nbytes(line, stats->written_nbytes);
    tt_buf_printf(line, " in %.2f s", stats->seconds);
    if (stats->seconds > 0) {
        tt_buf_str(line, " (");
        tt_buf_nbytes(line, (uint64_t)((double)stats->written_nbytes / stats->seconds));
        tt_buf_str(line, "/s)");
    }
    if (run->opts->verify)
        tt_buf_str(line, ", read again and found the same");
    say(run, line);
}

static void say_plan(const struct run *run, struct tt_buf *line, const struct tt_write_stats *stats)
{
    const struct {
        const char *name;
        uint64_t nbytes;
    } rows[] = {
        { "read", stats->read_nbytes },     { "written", stats->written_nbytes }, { "spilled", stats->spill_nbytes },
        { "memory", stats->memory_nbytes }, { "free", stats->free_nbytes },
    };
    put_what(line, run, "would write", stats);
    say(run, line);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tt_buf_printf(line, "%s: %" PRIu64 " bytes", rows[i].name, rows[i].nbytes);
        say(run, line);
    }
}

static void say_keys(const struct run *run, struct tt_buf *line, const struct tt_recipe *recipe)
{
    struct kind kinds[NKINDS];
    bool any = false;

    list_kinds(kinds, recipe);
    for (int i = 0; i < NKINDS; i++)
        if (kinds[i].keys->n) {
            put_kind(line, &kinds[i]);
            say(run, line);
            any = true;
        }
    if (!any)
        tt_prog_say(run->prog, "no key is missing, unused, reshaped or recast");
}

static void report(const struct run *run, const struct tt_recipe *recipe, const struct tt_write_stats *stats)
{
    struct tt_buf line = { 0 };

    if (run->opts->quiet)
        return;
    if (run->opts->dry_run)
        say_plan(run, &line, stats);
    else
        say_done(run, &line, stats);
    say_keys(run, &line, recipe);
    tt_buf_release(&line);
}

/* --- the run ------------------------------------------------------------------------------------------------------------------ */

static tt_status write_it(struct run *run, const struct tt_recipe *recipe, struct tt_write_stats *stats, struct tt_err *err)
{
    const struct tt_tool_opts *opts = run->opts;
    const struct tt_log log = { on_log, run };
    const struct tt_write_opts how = {
        .threads = (int)opts->threads, .max_memory = opts->max_memory, .force = opts->force, .dry_run = opts->dry_run,
        .no_verify = opts->no_verify, .allow_objects = opts->allow_objects, .allow_expand = opts->allow_expand,
        .progress = on_progress, .ctx = run, .stop = tt_signals_stop(), .log = &log,
    };
    tt_status st = tt_meter_init(&run->meter, opts->progress, opts->quiet, err);

    if (st != TT_OK)
        return st;
    st = tt_recipe_write(recipe, run->target, &how, stats, err);
    tt_meter_clear(&run->meter);
    tt_meter_release(&run->meter);
    return st;
}

static tt_status read_again(struct run *run, const struct tt_recipe *recipe, struct tt_err *err)
{
    const struct tt_tool_opts *opts = run->opts;
    const int ncores = tt_ncores();
    struct tt_reread_opts how = { .flat = run->target->flat, .progress = on_progress, .ctx = run };
    tt_status st = tt_meter_init(&run->meter, opts->progress, opts->quiet, err);

    if (st != TT_OK)
        return st;
    how.stop = tt_signals_stop();
    st = tt_pool_new(&how.pool, opts->threads ? (int)opts->threads : ncores < 4 ? ncores : 4, err);
    if (st == TT_OK)
        st = tt_recipe_reread(recipe, run->target->path, &how, err);
    tt_pool_free(how.pool);
    tt_meter_clear(&run->meter);
    tt_meter_release(&run->meter);
    return st;
}

tt_status tt_tool_write(const struct tt_prog *prog, struct tt_recipe *recipe, const struct tt_target *target,
                        const struct tt_tool_opts *opts, struct tt_err *err)
{
    struct run run = { .prog = prog, .target = target, .opts = opts };
    struct tt_write_stats stats = { 0 };
    const bool is_stream = strcmp(target->path, "-") == 0;
    tt_status st = opts->strict ? check_strict(recipe, err) : TT_OK;

    if (st == TT_OK && opts->verify && is_stream)
        st = tt_err_set(err, TT_EINVAL, "--verify: what went to stdout cannot be read again");
    if (st == TT_OK && is_stream && !opts->dry_run && isatty(STDOUT_FILENO))
        st = tt_err_set(err, TT_EINVAL, "stdout is a terminal: a checkpoint is binary; redirect it");
    if (st != TT_OK)
        return st;
    tt_signals_write_errors();
    tt_signals_catch();
    st = write_it(&run, recipe, &stats, err);
    if (st == TT_OK && opts->verify && !opts->dry_run)
        st = read_again(&run, recipe, err);
    if (st == TT_OK)
        report(&run, recipe, &stats);
    if (st != TT_OK && *tt_signals_stop()) {
        tt_prog_report(prog, err);
        tt_signals_end();
    }
    return st;
}

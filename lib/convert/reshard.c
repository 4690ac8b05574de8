#include "convert/reshard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/keys.h"
#include "convert/place.h"
#include "convert/position.h"
#include "convert/rename.h"

/* What a run works with. */
struct run {
    const struct tt_prog *prog;
    const struct tt_reshard_opts *opts;
    struct tt_arena arena;
    struct tt_config config;
    struct tt_ckpt **ckpts; /* (nckpts) */
    size_t nckpts;
    struct tt_ckpt *like; /* NULL: none */
    struct tt_job job;
    bool has_job;
    struct tt_recipe recipe;
};

/* --- the job's settings --------------------------------------------------------------------------------------------------------- */

/* The options that are settings, as lib/config takes them. */
struct words {
    char **v;
    size_t n;
};

static bool push(struct words *w, struct tt_arena *arena, const char *text)
{
    w->v[w->n] = text ? tt_arena_str(arena, text) : NULL;
    return w->v[w->n++] != NULL;
}

static bool is_setting(const struct tt_opt *o) { return o->also && strchr(o->also, '.'); }

static bool push_option(struct words *w, struct tt_arena *arena, const struct tt_opt *o, const struct tt_reshard_opts *opts)
{
    const void *at = (const char *)opts + o->offset;
    if (o->kind == TT_OPT_LIST) {
        const struct tt_opt_list *list = at;
        bool ok = list->n == 0 || push(w, arena, tt_arena_printf(arena, "--%s", o->also));
        for (size_t i = 0; i < list->n && ok; i++)
            ok = push(w, arena, list->items[i]);
        return ok;
    }
    const char *value = *(const char *const *)at;
    return !value || push(w, arena, tt_arena_printf(arena, "--%s=%s", o->also, value));
}

/* Whether any option speaks of a job. */
static bool wants_job(const struct run *run)
{
    struct tt_opt_walk walk = { .prog = run->prog };
    for (const struct tt_opt *o; (o = tt_opt_next(&walk));) {
        const void *at = (const char *)run->opts + o->offset;
        if (is_setting(o) && (o->kind == TT_OPT_LIST ? ((const struct tt_opt_list *)at)->n > 0 : *(const char *const *)at != NULL))
            return true;
    }
    return run->opts->world_size > 0;
}

static tt_status read_config(struct run *run, struct tt_err *err)
{
    const struct tt_reshard_opts *o = run->opts;
    struct tt_opt_walk walk = { .prog = run->prog };
    struct words w = { tt_arena_array(&run->arena, 64 + o->parts.n, sizeof *w.v), 0 };
    bool ok = w.v && push(&w, &run->arena, run->prog->name);

    for (const struct tt_opt *row; ok && (row = tt_opt_next(&walk));)
        if (is_setting(row))
            ok = push_option(&w, &run->arena, row, o);
    if (ok && !o->config_file && !o->dp_shard && !o->world_size)
        ok = push(&w, &run->arena, "--parallelism.data_parallel_shard_degree=1");
    if (!ok)
        return tt_err_nomem(err, 64 * sizeof *w.v, "the settings");
    return tt_config_read(&run->config, &run->arena, (int)w.n, w.v, err);
}

static tt_status open_job(struct run *run, struct tt_err *err)
{
    const struct tt_reshard_opts *o = run->opts;
    if (!o->config_file && !(o->model_name && o->model_flavor))
        return tt_err_set(err, TT_EUSAGE, "expected --model_name and --model_flavor, or --job.config_file: how tensors come apart is the "
                                          "model's");
    tt_status st = read_config(run, err);
    if (st == TT_OK) {
        run->has_job = true;
        st = tt_job_open(&run->job, &run->config, o->world_size, err);
    }
    return st;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------- */

static tt_status check_options(const struct run *run, char **args, int nargs, struct tt_err *err)
{
    const struct tt_reshard_opts *o = run->opts;
    const int nshapes = wants_job(run) + (o->like != NULL) + o->single;
    if (nshapes > 1)
        return tt_err_set(err, TT_EUSAGE, "the degrees of a job, --like and --single exclude one another");
    if (o->average && nargs < 3)
        return tt_err_set(err, TT_EUSAGE, "--average: expected two checkpoints or more and the output, found %d arguments", nargs);
    if (!o->average && nargs != 2)
        return tt_err_set(err, TT_EUSAGE, "expected a checkpoint and the output, found %d arguments", nargs);
    if (o->weights && !o->average)
        return tt_err_set(err, TT_EUSAGE, "--weights goes with --average");
    if (strcmp(args[nargs - 1], "-") == 0)
        return tt_err_set(err, TT_EUSAGE, "a DCP folder cannot be written to stdout");
    return TT_OK;
}

static tt_status open_source(struct tt_ckpt **out, const char *path, struct tt_err *err)
{
    tt_status st = tt_ckpt_open(out, path, err);
    if (st == TT_OK && (*out)->format == TT_CKPT_HF)
        st = tt_err_set(err, TT_EINVAL, "%s: a Hugging Face folder: titan-convert-hf from-hf makes a TorchTitan checkpoint of it", path);
    return st;
}

static tt_status open_all(struct run *run, char **args, int nargs, struct tt_err *err)
{
    const size_t n = (size_t)nargs - 1;
    tt_status st = TT_OK;

    run->ckpts = tt_arena_array(&run->arena, n, sizeof *run->ckpts);
    if (!run->ckpts)
        return tt_err_nomem(err, n * sizeof *run->ckpts, "the checkpoints");
    for (; run->nckpts < n && st == TT_OK; run->nckpts++)
        st = open_source(&run->ckpts[run->nckpts], args[run->nckpts], err);
    if (st == TT_OK && run->opts->like)
        st = tt_ckpt_open(&run->like, run->opts->like, err);
    if (st == TT_OK && wants_job(run))
        st = open_job(run, err);
    return st;
}

/* --- what is written ------------------------------------------------------------------------------------------------------------ */

/* A scalar of the optimizer, the number of steps, is no weight: only a GLOB= that names it casts it. */
static tt_status scalar_dtype(enum tt_dtype *out, const struct tt_tool_opts *opts, const struct tt_entry *entry, struct tt_err *err)
{
    struct tt_tool_opts named = *opts;
    const char **items = calloc(opts->dtype.n + 1, sizeof *items);
    if (!items)
        return tt_err_nomem(err, opts->dtype.n * sizeof *items, "the values of --dtype");
    named.dtype = (struct tt_opt_list){ .items = items };
    for (size_t i = 0; i < opts->dtype.n; i++)
        if (strchr(opts->dtype.items[i], '='))
            items[named.dtype.n++] = opts->dtype.items[i];
    const tt_status st = tt_tool_dtype(out, &named, entry->fqn, entry->dtype, err);
    free(items);
    return st;
}

static tt_status add_entry(struct run *run, struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_err *err)
{
    const struct tt_tool_opts *opts = &run->opts->tool;
    struct tt_recipe *recipe = &run->recipe;
    enum tt_dtype dtype = entry->dtype;
    tt_status st = TT_OK;

    if (entry->kind == TT_ENTRY_TENSOR && entry->ndim == 0 && tt_key_of(entry->fqn).kind == TT_KEY_OPTIMIZER)
        st = scalar_dtype(&dtype, opts, entry, err);
    else if (entry->kind == TT_ENTRY_TENSOR)
        st = tt_tool_dtype(&dtype, opts, entry->fqn, entry->dtype, err);
    if (st == TT_OK)
        st = tt_recipe_add_entry(recipe, ckpt, entry, err);
    if (st == TT_OK && entry->kind == TT_ENTRY_TENSOR && dtype != entry->dtype) {
        recipe->items[recipe->n - 1].output.dtype = dtype;
        st = tt_recipe_note(recipe, &recipe->recast, entry->fqn, err);
    }
    return st;
}

/* How many data-parallel ranks the output is for; 0: as many as the input. */
static tt_status target_degree(int64_t *out, struct run *run, struct tt_err *err)
{
    *out = run->has_job ? run->job.degrees.dp_replicate * run->job.degrees.dp_shard : 0;
    return run->like ? tt_position_degree(out, run->like, err) : TT_OK;
}

static void say_position(const struct run *run, enum tt_position what, int64_t from, int64_t to)
{
    static const char over[] = "TorchTitan starts the data over with --checkpoint.exclude_from_loading dataloader";
    char line[400];
    if (what == TT_POSITION_TITAN)
        snprintf(line, sizeof line,
                 "warning: the position in the data, saved at a data-parallel degree of %" PRId64 ", is in titan's own form for %" PRId64
                 ": titan-train goes on from it, %s",
                 from, to, over);
    if (what == TT_POSITION_NONE)
        snprintf(line, sizeof line,
                 "warning: the position in the data, saved at a data-parallel degree of %" PRId64
                 " by worker processes that read a streamed dataset, is left out for %" PRId64 ": %s",
                 from, to, over);
    if (what != TT_POSITION_EXACT)
        tt_prog_say(run->prog, line);
}

static tt_status add_all(struct run *run, struct tt_err *err)
{
    struct tt_ckpt *ckpt = run->ckpts[0];
    const bool model_only = run->opts->model_only;
    int64_t from = 0, to = 0;
    enum tt_position what;
    tt_status st = model_only ? TT_OK : tt_position_degree(&from, ckpt, err);

    if (st == TT_OK && !model_only)
        st = target_degree(&to, run, err);
    const bool same = !to || !from || from == to;
    for (size_t i = 0; i < ckpt->entries.n && st == TT_OK; i++) {
        const struct tt_entry *entry = &ckpt->entries.items[i];
        const enum tt_key_kind kind = tt_key_of(entry->fqn).kind;
        if (tt_tool_takes(&run->opts->tool, entry->fqn) && (kind == TT_KEY_MODEL || !model_only) && (kind != TT_KEY_DATALOADER || same))
            st = add_entry(run, ckpt, entry, err);
    }
    if (st != TT_OK || same || !tt_tool_takes(&run->opts->tool, "dataloader.world_size"))
        return st;
    st = tt_position_convert(&what, &run->recipe, ckpt, from, to, err);
    if (st == TT_OK)
        say_position(run, what, from, to);
    return st;
}

static tt_status parse_weights(double *out, size_t n, const char *text, struct tt_err *err)
{
    size_t found = 0;
    for (const char *s = text; found < n;) {
        char *end;
        out[found] = strtod(s, &end);
        if (end == s || (*end != ',' && *end))
            break;
        found++;
        if (!*end)
            return found == n ? TT_OK : tt_err_set(err, TT_EUSAGE, "--weights: expected %zu numbers, found %zu", n, found);
        s = end + 1;
    }
    return tt_err_set(err, TT_EUSAGE, "--weights: expected %zu numbers with commas, found '%s'", n, text);
}

static tt_status add_average(struct run *run, struct tt_err *err)
{
    double *weights = tt_arena_array(&run->arena, run->nckpts, sizeof *weights);
    tt_status st = weights ? TT_OK : tt_err_nomem(err, run->nckpts * sizeof *weights, "the weights");

    for (size_t i = 0; st == TT_OK && i < run->nckpts; i++)
        weights[i] = 1;
    if (st == TT_OK && run->opts->weights)
        st = parse_weights(weights, run->nckpts, run->opts->weights, err);
    return st == TT_OK ? tt_average_add(&run->recipe, run->ckpts, run->nckpts, weights, &run->opts->tool, err) : st;
}

/* Parameters that the job has and the checkpoint has not, but for those that are left out on purpose. */
static tt_status note_missing(struct run *run, struct tt_err *err)
{
    tt_status st = TT_OK;
    for (int i = 0; i < run->job.params.n && st == TT_OK; i++) {
        const char *fqn = run->job.params.p[i].fqn;
        if (!run->job.found[i] && tt_tool_takes(&run->opts->tool, fqn))
            st = tt_recipe_note(&run->recipe, &run->recipe.missing, fqn, err);
    }
    return st;
}

static tt_status place(struct run *run, struct tt_target *target, struct tt_err *err)
{
    if (run->has_job) {
        const tt_status st = tt_place_job(&run->recipe, target, &run->job, err);
        return st == TT_OK ? note_missing(run, err) : st;
    }
    if (run->like)
        return tt_place_like(&run->recipe, target, run->like, err);
    if (!run->opts->single && run->ckpts[0]->format == TT_CKPT_DCP)
        return tt_place_as_is(&run->recipe, target, run->ckpts[0], err);
    return TT_OK; /* one file, of whole tensors */
}

static tt_status write_out(struct run *run, const char *path, struct tt_err *err)
{
    const struct tt_reshard_opts *o = run->opts;
    struct tt_target target = { .format = TT_CKPT_DCP, .path = path, .zstd_level = (int)o->zstd, .link = o->hard_link,
                                .also_read = o->like };
    tt_status st = o->average ? add_average(run, err) : add_all(run, err);

    if (st == TT_OK)
        st = tt_recipe_rename(&run->recipe, o->rename.items, o->rename.n, err);
    if (st == TT_OK && run->recipe.n == 0)
        st = tt_err_set(err, TT_EINVAL, "%s: nothing in it is wanted", run->ckpts[0]->path);
    if (st == TT_OK)
        st = place(run, &target, err);
    return st == TT_OK ? tt_tool_write(run->prog, &run->recipe, &target, &o->tool, err) : st;
}

tt_status tt_reshard(const struct tt_prog *prog, const struct tt_reshard_opts *opts, char **args, int nargs, struct tt_err *err)
{
    struct run run = { .prog = prog, .opts = opts };
    tt_status st = check_options(&run, args, nargs, err);

    if (st == TT_OK)
        st = open_all(&run, args, nargs, err);
    if (st == TT_OK)
        st = write_out(&run, args[nargs - 1], err);
    tt_recipe_release(&run.recipe);
    tt_job_close(&run.job);
    tt_ckpt_close(run.like);
    for (size_t i = 0; i < run.nckpts; i++)
        tt_ckpt_close(run.ckpts[i]);
    tt_arena_release(&run.arena);
    return st;
}

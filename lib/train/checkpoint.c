#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/names.h"
#include "ckpt/ckpt.h"
#include "ckpt/save_dir.h"
#include "convert/hf_convert.h"

/* --- settings ------------------------------------------------------------------------------------------------------------ */

static tt_status parse_exclude(unsigned *out, const struct tt_config *config, struct tt_err *err)
{
    const struct tt_strs *names = &config->checkpoint.exclude_from_loading;
    *out = 0;
    for (size_t i = 0; i < names->n; i++) {
        const unsigned part = tt_state_part_find(names->s[i]);
        if (part == 0)
            return tt_err_set(err, TT_EINVAL,
                              "%s: there is no '%s' in a checkpoint, but model, optimizer, lr_scheduler, dataloader and "
                              "train_state",
                              tt_config_where(config, "checkpoint.exclude_from_loading"), names->s[i]);
        *out |= part;
    }
    return TT_OK;
}

tt_status tt_checkpointer_init(struct tt_checkpointer *out, const struct tt_config *config, const struct tt_log *log,
                               struct tt_pool *pool, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    unsigned exclude;

    *out = (struct tt_checkpointer){ .config = config, .log = log, .pool = pool };
    if (!config->checkpoint.enable)
        return TT_OK;
    if (config->checkpoint.keep_latest_k == 1)
        return tt_err_set(err, TT_EINVAL, "%s is 1: at least 2 checkpoints are kept, for the latest may be the one being written",
                          tt_config_where(config, "checkpoint.keep_latest_k"));
    const tt_status status = parse_exclude(&exclude, config, err);
    if (status != TT_OK)
        return status;

    char *folder = tt_path_join(&arena, config->job.dump_folder, config->checkpoint.folder);
    out->folder = folder ? strdup(folder) : NULL;
    out->exclude = exclude;
    tt_arena_release(&arena);
    if (!out->folder)
        return tt_err_nomem(err, strlen(config->job.dump_folder), "the checkpoint folder's name");
    tt_log_line(log, TT_LOG_INFO, "Checkpointing active. Checkpoints will be loaded from and saved to %s", out->folder);
    return TT_OK;
}

void tt_checkpointer_release(struct tt_checkpointer *ckpt)
{
    free(ckpt->folder);
    *ckpt = (struct tt_checkpointer){ 0 };
}

/* --- the steps in a folder ------------------------------------------------------------------------------------------------ */

struct step_dir {
    int64_t step;
    char *path;
    bool complete;
};
struct steps {
    struct step_dir *dir;
    size_t n;
};

/* The N of "step-N", exactly as titan and TorchTitan write it; -1 for any other name. */
static int64_t step_of(const char *name)
{
    static const char prefix[] = "step-";
    const char *digits = name + strlen(prefix);
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return -1;
    const size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 18 || digits[n] != 0 || (n > 1 && digits[0] == '0'))
        return -1;
    return strtoll(digits, NULL, 10);
}

static int by_step(const void *a, const void *b)
{
    const int64_t x = ((const struct step_dir *)a)->step, y = ((const struct step_dir *)b)->step;
    return (x > y) - (x < y);
}

/* All steps of the folder, in ascending order; none where there is no folder. */
static tt_status list_steps(struct steps *out, struct tt_arena *arena, const char *folder, struct tt_err *err)
{
    char **names;
    size_t n;

    *out = (struct steps){ 0 };
    if (!tt_path_is_dir(folder))
        return TT_OK;
    const tt_status status = tt_dir_list(arena, folder, &names, &n, err);
    if (status != TT_OK)
        return status;
    out->dir = tt_arena_array(arena, n, sizeof *out->dir);
    for (size_t i = 0; i < n && out->dir; i++) {
        const int64_t step = step_of(names[i]);
        char *path = tt_path_join(arena, folder, names[i]);
        if (path && step >= 0)
            out->dir[out->n++] = (struct step_dir){ step, path, tt_ckpt_is_complete(path) };
    }
    if (!out->dir)
        return tt_err_nomem(err, n * sizeof *out->dir, "the list of checkpoints");
    qsort(out->dir, out->n, sizeof *out->dir, by_step);
    return TT_OK;
}

static const struct step_dir *newest_complete(const struct steps *steps)
{
    for (size_t i = steps->n; i-- > 0;)
        if (steps->dir[i].complete)
            return &steps->dir[i];
    return NULL;
}

/* The newest step with everything in it; -1 where there is none. A step that cannot be read does not count. */
static int64_t newest_full(const struct steps *steps)
{
    for (size_t i = steps->n; i-- > 0;) {
        struct tt_ckpt *ckpt;
        if (!steps->dir[i].complete || steps->dir[i].step == 0 || tt_ckpt_open(&ckpt, steps->dir[i].path, NULL) != TT_OK)
            continue;
        const unsigned parts = tt_state_parts_in(&ckpt->entries);
        tt_ckpt_close(ckpt);
        if (parts == TT_STATE_ALL)
            return steps->dir[i].step;
    }
    return -1;
}

/* --- loading -------------------------------------------------------------------------------------------------------------- */

/* What to load: a checkpoint, and whether its model is all that counts. */
struct source {
    const char *path;
    bool model_only;
    bool is_hf; /* a Hugging Face model */
};

/* What a run begins with that has no step of its own. */
static tt_status find_initial(struct source *out, const struct tt_checkpointer *c, struct tt_err *err)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;
    const bool given = config->initial_load_path != NULL;

    if (config->initial_load_in_hf_quantized && !config->initial_load_in_hf)
        return tt_err_set(err, TT_EINVAL, "%s: only a checkpoint in Hugging Face's form (checkpoint.initial_load_in_hf) is quantized",
                          tt_config_where(c->config, "checkpoint.initial_load_in_hf_quantized"));
    if (config->initial_load_in_hf && !config->initial_load_model_only)
        return tt_err_set(err, TT_EINVAL, "%s: a checkpoint in Hugging Face's form has the model alone",
                          tt_config_where(c->config, "checkpoint.initial_load_model_only"));
    if (config->initial_load_in_hf) {
        out->path = given ? config->initial_load_path : c->config->model.hf_assets_path;
        out->is_hf = true;
        if (!tt_path_is_dir(out->path))
            return tt_err_set(err, TT_EINVAL, "%s: expected a Hugging Face folder, found %s",
                              tt_config_where(c->config, given ? "checkpoint.initial_load_path" : "model.hf_assets_path"), out->path);
        tt_log_line(c->log, TT_LOG_INFO,
                    given ? "loading from HF safetensors from --checkpoint.initial_load_path: %s"
                          : "loading HF safetensors from --model.hf_assets_path: %s", out->path);
    } else if (given) {
        out->path = config->initial_load_path;
    }
    out->model_only = config->initial_load_model_only;
    return TT_OK;
}

static tt_status find_source(struct source *out, const struct tt_checkpointer *c, struct tt_arena *arena, const struct steps *steps,
                             struct tt_err *err)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;
    const struct step_dir *newest = newest_complete(steps);

    *out = (struct source){ 0 };
    if (newest && config->initial_load_path)
        tt_log_line(
            c->log, TT_LOG_WARNING,
            "checkpoint.initial_load_path is provided but the checkpoint.folder exists. Checkpointer will use the checkpoints from "
            "the checkpoint.folder %s.",
            c->folder);
    if (newest && config->initial_load_in_hf)
        tt_log_line(c->log, TT_LOG_WARNING,
                    "checkpoint.initial_load_in_hf is True but the checkpoint.folder exists. Checkpointer will not load from HF "
                    "safetensors");
    if (!newest && (config->initial_load_path || config->initial_load_in_hf || config->initial_load_in_hf_quantized))
        return find_initial(out, c, err);
    if (config->load_step == -1) {
        if (newest)
            *out = (struct source){ .path = newest->path, .model_only = newest->step == 0 };
        return TT_OK;
    }
    out->path = tt_arena_printf(arena, "%s/step-%" PRId64, c->folder, config->load_step);
    out->model_only = config->load_step == 0;
    if (!out->path)
        return tt_err_nomem(err, strlen(c->folder), "a checkpoint's name");
    if (!tt_ckpt_is_complete(out->path)) {
        if (newest)
            return tt_err_set(err, TT_ENOENT, "%s is %" PRId64 " but there is no complete checkpoint %s; the newest is %s",
                              tt_config_where(c->config, "checkpoint.load_step"), config->load_step, out->path, newest->path);
        return tt_err_set(err, TT_ENOENT, "%s is %" PRId64 " but there is no complete checkpoint %s, nor any other in %s",
                          tt_config_where(c->config, "checkpoint.load_step"), config->load_step, out->path, c->folder);
    }
    return TT_OK;
}

static tt_status refuse_model_only(const char *path, const struct steps *steps, struct tt_err *err)
{
    static const char no_state[] = "--checkpoint.exclude_from_loading optimizer,lr_scheduler,dataloader,train_state";
    const int64_t full = newest_full(steps);
    if (full < 0)
        return tt_err_set(err, TT_EINVAL,
                          "%s holds the model only, which a run cannot resume from, and there is no full checkpoint beside it: "
                          "train anew from its weights with %s",
                          path, no_state);
    return tt_err_set(err, TT_EINVAL,
                      "%s holds the model only, which a run cannot resume from: go on from the newest full checkpoint with "
                      "--checkpoint.load_step %" PRId64 ", or train anew from its weights with %s",
                      path, full, no_state);
}

static void say_names(const struct tt_checkpointer *c, const struct tt_names *names, const char *path, const char *what)
{
    struct tt_names_text text = { 0 };

    for (size_t i = 0; i < names->n; i++)
        tt_names_text_add(&text, names->items[i]);
    if (names->n)
        tt_log_line(c->log, TT_LOG_WARNING, "%s: %s: %s", path, what, tt_names_text_end(&text));
    tt_names_text_release(&text);
}

/* The model of a Hugging Face folder, whatever it is quantized, transposed or stacked as. */
static tt_status load_hf(struct tt_checkpointer *c, struct tt_train_state *state, const char *path, struct tt_err *err)
{
    const struct tt_config_model *model = &c->config->model;
    const struct tt_hf_convert_opts job = { .direction = TT_HF_FROM, .input = path, .output = "", .model_name = model->name,
                                            .model_flavor = model->flavor, .allow_unused = true, .log = c->log };
    const char *dtype = tt_dtype_name(c->config->training.dtype);
    const struct tt_tool_opts tool = { .dtype = { .items = &dtype, .n = 1 } };
    struct tt_hf_conversion from = { 0 };
    tt_status st = tt_hf_convert_plan(&from, &job, &tool, err);

    if (st == TT_OK) {
        say_names(c, &from.recipe.missing, path,
                  "not in it, and made up for (zeros for an expert_bias; a tied output.weight begins as a copy of the embedding, and is "
                  "trained apart)");
        say_names(c, &from.recipe.unused, path, "in it, but not in the model, and left out");
        if (from.recipe.reshaped.n + from.recipe.recast.n)
            tt_log_line(c->log, TT_LOG_INFO, "%s: %zu tensors are reshaped, %zu recast to torch.%s.", path, from.recipe.reshaped.n,
                        from.recipe.recast.n, dtype);
        st = tt_state_load_model(state, &from.recipe, path, c->pool, err);
    }
    tt_hf_convert_release(&from);
    return st;
}

static tt_status load_from(struct tt_checkpointer *c, struct tt_train_state *state, const struct source *source,
                           const struct steps *steps, unsigned *loaded, struct tt_err *err)
{
    struct tt_ckpt *ckpt;
    const unsigned parts = source->model_only ? TT_STATE_MODEL : TT_STATE_ALL & ~c->exclude;

    *loaded = parts;
    if (source->is_hf)
        return load_hf(c, state, source->path, err);
    tt_status status = tt_ckpt_open(&ckpt, source->path, err);
    if (status != TT_OK)
        return status;
    if (parts & ~TT_STATE_MODEL && tt_state_parts_in(&ckpt->entries) == TT_STATE_MODEL)
        status = refuse_model_only(source->path, steps, err);
    if (status == TT_OK)
        status = tt_state_load(state, ckpt, parts, c->pool, err);
    tt_ckpt_close(ckpt);
    return status;
}

/* Settings that a checkpoint brings along: what it says counts, as in PyTorch, whatever the configuration says. */
static const struct override {
    const char *key;
    unsigned part;
} overrides[] = {
    { "optimizer.lr", TT_STATE_LR },
    { "optimizer.beta1", TT_STATE_OPTIMIZER },
    { "optimizer.beta2", TT_STATE_OPTIMIZER },
    { "optimizer.eps", TT_STATE_OPTIMIZER },
    { "optimizer.weight_decay", TT_STATE_OPTIMIZER },
};

static void warn_overrides(const struct tt_checkpointer *c, const struct tt_train_state *state, const char *path, unsigned parts)
{
    const struct tt_config_optimizer *o = &c->config->optimizer;
    const struct tt_param_group *g = &state->group;
    const double here[] = { o->lr, o->beta1, o->beta2, o->eps, o->weight_decay };
    const double there[] = { state->lr.base, g->beta1, g->beta2, g->eps, g->weight_decay };

    for (size_t i = 0; i < sizeof overrides / sizeof *overrides; i++)
        if (parts & overrides[i].part && here[i] != there[i])
            tt_log_line(c->log, TT_LOG_WARNING, "%s is %.17g, but the checkpoint %s goes on with its own %.17g.",
                        tt_config_where(c->config, overrides[i].key), here[i], path, there[i]);
    if (parts & TT_STATE_OPTIMIZER && g->decoupled_weight_decay != (o->name == TT_ADAMW))
        tt_log_line(c->log, TT_LOG_WARNING, "%s is %s, but the checkpoint %s goes on with its own %s.",
                    tt_config_where(c->config, "optimizer.name"), o->name == TT_ADAMW ? "AdamW" : "Adam", path,
                    g->decoupled_weight_decay ? "AdamW" : "Adam");
}

tt_status tt_checkpointer_load(struct tt_checkpointer *c, struct tt_train_state *state, bool *loaded, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct steps steps;
    struct source source;
    unsigned parts;

    *loaded = false;
    if (!c->folder)
        return TT_OK;
    if (!c->read_only)
        tt_save_dir_recover(c->folder, c->log);
    tt_status status = list_steps(&steps, &arena, c->folder, err);
    if (status == TT_OK)
        status = find_source(&source, c, &arena, &steps, err);
    if (status == TT_OK && source.path) {
        const double start = tt_seconds();
        tt_log_line(c->log, TT_LOG_INFO, "Loading the checkpoint from %s.", source.path);
        status = load_from(c, state, &source, &steps, &parts, err);
        if (status == TT_OK) {
            warn_overrides(c, state, source.path, parts);
            tt_log_line(c->log, TT_LOG_INFO, "Finished loading the checkpoint in %.2f seconds.", tt_seconds() - start);
            *loaded = true;
        }
    }
    tt_arena_release(&arena);
    return status;
}

/* --- saving --------------------------------------------------------------------------------------------------------------- */

static bool is_due(const struct tt_checkpointer *c, int64_t step, bool last)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;
    if (!c->folder || config->load_only)
        return false;
    return last || (step == 1 && config->enable_first_step_checkpoint) || step % config->interval == 0;
}

/* What a failed save leaves behind is as important as why it failed. */
static tt_status failed_save(const struct tt_checkpointer *c, int64_t step, tt_status status, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct steps steps;
    struct tt_err reason = *err;
    const struct step_dir *newest = list_steps(&steps, &arena, c->folder, NULL) == TT_OK ? newest_complete(&steps) : NULL;

    tt_err_set(err, status, "step %" PRId64 " was not saved: %s (%s%s)", step, reason.msg,
               newest ? "the newest complete checkpoint is " : "there is no complete checkpoint", newest ? newest->path : "");
    tt_arena_release(&arena);
    return status;
}

static tt_status write_step(struct tt_checkpointer *c, const struct tt_train_state *state, unsigned parts, bool cast,
                            struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_save_item *items;
    size_t n;
    const struct tt_save_opts opts = {
        .cast = cast, .cast_dtype = c->config->checkpoint.export_dtype, .pool = c->pool, .log = c->log
    };
    char *dir = tt_arena_printf(&arena, "%s/step-%" PRId64, c->folder, state->step);

    tt_status status = dir ? TT_OK : tt_err_nomem(err, strlen(c->folder), "a checkpoint's name");
    if (status == TT_OK)
        status = tt_state_items(&items, &n, &arena, state, parts, err);
    if (status == TT_OK)
        status = tt_dcp_save(dir, items, n, &opts, err);
    tt_arena_release(&arena);
    return status == TT_OK ? TT_OK : failed_save(c, state->step, status, err);
}

/* As TorchTitan: a model saved alone is cast where export_dtype is not the default. */
static tt_status save_last(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const enum tt_dtype dtype = c->config->checkpoint.export_dtype;
    if (!c->config->checkpoint.last_save_model_only) {
        tt_log_line(c->log, TT_LOG_INFO, "Saving a full checkpoint at last step, step %" PRId64 ".", state->step);
        return write_step(c, state, TT_STATE_ALL, false, err);
    }
    tt_log_line(c->log, TT_LOG_INFO, "Saving a model only checkpoint in torch.%s at last step, step %" PRId64 ".",
                tt_dtype_name(dtype), state->step);
    return write_step(c, state, TT_STATE_MODEL, dtype != TT_F32, err);
}

/* .metadata goes first: what a kill in between leaves is no checkpoint. Of a step that is a link only the link goes: what it leads
 * to was put elsewhere to be kept. */
static tt_status remove_step(struct tt_arena *arena, const char *path, struct tt_err *err)
{
    if (tt_path_is_link(path))
        return tt_remove_all(path, err);
    char *metadata = tt_path_join(arena, path, ".metadata");
    if (!metadata)
        return tt_err_nomem(err, strlen(path), "a file's name");
    const tt_status status = tt_remove_all(metadata, err);
    return status == TT_OK ? tt_remove_all(path, err) : status;
}

static tt_status remove_old(const struct tt_checkpointer *c, struct tt_err *err)
{
    const int64_t keep = c->config->checkpoint.keep_latest_k;
    struct tt_arena arena = { 0 };
    struct steps steps;

    if (keep <= 0)
        return TT_OK;
    tt_status status = list_steps(&steps, &arena, c->folder, err);
    for (size_t i = 0; status == TT_OK && (int64_t)(steps.n - i) > keep; i++) {
        const double start = tt_seconds();
        tt_log_line(c->log, TT_LOG_INFO, "Checkpointer is deleting %s.", steps.dir[i].path);
        status = remove_step(&arena, steps.dir[i].path, err);
        if (status == TT_OK)
            tt_log_line(c->log, TT_LOG_INFO, "Checkpointer deleted %s in %.2f seconds.", steps.dir[i].path, tt_seconds() - start);
    }
    tt_arena_release(&arena);
    return status;
}

tt_status tt_checkpointer_save(struct tt_checkpointer *c, const struct tt_train_state *state, bool last, struct tt_err *err)
{
    const double start = tt_seconds();
    struct tt_err why; /* failed_save reads the message: the caller may not want one */

    if (!is_due(c, state->step, last))
        return TT_OK;
    tt_log_line(c->log, TT_LOG_INFO, "Saving the checkpoint (or staging if async is enabled).");
    tt_status status = last ? save_last(c, state, &why) : write_step(c, state, TT_STATE_ALL, false, &why);
    if (status == TT_OK && !last)
        status = remove_old(c, &why);
    if (status != TT_OK)
        return tt_err_set(err, status, "%s", why.msg);
    if (last) /* TorchTitan says no more of it */
        return TT_OK;
    tt_log_line(c->log, TT_LOG_INFO, "Finished saving the checkpoint (or staging if async is enabled)in %.2f seconds.",
                tt_seconds() - start);
    return TT_OK;
}

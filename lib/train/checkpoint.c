#include "train/checkpoint.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/names.h"
#include "ckpt/ckpt.h"
#include "ckpt/save_dir.h"
#include "convert/hf_convert.h"
#include "train/snapshot.h"
#include "train/step_dirs.h"

/* Of a core: training has what a save leaves of it, and each step waits for its slowest thread. */
static const double background_share = 0.1;

/* A save in the background: one at a time. */
struct tt_checkpointer_background {
    struct tt_checkpointer *owner;
    struct tt_snapshot snapshot;
    struct tt_pace pace;
    pthread_t thread;
    bool is_running; /* the thread is there; until it has been waited for the rest is its own */
    bool is_saved;
    int64_t step;
    struct tt_arena arena; /* of the items */
    struct tt_save_item *items;
    size_t nitems;
};

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

/* Where anything is going to be saved in the background. */
static tt_status make_background(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;

    if (config->async_mode == TT_ASYNC_DISABLED || config->load_only || config->create_seed_checkpoint)
        return TT_OK;
    c->background = calloc(1, sizeof *c->background);
    if (!c->background)
        return tt_err_nomem(err, sizeof *c->background, "saves in the background");
    c->background->owner = c;
    const tt_status status = tt_snapshot_init(&c->background->snapshot, state, c->pool, err);
    if (status == TT_OK)
        tt_log_line(c->log, TT_LOG_INFO, "Checkpoints are saved in the background, from a copy of the state that takes %.2fGiB",
                    (double)c->background->snapshot.nbytes / (double)(1 << 30));
    return status;
}

/* Of a model saved alone. As TorchTitan: float32, the default, casts nothing. */
static enum tt_dtype last_dtype(const struct tt_config *config)
{
    return config->checkpoint.export_dtype != TT_F32 ? config->checkpoint.export_dtype : config->training.dtype;
}

/* The last step in Hugging Face's form, names and files as in model.hf_assets_path. Release it in any case. */
static tt_status plan_hf(struct tt_hf_conversion *out, const struct tt_checkpointer *c, const struct tt_train_state *state,
                         const char *dir, const struct tt_log *log, struct tt_err *err)
{
    const struct tt_config *config = c->config;
    const char *dtype = tt_dtype_name(last_dtype(config));
    const struct tt_tool_opts tool = { .dtype = { .items = &dtype, .n = 1 } };
    struct tt_hf_convert_opts job = { .direction = TT_HF_TO,
                                      .input = "memory",
                                      .output = dir,
                                      .model_name = config->model.name,
                                      .model_flavor = config->model.flavor,
                                      .assets_path = config->model.hf_assets_path,
                                      .log = log };

    *out = (struct tt_hf_conversion){ 0 };
    const tt_status status = tt_state_open_model(&job.open, state, err);
    return status == TT_OK ? tt_hf_convert_plan(out, &job, &tool, err) : status;
}

/* What cannot be written after the last step is an error before the first. */
static tt_status check_hf(const struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;
    struct tt_hf_conversion conversion;

    if (!config->last_save_in_hf || config->load_only)
        return TT_OK;
    if (!config->last_save_model_only)
        return tt_err_set(err, TT_EINVAL,
                          "%s: a checkpoint in Hugging Face's form has the model alone (checkpoint.last_save_model_only)",
                          tt_config_where(c->config, "checkpoint.last_save_in_hf"));
    const tt_status status = plan_hf(&conversion, c, state, c->folder, NULL, err);
    tt_hf_convert_release(&conversion);
    return status;
}

tt_status tt_checkpointer_init(struct tt_checkpointer *out, const struct tt_config *config, const struct tt_train_state *state,
                               const struct tt_log *log, struct tt_pool *pool, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    unsigned exclude;

    *out = (struct tt_checkpointer){ .config = config, .log = log, .pool = pool };
    if (!config->checkpoint.enable)
        return TT_OK;
    if (config->checkpoint.keep_latest_k == 1)
        return tt_err_set(err, TT_EINVAL, "%s is 1: at least 2 checkpoints are kept, for the latest may be the one being written",
                          tt_config_where(config, "checkpoint.keep_latest_k"));
    tt_status status = parse_exclude(&exclude, config, err);
    if (status != TT_OK)
        return status;

    char *folder = tt_path_join(&arena, config->job.dump_folder, config->checkpoint.folder);
    out->folder = folder ? strdup(folder) : NULL;
    out->exclude = exclude;
    tt_arena_release(&arena);
    if (!out->folder)
        return tt_err_nomem(err, strlen(config->job.dump_folder), "the checkpoint folder's name");
    tt_log_line(log, TT_LOG_INFO, "Checkpointing active. Checkpoints will be loaded from and saved to %s", out->folder);
    status = check_hf(out, state, err);
    return status == TT_OK ? make_background(out, state, err) : status;
}

void tt_checkpointer_wait(struct tt_checkpointer *ckpt)
{
    struct tt_checkpointer_background *b = ckpt->background;

    if (!b || !b->is_running)
        return;
    tt_pace_hurry(&b->pace);
    pthread_join(b->thread, NULL);
    b->is_running = false;
    tt_arena_release(&b->arena);
    if (b->is_saved)
        ckpt->saved = b->step;
}

void tt_checkpointer_release(struct tt_checkpointer *ckpt)
{
    tt_checkpointer_wait(ckpt);
    if (ckpt->background)
        tt_snapshot_release(&ckpt->background->snapshot);
    free(ckpt->background);
    free(ckpt->folder);
    *ckpt = (struct tt_checkpointer){ 0 };
}

/* --- loading -------------------------------------------------------------------------------------------------------------- */

/* What to load: a checkpoint, and whether its model is all that counts. */
struct source {
    const char *path;
    bool model_only;
    bool is_hf; /* a Hugging Face model */
};

/* What a run begins with that has no step of its own. */
static struct source source_of(const struct tt_step_dir *dir)
{
    return (struct source){ .path = dir->path, .model_only = dir->step == 0, .is_hf = dir->is_hf };
}

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

/* Where to start from but for the newest step; out->path NULL: from that, if there is one. */
static tt_status find_source(struct source *out, const struct tt_checkpointer *c, const struct tt_step_dirs *steps,
                             struct tt_err *err)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;
    const struct tt_step_dir *newest = tt_step_dirs_newest(steps);

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
    if (config->load_step == -1)
        return TT_OK;
    if (!tt_path_is_dir(c->folder)) { /* as in TorchTitan: a first run need not have settings of its own */
        tt_log_line(c->log, TT_LOG_WARNING, "%s is %" PRId64 " but there is no folder %s: training begins anew.",
                    tt_config_where(c->config, "checkpoint.load_step"), config->load_step, c->folder);
        return TT_OK;
    }
    const struct tt_step_dir *dir = tt_step_dirs_find(steps, config->load_step);
    if (dir)
        *out = source_of(dir);
    else if (newest)
        return tt_err_set(
            err, TT_ENOENT, "%s is %" PRId64 " but there is no complete checkpoint %s/step-%" PRId64 "; the newest is %s",
            tt_config_where(c->config, "checkpoint.load_step"), config->load_step, c->folder, config->load_step, newest->path);
    else
        return tt_err_set(err, TT_ENOENT, "%s is %" PRId64 " but there is no complete checkpoint in %s",
                          tt_config_where(c->config, "checkpoint.load_step"), config->load_step, c->folder);
    return TT_OK;
}

/* A checkpoint without parts that a run takes, and the way on from it all the same. */
static tt_status refuse_parts(const char *path, unsigned missing, unsigned exclude, struct tt_err *err)
{
    struct tt_buf parts = { 0 }, without = { 0 };

    tt_state_part_names(&parts, missing);
    tt_state_part_names(&without, missing | exclude);
    if ((missing | exclude | TT_STATE_MODEL) == TT_STATE_ALL)
        tt_err_set(err, TT_ENOENT, "%s holds the model only; to train anew from its weights: --checkpoint.exclude_from_loading %s",
                   path, tt_buf_cstr(&without));
    else
        tt_err_set(err, TT_ENOENT, "%s has no %s; to go on from it without: --checkpoint.exclude_from_loading %s", path,
                   tt_buf_cstr(&parts), tt_buf_cstr(&without));
    tt_buf_release(&parts);
    tt_buf_release(&without);
    return TT_ENOENT;
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
    const struct tt_hf_convert_opts job = { .direction = TT_HF_FROM,
                                            .input = path,
                                            .output = "",
                                            .model_name = model->name,
                                            .model_flavor = model->flavor,
                                            .allow_unused = true,
                                            .same_math = true,
                                            .log = c->log };
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

/* Whatever it has been: TorchTitan has nothing of it in a checkpoint and begins the validation data anew. */
static void load_validation(struct tt_checkpointer *c, struct tt_train_state *state, struct tt_ckpt *ckpt)
{
    struct tt_err why;
    if (tt_state_load_validation(state, ckpt, &why) != TT_OK)
        tt_log_line(c->log, TT_LOG_WARNING, "The validation data is begun anew: %s", why.msg);
}

static bool is_damage(tt_status status) { return status == TT_EFORMAT || status == TT_EIO || status == TT_ENOENT; }

/* *unfit: it cannot be read, or lacks a part, which another checkpoint may well not; else the failure is one of the settings.
 * Tensors are read before the position in the data is looked at: that of another checkpoint can still be gone to. */
static tt_status load_from(struct tt_checkpointer *c, struct tt_train_state *state, const struct source *source, unsigned *loaded,
                           bool *unfit, struct tt_err *err)
{
    static const unsigned tensors = TT_STATE_MODEL | TT_STATE_OPTIMIZER;
    const unsigned parts = source->model_only ? TT_STATE_MODEL : TT_STATE_ALL & ~c->exclude;
    struct tt_ckpt *ckpt;

    *unfit = source->is_hf && parts & ~TT_STATE_MODEL;
    *loaded = parts;
    if (*unfit)
        return refuse_parts(source->path, parts & ~TT_STATE_MODEL, c->exclude, err);
    if (source->is_hf)
        return load_hf(c, state, source->path, err);
    tt_status status = tt_ckpt_open(&ckpt, source->path, err);
    *unfit = is_damage(status);
    if (status != TT_OK)
        return status;
    const unsigned missing = parts & ~TT_STATE_MODEL & ~tt_state_parts_in(&ckpt->entries);
    status = missing ? refuse_parts(source->path, missing, c->exclude, err) : tt_state_check(ckpt, parts, err);
    *unfit = is_damage(status);
    if (status == TT_OK) {
        status = tt_state_load(state, ckpt, parts & tensors, c->pool, err);
        *unfit = status == TT_EFORMAT || status == TT_EIO; /* all files are there: what is missing is a key */
    }
    if (status == TT_OK)
        status = tt_state_load(state, ckpt, parts & ~tensors, c->pool, err);
    if (status == TT_OK && parts & TT_STATE_DATALOADER)
        load_validation(c, state, ckpt);
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

static tt_status load_source(struct tt_checkpointer *c, struct tt_train_state *state, const struct source *source, bool *unfit,
                             struct tt_err *err)
{
    const double start = tt_seconds();
    unsigned parts;

    tt_log_line(c->log, TT_LOG_INFO, "Loading the checkpoint from %s.", source->path);
    const tt_status status = load_from(c, state, source, &parts, unfit, err);
    if (status == TT_OK) {
        warn_overrides(c, state, source->path, parts);
        tt_log_line(c->log, TT_LOG_INFO, "Finished loading the checkpoint in %.2f seconds.", tt_seconds() - start);
    }
    return status;
}

/* The newest step that has what a run takes and can be read; why newer ones are not taken is a warning each. Where steps are
 * complete but none of them is taken, the newest's failure is the error: a run that begins anew there is nobody's wish. A seed
 * counts where there is nothing else. */
static tt_status load_newest(struct tt_checkpointer *c, struct tt_train_state *state, const struct tt_step_dirs *steps,
                             bool *loaded, struct tt_err *err)
{
    const struct tt_step_dir *newest = tt_step_dirs_newest(steps);
    tt_status status = TT_OK;
    bool unfit = true;

    for (size_t i = steps->n; i-- > 0 && unfit;) {
        const struct tt_step_dir *dir = &steps->dir[i];
        const struct source source = source_of(dir);
        struct tt_err why;
        if (!dir->complete) {
            tt_log_line(c->log, TT_LOG_WARNING, "Step %" PRId64 " is skipped: %s is not complete, for it has no .metadata.",
                        dir->step, dir->path);
            continue;
        }
        if (dir->step == 0 && dir != newest)
            break;
        const tt_status failed = load_source(c, state, &source, &unfit, &why);
        if (failed == TT_OK) {
            *loaded = true;
            return TT_OK;
        }
        if (dir == newest || !unfit)
            status = tt_err_set(err, failed, "%s", why.msg);
        if (unfit)
            tt_log_line(c->log, TT_LOG_WARNING, "Step %" PRId64 " is skipped: %s", dir->step, why.msg);
    }
    return status;
}

tt_status tt_checkpointer_load(struct tt_checkpointer *c, struct tt_train_state *state, bool *loaded, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_step_dirs steps;
    struct source source;
    bool unfit;

    *loaded = false;
    if (!c->folder)
        return TT_OK;
    if (!c->read_only)
        tt_save_dir_recover(c->folder, c->log);
    tt_status status = tt_step_dirs_list(&steps, &arena, c->folder, err);
    if (status == TT_OK)
        status = find_source(&source, c, &steps, err);
    if (status == TT_OK && source.path) {
        status = load_source(c, state, &source, &unfit, err);
        *loaded = status == TT_OK;
    } else if (status == TT_OK) {
        status = load_newest(c, state, &steps, loaded, err);
    }
    c->saved = state->step;
    tt_arena_release(&arena);
    return status;
}

/* --- saving --------------------------------------------------------------------------------------------------------------- */

static bool is_due(const struct tt_config_checkpoint *config, int64_t step)
{
    return (step == 1 && config->enable_first_step_checkpoint) || step % config->interval == 0;
}

/* What a failed save leaves behind is as important as why it failed. */
static tt_status failed_save(const struct tt_checkpointer *c, int64_t step, tt_status status, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_step_dirs steps;
    struct tt_err reason = *err;
    const bool listed = tt_step_dirs_list(&steps, &arena, c->folder, NULL) == TT_OK;
    const struct tt_step_dir *newest = listed ? tt_step_dirs_newest(&steps) : NULL;

    tt_err_set(err, status, "step %" PRId64 " was not saved: %s (%s%s)", step, reason.msg,
               newest ? "the newest complete checkpoint is " : "there is no complete checkpoint", newest ? newest->path : "");
    tt_arena_release(&arena);
    return status;
}

static tt_status write_items(struct tt_checkpointer *c, int64_t step, const struct tt_save_item *items, size_t n,
                             const struct tt_save_opts *opts, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    char *dir = tt_arena_printf(&arena, "%s/step-%" PRId64, c->folder, step);

    const tt_status status =
        dir ? tt_dcp_save(dir, items, n, opts, err) : tt_err_nomem(err, strlen(c->folder), "a checkpoint's name");
    tt_arena_release(&arena);
    return status == TT_OK ? TT_OK : failed_save(c, step, status, err);
}

static tt_status write_step(struct tt_checkpointer *c, const struct tt_train_state *state, unsigned parts, bool cast,
                            struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_save_item *items;
    size_t n;
    const struct tt_save_opts opts = { .cast = cast, .cast_dtype = last_dtype(c->config), .pool = c->pool, .log = c->log };

    tt_status status = tt_state_items(&items, &n, &arena, state, parts, err);
    status = status == TT_OK ? write_items(c, state->step, items, n, &opts, err) : failed_save(c, state->step, status, err);
    tt_arena_release(&arena);
    return status;
}

static tt_status write_hf(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const struct tt_write_opts opts = { .force = true, .log = c->log };
    struct tt_arena arena = { 0 };
    struct tt_hf_conversion conversion = { 0 };
    char *dir = tt_arena_printf(&arena, "%s/step-%" PRId64, c->folder, state->step);

    tt_status status =
        dir ? plan_hf(&conversion, c, state, dir, c->log, err) : tt_err_nomem(err, strlen(c->folder), "a checkpoint's name");
    if (status == TT_OK)
        status = tt_recipe_write(&conversion.recipe, &conversion.target, &opts, NULL, err);
    tt_hf_convert_release(&conversion);
    tt_arena_release(&arena);
    return status == TT_OK ? TT_OK : failed_save(c, state->step, status, err);
}

static tt_status save_last(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const enum tt_dtype dtype = last_dtype(c->config);
    if (!c->config->checkpoint.last_save_model_only) {
        tt_log_line(c->log, TT_LOG_INFO, "Saving a full checkpoint at last step, step %" PRId64 ".", state->step);
        return write_step(c, state, TT_STATE_ALL, false, err);
    }
    tt_log_line(c->log, TT_LOG_INFO, "Saving a model only checkpoint in torch.%s at last step, step %" PRId64 ".",
                tt_dtype_name(dtype), state->step);
    return c->config->checkpoint.last_save_in_hf ? write_hf(c, state, err) : write_step(c, state, TT_STATE_MODEL, true, err);
}

/* What is beyond keep_latest_k goes; that it stays where it cannot be removed is no failure of the save. */
static void remove_old(const struct tt_checkpointer *c)
{
    const int64_t keep = c->config->checkpoint.keep_latest_k;
    struct tt_err why;

    if (keep > 0 && tt_step_dirs_retain(c->folder, keep, c->log, &why) != TT_OK)
        tt_log_line(c->log, TT_LOG_WARNING, "Not all checkpoints beyond the latest %" PRId64 " were removed: %s", keep, why.msg);
}

static tt_status save_full(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const tt_status status = write_step(c, state, TT_STATE_ALL, false, err);
    if (status != TT_OK)
        return status;
    c->saved = state->step;
    remove_old(c);
    return TT_OK;
}

/* The pool is training's: this thread writes alone. */
static void *background_main(void *ctx)
{
    struct tt_checkpointer_background *b = ctx;
    const struct tt_save_opts opts = { .pace = &b->pace, .log = b->owner->log };
    const double start = tt_seconds();
    struct tt_err why;

    if (write_items(b->owner, b->step, b->items, b->nitems, &opts, &why) == TT_OK) {
        b->is_saved = true;
        tt_log_line(b->owner->log, TT_LOG_INFO, "Saved step %" PRId64 " in the background in %.2f seconds.", b->step,
                    tt_seconds() - start);
        remove_old(b->owner);
    } else {
        tt_log_line(b->owner->log, TT_LOG_WARNING, "%s", why.msg);
    }
    return NULL;
}

static tt_status start_background(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    struct tt_checkpointer_background *b = c->background;
    const struct tt_train_state copy = tt_snapshot_take(&b->snapshot, state, c->pool);

    b->step = state->step;
    b->is_saved = false;
    tt_status status = tt_state_items(&b->items, &b->nitems, &b->arena, &copy, TT_STATE_ALL, err);
    if (status == TT_OK) {
        tt_pace_init(&b->pace, background_share);
        const int rc = pthread_create(&b->thread, NULL, background_main, b);
        b->is_running = rc == 0;
        if (rc != 0)
            status = tt_err_errno(err, rc, "cannot start a thread to save with");
    }
    if (status == TT_OK)
        return TT_OK;
    tt_arena_release(&b->arena);
    return failed_save(c, state->step, status, err);
}

static tt_status save_now(struct tt_checkpointer *c, const struct tt_train_state *state, enum tt_save_when when, struct tt_err *err)
{
    if (when == TT_SAVE_LAST)
        return save_last(c, state, err);
    return when == TT_SAVE_DUE && c->background ? start_background(c, state, err) : save_full(c, state, err);
}

tt_status tt_checkpointer_save(struct tt_checkpointer *c, const struct tt_train_state *state, enum tt_save_when when,
                               struct tt_err *err)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;
    const double start = tt_seconds();
    struct tt_err why; /* failed_save reads the message: the caller may not want one */

    if (!c->folder || config->load_only || (when == TT_SAVE_DUE && !is_due(config, state->step)))
        return TT_OK;
    tt_checkpointer_wait(c);
    if (when == TT_SAVE_STOPPED && state->step == c->saved)
        return TT_OK;
    tt_log_line(c->log, TT_LOG_INFO, "Saving the checkpoint (or staging if async is enabled).");
    const tt_status status = save_now(c, state, when, &why);
    if (status != TT_OK && when == TT_SAVE_DUE) {
        tt_log_line(c->log, TT_LOG_WARNING, "%s", why.msg);
        return TT_OK;
    }
    if (status != TT_OK)
        return tt_err_set(err, status, "%s", why.msg);
    if (when != TT_SAVE_LAST) /* TorchTitan says no more of that one */
        tt_log_line(c->log, TT_LOG_INFO, "Finished saving the checkpoint (or staging if async is enabled)in %.2f seconds.",
                    tt_seconds() - start);
    return TT_OK;
}

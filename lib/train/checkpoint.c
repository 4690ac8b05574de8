#include "train/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "ckpt/save_dir.h"
#include "convert/hf_convert.h"
#include "train/save_together.h"
#include "train/share.h"
#include "train/snapshot.h"
#include "train/step_dirs.h"

/* Of a core: training has what a save leaves of it, and each step waits for its slowest thread. */
static const double background_share = 0.05;

/* A save in the background: one at a time. */
struct tt_checkpointer_background {
    struct tt_checkpointer *owner;
    struct tt_ranks ranks; /* the run's, with a communicator of its own; without a world: alone */
    struct tt_snapshot snapshot;
    struct tt_pace pace;
    pthread_t thread;
    pthread_mutex_t gate; /* before which the thread waits until it is known whether all ranks have theirs */
    bool is_running;      /* the thread is there; until it has been waited for the rest is its own */
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

/* A folder that nothing can be saved in is an error before the first step; it is made only when there is something to save, since
 * TorchTitan takes a folder without a step for one to resume from. */
static tt_status check_folder(const struct tt_checkpointer *c, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const char *where = tt_config_where(c->config, "checkpoint.folder"), *at = c->folder;
    tt_status status = TT_OK;

    while (at && !tt_path_exists(at) && !tt_path_is_link(at) && strcmp(at, ".") != 0)
        at = tt_path_dir(&arena, at);
    if (!at)
        status = tt_err_nomem(err, strlen(c->folder), "a folder's name");
    else if (!tt_path_is_dir(at))
        status = tt_err_set(err, TT_EINVAL, "%s: checkpoints cannot be saved in %s: %s is not a folder", where, c->folder, at);
    else if (access(at, W_OK | X_OK) != 0)
        status = tt_err_errno(err, errno, "%s: checkpoints cannot be saved in %s: %s", where, c->folder, at);
    tt_arena_release(&arena);
    return status;
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
    pthread_mutex_init(&c->background->gate, NULL);
    tt_status status = tt_snapshot_init(&c->background->snapshot, state, c->pool, err);
    if (status == TT_OK && c->ranks) {
        c->background->ranks = *c->ranks;
        c->background->ranks.all = NULL;
        status = tt_comm_new(&c->background->ranks.all, c->ranks->world, NULL, c->ranks->world->size, "checkpoints", err);
        if (status == TT_OK)
            tt_watchdog_set_background(c->background->ranks.all);
    }
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

/* The last step in Hugging Face's form, names and files as in model.hf_assets_path; of a checkpoint, or, `from` NULL, from memory.
 * Release it in any case. */
static tt_status plan_hf(struct tt_hf_conversion *out, const struct tt_checkpointer *c, const struct tt_train_state *state,
                         const char *from, const char *dir, const struct tt_log *log, struct tt_err *err)
{
    const struct tt_config *config = c->config;
    const char *dtype = tt_dtype_name(last_dtype(config));
    const struct tt_tool_opts tool = { .dtype = { .items = &dtype, .n = 1 } };
    struct tt_hf_convert_opts job = { .direction = TT_HF_TO,
                                      .input = from ? from : "memory",
                                      .output = dir,
                                      .model_name = config->model.name,
                                      .model_flavor = config->model.flavor,
                                      .assets_path = config->model.hf_assets_path,
                                      .log = log };

    *out = (struct tt_hf_conversion){ 0 };
    const tt_status status = from ? tt_ckpt_open(&job.open, from, err) : tt_state_open_model(&job.open, state, err);
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
    const tt_status status = plan_hf(&conversion, c, state, NULL, c->folder, NULL, err);
    tt_hf_convert_release(&conversion);
    return status;
}

tt_status tt_checkpointer_init(struct tt_checkpointer *out, const struct tt_config *config, const struct tt_train_state *state,
                               struct tt_ranks *ranks, const struct tt_log *log, struct tt_pool *pool, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    unsigned exclude;

    *out = (struct tt_checkpointer){ .config = config, .log = log, .pool = pool };
    out->ranks = ranks && ranks->world->size > 1 ? ranks : NULL;
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
    if (!config->checkpoint.load_only)
        status = check_folder(out, err);
    if (status == TT_OK)
        status = check_hf(out, state, err);
    return status == TT_OK ? make_background(out, state, err) : status;
}

void tt_checkpointer_wait(struct tt_checkpointer *ckpt)
{
    struct tt_checkpointer_background *b = ckpt->background;

    if (!b || !b->is_running)
        return;
    tt_pace_hurry(&b->pace);
    tt_watchdog_await_background(b->ranks.watchdog, true);
    pthread_join(b->thread, NULL);
    tt_watchdog_await_background(b->ranks.watchdog, false);
    b->is_running = false;
    tt_arena_release(&b->arena);
    if (b->is_saved)
        ckpt->saved = b->step;
}

void tt_checkpointer_release(struct tt_checkpointer *ckpt)
{
    tt_checkpointer_wait(ckpt);
    if (ckpt->background) {
        tt_snapshot_release(&ckpt->background->snapshot);
        tt_comm_free(ckpt->background->ranks.all);
        pthread_mutex_destroy(&ckpt->background->gate);
    }
    free(ckpt->background);
    free(ckpt->folder);
    *ckpt = (struct tt_checkpointer){ 0 };
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
    err->of_rank = reason.of_rank;
    tt_arena_release(&arena);
    return status;
}

/* What this rank writes. */
static tt_status make_items(struct tt_save_item **items, size_t *n, const struct tt_checkpointer *c, struct tt_arena *arena,
                            const struct tt_train_state *state, unsigned parts, struct tt_err *err)
{
    struct tt_train_state now = *state;
    tt_status status = parts & TT_STATE_DATALOADER ? tt_share_position(&now, c->ranks, arena, err) : TT_OK;
    if (status == TT_OK)
        status = tt_state_items(items, n, arena, &now, parts, err);
    return status == TT_OK && c->ranks ? tt_share_items(*items, n, &c->ranks->job, &c->ranks->mesh, err) : status;
}

/* ranks NULL: alone; name NULL: step-<N>. */
static tt_status write_items(struct tt_checkpointer *c, const struct tt_ranks *ranks, int64_t step, const char *name,
                             const struct tt_save_item *items, size_t n, const struct tt_save_opts *opts, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    char *dir = name ? tt_path_join(&arena, c->folder, name) : tt_arena_printf(&arena, "%s/step-%" PRId64, c->folder, step);
    tt_status status = dir ? TT_OK : tt_err_nomem(err, strlen(c->folder), "a checkpoint's name");

    if (ranks)
        status = tt_ranks_agree(ranks, status, err);
    if (status == TT_OK)
        status = ranks ? tt_save_together(ranks, dir, items, n, opts, err) : tt_dcp_save(dir, items, n, opts, err);
    tt_arena_release(&arena);
    return status == TT_OK ? TT_OK : failed_save(c, step, status, err);
}

static tt_status write_step(struct tt_checkpointer *c, const struct tt_train_state *state, const char *name, unsigned parts,
                            bool cast, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_save_item *items;
    size_t n;
    const struct tt_save_opts opts = { .cast = cast, .cast_dtype = last_dtype(c->config), .pool = c->pool, .log = c->log };

    tt_status status = make_items(&items, &n, c, &arena, state, parts, err);
    if (c->ranks)
        status = tt_ranks_agree(c->ranks, status, err);
    status = status == TT_OK ? write_items(c, c->ranks, state->step, name, items, n, &opts, err)
                             : failed_save(c, state->step, status, err);
    tt_arena_release(&arena);
    return status;
}

/* from NULL: from memory. */
static tt_status write_hf(struct tt_checkpointer *c, const struct tt_train_state *state, const char *from, struct tt_err *err)
{
    const struct tt_write_opts opts = { .force = true, .log = c->log };
    struct tt_arena arena = { 0 };
    struct tt_hf_conversion conversion = { 0 };
    char *dir = tt_arena_printf(&arena, "%s/step-%" PRId64, c->folder, state->step);

    tt_status status =
        dir ? plan_hf(&conversion, c, state, from, dir, c->log, err) : tt_err_nomem(err, strlen(c->folder), "a checkpoint's name");
    if (status == TT_OK)
        status = tt_recipe_write(&conversion.recipe, &conversion.target, &opts, NULL, err);
    tt_hf_convert_release(&conversion);
    tt_arena_release(&arena);
    return status == TT_OK ? TT_OK : failed_save(c, state->step, status, err);
}

/* Together: each rank writes its part as for any checkpoint, beside the steps, and rank 0 makes the other form of that. */
static tt_status write_hf_together(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const char *dir = tt_path_join(&arena, c->folder, tt_staged_model);
    tt_status status = dir ? TT_OK : tt_err_nomem(err, strlen(c->folder), "a folder's name");

    status = tt_ranks_agree(c->ranks, status, err);
    if (status == TT_OK)
        status = write_step(c, state, tt_staged_model, TT_STATE_MODEL, true, err);
    if (status == TT_OK && tt_ranks_is_first(c->ranks)) {
        struct tt_err why;
        tt_watchdog_busy(c->ranks->watchdog);
        status = write_hf(c, state, dir, err);
        if (tt_remove_all(dir, &why) != TT_OK)
            tt_log_line(c->log, TT_LOG_WARNING, "%s", why.msg);
        tt_watchdog_done(c->ranks->watchdog);
    }
    tt_arena_release(&arena);
    return tt_ranks_agree(c->ranks, status, err);
}

static tt_status save_last(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const enum tt_dtype dtype = last_dtype(c->config);
    if (!c->config->checkpoint.last_save_model_only) {
        tt_log_line(c->log, TT_LOG_INFO, "Saving a full checkpoint at last step, step %" PRId64 ".", state->step);
        return write_step(c, state, NULL, TT_STATE_ALL, false, err);
    }
    tt_log_line(c->log, TT_LOG_INFO, "Saving a model only checkpoint in torch.%s at last step, step %" PRId64 ".",
                tt_dtype_name(dtype), state->step);
    if (!c->config->checkpoint.last_save_in_hf)
        return write_step(c, state, NULL, TT_STATE_MODEL, true, err);
    return c->ranks ? write_hf_together(c, state, err) : write_hf(c, state, NULL, err);
}

/* What is beyond keep_latest_k goes; that it stays where it cannot be removed is no failure of the save. ranks NULL: alone. */
static void remove_old(const struct tt_checkpointer *c, const struct tt_ranks *ranks, int64_t saved)
{
    const int64_t keep = c->config->checkpoint.keep_latest_k;
    struct tt_err why;

    if (ranks && !tt_ranks_is_first(ranks))
        return;
    if (ranks)
        tt_watchdog_busy_for(ranks->watchdog, ranks->all);
    if (keep > 0 && tt_step_dirs_retain(c->folder, keep, saved, c->log, &why) != TT_OK)
        tt_log_line(c->log, TT_LOG_WARNING, "Not all checkpoints beyond the latest %" PRId64 " were removed: %s", keep, why.msg);
    if (ranks)
        tt_watchdog_done_for(ranks->watchdog, ranks->all);
}

static tt_status save_full(struct tt_checkpointer *c, const struct tt_train_state *state, struct tt_err *err)
{
    const tt_status status = write_step(c, state, NULL, TT_STATE_ALL, false, err);
    if (status != TT_OK)
        return status;
    c->saved = state->step;
    remove_old(c, c->ranks, state->step);
    return TT_OK;
}

/* The pool is training's: this thread writes alone. */
static void *background_main(void *ctx)
{
    struct tt_checkpointer_background *b = ctx;
    const struct tt_save_opts opts = { .pace = &b->pace, .log = b->owner->log };
    const struct tt_ranks *ranks = b->ranks.world ? &b->ranks : NULL;
    const double start = tt_seconds();
    struct tt_err why;

    pthread_mutex_lock(&b->gate);
    pthread_mutex_unlock(&b->gate);
    if (!b->is_running)
        return NULL;
    if (write_items(b->owner, ranks, b->step, NULL, b->items, b->nitems, &opts, &why) == TT_OK) {
        b->is_saved = true;
        tt_log_line(b->owner->log, TT_LOG_INFO, "Saved step %" PRId64 " in the background in %.2f seconds.", b->step,
                    tt_seconds() - start);
        remove_old(b->owner, ranks, b->step);
    } else {
        tt_err_name_rank(&why);
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
    tt_pace_init(&b->pace, background_share);
    tt_status status = make_items(&b->items, &b->nitems, c, &b->arena, &copy, TT_STATE_ALL, err);
    pthread_mutex_lock(&b->gate);
    const int rc = status == TT_OK ? tt_thread_start(&b->thread, background_main, b) : -1;
    if (rc > 0)
        status = tt_err_errno(err, rc, "cannot start a thread to save with");
    if (c->ranks)
        status = tt_ranks_agree(c->ranks, status, err);
    b->is_running = status == TT_OK;
    pthread_mutex_unlock(&b->gate);
    if (status == TT_OK)
        return TT_OK;
    if (rc == 0)
        pthread_join(b->thread, NULL);
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
        tt_err_name_rank(&why);
        tt_log_line(c->log, TT_LOG_WARNING, "%s", why.msg);
        return TT_OK;
    }
    if (status != TT_OK)
        return tt_err_copy(err, &why);
    if (when != TT_SAVE_LAST) /* TorchTitan says no more of that one */
        tt_log_line(c->log, TT_LOG_INFO, "Finished saving the checkpoint (or staging if async is enabled)in %.2f seconds.",
                    tt_seconds() - start);
    return TT_OK;
}

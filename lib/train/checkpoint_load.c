/* What a run begins with. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/names.h"
#include "base/sha256.h"
#include "ckpt/ckpt.h"
#include "ckpt/crc_share.h"
#include "ckpt/save_dir.h"
#include "convert/hf_convert.h"
#include "format/metadata.h"
#include "train/checkpoint.h"
#include "train/step_dirs.h"

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

/* A run's folder of checkpoints is none itself. */
static tt_status check_initial(const struct tt_checkpointer *c, const char *path, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_step_dirs steps;
    tt_status status = tt_step_dirs_list(&steps, &arena, path, err);
    const struct tt_step_dir *newest = status == TT_OK ? tt_step_dirs_newest(&steps) : NULL;

    if (newest && !tt_ckpt_is_complete(path) && !tt_is_hf_folder(path))
        status = tt_err_set(err, TT_EINVAL, "%s: expected a checkpoint, found a folder of checkpoints, of which %s is the newest",
                            tt_config_where(c->config, "checkpoint.initial_load_path"), newest->path);
    tt_arena_release(&arena);
    return status;
}

static tt_status find_initial(struct source *out, const struct tt_checkpointer *c, struct tt_err *err)
{
    const struct tt_config_checkpoint *config = &c->config->checkpoint;
    const bool given = config->initial_load_path != NULL;

    if (config->initial_load_in_hf_quantized && !config->initial_load_in_hf)
        return tt_err_set(err, TT_EINVAL,
                          "%s: only a checkpoint in Hugging Face's form (checkpoint.initial_load_in_hf) is quantized",
                          tt_config_where(c->config, "checkpoint.initial_load_in_hf_quantized"));
    if (config->initial_load_in_hf && !config->initial_load_model_only)
        return tt_err_set(err, TT_EINVAL, "%s: a checkpoint in Hugging Face's form has the model alone",
                          tt_config_where(c->config, "checkpoint.initial_load_model_only"));
    if (config->initial_load_in_hf) {
        out->path = given ? config->initial_load_path : c->config->model.hf_assets_path;
        out->is_hf = true;
        if (!tt_path_is_dir(out->path))
            return tt_err_set(err, TT_EINVAL, "%s: expected a Hugging Face folder, found %s",
                              tt_config_where(c->config, given ? "checkpoint.initial_load_path" : "model.hf_assets_path"),
                              out->path);
        tt_log_line(c->log, TT_LOG_INFO,
                    given ? "loading from HF safetensors from --checkpoint.initial_load_path: %s"
                          : "loading HF safetensors from --model.hf_assets_path: %s",
                    out->path);
    } else if (given) {
        out->path = config->initial_load_path;
    }
    out->model_only = config->initial_load_model_only;
    return given ? check_initial(c, out->path, err) : TT_OK;
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

/* Releases the names. */
static void say_text(const struct tt_checkpointer *c, struct tt_names_text *names, const char *path, const char *what)
{
    if (names->n)
        tt_log_line(c->log, TT_LOG_WARNING, "%s: %s: %s", path, what, tt_names_text_end(names));
    tt_names_text_release(names);
}

static void say_names(const struct tt_checkpointer *c, const struct tt_names *names, const char *path, const char *what)
{
    struct tt_names_text text = { 0 };

    for (size_t i = 0; i < names->n; i++)
        tt_names_text_add(&text, names->items[i]);
    say_text(c, &text, path, what);
}

static void say_changes(const struct tt_checkpointer *c, const char *path, size_t nreshaped, size_t nrecast)
{
    if (nreshaped + nrecast)
        tt_log_line(c->log, TT_LOG_INFO, "%s: %zu tensors are reshaped, %zu recast to torch.%s.", path, nreshaped, nrecast,
                    tt_dtype_name(c->config->training.dtype));
}

static const char left_out[] = "in it, but not in the model, and left out";

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
        say_names(
            c, &from.recipe.missing, path,
            "not in it, and made up for (zeros for an expert_bias; a tied output.weight begins as a copy of the embedding, and is "
            "trained apart)");
        say_names(c, &from.recipe.unused, path, left_out);
        say_changes(c, path, from.recipe.reshaped.n, from.recipe.recast.n);
        st = tt_state_load_model(state, &from.recipe, path, c->pool, err);
    }
    tt_hf_convert_release(&from);
    return st;
}

/* What keys that are missing, or of another shape, are an error about comes after what is left out and recast. */
static tt_status load_tensors(struct tt_checkpointer *c, struct tt_train_state *state, struct tt_ckpt *ckpt, unsigned parts,
                              struct tt_buf *shares, struct tt_err *err)
{
    struct tt_names_text unexpected = { 0 };
    size_t nrecast;
    struct tt_err why;
    tt_status status = tt_state_compare(&unexpected, &nrecast, state, ckpt, parts, &why);

    say_text(c, &unexpected, ckpt->path, left_out);
    if (status == TT_OK) {
        say_changes(c, ckpt->path, 0, nrecast);
        status = tt_state_load(state, ckpt, parts, c->pool, shares, &why);
    }
    if (status == TT_OK)
        return TT_OK;
    const bool is_hf = status == TT_ENOENT && ckpt->format == TT_CKPT_HF;
    return tt_err_set(err, status, "%s%s", why.msg,
                      is_hf ? " (a folder in Hugging Face's form is for --checkpoint.initial_load_in_hf)" : "");
}

/* Whatever it has been: TorchTitan has nothing of it in a checkpoint and begins the validation data anew. */
static void load_validation(struct tt_checkpointer *c, struct tt_train_state *state, struct tt_ckpt *ckpt)
{
    struct tt_err why;
    if (tt_state_load_validation(state, ckpt, &why) != TT_OK)
        tt_log_line(c->log, TT_LOG_WARNING, "The validation data is begun anew: %s", why.msg);
}

static struct tt_watchdog *watchdog_of(const struct tt_checkpointer *c) { return c->ranks ? c->ranks->watchdog : NULL; }

static bool is_damage(tt_status status) { return status == TT_EFORMAT || status == TT_EIO || status == TT_ENOENT; }

static const unsigned tensor_parts = TT_STATE_MODEL | TT_STATE_OPTIMIZER;

/* A checkpoint that is being loaded. */
struct loading {
    struct tt_ckpt *ckpt; /* NULL: it is not open, or in Hugging Face's form */
    unsigned parts;
    bool unfit; /* it cannot be read, or lacks a part, which another one may well not; else a failure is one of the settings */
    struct tt_buf shares; /* of several ranks: what this one read of storages that none reads as a whole */
};

/* Tensors are read before the position in the data is looked at: that of another checkpoint can still be gone to. */
static tt_status begin_load(struct tt_checkpointer *c, struct tt_train_state *state, const struct source *source, struct loading *l,
                            struct tt_err *err)
{
    const unsigned parts = l->parts = source->model_only ? TT_STATE_MODEL : TT_STATE_ALL & ~c->exclude;

    l->unfit = source->is_hf && parts & ~TT_STATE_MODEL;
    if (l->unfit)
        return refuse_parts(source->path, parts & ~TT_STATE_MODEL, c->exclude, err);
    if (source->is_hf)
        return load_hf(c, state, source->path, err);
    tt_status status = tt_ckpt_open(&l->ckpt, source->path, err);
    l->unfit = is_damage(status);
    if (status != TT_OK)
        return status;
    const unsigned missing = parts & ~TT_STATE_MODEL & ~tt_state_parts_in(&l->ckpt->entries);
    status = missing ? refuse_parts(source->path, missing, c->exclude, err) : tt_state_check(l->ckpt, parts, err);
    l->unfit = is_damage(status);
    if (status == TT_OK) {
        status = load_tensors(c, state, l->ckpt, parts & tensor_parts, c->ranks ? &l->shares : NULL, err);
        l->unfit = status == TT_EFORMAT || status == TT_EIO; /* all files are there: what is missing is a key */
    }
    return status;
}

static tt_status end_load(struct tt_checkpointer *c, struct tt_train_state *state, const struct loading *l, struct tt_err *err)
{
    return l->ckpt ? tt_state_load(state, l->ckpt, l->parts & ~tensor_parts, c->pool, NULL, err) : TT_OK;
}

/* What is taken when it is known that this checkpoint is the one that all ranks take. */
static void settle(struct tt_checkpointer *c, struct tt_train_state *state, const struct loading *l)
{
    tt_watchdog_busy(watchdog_of(c));
    if (l->ckpt && l->parts & TT_STATE_DATALOADER)
        load_validation(c, state, l->ckpt);
    tt_watchdog_done(watchdog_of(c));
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

/* --- loading by several ranks ------------------------------------------------------------------------------------------------- */

/* What rank 0 says to the others: load this, or that all has been said. */
struct order {
    bool is_end;
    bool model_only, is_hf;
    char path[PATH_MAX];
    uint8_t digest[TT_SHA256_NBYTES]; /* of its .metadata; zeros where there is none */
};

static tt_status digest_of(uint8_t out[TT_SHA256_NBYTES], const char *dir, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_buf bytes = { 0 };
    struct tt_sha256 sha = tt_sha256_begin();
    const char *path = tt_path_join(&arena, dir, ".metadata");

    memset(out, 0, TT_SHA256_NBYTES);
    tt_status status = path ? TT_OK : tt_err_nomem(err, strlen(dir), "a path");
    if (status == TT_OK && tt_path_exists(path)) {
        status = tt_file_read_all(&bytes, path, TT_METADATA_NBYTES_MAX, err);
        tt_sha256_add(&sha, bytes.data, bytes.len);
        tt_sha256_end(&sha, out);
    }
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
    return status;
}

static tt_status give_order(const struct tt_checkpointer *c, const struct source *source, struct tt_err *err)
{
    struct order order = { .is_end = !source };
    tt_status status = TT_OK;

    if (source) {
        order.model_only = source->model_only;
        order.is_hf = source->is_hf;
        snprintf(order.path, sizeof order.path, "%s", source->path);
        status = digest_of(order.digest, source->path, err);
    }
    const tt_status told = tt_ranks_broadcast(c->ranks, &order, sizeof order, status == TT_OK ? err : NULL);
    return status == TT_OK ? told : status;
}

/* A checkpoint that looks other from here is none of this run's. */
static tt_status check_digest(const struct order *order, struct tt_err *err)
{
    uint8_t digest[TT_SHA256_NBYTES];
    const tt_status status = digest_of(digest, order->path, err);
    if (status != TT_OK || memcmp(digest, order->digest, sizeof digest) == 0)
        return status;
    return tt_err_set(err, TT_EINVAL, "%s: its .metadata is not the one that rank 0 sees", order->path);
}

/* Of all ranks: the first failure, and *unfit only where none says otherwise. */
static tt_status agree_on_load(const struct tt_checkpointer *c, tt_status status, bool *unfit, struct tt_err *err)
{
    if (!c->ranks)
        return status;
    int64_t not_unfit = status != TT_OK && !*unfit;
    const tt_status agreed = tt_ranks_agree(c->ranks, status, err);
    const tt_status told = tt_ranks_sum(c->ranks, &not_unfit, 1, agreed == TT_OK ? err : NULL);
    *unfit = agreed != TT_OK && told == TT_OK && not_unfit == 0;
    return agreed == TT_OK ? told : agreed;
}

/* Rank 0: all ranks' shares. */
static tt_status check_shares(struct tt_ckpt *ckpt, struct tt_buf *parts, size_t nranks, struct tt_err *err)
{
    for (size_t i = 1; i < nranks; i++) {
        tt_buf_put(&parts[0], parts[i].data, parts[i].len);
        tt_buf_release(&parts[i]);
    }
    const tt_status status = tt_buf_check(&parts[0], "checksums", err);
    if (status != TT_OK)
        return status;
    return tt_crc_shares_check(ckpt, (struct tt_crc_share *)(void *)parts[0].data, parts[0].len / sizeof(struct tt_crc_share), err);
}

/* Whether what the ranks read of storages that none of them read as a whole is what was written. */
static tt_status check_together(const struct tt_checkpointer *c, struct loading *l, struct tt_err *err)
{
    const size_t n = (size_t)c->ranks->world->size;
    struct tt_buf *parts = calloc(n, sizeof *parts);
    tt_status status = parts ? TT_OK : tt_err_nomem(err, n * sizeof *parts, "checksums");

    status = tt_ranks_agree(c->ranks, status, err);
    if (status == TT_OK)
        status = tt_ranks_gather(c->ranks, l->shares.data, l->shares.len, parts, err);
    if (status == TT_OK && tt_ranks_is_first(c->ranks)) {
        status = check_shares(l->ckpt, parts, n, err);
        l->unfit = status == TT_EFORMAT || status == TT_EIO;
    }
    for (size_t i = 0; parts && i < n; i++)
        tt_buf_release(&parts[i]);
    free(parts);
    return agree_on_load(c, status, &l->unfit, err);
}

/* status: so far. All ranks come here, whatever theirs is, and leave with the same one. */
static tt_status load_from(struct tt_checkpointer *c, struct tt_train_state *state, const struct source *source, tt_status status,
                           unsigned *loaded, bool *unfit, struct tt_err *err)
{
    struct loading l = { .unfit = is_damage(status) };

    tt_watchdog_busy(watchdog_of(c));
    if (status == TT_OK)
        status = begin_load(c, state, source, &l, err);
    tt_watchdog_done(watchdog_of(c));
    status = agree_on_load(c, status, &l.unfit, err);
    if (status == TT_OK && c->ranks)
        status = check_together(c, &l, err);
    if (status == TT_OK) {
        tt_watchdog_busy(watchdog_of(c));
        status = end_load(c, state, &l, err);
        tt_watchdog_done(watchdog_of(c));
        status = agree_on_load(c, status, &l.unfit, err);
    }
    if (status == TT_OK)
        settle(c, state, &l);
    *loaded = l.parts;
    *unfit = l.unfit;
    tt_buf_release(&l.shares);
    tt_ckpt_close(l.ckpt);
    return status;
}

static tt_status load_source(struct tt_checkpointer *c, struct tt_train_state *state, const struct source *source, unsigned *loaded,
                             bool *unfit, struct tt_err *err)
{
    const double start = tt_seconds();
    unsigned parts;

    tt_log_line(c->log, TT_LOG_INFO, "Loading the checkpoint from %s.", source->path);
    tt_status status = c->ranks && tt_ranks_is_first(c->ranks) ? give_order(c, source, err) : TT_OK;
    status = load_from(c, state, source, status, &parts, unfit, err);
    if (status == TT_OK) {
        *loaded = parts;
        warn_overrides(c, state, source->path, parts);
        tt_log_line(c->log, TT_LOG_INFO, "Finished loading the checkpoint in %.2f seconds.", tt_seconds() - start);
    }
    return status;
}

/* The newest step that has what a run takes and can be read; why newer ones are not taken is a warning each. Where steps are
 * complete but none of them is taken, the newest's failure is the error: a run that begins anew there is nobody's wish. A seed
 * counts where there is nothing else. */
static tt_status load_newest(struct tt_checkpointer *c, struct tt_train_state *state, const struct tt_step_dirs *steps,
                             unsigned *loaded, struct tt_err *err)
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
        if (load_source(c, state, &source, loaded, &unfit, &why) == TT_OK)
            return TT_OK;
        if (dir == newest || !unfit)
            status = tt_err_copy(err, &why);
        tt_err_name_rank(&why);
        if (unfit)
            tt_log_line(c->log, TT_LOG_WARNING, "Step %" PRId64 " is skipped: %s", dir->step, why.msg);
    }
    return status;
}

/* Where settings made the run begin before the newest step. */
static void warn_newer(const struct tt_checkpointer *c, const struct tt_step_dirs *steps, int64_t step)
{
    const struct tt_step_dir *newest = tt_step_dirs_newest(steps);
    const bool chosen = c->config->checkpoint.load_step != -1 || c->exclude & TT_STATE_TRAIN;

    if (chosen && newest && newest->step > step && !c->config->checkpoint.load_only)
        tt_log_line(c->log, TT_LOG_WARNING,
                    "The run is at step %" PRId64 ", and %s is newer: it stays, and is what the next run goes on from without "
                    "checkpoint.load_step.",
                    step, newest->path);
}

/* What there is to load is rank 0's to say. */
static tt_status load_as_told(struct tt_checkpointer *c, struct tt_train_state *state, unsigned *loaded, struct tt_err *err)
{
    struct order order;
    struct tt_err why;

    for (;;) {
        tt_status status = tt_ranks_broadcast(c->ranks, &order, sizeof order, err);
        if (status != TT_OK || order.is_end)
            return status;
        const struct source source = { .path = order.path, .model_only = order.model_only, .is_hf = order.is_hf };
        unsigned parts;
        bool unfit;
        tt_watchdog_busy(watchdog_of(c));
        status = check_digest(&order, &why);
        tt_watchdog_done(watchdog_of(c));
        *loaded = load_from(c, state, &source, status, &parts, &unfit, &why) == TT_OK ? parts : 0;
    }
}

/* What dead processes left. */
static void clear_up(const struct tt_checkpointer *c)
{
    struct tt_arena arena = { 0 };
    const char *staged = tt_path_join(&arena, c->folder, tt_staged_model);
    struct tt_err why;

    tt_save_dir_recover(c->folder, c->log);
    if (staged && tt_path_exists(staged) && tt_remove_all(staged, &why) != TT_OK)
        tt_log_line(c->log, TT_LOG_WARNING, "%s", why.msg);
    tt_arena_release(&arena);
}

/* What there is to load is this rank's to say. */
static tt_status find_and_load(struct tt_checkpointer *c, struct tt_train_state *state, unsigned *loaded, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_step_dirs steps;
    struct source source;
    bool unfit;

    tt_watchdog_busy(watchdog_of(c));
    if (!c->read_only)
        clear_up(c);
    tt_watchdog_done(watchdog_of(c));
    tt_status status = tt_step_dirs_list(&steps, &arena, c->folder, err);
    if (status == TT_OK)
        status = find_source(&source, c, &steps, err);
    if (status == TT_OK && source.path)
        status = load_source(c, state, &source, loaded, &unfit, err);
    else if (status == TT_OK)
        status = load_newest(c, state, &steps, loaded, err);
    if (status == TT_OK)
        warn_newer(c, &steps, state->step);
    tt_arena_release(&arena);
    return status;
}

tt_status tt_checkpointer_load(struct tt_checkpointer *c, struct tt_train_state *state, unsigned *loaded, struct tt_err *err)
{
    tt_status status;

    *loaded = 0;
    if (!c->folder)
        return TT_OK;
    if (!c->ranks) {
        status = find_and_load(c, state, loaded, err);
    } else {
        if (!tt_ranks_is_first(c->ranks)) {
            status = load_as_told(c, state, loaded, err);
        } else {
            struct tt_err why;
            status = find_and_load(c, state, loaded, err);
            const tt_status told = give_order(c, NULL, &why);
            if (status == TT_OK && told != TT_OK)
                status = tt_err_copy(err, &why);
        }
        status = tt_ranks_agree(c->ranks, status, err);
    }
    c->saved = state->step;
    return status;
}

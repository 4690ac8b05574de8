#include "train/trainer_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "comm/launch.h"
#include "comm/watchdog.h"
#include "data/loader.h"
#include "data/tokenizer.h"
#include "family/family.h"
#include "train/activations.h"
#include "train/init.h"
#include "train/rng.h"
#include "train/same.h"
#include "train/setup.h"
#include "train/share.h"

/* --- what every run begins with -------------------------------------------------------------------------------------------- */

static void count_model(struct tt_trainer *t)
{
    const struct tt_model_count count = tt_params_count(&t->params, &t->args, t->config->training.seq_len);
    const struct tt_colors *c = t->metrics.colors;
    struct tt_buf n = { 0 };

    t->metrics.flops_per_token = (uint64_t)count.flops_per_token;
    tt_buf_thousands(&n, count.nparams);
    INFO(t, "%sModel %s %s %ssize: %s total parameters%s", c->blue, t->config->model.name, t->config->model.flavor, c->red,
         tt_buf_cstr(&n), c->reset);
    tt_buf_release(&n);
}

/* Ranks of one machine share the cores, but where each of them is bound to its own. */
static int nthreads(const struct tt_trainer *t)
{
    const bool is_bound = tt_ncores() < sysconf(_SC_NPROCESSORS_ONLN);
    const bool one_process = t->config->comm.mode == TT_COMM_LOCAL_TENSOR;
    const int64_t nlocal = one_process ? t->ranks.world->size : is_bound ? 1 : tt_launch_nlocal();
    const int64_t n = tt_ncores() / nlocal;
    if (t->opts->threads > 0 || nlocal == 1)
        return t->opts->threads;
    return n > 1 ? (int)n : 1;
}

static tt_status start_watchdog(struct tt_trainer *t, struct tt_err *err)
{
    const struct tt_config_comm *c = &t->config->comm;
    const char *folder = tt_path_join(&t->arena, t->config->job.dump_folder, c->save_traces_folder);
    const char *record = folder ? tt_arena_printf(&t->arena, "%s/%s", folder, c->save_traces_file_prefix) : NULL;
    const struct tt_watchdog_opts opts = {
        .init_timeout_s = (double)c->init_timeout_seconds,
        .train_timeout_s = (double)c->train_timeout_seconds,
        .noperations = c->trace_buf_size,
        .record = record,
        .log = t->opts->log,
    };
    return record ? tt_watchdog_start(&t->ranks.watchdog, t->ranks.world, &opts, err)
                  : tt_err_nomem(err, 0, "the name of a record");
}

tt_status tt_trainer_begin(struct tt_trainer *t, struct tt_world *world, int64_t nranks, struct tt_err *err)
{
    const struct tt_config *config = t->config;

    INFO(t, "Starting job: %s", config->job.description);
    tt_status status = tt_ranks_open(&t->ranks, world, nranks, config, err);
    if (status == TT_OK)
        status = start_watchdog(t, err);
    if (status == TT_OK)
        status = tt_same_check(&t->ranks, config, err);
    if (status == TT_OK)
        status = tt_ranks_meet(&t->ranks, err);
    if (status == TT_OK)
        status = tt_config_report(config, t->log, err);
    if (status == TT_OK)
        status = tt_pool_new(&t->pool, nthreads(t), err);
    if (status != TT_OK)
        return status;
    if (config->debug.deterministic)
        INFO(t, "Deterministic algorithm enabled (expect perf degradation).");
    t->dtype = config->training.dtype;
    return TT_OK;
}

/* --- data ------------------------------------------------------------------------------------------------------------------- */

/* How many batches are made ahead. */
static int64_t count_ahead(const struct tt_trainer *t)
{
    const struct tt_config_dataloader *d = &t->config->training.dataloader;
    int64_t n;
    if (d->num_workers > 1)
        tt_log_line(t->log, TT_LOG_WARNING,
                    "%s: the batches are those of 0 workers; TorchTitan gives other ones with %" PRId64
                    ": each of them that many times, or, streamed, from files divided between the workers",
                    tt_config_where(t->config, "training.dataloader.num_workers"), d->num_workers);
    if (__builtin_mul_overflow(d->num_workers, d->prefetch_factor.set ? d->prefetch_factor.v : 2, &n))
        return INT64_MAX;
    return n;
}

static tt_status open_data(struct tt_trainer *t, struct tt_err *err)
{
    const struct tt_config_training *training = &t->config->training;
    const char *path;

    tt_status status = tt_tokenizer_open(&t->tokenizer, t->config->model.hf_assets_path, err);
    if (status != TT_OK)
        return status;
    INFO(t, "Loading tokenizer from %s", tt_tokenizer_source(t->tokenizer));
    status = tt_dataset_path(&path, "training", training->dataset, training->dataset_path, err);
    if (status != TT_OK)
        return status;
    INFO(t, "Preparing %s dataset from %s", training->dataset, path);
    const struct tt_loader_opts opts = {
        .dataset = training->dataset,
        .path = path,
        .seq_len = training->seq_len,
        .local_batch = training->local_batch_size,
        .dp_rank = tt_mesh_coord(&t->ranks.mesh, TT_MESH_BATCH),
        .dp_world = tt_mesh_size(&t->ranks.mesh, TT_MESH_BATCH),
        .nranks = t->ranks.world->size,
        .nahead = count_ahead(t),
        .infinite = true,
        .log = t->log,
    };
    tt_watchdog_busy(t->ranks.watchdog);
    status = tt_loader_new(&t->loader, t->tokenizer, &opts, err);
    tt_watchdog_done(t->ranks.watchdog);
    return status;
}

static tt_status count_microbatches(struct tt_trainer *t, struct tt_err *err)
{
    const int64_t local = t->config->training.local_batch_size, global = t->config->training.global_batch_size;
    const int dp = tt_mesh_size(&t->ranks.mesh, TT_MESH_BATCH);
    int64_t each;
    if (global < 0) {
        t->nmicrobatches = 1;
        return TT_OK;
    }
    if (__builtin_mul_overflow(local, dp, &each) || global == 0 || global % each != 0 || global / each > INT16_MAX)
        return tt_err_set(err, TT_EINVAL,
                          "%s: global batch size must be multiple of local batch size times data-parallel degree (%" PRId64
                          " %% (%" PRId64 " * %d) != 0), and at most %d times it",
                          tt_config_where(t->config, "training.global_batch_size"), global, local, dp, INT16_MAX);
    t->nmicrobatches = (int)(global / each);
    return TT_OK;
}

/* --- weights, optimizer, state ----------------------------------------------------------------------------------------------- */

/* What the step would have taken that there was no memory for. That error is the one to tell. */
static void snapshot_without_memory(const struct tt_trainer *t, const struct tt_step_opts *opts)
{
    struct tt_step_opts plan = *opts;
    struct tt_memory_snapshot snapshot = { 0 };
    struct tt_step *step = NULL;

    plan.plan_only = true;
    tt_status status = tt_step_new(&step, &plan, NULL);
    if (status == TT_OK)
        status = tt_memory_snapshot_open(&snapshot, t->config, t->ranks.world->rank, step, t->log, NULL);
    if (status == TT_OK)
        status = tt_memory_snapshot_exit(&snapshot, NULL);
    (void)status; /* the folder may not be writable either */
    tt_memory_snapshot_release(&snapshot);
    tt_step_free(step);
}

bool tt_trainer_only_plans(const struct tt_config *config) { return config->comm.mode == TT_COMM_FAKE_BACKEND; }

/* TorchTitan's three modes: parameters gathered as what is asked for, products of bfloat16, or neither. */
static enum tt_prec precision(const struct tt_trainer *t)
{
    const struct tt_degrees *d = &t->ranks.mesh.degrees;
    const bool narrow = t->config->training.mixed_precision_param == TT_BF16;
    if (d->dp_shard * d->cp > 1)
        return narrow ? TT_PREC_PARAM : TT_PREC_PARAM_F32;
    return narrow && d->tp * d->pp <= 1 ? TT_PREC_AUTOCAST : TT_PREC_F32;
}

void tt_trainer_say_precision(const struct tt_trainer *t)
{
    const struct tt_degrees *d = &t->ranks.mesh.degrees;
    if (d->dp_shard * d->cp > 1) {
        INFO(t, "Mixed precision training is handled by fully_shard");
    } else if (d->tp * d->pp > 1) {
        WARN(t, "Mixed precision training with TP or PP is only supported when FSDP/HSDP/CP is enabled.");
        INFO(t, "Mixed precision training is disabled");
    } else {
        INFO(t, "Mixed precision training is handled by AMP");
    }
}

static enum tt_give_back give_back(const struct tt_config *config)
{
    switch (config->parallelism.fsdp_reshard_after_forward) {
    case TT_RESHARD_ALWAYS: return TT_GIVE_BACK_ALL;
    case TT_RESHARD_NEVER: return TT_GIVE_BACK_NONE;
    default: return config->parallelism.pipeline_parallel_degree > 1 ? TT_GIVE_BACK_NONE : TT_GIVE_BACK_BUT_LAST;
    }
}

/* Which queue carries what among whom. */
static const struct {
    enum tt_queue queue;
    enum tt_mesh_dim dim;
} queues[] = {
    { TT_Q_GATHER, TT_MESH_FSDP },
    { TT_Q_REDUCE, TT_MESH_FSDP },
    { TT_Q_REPLICATE, TT_MESH_REPLICATE },
    { TT_Q_TP, TT_MESH_TP },
};

static tt_status open_groups(struct tt_trainer *t, struct tt_step_opts *opts, struct tt_err *err)
{
    tt_status status = TT_OK;
    for (size_t i = 0; i < sizeof queues / sizeof *queues && status == TT_OK; i++) {
        const enum tt_mesh_dim dim = queues[i].dim;
        const enum tt_queue q = queues[i].queue;
        opts->group[q] = (struct tt_group){ .size = tt_mesh_size(&t->ranks.mesh, dim), .rank = tt_mesh_coord(&t->ranks.mesh, dim) };
        if (opts->group[q].size > 1 && !opts->plan_only)
            status = tt_ranks_group(&t->comm[q], &t->ranks, dim, tt_mesh_names[dim], err);
        opts->comm[q] = t->comm[q];
    }
    return status;
}

static tt_status make_step(struct tt_trainer *t, struct tt_err *err)
{
    const struct tt_config_training *training = &t->config->training;
    struct tt_step_opts opts = {
        .family = t->family,
        .args = &t->args,
        .prec = precision(t),
        .param_dtype = t->dtype,
        .local_batch = training->local_batch_size,
        .seq_len = training->seq_len,
        .nmicrobatches = t->nmicrobatches,
        .step_in_backward = t->config->optimizer.early_step_in_backward,
        .eos_id = t->tokenizer ? tt_tokenizer_eos(t->tokenizer) : TT_NO_TOKEN,
        .pool = t->pool,
        .plan_only = tt_trainer_only_plans(t->config),
        .give_back = give_back(t->config),
        .whole_logits = t->config->parallelism.disable_loss_parallel,
        .overlap = t->config->parallelism.enable_async_tensor_parallel,
    };
    int n;
    tt_status status = open_groups(t, &opts, err);
    if (status == TT_OK)
        status = tt_activations_choose(&opts, t->config, &t->params, err);
    if (status == TT_OK)
        status = tt_step_new(&t->step, &opts, err);
    if (status == TT_ENOMEM && t->config->profiling.enable_memory_snapshot && !t->opts->dry_run)
        snapshot_without_memory(t, &opts);
    if (status != TT_OK)
        return status;
    tt_activations_log(t->config, t->step, t->log);
    const struct tt_step_param *p = tt_step_params(t->step, &n);
    for (int i = 0; i < n; i++)
        t->weight[i] = p[i].value;
    if (t->config->checkpoint.create_seed_checkpoint)
        return TT_OK;
    return tt_validator_init(&t->validator, t->config, &opts, t->step, &t->ranks, t->log, err);
}

/* Weights without a step around them, for a seed checkpoint that holds nothing else. */
static tt_status make_weights(struct tt_trainer *t, struct tt_err *err)
{
    t->owned = true;
    for (int i = 0; i < t->params.n; i++) {
        const size_t nbytes = (size_t)t->params.p[i].numel * tt_dtype_nbytes(t->dtype);
        t->weight[i] = malloc(nbytes);
        if (!t->weight[i])
            return tt_err_nomem(err, nbytes, t->params.p[i].fqn);
    }
    return TT_OK;
}

tt_status tt_trainer_draw_weights(struct tt_trainer *t, struct tt_err *err)
{
    uint64_t seed = (uint64_t)t->config->debug.seed.v;
    if (!t->config->debug.seed.set) {
        const tt_status status = tt_random_seed(&seed, err);
        if (status != TT_OK)
            return status;
        seed &= UINT32_MAX; /* all that the generator takes */
    }
    const tt_status told = tt_ranks_broadcast(&t->ranks, &seed, sizeof seed, err);
    if (told != TT_OK)
        return told;
    INFO(t, "%s %" PRIu64,
         t->config->debug.seed.set ? "Initial weights from seed" : "No debug.seed: initial weights from random seed", seed);
    tt_watchdog_busy(t->ranks.watchdog);
    const tt_status drawn = tt_init_draw(&t->params, &t->args, seed, t->dtype, t->part, t->weight, t->pool, err);
    tt_watchdog_done(t->ranks.watchdog);
    return drawn;
}

static tt_status make_state(struct tt_trainer *t, struct tt_err *err)
{
    struct tt_state_tensor *tensors = tt_arena_array(&t->arena, (size_t)t->params.n, sizeof *tensors);
    if (!tensors)
        return tt_err_nomem(err, (size_t)t->params.n * sizeof *tensors, "the list of parameters");
    for (int i = 0; i < t->params.n; i++) {
        const struct tt_param *p = &t->params.p[i];
        tensors[i] = (struct tt_state_tensor){
            .fqn = p->fqn,
            .dtype = t->dtype,
            .ndim = p->ndim,
            .shape = p->size,
            .offsets = t->part[i].offset,
            .sizes = t->part[i].size,
            .weight = t->weight[i],
        };
        if (t->step) {
            const struct tt_step_param *s = tt_step_param(t->step, p->fqn);
            tensors[i].exp_avg = s->exp_avg;
            tensors[i].exp_avg_sq = s->exp_avg_sq;
        }
    }
    t->state = (struct tt_train_state){ .tensors = tensors,
                                        .ntensors = (size_t)t->params.n,
                                        .loader = t->loader,
                                        .dp_rank = tt_mesh_coord(&t->ranks.mesh, TT_MESH_BATCH),
                                        .dp_world = tt_mesh_size(&t->ranks.mesh, TT_MESH_BATCH) };
    tt_lr_init(&t->state.lr, &t->schedule, t->config->optimizer.lr);
    t->state.group = tt_param_group_make(&t->config->optimizer, t->state.lr.last);
    return TT_OK;
}

/* A seed checkpoint of the model alone needs no data and no optimizer. */
static bool wants_only_weights(const struct tt_config *config)
{
    return config->checkpoint.create_seed_checkpoint && config->checkpoint.last_save_model_only;
}

tt_status tt_trainer_build(struct tt_trainer *t, struct tt_err *err)
{
    const struct tt_config_metrics *metrics = &t->config->metrics;
    const bool only_weights = wants_only_weights(t->config), only_plan = tt_trainer_only_plans(t->config);
    tt_status status = only_weights || only_plan ? TT_OK : tt_ranks_agree(&t->ranks, open_data(t, err), err);
    if (status == TT_OK)
        status = tt_setup_model(&t->family, &t->args, &t->params, &t->arena, t->config, t->log, err);
    if (status == TT_OK)
        status = count_microbatches(t, err);
    if (status == TT_OK)
        status = tt_lr_schedule_init(&t->schedule, &t->config->lr_scheduler, t->config->training.steps, t->log, err);
    if (status != TT_OK)
        return status;
    tt_metrics_init(&t->metrics, t->log, t->opts->colors && !metrics->disable_color_printing, metrics->log_freq);
    t->metrics.pool = t->pool;
    t->metrics.sharers = t->ranks.world->size / tt_mesh_size(&t->ranks.mesh, TT_MESH_BATCH);
    t->metrics.product_dtype = tt_prec_product_dtype(precision(t), t->dtype);
    count_model(t);
    t->weight = tt_arena_array(&t->arena, (size_t)t->params.n, sizeof *t->weight);
    t->part = tt_arena_array(&t->arena, (size_t)t->params.n, sizeof *t->part);
    if (!t->weight || !t->part)
        return tt_err_nomem(err, (size_t)t->params.n * sizeof *t->part, "the list of parameters");
    status = tt_share_parts(t->part, &t->ranks.job, &t->ranks.mesh, err);
    if (status != TT_OK)
        return status;
    status = only_weights && !only_plan ? make_weights(t, err) : make_step(t, err);
    if (status != TT_OK || only_plan)
        return status;
    status = make_state(t, err);
    if (status != TT_OK)
        return status;
    status = tt_checkpointer_init(&t->checkpointer, t->config, &t->state, &t->ranks, t->log, t->pool, err);
    t->checkpointer.read_only = t->opts->dry_run;
    return status;
}

void tt_trainer_release(struct tt_trainer *t)
{
    tt_memory_snapshot_release(&t->snapshot);
    tt_profiler_release(&t->profiler);
    tt_checkpointer_release(&t->checkpointer);
    if (t->owned)
        for (int i = 0; i < t->params.n; i++)
            free(t->weight[i]);
    tt_validator_release(&t->validator);
    tt_step_free(t->step);
    for (int q = 0; q < TT_NQ; q++)
        tt_comm_free(t->comm[q]);
    tt_ranks_close(&t->ranks);
    tt_loader_free(t->loader);
    tt_tokenizer_free(t->tokenizer);
    tt_pool_free(t->pool);
    tt_arena_release(&t->arena);
}

#include "train/trainer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "comm/launch.h"
#include "comm/watchdog.h"
#include "data/loader.h"
#include "data/tokenizer.h"
#include "family/family.h"
#include "train/activations.h"
#include "train/checkpoint.h"
#include "train/init.h"
#include "train/memory_snapshot.h"
#include "train/metrics.h"
#include "train/profiler.h"
#include "train/ranks.h"
#include "train/rng.h"
#include "train/same.h"
#include "train/setup.h"
#include "train/share.h"
#include "train/state.h"
#include "train/step.h"
#include "train/validator.h"

struct trainer {
    const struct tt_config *config;
    const struct tt_log *log; /* of rank 0; NULL on the others */
    const struct tt_trainer_opts *opts;
    struct tt_arena arena;
    struct tt_pool *pool;

    struct tt_ranks ranks;
    struct tt_comm *comm[TT_NQ]; /* NULL: of a group of one */
    struct tt_region *part;      /* (params.n) of each parameter what is here */
    bool stop;                   /* a rank was told to stop, as all of them know since the last step */
    bool interrupted;            /* by SIGINT */

    const struct tt_family *family;
    struct tt_model_args args;
    struct tt_params params; /* of the family's table; in the arena */
    enum tt_dtype dtype;
    void **weight; /* (params.n) the step's, or `owned` where there is no step */
    bool owned;

    struct tt_tokenizer *tokenizer;
    struct tt_loader *loader;
    struct tt_step *step;
    struct tt_validator validator;
    int nmicrobatches;

    struct tt_lr_schedule schedule;
    struct tt_train_state state;
    struct tt_checkpointer checkpointer;
    struct tt_metrics metrics;
    struct tt_profiler profiler;
    struct tt_memory_snapshot snapshot;
};

#define INFO(t, ...) tt_log_line((t)->log, TT_LOG_INFO, __VA_ARGS__)
#define WARN(t, ...) tt_log_line((t)->log, TT_LOG_WARNING, __VA_ARGS__)

/* --- what every run begins with -------------------------------------------------------------------------------------------- */

static void count_model(struct trainer *t)
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
static int nthreads(const struct trainer *t)
{
    const bool is_bound = tt_ncores() < sysconf(_SC_NPROCESSORS_ONLN);
    const bool one_process = t->config->comm.mode == TT_COMM_LOCAL_TENSOR;
    const int64_t nlocal = one_process ? t->ranks.world->size : is_bound ? 1 : tt_launch_nlocal();
    const int64_t n = tt_ncores() / nlocal;
    if (t->opts->threads > 0 || nlocal == 1)
        return t->opts->threads;
    return n > 1 ? (int)n : 1;
}

static tt_status start_watchdog(struct trainer *t, struct tt_err *err)
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

static tt_status begin(struct trainer *t, struct tt_world *world, int64_t nranks, struct tt_err *err)
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
static int64_t count_ahead(const struct trainer *t)
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

static tt_status open_data(struct trainer *t, struct tt_err *err)
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
        .nahead = count_ahead(t),
        .infinite = true,
        .log = t->log,
    };
    tt_watchdog_busy(t->ranks.watchdog);
    status = tt_loader_new(&t->loader, t->tokenizer, &opts, err);
    tt_watchdog_done(t->ranks.watchdog);
    return status;
}

static tt_status count_microbatches(struct trainer *t, struct tt_err *err)
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
static void snapshot_without_memory(const struct trainer *t, const struct tt_step_opts *opts)
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

/* What a step would take, and none of it. */
static bool wants_only_plan(const struct tt_config *config) { return config->comm.mode == TT_COMM_FAKE_BACKEND; }

/* TorchTitan's three modes: parameters gathered as bfloat16, products of bfloat16, or neither. */
static enum tt_prec precision(const struct trainer *t)
{
    const struct tt_degrees *d = &t->ranks.mesh.degrees;
    if (t->config->training.mixed_precision_param != TT_BF16)
        return TT_PREC_F32;
    if (d->dp_shard * d->cp > 1)
        return TT_PREC_PARAM;
    return d->tp * d->pp > 1 ? TT_PREC_F32 : TT_PREC_AUTOCAST;
}

static void say_precision(const struct trainer *t)
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

static tt_status open_groups(struct trainer *t, struct tt_step_opts *opts, struct tt_err *err)
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

static tt_status make_step(struct trainer *t, struct tt_err *err)
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
        .plan_only = wants_only_plan(t->config),
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
static tt_status make_weights(struct trainer *t, struct tt_err *err)
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

/* Not before it is known that no checkpoint has them: of a large model they take minutes. */
static tt_status draw_weights(struct trainer *t, struct tt_err *err)
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

static tt_status make_state(struct trainer *t, struct tt_err *err)
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

static tt_status build(struct trainer *t, struct tt_err *err)
{
    const struct tt_config_metrics *metrics = &t->config->metrics;
    const bool only_weights = wants_only_weights(t->config), only_plan = wants_only_plan(t->config);
    tt_status status = only_weights || only_plan ? TT_OK : open_data(t, err);
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
    t->metrics.product_dtype = t->config->training.mixed_precision_param == TT_BF16 ? TT_BF16 : t->dtype;
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

static void release(struct trainer *t)
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

/* --- a step ------------------------------------------------------------------------------------------------------------------- */

static tt_status read_microbatch(struct trainer *t, int mb, int64_t *nseq, struct tt_err *err)
{
    const double start = tt_seconds();
    const tt_status status = tt_step_read(nseq, t->step, mb, t->loader, &t->config->model, err);
    if (status != TT_OK)
        return status;
    t->state.ntokens_seen += *nseq * t->config->training.seq_len;
    tt_metrics_count(&t->metrics, *nseq * t->config->training.seq_len, tt_seconds() - start);
    return TT_OK;
}

static tt_status read_own_batch(struct trainer *t, bool *exhausted, struct tt_err *err)
{
    *exhausted = false;
    for (int mb = 0; mb < t->nmicrobatches && !*exhausted; mb++) {
        int64_t nseq;
        const tt_status status = read_microbatch(t, mb, &nseq, err);
        if (status != TT_OK)
            return status;
        *exhausted = nseq == 0;
    }
    return TT_OK;
}

static int stop_signal(const struct trainer *t) { return t->opts->stop ? (int)*t->opts->stop : 0; }

/* What ranks tell each other before each step: a rank's data is at its end, a rank failed, a rank was told to stop. ntokens: of all
 * ranks. */
static tt_status read_batch(struct trainer *t, bool *exhausted, int64_t *ntokens, struct tt_err *err)
{
    enum { NTOKENS, EXHAUSTED, FAILED, STOP, INTERRUPT, NWORDS };
    const tt_status status = read_own_batch(t, exhausted, err);
    int64_t word[NWORDS] = {
        [NTOKENS] = tt_step_ntokens(t->step),   [EXHAUSTED] = *exhausted, [FAILED] = status != TT_OK, [STOP] = stop_signal(t) != 0,
        [INTERRUPT] = stop_signal(t) == SIGINT,
    };
    struct tt_err why;
    const tt_status told = tt_ranks_sum(&t->ranks, word, NWORDS, &why);

    if (status == TT_OK && told != TT_OK)
        return tt_err_set(err, told, "%s", why.msg);
    if (told == TT_OK && word[FAILED])
        return tt_ranks_agree(&t->ranks, status, err);
    *exhausted = word[EXHAUSTED] > 0;
    *ntokens = word[NTOKENS] / (t->ranks.world->size / tt_mesh_size(&t->ranks.mesh, TT_MESH_BATCH));
    t->stop = word[STOP] > 0;
    t->interrupted = word[INTERRUPT] > 0;
    return status;
}

static struct tt_step_in step_input(const struct trainer *t, int64_t ntokens)
{
    const struct tt_param_group *g = &t->state.group;
    return (struct tt_step_in){
        .hyper = { .lr = g->lr,
                   .beta1 = g->beta1,
                   .beta2 = g->beta2,
                   .eps = g->eps,
                   .weight_decay = g->weight_decay,
                   .decoupled = g->decoupled_weight_decay },
        .step = t->state.optimizer_steps + 1,
        .max_norm = t->config->training.max_norm,
        .global_tokens = ntokens,
    };
}

/* Of all ranks: *loss becomes their sum, *max_loss the largest mean over the tokens of one rank. */
static tt_status reduce_losses(const struct trainer *t, float *loss, float *max_loss, int64_t own_tokens, int64_t ntokens,
                               struct tt_err *err)
{
    *max_loss = *loss * (float)ntokens / (float)own_tokens;
    tt_status status = tt_ranks_reduce_loss(&t->ranks, TT_REDUCE_SUM, loss, err);
    if (status == TT_OK && tt_mesh_size(&t->ranks.mesh, TT_MESH_LOSS) == 1)
        *max_loss = *loss;
    else if (status == TT_OK && tt_metrics_has_line(&t->metrics, t->state.step))
        status = tt_ranks_reduce_loss(&t->ranks, TT_REDUCE_MAX, max_loss, err);
    return status;
}

/* One optimizer step and what it reports. */
static tt_status take_step(struct trainer *t, int64_t ntokens, struct tt_err *err)
{
    const struct tt_step_in in = step_input(t, ntokens);
    const double lr = t->state.lr.last;
    struct tt_step_out out;
    float max_loss;

    tt_status status = tt_step_run(t->step, &in, &out, err);
    if (status == TT_OK)
        status = reduce_losses(t, &out.loss, &max_loss, out.ntokens, ntokens, err);
    if (status != TT_OK)
        return status;
    t->state.optimizer_steps += out.nsteps;
    tt_lr_step(&t->state.lr);
    t->state.group.lr = t->state.lr.last;
    const struct tt_step_report report = {
        .step = t->state.step,
        .loss = out.loss,
        .max_loss = max_loss,
        .grad_norm = out.grad_norm,
        .lr = lr,
        .ntokens_seen = t->state.ntokens_seen * tt_mesh_size(&t->ranks.mesh, TT_MESH_LOSS),
    };
    return tt_metrics_step(&t->metrics, &report, err);
}

/* --- runs --------------------------------------------------------------------------------------------------------------------- */

/* One rank need not wait for the others to know. */
static bool is_stopped(struct trainer *t)
{
    if (t->ranks.world->size == 1) {
        t->stop = stop_signal(t) != 0;
        t->interrupted = stop_signal(t) == SIGINT;
    }
    return t->stop;
}

static tt_status write_profiles(struct trainer *t, struct tt_err *err)
{
    tt_watchdog_busy(t->ranks.watchdog);
    tt_status status = tt_profiler_end(&t->profiler, t->state.step, err);
    if (status == TT_OK)
        status = tt_memory_snapshot_end(&t->snapshot, t->state.step, err);
    tt_watchdog_done(t->ranks.watchdog);
    return status;
}

/* *stopped: by a signal, with steps left to take. */
static tt_status train(bool *stopped, struct trainer *t, struct tt_err *err)
{
    const int64_t steps = t->config->training.steps;
    struct tt_train_state *s = &t->state;

    *stopped = false;
    while (s->step < steps) {
        if (is_stopped(t)) {
            *stopped = true;
            return t->interrupted ? TT_OK : tt_checkpointer_save(&t->checkpointer, s, TT_SAVE_STOPPED, err);
        }
        bool exhausted;
        int64_t ntokens = 0;
        s->step++;
        tt_watchdog_step(t->ranks.watchdog, s->step);
        tt_profiler_begin(&t->profiler, s->step);
        tt_status status = read_batch(t, &exhausted, &ntokens, err);
        if (status == TT_OK && exhausted) {
            WARN(t, "Ran out of data; last step was canceled.");
            return TT_OK;
        }
        if (status == TT_OK)
            status = take_step(t, ntokens, err);
        s->validation_due = tt_validator_is_due(&t->validator, s->step);
        if (status == TT_OK)
            status = tt_checkpointer_save(&t->checkpointer, s, s->step == steps ? TT_SAVE_LAST : TT_SAVE_DUE, err);
        if (status == TT_OK && s->validation_due)
            status = tt_validator_run(&t->validator, s->step, &t->metrics, err);
        s->validation_due = false;
        if (status == TT_OK)
            status = write_profiles(t, err);
        if (status != TT_OK)
            return status;
    }
    return TT_OK;
}

static tt_status run(bool *stopped, struct trainer *t, struct tt_err *err)
{
    const struct tt_config_training *training = &t->config->training;
    unsigned loaded;

    say_precision(t);
    tt_status status = tt_validator_open(&t->validator, t->tokenizer, err);
    if (status != TT_OK)
        return status;
    t->state.validation = t->validator.loader;
    INFO(t,
         "Trainer is initialized with local batch size %" PRId64 ", global batch size %" PRId64
         ", gradient accumulation steps %d, sequence length %" PRId64 ", total steps %" PRId64 " (warmup %" PRId64 ")",
         training->local_batch_size, training->local_batch_size * t->nmicrobatches * t->state.dp_world, t->nmicrobatches,
         training->seq_len, training->steps, t->config->lr_scheduler.warmup_steps);
    status = tt_checkpointer_load(&t->checkpointer, &t->state, &loaded, err);
    if (status == TT_OK && !t->opts->dry_run && !(loaded & TT_STATE_MODEL))
        status = draw_weights(t, err);
    if (status == TT_OK && !t->opts->dry_run)
        tt_metrics_log_model(&t->metrics);
    if (status == TT_OK)
        status = tt_lr_check(&t->state.lr, training->steps - t->state.step, err);
    if (status == TT_OK)
        status = tt_metrics_open(&t->metrics, t->config, t->ranks.world->rank, t->state.step > 0, err);
    if (status != TT_OK)
        return status;
    if (t->opts->dry_run) {
        INFO(t, "Would train from step %" PRId64 " to %" PRId64, t->state.step + 1, training->steps);
        return TT_OK;
    }
    if (t->state.validation_due) {
        INFO(t, "Reading past the data of the validation after step %" PRId64 ", which is not made again", t->state.step);
        status = tt_validator_skip(&t->validator, err);
    }
    if (status != TT_OK)
        return status;
    INFO(t, "Training starts at step %" PRId64, t->state.step + 1);
    status = tt_profiler_open(&t->profiler, t->config, t->ranks.world->rank, t->step, t->validator.step, t->log, err);
    if (status == TT_OK)
        status = tt_memory_snapshot_open(&t->snapshot, t->config, t->ranks.world->rank, t->step, t->log, err);
    if (status == TT_OK) /* a signal is to find all before their first step, or none */
        status = tt_ranks_await(&t->ranks, "the first step", err);
    if (status != TT_OK)
        return status;
    if (t->opts->started && (tt_ranks_is_first(&t->ranks) || t->config->comm.mode != TT_COMM_LOCAL_TENSOR))
        t->opts->started();
    status = train(stopped, t, err);
    tt_checkpointer_wait(&t->checkpointer);
    tt_watchdog_busy(t->ranks.watchdog);
    if (status == TT_OK)
        status = tt_profiler_finish(&t->profiler, err);
    tt_watchdog_done(t->ranks.watchdog);
    if (status == TT_OK && *stopped)
        WARN(t, "Stopped by a signal after step %" PRId64 ".", t->state.step);
    else if (status == TT_OK)
        INFO(t, "Training completed");
    return status;
}

static tt_status save_seed(struct trainer *t, struct tt_err *err)
{
    if (!t->config->checkpoint.enable)
        return tt_err_set(err, TT_EINVAL, "%s: Must enable checkpointing when creating a seed checkpoint.",
                          tt_config_where(t->config, "checkpoint.create_seed_checkpoint"));
    if (t->config->checkpoint.load_only)
        return tt_err_set(err, TT_EINVAL, "%s: a seed checkpoint is saved, where %s saves nothing",
                          tt_config_where(t->config, "checkpoint.create_seed_checkpoint"),
                          tt_config_where(t->config, "checkpoint.load_only"));
    if (t->ranks.world->size > 1)
        return tt_err_set(err, TT_EINVAL, "%s: Must create seed checkpoint using a single device, to disable sharding.",
                          tt_config_where(t->config, "checkpoint.create_seed_checkpoint"));
    if (t->opts->dry_run) {
        INFO(t, "Would create a seed checkpoint in %s", t->checkpointer.folder);
        return TT_OK;
    }
    tt_status status = draw_weights(t, err);
    if (status != TT_OK)
        return status;
    tt_metrics_log_model(&t->metrics);
    status = tt_checkpointer_save(&t->checkpointer, &t->state, TT_SAVE_LAST, err);
    if (status == TT_OK)
        INFO(t, "Created seed checkpoint");
    return status;
}

static void add_row(struct tt_buf *text, const char *what, uint64_t nbytes)
{
    tt_buf_printf(text, "\n  %-34s %14.3f MiB", what, (double)nbytes / (1 << 20));
}

/* Of each kind that there is its bytes, and the operations of a step. */
static void show_plan(const struct trainer *t)
{
    const struct tt_cost *cost = tt_step_cost(t->step);
    const struct {
        const char *what;
        uint64_t nbytes;
    } rows[] = {
        { "parameters", cost->params },
        { "parameters as products read them", cost->copies },
        { "gradients", cost->grads },
        { "optimizer state", cost->optim },
        { "activations, gradients and scratch", cost->arena },
        { "tokens, labels, positions", cost->inputs },
        { "validation, beside these", tt_validator_nbytes(&t->validator) },
    };
    struct tt_buf text = { 0 };
    uint64_t sum = 0;

    tt_buf_printf(&text, "A step of %d x %" PRId64 " sequences of %" PRId64 " tokens takes", t->nmicrobatches,
                  t->config->training.local_batch_size, t->config->training.seq_len);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].nbytes > 0)
            add_row(&text, rows[i].what, rows[i].nbytes);
        sum += rows[i].nbytes;
    }
    add_row(&text, "in all", sum);
    tt_buf_printf(&text, "\n  %-34s %14.3f GFLOP", "operations", (double)cost->flops / 1e9);
    tt_log_text(t->log, TT_LOG_INFO, tt_buf_cstr(&text));
    tt_buf_release(&text);
}

/* --- all ranks ---------------------------------------------------------------------------------------------------------------- */

/* What each rank runs with. */
struct run_of_ranks {
    const struct tt_config *config;
    const struct tt_trainer_opts *opts;
    int64_t nranks;
    bool *stopped; /* rank 0's */
};

static tt_status train_rank(struct tt_world *world, void *ctx, struct tt_err *err)
{
    const struct run_of_ranks *job = ctx;
    const bool first = world->rank == 0;
    struct tt_config config = *job->config;
    struct trainer t = { .config = &config, .log = tt_launch_logs(world->rank) ? job->opts->log : NULL, .opts = job->opts };
    bool stopped = false;

    if (!first)
        tt_ranks_write_nothing(&config);
    tt_status status = begin(&t, world, job->nranks, err);
    if (status == TT_OK)
        status = build(&t, err);
    if (status == TT_OK && wants_only_plan(&config))
        show_plan(&t);
    else if (status == TT_OK)
        status = config.checkpoint.create_seed_checkpoint ? save_seed(&t, err) : run(&stopped, &t, err);
    if (status == TT_OK)
        status = tt_ranks_await(&t.ranks, "the end", err);
    tt_watchdog_stop(t.ranks.watchdog, status == TT_OK ? NULL : err);
    if (status != TT_OK)
        tt_world_abort(world, err);
    /* The JSON lines so far are kept whatever happened; the first failure is the one to tell. */
    const tt_status closed = tt_metrics_close(&t.metrics, status == TT_OK ? err : NULL);
    release(&t);
    if (first || config.comm.mode != TT_COMM_LOCAL_TENSOR)
        *job->stopped = stopped;
    return status == TT_OK ? closed : status;
}

/* As TorchTitan says it, of ranks that no launcher starts. */
static tt_status count_simulated(int64_t *nranks, const struct tt_config *config, struct tt_err *err)
{
    const char *text = getenv("NGPU");
    char *end;

    if (!text && wants_only_plan(config)) {
        *nranks = tt_launch_nranks();
        return TT_OK;
    }
    if (!text)
        return tt_err_set(err, TT_EINVAL, "%s: NGPU environment variable must be set when using comm_mode=local_tensor",
                          tt_config_where(config, "comm.mode"));
    *nranks = strtoll(text, &end, 10);
    if (end == text || *end || *nranks < 1 || *nranks > TT_RANKS_MAX)
        return tt_err_set(err, TT_EINVAL, "NGPU environment variable must be a valid integer, from 1 to %d, got: %s", TT_RANKS_MAX,
                          text);
    return TT_OK;
}

/* What no rank can do is said before there are any. */
static tt_status check_job(const struct tt_config *config, int64_t nranks, struct tt_err *err)
{
    struct tt_job job;
    const tt_status status = tt_job_open(&job, config, nranks, err);
    tt_job_close(&job);
    return status;
}

tt_status tt_train(bool *stopped, const struct tt_config *config, const struct tt_trainer_opts *opts, struct tt_err *err)
{
    struct run_of_ranks job = { .config = config, .opts = opts, .nranks = tt_launch_nranks(), .stopped = stopped };
    const struct tt_family *family;
    tt_status status = TT_OK;

    *stopped = false;
    if (config->comm.mode != TT_COMM_DEFAULT)
        status = count_simulated(&job.nranks, config, err);
    if (status == TT_OK)
        status = tt_config_check_ranks(config, job.nranks, err);
    if (status == TT_OK)
        status = tt_setup_family(&family, config, err);
    if (status == TT_OK)
        status = check_job(config, job.nranks, err);
    if (status != TT_OK) {
        tt_launch_after_first();
        return status;
    }
    if (config->comm.mode == TT_COMM_LOCAL_TENSOR && job.nranks > 1)
        return tt_local_run((int)job.nranks, train_rank, &job, err);
    if (config->comm.mode == TT_COMM_DEFAULT && job.nranks > 1)
        return tt_mpi_run(train_rank, &job, (double)config->comm.init_timeout_seconds, err);
    return tt_self_run(train_rank, &job, err);
}

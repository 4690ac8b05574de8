#include "train/trainer.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "comm/launch.h"
#include "comm/watchdog.h"
#include "train/setup.h"
#include "train/trainer_private.h"

/* --- a step ------------------------------------------------------------------------------------------------------------------- */

static tt_status read_microbatch(struct tt_trainer *t, int mb, int64_t *nseq, struct tt_err *err)
{
    const double start = tt_seconds();
    const tt_status status = tt_step_read(nseq, t->step, mb, t->loader, &t->config->model, err);
    if (status != TT_OK)
        return status;
    t->state.ntokens_seen += *nseq * t->config->training.seq_len;
    tt_metrics_count(&t->metrics, *nseq * t->config->training.seq_len, tt_seconds() - start);
    return TT_OK;
}

static tt_status read_own_batch(struct tt_trainer *t, bool *exhausted, struct tt_err *err)
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

static int stop_signal(const struct tt_trainer *t) { return t->opts->stop ? (int)*t->opts->stop : 0; }

/* What ranks tell each other before each step: a rank's data is at its end, a rank failed, a rank was told to stop. ntokens: of all
 * ranks. */
static tt_status read_batch(struct tt_trainer *t, bool *exhausted, int64_t *ntokens, struct tt_err *err)
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
        return tt_err_copy(err, &why);
    if (told == TT_OK && word[FAILED])
        return tt_ranks_agree(&t->ranks, status, err);
    *exhausted = word[EXHAUSTED] > 0;
    *ntokens = word[NTOKENS] / (t->ranks.world->size / tt_mesh_size(&t->ranks.mesh, TT_MESH_BATCH));
    t->stop = word[STOP] > 0;
    t->interrupted = word[INTERRUPT] > 0;
    return status;
}

static struct tt_step_in step_input(const struct tt_trainer *t, int64_t ntokens)
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
static tt_status reduce_losses(const struct tt_trainer *t, float *loss, float *max_loss, int64_t own_tokens, int64_t ntokens,
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
static tt_status take_step(struct tt_trainer *t, int64_t ntokens, struct tt_err *err)
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
static bool is_stopped(struct tt_trainer *t)
{
    if (t->ranks.world->size == 1) {
        t->stop = stop_signal(t) != 0;
        t->interrupted = stop_signal(t) == SIGINT;
    }
    return t->stop;
}

static tt_status write_profiles(struct tt_trainer *t, struct tt_err *err)
{
    tt_watchdog_busy(t->ranks.watchdog);
    tt_status status = tt_profiler_end(&t->profiler, t->state.step, err);
    if (status == TT_OK)
        status = tt_memory_snapshot_end(&t->snapshot, t->state.step, err);
    tt_watchdog_done(t->ranks.watchdog);
    return status;
}

/* *stopped: by a signal, with steps left to take. */
static tt_status train(bool *stopped, struct tt_trainer *t, struct tt_err *err)
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

static tt_status run(bool *stopped, struct tt_trainer *t, struct tt_err *err)
{
    const struct tt_config_training *training = &t->config->training;
    unsigned loaded;

    tt_trainer_say_precision(t);
    tt_status status = tt_ranks_agree(&t->ranks, tt_validator_open(&t->validator, t->tokenizer, err), err);
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
        status = tt_trainer_draw_weights(t, err);
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

static tt_status save_seed(struct tt_trainer *t, struct tt_err *err)
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
    tt_status status = tt_trainer_draw_weights(t, err);
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
static void show_plan(const struct tt_trainer *t)
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
    struct tt_trainer t = { .config = &config, .log = tt_launch_logs(world->rank) ? job->opts->log : NULL, .opts = job->opts };
    bool stopped = false;

    if (!first)
        tt_ranks_write_nothing(&config);
    tt_status status = tt_trainer_begin(&t, world, job->nranks, err);
    if (status == TT_OK)
        status = tt_trainer_build(&t, err);
    if (status == TT_OK && tt_trainer_only_plans(&config))
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
    tt_trainer_release(&t);
    if (first || config.comm.mode != TT_COMM_LOCAL_TENSOR)
        *job->stopped = stopped;
    return status == TT_OK ? closed : status;
}

/* As TorchTitan says it, of ranks that no launcher starts. */
static tt_status count_simulated(int64_t *nranks, const struct tt_config *config, struct tt_err *err)
{
    const char *text = getenv("NGPU");
    char *end;

    if (!text && tt_trainer_only_plans(config)) {
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

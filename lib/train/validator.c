#include "train/validator.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

static tt_status check_config(const struct tt_config *config, struct tt_err *err)
{
    const struct tt_config_validation *v = &config->validation;
    if (v->seq_len > config->training.seq_len)
        return tt_err_set(err, TT_EINVAL,
                          "%s is %" PRId64 ": expected at most training.seq_len, %" PRId64
                          ", for the model has no positions beyond",
                          tt_config_where(config, "validation.seq_len"), v->seq_len, config->training.seq_len);
    if (v->dataset_path && strcmp(v->dataset_path, "-") == 0)
        return tt_err_set(err, TT_EINVAL, "%s: the standard input cannot be read again and again",
                          tt_config_where(config, "validation.dataset_path"));
    return TT_OK;
}

tt_status tt_validator_init(struct tt_validator *out, const struct tt_config *config, const struct tt_step_opts *opts,
                            const struct tt_step *train, const struct tt_ranks *ranks, const struct tt_log *log, struct tt_err *err)
{
    *out = (struct tt_validator){ .ranks = ranks, .log = log };
    if (!config->validation.enable)
        return TT_OK;
    tt_status status = check_config(config, err);
    if (status != TT_OK)
        return status;
    struct tt_step_opts own = *opts;
    own.section = "validation";
    own.local_batch = config->validation.local_batch_size;
    own.seq_len = config->validation.seq_len;
    own.nmicrobatches = 1;
    own.step_in_backward = false;
    own.eval_of = train;
    out->config = config;
    status = tt_step_new(&out->step, &own, err);
    if (status != TT_OK)
        return status;
    tt_log_line(log, TT_LOG_INFO, "Validation takes %.2fGiB beside what training takes",
                (double)tt_validator_nbytes(out) / (double)(1 << 30));
    return TT_OK;
}

uint64_t tt_validator_nbytes(const struct tt_validator *v)
{
    const struct tt_cost *cost = v->step ? tt_step_cost(v->step) : NULL;
    return cost ? cost->arena + cost->copies + cost->inputs : 0;
}

tt_status tt_validator_open(struct tt_validator *v, const struct tt_tokenizer *tok, struct tt_err *err)
{
    struct tt_loader_opts opts = { .log = v->log };
    if (!v->step)
        return TT_OK;

    const struct tt_config_validation *c = &v->config->validation;
    opts.dataset = c->dataset;
    opts.seq_len = c->seq_len;
    opts.local_batch = c->local_batch_size;
    opts.infinite = c->steps != -1;
    opts.dp_rank = tt_mesh_coord(&v->ranks->mesh, TT_MESH_BATCH);
    opts.dp_world = tt_mesh_size(&v->ranks->mesh, TT_MESH_BATCH);
    opts.nranks = v->ranks->world->size;
    tt_status status = tt_dataset_path(&opts.path, "validation", c->dataset, c->dataset_path, err);
    if (status != TT_OK)
        return status;
    tt_log_line(v->log, TT_LOG_INFO, "Preparing %s dataset from %s", c->dataset, opts.path);
    tt_watchdog_busy(v->ranks->watchdog);
    status = tt_loader_new(&v->loader, tok, &opts, err);
    tt_watchdog_done(v->ranks->watchdog);
    if (status == TT_OK && c->steps == -1)
        tt_log_line(
            v->log, TT_LOG_WARNING,
            "Setting validation steps to -1 might cause hangs because of unequal sample counts across ranks when dataset is "
            "exhausted.");
    return status;
}

void tt_validator_release(struct tt_validator *v)
{
    tt_loader_free(v->loader);
    tt_step_free(v->step);
    *v = (struct tt_validator){ 0 };
}

bool tt_validator_is_due(const struct tt_validator *v, int64_t step)
{
    return v->step && (step == 1 || step % v->config->validation.freq == 0);
}

/* To its first sample, before which all others of a compressed file may lie. */
static tt_status restart(struct tt_validator *v, struct tt_err *err)
{
    tt_watchdog_busy(v->ranks->watchdog);
    const tt_status status = tt_loader_restart(v->loader, err);
    tt_watchdog_done(v->ranks->watchdog);
    return status;
}

/* The next batch of a validation that has had n; *nseq 0: there is none. Behind the last of validation.steps batches lies one that is
 * read and not counted. */
static tt_status read_batch(struct tt_validator *v, int64_t n, int64_t *nseq, struct tt_err *err)
{
    const tt_status status = tt_step_read(nseq, v->step, 0, v->loader, &v->config->model, err);
    if (status == TT_OK && n == v->config->validation.steps)
        *nseq = 0;
    return status;
}

/* The same of all ranks: *nseq in all, and their labels. They wait for each other in each batch, so a validation may take any time, but a
 * batch no longer than a step. */
static tt_status read_batches(struct tt_validator *v, int64_t n, int64_t *nseq, int64_t *nlabels, struct tt_err *err)
{
    enum { NSEQ, NLABELS, FAILED, NWORDS };
    const int copies = v->ranks->world->size / tt_mesh_size(&v->ranks->mesh, TT_MESH_BATCH);
    const tt_status status = read_batch(v, n, nseq, err);
    int64_t word[NWORDS] = { [NSEQ] = *nseq, [NLABELS] = tt_step_ntokens(v->step), [FAILED] = status != TT_OK };
    struct tt_err why;
    const tt_status told = tt_ranks_sum(v->ranks, word, NWORDS, &why);

    if (status == TT_OK && told != TT_OK)
        return tt_err_copy(err, &why);
    if (told == TT_OK && word[FAILED])
        return tt_ranks_agree(v->ranks, status, err);
    *nseq = word[NSEQ] / copies;
    *nlabels = word[NLABELS] / copies;
    return status;
}

static tt_status report(const struct tt_validator *v, int64_t step, float sum, int64_t n, int64_t nseq, double start,
                        struct tt_metrics *metrics, struct tt_err *err)
{
    const tt_status status = tt_ranks_reduce_loss(v->ranks, TT_REDUCE_SUM, &sum, err);
    if (status != TT_OK)
        return status;
    const struct tt_validation_report r = {
        .step = step,
        .loss = sum / (float)n,
        .ntokens = nseq * v->config->validation.seq_len / tt_mesh_size(&v->ranks->mesh, TT_MESH_BATCH),
        .seconds = tt_seconds() - start,
    };
    return tt_metrics_validation(metrics, &r, err);
}

tt_status tt_validator_run(struct tt_validator *v, int64_t step, struct tt_metrics *metrics, struct tt_err *err)
{
    const double start = tt_seconds();
    int64_t n = 0, nseq = 0, nlabels = 0, all = 0;
    float sum = 0;

    tt_status status = restart(v, err);
    if (status == TT_OK)
        status = read_batches(v, n, &nseq, &nlabels, err);
    while (status == TT_OK && nseq > 0) {
        struct tt_step_out out;
        status = tt_step_eval(v->step, nlabels, &out, err);
        if (status != TT_OK)
            break;
        sum += out.loss;
        all += nseq;
        status = read_batches(v, ++n, &nseq, &nlabels, err);
    }
    if (status != TT_OK)
        return status;
    if (n == 0)
        return tt_err_set(err, TT_EINVAL, "%s: the data has fewer than the %" PRId64 " tokens of a sequence and its labels",
                          tt_config_where(v->config, "validation.dataset_path"), v->config->validation.seq_len + 1);
    return report(v, step, sum, n, all, start, metrics, err);
}

tt_status tt_validator_skip(struct tt_validator *v, struct tt_err *err)
{
    int64_t n = 0, nseq = 0;
    tt_watchdog_busy(v->ranks->watchdog);
    tt_status status = tt_loader_restart(v->loader, err);
    do
        status = status == TT_OK ? read_batch(v, n++, &nseq, err) : status;
    while (status == TT_OK && nseq > 0);
    tt_watchdog_done(v->ranks->watchdog);
    return status;
}

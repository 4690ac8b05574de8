#include "train/step.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

struct tt_step {
    struct tt_step_opts opts; /* args and family: only while it is built */
    struct tt_arena arena;
    struct tt_params params;
    struct tt_program *model, *optimizer;
    int *dearest; /* opts.keep's; NULL: its kind asks for none */
    struct tt_sched sched;
    struct tt_device *device;
    struct tt_plan *plan;
    struct tt_step_param *param; /* params.n of them */
    struct tt_step_kept kept;
    bool documents;
    int64_t vocab_size;
};

/* --- building --------------------------------------------------------------------------------------------------------------- */

static const char *section(const struct tt_step_opts *opts) { return opts->section ? opts->section : "training"; }

static tt_status check_tensor_parallel(const struct tt_step_opts *opts, struct tt_err *err)
{
    const struct tt_model_args *a = opts->args;
    const int tp = opts->group[TT_Q_TP].size;

    if (tp <= 1)
        return TT_OK;
    if (a->n_heads % tp != 0 || a->n_kv_heads % tp != 0)
        return tt_err_set(
            err, TT_EINVAL,
            "parallelism.tensor_parallel_degree %d does not divide the model's n_heads %lld and n_kv_heads %lld: each "
            "rank has whole heads",
            tp, (long long)a->n_heads, (long long)a->n_kv_heads);
    if (opts->seq_len % tp != 0)
        return tt_err_set(err, TT_EINVAL,
                          "parallelism.tensor_parallel_degree %d does not divide %s.seq_len %lld: each rank has a part of the "
                          "sequence between the blocks",
                          tp, section(opts), (long long)opts->seq_len);
    return TT_OK;
}

static tt_status check_opts(const struct tt_step_opts *opts, struct tt_err *err)
{
    const struct tt_model_args *a = opts->args;

    if (!tt_model_forward(opts->family))
        return tt_err_set(err, TT_EUNSUPPORTED, "family %s has no forward function", opts->family->name);
    if (opts->local_batch < 1 || opts->seq_len < 1 || opts->local_batch > INT32_MAX / opts->seq_len)
        return tt_err_set(err, TT_EINVAL, "%s.local_batch_size %lld times %s.seq_len %lld: expected 1 to %d tokens", section(opts),
                          (long long)opts->local_batch, section(opts), (long long)opts->seq_len, INT32_MAX);
    if (opts->nmicrobatches < 1)
        return tt_err_set(err, TT_EINVAL, "expected at least one microbatch a step, found %d", opts->nmicrobatches);
    if (opts->param_dtype != TT_F32 && opts->param_dtype != TT_BF16)
        return tt_err_set(err, TT_EINVAL, "training.dtype: expected float32 or bfloat16, found %s",
                          tt_dtype_name(opts->param_dtype));
    if (a->n_layers < 1 || a->n_heads < 1 || a->n_kv_heads < 1 || a->n_heads % a->n_kv_heads != 0 ||
        a->dim % (2 * a->n_heads) != 0)
        return tt_err_set(err, TT_EINVAL,
                          "a model of dim %lld, %lld layers, %lld heads, %lld key heads cannot be: expected an even number of "
                          "elements a head, heads a multiple of key heads",
                          (long long)a->dim, (long long)a->n_layers, (long long)a->n_heads, (long long)a->n_kv_heads);
    if (a->dim / a->n_heads > TT_ATTN_DIM_MAX)
        return tt_err_set(err, TT_EUNSUPPORTED, "heads of %lld: attention takes up to %d", (long long)(a->dim / a->n_heads),
                          TT_ATTN_DIM_MAX);
    if (a->attn_type == TT_ATTN_VARLEN && a->attn_mask_type != TT_MASK_BLOCK_CAUSAL)
        return tt_err_set(err, TT_EINVAL, "attn_type varlen takes attn_mask_type block_causal only");
    return check_tensor_parallel(opts, err);
}

static tt_status record_forward(struct tt_program **out, const struct tt_params *params, const struct tt_step_opts *o,
                                struct tt_err *err)
{
    struct tt_rec_opts how = {
        .params = params,
        .prec = o->prec,
        .param_dtype = o->param_dtype,
        .batch = o->local_batch,
        .seq_len = o->seq_len,
        .whole_logits = o->whole_logits,
    };
    struct tt_rec rec;
    memcpy(how.group, o->group, sizeof how.group);
    const tt_status status = tt_rec_begin(&rec, &how, err);
    if (status != TT_OK)
        return status;
    tt_model_forward(o->family)(&rec, o->args);
    return tt_rec_finish(&rec, out, err);
}

/* Forward and, but for validation, backward of a microbatch. */
static tt_status record_model(struct tt_program **out, const struct tt_params *params, const struct tt_step_opts *o,
                              struct tt_err *err)
{
    struct tt_program *prog;
    tt_status status = record_forward(&prog, params, o, err);
    if (status != TT_OK)
        return status;
    if (!o->eval_of) {
        tt_program_keep(prog, &o->keep);
        status = tt_program_differentiate(prog, err);
    }
    if (status == TT_OK && !o->eval_of && o->overlap)
        status = tt_program_overlap(prog, err);
    if (status == TT_OK)
        *out = prog;
    else
        tt_program_free(prog);
    return status;
}

static tt_status kept_nbytes(uint64_t *out, const struct tt_params *params, const struct tt_step_opts *o, struct tt_err *err)
{
    struct tt_program *prog;
    tt_status status = record_model(&prog, params, o, err);
    if (status != TT_OK)
        return status;
    status = tt_program_kept_nbytes(out, prog, err);
    tt_program_free(prog);
    return status;
}

static tt_status find_dearest(int **out, int *n, const struct tt_params *params, const struct tt_step_opts *o, struct tt_err *err)
{
    struct tt_program *prog;
    tt_status status = record_forward(&prog, params, o, err);
    if (status != TT_OK)
        return status;
    status = tt_program_dearest(out, n, prog, err);
    tt_program_free(prog);
    return status;
}

/* The most results that fit the budget, by halves; none fits any. All ranks of a tensor parallel group must find the same, or their
 * backwards differ, and so each of them looks at the first one, whose pieces are the largest. */
static tt_status fit_budget(struct tt_step *step, struct tt_err *err)
{
    struct tt_step_opts first = step->opts;
    uint64_t least = 0, most = 0, nbytes = 0;
    int fits = 0, n = 0;

    first.group[TT_Q_TP].rank = 0;
    first.overlap = false;
    first.keep = (struct tt_keep){ .kind = TT_KEEP_DEAR };
    tt_status status = kept_nbytes(&most, &step->params, &first, err);
    if (status == TT_OK)
        status = find_dearest(&step->dearest, &n, &step->params, &first, err);
    if (status != TT_OK)
        return status;
    first.keep = (struct tt_keep){ .kind = TT_KEEP_MOST, .dearest = step->dearest };
    status = kept_nbytes(&least, &step->params, &first, err);

    const double budget = (double)least + step->opts.keep_budget * ((double)most - (double)least);
    for (int fails = n + 1; status == TT_OK && fails - fits > 1;) {
        first.keep.nmost = fits + (fails - fits) / 2;
        status = kept_nbytes(&nbytes, &step->params, &first, err);
        if (status == TT_OK && (double)nbytes <= budget)
            fits = first.keep.nmost;
        else
            fails = first.keep.nmost;
    }
    step->opts.keep = first.keep;
    step->opts.keep.nmost = fits;
    return status;
}

static tt_status record(struct tt_step *step, struct tt_err *err)
{
    const bool is_asked = !step->opts.eval_of && step->opts.keep.kind == TT_KEEP_MOST;
    tt_status status = is_asked ? fit_budget(step, err) : TT_OK;
    if (status == TT_OK)
        status = record_model(&step->model, &step->params, &step->opts, err);
    if (status == TT_OK)
        status = tt_program_kept_nbytes(&step->kept.nbytes, step->model, err);
    if (status == TT_OK)
        status = tt_program_shard(step->model, step->opts.give_back, err);
    if (status != TT_OK || step->opts.eval_of)
        return status;
    status = tt_program_replicate(step->model, err);
    if (status != TT_OK)
        return status;
    return step->opts.step_in_backward
               ? tt_program_step_in_backward(step->model, err)
               : tt_program_record_step(&step->optimizer, &step->params, step->opts.param_dtype, step->opts.group, err);
}

static tt_status schedule(struct tt_step *step, struct tt_err *err)
{
    tt_status status = tt_sched_make(&step->sched, "1F1B", 1, 1, step->opts.nmicrobatches, err);
    if (status == TT_OK)
        status = tt_sched_lower(&step->sched, err);
    if (status == TT_OK)
        status = tt_sched_check(&step->sched, err);
    return status;
}

static tt_status plan(struct tt_step *step, struct tt_err *err)
{
    const struct tt_kernels *kernels = step->opts.kernels ? step->opts.kernels : tt_kernels_cpu();
    tt_status status = tt_device_cpu(&step->device, step->opts.pool, kernels, err);
    if (status != TT_OK)
        return status;

    memcpy(step->device->comm, step->opts.comm, sizeof step->device->comm);
    const struct tt_plan_opts how = {
        .model = step->model,
        .step = step->optimizer,
        .sched = &step->sched,
        .params = &step->params,
        .device = step->device,
        .share = step->opts.eval_of ? step->opts.eval_of->plan : NULL,
    };
    status = tt_plan_new(&step->plan, &how, err);
    if (status == TT_OK)
        step->kept.remade =
            (double)tt_program_remade_flops(step->model) * step->opts.nmicrobatches / (double)tt_plan_cost(step->plan)->flops;
    if (status == TT_OK && !step->opts.plan_only)
        status = tt_plan_bind(step->plan, err);
    return status;
}

static void fill_tables(struct tt_step *step)
{
    const struct tt_model_args *a = step->opts.args;
    const struct tt_rope_scaling_args *s = &a->rope_scaling_args;
    const struct tt_rope_scaling scaling = {
        s->scaling_factor, s->low_freq_factor, s->high_freq_factor, s->original_max_position_embeddings,
    };

    tt_rope_table(tt_plan_const(step->plan, TT_CONST_ROPE), a->dim / a->n_heads, step->opts.seq_len, a->rope_theta, &scaling);
    for (int mb = 0; mb < step->opts.nmicrobatches; mb++) {
        int32_t *position = tt_step_positions(step, mb);
        for (int64_t i = 0; i < step->opts.local_batch * step->opts.seq_len; i++)
            position[i] = (int32_t)(i % step->opts.seq_len);
    }
}

static tt_status name_params(struct tt_step *step, struct tt_err *err)
{
    step->param = tt_arena_array(&step->arena, (size_t)step->params.n, sizeof *step->param);
    if (!step->param)
        return tt_err_nomem(err, (size_t)step->params.n * sizeof *step->param, "the parameters of a step");
    for (int i = 0; i < step->params.n; i++)
        step->param[i] = (struct tt_step_param){
            .param = &step->params.p[i], .dtype = step->opts.param_dtype,
            .value = tt_plan_param(step->plan, i, TT_ROLE_SHARD), .grad = tt_plan_param(step->plan, i, TT_ROLE_GRAD),
            .exp_avg = tt_plan_param(step->plan, i, TT_ROLE_EXP_AVG),
            .exp_avg_sq = tt_plan_param(step->plan, i, TT_ROLE_EXP_AVG_SQ),
        };
    return TT_OK;
}

static tt_status build(struct tt_step *step, struct tt_err *err)
{
    tt_status status = check_opts(&step->opts, err);
    if (status == TT_OK)
        status = tt_params_make(&step->params, &step->arena, step->opts.family, step->opts.args, err);
    if (status == TT_OK)
        status = record(step, err);
    if (status == TT_OK)
        status = schedule(step, err);
    if (status == TT_OK)
        status = plan(step, err);
    if (status == TT_OK)
        status = name_params(step, err);
    if (status == TT_OK && !step->opts.plan_only)
        fill_tables(step);
    return status;
}

tt_status tt_step_new(struct tt_step **out, const struct tt_step_opts *opts, struct tt_err *err)
{
    struct tt_step *step = calloc(1, sizeof *step);
    if (!step)
        return tt_err_nomem(err, sizeof *step, "a step");
    step->opts = *opts;
    step->documents = tt_model_wants_documents(opts->args);
    step->vocab_size = opts->args->vocab_size;

    const tt_status status = build(step, err);
    if (status != TT_OK) {
        tt_step_free(step);
        return status;
    }
    step->opts.args = NULL; /* the caller's */
    *out = step;
    return TT_OK;
}

void tt_step_free(struct tt_step *step)
{
    if (!step)
        return;
    tt_plan_free(step->plan);
    tt_device_free(step->device);
    tt_sched_release(&step->sched);
    tt_program_free(step->optimizer);
    tt_program_free(step->model);
    free(step->dearest);
    tt_arena_release(&step->arena);
    free(step);
}

/* --- reaching in ------------------------------------------------------------------------------------------------------------ */

const struct tt_step_param *tt_step_params(const struct tt_step *step, int *n)
{
    *n = step->params.n;
    return step->param;
}

const struct tt_step_param *tt_step_param(const struct tt_step *step, const char *fqn)
{
    for (int i = 0; i < step->params.n; i++)
        if (strcmp(step->param[i].param->fqn, fqn) == 0)
            return &step->param[i];
    return NULL;
}

int32_t *tt_step_tokens(struct tt_step *step, int mb)
{
    return tt_plan_input(step->plan, TT_IN_TOKENS, mb);
}

int32_t *tt_step_labels(struct tt_step *step, int mb)
{
    return tt_plan_input(step->plan, TT_IN_LABELS, mb);
}

int32_t *tt_step_positions(struct tt_step *step, int mb)
{
    return tt_plan_input(step->plan, TT_IN_POSITIONS, mb);
}

static tt_status check_tokens(const struct tt_step *step, const int32_t *tokens, int64_t n, const struct tt_config_model *model,
                              struct tt_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= step->vocab_size)
            return tt_err_set(err, TT_EINVAL, "the tokenizer in %s gave token %" PRId32 ", but %s %s has a vocabulary of %" PRId64,
                              model->hf_assets_path, tokens[i], model->name, model->flavor, step->vocab_size);
    return TT_OK;
}

tt_status tt_step_read(int64_t *nseq, struct tt_step *step, int mb, struct tt_loader *loader, const struct tt_config_model *model,
                       struct tt_err *err)
{
    const int64_t seq_len = step->opts.seq_len, n = step->opts.local_batch * seq_len;
    int32_t *tokens = tt_step_tokens(step, mb), *labels = tt_step_labels(step, mb);

    tt_status status = tt_loader_next(loader, tokens, labels, nseq, err);
    if (status == TT_OK)
        status = check_tokens(step, tokens, *nseq * seq_len, model, err);
    if (status == TT_OK)
        status = check_tokens(step, labels, *nseq * seq_len, model, err);
    if (status != TT_OK)
        return status;
    for (int64_t i = *nseq * seq_len; i < n; i++) {
        tokens[i] = 0;
        labels[i] = TT_IGNORE_INDEX;
    }
    return TT_OK;
}

const float *tt_step_losses(const struct tt_step *step)
{
    return tt_plan_losses(step->plan);
}

const struct tt_cost *tt_step_cost(const struct tt_step *step)
{
    return tt_plan_cost(step->plan);
}

const struct tt_plan *tt_step_plan(const struct tt_step *step) { return step->plan; }

const struct tt_step_kept *tt_step_kept(const struct tt_step *step) { return &step->kept; }

void tt_step_watch(struct tt_step *step, const struct tt_plan_watch *watch) { tt_plan_watch(step->plan, watch); }

/* --- running ---------------------------------------------------------------------------------------------------------------- */

int64_t tt_step_ntokens(const struct tt_step *step)
{
    const int64_t n = step->opts.local_batch * step->opts.seq_len;
    int64_t valid = 0;

    for (int mb = 0; mb < step->opts.nmicrobatches; mb++) {
        const int32_t *label = tt_plan_input(step->plan, TT_IN_LABELS, mb);
        for (int64_t i = 0; i < n; i++)
            valid += label[i] != TT_IGNORE_INDEX;
    }
    return valid;
}

/* The inputs are there; divisor 0: the valid labels of this process. */
static tt_status run_plan(struct tt_step *step, int64_t divisor, struct tt_step_out *out, struct tt_err *err)
{
    struct tt_scalars *s = tt_plan_scalars(step->plan);
    const int64_t ntokens = tt_step_ntokens(step);

    s->inv_tokens = 1 / (float)(divisor > 0 ? divisor : ntokens);
    for (int mb = 0; step->documents && mb < step->opts.nmicrobatches; mb++)
        tt_document_ids(tt_plan_input(step->plan, TT_IN_DOCUMENTS, mb), tt_step_tokens(step, mb), step->opts.local_batch,
                        step->opts.seq_len, step->opts.eos_id);

    const tt_status status = tt_plan_run(step->plan, err);
    if (status != TT_OK)
        return status;
    *out = (struct tt_step_out){ .grad_norm = s->grad_norm, .ntokens = ntokens };
    for (int mb = 0; mb < step->opts.nmicrobatches; mb++)
        out->loss += tt_step_losses(step)[mb];
    return TT_OK;
}

tt_status tt_step_run(struct tt_step *step, const struct tt_step_in *in, struct tt_step_out *out, struct tt_err *err)
{
    struct tt_scalars *s = tt_plan_scalars(step->plan);
    const int nsteps = step->opts.step_in_backward ? step->opts.nmicrobatches : 1;

    s->max_norm = in->max_norm;
    for (int i = 0; i < nsteps; i++)
        s->adam[i] = (struct tt_adam_now){ tt_adam_consts(&in->hyper), tt_adam_scalars(&in->hyper, in->step + i) };
    const tt_status status = run_plan(step, in->global_tokens, out, err);
    if (status == TT_OK)
        out->nsteps = nsteps;
    return status;
}

tt_status tt_step_eval(struct tt_step *step, int64_t global_tokens, struct tt_step_out *out, struct tt_err *err)
{
    return run_plan(step, global_tokens, out, err);
}

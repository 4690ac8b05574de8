#include "train/predictor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

/* The forward of so many tokens a sequence. */
struct pass {
    struct tt_program *program;
    struct tt_plan *plan;
    int64_t ntokens;
};

struct tt_predictor {
    struct tt_predictor_opts opts;
    struct tt_sched sched;
    struct tt_device *device;
    struct pass one;  /* of a single token; parameters and cache are its own */
    struct pass many; /* of the last longer call */
    int64_t ntokens;  /* in the cache */
};

/* --- passes ----------------------------------------------------------------------------------------------------------------- */

static void drop(struct pass *pass)
{
    tt_plan_free(pass->plan);
    tt_program_free(pass->program);
    *pass = (struct pass){ 0 };
}

static tt_status record(struct tt_program **out, const struct tt_predictor *p, int64_t ntokens, struct tt_err *err)
{
    const struct tt_rec_opts how = {
        .params = p->opts.params, .prec = TT_PREC_F32, .param_dtype = p->opts.dtype, .batch = p->opts.batch, .seq_len = ntokens,
        .cache_len = p->opts.capacity,
    };
    struct tt_rec rec;
    const tt_status status = tt_rec_begin(&rec, &how, err);
    if (status != TT_OK)
        return status;
    tt_model_forward(p->opts.family)(&rec, p->opts.args);
    return tt_rec_finish(&rec, out, err);
}

static void fill_tables(const struct tt_predictor *p, const struct pass *pass)
{
    const struct tt_model_args *a = p->opts.args;
    const struct tt_rope_scaling_args *s = &a->rope_scaling_args;
    const struct tt_rope_scaling scaling = {
        s->scaling_factor, s->low_freq_factor, s->high_freq_factor, s->original_max_position_embeddings,
    };
    int32_t *last = tt_plan_input(pass->plan, TT_IN_LAST, 0);

    tt_rope_table(tt_plan_const(pass->plan, TT_CONST_ROPE), a->dim / a->n_heads, p->opts.capacity, a->rope_theta, &scaling);
    for (int64_t b = 0; b < p->opts.batch; b++)
        last[b] = (int32_t)((b + 1) * pass->ntokens - 1);
}

static tt_status make(struct pass *pass, const struct tt_predictor *p, int64_t ntokens, struct tt_err *err)
{
    pass->ntokens = ntokens;
    tt_status status = record(&pass->program, p, ntokens, err);
    if (status != TT_OK)
        return status;
    const struct tt_plan_opts how = {
        .model = pass->program, .sched = &p->sched, .params = p->opts.params, .device = p->device, .share = p->one.plan,
    };
    status = tt_plan_new(&pass->plan, &how, err);
    if (status == TT_OK)
        status = tt_plan_bind(pass->plan, err);
    if (status == TT_OK)
        fill_tables(p, pass);
    return status;
}

/* --- beginning and end ------------------------------------------------------------------------------------------------------ */

static tt_status build(struct tt_predictor *p, struct tt_err *err)
{
    const struct tt_predictor_opts *o = &p->opts;

    if (!tt_model_forward(o->family))
        return tt_err_set(err, TT_EUNSUPPORTED, "family %s has no forward function", o->family->name);
    if (o->batch < 1 || o->capacity < 1 || o->batch > INT32_MAX / o->capacity)
        return tt_err_set(err, TT_EINVAL, "%" PRId64 " sequences of %" PRId64 " tokens: expected 1 to %d tokens", o->batch,
                          o->capacity, INT32_MAX);
    tt_status status = tt_sched_make(&p->sched, "1F1B", 1, 1, 1, err);
    if (status == TT_OK)
        status = tt_device_cpu(&p->device, o->pool, o->kernels ? o->kernels : tt_kernels_cpu(), err);
    if (status == TT_OK)
        status = make(&p->one, p, 1, err);
    return status;
}

tt_status tt_predictor_new(struct tt_predictor **out, const struct tt_predictor_opts *opts, struct tt_err *err)
{
    struct tt_predictor *p = calloc(1, sizeof *p);
    if (!p)
        return tt_err_nomem(err, sizeof *p, "a predictor");
    p->opts = *opts;
    const tt_status status = build(p, err);
    if (status == TT_OK)
        *out = p;
    else
        tt_predictor_free(p);
    return status;
}

void tt_predictor_free(struct tt_predictor *p)
{
    if (!p)
        return;
    drop(&p->many);
    drop(&p->one);
    tt_device_free(p->device);
    tt_sched_release(&p->sched);
    free(p);
}

void *tt_predictor_param(const struct tt_predictor *p, int param) { return tt_plan_param(p->one.plan, param, TT_ROLE_SHARD); }

const struct tt_cost *tt_predictor_cost(const struct tt_predictor *p) { return tt_plan_cost(p->one.plan); }

/* --- tokens ----------------------------------------------------------------------------------------------------------------- */

void tt_predictor_rewind(struct tt_predictor *p, int64_t n) { p->ntokens = n < p->ntokens ? n : p->ntokens; }

static tt_status pass_of(struct pass **out, struct tt_predictor *p, int64_t n, struct tt_err *err)
{
    tt_status status = TT_OK;
    *out = n == 1 ? &p->one : &p->many;
    if ((*out)->ntokens != n) {
        drop(&p->many);
        status = make(&p->many, p, n, err);
        if (status != TT_OK)
            drop(&p->many);
    }
    return status;
}

tt_status tt_predictor_put(const void **logits, struct tt_predictor *p, const int32_t *tokens, int64_t n, struct tt_err *err)
{
    struct pass *pass;

    if (n < 1 || n > p->opts.capacity - p->ntokens)
        return tt_err_set(err, TT_EINVAL, "%" PRId64 " tokens after %" PRId64 ": expected 1 to %" PRId64 " in all", n, p->ntokens,
                          p->opts.capacity);
    tt_status status = pass_of(&pass, p, n, err);
    if (status != TT_OK)
        return status;

    int32_t *position = tt_plan_input(pass->plan, TT_IN_POSITIONS, 0);
    for (int64_t i = 0; i < p->opts.batch * n; i++)
        position[i] = (int32_t)(p->ntokens + i % n);
    memcpy(tt_plan_input(pass->plan, TT_IN_TOKENS, 0), tokens, (size_t)(p->opts.batch * n) * sizeof *tokens);
    status = tt_plan_run(pass->plan, err);
    if (status == TT_OK) {
        p->ntokens += n;
        *logits = tt_plan_logits(pass->plan, 0);
    }
    return status;
}

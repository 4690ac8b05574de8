#include "convert/job.h"

#include <inttypes.h>
#include <string.h>

#include "ckpt/keys.h"
#include "format/entry.h"

/* --- degrees ------------------------------------------------------------------------------------------------------------------ */

static tt_status take_degrees(struct tt_degrees *out, const struct tt_config *config, int64_t nranks, struct tt_err *err)
{
    const struct tt_config_parallelism *p = &config->parallelism;
    struct tt_degrees d = { .dp_replicate = p->data_parallel_replicate_degree, .dp_shard = p->data_parallel_shard_degree,
                            .cp = p->context_parallel_degree,                  .tp = p->tensor_parallel_degree,
                            .pp = p->pipeline_parallel_degree,                 .ep = p->expert_parallel_degree,
                            .etp = p->expert_tensor_parallel_degree };
    const bool rest = d.dp_shard == -1;

    if (rest)
        d.dp_shard = 1;
    tt_status st = tt_degrees_check(&(struct tt_degrees){ d.dp_replicate, d.dp_shard, d.cp, d.tp, d.pp, 1, 1 }, err);
    if (st != TT_OK)
        return st;
    if (rest && !nranks)
        return tt_err_set(err, TT_EINVAL, "%s is -1, the ranks that the other degrees leave: say of how many with --world_size",
                          tt_config_where(config, "parallelism.data_parallel_shard_degree"));
    if (rest)
        d.dp_shard = nranks / tt_degrees_nranks(&d);
    st = tt_degrees_check(&d, err);
    if (st == TT_OK && nranks && tt_degrees_nranks(&d) != nranks)
        st = tt_err_set(err, TT_EINVAL,
                        "dp_replicate(%" PRId64 ") * dp_shard(%" PRId64 ") * cp(%" PRId64 ") * tp(%" PRId64 ") * pp(%" PRId64
                        ") is not the %" PRId64 " of --world_size",
                        d.dp_replicate, d.dp_shard, d.cp, d.tp, d.pp, nranks);
    *out = d;
    return st;
}

/* What TorchTitan does not do with this family. */
static tt_status check_family(const struct tt_job *job, struct tt_err *err)
{
    const struct tt_family *f = job->family;
    const struct tt_degrees *d = &job->degrees;

    if (d->pp > 1 && !f->has_pipeline)
        return tt_err_set(err, TT_EINVAL, "pipeline_parallel_degree %" PRId64 ": TorchTitan does not pipeline %s", d->pp, f->name);
    if (d->cp > 1 && f->no_context)
        return tt_err_set(err, TT_EINVAL, "context_parallel_degree %" PRId64 ": TorchTitan does not have it for %s", d->cp, f->name);
    if (d->dp_shard * d->cp > 1)
        return TT_OK;
    if (d->dp_replicate > 1 && d->tp * d->pp > 1 && f->ddp_alone)
        return tt_err_set(err, TT_EINVAL,
                          "DDP has not supported > 1D parallelism: data_parallel_replicate_degree %" PRId64
                          " without data_parallel_shard_degree goes with no other degree in %s",
                          d->dp_replicate, job->title);
    if (d->ep > 1 && f->ep_needs_fsdp)
        return tt_err_set(err, TT_EINVAL, "expert_parallel_degree %" PRId64 " needs a data_parallel_shard_degree above 1 in %s", d->ep,
                          job->title);
    return TT_OK;
}

static int tp_dim(const struct tt_param_row *row)
{
    return row->tp == TT_TP_REPLICATE ? -1 : (int)row->tp - (int)TT_TP_SHARD0;
}

/* How many heads a size counts; 0: none. */
static int64_t heads_of(const struct tt_job *job, enum tt_size size)
{
    switch (size) {
    case TT_SIZE_Q:
    case TT_SIZE_HEADS:
    case TT_SIZE_MLA_Q:
    case TT_SIZE_MLA_KV_B:
    case TT_SIZE_MLA_O: return job->args.n_heads;
    case TT_SIZE_KV: return job->args.n_kv_heads;
    default: return 0;
    }
}

/* Attention is cut between heads, and a feed-forward into equal parts: the first step of any other job fails. The vocabulary may be cut
 * unevenly, and so may an expert, whose matrices are multiplied apart from each other. */
static tt_status check_tp(const struct tt_job *job, struct tt_err *err)
{
    for (int i = 0; i < job->params.n; i++) {
        const struct tt_param *p = &job->params.p[i];
        const int dim = tp_dim(p->row);
        const enum tt_size size = dim < 0 ? TT_SIZE_NONE : p->row->shape[dim];
        const int64_t heads = heads_of(job, size);
        if (heads % job->degrees.tp)
            return tt_err_set(err, TT_EINVAL,
                              "%s: tensor_parallel_degree %" PRId64 " does not divide its %" PRId64 " heads (n_heads %" PRId64
                              ", n_kv_heads %" PRId64 ")",
                              p->fqn, job->degrees.tp, heads, job->args.n_heads, job->args.n_kv_heads);
        if (dim >= 0 && size != TT_SIZE_VOCAB && p->row->kind == TT_PARAM_WEIGHT && p->size[dim] % job->degrees.tp)
            return tt_err_set(err, TT_EINVAL, "%s: tensor_parallel_degree %" PRId64 " does not divide dimension %d of %" PRId64, p->fqn,
                              job->degrees.tp, dim, p->size[dim]);
    }
    return TT_OK;
}

/* --- opening ------------------------------------------------------------------------------------------------------------------ */

static tt_status take_stages(struct tt_job *job, const struct tt_config_parallelism *p, struct tt_err *err)
{
    const struct tt_strs_list *given = &p->module_fqns_per_model_part;
    struct tt_modules *parts = tt_arena_array(&job->arena, given->n, sizeof *parts);
    const struct tt_stages_opts opts = {
        .schedule = p->pipeline_parallel_schedule,
        .layers_per_stage = p->pipeline_parallel_layers_per_stage.set ? p->pipeline_parallel_layers_per_stage.v : 0,
        .first_less = p->pipeline_parallel_first_stage_less_layers,
        .last_less = p->pipeline_parallel_last_stage_less_layers,
        .parts = parts,
        .nparts = given->n,
    };
    if (!parts)
        return tt_err_nomem(err, given->n * sizeof *parts, "the pipeline stages");
    for (size_t i = 0; i < given->n; i++)
        parts[i] = (struct tt_modules){ given->list[i].s, given->list[i].n };
    return tt_stages_make(&job->stages, &job->arena, job->degrees.pp, job->args.n_layers, &opts, err);
}

static tt_status index_params(struct tt_job *job, struct tt_err *err)
{
    tt_status st = TT_OK;
    job->found = tt_arena_array(&job->arena, (size_t)job->params.n, sizeof *job->found);
    job->bases = tt_arena_array(&job->arena, (size_t)job->params.n, sizeof *job->bases);
    if (!job->found || !job->bases)
        return tt_err_nomem(err, (size_t)job->params.n * sizeof *job->bases, "the parameters");
    for (int i = 0; i < job->params.n && st == TT_OK; i++)
        st = tt_map_put(&job->by_fqn, job->params.p[i].fqn, strlen(job->params.p[i].fqn), (uint64_t)i, NULL, NULL, err);
    return st;
}

tt_status tt_job_open(struct tt_job *job, const struct tt_config *config, int64_t nranks, struct tt_err *err)
{
    const struct tt_config_model *m = &config->model;

    *job = (struct tt_job){ .family = tt_family_find(m->name) };
    tt_status st = tt_model_args_load(&job->args, m->name, m->flavor, err);
    if (st == TT_OK && !(job->title = tt_arena_printf(&job->arena, "%s %s", m->name, m->flavor)))
        st = tt_err_nomem(err, strlen(m->flavor), "a name");
    if (st == TT_OK)
        st = take_degrees(&job->degrees, config, nranks, err);
    if (st == TT_OK)
        st = tt_params_make(&job->params, &job->arena, job->family, &job->args, err);
    if (st == TT_OK)
        st = check_family(job, err);
    if (st == TT_OK)
        st = check_tp(job, err);
    if (st == TT_OK)
        st = take_stages(job, &config->parallelism, err);
    return st == TT_OK ? index_params(job, err) : st;
}

void tt_job_close(struct tt_job *job)
{
    tt_map_release(&job->by_fqn);
    tt_map_release(&job->by_shape);
    tt_arena_release(&job->arena);
    *job = (struct tt_job){ 0 };
}

/* --- keys --------------------------------------------------------------------------------------------------------------------- */

/* All that the shards of a tensor depend on. */
struct shape_key {
    struct tt_spread how;
    int32_t ndim;
    int64_t size[TT_PARAM_NDIM];
};

/* Layers share their rows' shards. */
static tt_status make_shards(const struct tt_shards **out, struct tt_job *job, const char *fqn, const struct tt_spread *how, int ndim,
                             const int64_t *shape, struct tt_err *err)
{
    struct shape_key key;
    uint64_t found;

    memset(&key, 0, sizeof key); /* it is compared with what lies between its fields */
    key.how.whole = how->whole;
    key.how.experts = how->experts;
    key.how.tp_dim = how->tp_dim;
    key.ndim = ndim;
    if (ndim)
        memcpy(key.size, shape, (size_t)ndim * sizeof *shape);
    if (tt_map_get(&job->by_shape, (const char *)&key, sizeof key, &found)) {
        *out = (const struct tt_shards *)(uintptr_t)found;
        return TT_OK;
    }
    struct tt_shards *shards = tt_arena_alloc(&job->arena, sizeof *shards);
    char *kept = tt_arena_alloc(&job->arena, sizeof key);
    if (!shards || !kept)
        return tt_err_nomem(err, sizeof key, "the shards of a tensor");
    memcpy(kept, &key, sizeof key);
    tt_status st = tt_shards_make(shards, &job->arena, &job->degrees, how, fqn, ndim, shape, err);
    if (st == TT_OK)
        st = tt_map_put(&job->by_shape, kept, sizeof key, (uintptr_t)shards, NULL, NULL, err);
    *out = shards;
    return st;
}

static tt_status make_bases(struct tt_bases *out, struct tt_job *job, const char *fqn, const char *param, struct tt_err *err)
{
    uint32_t *bases = tt_arena_array(&job->arena, (size_t)job->degrees.pp, sizeof *bases), n = 0;
    if (!bases)
        return tt_err_nomem(err, (size_t)job->degrees.pp * sizeof *bases, "the ranks of a stage");
    for (int64_t s = 0; s < job->stages.n; s++) {
        const uint32_t base = (uint32_t)(job->stages.rank[s] * tt_degrees_stage_nranks(&job->degrees));
        bool listed = false;
        for (uint32_t i = 0; i < n; i++)
            listed |= bases[i] == base;
        if (!listed && tt_stage_has(&job->stages, s, param))
            bases[n++] = base;
    }
    if (n == 0)
        return tt_err_set(err, TT_EINVAL, "key %s: no part of module_fqns_per_model_part has it", fqn);
    *out = (struct tt_bases){ bases, n };
    return TT_OK;
}

static tt_status wrong_shape(const struct tt_job *job, const char *fqn, const struct tt_param *p, int ndim, const int64_t *shape,
                             struct tt_err *err)
{
    char expected[200], found[200];
    return tt_err_set(err, TT_EINVAL, "key %s: expected %s, which %s has, found %s", fqn,
                      tt_dims_text(expected, sizeof expected, p->ndim, p->size), job->title,
                      tt_dims_text(found, sizeof found, ndim, shape));
}

tt_status tt_job_find(struct tt_holders *out, struct tt_job *job, const char *fqn, int ndim, const int64_t *shape, struct tt_err *err)
{
    const struct tt_key key = tt_key_of(fqn);
    uint64_t i;

    if (!key.param || !tt_map_get(&job->by_fqn, key.param, key.nparam, &i))
        return tt_err_set(err, TT_EINVAL, "key %s: %s has no such tensor; --exclude leaves it out", fqn, job->title);
    const struct tt_param *p = &job->params.p[i];
    const bool scalar = ndim == 0 && key.kind == TT_KEY_OPTIMIZER;
    if (!scalar && (ndim != p->ndim || memcmp(shape, p->size, (size_t)ndim * sizeof *shape) != 0))
        return wrong_shape(job, fqn, p, ndim, shape, err);
    const struct tt_spread how = { .whole = scalar || p->row->kind == TT_PARAM_BUFFER,
                                   .experts = p->row->kind == TT_PARAM_EXPERT,
                                   .tp_dim = scalar ? -1 : tp_dim(p->row) };
    job->found[i] |= key.kind == TT_KEY_MODEL;
    tt_status st = make_shards(&out->shards, job, p->fqn, &how, ndim, shape, err);
    if (st == TT_OK && !job->bases[i].n)
        st = make_bases(&job->bases[i], job, fqn, p->fqn, err);
    out->bases = job->bases[i].v;
    out->nbases = job->bases[i].n;
    return st;
}

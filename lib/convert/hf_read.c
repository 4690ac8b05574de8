/* Hugging Face to TorchTitan. */
#include "convert/hf_private.h"

/* --- one tensor of the input ------------------------------------------------------------------------------------------------ */

/* A tensor of the given shape: floats, or FP8 where a scale for each block of 128 by 128 lies beside it. */
static tt_status plain_source(struct tt_part *part, struct tt_hf_job *job, const struct tt_entry *src, int ndim,
                              const int64_t *shape, struct tt_err *err)
{
    const struct tt_dtype_info *dtype = &tt_dtypes[src->dtype];

    *part = (struct tt_part){ .ckpt = job->in, .src = src, .scales = tt_hf_find_beside(job, src, ".weight", ".weight_scale_inv") };
    if (part->scales)
        part->quant = TT_QUANT_BLOCK128;
    else if (!dtype->is_float || dtype->nbytes == 1)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: %s: %s without the scales that titan knows (weight_scale_inv)", job->in->path,
                          src->fqn, dtype->torch);
    return tt_hf_check_shape(job, src, ndim, shape, err);
}

/* gpt_oss' experts under their other name: (E, out, in), in floats or packed, (E, out, in / 32, 16) with scales (E, out, in / 32). */
static tt_status blocks_source(struct tt_part *part, struct tt_hf_job *job, const struct tt_entry *src, const struct tt_param *p,
                               struct tt_err *err)
{
    enum { GROUP = 32, GROUP_NBYTES = GROUP / 2 };

    *part = (struct tt_part){ .ckpt = job->in, .src = src };
    if (src->dtype != TT_U8)
        return tt_hf_check_shape(job, src, p->ndim, p->size, err);

    const int64_t groups = p->size[2] / GROUP, packed[] = { p->size[0], p->size[1], groups, GROUP_NBYTES };
    if (p->size[2] % GROUP)
        return tt_err_set(err, TT_EINVAL, "%s: %s: the flavor's rows of %lld do not divide into groups of %d", job->in->path,
                          src->fqn, (long long)p->size[2], GROUP);
    part->scales = tt_hf_find_beside(job, src, "_blocks", "_scales");
    part->quant = TT_QUANT_MXFP4;
    if (!part->scales) {
        tt_hf_lacks(job, tt_buf_cstr(&job->key));
        return TT_OK;
    }
    tt_status st = tt_hf_check_shape(job, src, 4, packed, err);
    if (st == TT_OK)
        st = tt_hf_check_shape(job, part->scales, 3, packed, err);
    if (st == TT_OK)
        st = tt_recipe_note(job->recipe, &job->recipe->reshaped, p->fqn, err);
    return st;
}

/* --- one tensor of the output ----------------------------------------------------------------------------------------------- */

/* What the map makes of one input tensor. */
static tt_status mapped_source(struct tt_part *part, struct tt_hf_job *job, const struct tt_entry *src, const struct tt_param *p,
                               struct tt_err *err)
{
    const int64_t *size = p->size;
    const int64_t turned[] = { size[0], size[2], size[1] }, fused[] = { size[0], size[2], 2 * size[1] };
    const bool up = p->row->hf_map == TT_HF_UP;
    tt_status st = TT_OK;

    switch (p->row->hf_map) {
    case TT_HF_SAME:
    case TT_HF_EXPERTS: /* has a tensor an expert, not one */ return plain_source(part, job, src, p->ndim, size, err);
    case TT_HF_ROPE:
        st = plain_source(part, job, src, p->ndim, size, err);
        part->map = TT_MAP_PAIRS;
        part->head = tt_model_args_head_dim(job->opts->args);
        return st;
    case TT_HF_TRANSPOSE:
        st = plain_source(part, job, src, p->ndim, turned, err);
        part->map = TT_MAP_TRANSPOSE;
        break;
    case TT_HF_GATE:
    case TT_HF_UP:
        st = plain_source(part, job, src, p->ndim, fused, err);
        part->map = TT_MAP_TRANSPOSE;
        part->from = tt_hf_dims(job, 3, (const int64_t[]){ 0, up ? size[1] : 0, 0 });
        part->sizes = size;
        if (!part->from)
            return tt_err_nomem(err, 3 * sizeof *part->from, p->fqn);
        break;
    }
    return st == TT_OK ? tt_recipe_note(job->recipe, &job->recipe->reshaped, p->fqn, err) : st;
}

/* A tensor an expert: each a part, one step of dimension 0. */
static tt_status read_experts(struct tt_hf_job *job, const struct tt_param *p, struct tt_err *err)
{
    const int64_t n = p->size[0];
    struct tt_part *parts = tt_arena_array(&job->recipe->arena, (size_t)n, sizeof *parts);
    int64_t *to = tt_arena_array(&job->recipe->arena, 3 * (size_t)n, sizeof *to);
    tt_status st = parts && to ? TT_OK : tt_err_nomem(err, (size_t)n * sizeof *parts, p->fqn);

    for (int64_t e = 0; st == TT_OK && e < n; e++) {
        const struct tt_entry *src = tt_hf_find(job, p->row->hf, p->layer, e);
        if (!src) {
            tt_hf_lacks(job, tt_buf_cstr(&job->key));
            continue;
        }
        st = plain_source(&parts[e], job, src, p->ndim - 1, p->size + 1, err);
        to[3 * e] = e;
        parts[e].to = &to[3 * e];
    }
    if (st == TT_OK)
        st = tt_recipe_note(job->recipe, &job->recipe->reshaped, p->fqn, err);
    return st == TT_OK ? tt_hf_add(job, p->fqn, job->opts->dtype, p->ndim, p->size, parts, (size_t)n, err) : st;
}

/* The tensor is not in the input: what takes its place, if anything can. */
static tt_status fill(struct tt_part *part, struct tt_hf_job *job, const struct tt_param *p, struct tt_err *err)
{
    const struct tt_param *embedding = &job->params.p[0];
    const struct tt_entry *src = NULL;
    tt_status st = TT_OK;

    *part = (struct tt_part){ .src = NULL }; /* zeros */
    if (p->row->fill == TT_FILL_EMBEDDING)
        src = tt_hf_find(job, embedding->row->hf, -1, 0);
    if (p->row->fill == TT_FILL_NONE || (p->row->fill == TT_FILL_EMBEDDING && !src)) {
        if (p->row->hf)
            tt_hf_find(job, p->row->hf, p->layer, 0); /* for its key */
        if (p->row->hf_map != TT_HF_UP)               /* whose key the row of its first half has named */
            tt_hf_lacks(job, p->row->hf ? tt_buf_cstr(&job->key) : p->fqn);
        return TT_OK;
    }
    if (src)
        st = plain_source(part, job, src, embedding->ndim, embedding->size, err);
    return st == TT_OK ? tt_recipe_note(job->recipe, &job->recipe->missing, p->fqn, err) : st;
}

static tt_status read_param(struct tt_hf_job *job, const struct tt_param *p, struct tt_err *err)
{
    const struct tt_param_row *row = p->row;
    const struct tt_entry *blocks = NULL, *src = NULL;
    struct tt_part *part = NULL;
    tt_status st = TT_OK;

    if (row->hf_map == TT_HF_EXPERTS)
        return read_experts(job, p, err);
    part = tt_arena_alloc(&job->recipe->arena, sizeof *part);
    if (!part)
        return tt_err_nomem(err, sizeof *part, p->fqn);
    if (row->hf_blocks)
        blocks = tt_hf_find(job, row->hf_blocks, p->layer, 0);
    if (!blocks && row->hf)
        src = tt_hf_find(job, row->hf, p->layer, 0);

    if (blocks)
        st = blocks_source(part, job, blocks, p, err);
    else if (src)
        st = mapped_source(part, job, src, p, err);
    else
        st = fill(part, job, p, err);
    const enum tt_dtype dtype = row->kind == TT_PARAM_BUFFER ? TT_F32 : job->opts->dtype;
    return st == TT_OK ? tt_hf_add(job, p->fqn, dtype, p->ndim, p->size, part, 1, err) : st;
}

/* The family's prefix, if the input's keys have it. */
static void find_prefix(struct tt_hf_job *job)
{
    job->prefix = job->opts->family->hf_prefix ? job->opts->family->hf_prefix : "";
    if (!tt_hf_find(job, job->params.p[0].row->hf, -1, 0))
        job->prefix = "";
}

static tt_status note_unused(struct tt_hf_job *job, struct tt_err *err)
{
    const struct tt_entries *entries = &job->in->entries;
    tt_status st = TT_OK;

    for (size_t i = 0; st == TT_OK && i < entries->n; i++)
        if (!job->used[i])
            st = tt_recipe_note(job->recipe, &job->recipe->unused, entries->items[i].fqn, err);
    return st;
}

tt_status tt_hf_read_recipe(struct tt_recipe *out, struct tt_ckpt *hf, const struct tt_hf_opts *opts, struct tt_err *err)
{
    struct tt_hf_job job;
    tt_status st = tt_hf_job_begin(&job, out, hf, opts, err);

    if (st == TT_OK)
        find_prefix(&job);
    for (int i = 0; st == TT_OK && i < job.params.n; i++)
        st = read_param(&job, &job.params.p[i], err);
    if (st == TT_OK)
        st = tt_hf_check_lacking(&job, err);
    if (st == TT_OK)
        st = note_unused(&job, err);
    tt_hf_job_release(&job);
    return st;
}

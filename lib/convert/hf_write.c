/* TorchTitan to Hugging Face. */
#include <string.h>

#include "base/file.h"
#include "convert/hf_private.h"

/* --- where the model is in the input ---------------------------------------------------------------------------------------- */

/* What comes before the model's keys: nothing, "model.", or what stands before the only key that ends as the embedding's does. */
static tt_status find_model(struct tt_hf_job *job, struct tt_err *err)
{
    const struct tt_entries *entries = &job->in->entries;
    const char *const first = job->params.p[0].fqn, *found = NULL;
    static const char *const usual[] = { "", "model." };

    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        job->prefix = usual[i];
        if (tt_hf_find(job, first, 0, 0))
            return TT_OK;
    }
    job->prefix = "";
    for (size_t i = 0; i < entries->n; i++) {
        const char *fqn = entries->items[i].fqn;
        const size_t n = strlen(fqn), nfirst = strlen(first);
        if (entries->items[i].kind != TT_ENTRY_TENSOR || !tt_has_suffix(fqn, first) || n <= nfirst || fqn[n - nfirst - 1] != '.')
            continue;
        if (found)
            return tt_err_set(err, TT_EINVAL, "%s: %s and %s: which of the two models is meant?", job->in->path, found, fqn);
        found = fqn;
        job->prefix = tt_arena_strn(&job->recipe->arena, fqn, n - nfirst);
        if (!job->prefix)
            return tt_err_nomem(err, n, fqn);
    }
    return TT_OK;
}

/* A TorchTitan tensor of the flavor's shape; NULL where there is none. */
static tt_status find_param(const struct tt_entry **out, struct tt_hf_job *job, const struct tt_param *p, struct tt_err *err)
{
    *out = tt_hf_find(job, p->fqn, 0, 0);
    return *out ? tt_hf_check_shape(job, *out, p->ndim, p->size, err) : TT_OK;
}

/* --- what the output is called ---------------------------------------------------------------------------------------------- */

struct names {
    struct tt_hf_job *job;
    const char *prefix; /* of the output's keys */
    bool blocks;        /* gpt_oss' experts as (E, out, in), under their other name */
    const struct tt_entry *embedding; /* the assets'; NULL: they have none */
};

static const struct tt_entry *in_assets(const struct names *names, const char *key)
{
    const struct tt_ckpt *assets = names->job->opts->assets;
    const struct tt_entry *entry = assets ? tt_entries_find(&assets->entries, key) : NULL;
    return entry && entry->kind == TT_ENTRY_TENSOR ? entry : NULL;
}

/* The key in the recipe's arena; NULL: no memory. */
static const char *name(const struct names *names, const char *pattern, int64_t layer, int64_t expert)
{
    struct tt_buf key = { 0 };

    tt_buf_str(&key, names->prefix);
    tt_family_key(&key, pattern, layer, expert);
    const char *copy = key.failed ? NULL : tt_arena_str(&names->job->recipe->arena, tt_buf_cstr(&key));
    tt_buf_release(&key);
    return copy;
}

/* TorchTitan's where asked for, else the assets', else transformers'. */
static tt_status choose_names(struct names *names, struct tt_hf_job *job, struct tt_err *err)
{
    const struct tt_family *family = job->opts->family;

    *names = (struct names){ .job = job, .prefix = family->hf_prefix ? family->hf_prefix : "", .blocks = job->opts->tt_names };
    const char *first = name(names, job->params.p[0].row->hf, -1, 0);
    if (!first)
        return tt_err_nomem(err, 64, "a key");
    names->embedding = in_assets(names, first);
    if (!job->opts->tt_names && !names->embedding) {
        names->embedding = in_assets(names, first + strlen(names->prefix));
        names->prefix = "";
    }

    const struct tt_param *p = job->params.p, *end = p + job->params.n;
    while (p < end && !p->row->hf_blocks)
        p++;
    if (p == end || names->blocks)
        return TT_OK;
    const char *key = name(names, p->row->hf_blocks, p->layer, 0);
    if (!key)
        return tt_err_nomem(err, 64, "a key");
    const struct tt_entry *entry = in_assets(names, key);
    names->blocks = entry && tt_dtypes[entry->dtype].is_float; /* else they are packed, which titan does not write */
    return TT_OK;
}

static enum tt_dtype dtype_of(const struct names *names, const struct tt_param *p, const char *key)
{
    const struct tt_hf_opts *opts = names->job->opts;
    const struct tt_entry *like = opts->like ? in_assets(names, key) : NULL;

    if (opts->like && !like && p->row->fill == TT_FILL_EMBEDDING) /* one tensor with it in a tied model */
        like = names->embedding;
    if (like && tt_dtypes[like->dtype].is_float && tt_dtypes[like->dtype].nbytes > 1) /* FP8 means little without its scales */
        return like->dtype;
    return p->row->kind == TT_PARAM_BUFFER ? TT_F32 : opts->dtype;
}

/* --- one tensor of the output ----------------------------------------------------------------------------------------------- */

static tt_status add(const struct names *names, const struct tt_param *p, const char *pattern, int64_t expert, int ndim,
                     const int64_t *shape, const struct tt_part *parts, size_t nparts, struct tt_err *err)
{
    const char *key = name(names, pattern, p->layer, expert);
    if (!key)
        return tt_err_nomem(err, strlen(pattern) + 32, "a key");
    return tt_hf_add(names->job, key, dtype_of(names, p, key), ndim, shape, parts, nparts, err);
}

static tt_status note_reshaped(const struct names *names, const struct tt_recipe_item *item, struct tt_err *err)
{
    return tt_recipe_note(names->job->recipe, &names->job->recipe->reshaped, item->fqn, err);
}

/* The tensor as it is, or its rows or dimensions in another order. */
static tt_status write_one(const struct names *names, const struct tt_param *p, const struct tt_entry *src, struct tt_err *err)
{
    struct tt_hf_job *job = names->job;
    const bool as_blocks = p->row->hf_blocks && names->blocks, turned = p->row->hf_map == TT_HF_TRANSPOSE && !as_blocks;
    struct tt_part *part = tt_arena_alloc(&job->recipe->arena, sizeof *part);
    const int64_t *shape = turned ? tt_hf_dims(job, 3, (const int64_t[]){ p->size[0], p->size[2], p->size[1] }) : p->size;

    if (!part || !shape)
        return tt_err_nomem(err, sizeof *part, p->fqn);
    *part = (struct tt_part){ .ckpt = job->in, .src = src, .map = turned ? TT_MAP_TRANSPOSE : TT_MAP_SAME };
    if (p->row->hf_map == TT_HF_ROPE) {
        part->map = TT_MAP_HALVES;
        part->head = tt_model_args_head_dim(job->opts->args);
    }
    const tt_status st = add(names, p, as_blocks ? p->row->hf_blocks : p->row->hf, 0, p->ndim, shape, part, 1, err);
    return st == TT_OK && turned ? note_reshaped(names, &job->recipe->items[job->recipe->n - 1], err) : st;
}

/* A tensor an expert, each one step of dimension 0. */
static tt_status write_experts(const struct names *names, const struct tt_param *p, const struct tt_entry *src, struct tt_err *err)
{
    struct tt_hf_job *job = names->job;
    const int64_t n = p->size[0];
    struct tt_part *parts = tt_arena_array(&job->recipe->arena, (size_t)n, sizeof *parts);
    int64_t *from = tt_arena_array(&job->recipe->arena, 3 * (size_t)n, sizeof *from);
    tt_status st = parts && from ? TT_OK : tt_err_nomem(err, (size_t)n * sizeof *parts, p->fqn);

    for (int64_t e = 0; st == TT_OK && e < n; e++) {
        from[3 * e] = e;
        parts[e] = (struct tt_part){ .ckpt = job->in, .src = src, .from = &from[3 * e], .sizes = p->size + 1 };
        st = add(names, p, p->row->hf, e, p->ndim - 1, p->size + 1, &parts[e], 1, err);
        if (st == TT_OK)
            st = note_reshaped(names, &job->recipe->items[job->recipe->n - 1], err);
    }
    return st;
}

/* The parameter of the same layer that is the second half of p's tensor. */
static const struct tt_param *other_half(const struct tt_hf_job *job, const struct tt_param *p)
{
    const struct tt_param *q = p + 1, *end = job->params.p + job->params.n;
    while (q < end && !(q->row->hf_map == TT_HF_UP && strcmp(q->row->hf, p->row->hf) == 0))
        q++;
    return q < end && q->layer == p->layer ? q : NULL;
}

/* (E, H, D) and (E, H, D) to (E, D, 2H). */
static tt_status write_fused(const struct names *names, const struct tt_param *p, const struct tt_entry *gate, struct tt_err *err)
{
    struct tt_hf_job *job = names->job;
    const struct tt_param *q = other_half(job, p);
    const struct tt_entry *up = NULL;
    tt_status st = q ? find_param(&up, job, q, err) : tt_err_set(err, TT_EINVAL, "%s: has no second half", p->fqn);
    if (st != TT_OK || !up)
        return st; /* what is missing is said where its own turn comes */

    const int64_t E = p->size[0], H = p->size[1], D = p->size[2];
    struct tt_part *parts = tt_arena_array(&job->recipe->arena, 2, sizeof *parts);
    const int64_t *shape = tt_hf_dims(job, 3, (const int64_t[]){ E, D, 2 * H });
    const int64_t *half = tt_hf_dims(job, 3, (const int64_t[]){ E, D, H }), *to = tt_hf_dims(job, 3, (const int64_t[]){ 0, 0, H });
    if (!parts || !shape || !half || !to)
        return tt_err_nomem(err, 2 * sizeof *parts, p->fqn);
    parts[0] = (struct tt_part){ .ckpt = job->in, .src = gate, .map = TT_MAP_TRANSPOSE, .sizes = half };
    parts[1] = (struct tt_part){ .ckpt = job->in, .src = up, .map = TT_MAP_TRANSPOSE, .to = to, .sizes = half };
    st = add(names, p, p->row->hf, 0, 3, shape, parts, 2, err);
    return st == TT_OK ? note_reshaped(names, &job->recipe->items[job->recipe->n - 1], err) : st;
}

/* The input lacks it. Zeros are as good as what is not there. */
static tt_status write_missing(const struct names *names, const struct tt_param *p, struct tt_err *err)
{
    struct tt_hf_job *job = names->job;

    if (p->row->fill != TT_FILL_ZEROS) {
        tt_hf_lacks(job, tt_buf_cstr(&job->key));
        return TT_OK;
    }
    struct tt_part *part = tt_arena_alloc(&job->recipe->arena, sizeof *part);
    if (!part)
        return tt_err_nomem(err, sizeof *part, p->fqn);
    const tt_status st = add(names, p, p->row->hf, 0, p->ndim, p->size, part, 1, err);
    return st == TT_OK ? tt_recipe_note(job->recipe, &job->recipe->missing, p->fqn, err) : st;
}

static tt_status write_param(const struct names *names, const struct tt_param *p, struct tt_err *err)
{
    struct tt_hf_job *job = names->job;
    const struct tt_hf_opts *opts = job->opts;
    const bool tied = opts->family->hf_tied && opts->args->enable_weight_tying && p->row->fill == TT_FILL_EMBEDDING;
    const struct tt_entry *src = NULL;
    const tt_status st = find_param(&src, job, p, err);

    if (st != TT_OK || tied)
        return st;
    if (!p->row->hf)
        return src ? tt_recipe_note(job->recipe, &job->recipe->unused, src->fqn, err) : TT_OK;
    if (!src)
        return write_missing(names, p, err);
    switch (p->row->hf_map) {
    case TT_HF_SAME:
    case TT_HF_ROPE:
    case TT_HF_TRANSPOSE: break;
    case TT_HF_EXPERTS: return write_experts(names, p, src, err);
    case TT_HF_GATE: return write_fused(names, p, src, err);
    case TT_HF_UP: return TT_OK; /* written with its first half */
    }
    return write_one(names, p, src, err);
}

/* --- what is left over ------------------------------------------------------------------------------------------------------ */

/* What a full checkpoint has besides the model. */
static bool is_of_training(const char *fqn)
{
    static const char *const parts[] = { "optimizer.", "lr_scheduler.", "dataloader.", "train_state." };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strncmp(fqn, parts[i], strlen(parts[i])) == 0)
            return true;
    return false;
}

static tt_status note_unused(struct tt_hf_job *job, struct tt_err *err)
{
    const struct tt_entries *entries = &job->in->entries;
    const size_t n = strlen(job->prefix);
    tt_status st = TT_OK;

    for (size_t i = 0; st == TT_OK && i < entries->n; i++) {
        const struct tt_entry *entry = &entries->items[i];
        if (!job->used[i] && entry->kind == TT_ENTRY_TENSOR && strncmp(entry->fqn, job->prefix, n) == 0 &&
            !is_of_training(entry->fqn))
            st = tt_recipe_note(job->recipe, &job->recipe->unused, entry->fqn, err);
    }
    return st;
}

tt_status tt_hf_write_recipe(struct tt_recipe *out, struct tt_ckpt *tt, const struct tt_hf_opts *opts, struct tt_err *err)
{
    struct tt_hf_job job;
    struct names names;
    tt_status st = tt_hf_job_begin(&job, out, tt, opts, err);

    if (st == TT_OK)
        st = find_model(&job, err);
    if (st == TT_OK)
        st = choose_names(&names, &job, err);
    for (int i = 0; st == TT_OK && i < job.params.n; i++)
        st = write_param(&names, &job.params.p[i], err);
    if (st == TT_OK)
        st = tt_hf_check_lacking(&job, err);
    if (st == TT_OK)
        st = note_unused(&job, err);
    tt_hf_job_release(&job);
    return st;
}

#include "convert/compare.h"

#include "ckpt/keys.h"

struct side {
    struct tt_ckpt *ckpt;
    struct tt_recipe recipe;
};

static bool is_hf(const struct side *s) { return s->ckpt->format == TT_CKPT_HF || s->ckpt->format == TT_CKPT_SAFETENSORS; }

static tt_status add_all(struct side *s, const struct tt_key_filter *filter, bool model_only, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < s->ckpt->entries.n && st == TT_OK; i++) {
        const struct tt_entry *e = &s->ckpt->entries.items[i];
        if (tt_key_taken(filter, e->fqn) && (!model_only || tt_key_of(e->fqn).kind == TT_KEY_MODEL))
            st = tt_recipe_add_entry(&s->recipe, s->ckpt, e, err);
    }
    return st;
}

/* Keys that are not taken go; floating-point tensors get the dtype that they have on the other side. */
static tt_status fit(struct side *hf, const struct side *other, const struct tt_key_filter *filter, struct tt_err *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < hf->recipe.n; i++)
        if (tt_key_taken(filter, hf->recipe.items[i].fqn))
            hf->recipe.items[kept++] = hf->recipe.items[i];
    hf->recipe.n = kept;
    for (size_t i = 0; i < kept; i++) {
        struct tt_output *o = &hf->recipe.items[i].output;
        const struct tt_recipe_item *twin = tt_recipe_find(&other->recipe, hf->recipe.items[i].fqn);
        if (twin && twin->kind == TT_ENTRY_TENSOR && tt_dtypes[twin->output.dtype].is_float && tt_dtypes[o->dtype].is_float)
            o->dtype = twin->output.dtype;
    }
    return tt_recipe_reindex(&hf->recipe, err);
}

static tt_status add_hf(struct side *hf, struct side *other, const struct tt_compare_opts *opts, const struct tt_key_filter *filter,
                        struct tt_err *err)
{
    struct tt_model_args args;
    struct tt_hf_opts how = { .family = tt_family_find(opts->model_name), .args = &args, .dtype = TT_F32 };
    tt_status st = tt_model_args_load(&args, opts->model_name, opts->model_flavor, err);

    if (st == TT_OK)
        st = add_all(other, filter, true, err);
    if (st == TT_OK)
        st = tt_hf_read_recipe(&hf->recipe, hf->ckpt, &how, err);
    return st == TT_OK ? fit(hf, other, filter, err) : st;
}

tt_status tt_compare(FILE *out, const char *path_a, const char *path_b, const struct tt_compare_opts *opts, const struct tt_task *task,
                     bool *same, struct tt_err *err)
{
    struct side a = { 0 }, b = { 0 };
    tt_status st = tt_ckpt_open(&a.ckpt, path_a, err);

    if (st == TT_OK)
        st = tt_ckpt_open(&b.ckpt, path_b, err);
    if (st == TT_OK && opts->model_name && is_hf(&a) != is_hf(&b)) {
        st = is_hf(&a) ? add_hf(&a, &b, opts, &task->filter, err) : add_hf(&b, &a, opts, &task->filter, err);
    } else if (st == TT_OK) {
        st = add_all(&a, &task->filter, false, err);
        if (st == TT_OK)
            st = add_all(&b, &task->filter, false, err);
    }
    if (st == TT_OK && a.recipe.n == 0 && b.recipe.n == 0)
        st = tt_keys_check(&task->filter, a.ckpt, err);
    if (st == TT_OK) {
        const struct tt_diff_side left = { path_a, &a.recipe }, right = { path_b, &b.recipe };
        st = tt_diff(out, &left, &right, &opts->diff, task, same, err);
    }
    tt_recipe_release(&a.recipe);
    tt_recipe_release(&b.recipe);
    tt_ckpt_close(a.ckpt);
    tt_ckpt_close(b.ckpt);
    return st;
}

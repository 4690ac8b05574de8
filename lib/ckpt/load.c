#include "ckpt/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "ckpt/copy.h"
#include "ckpt/recipe.h"
#include "tensor/cast.h"

/* One message for all keys that are not there. */
static tt_status check_missing(const struct tt_recipe *recipe, const char *name, const struct tt_want *wants, size_t n,
                               struct tt_err *err)
{
    struct tt_names_text missing = { 0 };

    for (size_t i = 0; i < n; i++)
        if (!tt_recipe_find(recipe, wants[i].fqn))
            tt_names_text_add(&missing, wants[i].fqn);
    const tt_status st = missing.n ? tt_err_set(err, TT_ENOENT, "%s: missing key%s in the checkpoint: %s", name,
                                                missing.n > 1 ? "s" : "", tt_names_text_end(&missing))
                                   : TT_OK;
    tt_names_text_release(&missing);
    return st;
}

static bool has_shape(const struct tt_want *w, const struct tt_output *o)
{
    return o->ndim == w->ndim && (w->ndim == 0 || memcmp(o->shape, w->shape, (size_t)w->ndim * sizeof *w->shape) == 0);
}

/* One message for all keys of another shape, which has both shapes of the first one. */
static tt_status check_shapes(const struct tt_recipe *recipe, const char *name, const struct tt_want *wants, size_t n,
                              struct tt_err *err)
{
    const struct tt_want *first = NULL;
    struct tt_names_text others = { 0 };
    char a[200], b[200];

    for (size_t i = 0; i < n; i++) {
        const struct tt_recipe_item *item = tt_recipe_find(recipe, wants[i].fqn);
        if (item->kind != TT_ENTRY_TENSOR || has_shape(&wants[i], &item->output))
            continue;
        if (first)
            tt_names_text_add(&others, wants[i].fqn);
        else
            first = &wants[i];
    }
    if (!first)
        return TT_OK;
    const struct tt_output *o = &tt_recipe_find(recipe, first->fqn)->output;
    tt_dims_text(a, sizeof a, first->ndim, first->shape);
    tt_dims_text(b, sizeof b, o->ndim, o->shape);
    if (others.n)
        tt_err_set(err, TT_EINVAL, "%s: key %s: expected a tensor of %s, found %s (%zu more of another shape: %s)", name,
                   first->fqn, a, b, others.n, tt_names_text_end(&others));
    else
        tt_err_set(err, TT_EINVAL, "%s: key %s: expected a tensor of %s, found %s", name, first->fqn, a, b);
    tt_names_text_release(&others);
    return TT_EINVAL;
}

/* What there is of the key can become what is wanted of it. */
static tt_status check_want(const char *name, const struct tt_want *w, const struct tt_recipe_item *item, struct tt_err *err)
{
    const struct tt_output *o = &item->output;
    char a[200], b[200];

    if (item->kind != TT_ENTRY_TENSOR)
        return tt_err_set(err, TT_EINVAL, "%s: key %s: expected a tensor of %s, found a value", name, w->fqn,
                          tt_dims_text(a, sizeof a, w->ndim, w->shape));
    if (!tt_cast_supported(w->dtype, o->dtype))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: key %s: torch.%s is not cast to torch.%s", name, w->fqn,
                          tt_dtype_name(o->dtype), tt_dtype_name(w->dtype));
    if (w->offsets) {
        const struct tt_region r = tt_region_make(w->ndim, w->offsets, w->sizes);
        if (!tt_region_fits(&r, w->shape))
            return tt_err_set(err, TT_EINVAL, "key %s: the region at %s of %s does not lie inside the tensor", w->fqn,
                              tt_dims_text(a, sizeof a, w->ndim, w->offsets), tt_dims_text(b, sizeof b, w->ndim, w->sizes));
    }
    return TT_OK;
}

/* Where a want goes. */
struct target {
    struct tt_output output; /* the recipe's, of the dtype that is wanted */
    struct tt_output_box box;
};

static tt_status run(struct tt_copy *copy, struct tt_pool *pool, struct tt_buf *shares, struct tt_err *err)
{
    const struct tt_copy_opts opts = { .exact = true, .shares = shares };
    const tt_status st = tt_copy_arrange(copy, false, err);
    return st == TT_OK ? tt_copy_run(copy, pool, NULL, &opts, err) : st;
}

static tt_status load(const struct tt_recipe *recipe, const char *name, const struct tt_want *wants, size_t n, struct tt_pool *pool,
                      struct tt_buf *shares, struct tt_err *err)
{
    struct target *targets = calloc(n + 1, sizeof *targets);
    struct tt_copy *copy = NULL;
    tt_status st =
        targets ? check_missing(recipe, name, wants, n, err) : tt_err_nomem(err, n * sizeof *targets, "the plan of a load");

    if (st == TT_OK)
        st = check_shapes(recipe, name, wants, n, err);
    for (size_t i = 0; i < n && st == TT_OK; i++)
        st = check_want(name, &wants[i], tt_recipe_find(recipe, wants[i].fqn), err);
    if (st == TT_OK)
        st = tt_copy_new(&copy, NULL, err);
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        struct target *t = &targets[i];
        t->output = tt_recipe_find(recipe, wants[i].fqn)->output;
        t->output.dtype = wants[i].dtype;
        t->box = (struct tt_output_box){ &t->output, wants[i].offsets, wants[i].sizes };
        st = tt_copy_add_memory(copy, &t->box, wants[i].dst, err);
    }
    if (st == TT_OK)
        st = run(copy, pool, shares, err);
    tt_copy_free(copy);
    free(targets);
    return st;
}

tt_status tt_recipe_load(const struct tt_recipe *recipe, const char *name, const struct tt_want *wants, size_t n,
                         struct tt_pool *pool, struct tt_err *err)
{
    return load(recipe, name, wants, n, pool, NULL, err);
}

tt_status tt_ckpt_load_share(struct tt_ckpt *ckpt, const struct tt_want *wants, size_t n, struct tt_pool *pool,
                             struct tt_buf *shares, struct tt_err *err)
{
    struct tt_recipe recipe = { 0 };
    tt_status st = TT_OK;

    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const struct tt_entry *entry = tt_entries_find(&ckpt->entries, wants[i].fqn);
        if (entry && !tt_recipe_find(&recipe, entry->fqn)) /* several may be of one key */
            st = tt_recipe_add_entry(&recipe, ckpt, entry, err);
    }
    if (st == TT_OK)
        st = load(&recipe, ckpt->path, wants, n, pool, shares, err);
    tt_recipe_release(&recipe);
    return st;
}

tt_status tt_ckpt_load(struct tt_ckpt *ckpt, const struct tt_want *wants, size_t n, struct tt_pool *pool, struct tt_err *err)
{
    return tt_ckpt_load_share(ckpt, wants, n, pool, NULL, err);
}

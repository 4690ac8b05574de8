/* A model that is the average of several. */
#include <math.h>
#include <string.h>

#include "ckpt/keys.h"
#include "convert/reshard.h"

static tt_status find_tensor(const struct tt_entry **out, const struct tt_ckpt *ckpt, const char *fqn, const struct tt_ckpt *has,
                             struct tt_err *err)
{
    const struct tt_entry *e = tt_entries_find(&ckpt->entries, fqn);

    if (!e || e->kind != TT_ENTRY_TENSOR)
        return tt_err_set(err, TT_ENOENT, "%s: key %s: expected a tensor to average as in %s, found %s", ckpt->path, fqn, has->path,
                          e ? "a value" : "nothing");
    *out = e;
    return TT_OK;
}

static tt_status find_same(const struct tt_entry **out, const struct tt_ckpt *ckpt, const struct tt_entry *first,
                           const struct tt_ckpt *has, struct tt_err *err)
{
    const struct tt_entry *e = NULL;
    const tt_status st = find_tensor(&e, ckpt, first->fqn, has, err);
    char expected[200], found[200];

    if (st != TT_OK)
        return st;
    if (e->ndim != first->ndim || (e->ndim && memcmp(e->shape, first->shape, (size_t)e->ndim * sizeof *e->shape) != 0))
        return tt_err_set(err, TT_EINVAL, "%s: key %s: expected %s as in the first checkpoint, found %s", ckpt->path, first->fqn,
                          tt_dims_text(expected, sizeof expected, first->ndim, first->shape),
                          tt_dims_text(found, sizeof found, e->ndim, e->shape));
    *out = e;
    return TT_OK;
}

/* One tensor: a part of each checkpoint, which covers it whole. */
static tt_status add_tensor(struct tt_recipe *recipe, struct tt_ckpt *const *ckpts, size_t n, const double *weights,
                            const struct tt_entry *first, const struct tt_tool_opts *opts, struct tt_err *err)
{
    struct tt_recipe_item item = { .fqn = first->fqn, .path = first->path, .npath = first->npath, .kind = TT_ENTRY_TENSOR,
                                   .requires_grad = first->requires_grad };
    struct tt_part *parts = tt_arena_array(&recipe->arena, n, sizeof *parts);
    if (!parts)
        return tt_err_nomem(err, n * sizeof *parts, first->fqn);
    for (size_t i = 0; i < n; i++) {
        const tt_status st = find_same(&parts[i].src, ckpts[i], first, ckpts[0], err);
        if (st != TT_OK)
            return st;
        parts[i].ckpt = ckpts[i];
    }
    item.output = (struct tt_output){ .fqn = first->fqn, .dtype = first->dtype, .ndim = first->ndim, .shape = first->shape,
                                      .parts = parts, .nparts = n, .weights = weights };
    if (!tt_dtypes[first->dtype].is_float)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: key %s: torch.%s has no average; --exclude leaves it out", ckpts[0]->path,
                          first->fqn, tt_dtype_name(first->dtype));
    tt_status st = tt_tool_dtype(&item.output.dtype, opts, first->fqn, first->dtype, err);
    if (st == TT_OK)
        st = tt_recipe_add(recipe, &item, err);
    if (st == TT_OK && item.output.dtype != first->dtype)
        st = tt_recipe_note(recipe, &recipe->recast, first->fqn, err);
    return st;
}

static bool is_taken(const struct tt_entry *e, const struct tt_tool_opts *opts)
{
    return e->kind == TT_ENTRY_TENSOR && tt_key_of(e->fqn).kind == TT_KEY_MODEL && tt_tool_takes(opts, e->fqn);
}

tt_status tt_average_add(struct tt_recipe *recipe, struct tt_ckpt *const *ckpts, size_t n, const double *weights,
                         const struct tt_tool_opts *opts, struct tt_err *err)
{
    double sum = 0;
    tt_status st = TT_OK;

    for (size_t i = 0; i < n; i++)
        sum += weights[i];
    if (!isfinite(sum) || sum == 0)
        return tt_err_set(err, TT_EINVAL, "--weights: expected numbers with a sum that is not 0, found a sum of %g", sum);
    const struct tt_entries *first = &ckpts[0]->entries;
    for (size_t i = 0; i < first->n && st == TT_OK; i++)
        if (is_taken(&first->items[i], opts))
            st = add_tensor(recipe, ckpts, n, weights, &first->items[i], opts, err);
    for (size_t c = 1; c < n; c++)
        for (size_t i = 0; i < ckpts[c]->entries.n && st == TT_OK; i++) {
            const struct tt_entry *e = &ckpts[c]->entries.items[i], *same;
            if (is_taken(e, opts))
                st = find_tensor(&same, ckpts[0], e->fqn, ckpts[c], err);
        }
    return st;
}

#include "ckpt/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "ckpt/copy.h"
#include "ckpt/recipe.h"
#include "tensor/cast.h"

enum { NAMED_MAX = 5 }; /* keys that a message lists */

/* One message for all keys that are not there. */
static tt_status check_missing(const struct tt_ckpt *ckpt, const struct tt_want *wants, size_t n, struct tt_err *err)
{
    struct tt_buf names = { 0 };
    size_t missing = 0;

    for (size_t i = 0; i < n; i++) {
        if (tt_entries_find(&ckpt->entries, wants[i].fqn))
            continue;
        if (missing++ < NAMED_MAX)
            tt_buf_printf(&names, "%s%s", missing > 1 ? ", " : "", wants[i].fqn);
    }
    if (missing > NAMED_MAX)
        tt_buf_printf(&names, " and %zu more", missing - NAMED_MAX);
    const tt_status st = missing ? tt_err_set(err, TT_ENOENT, "%s: missing key%s in the checkpoint: %s", ckpt->path,
                                              missing > 1 ? "s" : "", tt_buf_cstr(&names)) : TT_OK;
    tt_buf_release(&names);
    return st;
}

/* What is there of the key fits what is wanted of it. */
static tt_status check_want(const char *name, const struct tt_want *w, enum tt_dtype dtype, int ndim, const int64_t *shape,
                            struct tt_err *err)
{
    char a[200], b[200];

    if (ndim != w->ndim || (w->ndim && memcmp(shape, w->shape, (size_t)w->ndim * sizeof *w->shape) != 0))
        return tt_err_set(err, TT_EINVAL, "%s: key %s: expected a tensor of %s, found %s", name, w->fqn,
                          tt_dims_text(a, sizeof a, w->ndim, w->shape), tt_dims_text(b, sizeof b, ndim, shape));
    if (!tt_cast_supported(w->dtype, dtype))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: key %s: torch.%s is not cast to torch.%s", name, w->fqn, tt_dtype_name(dtype),
                          tt_dtype_name(w->dtype));
    if (w->offsets) {
        const struct tt_region r = tt_region_make(w->ndim, w->offsets, w->sizes);
        if (!tt_region_fits(&r, w->shape))
            return tt_err_set(err, TT_EINVAL, "key %s: the region at %s of %s does not lie inside the tensor", w->fqn,
                              tt_dims_text(a, sizeof a, w->ndim, w->offsets), tt_dims_text(b, sizeof b, w->ndim, w->sizes));
    }
    return TT_OK;
}

static tt_status check_entry(const struct tt_ckpt *ckpt, const struct tt_want *w, struct tt_err *err)
{
    const struct tt_entry *e = tt_entries_find(&ckpt->entries, w->fqn);
    char text[200];

    if (e->kind != TT_ENTRY_TENSOR)
        return tt_err_set(err, TT_EINVAL, "%s: key %s: expected a tensor of %s, found a value", ckpt->path, w->fqn,
                          tt_dims_text(text, sizeof text, w->ndim, w->shape));
    return check_want(ckpt->path, w, e->dtype, e->ndim, e->shape, err);
}

/* Frees the copy. */
static tt_status run(struct tt_copy *copy, struct tt_pool *pool, struct tt_err *err)
{
    tt_status st = tt_copy_arrange(copy, false, err);
    if (st == TT_OK)
        st = tt_copy_run(copy, pool, NULL, NULL, err);
    tt_copy_free(copy);
    return st;
}

struct planned {
    struct tt_part part;
    struct tt_output output;
    struct tt_fill fill;
};

tt_status tt_ckpt_load(struct tt_ckpt *ckpt, const struct tt_want *wants, size_t n, struct tt_pool *pool, struct tt_err *err)
{
    struct planned *plan = calloc(n + 1, sizeof *plan);
    struct tt_copy *copy = NULL;
    tt_status st = plan ? check_missing(ckpt, wants, n, err) : tt_err_nomem(err, n * sizeof *plan, "the plan of a load");

    for (size_t i = 0; i < n && st == TT_OK; i++)
        st = check_entry(ckpt, &wants[i], err);
    if (st == TT_OK)
        st = tt_copy_new(&copy, ckpt, err);
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        plan[i].output = tt_output_identity(tt_entries_find(&ckpt->entries, wants[i].fqn), &plan[i].part);
        plan[i].output.dtype = wants[i].dtype;
        plan[i].fill = (struct tt_fill){ &plan[i].output, wants[i].offsets, wants[i].sizes };
        st = tt_copy_add_memory(copy, &plan[i].fill, wants[i].dst, err);
    }
    if (st == TT_OK)
        st = run(copy, pool, err);
    else
        tt_copy_free(copy);
    free(plan);
    return st;
}

tt_status tt_recipe_load(struct tt_recipe *recipe, const char *name, const struct tt_want *wants, size_t n, struct tt_pool *pool,
                         struct tt_err *err)
{
    struct tt_fill *fills = calloc(n + 1, sizeof *fills);
    struct tt_copy *copy = NULL;
    tt_status st = fills ? tt_copy_new(&copy, NULL, err) : tt_err_nomem(err, n * sizeof *fills, "the plan of a load");

    for (size_t i = 0; i < n && st == TT_OK; i++) {
        struct tt_recipe_item *item = tt_recipe_find(recipe, wants[i].fqn);
        if (!item || item->kind != TT_ENTRY_TENSOR)
            st = tt_err_set(err, TT_ENOENT, "%s: missing key: %s", name, wants[i].fqn);
        else
            st = check_want(name, &wants[i], item->output.dtype, item->output.ndim, item->output.shape, err);
        if (st != TT_OK)
            break;
        item->output.dtype = wants[i].dtype;
        fills[i] = (struct tt_fill){ &item->output, wants[i].offsets, wants[i].sizes };
        st = tt_copy_add_memory(copy, &fills[i], wants[i].dst, err);
    }
    if (st == TT_OK)
        st = run(copy, pool, err);
    else
        tt_copy_free(copy);
    free(fills);
    return st;
}

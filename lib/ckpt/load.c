#include "ckpt/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "ckpt/copy.h"
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

static tt_status check_want(const struct tt_ckpt *ckpt, const struct tt_want *w, struct tt_err *err)
{
    const struct tt_entry *e = tt_entries_find(&ckpt->entries, w->fqn);
    char a[200], b[200];

    if (e->kind != TT_ENTRY_TENSOR)
        return tt_err_set(err, TT_EINVAL, "%s: key %s: expected a tensor of %s, found a value", ckpt->path, w->fqn,
                          tt_dims_text(a, sizeof a, w->ndim, w->shape));
    if (e->ndim != w->ndim || (w->ndim && memcmp(e->shape, w->shape, (size_t)w->ndim * sizeof *w->shape) != 0))
        return tt_err_set(err, TT_EINVAL, "%s: key %s: expected a tensor of %s, found %s", ckpt->path, w->fqn,
                          tt_dims_text(a, sizeof a, w->ndim, w->shape), tt_dims_text(b, sizeof b, e->ndim, e->shape));
    if (!tt_cast_supported(w->dtype, e->dtype))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: key %s: torch.%s is not cast to torch.%s", ckpt->path, w->fqn,
                          tt_dtype_name(e->dtype), tt_dtype_name(w->dtype));
    if (w->offsets) {
        const struct tt_region r = tt_region_make(w->ndim, w->offsets, w->sizes);
        if (!tt_region_fits(&r, w->shape))
            return tt_err_set(err, TT_EINVAL, "key %s: the region at %s of %s does not lie inside the tensor", w->fqn,
                              tt_dims_text(a, sizeof a, w->ndim, w->offsets), tt_dims_text(b, sizeof b, w->ndim, w->sizes));
    }
    return TT_OK;
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
        st = check_want(ckpt, &wants[i], err);
    if (st == TT_OK)
        st = tt_copy_new(&copy, ckpt, err);
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        plan[i].output = tt_output_identity(tt_entries_find(&ckpt->entries, wants[i].fqn), &plan[i].part);
        plan[i].output.dtype = wants[i].dtype;
        plan[i].fill = (struct tt_fill){ &plan[i].output, wants[i].offsets, wants[i].sizes };
        st = tt_copy_add_memory(copy, &plan[i].fill, wants[i].dst, err);
    }
    if (st == TT_OK)
        st = tt_copy_arrange(copy, false, err);
    if (st == TT_OK)
        st = tt_copy_run(copy, pool, NULL, NULL, err);
    tt_copy_free(copy);
    free(plan);
    return st;
}

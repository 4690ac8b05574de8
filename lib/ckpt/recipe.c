#include "ckpt/recipe.h"

struct tt_output tt_output_identity(const struct tt_entry *src, struct tt_part *part)
{
    *part = (struct tt_part){ .src = src };
    return (struct tt_output){
        .fqn = src->fqn, .dtype = src->dtype, .ndim = src->ndim, .shape = src->shape, .parts = part, .nparts = 1,
    };
}

struct tt_region tt_fill_region(const struct tt_fill *fill)
{
    const struct tt_output *o = fill->output;
    return tt_region_make(o->ndim, fill->offsets, fill->sizes ? fill->sizes : o->shape);
}

/* lib/ckpt/recipe.h: what a checkpoint tool makes of its input: output tensors, each put together from regions of input tensors.
 *
 * dcp2pt is the identity with a .pt file behind it; saving is the identity out of memory, loading the identity into it. */
#ifndef TT_CKPT_RECIPE_H
#define TT_CKPT_RECIPE_H

#include "format/entry.h"

/* A box of an input and where it goes. All pointers (ndim of the output). */
struct tt_part {
    const struct tt_entry *src; /* a tensor with as many dimensions as the output */
    const int64_t *from;  /* in src; NULL: zeros */
    const int64_t *to;    /* in the output; NULL: zeros */
    const int64_t *sizes; /* NULL: the whole of src */
};

struct tt_output {
    const char *fqn;
    enum tt_dtype dtype; /* parts of another dtype are cast (tt_cast_supported) */
    int ndim;
    const int64_t *shape;
    const struct tt_part *parts; /* together they cover the output once */
    size_t nparts;
};

/* The output that is its one input. `part` is the caller's storage, and lives as long as the output. */
struct tt_output tt_output_identity(const struct tt_entry *src, struct tt_part *part);

/* A region of an output: what is written in one place. */
struct tt_fill {
    const struct tt_output *output;
    const int64_t *offsets, *sizes; /* (ndim); NULL: zeros, the whole shape */
};

struct tt_region tt_fill_region(const struct tt_fill *fill);

#endif

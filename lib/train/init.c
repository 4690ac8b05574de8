#include "train/init.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/cast.h"
#include "train/rng.h"

static void draw(struct tt_rng *rng, const struct tt_init *init, enum tt_dtype dtype, float *x, int64_t n)
{
    switch (init->draw) {
    case TT_DRAW_ONES:
        for (int64_t i = 0; i < n; i++)
            x[i] = 1.0f;
        break;
    case TT_DRAW_ZEROS:
        for (int64_t i = 0; i < n; i++)
            x[i] = 0;
        break;
    case TT_DRAW_NORMAL: tt_rng_normal(rng, dtype, x, n, init->mean, init->std); break;
    case TT_DRAW_TRUNC: tt_rng_trunc_normal(rng, x, n, init->mean, init->std, init->lo, init->hi); break;
    }
}

static bool is_whole(const struct tt_param *p, const struct tt_region *part)
{
    return !part || memcmp(part->size, p->size, (size_t)p->ndim * sizeof *p->size) == 0;
}

/* The elements of the largest tensor that cannot be drawn in its place. */
static int64_t largest(const struct tt_params *params, enum tt_dtype dtype, const struct tt_region *part)
{
    int64_t n = 0;
    for (int i = 0; i < params->n; i++)
        if ((dtype != TT_F32 || !is_whole(&params->p[i], part ? &part[i] : NULL)) && params->p[i].numel > n)
            n = params->p[i].numel;
    return n;
}

/* The part of the tensor in `wide`, row by row. */
static void take_part(void *value, enum tt_dtype dtype, const float *wide, const struct tt_param *p, const struct tt_region *part)
{
    int64_t stride[TT_NDIM_MAX], numel = 0;
    struct tt_region row;
    char *to = value;

    tt_strides_row_major(stride, p->ndim, p->size);
    (void)tt_numel(p->ndim, part->size, &numel);
    for (int64_t at = 0, n; at < numel; at += n) {
        int64_t from = 0;
        n = tt_region_piece(&row, part, at, part->size[p->ndim - 1]);
        for (int d = 0; d < p->ndim; d++)
            from += row.offset[d] * stride[d];
        tt_cast(to, dtype, wide + from, TT_F32, (size_t)n);
        to += (size_t)n * tt_dtype_nbytes(dtype);
    }
}

tt_status tt_init_draw(const struct tt_params *params, const struct tt_model_args *args, uint64_t seed, enum tt_dtype dtype,
                       const struct tt_region *part, void *const *value, struct tt_pool *pool, struct tt_err *err)
{
    const size_t nbytes = (size_t)largest(params, dtype, part) * sizeof(float);
    float *wide = nbytes ? malloc(nbytes) : NULL;
    struct tt_rng rng;

    assert(dtype == TT_F32 || dtype == TT_BF16);
    if (nbytes && !wide)
        return tt_err_nomem(err, nbytes, "drawing the initial weights");
    tt_rng_seed(&rng, seed, pool);
    for (int i = 0; i < params->n; i++) {
        const struct tt_param *p = &params->p[i];
        const struct tt_init init = tt_param_init(p, args);
        const bool whole = is_whole(p, part ? &part[i] : NULL), in_place = whole && dtype == TT_F32;
        draw(&rng, &init, dtype, in_place ? value[i] : wide, p->numel);
        if (whole && !in_place)
            tt_cast(value[i], dtype, wide, TT_F32, (size_t)p->numel);
        else if (!whole)
            take_part(value[i], dtype, wide, p, &part[i]);
    }
    free(wide);
    return TT_OK;
}

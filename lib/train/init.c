#include "train/init.h"

#include <assert.h>
#include <stdlib.h>

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

static int64_t largest(const struct tt_params *params)
{
    int64_t n = 0;
    for (int i = 0; i < params->n; i++)
        n = params->p[i].numel > n ? params->p[i].numel : n;
    return n;
}

tt_status tt_init_draw(const struct tt_params *params, const struct tt_model_args *args, uint64_t seed, enum tt_dtype dtype,
                       void *const *value, struct tt_pool *pool, struct tt_err *err)
{
    struct tt_rng rng;
    float *wide = NULL;

    assert(dtype == TT_F32 || dtype == TT_BF16);
    if (dtype != TT_F32) {
        const size_t nbytes = (size_t)largest(params) * sizeof *wide;
        wide = malloc(nbytes ? nbytes : 1);
        if (!wide)
            return tt_err_nomem(err, nbytes, "drawing the initial weights");
    }
    tt_rng_seed(&rng, seed, pool);
    for (int i = 0; i < params->n; i++) {
        const struct tt_param *p = &params->p[i];
        const struct tt_init init = tt_param_init(p, args);
        draw(&rng, &init, dtype, wide ? wide : value[i], p->numel);
        if (wide)
            tt_cast(value[i], dtype, wide, TT_F32, (size_t)p->numel);
    }
    free(wide);
    return TT_OK;
}

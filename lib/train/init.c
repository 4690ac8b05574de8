#include "train/init.h"

#include <assert.h>

#include "tensor/cast.h"
#include "train/rng.h"

/* Where a parameter's elements go that are here. */
struct place {
    struct tt_rng_sink base;
    const struct tt_param *p;
    struct tt_region part;
    enum tt_dtype dtype;
    char *value;
};

static struct tt_run wants(const struct tt_rng_sink *sink, int64_t at)
{
    const struct place *place = (const struct place *)sink;
    return tt_region_next(&place->part, place->p->size, at);
}

/* Of the whole's element `at`, which is one of the part: its number there. */
static int64_t number_in_part(const struct place *place, int64_t at)
{
    int64_t number = 0, below = 1;
    for (int d = place->p->ndim; d-- > 0;) {
        number += (at % place->p->size[d] - place->part.offset[d]) * below;
        at /= place->p->size[d];
        below *= place->part.size[d];
    }
    return number;
}

static void take(struct tt_rng_sink *sink, const float *value, int64_t begin, int64_t n)
{
    const struct place *place = (const struct place *)sink;
    struct tt_run run = wants(sink, begin);

    for (; run.at < begin + n; run = wants(sink, run.at + run.len)) {
        const int64_t rest = begin + n - run.at, len = run.len < rest ? run.len : rest;
        char *to = place->value + number_in_part(place, run.at) * (int64_t)tt_dtype_nbytes(place->dtype);
        tt_cast(to, place->dtype, value + (run.at - begin), TT_F32, (size_t)len);
    }
}

static void fill(struct place *place, float x)
{
    int64_t numel = 0;
    (void)tt_numel(place->part.ndim, place->part.size, &numel);
    for (int64_t i = 0; i < numel; i++)
        tt_cast(place->value + i * (int64_t)tt_dtype_nbytes(place->dtype), place->dtype, &x, TT_F32, 1);
}

static tt_status draw(struct tt_rng *rng, const struct tt_init *init, struct place *place, struct tt_err *err)
{
    const int64_t n = place->p->numel;

    switch (init->draw) {
    case TT_DRAW_ONES: fill(place, 1); break;
    case TT_DRAW_ZEROS: fill(place, 0); break;
    case TT_DRAW_NORMAL: tt_rng_normal(rng, place->dtype, n, init->mean, init->std, &place->base); break;
    case TT_DRAW_TRUNC: return tt_rng_trunc_normal(rng, n, init->mean, init->std, init->lo, init->hi, &place->base, err);
    }
    return TT_OK;
}

tt_status tt_init_draw(const struct tt_params *params, const struct tt_model_args *args, uint64_t seed, enum tt_dtype dtype,
                       const struct tt_region *part, void *const *value, struct tt_pool *pool, struct tt_err *err)
{
    struct tt_rng rng;
    tt_status status = TT_OK;

    assert(dtype == TT_F32 || dtype == TT_BF16);
    tt_rng_seed(&rng, seed, pool);
    for (int i = 0; i < params->n && status == TT_OK; i++) {
        const struct tt_param *p = &params->p[i];
        const struct tt_init init = tt_param_init(p, args);
        struct place place = { .base = { wants, take },
                               .p = p,
                               .part = part ? part[i] : tt_region_make(p->ndim, NULL, p->size),
                               .dtype = dtype,
                               .value = value[i] };
        status = draw(&rng, &init, &place, err);
    }
    return status;
}

#include <string.h>

#include "ckpt/output_private.h"
#include "tensor/cast.h"

enum { CHUNK = 512 }; /* numbers that are made at a time: they stay in the first level of the cache */

static bool is_mxfp4(const struct tt_part *part) { return part->quant == TT_QUANT_MXFP4; }

/* Numbers of a group: bytes of the last dimension, two to a byte. */
static int64_t group_numel(const struct tt_part *part) { return 2 * part->src->shape[part->src->ndim - 1]; }

int64_t tt_region_index(const struct tt_region *box, const int64_t *at)
{
    int64_t i = 0;
    for (int d = 0; d < box->ndim; d++)
        i = i * box->size[d] + at[d] - box->offset[d];
    return i;
}

static void block128_boxes(const struct tt_region *box, struct tt_region *scale)
{
    scale->ndim = box->ndim;
    for (int d = 0; d < box->ndim; d++) {
        const int64_t first = box->offset[d] / TT_QUANT_BLOCK, last = (box->offset[d] + box->size[d] - 1) / TT_QUANT_BLOCK;
        scale->offset[d] = first;
        scale->size[d] = last - first + 1;
    }
}

/* Of several groups all bytes are taken; of one, those that are needed. */
static void mxfp4_boxes(const struct tt_part *part, const struct tt_region *box, struct tt_region *src, struct tt_region *scale)
{
    const int g = box->ndim - 1;
    const int64_t n = group_numel(part), first = box->offset[g], last = first + box->size[g] - 1;
    const bool one = first / n == last / n;

    scale->offset[g] = first / n;
    scale->size[g] = last / n - first / n + 1;
    *src = *scale;
    src->ndim = g + 2;
    src->offset[g + 1] = one ? first % n / 2 : 0;
    src->size[g + 1] = one ? last % n / 2 - src->offset[g + 1] + 1 : n / 2;
}

void tt_quant_boxes(const struct tt_part *part, const struct tt_region *box, struct tt_region *src, struct tt_region *scale)
{
    *src = *scale = *box;
    if (part->quant == TT_QUANT_BLOCK128)
        block128_boxes(box, scale);
    else if (is_mxfp4(part))
        mxfp4_boxes(part, box, src, scale);
}

/* --- rows --------------------------------------------------------------------------------------------------------------------- */

/* float32(stored) * scale, in float32. */
static void block128_row(const struct tt_loaded *l, const int64_t *at, int64_t n, enum tt_dtype to, uint8_t *dst)
{
    const enum tt_dtype from = l->part->src->dtype;
    const uint8_t *src = l->raw + (size_t)tt_region_index(&l->src, at) * tt_dtype_nbytes(from);
    float numbers[TT_QUANT_BLOCK];

    for (int64_t c = at[1]; n > 0;) {
        const int64_t left = TT_QUANT_BLOCK - c % TT_QUANT_BLOCK, k = n < left ? n : left;
        const int64_t block[] = { at[0] / TT_QUANT_BLOCK, c / TT_QUANT_BLOCK };
        const float scale = l->block_scales[tt_region_index(&l->scale, block)];
        tt_cast(numbers, TT_F32, src, from, (size_t)k);
        for (int64_t i = 0; i < k; i++)
            numbers[i] *= scale;
        tt_cast(dst, to, numbers, TT_F32, (size_t)k);
        src += (size_t)k * tt_dtype_nbytes(from);
        dst += (size_t)k * tt_dtype_nbytes(to);
        c += k;
        n -= k;
    }
}

#define PAIR(lo, hi) { lo, hi }
#define PAIRS(hi)                                                                                                              \
    PAIR(0.0f, hi), PAIR(0.5f, hi), PAIR(1.0f, hi), PAIR(1.5f, hi), PAIR(2.0f, hi), PAIR(3.0f, hi), PAIR(4.0f, hi),            \
        PAIR(6.0f, hi), PAIR(-0.0f, hi), PAIR(-0.5f, hi), PAIR(-1.0f, hi), PAIR(-1.5f, hi), PAIR(-2.0f, hi), PAIR(-3.0f, hi),  \
        PAIR(-4.0f, hi), PAIR(-6.0f, hi)

/* The two E2M1 numbers of a byte. */
static const float e2m1_pairs[256][2] = { PAIRS(0.0f),  PAIRS(0.5f),  PAIRS(1.0f),  PAIRS(1.5f),  PAIRS(2.0f),  PAIRS(3.0f),
                                          PAIRS(4.0f),  PAIRS(6.0f),  PAIRS(-0.0f), PAIRS(-0.5f), PAIRS(-1.0f), PAIRS(-1.5f),
                                          PAIRS(-2.0f), PAIRS(-3.0f), PAIRS(-4.0f), PAIRS(-6.0f) };

/* 2^(scale - 127), for scales below 255. 0 is 2^-127, a subnormal float. */
static float e8m0(uint8_t scale)
{
    const uint32_t bits = scale ? (uint32_t)scale << 23 : 1u << 22;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* k numbers of a group from its number `first` on. */
static void mxfp4_numbers(float *out, const uint8_t *bytes, int64_t first, int64_t k, float scale)
{
    if (first % 2 && k > 0) {
        *out++ = e2m1_pairs[*bytes++][1] * scale;
        k--;
    }
    for (int64_t i = 0; i < k / 2; i++) {
        out[2 * i] = e2m1_pairs[bytes[i]][0] * scale;
        out[2 * i + 1] = e2m1_pairs[bytes[i]][1] * scale;
    }
    if (k % 2)
        out[k - 1] = e2m1_pairs[bytes[k / 2]][0] * scale;
}

static void mxfp4_row(const struct tt_loaded *l, const int64_t *at, int64_t n, enum tt_dtype to, uint8_t *dst)
{
    const int last = l->scale.ndim - 1;
    const int64_t group = group_numel(l->part);
    int64_t place[TT_NDIM_MAX + 1]; /* in src: at, its last coordinate as a group and a byte of it */
    float numbers[CHUNK];

    memcpy(place, at, (size_t)last * sizeof *at);
    for (int64_t c = at[last]; n > 0;) {
        const int64_t first = c % group, left = group - first < CHUNK ? group - first : CHUNK, k = n < left ? n : left;
        place[last] = c / group;
        place[last + 1] = first / 2;
        const uint8_t scale = l->group_scales[tt_region_index(&l->scale, place)];
        mxfp4_numbers(numbers, l->raw + tt_region_index(&l->src, place), first, k, e8m0(scale == 255 ? 254 : scale));
        for (int64_t i = 0; scale == 255 && i < k; i++)
            numbers[i] *= 2; /* the OCP specification says NaN; transformers, which is followed, 2^128, which no float is */
        tt_cast(dst, to, numbers, TT_F32, (size_t)k);
        dst += (size_t)k * tt_dtype_nbytes(to);
        c += k;
        n -= k;
    }
}

void tt_quant_row(const struct tt_loaded *l, const int64_t *at, int64_t n, enum tt_dtype to, uint8_t *dst)
{
    const enum tt_dtype from = l->part->src->dtype;

    switch (l->part->quant) {
    case TT_QUANT_NONE:
        tt_cast(dst, to, l->raw + (size_t)tt_region_index(&l->src, at) * tt_dtype_nbytes(from), from, (size_t)n);
        break;
    case TT_QUANT_BLOCK128: block128_row(l, at, n, to, dst); break;
    case TT_QUANT_MXFP4: mxfp4_row(l, at, n, to, dst); break;
    }
}

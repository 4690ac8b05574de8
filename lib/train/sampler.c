#include "train/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

tt_status tt_sampler_init(struct tt_sampler *out, int64_t vocab_size, double temperature, int64_t top_k, uint64_t seed,
                          struct tt_err *err)
{
    const size_t nbytes = 2 * (size_t)vocab_size * sizeof(float); /* and room to look for the top_k-th */

    *out = (struct tt_sampler){ .temperature = temperature, .top_k = top_k, .n = vocab_size, .p = malloc(nbytes) };
    tt_rng_seed(&out->rng, seed, NULL);
    return out->p ? TT_OK : tt_err_nomem(err, nbytes, "the probabilities of tokens");
}

void tt_sampler_release(struct tt_sampler *s)
{
    free(s->p);
    s->p = NULL;
}

static void widen(float *out, const void *x, enum tt_dtype dtype, int64_t n)
{
    if (dtype == TT_F32)
        memcpy(out, x, (size_t)n * sizeof *out);
    for (int64_t i = 0; dtype == TT_BF16 && i < n; i++)
        out[i] = tt_bf16_to_f32(((const uint16_t *)x)[i]);
}

/* The k-th largest of x[0, n), which is reordered: each round keeps the side of a pivot that has it. */
static float kth_largest(float *x, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const float pivot = x[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (x[i] > pivot)
                i++;
            while (x[j] < pivot)
                j--;
            if (i <= j) {
                const float t = x[i];
                x[i++] = x[j];
                x[j--] = t;
            }
        }
        if (k - 1 <= j)
            high = j;
        else if (k - 1 >= i)
            low = i;
        else
            break;
    }
    return x[k - 1];
}

static void keep_top(struct tt_sampler *s)
{
    float *copy = s->p + s->n;
    if (s->top_k == 0 || s->top_k >= s->n)
        return;
    memcpy(copy, s->p, (size_t)s->n * sizeof *copy);
    const float least = kth_largest(copy, s->n, s->top_k);
    for (int64_t i = 0; i < s->n; i++)
        if (s->p[i] < least)
            s->p[i] = -INFINITY;
}

const float *tt_sampler_probs(struct tt_sampler *s, const void *logits, enum tt_dtype dtype)
{
    const float temperature = (float)fmax(s->temperature, 1e-5);
    float max = -INFINITY, sum = 0;

    widen(s->p, logits, dtype, s->n);
    for (int64_t i = 0; i < s->n; i++)
        s->p[i] /= temperature;
    keep_top(s);
    for (int64_t i = 0; i < s->n; i++)
        max = fmaxf(max, s->p[i]);
    for (int64_t i = 0; i < s->n; i++)
        sum += s->p[i] = expf(s->p[i] - max);
    for (int64_t i = 0; i < s->n; i++)
        s->p[i] /= sum;
    return s->p;
}

int32_t tt_sampler_next(struct tt_sampler *s, const void *logits, enum tt_dtype dtype)
{
    float best = -1;
    int64_t token = 0;

    if (s->temperature == 0) {
        widen(s->p, logits, dtype, s->n);
        for (int64_t i = 1; i < s->n; i++)
            token = s->p[i] > s->p[token] ? i : token;
        return (int32_t)token;
    }
    tt_sampler_probs(s, logits, dtype);
    for (int64_t i = 0; i < s->n; i++) {
        const uint64_t word = tt_rng_u64(&s->rng);
        if (s->p[i] == 0) /* never the largest: whatever its q, nothing but 0 comes of it */
            continue;
        const float q = (float)-log1p(-(double)(word & ((UINT64_C(1) << 53) - 1)) * 0x1p-53);
        if (s->p[i] / q > best) {
            best = s->p[i] / q;
            token = i;
        }
    }
    return (int32_t)token;
}

#include <math.h>

#include "rope.h"

/* One frequency, in float32 step by step as torchtitan's tensors hold it. */
static float frequency(int64_t j, int64_t dim, double theta, const struct tt_rope_scaling *s)
{
    const float two_pi = 6.283185307179586f;
    const double original = (double)s->original_max_position_embeddings;
    const float low = (float)s->low_freq_factor, factor = (float)s->factor;

    const float freq = 1.0f / powf((float)theta, (float)(2 * j) / (float)dim);
    const float wavelen = two_pi / freq;
    const float low_wavelen = (float)(original / s->low_freq_factor);
    const float high_wavelen = (float)(original / s->high_freq_factor);
    if (wavelen > low_wavelen)
        return freq / factor;
    if (wavelen < high_wavelen)
        return freq;
    const float smooth = ((float)original / wavelen - low) / (float)(s->high_freq_factor - s->low_freq_factor);
    return (1.0f - smooth) * freq / factor + smooth * freq;
}

void tt_rope_table(float *table, int64_t dim, int64_t end, double theta, const struct tt_rope_scaling *scaling)
{
    for (int64_t j = 0; j < dim / 2; j++) {
        const float freq = frequency(j, dim, theta, scaling);
        for (int64_t i = 0; i < end; i++) {
            const float angle = (float)i * freq;
            table[i * dim + 2 * j] = cosf(angle);
            table[i * dim + 2 * j + 1] = sinf(angle);
        }
    }
}

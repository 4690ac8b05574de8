/* kernels/rope.h: rotary position embedding, Llama's interleaved form (Su et al. 2021; torchtitan apply_rotary_emb).
 *
 *   Neighbours (x[2j], x[2j+1]) of a head are a complex number, turned by the angle position * freq[j]:
 *     y[2j]   = x[2j] c - x[2j+1] s
 *     y[2j+1] = x[2j] s + x[2j+1] c         (c, s) = table[position, j]
 *   The gradient is the same with -s (`inverse`). Computed in float32, then rounded to y's type.
 *
 * x, y: float, (B, T, H, D), D even, heads and their elements contiguous, x_stride and y_stride elements from one token to the
 * next. y may be x. table: float32 (end, D/2, 2), torch's complex64 freqs_cis. pos: int32 (B, T), each in [0, end), or NULL for
 * 0 .. T-1. The same for any number of threads. */
#ifndef TT_KERNELS_ROPE_H
#define TT_KERNELS_ROPE_H

#include <stdbool.h>
#include <stddef.h>

#include "operand.h"

struct tt_rope {
    int64_t batch, t, heads, dim;
    struct tt_in x;
    int64_t x_stride;
    struct tt_out y;
    int64_t y_stride;
    const float *table;
    const int32_t *pos;
    bool inverse;
};

/* Llama 3.1's stretching of the long wavelengths: TorchTitan's RoPEScalingArgs. A factor of 1 changes nothing. */
struct tt_rope_scaling {
    double factor, low_freq_factor, high_freq_factor;
    int64_t original_max_position_embeddings;
};

/* Fills table (end, dim/2, 2) as torchtitan's precompute_freqs_cis does, in float32 step by step. */
void tt_rope_table(float *table, int64_t dim, int64_t end, double theta, const struct tt_rope_scaling *scaling);

#endif

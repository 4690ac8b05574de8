/* kernels/attention.h: softmax(scale Q K^T + mask) V in blocks, without a (Tq, Tk) matrix.
 *
 *   s[i,j] = scale q[i] . k[j] where query i may see key j, else -infinity
 *   lse[i] = log sum_j exp(s[i,j]),   p[i,j] = exp(s[i,j] - lse[i]),   o[i] = sum_j p[i,j] v[j]
 *   dv[j] = sum_i p[i,j] do[i],   ds[i,j] = scale p[i,j] (do[i] . v[j] - delta[i]),   delta[i] = do[i] . o[i]
 *   dq[i] = sum_j ds[i,j] k[j],   dk[j] = sum_i ds[i,j] q[i]
 *   (Dao 2023, FlashAttention-2; torch.nn.functional.scaled_dot_product_attention)
 *
 * q, o, do, dq: (B, Tq, H, .), k, v, dk, dv: (B, Tk, Hkv, .), H a multiple of Hkv: query head h reads key head h / (H / Hkv), and
 * gradients of a key head are summed over its query heads. The last dimension is `dim` for q and k, `dim_v` for v and o, 1 to
 * TT_ATTN_DIM_MAX. Heads and their elements are contiguous; each operand has its stride in elements from token to token (batches
 * follow each other: T * stride), so slices of a fused projection need no copy. Any float; s, p, ds and the sums are float32
 * (PyTorch's CPU kernel rounds p and ds to bfloat16 where q is; that only adds noise).
 *
 * Query i sits at position q_pos[i], key j at j. Causal: i sees j <= its position, so that keys beyond all of them, the rest of a
 * cache that fills up, are not read. With document ids it sees only keys with the same id. A query that sees nothing gets o = 0,
 * lse = -infinity, no gradient (so ring attention can merge parts by lse).
 * The results are the same for any number of threads. */
#ifndef TT_KERNELS_ATTENTION_H
#define TT_KERNELS_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>

#include "operand.h"

enum { TT_ATTN_DIM_MAX = 256 };

struct tt_attn_mask {
    bool causal;
    const int32_t *q_pos; /* (B, Tq); NULL: query i sits at i */
    const int32_t *q_doc; /* (B, Tq), with k_doc (B, Tk), or both NULL */
    const int32_t *k_doc;
};

struct tt_attn {
    int64_t batch, tq, tk, heads, kv_heads, dim, dim_v;
    float scale; /* usually 1 / sqrt(dim) */
    struct tt_attn_mask mask;
};

struct tt_attn_fwd {
    struct tt_attn at;
    struct tt_in q, k, v;
    int64_t q_stride, k_stride, v_stride;
    struct tt_out o;
    int64_t o_stride;
    float *lse; /* (B, H, Tq) */
    void *scratch;
};

struct tt_attn_bwd {
    struct tt_attn at;
    struct tt_in q, k, v, o, dout;
    int64_t q_stride, k_stride, v_stride, o_stride, dout_stride;
    const float *lse; /* (B, H, Tq), of the forward */
    struct tt_out dq, dk, dv;
    int64_t dq_stride, dk_stride, dv_stride;
    void *scratch;
};

/* Bytes of scratch (aligned to 64) for either call. */
size_t tt_attn_fwd_scratch(const struct tt_attn *at, int nthreads);
size_t tt_attn_bwd_scratch(const struct tt_attn *at, int nthreads);

#endif

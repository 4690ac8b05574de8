/* kernels/attention_private.h: the sizes that the attention kernels and their scratch agree on.
 *
 * Work goes in tiles of queries, one query a lane, against blocks of keys. Operands are packed as float32 first: a dimension is
 * padded to a multiple of TT_ATTN_PAD, the keys to whole blocks, all with zeros. */
#ifndef TT_KERNELS_ATTENTION_PRIVATE_H
#define TT_KERNELS_ATTENTION_PRIVATE_H

#include "attention.h"

enum { TT_ATTN_TILE_MAX = 32, TT_ATTN_BLOCK = 64, TT_ATTN_PAD = 16 };

static inline int64_t tt_attn_pad(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Floats that a thread needs. */
static inline int64_t tt_attn_fwd_floats(const struct tt_attn *at)
{
    const int64_t d = tt_attn_pad(at->dim, TT_ATTN_PAD), dv = tt_attn_pad(at->dim_v, TT_ATTN_PAD);
    const int64_t keys = tt_attn_pad(at->tk, TT_ATTN_BLOCK);
    return keys * (d + dv)                      /* k, v */
           + TT_ATTN_TILE_MAX * (d + d + dv)    /* q as a matrix and transposed, o transposed */
           + TT_ATTN_TILE_MAX * TT_ATTN_BLOCK;  /* s */
}

static inline int64_t tt_attn_bwd_floats(const struct tt_attn *at)
{
    const int64_t d = tt_attn_pad(at->dim, TT_ATTN_PAD), dv = tt_attn_pad(at->dim_v, TT_ATTN_PAD);
    const int64_t keys = tt_attn_pad(at->tk, TT_ATTN_BLOCK);
    return 2 * keys * (d + dv)                      /* k, v, dk, dv */
           + TT_ATTN_TILE_MAX * (3 * d + 3 * dv)    /* q, do, each as a matrix and transposed; dq, o */
           + 2 * TT_ATTN_TILE_MAX * TT_ATTN_BLOCK;  /* p, ds */
}

#endif

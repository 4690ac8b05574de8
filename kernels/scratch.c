/* How much scratch the kernels need: the same whatever the instruction set, so that a plan made once holds. */
#include "attention_private.h"
#include "embedding.h"
#include "rmsnorm.h"

static size_t round64(size_t n) { return (n + 63) & ~(size_t)63; }

size_t tt_embedding_scratch(int64_t n, int64_t d, int64_t vocab, int nthreads)
{
    (void)d;
    (void)nthreads;
    return round64((size_t)(vocab + 2 + n) * sizeof(int64_t));
}

size_t tt_rmsnorm_scratch(int64_t d, int nthreads) { return round64((size_t)d * sizeof(float)) * 2 * (size_t)nthreads; }

size_t tt_attn_fwd_scratch(const struct tt_attn *at, int nthreads)
{
    return (size_t)tt_attn_fwd_floats(at) * sizeof(float) * (size_t)nthreads;
}

size_t tt_attn_bwd_scratch(const struct tt_attn *at, int nthreads)
{
    return (size_t)tt_attn_bwd_floats(at) * sizeof(float) * (size_t)nthreads;
}

/* kernels/kernels.h: every operation of a training step, as one table per implementation.
 *
 * The headers included here define the operations: formula, shapes, types, rounding. tt_kernels_ref is that definition in plain C
 * (one thread, pool ignored); tt_kernels_cpu is fast. They take the same arguments and agree within the tolerances of
 * tests/unit/test_kernels.h.
 *
 * Arguments are trusted: shapes and types were checked when the program was recorded. Only what another library can refuse
 * returns a status. */
#ifndef TT_KERNELS_KERNELS_H
#define TT_KERNELS_KERNELS_H

#include "attention.h"
#include "cache.h"
#include "cross_entropy.h"
#include "elementwise.h"
#include "embedding.h"
#include "matmul.h"
#include "optim.h"
#include "rmsnorm.h"
#include "rope.h"
#include "swiglu.h"

struct tt_kernels {
    const char *name; /* "ref", "base", "avx2", "avx512" */
    tt_status (*matmul)(struct tt_pool *, const struct tt_matmul *, struct tt_err *);
    void (*embedding_fwd)(struct tt_pool *, const struct tt_embedding_fwd *);
    void (*embedding_bwd_weight)(struct tt_pool *, const struct tt_embedding_bwd_weight *);
    void (*rmsnorm_fwd)(struct tt_pool *, const struct tt_rmsnorm_fwd *);
    void (*rmsnorm_bwd_input)(struct tt_pool *, const struct tt_rmsnorm_bwd_input *);
    void (*rmsnorm_bwd_weight)(struct tt_pool *, const struct tt_rmsnorm_bwd_weight *);
    void (*rope)(struct tt_pool *, const struct tt_rope *);
    void (*attn_fwd)(struct tt_pool *, const struct tt_attn_fwd *);
    void (*attn_bwd)(struct tt_pool *, const struct tt_attn_bwd *);
    void (*swiglu_fwd)(struct tt_pool *, const struct tt_swiglu_fwd *);
    void (*swiglu_bwd)(struct tt_pool *, const struct tt_swiglu_bwd *);
    void (*cross_entropy_fwd)(struct tt_pool *, const struct tt_cross_entropy_fwd *);
    void (*cross_entropy_part)(struct tt_pool *, const struct tt_cross_entropy_part *);
    void (*cross_entropy_bwd)(struct tt_pool *, const struct tt_cross_entropy_bwd *);
    void (*cast)(struct tt_pool *, const struct tt_cast *);
    void (*add)(struct tt_pool *, const struct tt_add *);
    void (*scale)(struct tt_pool *, const struct tt_scale *);
    void (*fill)(struct tt_pool *, const struct tt_fill *);
    void (*adam)(struct tt_pool *, const struct tt_adam *);
    void (*sumsq)(struct tt_pool *, const struct tt_sumsq *);
};

extern const struct tt_kernels tt_kernels_ref;

/* The fastest that this machine runs: "avx512", "avx2" or "base". The environment variable TITAN_CPU_ISA names a lesser one. */
const struct tt_kernels *tt_kernels_cpu(void);

/* By name; NULL where this machine (or this build) does not have it. */
const struct tt_kernels *tt_kernels_cpu_isa(const char *name);

#endif

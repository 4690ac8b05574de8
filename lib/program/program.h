/* lib/program/program.h: a step is a program, known before it runs.
 *
 * The forward function, run once with shapes only, records operations on values (record.h); tt_program_differentiate appends the
 * operations of the backward, input gradients (TT_I) and weight gradients (TT_W) apart; a schedule (schedule.h) says when which
 * part runs for which microbatch, and a plan (plan.h) gives every value its place. Nothing here touches the data. */
#ifndef TT_PROGRAM_PROGRAM_H
#define TT_PROGRAM_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "family/family.h"
#include "tensor/dtype.h"

typedef uint32_t tt_val; /* an index into tt_program.val; never a pointer */
#define TT_NO_VAL ((tt_val)UINT32_MAX)

enum { TT_NDIM = 4, TT_OP_IN = 8, TT_OP_OUT = 4, TT_OP_ARG = 4 };

/* Where a value lives.
 *   INPUT   one a microbatch, filled by the caller         CONST   a table, the same for every microbatch
 *   ACT     in the arena, from its op to its last reader   PARAM   in a unit, `role` says which of the unit's buffers
 *   SCALAR  in struct tt_scalars, read by pointer          OUTPUT  one a microbatch, read by the caller after the step
 *   CACHE   keys and values of a layer, from one run to the next */
enum tt_class { TT_INPUT, TT_CONST, TT_ACT, TT_PARAM, TT_SCALAR, TT_OUTPUT, TT_CACHE };

enum tt_input { TT_IN_TOKENS, TT_IN_LABELS, TT_IN_POSITIONS, TT_IN_DOCUMENTS, TT_IN_LAST, TT_NINPUTS };
enum tt_const { TT_CONST_ROPE, TT_NCONSTS };
enum tt_output { TT_OUT_LOSS, TT_OUT_LOGITS, TT_NOUTPUTS };

/* A parameter has up to five buffers: as it is stored and stepped (shard: all of it on one rank), as products read it (full: the
 * same memory where the type is the same), its gradient, and Adam's two moments. */
enum tt_role { TT_ROLE_SHARD, TT_ROLE_FULL, TT_ROLE_GRAD, TT_ROLE_EXP_AVG, TT_ROLE_EXP_AVG_SQ, TT_NROLES };

/* Numbers that change from step to step. ACCUMULATE is beta of a weight gradient: 0 for a step's first microbatch, then 1.
 * SUMSQ is an array with an element a parameter (`index`). */
enum tt_scalar { TT_S_ONE, TT_S_ACCUMULATE, TT_S_INV_TOKENS, TT_S_ADAM, TT_S_MAX_NORM, TT_S_GRAD_NORM, TT_S_CLIP, TT_S_SUMSQ };

/* What a rank of a tensor parallel group has of an activation: all of it, as every rank; its rows, that is tokens (sequence
 * parallelism; batch and sequence are one dimension then: (1, rows, width)); its columns: heads, hidden units, logits. */
enum tt_place { TT_WHOLE, TT_ROWS, TT_COLUMNS };

struct tt_valdesc {
    enum tt_class cls;
    enum tt_dtype dtype;
    enum tt_dtype grad_dtype; /* what its gradient is summed in */
    int ndim;
    int64_t size[TT_NDIM];
    int ref;           /* INPUT, CONST, OUTPUT, SCALAR: which; PARAM: the parameter's index; CACHE: the layer */
    enum tt_role role; /* PARAM */
    int index;         /* SCALAR: element of an array; CACHE: 0 keys, 1 values */
    int layer;         /* which layer recorded it; -1: none */
    int32_t op;        /* the operation that makes it; -1: none */
    bool recompute;    /* ACT of the forward: made again in the backward instead of kept */
    enum tt_place place;
    int64_t all; /* ROWS, COLUMNS: how many the ranks have together */
};

/* forward, input gradient, weight gradient, copies of parameters, what a step's last backward does to gradients besides, optimizer step */
enum tt_phase { TT_F = 'F', TT_I = 'I', TT_W = 'W', TT_U = 'U', TT_R = 'R', TT_S = 'S' };
const char *tt_phase_name(enum tt_phase phase); /* "forward", "input gradient" ... */

enum tt_queue { TT_Q_COMPUTE, TT_Q_GATHER, TT_Q_REDUCE, TT_Q_REPLICATE, TT_Q_TP, TT_Q_CP, TT_Q_EP, TT_Q_PP_NEXT, TT_Q_PP_PREV, TT_Q_COPY, TT_NQ };
const char *tt_queue_name(enum tt_queue queue); /* "gather", "tp" ... */

/* The ranks whose collectives a queue carries, and which of them this one is. size 0 or 1: alone. */
struct tt_group {
    int size, rank;
};

/* Operands in their order; [x]: may be missing; arg and real where there are any. W and I are a forward's gradients.
 * Collectives are on the queue of their group, whose ranks all run them, in the same order. What the ranks have together is `rows` of
 * one length, of which each has its piece (tt_chunk); 0: x is of one shape on all. */
enum tt_opkind {
    TT_OP_EMBEDDING,      /* w, ids -> y; number of w's first row */
    TT_OP_EMBEDDING_W,    /* dy, ids, beta -> dw; as the forward */
    TT_OP_LINEAR,         /* x, w -> y; first row, rows: that are written, of an x that has these or all; 0 rows: all */
    TT_OP_LINEAR_I,       /* dy, w, [sum so far] -> dx */
    TT_OP_LINEAR_W,       /* dy, x, beta -> dw */
    TT_OP_RMSNORM,        /* x, w -> y, [rstd]; eps */
    TT_OP_RMSNORM_I,      /* dy, x, w, rstd, [sum so far] -> dx */
    TT_OP_RMSNORM_W,      /* dy, x, beta, rstd -> dw */
    TT_OP_ROPE,           /* x, table, positions -> y; heads, turn back */
    TT_OP_ATTENTION,      /* q, k, v, [documents], [positions of q] -> o, lse; heads, kv heads, causal, scale */
    TT_OP_ATTENTION_I,    /* q, k, v, [documents], o, lse, do -> dq, dk, dv; as the forward */
    TT_OP_CACHE,          /* x, positions -> the cache, of which these rows */
    TT_OP_SWIGLU,         /* a, b -> y */
    TT_OP_SWIGLU_I,       /* dy, a, b -> da, db */
    TT_OP_ADD,            /* a, b -> y */
    TT_OP_ACCUMULATE,     /* x, beta -> y, to which x is added */
    TT_OP_CAST,           /* x -> y */
    TT_OP_LOSS,           /* logits, labels, 1 / tokens, [parts] -> loss, lse, [dlogits]; number of the first column, vocabulary */
    TT_OP_LOSS_PART,      /* logits, labels -> part: a rank's columns' share; number of the first column */
    TT_OP_ALL_GATHER,     /* x -> y: the ranks' pieces one after another; rows, ranks */
    TT_OP_REDUCE_SCATTER, /* x -> y: this rank's piece of the sum of the ranks' x; rows, ranks */
    TT_OP_ALL_REDUCE,     /* x -> y: that sum, which may lie over x; 0, ranks */
    TT_OP_GATHER_COLUMNS, /* x -> y: the ranks' columns side by side; columns, ranks */
    TT_OP_COLUMNS,        /* x -> y: some columns; number of the first */
    TT_OP_SUMSQ,          /* grad -> sumsq; 1: 0 instead, as another rank counts it */
    TT_OP_CLIP,           /* sumsq of all, max_norm -> clip, grad_norm; how many */
    TT_OP_ADAM,           /* grad, [clip], adam -> parameter, exp_avg, exp_avg_sq */
    TT_NOPS
};

struct tt_op {
    const struct tt_opdef *def;
    enum tt_phase phase;
    enum tt_queue queue;
    int nin, nout;
    tt_val in[TT_OP_IN];   /* TT_NO_VAL: an optional input that is not there */
    tt_val out[TT_OP_OUT]; /* TT_NO_VAL: a result that nobody reads */
    int64_t arg[TT_OP_ARG];
    double real; /* eps, scale */
    const char *what; /* of a collective, for messages: a parameter's fqn, "norms" ... */
    bool more;        /* of a collective: with the next one on its queue it is one operation of the communicator (tt_coll) */
};

struct tt_rec;

/* A row an operation (lib/program/ops.c). */
struct tt_opdef {
    const char *name;
    /* Emits the input and weight gradients of op; dout[i] is the gradient of out[i] or TT_NO_VAL. NULL: has none. */
    void (*grad)(struct tt_rec *rec, const struct tt_op *op, const tt_val *dout);
    uint64_t (*flops)(const struct tt_op *op, const struct tt_valdesc *val); /* NULL: not counted */
    uint8_t skips;           /* bit i: the op can do without out[i] where nobody reads it */
    uint8_t over[TT_OP_OUT]; /* bit i: this output may lie over input i, where that is the input's last use */
    bool any_dtype;          /* out[0] is rounded once from float32: a cast of it is the same op with another type */
    bool cheap;              /* made again sooner than read back from memory: not kept for the backward */
};

extern const struct tt_opdef tt_opdefs[TT_NOPS];

static inline enum tt_opkind tt_op_kind(const struct tt_op *op)
{
    return (enum tt_opkind)(op->def - tt_opdefs);
}

struct tt_program {
    struct tt_op *op;
    int nops, cap_ops;
    struct tt_valdesc *val;
    tt_val nvals, cap_vals;
    int64_t batch, seq_len;
    const struct tt_params *params; /* borrowed */
    enum tt_dtype param_dtype;      /* as they are stored */
    tt_val loss;                    /* TT_NO_VAL: none */
    int64_t cache_len;              /* 0: no cache */
    bool is_sharded;                /* of parameters there is this rank's part alone */
    struct tt_group group[TT_NQ];
};

/* How a program computes; a property of the recorder, not of the forward function.
 *   F32       as the parameters are (no mixed precision, or TP or PP without FSDP)
 *   AUTOCAST  linear layers and attention in bfloat16 with weights cast at use, the rest as it comes (one rank, DDP)
 *   PARAM     parameters gathered as bfloat16, everything follows from that (FSDP, CP)
 *   PARAM_F32 the same with float32, whatever they are stored as */
enum tt_prec { TT_PREC_F32, TT_PREC_AUTOCAST, TT_PREC_PARAM, TT_PREC_PARAM_F32, TT_NPRECS };
/* What products are computed in, of parameters that are stored as this. */
enum tt_dtype tt_prec_product_dtype(enum tt_prec prec, enum tt_dtype param_dtype);

void tt_program_free(struct tt_program *prog);

/* Which results of a forward are kept for its backward; the others are made again there, when they are first wanted, from what is
 * kept. The numbers are the same whichever.
 *   DEAR          all but what an op's row calls cheap, as outside the layers always but with ALL
 *   ALL           all
 *   LAYER_INPUTS  of every `every`th layer what other layers made, alone
 *   PRODUCTS      of a layer that, attention, sums over ranks, and the first, third ... product of a linear layer; a product whose
 *                 weight has the shape of one that `remade` names is neither kept nor counted
 *   MOST          of a layer that, and the results of the first `nmost` operations of `dearest`, which is of all layers */
enum tt_keep_kind { TT_KEEP_DEAR, TT_KEEP_ALL, TT_KEEP_LAYER_INPUTS, TT_KEEP_PRODUCTS, TT_KEEP_MOST };

struct tt_keep {
    enum tt_keep_kind kind;
    int64_t every;             /* LAYER_INPUTS: layers are counted from 1; 0: all */
    const char *const *remade; /* PRODUCTS: parts of names of modules ("layers.3.attention.wq"); (nremade), borrowed */
    size_t nremade;
    const int *dearest; /* MOST: tt_program_dearest; borrowed */
    int nmost;
};

/* The numbers of a forward's operations that MOST chooses among, those that take the most floating point operations a byte of their
 * result first; (*n), the caller's to free. The ranks of a tensor parallel group have the same operations, whose sizes may differ and so
 * their order: all of them take one rank's. */
TT_MUST_CHECK tt_status tt_program_dearest(int **out, int *n, const struct tt_program *prog, struct tt_err *err);

/* How `remade` names: is this part in the first n bytes, the module's, of a parameter's name? */
bool tt_keep_is_part(const char *part, const char *name, size_t n);

void tt_program_keep(struct tt_program *prog, const struct tt_keep *how);

/* After tt_program_differentiate: the bytes that a microbatch's forward leaves for its backward, and how many of the program's
 * floating point operations are of results made again. */
TT_MUST_CHECK tt_status tt_program_kept_nbytes(uint64_t *out, const struct tt_program *prog, struct tt_err *err);
uint64_t tt_program_remade_flops(const struct tt_program *prog);

/* Appends the backward of prog->loss. Once; after tt_program_keep. */
TT_MUST_CHECK tt_status tt_program_differentiate(struct tt_program *prog, struct tt_err *err);

/* Where the group of TT_Q_TP has several ranks: puts the products of weight gradients where the backward would wait for a collective, and
 * those of a rank's own rows where the forward would wait for the others'. Once; after tt_program_differentiate. */
TT_MUST_CHECK tt_status tt_program_overlap(struct tt_program *prog, struct tt_err *err);

/* Which gathered parameters are given back after a microbatch's forward and gathered again for its backward. */
enum tt_give_back { TT_GIVE_BACK_BUT_LAST /* the last unit's, whose backward is next */, TT_GIVE_BACK_ALL, TT_GIVE_BACK_NONE };

/* Where the group of TT_Q_GATHER, which is that of TT_Q_REDUCE, has several ranks: parameters and all that belongs to them are cut over
 * them in dimension 0 (tt_chunk). A unit is gathered in each forward and backward while the unit before it works, and its gradients are
 * scattered while the one behind it does: each microbatch's float32 sum is added to the gradient; where that is not of float32, its sum
 * over the groups of TT_Q_TP and TT_Q_REPLICATE. Once; the last of the passes but for the next one and tt_program_step_in_backward. */
TT_MUST_CHECK tt_status tt_program_shard(struct tt_program *prog, enum tt_give_back how, struct tt_err *err);

/* Where the group of TT_Q_REPLICATE has several ranks, and tt_program_shard has not done it: sums each unit's gradients over them in a
 * step's last backward, once they are complete (TT_R). Once. */
TT_MUST_CHECK tt_status tt_program_replicate(struct tt_program *prog, struct tt_err *err);

/* The optimizer's step over all parameters: norms, clipping, Adam; phase TT_S. The norm is that of all ranks of `group` (TT_NQ of
 * them; NULL: alone). */
TT_MUST_CHECK tt_status tt_program_record_step(struct tt_program **out, const struct tt_params *params, enum tt_dtype param_dtype,
                                               const struct tt_group *group, struct tt_err *err);

/* Instead of that: every microbatch's backward steps each parameter, without clipping, as soon as its gradient is complete and nothing
 * more reads the parameter. Gradients are activations then, and copies of parameters are made in every forward. Once; after
 * tt_program_differentiate. */
TT_MUST_CHECK tt_status tt_program_step_in_backward(struct tt_program *prog, struct tt_err *err);

/* The first parameter that op writes, or else reads: its index; -1: none. */
int tt_op_param(const struct tt_op *op, const struct tt_valdesc *val);

static inline int64_t tt_val_numel(const struct tt_valdesc *val)
{
    int64_t n = 1;
    for (int i = 0; i < val->ndim; i++)
        n *= val->size[i];
    return n;
}

static inline uint64_t tt_val_nbytes(const struct tt_valdesc *val)
{
    return (uint64_t)tt_val_numel(val) * tt_dtype_nbytes(val->dtype);
}

#endif

/* lib/program/record.h: the vocabulary that a forward function is written in.
 *
 * Each call records an operation and returns its result's name; no data exists yet. Activations are (batch, seq_len, width). The
 * recorder applies the precision policy: it casts what a linear layer or attention reads, the forward function never does. So it is
 * with generation (cache_len): attention puts keys and values into a cache and reads all that is there, and the result is the logits
 * of the last position instead of a loss. And so it is with tensor parallelism: a parameter is what the family's table leaves on the
 * rank, and the recorder gathers what a product needs whole and adds up what the ranks have parts of (tensor_parallel.c); numbers of
 * heads are the model's.
 * Running out of memory is remembered and told by tt_rec_finish; shapes that do not fit are a mistake of the forward function. */
#ifndef TT_PROGRAM_RECORD_H
#define TT_PROGRAM_RECORD_H

#include "program/program.h"
#include "tensor/region.h"

struct tt_rec {
    struct tt_program *prog;
    enum tt_prec prec;
    enum tt_phase phase;
    int layer;
    bool failed;
    bool whole_logits;
    tt_val *grad;   /* while differentiating: a value's gradient so far, by value */
    tt_val *remade; /* while differentiating: the copy made again of a value that was not kept */
    tt_val ngrad;   /* how many values these two tell of */
    struct tt_op nowhere; /* what is written after memory ran out; never read */
};

struct tt_rec_opts {
    const struct tt_params *params; /* borrowed as long as the program lives */
    enum tt_prec prec;
    enum tt_dtype param_dtype; /* as parameters are stored */
    int64_t batch, seq_len;
    int64_t cache_len; /* tokens that the cache has room for, those of all runs; 0: no cache, a loss */
    struct tt_group group[TT_NQ]; /* {0}: alone */
    bool whole_logits;            /* gathered over a tensor parallel group before the loss */
};

TT_MUST_CHECK tt_status tt_rec_begin(struct tt_rec *rec, const struct tt_rec_opts *opts, struct tt_err *err);
/* Casts that an op can do itself are folded into it and what nobody reads is dropped. *out is the caller's. */
TT_MUST_CHECK tt_status tt_rec_finish(struct tt_rec *rec, struct tt_program **out, struct tt_err *err);

/* What follows belongs to this layer; -1: to none. */
void tt_rec_layer(struct tt_rec *rec, int layer);

tt_val tt_rec_input(struct tt_rec *rec, enum tt_input which);
/* By key pattern and the current layer: tt_rec_param(rec, "layers.{}.attention.wq.weight"). */
tt_val tt_rec_param(struct tt_rec *rec, const char *key);

tt_val tt_rec_embedding(struct tt_rec *rec, tt_val w, tt_val ids); /* rows of w (V, D) */
tt_val tt_rec_linear(struct tt_rec *rec, tt_val x, tt_val w);      /* x w^T, w (out, in) */
tt_val tt_rec_rmsnorm(struct tt_rec *rec, tt_val x, tt_val w, double eps);
tt_val tt_rec_rope(struct tt_rec *rec, tt_val x, tt_val positions, int64_t heads);
tt_val tt_rec_swiglu(struct tt_rec *rec, tt_val a, tt_val b); /* silu(a) b */
tt_val tt_rec_add(struct tt_rec *rec, tt_val a, tt_val b);    /* the wider of the two types */

/* softmax(q k^T / sqrt(head width) + mask) v. q (B, T, heads * d), k and v (B, T, kv_heads * d). */
struct tt_mask {
    bool causal;
    tt_val positions; /* (B, T) int32: which rows of a cache the tokens are; without one they sit at 0 .. T-1 */
    tt_val documents; /* TT_NO_VAL, or (B, T) int32: a token sees its own document only; with a cache all is one document */
};
tt_val tt_rec_attention(struct tt_rec *rec, tt_val q, tt_val k, tt_val v, int64_t heads, int64_t kv_heads,
                        const struct tt_mask *mask);

/* Of each sequence, the tokens whose next one is asked for: all, or with a cache one, whose row in (B T) input LAST says. */
tt_val tt_rec_asked(struct tt_rec *rec, tt_val x);

/* Sum over the valid labels of -log softmax(logits)[label], times 1 / tokens: the program's loss. With a cache the logits are the
 * result, output LOGITS. */
void tt_rec_cross_entropy(struct tt_rec *rec, tt_val logits, tt_val labels);

/* --- for the rows of lib/program/ops.c and the passes over a program ------------------------------------------------------- */

tt_val tt_rec_new(struct tt_rec *rec, const struct tt_valdesc *desc);
tt_val tt_rec_like(struct tt_rec *rec, tt_val v, enum tt_dtype dtype); /* an ACT of v's shape */
struct tt_op *tt_rec_op(struct tt_rec *rec, enum tt_opkind kind, int nin, const tt_val *in, int nout, const tt_val *out);
/* One of the three collectives, over the group of the queue; rows: of the whole that pieces are cut from, 0 for ALL_REDUCE. */
void tt_rec_collective(struct tt_rec *rec, enum tt_opkind kind, enum tt_queue queue, int64_t rows, tt_val x, tt_val y);
/* The collectives from operation `first` on, which are of one kind and queue, are one: the largest first, so that small ones can be sent
 * together. */
void tt_rec_together(struct tt_rec *rec, int first);
tt_val tt_rec_scalar(struct tt_rec *rec, enum tt_scalar which, int index);
tt_val tt_rec_role(struct tt_rec *rec, int param, enum tt_role role, enum tt_dtype dtype);
tt_val tt_rec_cast(struct tt_rec *rec, tt_val v, enum tt_dtype dtype); /* v itself where it has the type */

/* Tensor parallelism (tensor_parallel.c). How a parameter is cut, REPLICATE where the rank is alone; how many of n things in a row
 * that the ranks share are this one's: heads. */
enum tt_tp_place tt_rec_tp_place(const struct tt_rec *rec, tt_val w);
int64_t tt_rec_tp_share(const struct tt_rec *rec, tt_val v, int64_t n);
struct tt_run tt_rec_tp_piece(const struct tt_rec *rec, int64_t len);
/* v as a whole: rows that the ranks have are gathered, once for all readers. */
tt_val tt_rec_tp_gather(struct tt_rec *rec, tt_val v);
/* Each rank has a term of v: this rank's rows of the sum. */
tt_val tt_rec_tp_scatter(struct tt_rec *rec, tt_val v);
/* Logits of the whole vocabulary from each rank's columns; or each rank's share of the cross entropy, for the loss to put together. */
tt_val tt_rec_tp_whole_logits(struct tt_rec *rec, tt_val logits);
tt_val tt_rec_tp_loss_parts(struct tt_rec *rec, tt_val logits, tt_val labels);
/* While differentiating: the gradient of a parameter that all ranks have, of which each has a term. */
void tt_rec_tp_reduce_grads(struct tt_rec *rec);

/* Does anybody want the gradient of v? */
bool tt_rec_wants_grad(const struct tt_rec *rec, tt_val v);
/* The gradient of v so far, to be added to, or TT_NO_VAL; its replacement; one more term of it, cast to what it is summed in. */
tt_val tt_rec_grad(const struct tt_rec *rec, tt_val v);
void tt_rec_set_grad(struct tt_rec *rec, tt_val v, tt_val grad);
void tt_rec_add_grad(struct tt_rec *rec, tt_val v, tt_val term);
/* Where the weight gradient of a parameter goes and the beta to use: ACCUMULATE for the first writer, ONE for later ones. */
tt_val tt_rec_param_grad(struct tt_rec *rec, tt_val w, tt_val *beta);

#endif

/* lib/train/step.h: one optimizer step of one process, from tokens to new weights.
 *
 * tt_step_new records the model's forward, differentiates it, schedules the microbatches, plans every buffer and allocates the
 * lot; tt_step_run then allocates nothing. Parameters and optimizer state are reached by name, to draw, load and save them.
 *
 *   loss = sum over microbatches of (sum of cross entropies / tokens),   tokens = all labels of the step that are not ignored
 *   gradients accumulate over the microbatches, are clipped to max_norm by the norm of their norms, and go to Adam or AdamW;
 *   or, with step_in_backward, go there as they are in each microbatch's backward, a step of the optimizer each. */
#ifndef TT_TRAIN_STEP_H
#define TT_TRAIN_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "config/config.h"
#include "data/loader.h"
#include "family/family.h"
#include "kernels.h"
#include "program/plan.h"
#include "program/program.h"

struct tt_step;

struct tt_step_opts {
    const struct tt_family *family;
    const struct tt_model_args *args; /* borrowed until tt_step_new returns */
    enum tt_prec prec;
    enum tt_dtype param_dtype; /* training.dtype: parameters, gradients and optimizer state */
    struct tt_keep keep;       /* what the backward finds kept; the numbers do not depend on it. With TT_KEEP_MOST tt_step_new finds
                                * the most that fits keep_budget: from 0, what layers read of others alone, to 1, all that is dear */
    double keep_budget;
    const char *section; /* of the settings that shape it, for messages; NULL: "training" */
    int64_t local_batch, seq_len;
    int nmicrobatches;
    struct tt_group group[TT_NQ]; /* that this rank is in, by queue; {0}: alone */
    struct tt_comm *comm[TT_NQ];  /* theirs, borrowed as long as the step lives; with plan_only there are none */
    bool whole_logits;            /* parallelism.disable_loss_parallel */
    bool overlap;                 /* parallelism.enable_async_tensor_parallel */
    enum tt_give_back give_back;  /* of parameters that are sharded over the group of TT_Q_GATHER and TT_Q_REDUCE */
    bool step_in_backward; /* optimizer.early_step_in_backward */
    int32_t eos_id; /* ends a document where the model attends within documents; the tokenizer's, not the args' */
    struct tt_pool *pool;              /* borrowed as long as the step lives; NULL: one thread */
    const struct tt_kernels *kernels;  /* NULL: tt_kernels_cpu() */
    bool plan_only; /* no memory is touched: tt_step_cost and the names and shapes are all there is */
    /* NULL, or a step of the same model whose parameters this one uses and which outlives it: the loss alone, tt_step_eval instead of
     * tt_step_run. The two take turns. */
    const struct tt_step *eval_of;
};

/* A parameter with all that belongs to it, each this rank's elements of dtype, contiguous; NULL under plan_only. grad is NULL with
 * step_in_backward, where gradients have no place that lasts. */
struct tt_step_param {
    const struct tt_param *param; /* fqn, shape, how it is initialized */
    enum tt_dtype dtype;
    void *value, *grad, *exp_avg, *exp_avg_sq;
};

TT_MUST_CHECK tt_status tt_step_new(struct tt_step **out, const struct tt_step_opts *opts, struct tt_err *err);
void tt_step_free(struct tt_step *step);

/* In state_dict order. Parameters and state are zero until somebody fills them. */
const struct tt_step_param *tt_step_params(const struct tt_step *step, int *n);
const struct tt_step_param *tt_step_param(const struct tt_step *step, const char *fqn); /* NULL where there is none */

/* Where microbatch mb's inputs go, (local_batch, seq_len) each, int32: fill before tt_step_run. Labels that are TT_IGNORE_INDEX do
 * not count. Positions are 0 .. seq_len - 1 unless somebody writes others. */
int32_t *tt_step_tokens(struct tt_step *step, int mb);
int32_t *tt_step_labels(struct tt_step *step, int mb);
int32_t *tt_step_positions(struct tt_step *step, int mb);

/* Reads the next batch into microbatch mb; *nseq is 0 at the end of the data. A short last batch is filled up with sequences that do
 * not count. TT_EINVAL: a token that the model has no embedding for comes from a tokenizer of another model, which `model` names. */
TT_MUST_CHECK tt_status tt_step_read(int64_t *nseq, struct tt_step *step, int mb, struct tt_loader *loader,
                                     const struct tt_config_model *model, struct tt_err *err);

/* The labels of the step's microbatches that count. */
int64_t tt_step_ntokens(const struct tt_step *step);

struct tt_step_in {
    struct tt_adam_hyper hyper; /* lr included: the step's own */
    int64_t step;               /* Adam's count, from 1: 1 + the `step` of the optimizer state; of the first microbatch */
    double max_norm;            /* of the gradients; 0 zeroes them, infinity leaves them */
    int64_t global_tokens;      /* what the loss is divided by; 0: the valid labels of this process */
};

struct tt_step_out {
    float loss;      /* sum over the microbatches of loss sum / tokens */
    float grad_norm; /* before clipping; 0 with step_in_backward */
    int64_t ntokens; /* valid labels in this step's microbatches */
    int nsteps;      /* that the optimizer took: what Adam's count grows by */
};

TT_MUST_CHECK tt_status tt_step_run(struct tt_step *step, const struct tt_step_in *in, struct tt_step_out *out, struct tt_err *err);

const struct tt_plan *tt_step_plan(const struct tt_step *step);

/* The loss alone, of a step with eval_of; global_tokens as in struct tt_step_in. */
TT_MUST_CHECK tt_status tt_step_eval(struct tt_step *step, int64_t global_tokens, struct tt_step_out *out, struct tt_err *err);

/* As tt_plan_watch. */
void tt_step_watch(struct tt_step *step, const struct tt_plan_watch *watch);

/* Each microbatch's share of the loss in the last step; nmicrobatches of them. */
const float *tt_step_losses(const struct tt_step *step);

/* What the plan takes: bytes by kind, floating point operations. */
const struct tt_cost *tt_step_cost(const struct tt_step *step);

/* Of a microbatch: what its forward leaves for its backward, and the part of all floating point operations that are made again. */
struct tt_step_kept {
    uint64_t nbytes;
    double remade;
};
const struct tt_step_kept *tt_step_kept(const struct tt_step *step);

#endif

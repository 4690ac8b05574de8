/* lib/train/predictor.h: a model that is told tokens and says how likely each next one is.
 *
 * Keys and values of the tokens so far stay in a cache, in each layer (batch, capacity, kv_heads * width): tokens are computed once,
 * the first of them in one pass, then one at a time. The logits are those of the whole sequence computed again, to rounding, by a
 * model that attends to all of it: not within documents. */
#ifndef TT_TRAIN_PREDICTOR_H
#define TT_TRAIN_PREDICTOR_H

#include "base/pool.h"
#include "kernels.h"
#include "program/plan.h"

struct tt_predictor;

struct tt_predictor_opts {
    const struct tt_family *family;
    const struct tt_model_args *args; /* borrowed as long as the predictor lives, as is params, in state_dict order */
    const struct tt_params *params;
    enum tt_dtype dtype; /* of the parameters, and so of all that is computed with them */
    int64_t batch, capacity; /* sequences; tokens of each */
    struct tt_pool *pool;             /* borrowed; NULL: one thread */
    const struct tt_kernels *kernels; /* NULL: tt_kernels_cpu() */
};

/* TT_EUNSUPPORTED: the family has no forward function. Parameters are zero until somebody fills them. */
TT_MUST_CHECK tt_status tt_predictor_new(struct tt_predictor **out, const struct tt_predictor_opts *opts, struct tt_err *err);
void tt_predictor_free(struct tt_predictor *predictor);

void *tt_predictor_param(const struct tt_predictor *predictor, int param);
const struct tt_cost *tt_predictor_cost(const struct tt_predictor *predictor);

/* Appends n tokens to each sequence: tokens (batch, n), ids below the vocabulary's size. *logits: (batch, vocabulary) of `dtype`, of
 * the token after them; until the next call. TT_EINVAL: more tokens than the capacity in all. */
TT_MUST_CHECK tt_status tt_predictor_put(const void **logits, struct tt_predictor *predictor, const int32_t *tokens, int64_t n,
                                         struct tt_err *err);

/* Forgets all tokens but the first n. */
void tt_predictor_rewind(struct tt_predictor *predictor, int64_t n);

#endif

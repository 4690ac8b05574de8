/* lib/train/sampler.h: the next token from its logits, as TorchTitan's generation check chooses it, number for number.
 *
 *   p = softmax(logits / max(temperature, 1e-5)), without the tokens whose logit is below the top_k-th largest
 *   q[i] = -ln(1 - u[i]), u uniform in [0, 1): the low 53 bits of two words of PyTorch's generator, as Tensor.exponential_ has it
 *   token = argmax p[i] / q[i], the first of them
 *
 * which draws token i with probability p[i]: the least of independent exponential times of rates p[i] is i's so often. All that is
 * float32 there is so here. A temperature of 0 is the largest logit, the first of them, and draws nothing; TorchTitan's 1e-5 gives
 * the same but for logits that nearly tie. */
#ifndef TT_TRAIN_SAMPLER_H
#define TT_TRAIN_SAMPLER_H

#include "train/rng.h"

struct tt_sampler {
    double temperature;
    int64_t top_k; /* 0: all */
    struct tt_rng rng;
    float *p; /* (n), owned */
    int64_t n;
};

TT_MUST_CHECK tt_status tt_sampler_init(struct tt_sampler *out, int64_t vocab_size, double temperature, int64_t top_k, uint64_t seed,
                                        struct tt_err *err);
void tt_sampler_release(struct tt_sampler *sampler);

/* p from logits (n): until the next call. */
const float *tt_sampler_probs(struct tt_sampler *sampler, const void *logits, enum tt_dtype dtype);
int32_t tt_sampler_next(struct tt_sampler *sampler, const void *logits, enum tt_dtype dtype);

#endif

/* The model that the tests of layouts train: sizes that ranks share unevenly. */
#ifndef TT_TESTS_TEST_LAYOUTS_H
#define TT_TESTS_TEST_LAYOUTS_H

#include "family/family.h"

static const struct tt_model_args small = {
    .dim = 48, .n_layers = 2, .n_heads = 8, .n_kv_heads = 4, .vocab_size = 71, .multiple_of = 8, .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5, .rope_theta = 10000, .rope_scaling_args = { .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                           .original_max_position_embeddings = 8192 }, .depth_init = true,
};

#endif

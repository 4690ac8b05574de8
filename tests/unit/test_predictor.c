/* Tokens computed one after another with a cache against the whole sequence computed at once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "train/predictor.h"

enum { BATCH = 2, CAPACITY = 97, VOCAB = 61 };

static const struct tt_model_args small = {
    .dim = 48, .n_layers = 3, .n_heads = 6, .n_kv_heads = 2, .vocab_size = VOCAB, .multiple_of = 16, .ffn_dim_multiplier = 1.2,
    .norm_eps = 1e-5, .rope_theta = 10000, .max_seq_len = CAPACITY,
    .rope_scaling_args = { .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_position_embeddings = 32 },
};

struct world {
    struct tt_arena arena;
    struct tt_params params;
    struct tt_predictor *predictor;
    struct tt_pool *pool;
    int32_t tokens[BATCH * CAPACITY];
};

static float uniform(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / (float)(1 << 23) - 1;
}

static struct world *begin(enum tt_dtype dtype, const struct tt_kernels *kernels)
{
    struct world *w = calloc(1, sizeof *w);
    struct tt_err err = { 0 };
    unsigned seed = 3;

    assert_int_equal(tt_params_make(&w->params, &w->arena, tt_family_find("llama3"), &small, &err), TT_OK);
    assert_int_equal(tt_pool_new(&w->pool, 2, &err), TT_OK);
    const struct tt_predictor_opts opts = {
        .family = tt_family_find("llama3"), .args = &small, .params = &w->params, .dtype = dtype, .batch = BATCH, .capacity = CAPACITY,
        .pool = w->pool, .kernels = kernels,
    };
    if (tt_predictor_new(&w->predictor, &opts, &err) != TT_OK)
        fail_msg("%s", err.msg);
    for (int i = 0; i < w->params.n; i++)
        for (int64_t j = 0; j < w->params.p[i].numel; j++) {
            const float v = w->params.p[i].ndim == 1 ? 1 + 0.1f * uniform(&seed) : 0.3f * uniform(&seed);
            if (dtype == TT_F32)
                ((float *)tt_predictor_param(w->predictor, i))[j] = v;
            else
                ((uint16_t *)tt_predictor_param(w->predictor, i))[j] = tt_f32_to_bf16(v);
        }
    for (int i = 0; i < BATCH * CAPACITY; i++)
        w->tokens[i] = (int32_t)((uniform(&seed) + 1) * 30);
    return w;
}

static void end(struct world *w)
{
    tt_predictor_free(w->predictor);
    tt_pool_free(w->pool);
    tt_arena_release(&w->arena);
    free(w);
}

/* The logits after tokens [from, to) of each sequence. */
static void put(struct world *w, float *logits, int64_t from, int64_t to, enum tt_dtype dtype)
{
    int32_t tokens[BATCH * CAPACITY];
    struct tt_err err = { 0 };
    const void *got;

    for (int64_t b = 0; b < BATCH; b++)
        memcpy(tokens + b * (to - from), w->tokens + b * CAPACITY + from, (size_t)(to - from) * sizeof *tokens);
    if (tt_predictor_put(&got, w->predictor, tokens, to - from, &err) != TT_OK)
        fail_msg("%s", err.msg);
    for (int i = 0; i < BATCH * VOCAB; i++)
        logits[i] = dtype == TT_F32 ? ((const float *)got)[i] : tt_bf16_to_f32(((const uint16_t *)got)[i]);
}

static float largest(const float *x)
{
    float max = 0;
    for (int i = 0; i < BATCH * VOCAB; i++)
        max = fmaxf(max, fabsf(x[i]));
    return max;
}

/* tol: of the largest logit. */
static void assert_near(const float *a, const float *b, float tol)
{
    for (int i = 0; i < BATCH * VOCAB; i++)
        if (!(fabsf(a[i] - b[i]) <= tol * largest(b)))
            fail_msg("logit %d: %.9g, expected %.9g", i, (double)a[i], (double)b[i]);
}

/* Float32: the sums of three layers are in another order, a few times 2^-24 of the largest term each. */
static const float tol_f32 = 0x1p-19f;

/* A prompt of so many tokens, single tokens, 7 at once, single tokens to the end. */
static void check_growing(enum tt_dtype dtype, const struct tt_kernels *kernels, int64_t prompt, float tol)
{
    static float step[BATCH * VOCAB], whole[BATCH * VOCAB];
    struct world *w = begin(dtype, kernels), *again = begin(dtype, kernels);

    put(w, step, 0, prompt, dtype);
    for (int64_t from = prompt, to; from < CAPACITY; from = to) {
        to = from + (from == prompt + 5 ? 7 : 1);
        put(w, step, from, to, dtype);
        tt_predictor_rewind(again->predictor, 0);
        put(again, whole, 0, to, dtype);
        assert_true(isfinite(largest(whole)) && largest(whole) > 0.1f);
        assert_near(step, whole, tol);
    }
    end(w);
    end(again);
}

static void test_a_cache_gives_the_logits_of_the_whole_sequence(void **state)
{
    (void)state;
    check_growing(TT_F32, NULL, 41, tol_f32);
}

static void test_so_it_does_by_the_definition(void **state)
{
    (void)state;
    check_growing(TT_F32, &tt_kernels_ref, 83, tol_f32);
}

/* Every activation is rounded to 2^-9, in three layers of some ten. */
static void test_so_it_does_in_bfloat16(void **state)
{
    (void)state;
    check_growing(TT_BF16, NULL, 41, 0x1p-5f);
}

/* The definition sums in double. A product of some 100 terms in float32 errs by about sqrt(100) 2^-24 of their size, and a dozen of
 * them follow each other. */
static void test_the_fast_kernels_agree_with_the_definition(void **state)
{
    static float fast[BATCH * VOCAB], ref[BATCH * VOCAB];
    struct world *w = begin(TT_F32, NULL), *r = begin(TT_F32, &tt_kernels_ref);

    (void)state;
    for (int64_t n = 0; n < 20; n++) {
        put(w, fast, n, n + 1, TT_F32);
        put(r, ref, n, n + 1, TT_F32);
        assert_near(fast, ref, 0x1p-17f);
    }
    end(w);
    end(r);
}

static void test_sequences_do_not_see_each_other(void **state)
{
    static float a[BATCH * VOCAB], b[BATCH * VOCAB];
    struct world *w = begin(TT_F32, NULL);

    (void)state;
    put(w, a, 0, 30, TT_F32);
    put(w, a, 30, 31, TT_F32);
    tt_predictor_rewind(w->predictor, 0);
    w->tokens[CAPACITY + 3] = (w->tokens[CAPACITY + 3] + 1) % VOCAB;
    put(w, b, 0, 30, TT_F32);
    put(w, b, 30, 31, TT_F32);
    assert_memory_equal(a, b, VOCAB * sizeof *a);
    assert_memory_not_equal(a + VOCAB, b + VOCAB, VOCAB * sizeof *a);
    end(w);
}

static void test_more_tokens_than_there_is_room_for_are_an_error(void **state)
{
    struct world *w = begin(TT_F32, NULL);
    struct tt_err err = { 0 };
    const void *logits;

    (void)state;
    assert_int_equal(tt_predictor_put(&logits, w->predictor, w->tokens, CAPACITY + 1, &err), TT_EINVAL);
    assert_int_equal(tt_predictor_put(&logits, w->predictor, w->tokens, CAPACITY, &err), TT_OK);
    assert_int_equal(tt_predictor_put(&logits, w->predictor, w->tokens, 1, &err), TT_EINVAL);
    assert_string_equal(err.msg, "1 tokens after 97: expected 1 to 97 in all");
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cache_gives_the_logits_of_the_whole_sequence),
        cmocka_unit_test(test_so_it_does_by_the_definition),
        cmocka_unit_test(test_so_it_does_in_bfloat16),
        cmocka_unit_test(test_the_fast_kernels_agree_with_the_definition),
        cmocka_unit_test(test_sequences_do_not_see_each_other),
        cmocka_unit_test(test_more_tokens_than_there_is_room_for_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

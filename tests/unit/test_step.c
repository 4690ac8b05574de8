/* Whole steps of a small llama3. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels.h"
#include "matmul_private.h"
#include "test_step.h"

/* Every allocation of the process is counted, whoever makes it, but for posix_memalign: with that oneDNN's sgemm takes room to pack
 * a block and gives it back before it returns; and what has not been given back. Sanitizers bring an allocator of their own. */
#ifndef __has_feature /* gcc names them otherwise */
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTED 0
static atomic_int nallocs, nkept;
#else
#define COUNTED 1
static atomic_int nallocs, nkept;
void *__libc_malloc(size_t nbytes);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t nbytes);
void *__libc_memalign(size_t align, size_t nbytes);
void __libc_free(void *p);

void *malloc(size_t nbytes)
{
    nallocs++;
    nkept++;
    return __libc_malloc(nbytes);
}

void *calloc(size_t n, size_t size)
{
    nallocs++;
    nkept++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t nbytes)
{
    nallocs++;
    nkept += !p;
    return __libc_realloc(p, nbytes);
}

void *aligned_alloc(size_t align, size_t nbytes)
{
    nallocs++;
    nkept++;
    return __libc_memalign(align, nbytes);
}

int posix_memalign(void **out, size_t align, size_t nbytes)
{
    nkept++;
    *out = __libc_memalign(align, nbytes);
    return *out ? 0 : ENOMEM;
}

void free(void *p)
{
    nkept -= p != NULL;
    __libc_free(p);
}

#endif

static const struct tt_model_args small = {
    .dim = 48, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .vocab_size = 70, .multiple_of = 8, .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5, .rope_theta = 10000, .rope_scaling_args = { .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                           .original_max_position_embeddings = 8192 }, .depth_init = true,
};

/* PARAM_F32 is F32 where parameters are float32. */
static struct tt_step_opts small_opts(enum tt_prec prec)
{
    return (struct tt_step_opts){ .family = tt_family_find("llama3"),
                                  .args = &small,
                                  .prec = prec,
                                  .param_dtype = prec == TT_PREC_PARAM_F32 ? TT_BF16 : TT_F32,
                                  .local_batch = 2,
                                  .seq_len = 37,
                                  .nmicrobatches = 2 };
}

static float uniform(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / (float)(1 << 23) - 1;
}

static void fill_params(struct tt_step *step)
{
    unsigned seed = 9;
    int n;
    const struct tt_step_param *p = tt_step_params(step, &n);

    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < p[i].param->numel; j++) {
            const float v = p[i].param->ndim == 1 ? 1 + 0.1f * uniform(&seed) : 0.2f * uniform(&seed);
            if (p[i].dtype == TT_F32)
                ((float *)p[i].value)[j] = v;
            else
                ((uint16_t *)p[i].value)[j] = tt_f32_to_bf16(v);
        }
}

/* The step's tokens, whatever the number of microbatches they are cut into. */
static void fill_tokens(struct tt_step *step, int nmb, int n)
{
    unsigned seed = 4;

    for (int mb = 0; mb < nmb; mb++)
        for (int i = 0; i < n; i++) {
            tt_step_tokens(step, mb)[i] = (int32_t)((uniform(&seed) + 1) * 34);
            tt_step_labels(step, mb)[i] = uniform(&seed) > 0.7f ? TT_IGNORE_INDEX : (int32_t)((uniform(&seed) + 1) * 34);
        }
}

static struct tt_step_out run(struct tt_step *step, int64_t number)
{
    const struct tt_step_in in = { .hyper = { 1e-2, 0.9, 0.95, 1e-8, 0.1, true }, .step = number, .max_norm = 1 };
    struct tt_step_out out = { 0 };
    struct tt_err err = { 0 };

    if (tt_step_run(step, &in, &out, &err) != TT_OK)
        fail_msg("%s", err.msg);
    assert_true(isfinite(out.loss) && isfinite(out.grad_norm));
    return out;
}

static void test_the_loss_falls(void **state)
{
    const struct tt_step_opts opts = small_opts(TT_PREC_AUTOCAST);
    struct tt_step *step = make(&opts);
    struct tt_step_out first, last = { 0 };

    (void)state;
    fill_params(step);
    fill_tokens(step, 2, 74);
    first = run(step, 1);
    for (int i = 2; i <= 20; i++)
        last = run(step, i);
    assert_true(last.loss < 0.7f * first.loss);
    assert_int_equal(first.ntokens, last.ntokens);
    tt_step_free(step);
}

static tt_status widened_matmul(struct tt_pool *pool, const struct tt_matmul *op, struct tt_err *err)
{
    return tt_matmul_dnnl_by(TT_MATMUL_SGEMM, pool, op, err);
}

/* Without oneDNN's primitives, each of which brings objects that live as long as a product. */
static const struct tt_kernels *without_primitives(void)
{
    static struct tt_kernels kernels;

    kernels = *tt_kernels_cpu();
    kernels.matmul = widened_matmul;
    return &kernels;
}

static void count_allocations(const struct tt_kernels *kernels, struct tt_pool *pool, int *allocated, int *kept)
{
    struct tt_step_opts opts = small_opts(TT_PREC_AUTOCAST);
    opts.pool = pool;
    opts.kernels = kernels;
    struct tt_step *step = make(&opts);
    fill_params(step);
    fill_tokens(step, 2, 74);
    run(step, 1);
    const int allocs_before = nallocs, kept_before = nkept;
    for (int i = 2; i <= 4; i++)
        run(step, i);
    *allocated = nallocs - allocs_before;
    *kept = nkept - kept_before;
    tt_step_free(step);
}

static void test_nothing_is_allocated_after_the_first_step(void **state)
{
    const struct tt_kernels *const kernels[] = { without_primitives(), &tt_kernels_ref };
    struct tt_err err;
    struct tt_pool *pool;
    int allocated, kept;

    (void)state;
    assert_int_equal(tt_pool_new(&pool, 2, &err), TT_OK);
    for (int i = 0; i < 2; i++) {
        count_allocations(kernels[i], pool, &allocated, &kept);
        assert_int_equal(allocated, 0);
        assert_int_equal(kept, 0);
    }
    tt_pool_free(pool);
    count_allocations(NULL, NULL, &allocated, &kept); /* whatever products this machine has */
    assert_int_equal(kept, 0);
    if (COUNTED)
        assert_true(nallocs > 0); /* the counter counts */
}

/* Of a longer or a shorter batch than training's: with an arena of its own, or in training's. */
static void test_the_loss_alone_is_that_of_a_step_and_changes_nothing(void **state)
{
    (void)state;
    for (int seq_len = 20; seq_len <= 200; seq_len += 180)
        for (int prec = TT_PREC_F32; prec < TT_NPRECS; prec++) {
            struct tt_step_opts opts = small_opts((enum tt_prec)prec), other;
            struct tt_step *train = make(&opts);
            struct tt_step_out out[3];
            struct tt_err err;

            other = opts;
            other.eval_of = train;
            other.nmicrobatches = 1;
            other.local_batch = 3;
            other.seq_len = seq_len;
            struct tt_step *eval = make(&other);
            assert_int_equal(tt_step_cost(eval)->params, 0);
            assert_true((tt_step_cost(eval)->arena > 0) == (seq_len == 200));
            other.eval_of = NULL;
            struct tt_step *whole = make(&other);
            fill_params(train);
            fill_params(whole);
            fill_tokens(train, 2, 74);
            fill_tokens(eval, 1, 3 * seq_len);
            fill_tokens(whole, 1, 3 * seq_len);
            const struct tt_step_out before = run(train, 1);
            assert_true(before.loss > 0);
            fill_params(train); /* which has stepped */
            assert_int_equal(tt_step_eval(eval, 0, &out[0], &err), TT_OK);
            const int kept = nkept;
            assert_int_equal(tt_step_eval(eval, 0, &out[1], &err), TT_OK);
            assert_int_equal(nkept, kept);
            out[2] = run(whole, 1);
            assert_true(out[0].loss == out[2].loss && out[1].loss == out[0].loss);
            assert_int_equal(out[0].ntokens, out[2].ntokens);
            assert_true(run(train, 1).loss == before.loss);
            tt_step_free(whole);
            tt_step_free(eval);
            tt_step_free(train);
        }
}

/* Runs two steps; returns the parameters, one after another, and the loss. */
static uint8_t *outcome(const struct tt_step_opts *opts, size_t *nbytes, float *loss)
{
    struct tt_step *step = make(opts);
    int n;
    const struct tt_step_param *p = tt_step_params(step, &n);
    uint8_t *all = NULL;

    fill_params(step);
    fill_tokens(step, opts->nmicrobatches, (int)(opts->local_batch * opts->seq_len));
    run(step, 1);
    *loss = run(step, 2).loss;
    *nbytes = 0;
    for (int i = 0; i < n; i++) {
        const size_t size = (size_t)p[i].param->numel * tt_dtype_nbytes(p[i].dtype);
        all = realloc(all, *nbytes + size);
        memcpy(all + *nbytes, p[i].value, size);
        *nbytes += size;
    }
    tt_step_free(step);
    return all;
}

static void assert_same(const struct tt_step_opts *a, const struct tt_step_opts *b)
{
    size_t na, nb;
    float la, lb;
    uint8_t *pa = outcome(a, &na, &la), *pb = outcome(b, &nb, &lb);

    assert_int_equal(na, nb);
    assert_memory_equal(&la, &lb, sizeof la);
    assert_memory_equal(pa, pb, na);
    free(pa);
    free(pb);
}

static void test_two_runs_are_equal_bit_for_bit(void **state)
{
    struct tt_err err;
    struct tt_pool *pool;

    (void)state;
    assert_int_equal(tt_pool_new(&pool, 3, &err), TT_OK);
    for (int prec = TT_PREC_F32; prec < TT_NPRECS; prec++) {
        struct tt_step_opts opts = small_opts((enum tt_prec)prec);
        opts.pool = pool;
        if (opts.param_dtype != TT_BF16)
            assert_same(&opts, &opts);
        opts.param_dtype = TT_BF16;
        assert_same(&opts, &opts);
    }
    tt_pool_free(pool);
}

static const char *const wk[] = { "attention.wk" };
static const struct tt_keep keeps[] = {
    { .kind = TT_KEEP_DEAR },
    { .kind = TT_KEEP_ALL },
    { .kind = TT_KEEP_LAYER_INPUTS },
    { .kind = TT_KEEP_LAYER_INPUTS, .every = 2 },
    { .kind = TT_KEEP_PRODUCTS },
    { .kind = TT_KEEP_PRODUCTS, .remade = wk, .nremade = 1 },
    { .kind = TT_KEEP_MOST },
};

static void test_what_is_kept_does_not_change_the_numbers(void **state)
{
    (void)state;
    for (int prec = TT_PREC_F32; prec < TT_NPRECS; prec++)
        for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) {
            const struct tt_step_opts opts = small_opts((enum tt_prec)prec);
            struct tt_step_opts other = opts;
            other.keep = keeps[i];
            other.keep_budget = 0.4;
            assert_same(&opts, &other);
        }
}

struct memory {
    uint64_t arena, kept;
    double remade;
};

static struct memory memory_of(const struct tt_keep *keep, double budget)
{
    struct tt_model_args args = small;
    struct tt_step_opts opts = small_opts(TT_PREC_AUTOCAST);

    args.n_layers = 12;
    opts.args = &args;
    opts.seq_len = 1024; /* beside which the scratch of products is small */
    opts.keep = *keep;
    opts.keep_budget = budget;
    opts.plan_only = true;
    struct tt_step *step = make(&opts);
    const struct memory m = { tt_step_cost(step)->arena, tt_step_kept(step)->nbytes, tt_step_kept(step)->remade };
    assert_null(tt_step_param(step, "norm.weight")->value);
    tt_step_free(step);
    return m;
}

static void test_keeping_less_takes_less_memory_and_more_operations(void **state)
{
    static const struct tt_keep order[] = {
        { .kind = TT_KEEP_LAYER_INPUTS }, { .kind = TT_KEEP_PRODUCTS }, { .kind = TT_KEEP_LAYER_INPUTS, .every = 4 },
        { .kind = TT_KEEP_DEAR },         { .kind = TT_KEEP_ALL },
    };
    struct memory before = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const struct memory m = memory_of(&order[i], 0);
        assert_true(m.kept > before.kept && m.arena > before.arena);
        assert_true(m.kept <= m.arena);
        assert_true(i == 0 ? m.remade > 0.2 : i < 3 ? m.remade > 0 && m.remade < memory_of(&order[0], 0).remade : m.remade == 0);
        before = m;
    }
    assert_true(memory_of(&order[0], 0).arena < memory_of(&order[3], 0).arena / 2);
}

/* A budget is a part of the way from the least that can be kept to all that is dear. */
static void test_the_plan_fits_the_budget_and_uses_it(void **state)
{
    static const struct tt_keep most = { .kind = TT_KEEP_MOST }, least = { .kind = TT_KEEP_LAYER_INPUTS };
    const struct memory none = memory_of(&least, 0), all = memory_of(&(struct tt_keep){ .kind = TT_KEEP_DEAR }, 0);
    const double layer = (double)(all.kept - none.kept) / 12;

    (void)state;
    assert_int_equal(memory_of(&most, 0).kept, none.kept);
    assert_float_equal(memory_of(&most, 1).remade, 0, 0);
    for (int i = 1; i < 10; i++) {
        const struct memory m = memory_of(&most, i / 10.0);
        const double budget = (double)none.kept + i / 10.0 * (double)(all.kept - none.kept);
        assert_true((double)m.kept <= budget && (double)m.kept > budget - layer);
    }
}

static void test_microbatches_add_up_to_the_batch(void **state)
{
    struct tt_step_opts whole = small_opts(TT_PREC_F32), parts = whole;
    size_t n[2];
    float loss[2];

    (void)state;
    whole.local_batch = 4;
    whole.nmicrobatches = 1;
    parts.local_batch = 1;
    parts.nmicrobatches = 4;
    uint8_t *a = outcome(&whole, &n[0], &loss[0]), *b = outcome(&parts, &n[1], &loss[1]);
    assert_int_equal(n[0], n[1]);
    assert_true(fabsf(loss[0] - loss[1]) <= 2e-6f * loss[0]);
    free(a);
    free(b);
}

static void test_a_maximum_norm_of_zero_moves_nothing_but_decay(void **state)
{
    const struct tt_step_opts opts = small_opts(TT_PREC_F32);
    struct tt_step *step = make(&opts);
    const struct tt_step_in in = { .hyper = { 1e-2, 0.9, 0.95, 1e-8, 0, true }, .step = 1, .max_norm = 0 };
    struct tt_step_out out;
    struct tt_err err;

    (void)state;
    fill_params(step);
    fill_tokens(step, 2, 74);
    const struct tt_step_param *p = tt_step_param(step, "layers.1.attention.wk.weight");
    const float before = ((const float *)p->value)[17];
    assert_int_equal(tt_step_run(step, &in, &out, &err), TT_OK);
    assert_true(out.grad_norm > 0);
    assert_memory_equal(&before, (const float *)p->value + 17, sizeof before);
    assert_float_equal(((const float *)p->exp_avg)[17], 0, 0);
    tt_step_free(step);
}

/* Every parameter and its state as they are after the step. */
static void assert_same_state(const struct tt_step *a, const struct tt_step *b)
{
    int n;
    const struct tt_step_param *pa = tt_step_params(a, &n), *pb = tt_step_params(b, &n);

    for (int i = 0; i < n; i++) {
        const size_t size = (size_t)pa[i].param->numel * tt_dtype_nbytes(pa[i].dtype);
        assert_memory_equal(pa[i].value, pb[i].value, size);
        assert_memory_equal(pa[i].exp_avg, pb[i].exp_avg, size);
        assert_memory_equal(pa[i].exp_avg_sq, pb[i].exp_avg_sq, size);
    }
}

/* Steps of two microbatches against twice as many of one, each divided by the tokens of both. */
static void check_steps_in_backward(struct tt_step_opts opts)
{
    struct tt_step_opts one = opts;
    opts.step_in_backward = true;
    one.nmicrobatches = 1;
    struct tt_step *early = make(&opts), *plain = make(&one);
    struct tt_step_in in = { .hyper = { 1e-2, 0.9, 0.95, 1e-8, 0.1, true }, .step = 1, .max_norm = INFINITY };
    struct tt_step_out out = { 0 }, sum;
    struct tt_err err;

    fill_params(early);
    fill_params(plain);
    assert_null(tt_step_param(early, "norm.weight")->grad);
    for (int i = 0; i < 3; i++) {
        fill_tokens(early, 2, 74);
        in.global_tokens = 0;
        assert_int_equal(tt_step_run(early, &in, &out, &err), TT_OK);
        in.global_tokens = out.ntokens;
        assert_float_equal(out.grad_norm, 0, 0);
        assert_int_equal(out.nsteps, 2);
        for (int mb = 0; mb < 2; mb++) {
            memcpy(tt_step_tokens(plain, 0), tt_step_tokens(early, mb), 74 * sizeof(int32_t));
            memcpy(tt_step_labels(plain, 0), tt_step_labels(early, mb), 74 * sizeof(int32_t));
            assert_int_equal(tt_step_run(plain, &in, &sum, &err), TT_OK);
            assert_int_equal(sum.nsteps, 1);
            assert_memory_equal(&tt_step_losses(plain)[0], &tt_step_losses(early)[mb], sizeof(float));
            in.step++;
        }
        assert_same_state(early, plain);
    }
    tt_step_free(early);
    tt_step_free(plain);
}

static void test_steps_in_the_backward_are_those_of_each_microbatch(void **state)
{
    (void)state;
    for (int prec = TT_PREC_F32; prec < TT_NPRECS; prec++)
        for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) {
            struct tt_step_opts opts = small_opts((enum tt_prec)prec);
            opts.keep = keeps[i];
            opts.keep_budget = 0.4;
            if (opts.param_dtype != TT_BF16)
                check_steps_in_backward(opts);
            opts.param_dtype = TT_BF16;
            check_steps_in_backward(opts);
        }
}

static void test_steps_in_the_backward_take_no_room_for_gradients(void **state)
{
    struct tt_model_args args = small;
    struct tt_step_opts opts = small_opts(TT_PREC_F32);

    (void)state;
    args.n_layers = 12;
    opts.args = &args;
    opts.plan_only = true;
    struct tt_step *plain = make(&opts);
    opts.step_in_backward = true;
    struct tt_step *early = make(&opts);
    const struct tt_cost *a = tt_step_cost(plain), *b = tt_step_cost(early);
    assert_int_equal(b->grads, 0);
    assert_int_equal(b->params, a->params);
    assert_int_equal(b->optim, a->optim);
    assert_int_equal(b->flops, a->flops);
    assert_true(b->arena < a->arena + a->grads / 4);
    tt_step_free(plain);
    tt_step_free(early);
}

static void test_a_step_that_cannot_be_is_refused(void **state)
{
    struct tt_model_args args = small;
    struct tt_step_opts opts = small_opts(TT_PREC_F32);
    struct tt_step *step;
    struct tt_err err;

    (void)state;
    opts.args = &args;
    opts.nmicrobatches = 0;
    assert_int_equal(tt_step_new(&step, &opts, &err), TT_EINVAL);
    opts.nmicrobatches = 1;
    opts.param_dtype = TT_F16;
    assert_int_equal(tt_step_new(&step, &opts, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "float16"));
    opts.param_dtype = TT_F32;
    args.n_heads = 16; /* of three elements */
    assert_int_equal(tt_step_new(&step, &opts, &err), TT_EINVAL);
    args.n_heads = 4;
    args.attn_type = TT_ATTN_VARLEN;
    assert_int_equal(tt_step_new(&step, &opts, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "block_causal"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_loss_falls),
        cmocka_unit_test(test_nothing_is_allocated_after_the_first_step),
        cmocka_unit_test(test_the_loss_alone_is_that_of_a_step_and_changes_nothing),
        cmocka_unit_test(test_two_runs_are_equal_bit_for_bit),
        cmocka_unit_test(test_what_is_kept_does_not_change_the_numbers),
        cmocka_unit_test(test_keeping_less_takes_less_memory_and_more_operations),
        cmocka_unit_test(test_the_plan_fits_the_budget_and_uses_it),
        cmocka_unit_test(test_microbatches_add_up_to_the_batch),
        cmocka_unit_test(test_a_maximum_norm_of_zero_moves_nothing_but_decay),
        cmocka_unit_test(test_steps_in_the_backward_are_those_of_each_microbatch),
        cmocka_unit_test(test_steps_in_the_backward_take_no_room_for_gradients),
        cmocka_unit_test(test_a_step_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

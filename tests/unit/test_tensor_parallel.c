/* Steps of a small llama3 whose ranks share every layer, against the steps of one process. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_layouts.h"

enum { NMB = 2, BATCH = 2, SEQ_LEN = 12, NSTEPS = 10 };

/* What is run, and what comes of it: of one process, or put together from the ranks. */
struct job {
    struct tt_step_opts opts;
    int tp;
    float loss[NSTEPS], grad_norm[NSTEPS];
    struct tt_params params;
    float **grad;          /* [param] of the first step, before clipping */
    float *losses;         /* [rank * NSTEPS + step] */
};

/* Puts the rank's region of a parameter where it belongs in the whole. */
static void put_region(float *whole, const float *part, const struct tt_param *p, const struct tt_mesh *mesh)
{
    const struct tt_run rows = run_of(p, 0, mesh), columns = run_of(p, 1, mesh);
    const int64_t width = p->numel / p->size[0];

    for (int64_t i = 0; i < rows.len; i++)
        memcpy(whole + (rows.at + i) * width + columns.at, part + i * columns.len, (size_t)columns.len * sizeof *part);
}

/* Each rank writes its regions, of which the first has those that all have. */
static void hand_in(struct job *job, const struct tt_step *step, const struct tt_mesh *mesh)
{
    int n;
    const struct tt_step_param *p = tt_step_params(step, &n);

    for (int i = 0; i < n; i++)
        if (p[i].grad && (mesh->rank == 0 || p[i].param->row->tp != TT_TP_REPLICATE))
            put_region(job->grad[i], p[i].grad, p[i].param, mesh);
}

static tt_status train(void *ctx, struct tt_step *step, const struct tt_mesh *mesh, struct tt_err *err)
{
    struct job *job = ctx;
    unsigned seed = 4;

    fill_params(step, mesh);
    for (int mb = 0; mb < job->opts.nmicrobatches; mb++)
        fill_tokens(tt_step_tokens(step, mb), tt_step_labels(step, mb), BATCH * SEQ_LEN, job->opts.args->vocab_size, &seed);
    for (int i = 0; i < NSTEPS; i++) {
        const struct tt_step_in in = { .hyper = { 1e-3, 0.9, 0.95, 1e-8, 0.1, true }, .step = i + 1, .max_norm = 1 };
        struct tt_step_out out;
        const tt_status status = tt_step_run(step, &in, &out, err);
        if (status != TT_OK)
            return status;
        if (i == 0)
            hand_in(job, step, mesh);
        job->losses[mesh->rank * NSTEPS + i] = out.loss;
        if (mesh->rank == 0) {
            job->loss[i] = out.loss;
            job->grad_norm[i] = out.grad_norm;
        }
    }
    return TT_OK;
}

static tt_status run_rank(struct tt_world *world, void *ctx, struct tt_err *err)
{
    const struct job *job = ctx;
    const struct tt_degrees degrees = { .dp_replicate = 1, .dp_shard = 1, .cp = 1, .tp = job->tp, .pp = 1, .ep = 1, .etp = 1 };
    return run_rank_of(world, &degrees, job->opts, train, ctx, err);
}

static void run(struct job *job, struct tt_arena *arena, const struct tt_model_args *args, const struct tt_step_opts *how, int tp)
{
    struct tt_err err = { 0 };

    *job = (struct job){ .opts = *how, .tp = tp };
    job->opts.family = tt_family_find("llama3");
    job->opts.args = args;
    job->opts.local_batch = BATCH;
    job->opts.seq_len = SEQ_LEN;
    job->opts.nmicrobatches = how->nmicrobatches ? how->nmicrobatches : NMB;
    assert_int_equal(tt_params_make(&job->params, arena, job->opts.family, args, &err), TT_OK);
    job->losses = tt_arena_array(arena, (size_t)(tp * NSTEPS), sizeof *job->losses);
    job->grad = tt_arena_array(arena, (size_t)job->params.n, sizeof *job->grad);
    for (int i = 0; i < job->params.n; i++)
        job->grad[i] = tt_arena_array(arena, (size_t)job->params.p[i].numel, sizeof **job->grad);
    if (tt_local_run(tp, run_rank, job, &err) != TT_OK)
        fail_msg("%s", err.msg);
}

static double length(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* float32 rounds to half of 2^-23 of a term. The ranks' sums have the terms of one process in another order, so an element may be
 * away by what sums of n terms round, sqrt(n) 2^-24 of their length and n at most 96 here (tokens, hidden units): 6e-7, times the
 * dozen sums on the longest way through two layers and back. */
static const double grad_tol = 12 * 6e-7;

static void check_grad(const float *a, const float *b, const struct tt_param *p)
{
    const double most = grad_tol * length(a, p->numel) / sqrt((double)p->numel);
    for (int64_t i = 0; i < p->numel; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= most + grad_tol * fabs((double)a[i])))
            fail_msg("gradient of %s, element %lld: expected %.9g, found %.9g", p->fqn, (long long)i, (double)a[i], (double)b[i]);
}

/* Losses and norms of ten steps as TorchTitan's layouts are held to: 5e-5 and 1e-4. All ranks have the same loss, bit for bit. */
static void check(const struct job *one, const struct job *many)
{
    for (int i = 0; i < NSTEPS; i++) {
        if (!(fabsf(one->loss[i] - many->loss[i]) <= 5e-5f) || !(fabsf(one->grad_norm[i] - many->grad_norm[i]) <= 1e-4f))
            fail_msg("tp %d, step %d: expected loss %.9g, grad_norm %.9g, found %.9g, %.9g", many->tp, i + 1, (double)one->loss[i],
                     (double)one->grad_norm[i], (double)many->loss[i], (double)many->grad_norm[i]);
        for (int r = 1; r < many->tp; r++)
            assert_true(many->losses[r * NSTEPS + i] == many->loss[i]);
    }
    for (int i = 0; i < one->params.n && !one->opts.step_in_backward; i++)
        check_grad(one->grad[i], many->grad[i], &one->params.p[i]);
}

static void compare(const struct tt_model_args *args, const struct tt_step_opts *how)
{
    struct tt_arena arena = { 0 };
    struct job one, two, four;

    run(&one, &arena, args, how, 1);
    run(&two, &arena, args, how, 2);
    run(&four, &arena, args, how, 4);
    check(&one, &two);
    check(&one, &four);
    tt_arena_release(&arena);
}

static void test_ranks_that_share_a_model_take_the_steps_of_one(void **state)
{
    (void)state;
    compare(&small, &(struct tt_step_opts){ 0 });
}

/* Gradients lie among the activations then. */
static void test_so_they_do_with_one_microbatch(void **state)
{
    (void)state;
    compare(&small, &(struct tt_step_opts){ .nmicrobatches = 1 });
    compare(&small, &(struct tt_step_opts){ .nmicrobatches = 1, .overlap = true });
}

static void test_logits_may_be_gathered(void **state)
{
    (void)state;
    compare(&small, &(struct tt_step_opts){ .whole_logits = true });
}

static void test_what_is_not_kept_is_gathered_again(void **state)
{
    (void)state;
    compare(&small, &(struct tt_step_opts){ .keep = { .kind = TT_KEEP_LAYER_INPUTS } });
    compare(&small, &(struct tt_step_opts){ .keep = { .kind = TT_KEEP_PRODUCTS } });
    compare(&small, &(struct tt_step_opts){ .keep = { .kind = TT_KEEP_LAYER_INPUTS }, .overlap = true });
}

static void test_the_backward_steps_sums_of_all_ranks(void **state)
{
    (void)state;
    compare(&small, &(struct tt_step_opts){ .step_in_backward = true });
}

/* Of 5 words rank 2 of 4 has one and rank 3 none. 9 hidden units of 4 ranks: 3, 3, 3 and none. */
static void test_ranks_may_have_nothing(void **state)
{
    struct tt_model_args args = small;

    (void)state;
    args.vocab_size = 5;
    args.dim = 16;
    args.n_kv_heads = 8;
    args.multiple_of = 9;
    args.ffn_dim_multiplier = 0.1;
    compare(&args, &(struct tt_step_opts){ 0 });
    compare(&args, &(struct tt_step_opts){ .whole_logits = true });
}

static void test_the_same_again_is_the_same(void **state)
{
    struct tt_arena arena = { 0 };
    struct job first, again;

    (void)state;
    run(&first, &arena, &small, &(struct tt_step_opts){ 0 }, 4);
    run(&again, &arena, &small, &(struct tt_step_opts){ 0 }, 4);
    assert_memory_equal(first.losses, again.losses, 4 * NSTEPS * sizeof *first.losses);
    assert_memory_equal(first.grad_norm, again.grad_norm, sizeof first.grad_norm);
    for (int i = 0; i < first.params.n; i++)
        assert_memory_equal(first.grad[i], again.grad[i], (size_t)first.params.p[i].numel * sizeof **first.grad);
    tt_arena_release(&arena);
}

static void check_refused(const struct tt_model_args *args, int64_t seq_len, int tp, const char *message)
{
    struct tt_step_opts opts = {
        .family = tt_family_find("llama3"), .args = args, .local_batch = BATCH, .seq_len = seq_len, .nmicrobatches = NMB,
        .plan_only = true,
    };
    struct tt_step *step;
    struct tt_err err;

    opts.group[TT_Q_TP] = (struct tt_group){ tp, 0 };
    assert_int_equal(tt_step_new(&step, &opts, &err), TT_EINVAL);
    assert_string_equal(err.msg, message);
}

/* Is there a product between operation i and the first one behind it that reads its result? */
static bool has_product(const struct tt_plan *plan, int i)
{
    const struct tt_program *prog;
    int mb;
    const tt_val result = tt_plan_op(plan, i, &prog, &mb)->out[0];

    for (int j = i + 1; j < tt_plan_nops(plan); j++) {
        const struct tt_op *op = tt_plan_op(plan, j, &prog, &mb);
        for (int k = 0; k < op->nin; k++)
            if (op->in[k] == result)
                return false;
        if (tt_op_kind(op) == TT_OP_LINEAR || tt_op_kind(op) == TT_OP_LINEAR_W)
            return true;
    }
    return false;
}

/* How many collectives of one microbatch have that, out of how many. */
static int count_overlapped(int *all, struct tt_step_opts opts, bool overlap)
{
    struct tt_step *step;
    struct tt_err err;
    int found = 0, mb;

    opts.overlap = overlap;
    opts.plan_only = true;
    opts.nmicrobatches = 1;
    *all = 0;
    opts.group[TT_Q_TP] = (struct tt_group){ 2, 0 };
    assert_int_equal(tt_step_new(&step, &opts, &err), TT_OK);
    for (int i = 0; i + 1 < tt_plan_nops(tt_step_plan(step)); i++) {
        const struct tt_program *prog;
        const struct tt_op *op = tt_plan_op(tt_step_plan(step), i, &prog, &mb);
        if (op->queue != TT_Q_TP || (op->phase != TT_F && op->phase != TT_I))
            continue;
        found += has_product(tt_step_plan(step), i);
        ++*all;
    }
    tt_step_free(step);
    return found;
}

/* oneDNN's sgemm with AVX-512 rounds a row otherwise where there are other rows beside it: a product that is cut gives the same bits only
 * row by row. */
static const struct tt_kernels *row_by_row(void)
{
    static struct tt_kernels kernels;

    kernels = *tt_kernels_cpu();
    kernels.matmul = tt_kernels_ref.matmul;
    return &kernels;
}

/* A layer has two gathers and two sums forward and back, and there are the output layer's gather and sum, the embedding's, and a gather
 * for the loss. Forward the gathers have products beside them; back all but the last layer's first gather, which finds none. */
static void test_products_fill_the_waits(void **state)
{
    struct tt_arena arena = { 0 };
    struct job as_it_comes, overlapped;
    int all;

    (void)state;
    run(&as_it_comes, &arena, &small, &(struct tt_step_opts){ .kernels = row_by_row() }, 2);
    run(&overlapped, &arena, &small, &(struct tt_step_opts){ .kernels = row_by_row(), .overlap = true }, 2);
    assert_memory_equal(as_it_comes.loss, overlapped.loss, sizeof overlapped.loss);
    assert_memory_equal(as_it_comes.grad_norm, overlapped.grad_norm, sizeof overlapped.grad_norm);
    assert_int_equal(count_overlapped(&all, as_it_comes.opts, false), 0);
    assert_int_equal(count_overlapped(&all, overlapped.opts, true), 2 * 2 + 1 + 2 * 4 - 1 + 2);
    assert_int_equal(all, 2 * 8 + 5);
    tt_arena_release(&arena);
}

static void test_what_ranks_cannot_share_is_refused(void **state)
{
    (void)state;
    check_refused(&small, SEQ_LEN, 8, "parallelism.tensor_parallel_degree 8 does not divide the model's n_heads 8 and n_kv_heads 4: "
                                      "each rank has whole heads");
    check_refused(&small, 13, 2, "parallelism.tensor_parallel_degree 2 does not divide training.seq_len 13: each rank has a part of "
                                 "the sequence between the blocks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_that_share_a_model_take_the_steps_of_one),
        cmocka_unit_test(test_so_they_do_with_one_microbatch),
        cmocka_unit_test(test_logits_may_be_gathered),
        cmocka_unit_test(test_what_is_not_kept_is_gathered_again),
        cmocka_unit_test(test_the_backward_steps_sums_of_all_ranks),
        cmocka_unit_test(test_ranks_may_have_nothing),
        cmocka_unit_test(test_the_same_again_is_the_same),
        cmocka_unit_test(test_products_fill_the_waits),
        cmocka_unit_test(test_what_ranks_cannot_share_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

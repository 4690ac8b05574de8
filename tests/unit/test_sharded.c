/* Steps of a small llama3 whose ranks have data of their own and a part of every parameter, or all of it, against one process that has
 * the data of all. */
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

enum { NMB = 2, BATCH = 2, SEQ_LEN = 12, NSTEPS = 3, NTOKENS = BATCH * SEQ_LEN };

/* What is run, and what comes of it: of one process, or put together from the ranks. */
struct job {
    struct tt_step_opts opts;
    struct tt_degrees degrees;
    struct tt_params params;
    float *losses;     /* [rank * NSTEPS + step] */
    float *grad_norms; /* the same */
    float **value;     /* [param] after the last step */
};

/* Sequences of the rank's own: those of all ranks are the microbatches of the one that is alone. Returns how many labels of all ranks
 * count. */
static int fill_sequences(struct tt_step *step, int nmb, int nranks, int rank)
{
    int32_t tokens[NTOKENS], labels[NTOKENS];
    int all = 0;

    for (int i = 0; i < nmb * nranks; i++) {
        const int mb = i - nmb * rank;
        const bool here = mb >= 0 && mb < nmb;
        unsigned seed = (unsigned)(100 + i);
        all += fill_tokens(here ? tt_step_tokens(step, mb) : tokens, here ? tt_step_labels(step, mb) : labels, NTOKENS,
                           small.vocab_size, &seed);
    }
    return all;
}

/* The first replica's ranks write what they have. */
static void hand_in(struct job *job, const struct tt_step *step, const struct tt_mesh *mesh)
{
    int n;
    const struct tt_step_param *p = tt_step_params(step, &n);

    for (int i = 0; i < n && tt_mesh_coord(mesh, TT_MESH_REPLICATE) == 0; i++) {
        const int64_t width = p[i].param->numel / p[i].param->size[0];
        const struct tt_run rows =
            tt_chunk(p[i].param->size[0], tt_mesh_size(mesh, TT_MESH_FSDP), tt_mesh_coord(mesh, TT_MESH_FSDP));
        if (rows.len > 0)
            memcpy(job->value[i] + rows.at * width, p[i].value, (size_t)(rows.len * width) * sizeof(float));
    }
}

static tt_status train(void *ctx, struct tt_step *step, const struct tt_mesh *mesh, struct tt_err *err)
{
    struct job *job = ctx;
    tt_status status = TT_OK;

    fill_params(step, mesh);
    const int ntokens = fill_sequences(step, job->opts.nmicrobatches, (int)tt_degrees_nranks(&job->degrees), mesh->rank);
    for (int i = 0; i < NSTEPS && status == TT_OK; i++) {
        const struct tt_step_in in = {
            .hyper = { 1e-3, 0.9, 0.95, 1e-8, 0.1, true }, .step = i + 1, .max_norm = 1, .global_tokens = ntokens
        };
        struct tt_step_out out;
        status = tt_step_run(step, &in, &out, err);
        job->losses[mesh->rank * NSTEPS + i] = out.loss;
        job->grad_norms[mesh->rank * NSTEPS + i] = out.grad_norm;
    }
    if (status == TT_OK)
        hand_in(job, step, mesh);
    return status;
}

static tt_status run_rank(struct tt_world *world, void *ctx, struct tt_err *err)
{
    const struct job *job = ctx;
    return run_rank_of(world, &job->degrees, job->opts, train, ctx, err);
}

static void run(struct job *job, struct tt_arena *arena, struct tt_step_opts how, int replicate, int shard, int nmb)
{
    const int nranks = replicate * shard;
    struct tt_err err = { 0 };

    *job = (struct job){ .opts = how,
                         .degrees = { .dp_replicate = replicate, .dp_shard = shard, .cp = 1, .tp = 1, .pp = 1, .ep = 1, .etp = 1 } };
    job->opts.family = tt_family_find("llama3");
    job->opts.args = &small;
    job->opts.local_batch = BATCH;
    job->opts.seq_len = SEQ_LEN;
    job->opts.nmicrobatches = nmb;
    assert_int_equal(tt_params_make(&job->params, arena, job->opts.family, &small, &err), TT_OK);
    job->losses = tt_arena_array(arena, (size_t)(nranks * NSTEPS), sizeof *job->losses);
    job->grad_norms = tt_arena_array(arena, (size_t)(nranks * NSTEPS), sizeof *job->grad_norms);
    job->value = tt_arena_array(arena, (size_t)job->params.n, sizeof *job->value);
    for (int i = 0; i < job->params.n; i++)
        job->value[i] = tt_arena_array(arena, (size_t)job->params.p[i].numel, sizeof **job->value);
    if (tt_local_run(nranks, run_rank, job, &err) != TT_OK)
        fail_msg("%d x %d ranks: %s", replicate, shard, err.msg);
}

/* Sums in another order: some roundings of 6e-8 in gradients, which Adam's first steps, where all that counts is their sign, can make
 * a step of an element that is next to nothing. */
static void check(const struct job *one, const struct job *many, float tol)
{
    const int nranks = (int)tt_degrees_nranks(&many->degrees);

    for (int i = 0; i < NSTEPS; i++) {
        float loss = 0;
        for (int r = 0; r < nranks; r++) {
            loss += many->losses[r * NSTEPS + i];
            assert_true(many->grad_norms[r * NSTEPS + i] == many->grad_norms[i]);
        }
        if (!(fabsf(loss - one->losses[i]) <= tol))
            fail_msg("step %d of %d ranks: loss %.9g for %.9g", i + 1, nranks, loss, one->losses[i]);
        if (!(fabsf(many->grad_norms[i] - one->grad_norms[i]) <= tol * one->grad_norms[i]))
            fail_msg("step %d of %d ranks: norm %.9g for %.9g", i + 1, nranks, many->grad_norms[i], one->grad_norms[i]);
    }
    for (int p = 0; p < one->params.n; p++) {
        double sum = 0;
        for (int64_t j = 0; j < one->params.p[p].numel; j++)
            sum += fabs((double)(one->value[p][j] - many->value[p][j]));
        if (!(sum / (double)one->params.p[p].numel <= tol / 2))
            fail_msg("%s of %d ranks: %g apart", one->params.p[p].fqn, nranks, sum / (double)one->params.p[p].numel);
    }
}

static void compare(struct tt_step_opts how, int replicate, int shard, float tol)
{
    struct tt_arena arena = { 0 };
    struct job one, many;

    run(&one, &arena, how, 1, 1, NMB * replicate * shard);
    run(&many, &arena, how, replicate, shard, NMB);
    check(&one, &many, tol);
    tt_arena_release(&arena);
}

static void test_sharded_parameters_take_the_steps_of_whole_ones(void **state)
{
    (void)state;
    for (enum tt_give_back back = TT_GIVE_BACK_BUT_LAST; back <= TT_GIVE_BACK_NONE; back++)
        compare((struct tt_step_opts){ .give_back = back }, 1, 3, 1e-5f);
    compare((struct tt_step_opts){ 0 }, 1, 2, 1e-5f);
}

static void test_ranks_without_a_row_take_part(void **state)
{
    (void)state;
    compare((struct tt_step_opts){ 0 }, 1, 13, 1e-5f); /* 48 rows by 4: none for the last */
}

static void test_replicas_add_up_their_gradients(void **state)
{
    (void)state;
    compare((struct tt_step_opts){ 0 }, 3, 1, 1e-5f);
    compare((struct tt_step_opts){ 0 }, 2, 2, 1e-5f);
}

static void test_layers_that_are_made_again_read_gathered_parameters(void **state)
{
    (void)state;
    compare((struct tt_step_opts){ .keep = { .kind = TT_KEEP_LAYER_INPUTS } }, 1, 3, 1e-5f);
}

/* The gathered bfloat16 is the same whoever gathers it; gradients are float32 sums of the same terms. */
static void test_bfloat16_parameters_are_gathered_as_such(void **state)
{
    (void)state;
    compare((struct tt_step_opts){ .prec = TT_PREC_PARAM }, 1, 3, 1e-5f);
}

/* Operations of the queue's communicator, and of those of them that microbatch mb (-1: none) posts. */
static void count_queue(int *all, int *of_mb, const struct tt_plan *plan, enum tt_queue queue, int mb)
{
    *all = *of_mb = 0;
    for (int i = 0; i < tt_plan_nops(plan); i++) {
        const struct tt_program *prog;
        int now;
        const struct tt_op *op = tt_plan_op(plan, i, &prog, &now);
        *all += op->queue == queue && !op->more;
        *of_mb += op->queue == queue && !op->more && now == mb;
    }
}

/* The first operation of a queue, or the last input gradient. */
static int find_op(const struct tt_plan *plan, enum tt_queue queue)
{
    int last = -1;
    for (int i = 0; i < tt_plan_nops(plan); i++) {
        const struct tt_program *prog;
        int mb;
        const struct tt_op *op = tt_plan_op(plan, i, &prog, &mb);
        if (queue != TT_Q_COMPUTE && op->queue == queue)
            return i;
        last = op->queue == TT_Q_COMPUTE && op->phase == TT_I ? i : last;
    }
    return last;
}

/* Every collective says of which parameter it is, or that it is of the norms. */
static void check_names(const struct tt_plan *plan, const struct tt_params *params)
{
    for (int i = 0; i < tt_plan_nops(plan); i++) {
        const struct tt_program *prog;
        int mb;
        const struct tt_op *op = tt_plan_op(plan, i, &prog, &mb);
        bool found = op->queue == TT_Q_COMPUTE || strcmp(op->what, "norms") == 0;
        for (int p = 0; p < params->n && !found; p++)
            found = strcmp(op->what, params->p[p].fqn) == 0;
        assert_true(found);
    }
}

static void test_a_unit_is_one_operation_and_replicas_add_up_beside_the_last_backward(void **state)
{
    struct tt_step_opts opts = { .family = tt_family_find("llama3"),
                                 .args = &small,
                                 .local_batch = BATCH,
                                 .seq_len = SEQ_LEN,
                                 .nmicrobatches = NMB,
                                 .plan_only = true };
    struct tt_arena arena = { 0 };
    struct tt_params params;
    struct tt_step *step;
    struct tt_err err;
    int all, of_mb;

    (void)state;
    opts.group[TT_Q_GATHER] = opts.group[TT_Q_REDUCE] = (struct tt_group){ 3, 1 };
    opts.group[TT_Q_REPLICATE] = (struct tt_group){ 2, 1 };
    assert_int_equal(tt_params_make(&params, &arena, opts.family, &small, &err), TT_OK);
    if (tt_step_new(&step, &opts, &err) != TT_OK)
        fail_msg("%s", err.msg);
    const struct tt_plan *plan = tt_step_plan(step);
    count_queue(&all, &of_mb, plan, TT_Q_GATHER, 1);
    assert_int_equal(of_mb, 2 * params.nunits - 2); /* the backward does not read the embedding, and has the last unit still */
    assert_int_equal(all, 2 * of_mb);
    count_queue(&all, &of_mb, plan, TT_Q_REDUCE, 1);
    assert_int_equal(of_mb, params.nunits);
    assert_int_equal(all, 2 * of_mb + 1); /* and the norm */
    count_queue(&all, &of_mb, plan, TT_Q_REPLICATE, -1);
    assert_int_equal(of_mb, params.nunits);
    assert_int_equal(all, of_mb);
    assert_true(find_op(plan, TT_Q_REPLICATE) < find_op(plan, TT_Q_COMPUTE));
    check_names(plan, &params);
    tt_step_free(step);
    tt_arena_release(&arena);
}

/* Of gradients that are kept as bfloat16, replicas add up the float32 sums of each microbatch, and so do the ranks of a tensor parallel
 * group where each has a term. */
static void test_other_groups_add_up_what_is_not_rounded_yet(void **state)
{
    struct tt_step_opts opts = { .family = tt_family_find("llama3"),
                                 .args = &small,
                                 .prec = TT_PREC_PARAM_F32,
                                 .param_dtype = TT_BF16,
                                 .local_batch = BATCH,
                                 .seq_len = SEQ_LEN,
                                 .nmicrobatches = NMB,
                                 .plan_only = true };
    struct tt_step *step;
    struct tt_err err;

    (void)state;
    opts.group[TT_Q_GATHER] = opts.group[TT_Q_REDUCE] = (struct tt_group){ 3, 1 };
    opts.group[TT_Q_REPLICATE] = opts.group[TT_Q_TP] = (struct tt_group){ 2, 1 };
    for (int early = 0; early < 2; early++) {
        int nsums = 0, nterms = 0, nparams;
        opts.step_in_backward = early;
        if (tt_step_new(&step, &opts, &err) != TT_OK)
            fail_msg("%s", err.msg);
        const struct tt_plan *plan = tt_step_plan(step);
        for (int i = 0; i < tt_plan_nops(plan); i++) {
            const struct tt_program *prog;
            int mb;
            const struct tt_op *op = tt_plan_op(plan, i, &prog, &mb);
            nsums += op->queue == TT_Q_REPLICATE;
            nterms += op->queue == TT_Q_TP && op->phase == TT_W;
            assert_int_not_equal(op->phase, TT_R);
            assert_true(op->queue == TT_Q_COMPUTE || op->queue == TT_Q_GATHER || prog->val[op->in[0]].dtype != TT_BF16);
        }
        tt_step_params(step, &nparams);
        assert_int_equal(nsums, NMB * nparams);
        assert_int_equal(nterms, NMB * (2 * small.n_layers + 1)); /* norms */
        tt_step_free(step);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sharded_parameters_take_the_steps_of_whole_ones),
        cmocka_unit_test(test_ranks_without_a_row_take_part),
        cmocka_unit_test(test_replicas_add_up_their_gradients),
        cmocka_unit_test(test_layers_that_are_made_again_read_gathered_parameters),
        cmocka_unit_test(test_bfloat16_parameters_are_gathered_as_such),
        cmocka_unit_test(test_a_unit_is_one_operation_and_replicas_add_up_beside_the_last_backward),
        cmocka_unit_test(test_other_groups_add_up_what_is_not_rounded_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

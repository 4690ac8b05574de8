/* Steps of a small llama3 whose ranks are asked for several things at once, against one process that has all ranks' sequences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_layouts.h"

enum { NMB = 2, SEQ_LEN = 12, NSTEPS = 4, NRANKS_MAX = 8 };

static const char *const remade[] = { "w1", "attention.wq" };

struct job {
    struct tt_step_opts opts;
    struct tt_degrees degrees;
    int ndata; /* ranks that read data of their own in the job that is compared */
    float loss[NRANKS_MAX][NSTEPS], norm[NRANKS_MAX][NSTEPS];
};

/* The rank's own; returns how many labels of all ranks count. */
static int fill_sequences(struct tt_step *step, const struct job *job, const struct tt_mesh *mesh)
{
    const int own = tt_mesh_coord(mesh, TT_MESH_BATCH), n = job->ndata / tt_mesh_size(mesh, TT_MESH_BATCH);
    int32_t tokens[SEQ_LEN], labels[SEQ_LEN];
    int all = 0;

    for (int mb = 0; mb < NMB; mb++)
        for (int data = 0; data < job->ndata; data++) {
            const int at = data - own * n;
            const bool here = at >= 0 && at < n;
            unsigned seed = (unsigned)(100 + mb * job->ndata + data);
            all += fill_tokens(here ? tt_step_tokens(step, mb) + at * SEQ_LEN : tokens,
                               here ? tt_step_labels(step, mb) + at * SEQ_LEN : labels, SEQ_LEN, job->opts.args->vocab_size, &seed);
        }
    return all;
}

static tt_status train(void *ctx, struct tt_step *step, const struct tt_mesh *mesh, struct tt_err *err)
{
    struct job *job = ctx;
    int64_t number = 1;

    fill_params(step, mesh);
    const int ntokens = fill_sequences(step, job, mesh);
    for (int i = 0; i < NSTEPS; i++) {
        const struct tt_step_in in = {
            .hyper = { 1e-3, 0.9, 0.95, 1e-8, 0.1, true }, .step = number, .max_norm = 1, .global_tokens = ntokens
        };
        struct tt_step_out out;
        const tt_status status = tt_step_run(step, &in, &out, err);
        if (status != TT_OK)
            return status;
        number += out.nsteps;
        job->loss[mesh->rank][i] = out.loss;
        job->norm[mesh->rank][i] = out.grad_norm;
    }
    return TT_OK;
}

static tt_status run_rank(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct job *job = ctx;
    const struct tt_mesh mesh = { job->degrees, world->rank };
    struct tt_step_opts opts = job->opts;

    opts.local_batch = job->ndata / tt_mesh_size(&mesh, TT_MESH_BATCH);
    return run_rank_of(world, &job->degrees, opts, train, job, err);
}

static void run(struct job *job, const struct tt_step_opts *how, int ndata, int replicate, int shard, int tp)
{
    const struct tt_degrees degrees = {
        .dp_replicate = replicate, .dp_shard = shard, .cp = 1, .tp = tp, .pp = 1, .ep = 1, .etp = 1
    };
    struct tt_err err = { 0 };

    *job = (struct job){ .opts = *how, .degrees = degrees, .ndata = ndata };
    job->opts.family = tt_family_find("llama3");
    job->opts.args = how->args ? how->args : &small;
    job->opts.seq_len = SEQ_LEN;
    job->opts.nmicrobatches = NMB;
    if (tt_local_run(replicate * shard * tp, run_rank, job, &err) != TT_OK)
        fail_msg("%d x %d x %d ranks: %s", replicate, shard, tp, err.msg);
}

/* The loss of step i of all ranks; those of a tensor parallel group have the same, and all have the same norm. */
static float loss_of(const struct job *job, int i)
{
    const int tp = (int)job->degrees.tp, nranks = (int)tt_degrees_nranks(&job->degrees);
    float loss = 0;

    for (int r = 0; r < nranks; r++) {
        loss += r % tp == 0 ? job->loss[r][i] : 0;
        assert_true(job->loss[r][i] == job->loss[r / tp * tp][i]);
        assert_true(job->norm[r][i] == job->norm[0][i]);
    }
    return loss;
}

static void check(const struct job *expected, const struct job *found, float loss_tol, float norm_tol)
{
    const struct tt_degrees *d = &found->degrees;

    for (int i = 0; i < NSTEPS; i++) {
        const float loss[] = { loss_of(expected, i), loss_of(found, i) }, norm[] = { expected->norm[0][i], found->norm[0][i] };
        if (!(fabsf(loss[1] - loss[0]) <= loss_tol) || !(fabsf(norm[1] - norm[0]) <= norm_tol * norm[0]))
            fail_msg("step %d of %d x %d x %d ranks: loss %.9g, norm %.9g, expected %.9g, %.9g", i + 1, (int)d->dp_replicate,
                     (int)d->dp_shard, (int)d->tp, (double)loss[1], (double)norm[1], (double)loss[0], (double)norm[0]);
    }
}

/* Losses and norms as TorchTitan's layouts are held to: 5e-5 and 1e-4. */
static void compare(const struct tt_step_opts *how, int replicate, int shard, int tp)
{
    struct tt_step_opts plain = *how;
    struct job one, many;

    plain.keep = (struct tt_keep){ .kind = TT_KEEP_ALL };
    plain.overlap = plain.whole_logits = false;
    run(&one, &plain, replicate * shard, 1, 1, 1);
    run(&many, how, replicate * shard, replicate, shard, tp);
    check(&one, &many, 5e-5f, 1e-4f);
}

/* --- what meets -------------------------------------------------------------------------------------------------------------- */

static void test_overlap_and_products_made_again_and_shards(void **state)
{
    const struct tt_step_opts how = { .overlap = true, .keep = { .kind = TT_KEEP_PRODUCTS, .remade = remade, .nremade = 2 } };

    (void)state;
    compare(&how, 1, 2, 2);
    compare(&how, 2, 2, 2);
}

static void test_overlap_and_a_budget_and_an_uneven_hidden_size(void **state)
{
    struct tt_model_args args = small;
    struct tt_step_opts how = { .args = &args, .overlap = true, .keep = { .kind = TT_KEEP_MOST } };

    (void)state;
    args.multiple_of = 1;
    args.ffn_dim_multiplier = 1.06; /* 135 */
    for (int i = 0; i <= 4; i++) {
        how.keep_budget = i / 4.0;
        compare(&how, 1, 2, 4);
    }
}

static void test_steps_in_the_backward_and_overlap(void **state)
{
    const struct tt_step_opts how = { .overlap = true, .step_in_backward = true };

    (void)state;
    compare(&how, 1, 1, 4);
    compare(&how, 1, 2, 2);
}

static void test_steps_in_the_backward_and_whole_logits(void **state)
{
    const struct tt_step_opts how = { .whole_logits = true, .step_in_backward = true };

    (void)state;
    compare(&how, 1, 1, 4);
    compare(&how, 2, 2, 2);
}

static void test_layers_made_again_and_parameters_that_are_not_given_back(void **state)
{
    const struct tt_step_opts how = { .give_back = TT_GIVE_BACK_NONE, .keep = { .kind = TT_KEEP_LAYER_INPUTS } };

    (void)state;
    compare(&how, 1, 3, 1);
    compare(&how, 2, 2, 2);
}

/* Of five words the fourth rank has none, and the shards of that nothing. */
static void test_no_part_of_the_vocabulary_and_shards(void **state)
{
    struct tt_model_args args = small;
    struct tt_step_opts how = { .args = &args };

    (void)state;
    args.vocab_size = 5;
    for (int early = 0; early < 2; early++) {
        how.step_in_backward = early;
        compare(&how, 1, 2, 4);
    }
}

/* Ranks that have the same sums of float32 round them to the same bfloat16. Plain products, whose order is no machine's own. */
static void test_gradients_are_rounded_once_a_microbatch(void **state)
{
    static const int layouts[][3] = { { 2, 4, 1 }, { 1, 4, 2 }, { 2, 2, 2 } };
    const struct tt_step_opts how = { .prec = TT_PREC_PARAM_F32, .param_dtype = TT_BF16, .kernels = &tt_kernels_ref };
    struct job fsdp, other;

    (void)state;
    run(&fsdp, &how, 8, 1, 8, 1);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        run(&other, &how, 8, layouts[i][0], layouts[i][1], layouts[i][2]);
        check(&fsdp, &other, 1e-6f, 1e-6f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlap_and_products_made_again_and_shards),
        cmocka_unit_test(test_overlap_and_a_budget_and_an_uneven_hidden_size),
        cmocka_unit_test(test_steps_in_the_backward_and_overlap),
        cmocka_unit_test(test_steps_in_the_backward_and_whole_logits),
        cmocka_unit_test(test_layers_made_again_and_parameters_that_are_not_given_back),
        cmocka_unit_test(test_no_part_of_the_vocabulary_and_shards),
        cmocka_unit_test(test_gradients_are_rounded_once_a_microbatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What ranks say to each other outside of a step, and checkpoints that they write and read together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "test_flavor.h"
#include "train/checkpoint.h"
#include "train/same.h"
#include "train/share.h"

enum { NRANKS = 3 };

/* What the ranks of a test do; one of them may be to fail. */
struct job {
    struct tt_arena arena;
    struct tt_config config;
    int failing; /* rank; -1: none */
    int64_t step;
    tt_status (*act)(struct job *job, struct tt_ranks *ranks, struct tt_err *err);
};

static tt_status run_rank(struct tt_world *world, void *ctx, struct tt_err *err)
{
    struct job *job = ctx;
    struct tt_ranks ranks = { 0 };
    tt_status status = tt_ranks_open(&ranks, world, NRANKS, &job->config, err);
    if (status == TT_OK)
        status = job->act(job, &ranks, err);
    if (status != TT_OK)
        tt_world_abort(world, err);
    tt_ranks_close(&ranks);
    return status;
}

static struct job *new_job(void)
{
    static struct job job;
    struct tt_err err;
    char flavor_path[64];
    snprintf(flavor_path, sizeof flavor_path, "%s/tiny.yaml", folder);
    char *argv[] = { "titan-train", "--model.flavor", flavor_path, "--job.dump_folder", folder, "--checkpoint.enable",
                     "--checkpoint.interval", "1", "--checkpoint.exclude_from_loading", "dataloader,lr_scheduler" };

    job = (struct job){ .failing = -1 };
    if (tt_config_load(&job.config, &job.arena, sizeof argv / sizeof *argv, argv, NULL, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return &job;
}

static void run(struct job *job)
{
    struct tt_err err;
    if (tt_local_run(NRANKS, run_rank, job, &err) != TT_OK)
        fail_msg("%s", err.msg);
}

/* What needs a job for nothing else. */
static void run_alone(tt_status (*act)(struct job *job, struct tt_ranks *ranks, struct tt_err *err))
{
    struct job *job = new_job();
    job->act = act;
    run(job);
    tt_arena_release(&job->arena);
}

/* --- words ------------------------------------------------------------------------------------------------------------------ */

static tt_status talk(struct job *job, struct tt_ranks *r, struct tt_err *err)
{
    int64_t v[2] = { r->world->rank, 10 };
    char text[16] = "";
    struct tt_buf parts[NRANKS] = { { 0 } };

    (void)job;
    tt_status status = tt_ranks_sum(r, v, 2, err);
    if (status == TT_OK && (v[0] != 3 || v[1] != 10 * NRANKS))
        return tt_err_set(err, TT_EINVAL, "the sums are %" PRId64 " and %" PRId64, v[0], v[1]);
    if (tt_ranks_is_first(r))
        strcpy(text, "from the first");
    if (status == TT_OK)
        status = tt_ranks_broadcast(r, text, sizeof text, err);
    if (status == TT_OK && strcmp(text, "from the first") != 0)
        return tt_err_set(err, TT_EINVAL, "the text is '%s'", text);
    if (status == TT_OK)
        status = tt_ranks_gather(r, "abc", (size_t)r->world->rank, parts, err);
    for (int i = 0; i < NRANKS; i++) {
        if (status == TT_OK && parts[i].len != (tt_ranks_is_first(r) ? (size_t)i : 0))
            status = tt_err_set(err, TT_EINVAL, "rank %d sent %zu bytes", i, parts[i].len);
        tt_buf_release(&parts[i]);
    }
    return status == TT_OK ? tt_same_check(r, &job->config, err) : status;
}

static void test_sums_broadcasts_and_gathers(void **state)
{
    (void)state;
    run_alone(talk);
}

/* Rank 1 fails and rank 2 too: all have the error of rank 1. */
static tt_status fail_together(struct job *job, struct tt_ranks *r, struct tt_err *err)
{
    const int rank = r->world->rank;
    struct tt_err why = { 0 };
    tt_status status = rank > 0 ? tt_err_set(&why, TT_EIO, "no disk at %d", rank) : TT_OK;

    (void)job;
    status = tt_ranks_agree(r, status, &why);
    if (status != TT_EIO || why.of_rank != 1 + 1 || strcmp(why.msg, "no disk at 1") != 0)
        return tt_err_set(err, TT_EINVAL, "status %d of %d: %s", (int)status, why.of_rank, why.msg);
    status = tt_ranks_agree(r, status, &why); /* once more, and it is rank 1's still */
    tt_err_name_rank(&why);
    if (status != TT_EIO || strcmp(why.msg, "rank 1: no disk at 1") != 0)
        return tt_err_set(err, TT_EINVAL, "status %d: %s", (int)status, why.msg);
    return tt_ranks_agree(r, TT_OK, err);
}

static void test_a_failure_of_one_is_one_of_all(void **state)
{
    (void)state;
    run_alone(fail_together);
}

/* --- settings that differ ----------------------------------------------------------------------------------------------------- */

static tt_status differ(struct job *job, struct tt_ranks *r, struct tt_err *err)
{
    struct tt_config config = job->config;
    struct tt_err why = { 0 };

    config.metrics.save_jsonl = tt_ranks_is_first(r) ? "steps.jsonl" : NULL; /* which is rank 0's */
    if (r->world->rank == 2)
        config.training.seq_len /= 2;
    if (tt_same_check(r, &config, &why) != TT_EINVAL ||
        !strstr(why.msg, "training.seq_len: 1024, where rank 0 has 2048; all ranks of a run have to have the same"))
        return tt_err_set(err, TT_EINVAL, "found no difference: %s", why.msg);
    return TT_OK;
}

static void test_another_configuration_on_a_rank_is_found(void **state)
{
    (void)state;
    run_alone(differ);
}

/* --- checkpoints -------------------------------------------------------------------------------------------------------------- */

/* A rank's part of the state, each element its number in all of the tensor, and the step. */
static void make_state(struct tt_train_state *state, struct tt_arena *arena, struct tt_ranks *r, struct tt_err *err)
{
    const struct tt_params *params = &r->job.params;
    struct tt_region *part = tt_arena_array(arena, (size_t)params->n, sizeof *part);
    struct tt_state_tensor *tensors = tt_arena_array(arena, (size_t)params->n, sizeof *tensors);

    assert_int_equal(tt_share_parts(part, &r->job, &r->mesh, err), TT_OK);
    for (int i = 0; i < params->n; i++) {
        const struct tt_param *p = &params->p[i];
        const int64_t width = p->numel / p->size[0], n = part[i].size[0] * width;
        float *x[3];
        for (int k = 0; k < 3; k++) {
            x[k] = tt_arena_array(arena, (size_t)n + 1, sizeof **x);
            for (int64_t j = 0; j < n; j++)
                x[k][j] = (float)(part[i].offset[0] * width + j + k);
        }
        tensors[i] = (struct tt_state_tensor){ .fqn = p->fqn, .dtype = TT_F32, .ndim = p->ndim, .shape = p->size,
                                               .offsets = part[i].offset, .sizes = part[i].size,
                                               .weight = x[0], .exp_avg = x[1], .exp_avg_sq = x[2] };
    }
    *state = (struct tt_train_state){ .tensors = tensors, .ntensors = (size_t)params->n, .dp_rank = r->world->rank, .dp_world = NRANKS };
}

static tt_status save(struct job *job, struct tt_ranks *r, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_train_state state;
    struct tt_checkpointer c;
    static const int64_t wrong[] = { 1 << 20, 1 << 20 };

    make_state(&state, &arena, r, err);
    state.step = state.optimizer_steps = job->step;
    if (r->world->rank == job->failing) /* a part that lies in no tensor */
        ((struct tt_state_tensor *)state.tensors)[0].offsets = wrong;
    tt_status status = tt_checkpointer_init(&c, &job->config, &state, r, NULL, NULL, err);
    if (status == TT_OK)
        status = tt_checkpointer_save(&c, &state, TT_SAVE_STOPPED, err);
    tt_checkpointer_release(&c);
    tt_arena_release(&arena);
    return status;
}

static tt_status load(struct job *job, struct tt_ranks *r, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_train_state state, expected;
    struct tt_checkpointer c;
    unsigned loaded = 0;

    make_state(&state, &arena, r, err);
    make_state(&expected, &arena, r, err);
    for (size_t i = 0; i < state.ntensors; i++)
        if (state.tensors[i].sizes[0] > 0)
            *(float *)state.tensors[i].weight = -1;
    tt_status status = tt_checkpointer_init(&c, &job->config, &state, r, NULL, NULL, err);
    if (status == TT_OK)
        status = tt_checkpointer_load(&c, &state, &loaded, err);
    if (status == TT_OK && (!loaded || state.step != job->step))
        status = tt_err_set(err, TT_EINVAL, "expected step %" PRId64 ", loaded %x: %" PRId64, job->step, loaded, state.step);
    for (size_t i = 0; i < state.ntensors && status == TT_OK; i++)
        if (state.tensors[i].sizes[0] > 0 && *(float *)state.tensors[i].weight != *(float *)expected.tensors[i].weight)
            status = tt_err_set(err, TT_EINVAL, "%s is not what was saved", state.tensors[i].fqn);
    tt_checkpointer_release(&c);
    tt_arena_release(&arena);
    return status;
}

static void test_what_ranks_save_together_they_load_together(void **state)
{
    (void)state;
    struct job *job = new_job();
    for (job->step = 1; job->step <= 2; job->step++) {
        job->act = save;
        run(job);
        job->act = load;
        run(job);
    }
    tt_arena_release(&job->arena);
}

/* Of the ranks that can be read nothing is left, and the step before is still there. */
static void test_a_save_that_fails_on_one_rank_leaves_nothing(void **state)
{
    (void)state;
    struct job *job = new_job();
    struct tt_arena arena = { 0 };
    struct tt_err err;
    char **names, path[64];
    size_t n;

    job->act = save;
    job->step = 3;
    for (job->failing = 0; job->failing < NRANKS; job->failing++) {
        assert_int_equal(tt_local_run(NRANKS, run_rank, job, &err), TT_EINVAL);
        assert_non_null(strstr(err.msg, "tok_embeddings.weight"));
    }
    snprintf(path, sizeof path, "%s/checkpoint", folder);
    assert_int_equal(tt_dir_list(&arena, path, &names, &n, &err), TT_OK);
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], "step-1") != 0 && strcmp(names[i], "step-2") != 0)
            fail_msg("%s is left", names[i]);
    job->step = 2;
    job->act = load;
    run(job);
    tt_arena_release(&arena);
    tt_arena_release(&job->arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_broadcasts_and_gathers),
        cmocka_unit_test(test_a_failure_of_one_is_one_of_all),
        cmocka_unit_test(test_another_configuration_on_a_rank_is_found),
        cmocka_unit_test(test_what_ranks_save_together_they_load_together),
        cmocka_unit_test(test_a_save_that_fails_on_one_rank_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

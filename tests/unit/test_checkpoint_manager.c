/* TorchTitan 0.2.2's tests of its checkpoint manager (tests/unit_tests/test_checkpoint.py), in their order and under their names:
 * the same calls and the same outcome, or the reason why not. Those count calls of a save that does nothing; these look for the
 * steps. */
#define _GNU_SOURCE
#include "tests/unit/test_checkpointer.h"
#include "train/step_dirs.h"

/* Its settings there. */
static int setup_manager(void **state)
{
    const int rc = setup(state);
    struct fixture *f = *state;
    f->config.checkpoint.interval = 1;
    f->config.checkpoint.keep_latest_k = 2;
    f->config.checkpoint.last_save_model_only = false;
    init_again(f);
    return rc;
}

static void save_step(struct fixture *f, int64_t step, enum tt_save_when when)
{
    f->state.step = step;
    save(f, when);
}

static void assert_steps(const struct fixture *f, size_t n, const int64_t *steps)
{
    struct tt_arena arena = { 0 };
    struct tt_step_dirs dirs;
    assert_int_equal(tt_step_dirs_list(&dirs, &arena, f->checkpointer.folder, NULL), TT_OK);
    assert_int_equal(dirs.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(dirs.dir[i].step, steps[i]);
        assert_true(dirs.dir[i].complete);
    }
    tt_arena_release(&arena);
}

#define STEPS(f, ...) assert_steps(f, sizeof(int64_t[]){ __VA_ARGS__ } / sizeof(int64_t), (const int64_t[]){ __VA_ARGS__ })

/* Whether a step has all of the state, or the model alone. */
static bool is_full(const struct fixture *f, int step)
{
    char path[256];
    struct tt_ckpt *ckpt;
    snprintf(path, sizeof path, "%s/step-%d", f->checkpointer.folder, step);
    assert_int_equal(tt_ckpt_open(&ckpt, path, NULL), TT_OK);
    const unsigned parts = tt_state_parts_in(&ckpt->entries);
    tt_ckpt_close(ckpt);
    assert_true((parts | TT_STATE_MODEL) == TT_STATE_ALL || (parts | TT_STATE_MODEL) == TT_STATE_MODEL);
    return (parts | TT_STATE_MODEL) == TT_STATE_ALL;
}

static void set_load_step(struct fixture *f, int64_t step)
{
    f->config.checkpoint.load_step = step;
    init_again(f);
}

static void assert_weights_of(const struct fixture *f, int64_t step, bool moments)
{
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 6; j++) {
            const float weight = (float)(100 * step + 10 * i + j);
            assert_true(f->weight[i][j] == weight);
            assert_true(f->exp_avg[i][j] == (moments ? -weight : 0));
            assert_true(f->exp_avg_sq[i][j] == (moments ? weight / 3 : 0));
        }
}

static void test_save_load_restores_state(void **state)
{
    struct fixture *f = *state;
    advance(f);
    save(f, TT_SAVE_DUE);
    set_load_step(f, 1);
    assert_true(load(f, NULL)); /* into a state of zeros */
    assert_weights_of(f, 1, true);
    assert_next_batch(f, 2);
}

static void test_save_and_purge_keeps_last_k_checkpoints(void **state)
{
    struct fixture *f = *state;
    for (int step = 1; step <= 3; step++)
        save_step(f, step, TT_SAVE_DUE);
    STEPS(f, 2, 3);
    assert_true(is_full(f, 3));
}

/* test_nonzero_rank_does_not_purge_or_save: a rank other than 0 takes part in saving and removes nothing. titan trains in one
 * process: there is no other rank to remove anything. */

static void test_load_returns_false_when_no_checkpoint_folder(void **state)
{
    struct fixture *f = *state;
    unsigned loaded = TT_STATE_ALL;
    f->config.checkpoint.folder = "nonexistent";
    init_again(f);
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, NULL), TT_OK);
    assert_int_equal(loaded, 0);
    set_load_step(f, 5); /* nor is it asked for a step of it; titan says so */
    loaded = TT_STATE_ALL;
    tt_buf_clear(&f->warnings);
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, NULL), TT_OK);
    assert_int_equal(loaded, 0);
    assert_non_null(strstr(tt_buf_cstr(&f->warnings), "checkpoint.load_step is 5 but there is no folder "));
}

/* There the two steps are empty files; titan would skip those, for it reads what it takes. */
static void test_load_finds_latest_and_calls_dcp_load(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.folder = "checkpoints";
    init_again(f);
    for (int step = 1; step <= 5; step++) {
        advance(f);
        if (step == 2 || step == 5)
            save(f, TT_SAVE_DUE);
    }
    STEPS(f, 2, 5);
    assert_true(load(f, NULL));
    assert_int_equal(f->state.step, 5);
    assert_weights_of(f, 5, true);
}

static void test_interval_respects_interval(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.interval = 3;
    f->config.checkpoint.keep_latest_k = 0;
    save_step(f, 1, TT_SAVE_DUE);
    save_step(f, 2, TT_SAVE_DUE);
    assert_false(has(f, "step-1"));
    assert_false(has(f, "step-2"));
    save_step(f, 2, TT_SAVE_LAST);
    STEPS(f, 2);
    save_step(f, 3, TT_SAVE_DUE);
    STEPS(f, 2, 3);
    save_step(f, 4, TT_SAVE_DUE);
    STEPS(f, 2, 3);
    save_step(f, 4, TT_SAVE_LAST);
    STEPS(f, 2, 3, 4);
}

/* There the second manager works in the first one's folder, and takes its step 1, a model alone, as a full one: what it calls in
 * place of a load does not mind. A load of PyTorch's would ("Missing key in checkpoint state_dict"), and titan refuses it too. In a
 * folder of its own it begins with that step's model, which is what initial_load_path is for. */
static void test_last_save_model_only_and_initial_load_model_only(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    char path[128];
    f->config.checkpoint.last_save_model_only = true;
    advance(f);
    save(f, TT_SAVE_LAST);
    assert_false(is_full(f, 1));

    snprintf(path, sizeof path, "%s/step-1", f->checkpointer.folder);
    f->config.checkpoint.last_save_model_only = false;
    f->config.checkpoint.initial_load_model_only = true;
    f->config.checkpoint.initial_load_path = path;
    set_load_step(f, 1);
    assert_false(load(f, &err));
    assert_non_null(strstr(err.msg, "step-1 holds the model only"));

    f->config.checkpoint.folder = "second";
    init_again(f);
    assert_true(load(f, NULL));
    assert_weights_of(f, 1, false);
    assert_int_equal(f->state.step, 0);

    advance(f);
    advance(f);
    save(f, TT_SAVE_LAST);
    STEPS(f, 2);
    assert_true(is_full(f, 2));
    set_load_step(f, 2);
    assert_true(load(f, NULL)); /* its own, not initial_load_path's */
    assert_int_equal(f->state.step, 2);
    assert_weights_of(f, 2, true);
}

static void set_async(struct fixture *f, enum tt_async_mode mode)
{
    f->config.checkpoint.async_mode = mode;
    f->config.checkpoint.keep_latest_k = 0;
    init_again(f);
}

/* There a flag says that the copy of the state is still in the making, and the next step waits for it. In titan the copy is made
 * when the save returns: that step may write over everything at once. */
static void test_async_save_with_pinned_mem_sets_staging_flag(void **state)
{
    struct fixture *f = *state;
    set_async(f, TT_ASYNC_PINNED);
    advance(f);
    set_hold(1);
    save(f, TT_SAVE_DUE);
    advance(f);
    advance(f);
    assert_false(has(f, "step-1"));
    set_hold(0);
    tt_checkpointer_wait(&f->checkpointer);
    STEPS(f, 1);
    assert_true(load(f, NULL));
    assert_int_equal(f->state.step, 1);
    assert_weights_of(f, 1, true);
}

/* The first save does not wait; the second one does, for the first, and leaves one of its own. */
static void assert_second_save_waits(struct fixture *f, int64_t first, int64_t second)
{
    char name[32];
    pthread_t thread;
    snprintf(name, sizeof name, "step-%d/.metadata", (int)first);
    set_hold(1);
    save_step(f, first, TT_SAVE_DUE);
    assert_false(has(f, name));
    assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
    save_step(f, second, TT_SAVE_DUE);
    assert_true(has(f, name));
    pthread_join(thread, NULL);
    tt_checkpointer_wait(&f->checkpointer);
    STEPS(f, first, second);
}

static void test_async_save_calls_async_wait(void **state)
{
    struct fixture *f = *state;
    set_async(f, TT_ASYNC);
    assert_second_save_waits(f, 10, 20);
}

/* There fault tolerance is on in name: the manager is given one that is off. titan refuses fault_tolerance.enable, and has no other
 * replicas that may save instead. */
static void test_ft_async_save_calls_async_wait(void **state)
{
    struct fixture *f = *state;
    set_async(f, TT_ASYNC);
    assert_second_save_waits(f, 5, 6);
}

static void test_enable_first_step_checkpoint(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.interval = 10;
    f->config.checkpoint.keep_latest_k = 0;
    save_step(f, 1, TT_SAVE_DUE);
    assert_false(has(f, "step-1"));
    save_step(f, 10, TT_SAVE_DUE);
    STEPS(f, 10);

    assert_int_equal(tt_remove_all(f->checkpointer.folder, NULL), TT_OK);
    f->config.checkpoint.enable_first_step_checkpoint = true;
    init_again(f);
    save_step(f, 1, TT_SAVE_DUE);
    STEPS(f, 1);
    save_step(f, 2, TT_SAVE_DUE);
    STEPS(f, 1);
    save_step(f, 10, TT_SAVE_DUE);
    STEPS(f, 1, 10);
}

/* There freqs_cis is a buffer that is not to be saved; in titan it is no tensor of the state, which has the family's parameters. */
static void test_non_persist_buffer_not_saved(void **state)
{
    struct fixture *f = *state;
    struct tt_ckpt *ckpt;
    char path[128];
    size_t nmodel = 0;
    f->config.checkpoint.keep_latest_k = 0;
    save_step(f, 1, TT_SAVE_DUE);
    snprintf(path, sizeof path, "%s/step-1", f->checkpointer.folder);
    assert_int_equal(tt_ckpt_open(&ckpt, path, NULL), TT_OK);
    for (size_t i = 0; i < ckpt->entries.n; i++) {
        const char *fqn = ckpt->entries.items[i].fqn;
        assert_null(strstr(fqn, "freqs_cis"));
        nmodel += strcmp(fqn, "tok_embeddings.weight") == 0 || strcmp(fqn, "norm.weight") == 0;
    }
    assert_int_equal(nmodel, 2);
    tt_ckpt_close(ckpt);
}

static void test_load_only_prevents_saving(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.load_only = true;
    init_again(f);
    save_step(f, 1, TT_SAVE_DUE);
    save_step(f, 5, TT_SAVE_DUE);
    save_step(f, 10, TT_SAVE_LAST);
    save_step(f, 11, TT_SAVE_STOPPED); /* titan's own */
    assert_false(tt_path_exists(f->checkpointer.folder));

    f->config.checkpoint.load_only = false;
    init_again(f);
    save_step(f, 1, TT_SAVE_DUE);
    STEPS(f, 1);
}

/* Keys of the model have no prefix; the optimizer is in a step on the way, and not in a last one of the model alone. */
static void test_verify_prefix(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.last_save_model_only = true;
    f->config.checkpoint.initial_load_model_only = false;
    advance(f);
    save(f, TT_SAVE_DUE);
    advance(f);
    save(f, TT_SAVE_LAST);
    for (int step = 1; step <= 2; step++) {
        char path[128];
        struct tt_ckpt *ckpt;
        size_t nmodel = 0, noptimizer = 0;
        snprintf(path, sizeof path, "%s/step-%d", f->checkpointer.folder, step);
        assert_int_equal(tt_ckpt_open(&ckpt, path, NULL), TT_OK);
        for (size_t i = 0; i < ckpt->entries.n; i++) {
            const char *fqn = ckpt->entries.items[i].fqn;
            assert_int_not_equal(strncmp(fqn, "model", 5), 0);
            nmodel += strcmp(fqn, "tok_embeddings.weight") == 0 || strcmp(fqn, "norm.weight") == 0;
            noptimizer += strncmp(fqn, "optimizer.", 10) == 0;
        }
        assert_int_equal(nmodel, 2);
        assert_int_equal(noptimizer > 0, step == 1);
        tt_ckpt_close(ckpt);
    }
    set_load_step(f, 1);
    assert_true(load(f, NULL));
    assert_weights_of(f, 1, true);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup_manager, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_save_load_restores_state),
        CASE(test_save_and_purge_keeps_last_k_checkpoints),
        CASE(test_load_returns_false_when_no_checkpoint_folder),
        CASE(test_load_finds_latest_and_calls_dcp_load),
        CASE(test_interval_respects_interval),
        CASE(test_last_save_model_only_and_initial_load_model_only),
        CASE(test_async_save_with_pinned_mem_sets_staging_flag),
        CASE(test_async_save_calls_async_wait),
        CASE(test_ft_async_save_calls_async_wait),
        CASE(test_enable_first_step_checkpoint),
        CASE(test_non_persist_buffer_not_saved),
        CASE(test_load_only_prevents_saving),
        CASE(test_verify_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

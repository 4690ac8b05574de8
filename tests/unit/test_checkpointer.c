/* When a run saves, what it starts from, and that what it saves is all that it needs. */
#define _GNU_SOURCE
#include "tests/unit/test_checkpointer.h"

static void run_to(struct fixture *f, int64_t steps)
{
    while (f->state.step < steps) {
        advance(f);
        assert_int_equal(
            tt_checkpointer_save(&f->checkpointer, &f->state, f->state.step == steps ? TT_SAVE_LAST : TT_SAVE_DUE, NULL), TT_OK);
    }
}

/* Parsed at init: what is to be left out. */
static void exclude(struct fixture *f, size_t n, const char **parts)
{
    f->config.checkpoint.exclude_from_loading = (struct tt_strs){ n, parts };
    init_again(f);
}

static int nwarnings(struct fixture *f)
{
    int n = 0;
    for (const char *p = tt_buf_cstr(&f->warnings); (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

static bool warned(struct fixture *f, const char *text) { return strstr(tt_buf_cstr(&f->warnings), text) != NULL; }

static void test_saves_at_the_interval_and_at_the_end(void **state)
{
    struct fixture *f = *state;
    run_to(f, 5);
    assert_false(has(f, "step-1"));
    assert_true(has(f, "step-2/.metadata"));
    assert_false(has(f, "step-3"));
    assert_true(has(f, "step-4/.metadata"));
    assert_true(has(f, "step-5/.metadata"));
}

static void test_the_first_step_and_load_only(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.enable_first_step_checkpoint = true;
    f->config.checkpoint.interval = 100;
    run_to(f, 1);
    assert_true(has(f, "step-1/.metadata"));
    f->config.checkpoint.load_only = true;
    run_to(f, 3);
    assert_false(has(f, "step-3"));
}

static void test_a_run_that_is_stopped_saves_what_no_checkpoint_has(void **state)
{
    struct fixture *f = *state;
    unsigned loaded;
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, NULL), TT_OK);
    assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_STOPPED, NULL), TT_OK);
    assert_false(has(f, "step-0"));
    for (int i = 0; i < 3; i++) {
        advance(f);
        assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_DUE, NULL), TT_OK);
    }
    assert_false(has(f, "step-3"));
    assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_STOPPED, NULL), TT_OK);
    assert_true(load(f, NULL)); /* all of it, whatever last_save_model_only says */
    assert_int_equal(f->state.step, 3);
    assert_int_equal(nwarnings(f), 0);

    assert_int_equal(tt_remove_all(f->checkpointer.folder, NULL), TT_OK);
    assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_STOPPED, NULL), TT_OK);
    assert_false(has(f, "step-3")); /* it was loaded: nothing is new */
}

static void test_all_of_the_state_comes_back(void **state)
{
    struct fixture *f = *state;
    struct tt_train_state saved;
    float weight[2][6], exp_avg[2][6], exp_avg_sq[2][6];
    f->config.checkpoint.last_save_model_only = false;
    run_to(f, 4);
    saved = f->state;
    memcpy(weight, f->weight, sizeof weight);
    memcpy(exp_avg, f->exp_avg, sizeof exp_avg);
    memcpy(exp_avg_sq, f->exp_avg_sq, sizeof exp_avg_sq);

    assert_true(load(f, NULL));
    assert_string_equal(tt_buf_cstr(&f->warnings), "");
    assert_memory_equal(f->weight, weight, sizeof weight);
    assert_memory_equal(f->exp_avg, exp_avg, sizeof exp_avg);
    assert_memory_equal(f->exp_avg_sq, exp_avg_sq, sizeof exp_avg_sq);
    assert_memory_equal(&f->state.group, &saved.group, offsetof(struct tt_param_group, decoupled_weight_decay) + sizeof(bool));
    assert_true(f->state.lr.base == saved.lr.base);
    assert_true(f->state.lr.last == saved.lr.last);
    assert_int_equal(f->state.lr.last_epoch, saved.lr.last_epoch);
    assert_int_equal(f->state.lr.step_count, saved.lr.step_count);
    assert_int_equal(f->state.step, 4);
    assert_int_equal(f->state.ntokens_seen, 4 * BATCH * SEQ);
    assert_int_equal(f->state.optimizer_steps, 4);

    assert_next_batch(f, 5);
}

static void next_of(struct tt_loader *loader, int32_t *tokens)
{
    int32_t labels[BATCH * SEQ];
    int64_t nseq;
    assert_int_equal(tt_loader_next(loader, tokens, labels, &nseq, NULL), TT_OK);
}

static void test_the_place_in_the_validation_data_comes_back_or_is_begun_anew(void **state)
{
    struct fixture *f = *state;
    struct tt_loader_opts opts = {
        .dataset = "c4_test", .path = "tests/assets/c4_test", .seq_len = SEQ, .local_batch = BATCH, .dp_world = 1, .infinite = true
    };
    int32_t found[BATCH * SEQ], next[BATCH * SEQ];
    unsigned loaded;
    assert_int_equal(tt_loader_new(&f->validation, f->tokenizer, &opts, NULL), TT_OK);
    for (int i = 0; i < 400; i++)
        next_of(f->validation, next);
    f->state.validation = f->validation;
    f->state.validation_due = true;
    f->config.checkpoint.last_save_model_only = false;
    run_to(f, 3);
    next_of(f->validation, next);

    assert_true(load(f, NULL)); /* without validation */
    assert_false(f->state.validation_due);
    f->state.validation = f->validation;
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, NULL), TT_OK);
    assert_true(f->state.validation_due);
    next_of(f->validation, found);
    assert_memory_equal(found, next, sizeof found);
    assert_string_equal(tt_buf_cstr(&f->warnings), "");

    /* In other data there is no such place. */
    tt_loader_free(f->validation);
    opts.path = "tests/golden/data/samples";
    assert_int_equal(tt_loader_new(&f->validation, f->tokenizer, &opts, NULL), TT_OK);
    f->state.validation = f->validation;
    f->state.validation_due = false;
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, NULL), TT_OK);
    assert_true(loaded);
    assert_false(f->state.validation_due);
    assert_true(warned(f, "The validation data is begun anew: ") &&
                warned(f, "dataloader.titan_validation: dataset_state.sample_idx"));
}

static void test_only_complete_steps_with_exact_names_count(void **state)
{
    struct fixture *f = *state;
    static const char *const others[] = { "step-9", "step-007", "step-8.tmp", "xstep-6", "step-", "step-99999999999999999999" };
    run_to(f, 3);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/checkpoint/%s", f->dir, others[i]);
        assert_int_equal(tt_mkdir_p(path, NULL), TT_OK);
        snprintf(path, sizeof path, "%s/checkpoint/%s/.metadata", f->dir, others[i]);
        if (i > 0)
            assert_int_equal(tt_file_write_all(path, "x", 1, NULL), TT_OK);
    }
    assert_true(load(f, NULL));
    assert_int_equal(f->state.step, 2);
    assert_int_equal(nwarnings(f), 2);
    assert_true(warned(f, "Step 9 is skipped: "));
    assert_true(warned(f, "Step 3 is skipped: ")); /* the last one: the model only */
}

static void test_a_folder_without_a_complete_step_counts_as_absent(void **state)
{
    struct fixture *f = *state;
    char path[256];
    unsigned loaded = TT_STATE_ALL;
    snprintf(path, sizeof path, "%s/checkpoint/step-4", f->dir);
    assert_int_equal(tt_mkdir_p(path, NULL), TT_OK);
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, NULL), TT_OK);
    assert_int_equal(loaded, 0);
}

static void test_a_model_only_step_is_skipped_with_the_way_to_train_anew(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    run_to(f, 5);
    assert_true(load(f, &err));
    assert_int_equal(f->state.step, 4);
    assert_int_equal(nwarnings(f), 1);
    assert_true(warned(f, "checkpoint/step-5 holds the model only; to train anew from its weights: "
                          "--checkpoint.exclude_from_loading train_state,optimizer,dataloader,lr_scheduler"));

    f->config.checkpoint.load_step = 5;
    assert_false(load(f, &err));
    assert_non_null(strstr(err.msg, "step-5 holds the model only"));

    f->config.checkpoint.load_step = -1;
    exclude(f, 4, (const char *[]){ "optimizer", "lr_scheduler", "dataloader", "train_state" });
    assert_true(load(f, &err));
    assert_int_equal(f->state.step, 0);
    assert_int_equal(f->state.optimizer_steps, 0);
    assert_true(f->weight[1][5] == 515.0f);
}

static void test_complete_steps_of_which_none_will_do_are_an_error(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_LAST, NULL), TT_OK); /* a seed */
    run_to(f, 1);
    assert_false(load(f, &err));
    assert_non_null(strstr(err.msg, "step-1 holds the model only"));
}

/* Writes bytes over the item file of a step, where `find` is. */
static void damage(const struct fixture *f, int step, const void *find, size_t nbytes)
{
    char path[256];
    struct tt_buf file = { 0 };
    snprintf(path, sizeof path, "%s/checkpoint/step-%d/__0_0.distcp", f->dir, step);
    assert_int_equal(tt_file_read_all(&file, path, 1 << 20, NULL), TT_OK);
    char *at = memmem(file.data, file.len, find, nbytes);
    assert_non_null(at);
    *at ^= 1;
    assert_int_equal(tt_file_write_all(path, file.data, file.len, NULL), TT_OK);
    tt_buf_release(&file);
}

static void test_damaged_steps_are_skipped_for_the_newest_that_reads(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    char path[256];
    const float moment = -(100 * 4 + 3);
    f->config.checkpoint.last_save_model_only = false;
    f->config.checkpoint.interval = 1;
    run_to(f, 6);
    snprintf(path, sizeof path, "%s/checkpoint/step-6/.metadata", f->dir);
    assert_int_equal(tt_file_write_all(path, "x", 1, NULL), TT_OK);
    snprintf(path, sizeof path, "%s/checkpoint/step-5/__0_0.distcp", f->dir);
    assert_int_equal(tt_remove_all(path, NULL), TT_OK);
    damage(f, 4, &moment, sizeof moment);
    damage(f, 3, "_sampler_iter_yielded", 21);
    snprintf(path, sizeof path, "%s/checkpoint/step-2/__0_0.distcp", f->dir);
    assert_int_equal(truncate(path, 10000), 0);

    assert_true(load(f, &err));
    assert_int_equal(nwarnings(f), 5);
    assert_true(warned(f, "Step 6 is skipped: "));
    assert_true(warned(f, "Step 2 is skipped: "));
    assert_int_equal(f->state.step, 1);
    assert_int_equal(f->state.lr.last_epoch, 1);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 6; j++) {
            assert_true(f->weight[i][j] == (float)(100 + 10 * i + j));
            assert_true(f->exp_avg[i][j] == -f->weight[i][j]);
        }

    f->config.checkpoint.load_step = 4; /* that one or none */
    assert_false(load(f, &err));
    assert_int_equal(err.status, TT_EFORMAT);
    f->config.checkpoint.load_step = -1;
    damage(f, 1, "_sampler_iter_yielded", 21);
    assert_false(load(f, &err));
    assert_non_null(strstr(err.msg, "step-6/.metadata"));
}

static void test_a_step_that_is_not_there_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    run_to(f, 4);
    f->config.checkpoint.load_step = 3;
    assert_false(load(f, &err));
    assert_int_equal(err.status, TT_ENOENT);
    assert_non_null(strstr(err.msg, "step-3; the newest is"));
}

static void test_step_0_gives_its_model_alone(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.last_save_model_only = false;
    f->weight[0][0] = 7;
    f->exp_avg[0][0] = 7;
    assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_LAST, NULL), TT_OK);
    assert_true(load(f, NULL));
    assert_true(f->weight[0][0] == 7);
    assert_true(f->exp_avg[0][0] == 0);
    assert_int_equal(f->state.optimizer_steps, 0);
}

static void test_what_the_checkpoint_overrides_is_a_warning_each(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.last_save_model_only = false;
    run_to(f, 2);
    f->config.optimizer.lr *= 2;
    f->config.optimizer.eps = 1e-4;
    f->config.optimizer.name = TT_ADAM;
    assert_true(load(f, NULL));
    assert_int_equal(nwarnings(f), 3);
    assert_true(warned(f, "optimizer.lr"));
    assert_true(warned(f, "optimizer.eps is 0.0001"));
    assert_true(warned(f, "optimizer.name is Adam"));
    assert_true(f->state.group.eps == 1e-8);
    assert_true(f->state.group.decoupled_weight_decay);
}

static void test_only_the_latest_complete_steps_are_kept(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.keep_latest_k = 2;
    f->config.checkpoint.interval = 1;
    f->config.checkpoint.last_save_model_only = false;
    static const char *const others[] = { "step-9", "step-007/.metadata", "step-8.old/.metadata" };
    for (int i = 0; i < 3; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/checkpoint/%s", f->dir, others[i]);
        assert_int_equal(tt_mkdir_p(path, NULL), TT_OK);
    }
    for (int i = 0; i < 4; i++) {
        advance(f);
        assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_DUE, NULL), TT_OK);
    }
    assert_false(has(f, "step-1"));
    assert_false(has(f, "step-2"));
    assert_true(has(f, "step-3/.metadata"));
    assert_true(has(f, "step-4/.metadata"));
    for (int i = 0; i < 3; i++)
        assert_true(has(f, others[i])); /* not complete, or none of ours: neither counted nor removed */
    f->config.checkpoint.keep_latest_k = 1;
    struct tt_checkpointer c;
    assert_int_equal(tt_checkpointer_init(&c, &f->config, &f->state, NULL, NULL, NULL, NULL), TT_EINVAL);
}

/* Going on from an older step: those of before are newer than what is saved now. */
static void test_the_step_just_saved_stays_whatever_is_newer(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.keep_latest_k = 2;
    f->config.checkpoint.last_save_model_only = false;
    run_to(f, 8);
    f->config.checkpoint.load_step = 6;
    init_again(f);
    assert_true(load(f, NULL));
    assert_true(warned(f, "The run is at step 6, and"));
    assert_true(warned(f, "step-8 is newer: it stays, and is what the next run goes on from without checkpoint.load_step."));
    f->config.checkpoint.interval = 1;
    f->state.step = 4; /* as if from a step 4 that is no more */
    advance(f);
    save(f, TT_SAVE_DUE);
    assert_true(has(f, "step-5/.metadata"));
    assert_true(has(f, "step-6/.metadata"));
    assert_true(has(f, "step-8/.metadata"));
    advance(f);
    advance(f);
    save(f, TT_SAVE_DUE);
    assert_false(has(f, "step-5"));
    assert_false(has(f, "step-6"));
    assert_true(has(f, "step-7/.metadata"));

    f->config.checkpoint.load_step = -1;
    exclude(f, 1, (const char *[]){ "train_state" });
    assert_true(load(f, NULL));
    assert_true(warned(f, "The run is at step 0, and"));
    exclude(f, 0, NULL);
    assert_true(load(f, NULL));
    assert_int_equal(nwarnings(f), 0);
}

static void test_a_folder_that_cannot_be_is_an_error_before_the_first_step(void **state)
{
    struct fixture *f = *state;
    struct tt_checkpointer c;
    struct tt_err err;
    char path[256];
    snprintf(path, sizeof path, "%s/file", f->dir);
    assert_int_equal(tt_file_write_all(path, "", 0, NULL), TT_OK);
    snprintf(path, sizeof path, "%s/link", f->dir);
    assert_int_equal(symlink("nowhere", path), 0);
    static const char *const folders[] = { "file", "link", "file/below/it" };
    for (int i = 0; i < 3; i++) {
        f->config.checkpoint.folder = folders[i];
        assert_int_equal(tt_checkpointer_init(&c, &f->config, &f->state, NULL, NULL, NULL, &err), TT_EINVAL);
        assert_non_null(strstr(err.msg, i == 1 ? "/link is not a folder" : "/file is not a folder"));
        tt_checkpointer_release(&c);
    }
    f->config.checkpoint.load_only = true;
    init_again(f);
    f->config.checkpoint.load_only = false;
    f->config.checkpoint.folder = "new/and/deep";
    init_again(f);
    snprintf(path, sizeof path, "%s/new", f->dir);
    assert_false(tt_path_exists(path));
}

static void test_an_unknown_part_to_exclude_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct tt_checkpointer c;
    struct tt_err err;
    f->config.checkpoint.exclude_from_loading = (struct tt_strs){ 1, (const char *[]){ "optimiser" } };
    assert_int_equal(tt_checkpointer_init(&c, &f->config, &f->state, NULL, NULL, NULL, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "'optimiser'"));
}

/* Before anything is read: what is left out, what is recast, what is missing or of another shape. */
static void test_what_of_a_checkpoint_is_not_as_the_run_has_it_is_told(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    char path[256], folder[256];
    f->config.checkpoint.export_dtype = TT_BF16;
    run_to(f, 3);
    snprintf(path, sizeof path, "%s/checkpoint/step-3", f->dir);
    f->config.checkpoint.folder = "other";
    snprintf(folder, sizeof folder, "%s/checkpoint", f->dir);
    f->config.checkpoint.initial_load_path = folder;
    init_again(f);
    assert_false(load(f, &err));
    assert_non_null(strstr(err.msg, "expected a checkpoint, found a folder of checkpoints, of which "));
    f->config.checkpoint.initial_load_path = path;
    init_again(f);
    assert_true(load(f, NULL));
    assert_true(warned(f, "step-3: 0 tensors are reshaped, 2 recast to torch.float32."));
    assert_int_equal(nwarnings(f), 1);

    fresh_state(f);
    f->state.ntensors = 1; /* a smaller model */
    unsigned loaded;
    tt_buf_clear(&f->warnings);
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, NULL), TT_OK);
    assert_true(warned(f, "step-3: in it, but not in the model, and left out: norm.weight"));

    static const int64_t other_shapes[][2] = { { 3, 2 }, { 5, 0 } };
    fresh_state(f);
    f->tensors[0].shape = other_shapes[0];
    f->tensors[1].shape = other_shapes[1];
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "expected a tensor of (3, 2), found (2, 3) (1 more of another shape: norm.weight)"));
    fresh_state(f);
    f->tensors[1].fqn = "norm.bias";
    assert_int_equal(tt_checkpointer_load(&f->checkpointer, &f->state, &loaded, &err), TT_ENOENT);
    assert_non_null(strstr(err.msg, "norm.bias"));
    assert_true(warned(f, "left out: norm.weight"));
    f->config.checkpoint.folder = "checkpoint";
    f->config.checkpoint.initial_load_path = NULL;
    f->config.checkpoint.export_dtype = TT_F32;
}

static void test_a_missing_part_is_named(void **state)
{
    struct fixture *f = *state;
    struct tt_err err;
    struct tt_arena arena = { 0 };
    struct tt_save_item *items;
    size_t n;
    char dir[128];
    advance(f);
    snprintf(dir, sizeof dir, "%s/checkpoint/step-1", f->dir);
    assert_int_equal(tt_state_items(&items, &n, &arena, &f->state, TT_STATE_ALL & ~TT_STATE_LR, NULL), TT_OK);
    assert_int_equal(tt_dcp_save(dir, items, n, NULL, NULL), TT_OK);
    tt_arena_release(&arena);
    assert_false(load(f, &err));
    assert_non_null(
        strstr(err.msg, "step-1 has no lr_scheduler; to go on from it without: --checkpoint.exclude_from_loading lr_scheduler"));
    exclude(f, 1, (const char *[]){ "lr_scheduler" });
    assert_true(load(f, &err));
}

/* From its at-th call on a save finds the disk full, or only that call fails; whether there were as many. */
static bool save_failing_at(struct fixture *f, int at, bool is_full, enum tt_save_when when, tt_status *status, struct tt_err *err)
{
    tt_buf_clear(&f->warnings);
    memset(&fault, 0, sizeof fault);
    fault.at = at;
    fault.is_full = is_full;
    fault.error = ENOSPC;
    fault.armed = true;
    *status = tt_checkpointer_save(&f->checkpointer, &f->state, when, err);
    fault.armed = false;
    return fault.calls >= at;
}

static void test_a_failed_save_is_a_warning_and_the_next_one_another_try(void **state)
{
    struct fixture *f = *state;
    tt_status status;
    int at = 1;
    f->config.checkpoint.keep_latest_k = 2;
    f->config.checkpoint.last_save_model_only = false;
    run_to(f, 2);
    advance(f);
    advance(f);
    for (; save_failing_at(f, at, at % 2, TT_SAVE_DUE, &status, NULL); at++) {
        assert_int_equal(status, TT_OK);
        assert_true(has(f, "step-2/.metadata"));
        if (has(f, "step-4/.metadata")) { /* what failed came after it was published */
            assert_int_equal(tt_remove_all(f->checkpointer.folder, NULL), TT_OK);
            f->state.step = 2;
            assert_int_equal(tt_checkpointer_save(&f->checkpointer, &f->state, TT_SAVE_DUE, NULL), TT_OK);
            f->state.step = 4;
        } else {
            assert_int_equal(nwarnings(f), 1);
            assert_true(warned(f, "step 4 was not saved: "));
            assert_true(warned(f, "(the newest complete checkpoint is "));
            assert_true(warned(f, "step-2)"));
        }
    }
    assert_true(at > 10);
    assert_true(has(f, "step-2/.metadata"));
    assert_true(has(f, "step-4/.metadata"));
}

static void test_a_failed_last_save_is_an_error(void **state)
{
    struct fixture *f = *state;
    static const enum tt_save_when whens[] = { TT_SAVE_LAST, TT_SAVE_STOPPED };
    tt_status status;
    struct tt_err err;
    f->config.checkpoint.last_save_model_only = false;
    run_to(f, 2);
    advance(f);
    for (int i = 0; i < 2; i++) {
        assert_true(save_failing_at(f, 1, true, whens[i], &status, &err));
        assert_int_equal(status, TT_EIO);
        assert_ptr_equal(strstr(err.msg, "step 3 was not saved: "), err.msg);
        assert_non_null(strstr(err.msg, "step-2)"));
        assert_false(has(f, "step-3"));
    }
    assert_true(load(f, &err));
    assert_int_equal(f->state.step, 2);
}

/* Every step is due, and saved in the background. */
static void save_in_background(struct fixture *f)
{
    f->config.checkpoint.interval = 1;
    f->config.checkpoint.last_save_model_only = false;
    f->config.checkpoint.async_mode = TT_ASYNC;
    init_again(f);
}

static void test_a_save_in_the_background_is_of_its_step(void **state)
{
    struct fixture *f = *state;
    save_in_background(f);
    advance(f);
    advance(f);
    set_hold(1);
    save(f, TT_SAVE_DUE);
    advance(f);
    assert_false(has(f, "step-2"));
    set_hold(0);
    tt_checkpointer_wait(&f->checkpointer);
    assert_true(has(f, "step-2/.metadata"));

    assert_true(load(f, NULL));
    assert_int_equal(f->state.step, 2);
    assert_int_equal(f->state.optimizer_steps, 2);
    assert_int_equal(f->state.lr.last_epoch, 2);
    assert_int_equal(f->state.ntokens_seen, 2 * BATCH * SEQ);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 6; j++) {
            assert_true(f->weight[i][j] == (float)(200 + 10 * i + j));
            assert_true(f->exp_avg[i][j] == -f->weight[i][j]);
            assert_true(f->exp_avg_sq[i][j] == f->weight[i][j] / 3);
        }
    assert_next_batch(f, 3);
}

static void test_each_save_and_the_end_wait_for_the_one_before(void **state)
{
    struct fixture *f = *state;
    static const enum tt_save_when whens[] = { TT_SAVE_DUE, TT_SAVE_LAST, TT_SAVE_STOPPED };
    static const char *const before[] = { "step-1/.metadata", "step-3/.metadata", "step-5/.metadata" };
    pthread_t thread;
    save_in_background(f);
    for (int i = 0; i < 3; i++) {
        tt_checkpointer_wait(&f->checkpointer);
        advance(f);
        set_hold(1);
        save(f, TT_SAVE_DUE);
        advance(f);
        assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
        save(f, whens[i]);
        assert_true(has(f, before[i]));
        pthread_join(thread, NULL);
    }
    assert_true(has(f, "step-6/.metadata")); /* that of a stopped run is made at once */
    advance(f);
    set_hold(1);
    save(f, TT_SAVE_DUE);
    assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
    tt_checkpointer_release(&f->checkpointer);
    assert_true(has(f, "step-7/.metadata"));
    pthread_join(thread, NULL);
}

static void test_a_stopped_run_does_not_save_again_what_the_background_saved(void **state)
{
    struct fixture *f = *state;
    char path[256];
    save_in_background(f);
    advance(f);
    save(f, TT_SAVE_DUE);
    tt_checkpointer_wait(&f->checkpointer);
    snprintf(path, sizeof path, "%s/checkpoint/step-1", f->dir);
    assert_int_equal(tt_remove_all(path, NULL), TT_OK);
    save(f, TT_SAVE_STOPPED);
    assert_false(has(f, "step-1"));
}

static void test_a_failed_save_in_the_background_is_a_warning(void **state)
{
    struct fixture *f = *state;
    f->config.checkpoint.keep_latest_k = 2;
    save_in_background(f);
    for (int i = 0; i < 3; i++) {
        advance(f);
        save(f, TT_SAVE_DUE);
    }
    tt_checkpointer_wait(&f->checkpointer);
    assert_false(has(f, "step-1"));
    assert_true(has(f, "step-2/.metadata"));
    advance(f);
    tt_buf_clear(&f->warnings);
    fault.at = 1;
    fault.is_full = true;
    fault.error = ENOSPC;
    fault.armed = true;
    save(f, TT_SAVE_DUE);
    tt_checkpointer_wait(&f->checkpointer);
    fault.armed = false;
    assert_int_equal(nwarnings(f), 1);
    assert_true(warned(f, "step 4 was not saved: "));
    assert_true(warned(f, "step-3)"));
    assert_true(has(f, "step-2/.metadata")); /* nothing takes its place */
    save(f, TT_SAVE_STOPPED);
    assert_true(has(f, "step-4/.metadata"));
    assert_false(has(f, "step-2"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_saves_at_the_interval_and_at_the_end),
        CASE(test_the_first_step_and_load_only),
        CASE(test_a_run_that_is_stopped_saves_what_no_checkpoint_has),
        CASE(test_all_of_the_state_comes_back),
        CASE(test_the_place_in_the_validation_data_comes_back_or_is_begun_anew),
        CASE(test_only_complete_steps_with_exact_names_count),
        CASE(test_a_folder_without_a_complete_step_counts_as_absent),
        CASE(test_a_model_only_step_is_skipped_with_the_way_to_train_anew),
        CASE(test_complete_steps_of_which_none_will_do_are_an_error),
        CASE(test_damaged_steps_are_skipped_for_the_newest_that_reads),
        CASE(test_a_step_that_is_not_there_is_an_error),
        CASE(test_step_0_gives_its_model_alone),
        CASE(test_what_the_checkpoint_overrides_is_a_warning_each),
        CASE(test_only_the_latest_complete_steps_are_kept),
        CASE(test_the_step_just_saved_stays_whatever_is_newer),
        CASE(test_a_folder_that_cannot_be_is_an_error_before_the_first_step),
        CASE(test_what_of_a_checkpoint_is_not_as_the_run_has_it_is_told),
        CASE(test_an_unknown_part_to_exclude_is_an_error),
        CASE(test_a_missing_part_is_named),
        CASE(test_a_failed_save_is_a_warning_and_the_next_one_another_try),
        CASE(test_a_failed_last_save_is_an_error),
        CASE(test_a_save_in_the_background_is_of_its_step),
        CASE(test_each_save_and_the_end_wait_for_the_one_before),
        CASE(test_a_stopped_run_does_not_save_again_what_the_background_saved),
        CASE(test_a_failed_save_in_the_background_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* TorchTitan 0.2.2's tests of its dataloader (tests/unit_tests/test_dataloader.py and test_dataset_checkpointing.py), in their order and
 * under their names: the same data and settings and the same outcome, or the reason why not. */
#include "test_loader.h"

#include "config/config.h"

/* A tokenizer of the words 0 to 99, which are their ids, and nothing around a text. */
static void write_numbers(void)
{
    struct tt_buf json = { 0 };
    tt_buf_str(&json, "{\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, "
                      "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"0\", \"vocab\": {");
    for (int i = 0; i < 100; i++)
        tt_buf_printf(&json, "%s\"%d\": %d", i ? ", " : "", i, i);
    tt_buf_str(&json, "}}}");
    write_file("numbers/tokenizer.json", json.data, json.len);
    tt_buf_release(&json);
}

/* The dataset there gives 100 pairs of equal numbers. Here a sample is a text, which one sequence of one token takes up. */
static void test_dataloader_yields_correct_batches(void **state)
{
    (void)state;
    struct tt_buf json = { 0 };
    struct tt_tokenizer *numbers;
    struct tt_loader *l;
    struct tt_err err;
    for (int i = 0; i < 100; i++)
        tt_buf_printf(&json, "{\"text\": \"%d %d\"}\n", i, i);
    write_numbers();
    assert_int_equal(tt_tokenizer_open(&numbers, in_folder("numbers"), &err), TT_OK);
    const struct tt_loader_opts opts = { .dataset = "c4_test",
                                         .path = write_file("numbers.json", json.data, json.len),
                                         .seq_len = 1,
                                         .local_batch = 4,
                                         .dp_world = 1 };
    assert_int_equal(tt_loader_new(&l, numbers, &opts, &err), TT_OK);
    int nbatches = 0;
    for (int64_t nseq = 4; nseq > 0; nbatches += nseq > 0) {
        int32_t input[4], labels[4];
        assert_int_equal(tt_loader_next(l, input, labels, &nseq, &err), TT_OK);
        assert_true(nseq == 4 || nseq == 0);
        for (int i = 0; i < nseq; i++) {
            assert_int_equal(input[i], 4 * nbatches + i);
            assert_int_equal(labels[i], 4 * nbatches + i);
        }
    }
    assert_int_equal(nbatches, 25);
    tt_loader_free(l);
    tt_tokenizer_free(numbers);
    tt_buf_release(&json);
}

static tt_status load(struct tt_config *config, int argc, const char *const *args, struct tt_err *err)
{
    char *argv[16] = { (char *)(uintptr_t) "titan-train" };
    assert_true(argc < 15);
    for (int i = 0; i < argc; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    return tt_config_load(config, &arena, argc + 1, argv, NULL, err);
}

/* What is passed on to the loader there is four settings here, and any other is one that nobody knows. */
static void test_validate_kwargs_rejects_invalid_kwargs(void **state)
{
    (void)state;
    struct tt_config config;
    struct tt_err err;
    static const char *const known[] = { "--training.dataloader.num_workers",        "3", "--training.dataloader.prefetch_factor", "5",
                                         "--training.dataloader.persistent_workers", "--training.dataloader.pin_memory" };
    static const char *const unknown[][2] = { { "--training.dataloader.invalid_arg", "42" },
                                              { "--training.dataloader.dataset", "x" },
                                              { "--training.dataloader.snapshot_every_n_steps", "2" },
                                              { "--validation.dataloader.invalid_arg", "42" } };
    assert_int_equal(load(&config, 6, known, &err), TT_OK);
    const struct tt_config_dataloader *d = &config.training.dataloader;
    assert_true(d->num_workers == 3 && d->prefetch_factor.set && d->prefetch_factor.v == 5 && d->persistent_workers && d->pin_memory);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(load(&config, 2, unknown[i], &err), TT_EUSAGE);
        assert_non_null(strstr(err.msg, unknown[i][0]));
        assert_non_null(strstr(err.msg, "no such setting"));
    }
}

/* The batch size is a setting of training, and no argument of the loader could be another. */
static void test_config_batch_size_overwritten_by_explicit_batch_size(void **state)
{
    (void)state;
    struct tt_config config;
    struct tt_err err;
    static const char *const args[] = { "--training.local_batch_size", "8", "--training.dataloader.batch_size", "2" };
    assert_int_equal(load(&config, 4, args, &err), TT_EUSAGE);
    assert_non_null(strstr(err.msg, "--training.dataloader.batch_size: no such setting"));
    assert_int_equal(load(&config, 2, args, &err), TT_OK);
    assert_int_equal(config.training.local_batch_size, 8);
}

/* Workers are a thread that makes as many batches ahead as theirs would. */
static void test_build_dataloader_with_job_config(void **state)
{
    (void)state;
    struct tt_config config;
    struct tt_err err;
    struct tt_loader *l;
    static const char *const args[] = { "--training.dataset", "c4_test", "--training.local_batch_size", "8",
                                        "--training.seq_len", "512",     "--training.dataloader.num_workers", "2" };
    enum { NUMEL = 8 * 512 };
    static int32_t input[NUMEL + 1], labels[NUMEL + 1];
    int64_t nseq;
    assert_int_equal(load(&config, 8, args, &err), TT_OK);
    assert_int_equal(config.training.dataloader.num_workers, 2);
    assert_false(config.training.dataloader.prefetch_factor.set);
    const struct tt_loader_opts opts = { .dataset = config.training.dataset,
                                         .path = "tests/assets/c4_test",
                                         .seq_len = config.training.seq_len,
                                         .local_batch = config.training.local_batch_size,
                                         .dp_world = 1,
                                         .nahead = 2 * config.training.dataloader.num_workers,
                                         .infinite = true };
    assert_int_equal(tt_loader_new(&l, tok, &opts, &err), TT_OK);
    input[NUMEL - 1] = labels[NUMEL - 1] = input[NUMEL] = labels[NUMEL] = -1;
    assert_int_equal(tt_loader_next(l, input, labels, &nseq, &err), TT_OK);
    assert_int_equal(nseq, 8);
    assert_true(input[NUMEL - 1] >= 0 && labels[NUMEL - 1] >= 0 && input[NUMEL] == -1 && labels[NUMEL] == -1);
    tt_loader_free(l);
}

/* --- test_dataset_checkpointing.py ------------------------------------------------------------------------------------------- */

/* c4_test as four files to be streamed, where its to_iterable_dataset(num_shards=4) has four shards. */
static const char *write_shards(void)
{
    struct tt_buf file = { 0 };
    struct tt_err err;
    assert_int_equal(tt_file_read_all(&file, "tests/assets/c4_test/data.json", 1 << 24, &err), TT_OK);
    const char *text = tt_buf_cstr(&file);
    for (int i = 0; i < 4; i++) {
        const char *end = i == 3 ? text + strlen(text) : strchr(text + (file.len / 4 - 1000), '\n') + 1;
        write_file(tt_arena_printf(&arena, "shards/%d.json", i), text, (size_t)(end - text));
        text = end;
    }
    tt_buf_release(&file);
    return in_folder("shards");
}

/* 250 batches, the position, and the next 500 from both. */
static void resume(const char *dataset, const char *path, int rank, int world)
{
    enum { SEQ_LEN = 1024 };
    static int32_t a[2][SEQ_LEN], b[2][SEQ_LEN];
    const struct tt_loader_opts opts = { .dataset = dataset,
                                         .path = path,
                                         .seq_len = SEQ_LEN,
                                         .local_batch = 1,
                                         .dp_rank = rank,
                                         .dp_world = world,
                                         .infinite = true };
    struct tt_loader *l, *resumed;
    struct tt_err err = { 0 };
    int64_t nseq;
    assert_int_equal(tt_loader_new(&l, tok, &opts, &err), TT_OK);
    for (int i = 0; i < 250; i++)
        assert_int_equal(tt_loader_next(l, a[0], a[1], &nseq, &err), TT_OK);
    assert_int_equal(tt_loader_new(&resumed, tok, &opts, &err), TT_OK);
    if (tt_loader_restore(resumed, a_state(l), "state", &err) != TT_OK)
        fail_msg("%s", err.msg);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(tt_loader_next(l, a[0], a[1], &nseq, &err), TT_OK);
        assert_int_equal(tt_loader_next(resumed, b[0], b[1], &nseq, &err), TT_OK);
        assert_memory_equal(a, b, sizeof a);
    }
    tt_loader_free(resumed);
    tt_loader_free(l);
}

static void test_c4_resumption(void **state)
{
    (void)state;
    const char *shards = write_shards();
    for (int world = 2; world <= 4; world += 2)
        for (int rank = 0; rank < world; rank++) {
            resume("c4_test", "tests/assets/c4_test", rank, world);
            resume("c4", shards, rank, world);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dataloader_yields_correct_batches),
        cmocka_unit_test(test_validate_kwargs_rejects_invalid_kwargs),
        cmocka_unit_test(test_config_batch_size_overwritten_by_explicit_batch_size),
        cmocka_unit_test(test_build_dataloader_with_job_config),
        cmocka_unit_test(test_c4_resumption),
    };
    return cmocka_run_group_tests_name("dataloader", tests, set_up, tear_down);
}

/* Streamed datasets, JSON arrays, and batches made ahead. */
#include "test_loader.h"

#include "data/shuffle.h"
#include "data/text.h"

static const char golden[] = "tests/golden/data/streamed.json", clone[] = "tests/golden/data/clone";

enum { SEQ_LEN = 8 };

static struct tt_loader *open_loader(struct tt_loader_opts opts)
{
    struct tt_err err = { 0 };
    struct tt_loader *l = NULL;
    opts.seq_len = SEQ_LEN;
    opts.local_batch = 1;
    opts.dp_world = opts.dp_world ? opts.dp_world : 1;
    if (tt_loader_new(&l, tok, &opts, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return l;
}

/* The next sequence; false at the end of the data. */
static bool next(struct tt_loader *l, int32_t x[2 * SEQ_LEN])
{
    struct tt_err err = { 0 };
    int64_t nseq;
    if (tt_loader_next(l, x, x + SEQ_LEN, &nseq, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return nseq > 0;
}

static void expect_same(struct tt_loader *a, struct tt_loader *b, int n)
{
    for (int i = 0; i < n; i++) {
        int32_t x[2 * SEQ_LEN], y[2 * SEQ_LEN];
        assert_true(next(a, x) && next(b, y));
        assert_memory_equal(x, y, sizeof x);
    }
}

static void restore(struct tt_loader *l, const struct tt_value *state)
{
    struct tt_err err = { 0 };
    if (tt_loader_restore(l, state, "state", &err) != TT_OK)
        fail_msg("%s", err.msg);
}

/* --- streamed ---------------------------------------------------------------------------------------------------------------- */

static void test_files_are_shuffled_as_numpy_does(void **state)
{
    (void)state;
    /* numpy.random.default_rng(seed).shuffle(list(range(n))) of NumPy 2 */
    static const struct {
        uint64_t seed;
        size_t n, want[12];
    } cases[] = {
        { 1, 4, { 0, 1, 2, 3 } },
        { 2, 7, { 5, 6, 2, 3, 4, 0, 1 } },
        { 5, 12, { 9, 11, 1, 3, 2, 4, 6, 7, 0, 10, 5, 8 } },
        { 1ull << 33, 5, { 4, 2, 1, 0, 3 } },
        { 9, 1, { 0 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t order[12];
        for (size_t k = 0; k < cases[i].n; k++)
            order[k] = k;
        tt_shuffle(order, cases[i].n, cases[i].seed);
        assert_memory_equal(order, cases[i].want, cases[i].n * sizeof *order);
    }
}

static void test_streamed_batches_and_positions_are_those_of_the_reference(void **state)
{
    (void)state;
    run_cases(golden, "c4", clone);
}

/* TorchTitan's test_c4_resumption, over the ends of several passes; of a streamed one TorchTitan itself repeats samples there. */
static void test_a_resumed_loader_goes_on_over_the_end_of_the_data(void **state)
{
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++)
        for (int world = 2; world <= 4; world += 2)
            for (int rank = 0; rank < world; rank++) {
                const struct tt_loader_opts o = { .dataset = streamed ? "c4" : "c4_test",
                                                  .path = streamed ? clone : "tests/golden/data/samples",
                                                  .dp_rank = rank,
                                                  .dp_world = world,
                                                  .infinite = true };
                struct tt_loader *l = open_loader(o), *resumed = open_loader(o);
                int32_t x[2 * SEQ_LEN];
                for (int i = 0; i < 41; i++)
                    assert_true(next(l, x));
                restore(resumed, a_state(l));
                expect_same(l, resumed, 50);
                tt_loader_free(resumed);
                tt_loader_free(l);
            }
}

static void test_a_position_of_another_kind_of_dataset_is_an_error(void **state)
{
    (void)state;
    struct tt_err err;
    struct tt_loader *streamed = open_loader((struct tt_loader_opts){ .dataset = "c4", .path = clone, .dp_world = 2 }),
                     *whole = open_loader((struct tt_loader_opts){ .dataset = "c4_test", .path = "tests/golden/data/samples" }),
                     *by_turns = open_loader((struct tt_loader_opts){ .dataset = "c4", .path = clone, .dp_world = 3 });
    assert_int_equal(tt_loader_restore(streamed, a_state(whole), "ckpt", &err), TT_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "ckpt: the position in a map-style dataset, which c4 is not"));
    assert_int_equal(tt_loader_restore(whole, a_state(streamed), "ckpt", &err), TT_EUNSUPPORTED);
    assert_int_equal(tt_loader_restore(by_turns, a_state(streamed), "ckpt", &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "the position of another number of files or ranks: 4 files, 3 ranks take samples by turns"));
    assert_int_equal(tt_loader_restore(streamed, a_state(by_turns), "ckpt", &err), TT_EFORMAT);
    tt_loader_free(by_turns);
    tt_loader_free(whole);
    tt_loader_free(streamed);
}

static void test_a_bad_streamed_position_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int64_t value;
        const char *message;
    } cases[] = {
        { "cropped_chunk_length", 1, "cropped_chunk_length: expected 0, found 1" },
        { "num_chunks_since_previous_state", 99, "have fewer samples than that" },
        { "num_chunks_since_previous_state", -1, "expected an integer from 0 to 2^53" },
        { "shard_idx", 3, "shard_idx: expected at most the 2 files of this rank, found 3" },
        { "shard_example_idx", 50, "clone/en/c4-train.00000-of-00004.json.gz has fewer samples than that" },
    };
    struct tt_loader *l = open_loader((struct tt_loader_opts){ .dataset = "c4", .path = clone, .dp_world = 2, .infinite = true });
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tt_err err;
        int32_t x[2 * SEQ_LEN];
        assert_true(next(l, x));
        struct tt_value *s = a_state(l), *batched = tt_value_at(s, "dataset_state", "data", "examples_iterable", NULL);
        struct tt_value *in = strncmp(cases[i].key, "shard", 5) == 0 ? tt_value_get(batched, "previous_state") : batched;
        assert_true(tt_value_set(&arena, in, cases[i].key, tt_value_int(&arena, cases[i].value)));
        assert_int_equal(tt_loader_restore(l, s, "ckpt", &err), TT_EFORMAT);
        if (!strstr(err.msg, cases[i].message))
            fail_msg("case %zu: %s", i, err.msg);
        tt_loader_free(l);
        l = open_loader((struct tt_loader_opts){ .dataset = "c4", .path = clone, .dp_world = 2, .infinite = true });
    }
    tt_loader_free(l);
}

static void test_streamed_data_without_samples_is_an_error_not_an_endless_loop(void **state)
{
    (void)state;
    struct tt_err err;
    int32_t x[2 * SEQ_LEN];
    int64_t nseq;
    const char *path = write_file("two.json", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n", 28);
    struct tt_loader *l =
        open_loader((struct tt_loader_opts){ .dataset = "c4", .path = path, .dp_rank = 2, .dp_world = 3, .infinite = true });
    assert_int_equal(tt_loader_next(l, x, x + SEQ_LEN, &nseq, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "two.json: data-parallel rank 2 of 3 gets no token from all of it"));
    tt_loader_free(l);
    l = open_loader((struct tt_loader_opts){ .dataset = "c4", .path = write_file("none.json", "", 0) });
    assert_false(next(l, x));
    tt_loader_free(l);
}

/* --- another number of ranks --------------------------------------------------------------------------------------------------- */

/* Appends what a loader takes to the end of the pass, and what stays in its buffer. */
static void drain(struct tt_buf *out, struct tt_loader *l)
{
    int32_t x[2 * SEQ_LEN];
    while (next(l, x)) {
        for (int i = 0; i < SEQ_LEN; i++)
            tt_buf_le32(out, (uint32_t)x[i]);
        tt_buf_le32(out, (uint32_t)x[2 * SEQ_LEN - 1]);
    }
    const struct tt_value *buffer = tt_value_at(a_state(l), "dataset_state", "token_buffer", NULL);
    for (size_t i = 0; i < buffer->u.list.n; i++)
        tt_buf_le32(out, (uint32_t)buffer->u.list.items[i]->u.i);
}

static struct tt_loader *open_rank(int rank, int world)
{
    return open_loader((struct tt_loader_opts){ .dataset = "c4", .path = clone, .dp_rank = rank, .dp_world = world });
}

/* What TorchTitan's rank saved, as a stream. */
static struct tt_value *stream_of(const struct tt_loader *l, int rank, int world)
{
    struct tt_arena *a = &arena;
    const struct tt_value *dataset = tt_value_get(a_state(l), "dataset_state");
    struct tt_value *map = tt_value_map(a), *list = tt_value_list(a);
    assert_true(tt_value_set(a, map, "part", tt_value_int(a, rank)) && tt_value_set(a, map, "parts", tt_value_int(a, world)) &&
                tt_value_set(a, map, "data", tt_value_get(dataset, "data")) && tt_value_set(a, map, "skip", tt_value_int(a, 0)) &&
                tt_value_set(a, map, "stride", tt_value_int(a, 1)) &&
                tt_value_set(a, map, "token_buffer", tt_value_get(dataset, "token_buffer")) && tt_value_append(a, list, map));
    return list;
}

static struct tt_value *position_of(struct tt_value *ranks)
{
    struct tt_value *root = tt_value_map(&arena);
    assert_true(tt_value_set(&arena, root, "version", tt_value_int(&arena, 1)) && tt_value_set(&arena, root, "ranks", ranks));
    return root;
}

static void restore_rest(struct tt_loader *l, const struct tt_value *position)
{
    struct tt_err err = { 0 };
    if (tt_loader_restore_rest(l, position, "position", &err) != TT_OK)
        fail_msg("%s", err.msg);
}

/* `saved` ranks stop after a few batches, not all in one place. *left: what they have yet to take, rank after rank. */
static struct tt_value *stop_midway(struct tt_buf *left, int saved)
{
    struct tt_value *ranks = tt_value_list(&arena);
    for (int r = 0; r < saved; r++) {
        int32_t x[2 * SEQ_LEN];
        struct tt_loader *l = open_rank(r, saved);
        for (int i = 0; i < r + 1; i++)
            assert_true(next(l, x));
        assert_true(tt_value_append(&arena, ranks, stream_of(l, r, saved)));
        drain(left, l);
        tt_loader_free(l);
    }
    return position_of(ranks);
}

static void test_one_rank_takes_what_others_have_left_in_order(void **state)
{
    (void)state;
    for (int saved = 2; saved <= 4; saved++) {
        struct tt_buf left = { 0 }, found = { 0 };
        struct tt_value *position = stop_midway(&left, saved);
        struct tt_loader *l = open_rank(0, 1);
        restore_rest(l, position);
        drain(&found, l);
        assert_int_equal(found.len, left.len);
        assert_memory_equal(found.data, left.data, left.len);
        tt_loader_free(l);
        tt_buf_release(&found);
        tt_buf_release(&left);
    }
}

static int by_value(const void *a, const void *b) { return memcmp(a, b, 4); }

/* Three ranks take over, stop again, and go on from what they then save. */
static void test_three_ranks_take_every_sample_that_two_have_left_once(void **state)
{
    (void)state;
    struct tt_buf left = { 0 }, found = { 0 };
    struct tt_value *position = stop_midway(&left, 2), *ranks = tt_value_list(&arena);
    for (int r = 0; r < 3; r++) {
        struct tt_err err;
        int32_t x[2 * SEQ_LEN];
        struct tt_value *rest;
        struct tt_loader *l = open_rank(r, 3);
        restore_rest(l, position);
        assert_true(next(l, x));
        for (int i = 0; i < SEQ_LEN; i++)
            tt_buf_le32(&found, (uint32_t)x[i]);
        tt_buf_le32(&found, (uint32_t)x[2 * SEQ_LEN - 1]);
        assert_int_equal(tt_loader_rest(l, &arena, &rest, &err), TT_OK);
        assert_non_null(rest);
        assert_true(tt_value_append(&arena, ranks, rest));
        tt_loader_free(l);
    }
    for (int r = 0; r < 3; r++) {
        struct tt_loader *l = open_rank(r, 3);
        restore_rest(l, position_of(ranks));
        drain(&found, l);
        tt_loader_free(l);
    }
    assert_int_equal(found.len, left.len);
    qsort(found.data, found.len / 4, 4, by_value);
    qsort(left.data, left.len / 4, 4, by_value);
    assert_memory_equal(found.data, left.data, left.len);
    tt_buf_release(&found);
    tt_buf_release(&left);
}

/* --- arrays ------------------------------------------------------------------------------------------------------------------ */

static void test_an_array_is_samples(void **state)
{
    (void)state;
    static const char *const files[] = {
        "\xef\xbb\xbf [{\"text\": \"a, ]\\\"\", \"b\": [1, {}]}, {\"id\": 3, \"text\": \"b\"},\n {\"text\": \"c\"}]\n\n",
        "[\n\"a, ]\\\"\" , \"b\", \"c\"]",
    };
    for (size_t i = 0; i < 2; i++) {
        static const char *const want[] = { "a, ]\"", "b", "c" };
        struct tt_err err = { 0 };
        struct tt_text *t;
        const char *s;
        size_t n;
        assert_int_equal(tt_text_open(&t, write_file("array.json", files[i], strlen(files[i])), NULL, "train", &err), TT_OK);
        assert_int_equal(tt_text_count(t), 3);
        for (int64_t k = 2; k >= 0; k--) {
            assert_int_equal(tt_text_seek(t, k, &err), TT_OK);
            assert_int_equal(tt_text_next(t, &s, &n, &err), TT_OK);
            assert_string_equal(s, want[k]);
        }
        tt_text_free(t);
    }
}

static void test_a_broken_array_is_an_error_that_names_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "[{\"text\": \"a\"},\n{\"text\": \"b\"", "line 2: an array of samples: expected its end, found the end of the file" },
        { "[{\"text\": \"a\"}\n{\"text\": \"b\"}]", "line 2: an array of samples: expected a comma or its end" },
        { "[{\"text\": \"a\"}]\n1", "line 2: an array of samples: expected nothing behind its end" },
        { "[]", "no samples in it" },
        { "[\n{\"text\": \"a\"}, 3]", "line 2: expected a JSON object" },
        { "[\n{\"text\": \"a\"}, {\"text\": 3}]", "line 2: \"text\": expected a string" },
        { "[{\"text\": \"a\"}, {\"text\": }]", "line 1: column" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tt_err err = { 0 };
        struct tt_text *t = NULL;
        const char *s = "";
        size_t n;
        tt_status st = tt_text_open(&t, write_file("array.json", cases[i].text, strlen(cases[i].text)), NULL, "train", &err);
        while (st == TT_OK && s)
            st = tt_text_next(t, &s, &n, &err);
        assert_int_equal(st, TT_EFORMAT);
        if (!strstr(err.msg, "array.json: ") || !strstr(err.msg, cases[i].message))
            fail_msg("case %zu: %s", i, err.msg);
        tt_text_free(t);
    }
}

/* --- made ahead -------------------------------------------------------------------------------------------------------------- */

static void test_batches_made_ahead_and_positions_are_the_same(void **state)
{
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++)
        for (int64_t ahead = 1; ahead <= 7; ahead += 3) {
            struct tt_loader_opts o = { .dataset = streamed ? "c4" : "c4_test",
                                        .path = streamed ? clone : "tests/golden/data/samples",
                                        .infinite = true };
            struct tt_loader *plain = open_loader(o);
            o.nahead = ahead;
            struct tt_loader *l = open_loader(o), *resumed = open_loader(o);
            for (int i = 0; i < 20; i++) {
                expect_equal(a_state(l), a_state(plain));
                expect_same(plain, l, 1);
            }
            restore(resumed, a_state(l));
            expect_same(plain, resumed, 20);
            restore(l, a_state(resumed)); /* what it had made ahead is no more */
            expect_same(plain, l, 20);
            tt_loader_free(resumed);
            tt_loader_free(l);
            tt_loader_free(plain);
        }
}

static void test_the_end_and_an_error_come_in_their_turn(void **state)
{
    (void)state;
    static const char text[] = "{\"text\": \"hello world, hello\"}\n{\"text\": \"hello world, hello\"}\n{\"text\": 3}\n";
    const char *path = write_file("end.json", text, sizeof text - 1);
    struct tt_err err;
    int32_t x[2 * SEQ_LEN];
    int64_t nseq, n = 0;
    struct tt_loader *l = open_loader((struct tt_loader_opts){ .dataset = "c4", .path = path, .nahead = 4 });
    while (tt_loader_next(l, x, x + SEQ_LEN, &nseq, &err) == TT_OK)
        n += nseq;
    assert_true(n > 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tt_loader_next(l, x, x + SEQ_LEN, &nseq, &err), TT_EFORMAT);
        assert_non_null(strstr(err.msg, "end.json: line 3: \"text\": expected a string"));
    }
    tt_loader_free(l);
    l = open_loader((struct tt_loader_opts){ .dataset = "c4_test", .path = "tests/golden/data/samples", .nahead = 2 });
    while (next(l, x)) {
    }
    assert_false(next(l, x));
    tt_loader_free(l);
}

/* A position as PyTorch's loader with two workers saves it, each of which gave the first of the two batches. */
static void test_the_position_of_workers_is_that_of_the_first(void **state)
{
    (void)state;
    struct tt_err err;
    int32_t x[2 * SEQ_LEN];
    struct tt_loader *l = open_loader(
                         (struct tt_loader_opts){ .dataset = "c4_test", .path = "tests/golden/data/samples", .infinite = true }),
                     *resumed = open_loader(
                         (struct tt_loader_opts){ .dataset = "c4_test", .path = "tests/golden/data/samples", .infinite = true });
    assert_true(next(l, x));
    struct tt_value *json;
    static const char text[] =
        "{\"_snapshot\": {\"_snapshot_step\": 2, \"_last_yielded_worker_id\": 1, \"_main_snapshot\": "
        "{\"_num_workers\": 2}, \"_worker_snapshots\": {\"worker_0\": {\"worker_id\": 0}, \"worker_1\": {}}}, "
        "\"_steps_since_snapshot\": 0, \"_iterator_finished\": false}";
    assert_int_equal(tt_json_parse(&json, &arena, text, sizeof text - 1, "text", &err), TT_OK);
    struct tt_value *worker = tt_value_at(json, "_snapshot", "_worker_snapshots", "worker_0", NULL);
    assert_true(tt_value_set(&arena, worker, "dataset_state", tt_value_get(a_state(l), "dataset_state")));
    restore(resumed, json);
    expect_same(l, resumed, 9);
    assert_int_equal(field(a_state(resumed), "_num_yielded"), 11);
    tt_loader_free(resumed);
    tt_loader_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_are_shuffled_as_numpy_does),
        cmocka_unit_test(test_streamed_batches_and_positions_are_those_of_the_reference),
        cmocka_unit_test(test_a_resumed_loader_goes_on_over_the_end_of_the_data),
        cmocka_unit_test(test_a_position_of_another_kind_of_dataset_is_an_error),
        cmocka_unit_test(test_a_bad_streamed_position_is_an_error),
        cmocka_unit_test(test_streamed_data_without_samples_is_an_error_not_an_endless_loop),
        cmocka_unit_test(test_one_rank_takes_what_others_have_left_in_order),
        cmocka_unit_test(test_three_ranks_take_every_sample_that_two_have_left_once),
        cmocka_unit_test(test_an_array_is_samples),
        cmocka_unit_test(test_a_broken_array_is_an_error_that_names_the_line),
        cmocka_unit_test(test_batches_made_ahead_and_positions_are_the_same),
        cmocka_unit_test(test_the_end_and_an_error_come_in_their_turn),
        cmocka_unit_test(test_the_position_of_workers_is_that_of_the_first),
    };
    return cmocka_run_group_tests_name("streamed", tests, set_up, tear_down);
}

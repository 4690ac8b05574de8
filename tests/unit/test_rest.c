/* A pass over the data that some ranks began and others end: every token that was left comes once, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/loader.h"
#include "data/rest.h"
#include "data/text.h"

enum { SEQ_LEN = 7, NSAMPLES = 41 };

static struct tt_tokenizer *tok;
static char folder[] = "build/test-rest-XXXXXX";
static struct tt_arena arena;
static const char *path;

static int set_up(void **state)
{
    struct tt_buf b = { 0 };
    (void)state;
    if (tt_tokenizer_open(&tok, "tests/golden/data/tokenizer", NULL) != TT_OK || !mkdtemp(folder))
        return -1;
    path = tt_path_join(&arena, folder, "data.json");
    for (int i = 0; i < NSAMPLES; i++) /* of lengths from nothing to several sequences */
        tt_buf_printf(&b, "{\"text\": \"%d%.*s\"}\n", i, i * 5 % 37, " the quick brown fox jumps over the lazy dog");
    const tt_status st = tt_file_write_all(path, b.data, b.len, NULL);
    tt_buf_release(&b);
    return st == TT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tt_tokenizer_free(tok);
    tt_arena_release(&arena);
    return tt_remove_all(folder, NULL) == TT_OK ? 0 : -1;
}

static struct tt_loader *open_rank(int r, int w, bool infinite)
{
    const struct tt_loader_opts opts = {
        .dataset = "c4_test", .path = path, .seq_len = SEQ_LEN, .local_batch = 1, .dp_rank = r, .dp_world = w, .infinite = infinite
    };
    struct tt_loader *l;
    struct tt_err err = { 0 };
    if (tt_loader_new(&l, tok, &opts, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return l;
}

/* Takes up to n sequences; their tokens are appended to out (NULL: dropped). False: there was one less. */
static bool take(struct tt_loader *l, int n, struct tt_tokens *out)
{
    int32_t input[SEQ_LEN], labels[SEQ_LEN];
    struct tt_err err = { 0 };
    for (int i = 0; i < n; i++) {
        int64_t nseq;
        if (tt_loader_next(l, input, labels, &nseq, &err) != TT_OK)
            fail_msg("%s", err.msg);
        if (nseq == 0)
            return false;
        if (out) {
            assert_int_equal(tt_tokens_append(out, input, SEQ_LEN, &err), TT_OK);
            assert_int_equal(tt_tokens_append(out, &labels[SEQ_LEN - 1], 1, &err), TT_OK);
        }
    }
    return true;
}

/* --- positions ------------------------------------------------------------------------------------------------------------------ */

static const struct tt_value *state_of(const struct tt_loader *l)
{
    struct tt_value *v;
    assert_int_equal(tt_loader_state(l, &arena, &v, NULL), TT_OK);
    return tt_value_get(v, "dataset_state");
}

/* The list of one rank: its rest, or where it is in its own part. */
static struct tt_value *list_of(const struct tt_loader *l, int r, int w)
{
    struct tt_value *rest, *list = tt_value_list(&arena), *s = tt_value_map(&arena);
    const struct tt_value *at = state_of(l);
    assert_int_equal(tt_loader_rest(l, &arena, &rest, NULL), TT_OK);
    if (rest)
        return rest;
    assert_true(tt_value_set(&arena, s, "part", tt_value_int(&arena, r)));
    assert_true(tt_value_set(&arena, s, "parts", tt_value_int(&arena, w)));
    assert_true(tt_value_set(&arena, s, "sample_idx", tt_value_get(at, "sample_idx")));
    assert_true(tt_value_set(&arena, s, "end", tt_value_null(&arena)));
    assert_true(tt_value_set(&arena, s, "token_buffer", tt_value_get(at, "token_buffer")));
    assert_true(tt_value_append(&arena, list, s));
    return list;
}

static struct tt_value *position_of(struct tt_loader **loaders, int w)
{
    struct tt_value *root = tt_value_map(&arena), *ranks = tt_value_list(&arena);
    for (int r = 0; r < w; r++)
        assert_true(tt_value_append(&arena, ranks, list_of(loaders[r], r, w)));
    assert_true(tt_value_set(&arena, root, "version", tt_value_int(&arena, 1)));
    assert_true(tt_value_set(&arena, root, "ranks", ranks));
    return root;
}

/* Every token that a position leaves, in the order of its streams. */
static void expect_tokens(struct tt_tokens *out, const struct tt_value *position)
{
    struct tt_encoder *enc;
    struct tt_text *text;
    const struct tt_value *ranks = tt_value_get(position, "ranks");
    assert_int_equal(tt_encoder_new(&enc, tok, NULL), TT_OK);
    assert_int_equal(tt_text_open(&text, path, NULL, "train", NULL), TT_OK);
    for (size_t i = 0; i < ranks->u.list.n; i++)
        for (size_t j = 0; j < ranks->u.list.items[i]->u.list.n; j++) {
            const struct tt_value *s = ranks->u.list.items[i]->u.list.items[j], *buffer = tt_value_get(s, "token_buffer");
            const struct tt_data_part part = tt_data_part(NSAMPLES, tt_value_get(s, "part")->u.i, tt_value_get(s, "parts")->u.i);
            const struct tt_value *end = tt_value_get(s, "end");
            for (size_t k = 0; k < buffer->u.list.n; k++) {
                const int32_t id = (int32_t)buffer->u.list.items[k]->u.i;
                assert_int_equal(tt_tokens_append(out, &id, 1, NULL), TT_OK);
            }
            for (int64_t k = tt_value_get(s, "sample_idx")->u.i; k < (end->kind == TT_V_NULL ? part.n : end->u.i); k++) {
                const char *sample;
                size_t n;
                assert_int_equal(tt_text_seek(text, part.first + k, NULL), TT_OK);
                assert_int_equal(tt_text_next(text, &sample, &n, NULL), TT_OK);
                assert_int_equal(tt_encode(enc, out, sample, n, TT_ENCODE_BOS | TT_ENCODE_EOS, NULL), TT_OK);
            }
        }
    tt_encoder_free(enc);
    tt_text_free(text);
}

static void check_tokens(const struct tt_tokens *found, const struct tt_tokens *expected)
{
    assert_int_equal(found->n, expected->n);
    assert_memory_equal(found->id, expected->id, expected->n * sizeof *expected->id);
}

static struct tt_loader *resume(const struct tt_value *position, int r, int w)
{
    struct tt_loader *l = open_rank(r, w, false);
    struct tt_err err = { 0 };
    if (tt_loader_restore_rest(l, position, "position", &err) != TT_OK)
        fail_msg("%s", err.msg);
    return l;
}

/* All that w ranks take of a position, and what stays in their buffers. */
static void run_out(struct tt_tokens *out, const struct tt_value *position, int w)
{
    for (int r = 0; r < w; r++) {
        struct tt_loader *l = resume(position, r, w);
        struct tt_value *rest;
        while (take(l, 1, out))
            ;
        assert_int_equal(tt_loader_rest(l, &arena, &rest, NULL), TT_OK);
        assert_null(rest);
        const struct tt_value *left = tt_value_get(state_of(l), "token_buffer");
        for (size_t k = 0; k < left->u.list.n; k++) {
            const int32_t id = (int32_t)left->u.list.items[k]->u.i;
            assert_int_equal(tt_tokens_append(out, &id, 1, NULL), TT_OK);
        }
        tt_loader_free(l);
    }
}

static void check_run_out(const struct tt_value *position, int w)
{
    struct tt_tokens found = { 0 }, expected = { 0 };
    expect_tokens(&expected, position);
    run_out(&found, position, w);
    check_tokens(&found, &expected);
    tt_tokens_release(&found);
    tt_tokens_release(&expected);
}

/* The position of w ranks, rank r after taken[r] sequences. */
static struct tt_value *begin(int w, const int *taken)
{
    struct tt_loader *loaders[8];
    for (int r = 0; r < w; r++) {
        loaders[r] = open_rank(r, w, true);
        take(loaders[r], taken[r], NULL);
    }
    struct tt_value *position = position_of(loaders, w);
    for (int r = 0; r < w; r++)
        tt_loader_free(loaders[r]);
    return position;
}

static void test_any_number_of_ranks_takes_what_is_left_once_and_in_order(void **state)
{
    static const int taken[][5] = { { 0 }, { 3, 1, 4, 1, 5 }, { 9, 2, 6, 5, 3 }, { 40, 0, 33, 12, 60 } };
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        for (int w = 1; w <= 5; w++) {
            const struct tt_value *position = begin(w, taken[i]);
            for (int v = 1; v <= 6; v++)
                check_run_out(position, v);
        }
}

static void test_a_rest_that_is_interrupted_goes_on(void **state)
{
    static const int taken[] = { 5, 8, 2 };
    const struct tt_value *position = begin(3, taken);
    (void)state;
    for (int n = 0; n < 60; n += 7) {
        struct tt_tokens found = { 0 }, expected = { 0 };
        struct tt_loader *l = resume(position, 0, 1);
        expect_tokens(&expected, position);
        take(l, n, &found);
        const struct tt_value *later = position_of(&l, 1);
        for (int w = 1; w <= 3; w++) {
            const size_t before = found.n;
            run_out(&found, later, w);
            check_tokens(&found, &expected);
            found.n = before;
        }
        tt_loader_free(l);
        tt_tokens_release(&found);
        tt_tokens_release(&expected);
    }
}

static void test_behind_the_rest_comes_the_ranks_own_part_of_the_next_pass(void **state)
{
    static const int taken[] = { 30, 41 };
    struct tt_tokens found = { 0 }, expected = { 0 };
    const struct tt_value *position = begin(2, taken);
    struct tt_loader *l = open_rank(0, 1, true), *fresh = open_rank(0, 1, true);
    (void)state;
    expect_tokens(&expected, position);
    const size_t nrest = expected.n;
    take(fresh, 20, &expected);
    assert_int_equal(tt_loader_restore_rest(l, position, "position", NULL), TT_OK);
    take(l, (int)(expected.n / (SEQ_LEN + 1)), &found);
    assert_true(found.n > nrest + 10 * SEQ_LEN);
    expected.n = found.n;
    check_tokens(&found, &expected);
    assert_non_null(tt_value_get(state_of(l), "sample_idx"));
    tt_loader_free(l);
    tt_loader_free(fresh);
    tt_tokens_release(&found);
    tt_tokens_release(&expected);
}

static void test_as_many_ranks_as_saved_it_go_on_where_each_was(void **state)
{
    static const int taken[] = { 4, 9, 1 };
    const struct tt_value *position = begin(3, taken);
    (void)state;
    for (int r = 0; r < 3; r++) {
        struct tt_tokens found = { 0 }, expected = { 0 };
        struct tt_loader *resumed = resume(position, r, 3), *whole = open_rank(r, 3, false);
        struct tt_value *rest;
        take(whole, taken[r], NULL);
        assert_int_equal(tt_loader_rest(resumed, &arena, &rest, NULL), TT_OK);
        assert_null(rest); /* the position of a rank in its own part is TorchTitan's */
        while (take(whole, 1, &expected))
            ;
        while (take(resumed, 1, &found))
            ;
        check_tokens(&found, &expected);
        tt_loader_free(resumed);
        tt_loader_free(whole);
        tt_tokens_release(&found);
        tt_tokens_release(&expected);
    }
}

/* --- errors --------------------------------------------------------------------------------------------------------------------- */

static struct tt_value *bad_position(const char *name, struct tt_value *value)
{
    struct tt_loader *l = open_rank(0, 1, true);
    struct tt_value *position = position_of(&l, 1);
    const struct tt_value *list = tt_value_get(position, "ranks")->u.list.items[0];
    struct tt_value *where = tt_value_get(position, name) ? position : list->u.list.items[0];
    assert_true(tt_value_set(&arena, where, name, value));
    tt_loader_free(l);
    return position;
}

static void test_a_bad_position_is_an_error_that_names_what_is_wrong(void **state)
{
    struct tt_value *token = tt_value_list(&arena);
    (void)state;
    assert_true(tt_value_append(&arena, token, tt_value_int(&arena, 1 << 30)));
    const struct {
        const char *name;
        struct tt_value *value;
        const char *msg;
    } bad[] = {
        { "version", tt_value_int(&arena, 2), "p: version: expected 1 to 1, found 2" },
        { "ranks", tt_value_int(&arena, 2), "p: ranks: expected a list, found an integer" },
        { "part", tt_value_int(&arena, 1), "p: part: expected 0 to 0, found 1" },
        { "parts", tt_value_null(&arena), "p: parts: expected a number, found null" },
        { "sample_idx", tt_value_int(&arena, NSAMPLES + 1), "p: sample_idx: expected 0 to 41, found 42" },
        { "sample_idx", tt_value_int(&arena, -1), "p: sample_idx: expected 0 to 41, found -1" },
        { "end", tt_value_int(&arena, NSAMPLES + 1), "p: end: expected 0 to 41, found 42" },
        { "token_buffer", token, "p: token_buffer[0]: expected a token id below " },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tt_loader *l = open_rank(0, 1, true);
        struct tt_err err = { 0 };
        assert_int_equal(tt_loader_restore_rest(l, bad_position(bad[i].name, bad[i].value), "p", &err), TT_EFORMAT);
        if (strncmp(err.msg, bad[i].msg, strlen(bad[i].msg)) != 0)
            assert_string_equal(err.msg, bad[i].msg);
        tt_loader_free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_number_of_ranks_takes_what_is_left_once_and_in_order),
        cmocka_unit_test(test_a_rest_that_is_interrupted_goes_on),
        cmocka_unit_test(test_behind_the_rest_comes_the_ranks_own_part_of_the_next_pass),
        cmocka_unit_test(test_as_many_ranks_as_saved_it_go_on_where_each_was),
        cmocka_unit_test(test_a_bad_position_is_an_error_that_names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

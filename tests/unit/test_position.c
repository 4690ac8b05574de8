/* The position in the data, given to another number of data-parallel ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "convert/position.h"
#include "format/pickle_value.h"
#include "value/json.h"

/* What a rank has taken; sample_idx -1: a position of no form that is known, -2: of a streamed dataset, -3: of two workers that divide
 * one. */
struct rank {
    int64_t sample_idx;
    int ntokens;
};

static void add_entry(struct tt_ckpt *ckpt, const char *fqn, const struct tt_value *value)
{
    const struct tt_entry e = { .fqn = tt_arena_str(&ckpt->entries.arena, fqn), .kind = TT_ENTRY_VALUE, .value = value };
    assert_non_null(value);
    assert_int_equal(tt_entries_add(&ckpt->entries, &e, NULL), TT_OK);
}

static struct tt_value *state_of(struct tt_arena *a, const struct rank *r)
{
    struct tt_value *root = tt_value_map(a), *dataset = tt_value_map(a), *buffer = tt_value_list(a);
    for (int i = 0; i < r->ntokens; i++)
        assert_true(tt_value_append(a, buffer, tt_value_int(a, 100 + i)));
    assert_true(tt_value_set(a, dataset, "token_buffer", buffer));
    if (r->sample_idx <= -2)
        assert_true(tt_value_set(a, dataset, "data", tt_value_null(a)));
    else
        assert_true(tt_value_set(a, dataset, "sample_idx", tt_value_int(a, r->sample_idx)));
    if (r->sample_idx == -3) {
        assert_true(tt_value_set(a, root, "dataset_state", dataset));
        struct tt_value *all = tt_value_map(a), *workers = tt_value_map(a), *snapshot = tt_value_map(a), *main = tt_value_map(a);
        assert_true(tt_value_set(a, workers, "worker_0", root) && tt_value_set(a, workers, "worker_1", root) &&
                    tt_value_set(a, main, "_num_workers", tt_value_int(a, 2)) &&
                    tt_value_set(a, snapshot, "_main_snapshot", main) && tt_value_set(a, snapshot, "_worker_snapshots", workers) &&
                    tt_value_set(a, all, "_snapshot", snapshot));
        return all;
    }
    assert_true(tt_value_set(a, root, r->sample_idx == -1 ? "_snapshot" : "dataset_state", dataset));
    return root;
}

static struct tt_ckpt *saved_by(const struct rank *ranks, int n)
{
    struct tt_ckpt *ckpt;
    assert_int_equal(tt_ckpt_memory(&ckpt, NULL), TT_OK);
    struct tt_arena *a = &ckpt->entries.arena;
    for (int r = 0; r < n; r++) {
        struct tt_buf pickle = { 0 };
        char fqn[40];
        snprintf(fqn, sizeof fqn, "dataloader.dp_rank_%d", r);
        assert_int_equal(tt_pickle_from_value(&pickle, state_of(a, &ranks[r]), NULL), TT_OK);
        add_entry(ckpt, fqn, tt_value_bytes(a, pickle.data, pickle.len));
        tt_buf_release(&pickle);
    }
    add_entry(ckpt, "dataloader.world_size", tt_value_int(a, n));
    return ckpt;
}

/* A recipe, and the checkpoint that its values may lie in. */
struct made {
    struct tt_recipe recipe;
    struct tt_ckpt *ckpt;
};

static void release(struct made *m)
{
    tt_recipe_release(&m->recipe);
    tt_ckpt_close(m->ckpt);
}

/* Gives the position of n ranks to `degree`. */
static enum tt_position convert(struct made *m, const struct rank *ranks, int n, int64_t degree)
{
    struct tt_err err = { 0 };
    enum tt_position what;
    int64_t saved;
    *m = (struct made){ .ckpt = saved_by(ranks, n) };
    assert_int_equal(tt_position_degree(&saved, m->ckpt, NULL), TT_OK);
    assert_int_equal(saved, n);
    if (tt_position_convert(&what, &m->recipe, m->ckpt, n, degree, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return what;
}

static void test_where_nothing_was_taken_torchtitans_entries_are_made(void **state)
{
    static const struct rank fresh[] = { { 0, 0 }, { 0, 0 } };
    struct made m;
    (void)state;
    assert_int_equal(convert(&m, fresh, 2, 3), TT_POSITION_EXACT);
    assert_int_equal(m.recipe.n, 4);
    assert_non_null(tt_recipe_find(&m.recipe, "dataloader.dp_rank_2"));
    assert_int_equal(tt_recipe_find(&m.recipe, "dataloader.world_size")->value->u.i, 3);
    assert_string_equal(m.recipe.items[0].path[0].key, "dataloader");
    assert_string_equal(m.recipe.items[0].path[1].key, "dp_rank_0");
    release(&m);
}

static void test_one_rank_that_took_something_is_exact_for_one(void **state)
{
    static const struct rank first[] = { { 5, 3 }, { 0, 0 } };
    struct made one, three;
    (void)state;
    assert_int_equal(convert(&one, first, 2, 1), TT_POSITION_EXACT);
    assert_int_equal(one.recipe.n, 2);
    assert_int_equal(convert(&three, first, 2, 3), TT_POSITION_TITAN);
    release(&one);
    release(&three);
}

static void test_titans_own_has_what_each_rank_has_left(void **state)
{
    static const struct rank ranks[] = { { 5, 2 }, { 7, 0 } };
    struct made m;
    struct tt_buf text = { 0 };
    (void)state;
    assert_int_equal(convert(&m, ranks, 2, 1), TT_POSITION_TITAN);
    assert_int_equal(m.recipe.n, 1);
    assert_string_equal(m.recipe.items[0].fqn, "dataloader.titan_position");
    tt_json_write(&text, m.recipe.items[0].value, 0);
    assert_string_equal(tt_buf_cstr(&text),
                        "{\"version\": 1, \"ranks\": ["
                        "[{\"part\": 0, \"parts\": 2, \"sample_idx\": 5, \"end\": null, \"token_buffer\": [100, 101]}], "
                        "[{\"part\": 1, \"parts\": 2, \"sample_idx\": 7, \"end\": null, \"token_buffer\": []}]]}");
    tt_buf_release(&text);
    release(&m);
}

static void test_a_streamed_datasets_is_titans_own(void **state)
{
    static const struct rank ranks[] = { { -2, 1 }, { -2, 0 } }, mixed[] = { { -2, 1 }, { 3, 0 } };
    struct made m;
    struct tt_buf text = { 0 };
    (void)state;
    assert_int_equal(convert(&m, ranks, 2, 1), TT_POSITION_TITAN);
    tt_json_write(&text, m.recipe.items[0].value, 0);
    assert_string_equal(tt_buf_cstr(&text),
                        "{\"version\": 1, \"ranks\": ["
                        "[{\"part\": 0, \"parts\": 2, \"data\": null, \"skip\": 0, \"stride\": 1, \"token_buffer\": [100]}], "
                        "[{\"part\": 1, \"parts\": 2, \"data\": null, \"skip\": 0, \"stride\": 1, \"token_buffer\": []}]]}");
    tt_buf_release(&text);
    release(&m);
    assert_int_equal(convert(&m, mixed, 2, 1), TT_POSITION_NONE);
    release(&m);
}

/* Each worker of a rank is a stream of its own, whether the number of ranks changes or not. */
static void test_workers_that_divide_a_streamed_dataset_are_streams(void **state)
{
    static const struct rank ranks[] = { { -3, 1 } };
    struct made m;
    struct tt_value *position;
    struct tt_buf text = { 0 };
    struct tt_err err;
    (void)state;
    assert_int_equal(convert(&m, ranks, 1, 3), TT_POSITION_TITAN);
    assert_int_equal(tt_position_titan(&position, &m.recipe.arena, m.ckpt, 1, &err), TT_OK);
    for (int i = 0; i < 2; i++) {
        tt_buf_clear(&text);
        tt_json_write(&text, i ? position : m.recipe.items[0].value, 0);
        assert_string_equal(tt_buf_cstr(&text), "{\"version\": 1, \"ranks\": [["
                                                "{\"part\": 0, \"parts\": 1, \"worker\": 0, \"workers\": 2, \"data\": null, "
                                                "\"skip\": 0, \"stride\": 1, \"token_buffer\": [100]}, "
                                                "{\"part\": 0, \"parts\": 1, \"worker\": 1, \"workers\": 2, \"data\": null, "
                                                "\"skip\": 0, \"stride\": 1, \"token_buffer\": [100]}]]}");
    }
    assert_true(tt_position_is_divided(state_of(&m.recipe.arena, &ranks[0])));
    assert_false(tt_position_is_divided(state_of(&m.recipe.arena, &(struct rank){ -2, 1 })));
    tt_buf_release(&text);
    release(&m);
}

static void test_a_position_of_another_form_is_left_out(void **state)
{
    static const struct rank workers[] = { { 5, 2 }, { -1, 0 } };
    struct made m;
    (void)state;
    assert_int_equal(convert(&m, workers, 2, 1), TT_POSITION_NONE);
    assert_int_equal(m.recipe.n, 0);
    release(&m);
}

static void test_a_degree_that_cannot_be_is_an_error(void **state)
{
    static const int64_t degrees[] = { 0, -1, 1 << 21 };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct tt_ckpt *ckpt;
        struct tt_err err = { 0 };
        int64_t n;
        assert_int_equal(tt_ckpt_memory(&ckpt, NULL), TT_OK);
        add_entry(ckpt, "dataloader.world_size", tt_value_int(&ckpt->entries.arena, degrees[i]));
        assert_int_equal(tt_position_degree(&n, ckpt, &err), TT_EFORMAT);
        assert_memory_equal(err.msg, "memory: dataloader.world_size: expected 1 to 1048576 ranks, found ", 66);
        tt_ckpt_close(ckpt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_nothing_was_taken_torchtitans_entries_are_made),
        cmocka_unit_test(test_one_rank_that_took_something_is_exact_for_one),
        cmocka_unit_test(test_titans_own_has_what_each_rank_has_left),
        cmocka_unit_test(test_a_streamed_datasets_is_titans_own),
        cmocka_unit_test(test_workers_that_divide_a_streamed_dataset_are_streams),
        cmocka_unit_test(test_a_position_of_another_form_is_left_out),
        cmocka_unit_test(test_a_degree_that_cannot_be_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

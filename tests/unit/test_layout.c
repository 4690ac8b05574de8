/* Who owns which region of a job's tensors: held against what the real PyTorch and TorchTitan said (tests/golden/layouts.jsonl). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "ckpt/layout.h"
#include "ckpt/stages.h"
#include "value/json.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- the goldens ---------------------------------------------------------------------------------------------------------------- */

static int64_t int_at(const struct tt_value *list, size_t i)
{
    assert_true(i < list->u.list.n);
    return list->u.list.items[i]->u.i;
}

static const struct tt_value *ints(struct tt_arena *a, const int64_t *v, size_t n)
{
    struct tt_value *list = tt_value_list(a);
    for (size_t i = 0; i < n; i++)
        assert_true(tt_value_append(a, list, tt_value_int(a, v[i])));
    return list;
}

static struct tt_value *shard_value(struct tt_arena *a, const struct tt_shard *s, size_t ndim)
{
    struct tt_value *v = tt_value_list(a), *ranks = tt_value_list(a);
    for (uint32_t i = 0; i < s->nranks; i++)
        assert_true(tt_value_append(a, ranks, tt_value_int(a, s->ranks[i])));
    assert_true(tt_value_append(a, v, (struct tt_value *)ints(a, s->offsets, ndim)));
    assert_true(tt_value_append(a, v, (struct tt_value *)ints(a, s->sizes, ndim)));
    assert_true(tt_value_append(a, v, ranks));
    return v;
}

static struct tt_degrees degrees_of(const struct tt_value *job)
{
    return (struct tt_degrees){ .dp_replicate = int_at(job, 0),
                                .dp_shard = int_at(job, 1),
                                .cp = int_at(job, 2),
                                .tp = int_at(job, 3),
                                .pp = 1,
                                .ep = int_at(job, 4),
                                .etp = int_at(job, 5) };
}

static void check_shards(struct tt_arena *a, const struct tt_value *row, const char *line)
{
    const struct tt_value *shape = tt_value_get(row, "shape"), *expected = tt_value_get(row, "shards");
    const struct tt_degrees d = degrees_of(tt_value_get(row, "job"));
    const struct tt_spread how = { .experts = tt_value_get(row, "experts")->u.b, .tp_dim = (int)tt_value_get(row, "tp_dim")->u.i };
    struct tt_shards shards;
    struct tt_err err = { 0 };
    int64_t size[4];
    const size_t ndim = shape->u.list.n;

    for (size_t i = 0; i < ndim; i++)
        size[i] = int_at(shape, i);
    assert_int_equal(tt_degrees_check(&d, &err), TT_OK);
    const tt_status st = tt_shards_make(&shards, a, &d, &how, "w", (int)ndim, size, &err);
    if (expected->kind == TT_V_NULL) {
        assert_int_equal(st, TT_EINVAL);
        assert_memory_equal(err.msg, "w: ", 3);
        return;
    }
    if (st != TT_OK)
        fail_msg("%s: %s", line, err.msg);
    struct tt_value *found = tt_value_list(a);
    for (uint32_t i = 0; i < shards.n; i++)
        assert_true(tt_value_append(a, found, shard_value(a, &shards.s[i], ndim)));
    if (!tt_value_equal(found, expected)) {
        struct tt_buf text = { 0 };
        tt_json_write(&text, found, 0);
        fail_msg("%s: found %s", line, tt_buf_cstr(&text));
    }
}

static void check_stages(struct tt_arena *a, const struct tt_value *row, const char *line)
{
    const struct tt_value *expected = tt_value_get(row, "stages");
    const int64_t n = (int64_t)expected->u.list.n;
    const struct tt_stages_opts opts = { .schedule = "1F1B",
                                         .first_less = tt_value_get(row, "first")->u.i,
                                         .last_less = tt_value_get(row, "last")->u.i };
    struct tt_stages stages;
    struct tt_err err = { 0 };
    if (tt_stages_make(&stages, a, n, tt_value_get(row, "layers")->u.i, &opts, &err) != TT_OK)
        fail_msg("%s: %s", line, err.msg);
    struct tt_value *found = tt_value_list(a);
    for (int64_t i = 0; i < stages.n; i++) {
        struct tt_value *modules = tt_value_list(a);
        for (size_t j = 0; j < stages.stage[i].n; j++)
            assert_true(tt_value_append(a, modules, tt_value_str(a, stages.stage[i].names[j])));
        assert_true(tt_value_append(a, found, modules));
        assert_int_equal(stages.rank[i], i);
    }
    if (!tt_value_equal(found, expected))
        fail_msg("%s: other stages", line);
}

static void test_shards_and_stages_are_those_of_the_real_ones(void **state)
{
    struct tt_buf bytes = { 0 };
    struct tt_err err = { 0 };
    size_t nlines = 0;
    (void)state;
    assert_int_equal(tt_file_read_all(&bytes, "tests/golden/layouts.jsonl", 1 << 20, &err), TT_OK);
    for (char *line = strtok((char *)tt_buf_cstr(&bytes), "\n"); line; line = strtok(NULL, "\n")) {
        struct tt_arena a = { 0 };
        struct tt_value *row;
        assert_int_equal(tt_json_parse(&row, &a, line, strlen(line), "layouts.jsonl", &err), TT_OK);
        (tt_value_get(row, "stages") ? check_stages : check_shards)(&a, row, line);
        tt_arena_release(&a);
        nlines++;
    }
    assert_true(nlines > 300);
    tt_buf_release(&bytes);
}

/* --- rules -------------------------------------------------------------------------------------------------------------------- */

static void test_degrees_that_make_no_mesh_are_refused(void **state)
{
    static const struct {
        struct tt_degrees d;
        const char *msg;
    } bad[] = {
        { { 1, 0, 1, 1, 1, 1, 1 }, "data_parallel_shard_degree: expected a degree from 1 to 1048576, found 0" },
        { { 2048, 1024, 1, 1, 1, 1, 1 }, "the degrees make more than 1048576 ranks" },
        { { 1, 4, 1, 4, 1, 2, 2 }, "expert_tensor_parallel_degree: expected 1 or the tensor_parallel_degree 4, found 2" },
        { { 1, 2, 1, 1, 1, 4, 1 },
          "expert_parallel_degree 4 times expert_tensor_parallel_degree 1 does not divide the dp_shard(2) * cp(1) * tp(1) ranks of "
          "a "
          "replica" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct tt_err err = { 0 };
        assert_int_equal(tt_degrees_check(&bad[i].d, &err), TT_EINVAL);
        assert_string_equal(err.msg, bad[i].msg);
    }
}

static void test_experts_that_do_not_divide_are_refused_by_name(void **state)
{
    const struct tt_degrees d = { 1, 4, 1, 1, 1, 4, 1 };
    const struct tt_spread experts = { .experts = true, .tp_dim = 1 };
    static const int64_t shape[] = { 6, 8, 8 };
    struct tt_arena a = { 0 };
    struct tt_shards shards;
    struct tt_err err = { 0 };
    (void)state;
    assert_int_equal(tt_shards_make(&shards, &a, &d, &experts, "layers.1.moe.experts.w1", 3, shape, &err), TT_EINVAL);
    assert_string_equal(err.msg, "layers.1.moe.experts.w1: expert_parallel_degree 4 does not divide its 6 experts");
    tt_arena_release(&a);
}

static void test_a_scalar_and_a_buffer_are_whole_on_every_rank(void **state)
{
    const struct tt_degrees d = { 2, 2, 1, 2, 1, 1, 1 };
    const struct tt_spread param = { .tp_dim = -1 }, buffer = { .whole = true, .tp_dim = -1 };
    static const int64_t shape[] = { 8 };
    struct tt_arena a = { 0 };
    struct tt_shards shards;
    struct tt_err err = { 0 };
    (void)state;
    assert_int_equal(tt_shards_make(&shards, &a, &d, &param, "step", 0, NULL, &err), TT_OK);
    assert_int_equal(shards.n, 1);
    assert_int_equal(shards.s[0].nranks, 8);
    assert_int_equal(tt_shards_make(&shards, &a, &d, &buffer, "expert_bias", 1, shape, &err), TT_OK);
    assert_int_equal(shards.n, 1);
    assert_int_equal(shards.s[0].nranks, 8);
    assert_int_equal(shards.s[0].sizes[0], 8);
    tt_arena_release(&a);
}

/* --- schedules ---------------------------------------------------------------------------------------------------------------- */

static void check_ranks(const char *schedule, int64_t layers_per_stage, const int64_t *ranks, int64_t n)
{
    const struct tt_stages_opts opts = { schedule, layers_per_stage, 1, 1, NULL, 0 };
    struct tt_arena a = { 0 };
    struct tt_stages stages;
    struct tt_err err = { 0 };
    if (tt_stages_make(&stages, &a, 2, 6, &opts, &err) != TT_OK)
        fail_msg("%s: %s", schedule, err.msg);
    assert_int_equal(stages.n, n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(stages.rank[i], ranks[i]);
    tt_arena_release(&a);
}

static void test_a_schedule_says_which_rank_has_which_stage(void **state)
{
    (void)state;
    check_ranks("1f1b", 0, (const int64_t[]){ 0, 1 }, 2);
    check_ranks("GPipe", 4, (const int64_t[]){ 0, 1 }, 2);
    check_ranks("Interleaved1F1B", 0, (const int64_t[]){ 0, 1, 0, 1 }, 4);
    check_ranks("LoopedBFS", 1, (const int64_t[]){ 0, 1, 0, 1, 0, 1, 0, 1 }, 8);
    check_ranks("ZBVZeroBubble", 0, (const int64_t[]){ 0, 1, 1, 0 }, 4);
    check_ranks("dualpipev", 2, (const int64_t[]){ 0, 1, 1, 0 }, 4);
}

static void test_stages_that_do_not_fit_are_refused_by_setting(void **state)
{
    static const char *const none[] = { "tok_embeddings" };
    static const struct tt_modules parts[] = { { none, 1 }, { none, 1 }, { none, 1 } };
    static const struct {
        struct tt_stages_opts opts;
        int64_t layers;
        const char *msg;
    } bad[] = {
        { { "2F2B", 0, 1, 1, NULL, 0 }, 6, "pipeline_parallel_schedule: expected 1F1B, " },
        { { "1F1B", 3, 1, 1, NULL, 0 },
          6,
          "pipeline_parallel_layers_per_stage: makes 3 stages, which 2 pipeline ranks do not divide" },
        { { "1F1B", 2, 1, 1, NULL, 0 },
          6,
          "pipeline_parallel_layers_per_stage: makes 2 stages a rank, and schedule 1F1B takes one" },
        { { "Interleaved1F1B", 4, 1, 1, NULL, 0 },
          6,
          "pipeline_parallel_layers_per_stage: makes 1 stages a rank, and schedule Interleaved1F1B takes two or more" },
        { { "ZBVZeroBubble", 1, 1, 1, NULL, 0 },
          6,
          "pipeline_parallel_layers_per_stage: makes 4 stages a rank, and schedule ZBVZeroBubble takes two" },
        { { "1F1B", 0, 1, 1, parts, 3 }, 6, "module_fqns_per_model_part: makes 3 stages, which 2 pipeline ranks do not divide" },
        { { "Interleaved1F1B", 0, 1, 1, NULL, 0 },
          1,
          "pipeline_parallel_degree 2: 4 stages are more than the 1 layers and the 2 that embedding and output count as" },
        { { "1F1B", 0, 5, 1, NULL, 0 },
          2,
          "pipeline_parallel_first_stage_less_layers: expected at most the 4 of a stage, found 5" },
        { { "1F1B", 0, 1, -1, NULL, 0 }, 6, "pipeline_parallel_last_stage_less_layers: expected 0 to 65536, found -1" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct tt_arena a = { 0 };
        struct tt_stages stages;
        struct tt_err err = { 0 };
        assert_int_equal(tt_stages_make(&stages, &a, 2, bad[i].layers, &bad[i].opts, &err), TT_EINVAL);
        if (strncmp(err.msg, bad[i].msg, strlen(bad[i].msg)) != 0)
            assert_string_equal(err.msg, bad[i].msg);
        tt_arena_release(&a);
    }
}

static void test_a_tensor_is_where_its_module_is(void **state)
{
    static const char *const first[] = { "tok_embeddings", "layers.1" }, *const second[] = { "layers.10", "norm", "output" };
    static const struct tt_modules parts[] = { { first, 2 }, { second, 3 } };
    const struct tt_stages_opts opts = { "1F1B", 0, 1, 1, parts, 2 };
    struct tt_arena a = { 0 };
    struct tt_stages s;
    (void)state;
    assert_int_equal(tt_stages_make(&s, &a, 2, 12, &opts, NULL), TT_OK);
    assert_true(tt_stage_has(&s, 0, "tok_embeddings.weight"));
    assert_true(tt_stage_has(&s, 0, "layers.1.attention.wq.weight"));
    assert_false(tt_stage_has(&s, 0, "layers.10.attention.wq.weight"));
    assert_true(tt_stage_has(&s, 1, "layers.10.attention.wq.weight"));
    assert_true(tt_stage_has(&s, 1, "norm.weight"));
    assert_false(tt_stage_has(&s, 1, "layers.2.ffn_norm.weight"));
    tt_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_and_stages_are_those_of_the_real_ones),
        cmocka_unit_test(test_degrees_that_make_no_mesh_are_refused),
        cmocka_unit_test(test_experts_that_do_not_divide_are_refused_by_name),
        cmocka_unit_test(test_a_scalar_and_a_buffer_are_whole_on_every_rank),
        cmocka_unit_test(test_a_schedule_says_which_rank_has_which_stage),
        cmocka_unit_test(test_stages_that_do_not_fit_are_refused_by_setting),
        cmocka_unit_test(test_a_tensor_is_where_its_module_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

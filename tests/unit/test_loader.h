/* What the tests of loaders share: a folder for their data, the goldens' tokenizer, and the goldens' cases. */
#ifndef TEST_LOADER_H
#define TEST_LOADER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/loader.h"
#include "value/json.h"

static struct tt_tokenizer *tok;
static char folder[] = "build/test-loader-XXXXXX";
static struct tt_arena arena;

static int set_up(void **state)
{
    (void)state;
    struct tt_err err;
    return tt_tokenizer_open(&tok, "tests/golden/data/tokenizer", &err) == TT_OK && mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    struct tt_err err;
    tt_tokenizer_free(tok);
    tt_arena_release(&arena);
    return tt_remove_all(folder, &err) == TT_OK ? 0 : -1;
}

static const char *in_folder(const char *name)
{
    const char *path = tt_path_join(&arena, folder, name);
    assert_non_null(path);
    return path;
}

static const char *write_file(const char *name, const void *bytes, size_t n)
{
    struct tt_err err;
    const char *path = in_folder(name);
    assert_int_equal(tt_mkdir_p(tt_path_dir(&arena, path), &err), TT_OK);
    assert_int_equal(tt_file_write_all(path, bytes, n, &err), TT_OK);
    return path;
}

static int64_t field(const struct tt_value *v, const char *key) { return tt_value_get(v, key)->u.i; }

static struct tt_loader *open_case(const struct tt_value *c, const char *dataset, const char *path)
{
    struct tt_err err = { 0 };
    struct tt_loader *l = NULL;
    const struct tt_loader_opts o = { .dataset = dataset,
                                      .path = path,
                                      .seq_len = field(c, "seq_len"),
                                      .local_batch = field(c, "batch"),
                                      .dp_rank = (int)field(c, "rank"),
                                      .dp_world = (int)field(c, "world"),
                                      .infinite = tt_value_get(c, "infinite")->u.b };
    if (tt_loader_new(&l, tok, &o, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return l;
}

static void expect_batch(struct tt_loader *l, const struct tt_value *c, const struct tt_value *want)
{
    struct tt_err err = { 0 };
    int32_t x[200], y[200];
    int64_t nseq;
    if (tt_loader_next(l, x, y, &nseq, &err) != TT_OK)
        fail_msg("%s", err.msg);
    if (!want) {
        assert_int_equal(nseq, 0);
        return;
    }
    const struct tt_value *input = want->u.list.items[0], *labels = want->u.list.items[1];
    assert_int_equal(nseq * field(c, "seq_len"), input->u.list.n);
    for (size_t i = 0; i < input->u.list.n; i++) {
        assert_int_equal(x[i], input->u.list.items[i]->u.i);
        assert_int_equal(y[i], labels->u.list.items[i]->u.i);
    }
}

static struct tt_value *a_state(const struct tt_loader *l)
{
    struct tt_err err;
    struct tt_value *state;
    assert_int_equal(tt_loader_state(l, &arena, &state, &err), TT_OK);
    return state;
}

static void expect_equal(const struct tt_value *state, const struct tt_value *want)
{
    struct tt_buf a = { 0 }, b = { 0 };
    if (tt_value_equal(state, want))
        return;
    tt_json_write(&a, state, 0);
    tt_json_write(&b, want, 0);
    fail_msg("position %s, expected %s", tt_buf_cstr(&a), tt_buf_cstr(&b));
}

/* Where its dataset reads, which TorchTitan does not look at, and does not keep up to date once it has resumed. */
static void forget_place(const struct tt_value *state)
{
    struct tt_value *data = tt_value_at(state, "dataset_state", "data", "examples_iterable", NULL);
    if (data)
        tt_value_remove(data, "examples_iterable");
}

static void run_case(const struct tt_value *c, const char *dataset, const char *path)
{
    struct tt_err err;
    const struct tt_value *batches = tt_value_get(c, "batches"), *states = tt_value_get(c, "states"),
                          *on = tt_value_get(c, "resumed");
    struct tt_loader *l = open_case(c, dataset, path);
    for (size_t i = 0; i < batches->u.list.n; i++) {
        expect_batch(l, c, batches->u.list.items[i]);
        expect_equal(a_state(l), states->u.list.items[i]);
    }
    if (!tt_value_get(c, "infinite")->u.b)
        expect_batch(l, c, NULL);
    assert_int_equal(tt_loader_restore(l, states->u.list.items[1], "golden", &err), TT_OK);
    for (size_t i = 0; i < on->u.list.n; i++)
        expect_batch(l, c, on->u.list.items[i]);
    if (on->u.list.n < 2) /* two were asked for, up to the end */
        expect_batch(l, c, NULL);
    struct tt_value *state = a_state(l);
    const struct tt_value *want = tt_value_get(c, "resumed_state");
    forget_place(state);
    forget_place(want);
    expect_equal(state, want);
    tt_loader_free(l);
}

static inline void run_cases(const char *golden, const char *dataset, const char *path)
{
    struct tt_buf file = { 0 };
    struct tt_err err;
    struct tt_value *cases;
    assert_int_equal(tt_file_read_all(&file, golden, 1 << 20, &err), TT_OK);
    assert_int_equal(tt_json_parse(&cases, &arena, file.data, file.len, "golden", &err), TT_OK);
    assert_true(cases->u.list.n >= 4);
    for (size_t i = 0; i < cases->u.list.n; i++)
        run_case(cases->u.list.items[i], dataset, path);
    tt_buf_release(&file);
}

#endif

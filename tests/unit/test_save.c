/* Saving to a DCP folder and loading from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/load.h"
#include "ckpt/save.h"
#include "format/pickle_value.h"

#define assert_ok(call) do { struct tt_err e_ = { 0 }; const tt_status s_ = (call); if (s_ != TT_OK) fail_msg("%s", e_.msg); } while (0)

struct fixture {
    char dir[64], step[96];
    struct tt_arena arena;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/titan-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->step, sizeof f->step, "%s/checkpoint/step-5", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK;
    tt_arena_release(&f->arena);
    free(f);
    return failed;
}

static const int64_t shape[] = { 3, 5 };
static const struct tt_path_part step_path[] = { { "train_state", 0 }, { "step", 0 } };

static void save_one(const char *dir, const float *w, int64_t step, struct tt_arena *arena)
{
    const struct tt_save_item items[] = {
        { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .data = w },
        { .fqn = "train_state.step", .path = step_path, .npath = 2, .value = tt_value_int(arena, step) },
        { .fqn = "scalar", .dtype = TT_F32, .data = w + 3 },
    };
    assert_ok(tt_dcp_save(dir, items, 3, NULL, &e_));
}

static void fill(float *w, float first)
{
    for (int i = 0; i < 15; i++)
        w[i] = first + (float)i;
}

static void test_what_was_saved_is_loaded(void **state)
{
    struct fixture *f = *state;
    float w[15], got[15] = { 0 }, scalar = 0;
    struct tt_ckpt *ckpt = NULL;
    const struct tt_value *step = NULL;

    fill(w, 1);
    save_one(f->step, w, 5, &f->arena);
    assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
    const struct tt_want wants[] = {
        { .fqn = "w.weight", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = got },
        { .fqn = "scalar", .dtype = TT_F32, .dst = &scalar },
    };
    assert_ok(tt_ckpt_load(ckpt, wants, 2, NULL, &e_));
    assert_memory_equal(got, w, sizeof w);
    assert_true(scalar == w[3]);
    assert_ok(tt_ckpt_value(ckpt, "train_state.step", &step, &e_));
    assert_int_equal(step->kind, TT_V_INT);
    assert_int_equal(step->u.i, 5);
    tt_ckpt_close(ckpt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_saved_is_loaded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#define _GNU_SOURCE
/* Saves that fail or are killed at each of their calls to the system, one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/load.h"
#include "ckpt/save.h"
#include "ckpt/save_dir.h"
#include "ckpt/write.h"
#include "faults.h"

/* --- checkpoints ------------------------------------------------------------------------------------------------------------- */

#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

struct fixture {
    char dir[64], folder[80], old_step[96], step[96];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/dev/shm/titan-test-XXXXXX"); /* where fsync costs nothing */
    if (!mkdtemp(f->dir)) {
        strcpy(f->dir, "/tmp/titan-test-XXXXXX");
        if (!mkdtemp(f->dir))
            return -1;
    }
    snprintf(f->folder, sizeof f->folder, "%s/checkpoint", f->dir);
    snprintf(f->old_step, sizeof f->old_step, "%s/checkpoint/step-3", f->dir);
    snprintf(f->step, sizeof f->step, "%s/checkpoint/step-5", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK;
    free(f);
    return failed;
}

enum { N = 30000 }; /* more than what is gathered before it is written */
static const int64_t shape[] = { N / 3, 3 };

/* Every element of the tensor is `value`. */
static tt_status save(const char *dir, float value, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    static float w[N];
    for (int i = 0; i < N; i++)
        w[i] = value;
    const struct tt_save_item items[] = {
        { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .data = w },
        { .fqn = "train_state.step", .value = tt_value_int(&arena, (int64_t)value) },
        { .fqn = "v", .dtype = TT_F32, .ndim = 2, .shape = shape, .data = w },
    };
    const tt_status st = tt_dcp_save(dir, items, 3, NULL, err);
    tt_arena_release(&arena);
    return st;
}

/* The value of a whole checkpoint; 0: there is none. One that is not whole fails the test. */
static float value_of(const char *dir)
{
    struct tt_ckpt *ckpt = NULL;
    static float w[N], v[N];
    const struct tt_value *step = NULL;

    if (!tt_path_exists(dir))
        return 0;
    assert_ok(tt_ckpt_open(&ckpt, dir, &e_));
    const struct tt_want wants[] = { { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = w },
                                     { .fqn = "v", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = v } };
    assert_ok(tt_ckpt_load(ckpt, wants, 2, NULL, &e_));
    assert_ok(tt_ckpt_value(ckpt, "train_state.step", &step, &e_));
    for (int i = 0; i < N; i++)
        assert_true(w[i] == (float)step->u.i && v[i] == w[i]);
    tt_ckpt_close(ckpt);
    return w[0];
}

/* The names in the folder of the steps, each with a space behind it. */
static void names_in(const struct fixture *f, char *text, size_t ntext)
{
    struct tt_arena arena = { 0 };
    char **names;
    size_t n, at = 0;
    text[0] = 0;
    if (tt_path_is_dir(f->folder))
        assert_ok(tt_dir_list(&arena, f->folder, &names, &n, &e_));
    else
        n = 0;
    for (size_t i = 0; i < n && at < ntext; i++)
        at += (size_t)snprintf(text + at, ntext - at, "%s ", names[i]);
    tt_arena_release(&arena);
}

static void assert_names(const struct fixture *f, const char *expected)
{
    char names[1000];
    names_in(f, names, sizeof names);
    assert_string_equal(names, expected);
}

/* --- one save in a child
 * ---------------------------------------------------------------------------------------------------------- */

enum { SAVED = 0, FAILED = 1, BAD_MESSAGE = 2, NOT_REACHED = 3, KILLED = 9 };

/* Saves value 5 as step-5 with the n-th call going wrong. NOT_REACHED: there is no n-th. */
static int save_in_child(const struct fixture *f, int n)
{
    const pid_t pid = fork();
    if (pid == 0) {
        struct tt_err err = { .msg = "" };
        fault.at = n;
        fault.armed = true;
        const tt_status st = save(f->step, 5, &err);
        fault.armed = false;
        if (st == TT_OK)
            _exit(fault.calls < n ? NOT_REACHED : SAVED);
        const bool named = strstr(err.msg, f->dir) && strstr(err.msg, strerror(fault.error));
        if (!named)
            fprintf(stderr, "call %d: %s\n", n, err.msg);
        _exit(named ? FAILED : BAD_MESSAGE);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? KILLED : WEXITSTATUS(status);
}

struct counts {
    int failed, saved;
};

/* Every call in turn; step-5 is there already (value 4), or new. */
static struct counts fail_everywhere(const struct fixture *f, bool replaced)
{
    struct counts counts = { 0 };
    const char *before = replaced ? "step-3 step-5 " : "step-3 ";

    for (int n = 1;; n++) {
        assert_ok(tt_remove_all(f->folder, &e_));
        assert_ok(save(f->old_step, 3, &e_));
        if (replaced)
            assert_ok(save(f->step, 4, &e_));
        const int how = save_in_child(f, n);
        assert_int_not_equal(how, BAD_MESSAGE);
        assert_int_not_equal(how, KILLED);
        assert_true(value_of(f->old_step) == 3);
        if (how == FAILED) {
            counts.failed++;
            if (value_of(f->step) != (replaced ? 4 : 0))
                fail_msg("call %d, replaced %d: step-5 has value %g", n, replaced, (double)value_of(f->step));
            assert_names(f, before);
        } else { /* a call whose failure does no harm, as that of a descriptor that was only read */
            counts.saved++;
            assert_true(value_of(f->step) == 5);
        }
        if (how == NOT_REACHED)
            return counts;
    }
}

static const int errors[] = { ENOSPC, EIO, EDQUOT };

static void test_an_error_in_any_call_leaves_the_earlier_steps_and_nothing_else(void **state)
{
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++)
        for (int replaced = 0; replaced < 2; replaced++) {
            fault.error = errors[e];
            const struct counts counts = fail_everywhere(*state, replaced);
            assert_true(counts.failed > 12 && counts.saved < 10);
        }
}

static void test_a_disk_that_is_full_from_any_call_on_leaves_them_too(void **state)
{
    fault.is_full = true;
    fault.error = ENOSPC;
    for (int replaced = 0; replaced < 2; replaced++)
        assert_true(fail_everywhere(*state, replaced).failed > 12);
    fault.is_full = false;
}

static void test_errors_where_names_cannot_be_exchanged_leave_them_too(void **state)
{
    fault.no_flags = true;
    fault.error = EIO;
    for (int replaced = 0; replaced < 2; replaced++)
        assert_true(fail_everywhere(*state, replaced).failed > 12);
    fault.no_flags = false;
}

/* After the kill step-5 is what it was before or what was saved, whole; the next save leaves nothing of the dead one. */
static void kill_everywhere(const struct fixture *f, bool replaced)
{
    int old = 0, new = 0, gone = 0;

    fault.is_kill = true;
    for (int n = 1;; n++) {
        assert_ok(tt_remove_all(f->folder, &e_));
        assert_ok(save(f->old_step, 3, &e_));
        if (replaced)
            assert_ok(save(f->step, 4, &e_));
        const int how = save_in_child(f, n);
        if (how == NOT_REACHED)
            break;
        assert_int_equal(how, KILLED);
        char names[1000];
        names_in(f, names, sizeof names);
        for (const char *p = strstr(names, "step-"); p; p = strstr(p + 1, "step-"))
            assert_true(strncmp(p, "step-3 ", 7) == 0 || strncmp(p, "step-5 ", 7) == 0);
        if (replaced && !tt_path_exists(f->step)) { /* between two renames */
            gone++;
            tt_save_dir_recover(f->folder, NULL);
            assert_true(value_of(f->step) == 4);
            assert_names(f, "step-3 step-5 ");
        }
        const float value = value_of(f->step);
        assert_true(value == 5 || value == (replaced ? 4 : 0));
        old += value != 5;
        new += value == 5;
        assert_true(value_of(f->old_step) == 3);
        char next[96];
        snprintf(next, sizeof next, "%s/step-7", f->folder);
        assert_ok(save(next, 7, &e_));
        assert_names(f, value > 0 ? "step-3 step-5 step-7 " : "step-3 step-7 ");
        assert_true(value_of(f->step) == value && value_of(next) == 7);
    }
    fault.is_kill = false;
    assert_true(old > 10 && new > 0);
    assert_int_equal(gone > 0, replaced && fault.no_flags);
}

static void test_a_kill_at_any_call_leaves_whole_steps(void **state)
{
    kill_everywhere(*state, false);
    kill_everywhere(*state, true);
}

static void test_a_kill_where_names_cannot_be_exchanged_loses_nothing(void **state)
{
    fault.no_flags = true;
    kill_everywhere(*state, false);
    kill_everywhere(*state, true);
    fault.no_flags = false;
}

/* The lock of the process that is at it keeps others from giving back, or removing, what it put aside. */
static void test_a_folder_put_aside_by_the_living_is_left_alone(void **state)
{
    struct fixture *f = *state;
    char aside[128];

    assert_ok(save(f->old_step, 3, &e_));
    snprintf(aside, sizeof aside, "%s/.titan-0123456789ab-step%%2D3", f->folder);
    assert_int_equal(rename(f->old_step, aside), 0);
    const int fd = open(aside, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    tt_save_dir_recover(f->folder, NULL);
    assert_names(f, ".titan-0123456789ab-step%2D3 ");
    close(fd);
    tt_save_dir_recover(f->folder, NULL);
    assert_names(f, "step-3 ");
    assert_true(value_of(f->old_step) == 3);
}

/* --- titan-dcp2pt's file
 * ---------------------------------------------------------------------------------------------------------- */

static void test_a_pt_file_appears_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    char out[96];
    int failed = 0, how = FAILED;

    snprintf(out, sizeof out, "%s/checkpoint/all.pt", f->dir);
    assert_ok(save(f->old_step, 3, &e_));
    fault.error = ENOSPC;
    for (int n = 1; how != NOT_REACHED; n++) {
        const pid_t pid = fork();
        if (pid == 0) {
            struct tt_ckpt *ckpt = NULL;
            struct tt_err err = { .msg = "" };
            if (tt_ckpt_open(&ckpt, f->old_step, &err) != TT_OK)
                _exit(BAD_MESSAGE);
            fault.at = n;
            fault.armed = true;
            const tt_status st = tt_ckpt_write(ckpt, &(struct tt_target){ .format = TT_CKPT_PT, .path = out },
                                               &(struct tt_write_opts){ .force = true }, &err);
            fault.armed = false;
            tt_ckpt_close(ckpt);
            _exit(st == TT_OK                                                    ? fault.calls < n ? NOT_REACHED : SAVED
                  : strstr(err.msg, f->dir) && strstr(err.msg, strerror(ENOSPC)) ? FAILED
                                                                                 : BAD_MESSAGE);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        how = WEXITSTATUS(status);
        assert_int_not_equal(how, BAD_MESSAGE);
        failed += how == FAILED;
        assert_names(f, tt_path_exists(out) ? "all.pt step-3 " : "step-3 ");
        if (tt_path_exists(out))
            assert_true(value_of(out) == 3);
        else
            assert_int_equal(how, FAILED);
        unlink(out);
    }
    assert_true(failed > 5);
}

/* --- how many calls -------------------------------------------------------------------------------------------------------------
 */

static void test_small_items_are_written_together(void **state)
{
    enum { ITEMS = 700 };
    struct fixture *f = *state;
    struct tt_arena arena = { 0 };
    static struct tt_save_item items[ITEMS];
    struct tt_pool *pool = NULL;

    for (int i = 0; i < ITEMS; i++)
        items[i] = (struct tt_save_item){ .fqn = tt_arena_printf(&arena, "key.%d", i), .value = tt_value_int(&arena, i) };
    assert_ok(tt_pool_new(&pool, 3, &e_));
    for (int threads = 0; threads < 2; threads++) {
        const struct tt_save_opts opts = { .pool = threads ? pool : NULL };
        fault.writes = 0;
        assert_ok(tt_dcp_save(f->step, items, ITEMS, &opts, &e_));
        assert_in_range(fault.writes, 1, ITEMS / 10);
        struct tt_ckpt *ckpt = NULL;
        assert_ok(tt_ckpt_open(&ckpt, f->step, &e_));
        for (int i = 0; i < ITEMS; i++) {
            const struct tt_value *v = NULL;
            assert_ok(tt_ckpt_value(ckpt, items[i].fqn, &v, &e_));
            assert_int_equal(v->u.i, i);
        }
        tt_ckpt_close(ckpt);
    }
    tt_pool_free(pool);
    tt_arena_release(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_error_in_any_call_leaves_the_earlier_steps_and_nothing_else),
        TEST(test_a_disk_that_is_full_from_any_call_on_leaves_them_too),
        TEST(test_errors_where_names_cannot_be_exchanged_leave_them_too),
        TEST(test_a_kill_at_any_call_leaves_whole_steps),
        TEST(test_a_kill_where_names_cannot_be_exchanged_loses_nothing),
        TEST(test_a_folder_put_aside_by_the_living_is_left_alone),
        TEST(test_a_pt_file_appears_whole_or_not_at_all),
        TEST(test_small_items_are_written_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

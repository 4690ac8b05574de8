#define _GNU_SOURCE
/* Conversions whose calls fail or are the last: the output is whole or absent (or what it was before), the input is untouched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/file.h"
#include "ckpt/load.h"
#include "ckpt/save.h"
#include "ckpt/write.h"
#include "faults.h"

#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

/* Large enough for the kernel to copy it. */
enum { N = 100000 };
static const int64_t shape[] = { N };

struct fixture {
    char dir[64], in[80], out[80];
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
    snprintf(f->in, sizeof f->in, "%s/in", f->dir);
    snprintf(f->out, sizeof f->out, "%s/out", f->dir);
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

/* Every element of the tensors is `value`. */
static void save(const char *dir, float value)
{
    static float w[N];
    for (int i = 0; i < N; i++)
        w[i] = value;
    const struct tt_save_item items[] = {
        { .fqn = "w", .dtype = TT_F32, .ndim = 1, .shape = shape, .data = w },
        { .fqn = "v", .dtype = TT_F32, .ndim = 1, .shape = shape, .data = w },
    };
    assert_ok(tt_dcp_save(dir, items, 2, NULL, &e_));
}

/* The value of a whole checkpoint; 0: there is none. One that is not whole fails the test. */
static float value_of(const char *path)
{
    struct tt_ckpt *ckpt = NULL;
    static float w[N], v[N];

    if (!tt_path_exists(path))
        return 0;
    assert_ok(tt_ckpt_open(&ckpt, path, &e_));
    const struct tt_want wants[] = { { .fqn = "w", .dtype = TT_F32, .ndim = 1, .shape = shape, .dst = w },
                                     { .fqn = "v", .dtype = TT_F32, .ndim = 1, .shape = shape, .dst = v } };
    assert_ok(tt_ckpt_load(ckpt, wants, 2, NULL, &e_));
    for (int i = 0; i < N; i++)
        assert_true(w[i] == w[0] && v[i] == w[0]);
    tt_ckpt_close(ckpt);
    return w[0];
}

static void assert_names(const struct fixture *f, const char *expected)
{
    struct tt_arena arena = { 0 };
    struct tt_buf text = { 0 };
    char **names;
    size_t n;

    assert_ok(tt_dir_list(&arena, f->dir, &names, &n, &e_));
    for (size_t i = 0; i < n; i++)
        tt_buf_printf(&text, "%s ", names[i]);
    assert_string_equal(tt_buf_cstr(&text), expected);
    tt_buf_release(&text);
    tt_arena_release(&arena);
}

/* --- one conversion in a child ------------------------------------------------------------------------------------------------ */

struct kind {
    const char *name;
    enum tt_ckpt_format format;
    int zstd_level;
    bool link, cast, no_verify;
};

/* A file by the kernel and through the process; folders: made anew, compressed, taken over as they are, linked. */
static const struct kind kinds[] = {
    { .name = "pt", .format = TT_CKPT_PT },
    { .name = "pt by the kernel", .format = TT_CKPT_PT, .no_verify = true },
    { .name = "safetensors", .format = TT_CKPT_SAFETENSORS },
    { .name = "hf", .format = TT_CKPT_HF },
    { .name = "dcp anew", .format = TT_CKPT_DCP, .cast = true },
    { .name = "dcp taken over", .format = TT_CKPT_DCP },
    { .name = "dcp linked", .format = TT_CKPT_DCP, .link = true },
};
enum { NKINDS = sizeof kinds / sizeof *kinds };

static tt_status convert(const struct fixture *f, const struct kind *kind, bool force, struct tt_err *err)
{
    const struct tt_extra extra = { .name = "config.json", .bytes = "{}", .nbytes = 2 };
    const struct tt_target target = { .format = kind->format, .path = f->out, .zstd_level = kind->zstd_level, .link = kind->link,
                                      .extras = &extra, .nextras = kind->format == TT_CKPT_HF };
    const struct tt_write_opts opts = { .threads = 1, .force = force, .no_verify = kind->no_verify };
    struct tt_recipe recipe = { 0 };
    struct tt_ckpt *ckpt = NULL;
    tt_status st = tt_ckpt_open(&ckpt, f->in, err);

    for (size_t i = 0; st == TT_OK && i < ckpt->entries.n; i++)
        st = tt_recipe_add_entry(&recipe, ckpt, &ckpt->entries.items[i], err);
    for (size_t i = 0; st == TT_OK && kind->cast && i < recipe.n; i++)
        recipe.items[i].output.dtype = TT_F64;
    if (st == TT_OK)
        st = tt_recipe_write(&recipe, &target, &opts, NULL, err);
    tt_recipe_release(&recipe);
    tt_ckpt_close(ckpt);
    return st;
}

/* Which calls go wrong, a run each: all of them; every third where a sanitizer makes a child process cost twenty times as much. */
#ifdef __SANITIZE_ADDRESS__
enum { CALL_STEP = 3 };
#else
enum { CALL_STEP = 1 };
#endif

enum { DONE = 0, FAILED = 1, BAD_MESSAGE = 2, NOT_REACHED = 3, KILLED = 9 };

/* The n-th call goes wrong. NOT_REACHED: there is no n-th. */
static int convert_in_child(const struct fixture *f, const struct kind *kind, bool force, int n)
{
    const pid_t pid = fork();
    if (pid == 0) {
        struct tt_err err = { .msg = "" };
        fault.at = n;
        fault.armed = true;
        const tt_status st = convert(f, kind, force, &err);
        fault.armed = false;
        if (st == TT_OK)
            _exit(fault.calls < n ? NOT_REACHED : DONE);
        const bool named = strstr(err.msg, f->dir) && strstr(err.msg, fault.shrink ? "end" : strerror(fault.error));
        if (!named)
            fprintf(stderr, "%s, call %d: %s\n", kind->name, n, err.msg);
        _exit(named ? FAILED : BAD_MESSAGE);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? KILLED : WEXITSTATUS(status);
}

/* The output as it was before the run: absent, or with value 4. */
static void prepare(const struct fixture *f, const struct kind *kind, bool replaced)
{
    assert_ok(tt_remove_all(f->out, &e_));
    if (!replaced)
        return;
    assert_ok(tt_remove_all(f->in, &e_));
    save(f->in, 4);
    assert_ok(convert(f, kind, false, &e_));
    assert_ok(tt_remove_all(f->in, &e_));
    save(f->in, 5);
}

/* --- failures ------------------------------------------------------------------------------------------------------------------- */

static void fail_everywhere(const struct fixture *f, const struct kind *kind, bool replaced)
{
    const bool is_file = kind->format == TT_CKPT_PT || kind->format == TT_CKPT_SAFETENSORS;
    int failed = 0, done = 0, stands = 0;

    for (int n = 1;; n += CALL_STEP) {
        prepare(f, kind, replaced);
        const int how = convert_in_child(f, kind, replaced, n);
        assert_int_not_equal(how, BAD_MESSAGE);
        assert_int_not_equal(how, KILLED);
        const float value = value_of(f->out), expected = how == FAILED ? (replaced ? 4 : 0) : 5;
        if (is_file && how == FAILED && value == 5) /* the fsync of the folder, after the rename: four calls at the most */
            stands++;
        else if (value != expected)
            fail_msg("%s, call %d, replaced %d: the output has value %g", kind->name, n, replaced, (double)value);
        assert_names(f, value > 0 ? "in out " : "in ");
        assert_true(value_of(f->in) == 5);
        failed += how == FAILED;
        done += how == DONE; /* the failure does no harm: of closing what was only read, of copying what can be read instead */
        if (how == NOT_REACHED)
            break;
    }
    if (failed * CALL_STEP <= 4 || (CALL_STEP == 1 && failed <= done) || stands > 4)
        fail_msg("%s, replaced %d: %d failed, %d did no harm, %d stand", kind->name, replaced, failed, done, stands);
}

static void test_an_error_in_any_call_leaves_no_half_output(void **state)
{
    static const int errors[] = { ENOSPC, EIO };
    const struct fixture *f = *state;

    save(f->in, 5);
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
        for (size_t k = 0; k < NKINDS; k++)
            for (int replaced = 0; replaced < 2; replaced++) {
                fault.error = errors[e];
                fail_everywhere(f, &kinds[k], replaced);
            }
}

static void test_a_disk_that_is_full_from_any_call_on_leaves_no_half_output(void **state)
{
    const struct fixture *f = *state;

    save(f->in, 5);
    fault.is_full = true;
    fault.error = ENOSPC;
    for (size_t k = 0; k < NKINDS; k++)
        for (int replaced = 0; replaced < 2; replaced++)
            fail_everywhere(f, &kinds[k], replaced);
    fault.is_full = false;
}

static void test_an_input_that_shrinks_while_it_is_read_is_an_error(void **state)
{
    const struct fixture *f = *state;

    save(f->in, 5);
    for (size_t k = 0; k < NKINDS; k++) {
        int failed = 0;
        for (int n = 1;; n += CALL_STEP) {
            prepare(f, &kinds[k], false);
            fault.shrink = n;
            const int how = convert_in_child(f, &kinds[k], false, 0);
            fault.shrink = 0;
            if (how == DONE)
                break;
            assert_int_equal(how, FAILED);
            assert_names(f, "in ");
            failed++;
        }
        if (failed == 0 && kinds[k].format != TT_CKPT_DCP)
            fail_msg("%s: nothing was read", kinds[k].name);
    }
}

/* --- kills ---------------------------------------------------------------------------------------------------------------------- */

static void kill_everywhere(const struct fixture *f, const struct kind *kind, bool replaced)
{
    int old = 0, new = 0;

    for (int n = 1;; n += CALL_STEP) {
        prepare(f, kind, replaced);
        fault.is_kill = true;
        const int how = convert_in_child(f, kind, replaced, n);
        fault.is_kill = false;
        if (how == NOT_REACHED)
            break;
        assert_int_equal(how, KILLED);
        const float value = value_of(f->out);
        if (value != 5 && value != (replaced ? 4 : 0))
            fail_msg("%s, killed at call %d, replaced %d: the output has value %g", kind->name, n, replaced, (double)value);
        assert_true(value_of(f->in) == 5);
        old += value != 5;
        new += value == 5;
        assert_ok(convert(f, kind, true, &e_)); /* and nothing of the dead one is left */
        assert_names(f, "in out ");
        assert_true(value_of(f->out) == 5);
    }
    assert_true(old * CALL_STEP > 3 && (CALL_STEP > 1 || new > 0));
}

static void test_a_kill_at_any_call_leaves_no_half_output(void **state)
{
    const struct fixture *f = *state;

    save(f->in, 5);
    for (size_t k = 0; k < NKINDS; k++)
        for (int replaced = 0; replaced < 2; replaced++)
            kill_everywhere(f, &kinds[k], replaced);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_error_in_any_call_leaves_no_half_output),
        TEST(test_a_disk_that_is_full_from_any_call_on_leaves_no_half_output),
        TEST(test_an_input_that_shrinks_while_it_is_read_is_an_error),
        TEST(test_a_kill_at_any_call_leaves_no_half_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

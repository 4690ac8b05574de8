#define _GNU_SOURCE
/* What may stand in the place of a checkpoint's files: links to them are followed, anything but a file is refused without waiting for
 * it. */
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
#include "ckpt/load.h"

#define GOLDEN "tests/golden/dialects/torch-2.13/"
static const int64_t shape[] = { 3, 3 };

static int set_up(void **state)
{
    char *dir = strdup("/tmp/titan-test-XXXXXX");
    *state = dir;
    return dir && mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    const int failed = tt_remove_all(*state, NULL) != TT_OK;
    free(*state);
    return failed;
}

static const char *in(const char *dir, const char *name)
{
    static char path[2][200];
    static int which;
    which = !which;
    snprintf(path[which], sizeof path[which], "%s/%s", dir, name);
    return path[which];
}

static void copy(const char *dir, const char *name)
{
    struct tt_buf bytes = { 0 };
    assert_int_equal(tt_file_read_all(&bytes, in(GOLDEN, name), 1 << 20, NULL), TT_OK);
    assert_int_equal(tt_file_write_all(in(dir, name), bytes.data, bytes.len, NULL), TT_OK);
    tt_buf_release(&bytes);
}

static tt_status load(const char *dir, struct tt_err *err)
{
    float w[9];
    const struct tt_want want = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = w };
    struct tt_ckpt *ckpt = NULL;
    tt_status st = tt_ckpt_open(&ckpt, dir, err);
    if (st == TT_OK)
        st = tt_ckpt_load(ckpt, &want, 1, NULL, err);
    tt_ckpt_close(ckpt);
    return st;
}

static void link_golden(const char *dir, const char *name)
{
    char *real = realpath(in(GOLDEN, name), NULL);
    assert_non_null(real);
    assert_int_equal(symlink(real, in(dir, name)), 0);
    free(real);
}

static void test_links_are_followed(void **state)
{
    const char *dir = *state;
    struct tt_err err = { .msg = "" };
    link_golden(dir, ".metadata");
    link_golden(dir, "__0_0.distcp");
    if (load(dir, &err) != TT_OK)
        fail_msg("%s", err.msg);
}

static void assert_refused(const char *dir, const char *message)
{
    struct tt_err err = { .msg = "" };
    assert_int_equal(load(dir, &err), TT_EIO);
    if (!strstr(err.msg, message))
        fail_msg("expected \"%s\" in \"%s\"", message, err.msg);
}

static void test_what_is_no_file_is_refused_without_waiting(void **state)
{
    const char *dir = *state;
    copy(dir, ".metadata");
    assert_int_equal(mkfifo(in(dir, "__0_0.distcp"), 0600), 0);
    assert_refused(dir, "/__0_0.distcp: expected a regular file, found something else");
    unlink(in(dir, "__0_0.distcp"));
    assert_int_equal(symlink("/dev/zero", in(dir, "__0_0.distcp")), 0);
    assert_refused(dir, "/__0_0.distcp: expected a regular file, found something else");
    unlink(in(dir, "__0_0.distcp"));
    assert_int_equal(mkdir(in(dir, "__0_0.distcp"), 0700), 0);
    assert_refused(dir, "/__0_0.distcp: expected a regular file, found a folder");
    unlink(in(dir, ".metadata"));
    assert_int_equal(mkfifo(in(dir, ".metadata"), 0600), 0);
    assert_refused(dir, "/.metadata: expected a regular file, found something else");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_links_are_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_is_refused_without_waiting, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

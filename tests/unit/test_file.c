/* Files that appear whole or not at all, and errors that name the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static char dir[64];
static struct tt_arena arena;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/titan-test-file-XXXXXX");
    return mkdtemp(dir) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    tt_arena_release(&arena);
    return tt_remove_all(dir, NULL) == TT_OK && !tt_path_exists(dir) ? 0 : 1;
}

static size_t files(void)
{
    char **names;
    size_t n = 0;
    assert_int_equal(tt_dir_list(&arena, dir, &names, &n, NULL), TT_OK);
    return n;
}

static void test_what_is_no_regular_file_is_not_replaced(void **state)
{
    (void)state;
    const char *const paths[] = { "/dev/null", dir };
    for (size_t i = 0; i < 2; i++) {
        struct tt_outfile out;
        struct tt_err err;
        assert_int_equal(tt_outfile_open(&out, paths[i], &err), TT_EIO);
        assert_non_null(strstr(err.msg, paths[i]));
    }
}

static void test_a_file_is_there_only_after_commit(void **state)
{
    (void)state;
    const char *path = tt_path_join(&arena, dir, "a.bin");
    struct tt_outfile out;
    struct tt_err err;

    assert_int_equal(tt_outfile_open(&out, path, &err), TT_OK);
    assert_int_equal(tt_write_full(out.fd, "hello", 5, path, &err), TT_OK);
    assert_false(tt_path_exists(path));
    assert_int_equal(tt_outfile_commit(&out, &err), TT_OK);

    struct tt_buf buf = { 0 };
    assert_int_equal(tt_file_read_all(&buf, path, 5, &err), TT_OK);
    assert_string_equal(tt_buf_cstr(&buf), "hello");
    tt_buf_release(&buf);
    assert_int_equal(tt_file_read_all(&buf, path, 4, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(files(), 1);
}

static void test_an_abandoned_file_leaves_what_was_there(void **state)
{
    (void)state;
    const char *path = tt_path_join(&arena, dir, "b.bin");
    struct tt_outfile out;
    struct tt_err err;

    assert_int_equal(tt_file_write_all(path, "old", 3, &err), TT_OK);
    assert_int_equal(tt_outfile_open(&out, path, &err), TT_OK);
    assert_int_equal(tt_write_full(out.fd, "new and longer", 14, path, &err), TT_OK);
    tt_outfile_abandon(&out);
    struct tt_buf buf = { 0 };
    assert_int_equal(tt_file_read_all(&buf, path, 100, &err), TT_OK);
    assert_string_equal(tt_buf_cstr(&buf), "old");
    tt_buf_release(&buf);
    assert_int_equal(files(), 1);
}

static void test_only_regular_files_are_inputs(void **state)
{
    (void)state;
    const char *fifo = tt_path_join(&arena, dir, "fifo");
    struct tt_infile in;
    struct tt_err err;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(tt_infile_open(&in, fifo, &err), TT_EIO); /* and it does not wait for a writer */
    assert_int_equal(tt_infile_open(&in, dir, &err), TT_EIO);
    assert_non_null(strstr(err.msg, "a folder"));
    assert_int_equal(tt_infile_open(&in, tt_path_join(&arena, dir, "absent"), &err), TT_ENOENT);
    assert_non_null(strstr(err.msg, "absent"));
}

static void test_reading_past_the_end_names_the_offset(void **state)
{
    (void)state;
    const char *path = tt_path_join(&arena, dir, "c.bin");
    struct tt_infile in;
    struct tt_err err;
    char bytes[8];

    assert_int_equal(tt_file_write_all(path, "0123456789", 10, &err), TT_OK);
    assert_int_equal(tt_infile_open(&in, path, &err), TT_OK);
    assert_int_equal(tt_infile_pread(&in, bytes, 8, 2, &err), TT_OK);
    assert_memory_equal(bytes, "23456789", 8);
    assert_int_equal(tt_infile_pread(&in, bytes, 8, 4, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "offset 10: expected 2 more bytes"));
    tt_infile_close(&in);
    tt_infile_close(&in);
}

static void test_removal_does_not_follow_links(void **state)
{
    (void)state;
    const char *kept = tt_path_join(&arena, dir, "kept"), *gone = tt_path_join(&arena, dir, "gone/deep/er");
    struct tt_err err;

    assert_int_equal(tt_mkdir_p(kept, &err), TT_OK);
    assert_int_equal(tt_mkdir_p(gone, &err), TT_OK);
    assert_int_equal(tt_mkdir_p(gone, &err), TT_OK);
    assert_int_equal(symlink(kept, tt_path_join(&arena, gone, "link")), 0);
    assert_int_equal(tt_remove_all(tt_path_join(&arena, dir, "gone"), &err), TT_OK);
    assert_true(tt_path_is_dir(kept));
    assert_int_equal(files(), 1);
    assert_int_equal(tt_mkdir_p(tt_path_join(&arena, "/dev/null", "x"), &err), TT_EIO);
    assert_non_null(strstr(err.msg, "/dev/null"));
}

static void test_paths_join_and_split(void **state)
{
    (void)state;
    assert_string_equal(tt_path_join(&arena, "a/", "b"), "a/b");
    assert_string_equal(tt_path_join(&arena, "a", "/b"), "/b");
    assert_string_equal(tt_path_join(&arena, "", "b"), "b");
    assert_string_equal(tt_path_dir(&arena, "/b"), "/");
    assert_string_equal(tt_path_dir(&arena, "b"), ".");
    assert_string_equal(tt_path_base("a/b.pt"), "b.pt");
    assert_true(tt_path_same("/", "/usr/.."));
    assert_false(tt_path_same("/", "/usr"));
    assert_true(tt_has_suffix("x.pt", ".pt"));
    assert_false(tt_has_suffix("pt", ".pt"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_regular_file_is_not_replaced),
        TEST(test_a_file_is_there_only_after_commit),
        TEST(test_an_abandoned_file_leaves_what_was_there),
        TEST(test_only_regular_files_are_inputs),
        TEST(test_reading_past_the_end_names_the_offset),
        TEST(test_removal_does_not_follow_links),
        TEST(test_paths_join_and_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

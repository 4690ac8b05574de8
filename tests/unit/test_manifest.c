/* SHA-256 by the standard's examples, and manifests: what is written is read, and what sha256sum would not read is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "ckpt/manifest.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void assert_digest(const void *bytes, size_t n, size_t step, const char *hex)
{
    struct tt_sha256 sha = tt_sha256_begin();
    uint8_t digest[TT_SHA256_NBYTES];
    char text[65];
    for (size_t i = 0; i < n; i += step)
        tt_sha256_add(&sha, (const char *)bytes + i, n - i < step ? n - i : step);
    tt_sha256_end(&sha, digest);
    for (int i = 0; i < TT_SHA256_NBYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

/* FIPS 180-4, and NIST's example values. */
static void test_the_standards_examples_give_their_digests(void **state)
{
    static const struct { const char *text, *hex; } rows[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
          "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step < 130; step += 9)
            assert_digest(rows[i].text, strlen(rows[i].text), step, rows[i].hex);
    char *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    assert_digest(million, 1000000, 999, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

#define HEX "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789"

static void test_lines_of_sha256sum_are_read(void **state)
{
    static const char text[] = HEX "  a/b\n" HEX " *./c//d\n\\" HEX "  x\\\\y\\nz\n" HEX "   blank\n";
    struct tt_arena arena = { 0 };
    struct tt_manifest_line *lines = NULL;
    size_t n = 0;
    (void)state;
    assert_int_equal(tt_manifest_parse(&lines, &n, &arena, text, sizeof text - 1, "sums", NULL), TT_OK);
    assert_int_equal(n, 4);
    assert_string_equal(lines[0].name, "a/b");
    assert_string_equal(lines[0].hex, "0123456789abcdefabcdef0123456789abcdef0123456789abcdef0123456789");
    assert_string_equal(lines[1].name, "./c//d");
    assert_string_equal(lines[1].plain, "c/d");
    assert_string_equal(lines[2].name, "x\\y\nz");
    assert_string_equal(lines[3].name, " blank");
    tt_arena_release(&arena);
}

static void test_other_lines_are_refused_with_their_number(void **state)
{
    static const char *const rows[] = { "x\n", HEX "\n", HEX "  \n", HEX " a\n", "g" HEX "  a\n", "\n", "\\" HEX "  a\\b\n" };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_arena arena = { 0 };
        struct tt_manifest_line *lines = NULL;
        struct tt_err err = { 0 };
        char text[300];
        size_t n = 0;
        snprintf(text, sizeof text, HEX "  good\n%s", rows[i]);
        assert_int_equal(tt_manifest_parse(&lines, &n, &arena, text, strlen(text), "sums", &err), TT_EFORMAT);
        assert_string_equal(err.msg, "sums:2: expected 64 hex digits, two blanks and the name of a file");
        tt_arena_release(&arena);
    }
}

/* --- a folder ----------------------------------------------------------------------------------------------------------------- */

struct fixture {
    char dir[64], sums[80];
};

static void put(const struct fixture *f, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_int_equal(tt_file_write_all(path, text, strlen(text), NULL), TT_OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[100];
    strcpy(f->dir, "/tmp/titan-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->sums, sizeof f->sums, "%s.sums", f->dir);
    snprintf(path, sizeof path, "%s/below", f->dir);
    *state = f;
    return tt_mkdir_p(path, NULL) == TT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK || tt_remove_all(f->sums, NULL) != TT_OK;
    free(f);
    return failed;
}

static bool check(const struct fixture *f, const char **text)
{
    static char found[2000];
    const char *const paths[] = { f->dir };
    const struct tt_task task = { .pool = NULL };
    struct tt_err err = { 0 };
    bool good = false;
    FILE *out = tmpfile();
    assert_non_null(out);
    if (tt_manifest_check(out, f->sums, paths, 1, &task, &good, &err) != TT_OK)
        fail_msg("%s", err.msg);
    rewind(out);
    found[fread(found, 1, sizeof found - 1, out)] = 0;
    fclose(out);
    *text = found;
    return good;
}

static void test_a_manifest_tells_what_changed_went_and_came(void **state)
{
    const struct fixture *f = *state;
    const char *const paths[] = { f->dir };
    const struct tt_task task = { .pool = NULL };
    const char *text = NULL;
    char path[100];
    put(f, "a", "1");
    put(f, "new\nline", "2");
    put(f, "below/c\\", "3");
    assert_int_equal(tt_manifest_write(f->sums, paths, 1, &task, NULL), TT_OK);
    assert_true(check(f, &text));
    assert_non_null(strstr(text, "good: 3 files, 3 bytes"));
    put(f, "a", "9");
    put(f, "d", "4");
    snprintf(path, sizeof path, "%s/new\nline", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_false(check(f, &text));
    assert_non_null(strstr(text, "/a: has another SHA-256 than in the manifest"));
    assert_non_null(strstr(text, "/d: is not in the manifest"));
    assert_non_null(strstr(text, "/new\\x0aline: is in the manifest, but not there"));
    assert_non_null(strstr(text, "3 things are wrong; 3 files"));
}

static void test_a_manifest_within_the_checkpoint_leaves_itself_out(void **state)
{
    struct fixture *f = *state;
    const char *const paths[] = { f->dir };
    const struct tt_task task = { .pool = NULL };
    const char *text = NULL;
    snprintf(f->sums, sizeof f->sums, "%s/SHA256SUMS", f->dir);
    put(f, "a", "1");
    for (int i = 0; i < 2; i++)
        assert_int_equal(tt_manifest_write(f->sums, paths, 1, &task, NULL), TT_OK);
    assert_true(check(f, &text));
    assert_non_null(strstr(text, "good: 1 files, 1 bytes"));
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_standards_examples_give_their_digests),
        cmocka_unit_test(test_lines_of_sha256sum_are_read),
        cmocka_unit_test(test_other_lines_are_refused_with_their_number),
        IN_FOLDER(test_a_manifest_tells_what_changed_went_and_came),
        IN_FOLDER(test_a_manifest_within_the_checkpoint_leaves_itself_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which files of a folder are a split, as Hugging Face datasets chooses and orders them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/files.h"

static char folder[] = "build/test-data-files-XXXXXX";
static struct tt_arena arena;

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    struct tt_err err;
    tt_arena_release(&arena);
    return tt_remove_all(folder, &err) == TT_OK ? 0 : -1;
}

static const char *write_file(const char *dir, const char *name, const char *text)
{
    struct tt_err err;
    const char *in = tt_path_join(&arena, folder, dir), *path = tt_path_join(&arena, in, name);
    assert_int_equal(tt_mkdir_p(tt_path_dir(&arena, path), &err), TT_OK);
    assert_int_equal(tt_file_write_all(path, text, strlen(text), &err), TT_OK);
    return in;
}

/* A new folder of these files, whose README.md is `card` if not NULL. */
static const char *make(const char *const *files, const char *card)
{
    static int n;
    const char *dir = tt_arena_printf(&arena, "%d", n++), *in = NULL;
    for (size_t i = 0; files[i]; i++)
        in = write_file(dir, files[i], "{\"text\": \"x\"}\n");
    return card ? write_file(dir, "README.md", card) : in;
}

static void expect(const char *dir, const char *config, const char *split, const char *const *want)
{
    struct tt_err err = { 0 };
    struct tt_data_files files;
    if (tt_data_files(&files, &arena, dir, config, split, &err) != TT_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < files.n; i++) {
        assert_non_null(want[i]);
        assert_string_equal(files.paths[i], tt_path_join(&arena, dir, want[i]));
    }
    assert_null(want[files.n]);
}

static void expect_error(const char *dir, const char *config, const char *split, tt_status code, const char *message)
{
    struct tt_err err = { 0 };
    struct tt_data_files files;
    assert_int_equal(tt_data_files(&files, &arena, dir, config, split, &err), code);
    if (!strstr(err.msg, message))
        fail_msg("%s", err.msg);
}

static void test_names_tell_splits_apart(void **state)
{
    (void)state;
    /* each checked against datasets 5.2 */
    static const struct {
        const char *files[7], *split, *want[7];
    } cases[] = {
        { { "b.jsonl", "a.json", "sub/c.ndjson", ".hidden.json", "notes.txt" }, "train", { "a.json", "b.jsonl", "sub/c.ndjson" } },
        { { "train-2.json", "train-1.json", "test.json", "other.json" }, "train", { "train-1.json", "train-2.json" } },
        { { "train/a.json", "test/b.json", "train-x.json" }, "train", { "train/a.json" } },
        { { "mytest.json", "a9.json", "a10.json" }, "train", { "a10.json", "a9.json", "mytest.json" } },
        { { "c4-train.1.json.gz", "c4-train.0.json.gz", "c4-validation.0.json.gz" }, "validation", { "c4-validation.0.json.gz" } },
        { { "data/train-00000-of-00002.json", "data/train-00001-of-00002.json", "x-train-1.json" },
          "train",
          { "data/train-00000-of-00002.json", "data/train-00001-of-00002.json" } },
        /* word by word and pattern by pattern; what two patterns match comes twice */
        { { "train.json", "a-train-1.json", "train-training.json", "0train.json" },
          "train",
          { "train-training.json", "train.json", "0train.json", "a-train-1.json", "train-training.json" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(make(cases[i].files, NULL), NULL, cases[i].split, cases[i].want);
}

static void test_a_split_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    static const char *const named[] = { "test.json", "other.json", NULL }, *const plain[] = { "a.json", NULL },
                             *const none[] = { "notes.txt", NULL };
    expect_error(make(named, NULL), NULL, "train", TT_ENOENT, "expected files of split \"train\", found those of others only");
    expect_error(make(plain, NULL), "en", "validation", TT_ENOENT, "expected files of split \"validation\"");
    expect_error(make(none, NULL), NULL, "train", TT_ENOENT, "no data files");
    expect_error("build/nothing-here", NULL, "train", TT_ENOENT, "no such file or folder");
}

static const char *const clone[] = { "en/c4-train.00001-of-00002.json.gz", "en/c4-train.00000-of-00002.json.gz",
                                     "en/c4-validation.00000-of-00001.json.gz", "en.noclean/c4-train.00000.json.gz", NULL };

static const char c4[] = "---\r\npretty_name: C4\nlicense:\n- odc-by\nconfigs:\n"
                         "- config_name: en\n  data_files:\n  - split: train\n    path: en/c4-train.*.json.gz\n"
                         "  - split: validation\n    path: [en/c4-validation.*.json.gz]\n"
                         "- config_name: en.noclean\n  data_files: en.noclean/*.json.gz\n"
                         "dataset_info:\n- config_name: en\n  features:\n  - name: text\n    dtype: string\n---\n# C4\n";

static void test_a_readme_names_the_files_of_a_config(void **state)
{
    (void)state;
    static const char *const train[] = { "en/c4-train.00000-of-00002.json.gz", "en/c4-train.00001-of-00002.json.gz", NULL },
                             *const validation[] = { "en/c4-validation.00000-of-00001.json.gz", NULL },
                             *const noclean[] = { "en.noclean/c4-train.00000.json.gz", NULL };
    const char *dir = make(clone, c4);
    struct tt_data_files files;
    struct tt_err err;
    expect(dir, "en", "train", train);
    expect(dir, "en", "validation", validation);
    expect(dir, "en.noclean", "train", noclean);
    assert_int_equal(tt_data_files(&files, &arena, dir, "en", "validation", &err), TT_OK);
    assert_true(files.has_features);
    assert_string_equal(files.first, tt_path_join(&arena, dir, train[0]));
    expect_error(dir, "fr", "train", TT_ENOENT, "README.md: configs: expected one named \"fr\", found none");
    expect_error(dir, NULL, "train", TT_ENOENT, "expected one named default, or the only one");
    expect_error(dir, "en", "test", TT_ENOENT, "expected a split \"test\", found none");
}

static void test_other_forms_of_a_readme(void **state)
{
    (void)state;
    static const char *const files[] = { "x/a.json", "x/train-1.json", "b.json", NULL },
                             *const a[] = { "x/a.json", "b.json", NULL },
                             *const all[] = { "b.json", "x/a.json", "x/train-1.json", NULL };
    expect(make(files, "---\nconfigs:\n- config_name: only\n  data_files: [x/a.*, ./b.json]\n---\n"), NULL, "train", a);
    expect(make(files, "---\nconfigs:\n- config_name: a\n  default: true\n  data_files: '**'\n- config_name: b\n---\n"), NULL,
           "train", all);
    expect(make(files, "no front matter\n---\nconfigs: 1\n---\n"), "en", "train", (const char *[]){ "x/train-1.json", NULL });
    const char *dir = make(files, "---\nconfigs:\n- config_name: en\n  data_dir: x\n---\n");
    expect(tt_path_join(&arena, dir, "x"), NULL, "train", (const char *[]){ "train-1.json", NULL });
}

static void test_a_readme_that_is_wrong_is_an_error(void **state)
{
    (void)state;
    static const char *const files[] = { "a.json", NULL };
    static const struct {
        const char *card, *message;
    } cases[] = {
        { "---\nconfigs: 3\n---\n", "README.md: configs: expected a list: found an integer" },
        { "---\nconfigs:\n- {}\n---\n", "configs: expected objects with a config_name" },
        { "---\nconfigs:\n- config_name: en\n  data_files: 3\n---\n", "data_files: expected a pattern, patterns, or objects" },
        { "---\nconfigs:\n- config_name: en\n  data_files:\n  - split: train\n---\n", "data_files: expected a pattern" },
        { "---\nconfigs:\n- config_name: en\n  data_files: b.json\n---\n", "data_files: expected a data file b.json" },
        { "---\nconfigs:\n- config_name: en\n  data_files: b*.json\n---\n", "b*.json matches no data file" },
        { "---\nconfigs: [\n---\n", "README.md:" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_error(make(files, cases[i].card), "en", "train", strstr(cases[i].message, "data file") ? TT_ENOENT : TT_EFORMAT,
                     cases[i].message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_tell_splits_apart),
        cmocka_unit_test(test_a_split_that_is_not_there_is_an_error),
        cmocka_unit_test(test_a_readme_names_the_files_of_a_config),
        cmocka_unit_test(test_other_forms_of_a_readme),
        cmocka_unit_test(test_a_readme_that_is_wrong_is_an_error),
    };
    return cmocka_run_group_tests_name("data_files", tests, set_up, tear_down);
}

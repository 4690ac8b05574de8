/* The command line of the programs: one table parses, explains itself and suggests names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/nearest.h"
#include "cli/opt_private.h"

struct wishes {
    bool json;
    int64_t depth;
    const char *codec;
    uint64_t size;
    int64_t level;
    struct tt_opt_list names;
};

static tt_status not_bob(const char *text, struct tt_err *err)
{
    return strcmp(text, "bob") == 0 ? tt_err_set(err, TT_EINVAL, "not bob") : TT_OK;
}

#define FIELD(f) offsetof(struct wishes, f)
static const char *const codecs[] = { "none", "zstd", NULL };
static const struct tt_opt opts[] = {
    { "json", TT_OPT_FLAG, FIELD(json), .text = "Print JSON. It's one object a tensor." },
    { "max-depth", TT_OPT_INT, FIELD(depth), .min = 1, .max = 64, .arg = "N", .text = "Fold names below this depth." },
    { "codec", TT_OPT_STR, FIELD(codec), .choices = codecs, .arg = "CODEC", .text = "How to compress." },
    { "shard-size", TT_OPT_SIZE, FIELD(size), .arg = "SIZE", .text = "Bytes a file." },
    { "zstd", TT_OPT_INT, FIELD(level), .arg = "LEVEL", .also = "x.zstd", .implied = "3", .text = "Compress." },
    { "name", TT_OPT_LIST, FIELD(names), .arg = "NAME", .check = not_bob, .text = "A name." },
    { 0 },
};
static const struct tt_prog prog = {
    .name = "titan-x", .synopsis = "[options] IN OUT", .about = "does x", .opts = opts, .args_min = 1, .args_max = 2
};

enum { ARGS_MAX = 8 };
static tt_status parse(struct wishes *w, char *args[ARGS_MAX], int *first, struct tt_err *err)
{
    int argc = 0;
    while (argc < ARGS_MAX && args[argc])
        argc++;
    return tt_opt_parse(&prog, argc, args, w, first, err);
}

static void test_options_and_arguments_may_stand_in_any_order(void **state)
{
    (void)state;
    struct wishes w = { 0 };
    struct tt_err err;
    int first;
    char *args[ARGS_MAX] = { "x", "in", "--json", "--max_depth=3", "-", "--codec", "zstd" };
    assert_int_equal(parse(&w, args, &first, &err), TT_OK);
    assert_true(w.json);
    assert_int_equal(w.depth, 3);
    assert_string_equal(w.codec, "zstd");
    assert_int_equal(first, 5);
    assert_string_equal(args[5], "in");
    assert_string_equal(args[6], "-");
    char *after[ARGS_MAX] = { "x", "--", "--json" };
    assert_int_equal(parse(&w, after, &first, &err), TT_OK);
    assert_string_equal(after[first], "--json");
}

static void test_a_value_may_be_implied(void **state)
{
    (void)state;
    static const struct {
        char *args[ARGS_MAX];
        int64_t level;
        int first;
    } rows[] = {
        { { "x", "--zstd", "9" }, 3, 2 }, { { "x", "--zstd=9", "in" }, 9, 2 },        { { "x", "in", "--zstd" }, 3, 2 },
        { { "x", "--x.zstd=1", "in" }, 1, 2 }, { { "x", "--zstd", "--json", "in" }, 3, 3 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wishes w = { 0 };
        struct tt_err err = { .msg = "" };
        int first;
        char *args[ARGS_MAX];
        memcpy(args, rows[i].args, sizeof args);
        assert_int_equal(parse(&w, args, &first, &err), TT_OK);
        assert_int_equal(w.level, rows[i].level);
        assert_int_equal(first, rows[i].first);
    }
}

static void test_the_shared_options_are_taken_out_of_the_arguments(void **state)
{
    (void)state;
    const struct tt_prog other = { .name = "titan-y", .shared = opts, .shared_rows = 1 << 1 | 1 << 5 };
    struct wishes w = { 0 };
    struct tt_err err;
    char *args[] = { "y", "--a.b", "3", "--max-depth", "2", "--name=x", "--json", "file", "--", "--name", "z", NULL };
    static const char *const left[] = { "y", "--a.b", "3", "--json", "file", "--", "--name", "z" };
    int argc = 11;
    assert_int_equal(tt_opt_take_shared(&other, &argc, args, &w, &err), TT_OK);
    assert_int_equal(argc, 8);
    for (int i = 0; i < argc; i++)
        assert_string_equal(args[i], left[i]);
    assert_null(args[argc]);
    assert_int_equal(w.depth, 2);
    assert_int_equal(w.names.n, 1);
    tt_opt_release(&other, &w);
    assert_int_equal(w.names.n, 0);
    char *bad[] = { "y", "--max-depth", NULL };
    argc = 2;
    assert_int_equal(tt_opt_take_shared(&other, &argc, bad, &w, &err), TT_EUSAGE);
    assert_string_equal(err.msg, "--max-depth: expected a value (N)");
}

static void test_sizes_have_units(void **state)
{
    (void)state;
    static const struct {
        char *text;
        uint64_t v;
    } rows[] = {
        { "65536", 65536 }, { "64KiB", 65536 }, { "5GB", 5000000000 }, { "1M", 1 << 20 }, { "2gib", 2ull << 30 }, { "0", 0 },
    };
    static char *const bad[] = { "", "x", "5XB", "-1", "99999999999999999999", "99999999999TiB", "1.5GB" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wishes w = { 0 };
        int first;
        char *args[ARGS_MAX] = { "x", "--shard-size", rows[i].text, "in" };
        assert_int_equal(parse(&w, args, &first, NULL), TT_OK);
        assert_int_equal(w.size, rows[i].v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wishes w = { 0 };
        int first;
        char *args[ARGS_MAX] = { "x", "--shard-size", bad[i], "in" };
        assert_int_equal(parse(&w, args, &first, NULL), TT_EUSAGE);
    }
}

static void test_a_wrong_argument_is_a_usage_error_that_names_it(void **state)
{
    (void)state;
    static const struct {
        char *args[ARGS_MAX];
        const char *message;
    } rows[] = {
        { { "x" }, "expected at least 1 argument, found 0" },
        { { "x", "a", "b", "c" }, "expected at most 2 arguments, found 'c' after them" },
        { { "x", "--jsn" }, "--jsn: no such option; did you mean --json?" },
        { { "x", "--wholly-other=1" }, "--wholly-other: no such option" },
        { { "x", "--json=1" }, "--json: takes no value, found '1'" },
        { { "x", "--codec" }, "--codec: expected a value (CODEC)" },
        { { "x", "--codec", "--json" }, "--codec: expected a value (CODEC)" },
        { { "x", "--codec", "gzip" }, "--codec: expected one of none, zstd, found 'gzip'" },
        { { "x", "--max-depth", "65" }, "--max-depth: expected an integer from 1 to 64, found 65" },
        { { "x", "--name", "bob" }, "--name: not bob" },
        { { "x", "--x.zst" }, "--x.zst: no such option; did you mean --x.zstd?" },
        { { "x", "--max-depth", "3x" }, "--max-depth: expected an integer, found '3x'" },
        { { "x", "-j" }, "-j: no such option (a file of that name is ./-j)" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wishes w = { 0 };
        struct tt_err err = { .msg = "" };
        int first;
        char *args[ARGS_MAX];
        memcpy(args, rows[i].args, sizeof args);
        assert_int_equal(parse(&w, args, &first, &err), TT_EUSAGE);
        assert_string_equal(err.msg, rows[i].message);
    }
}

static void test_the_nearest_name_is_near_or_none(void **state)
{
    (void)state;
    static const char *const names[] = { "training.steps", "training.seq_len", "optimizer.lr" };
    assert_string_equal(tt_nearest_name("training.step", names, 3), "training.steps");
    assert_string_equal(tt_nearest_name("Training-Seq-Len", names, 3), "training.seq_len");
    assert_string_equal(tt_nearest_name("optimiser.lr", names, 3), "optimizer.lr");
    assert_null(tt_nearest_name("checkpoint", names, 3));
    assert_null(tt_nearest_name("", names, 3));
}

static void test_help_man_page_and_completions_name_every_option(void **state)
{
    (void)state;
    static const char *const shells[] = { "bash", "zsh", "fish" };
    struct tt_buf text = { 0 };
    tt_opt_write_help(&text, &prog);
    assert_non_null(
        strstr(tt_buf_cstr(&text), "usage: titan-x [options] IN OUT\n\ndoes x\n\noptions:\n  --json\n      Print JSON."));
    assert_non_null(strstr(tt_buf_cstr(&text), "  --codec {none,zstd}\n"));
    assert_non_null(strstr(tt_buf_cstr(&text), "  --version\n"));
    assert_non_null(strstr(tt_buf_cstr(&text), "  --zstd, --x.zstd[=LEVEL]\n"));
    tt_buf_clear(&text);
    assert_true(tt_opt_write_man(&text, &prog, "options"));
    assert_non_null(strstr(tt_buf_cstr(&text), ".It Fl Fl max-depth Ar N\nFold names below this depth.\n"));
    assert_non_null(strstr(tt_buf_cstr(&text), ".It Fl Fl zstd , Fl Fl x.zstd Ns Op Cm = Ns Ar LEVEL\n"));
    assert_non_null(strstr(tt_buf_cstr(&text), "Print JSON.\nIt's one object a tensor.\n"));
    for (size_t i = 0; i < 3; i++) {
        tt_buf_clear(&text);
        assert_true(tt_opt_write_completion(&text, &prog, shells[i]));
        for (const struct tt_opt *o = opts; o->name; o++)
            assert_true(strstr(tt_buf_cstr(&text), o->name) && (!o->also || strstr(tt_buf_cstr(&text), o->also)));
        assert_non_null(strstr(tt_buf_cstr(&text), "none zstd"));
    }
    assert_false(tt_opt_write_completion(&text, &prog, "tcsh"));
    tt_buf_release(&text);
}

static void test_a_man_page_escapes_what_is_a_macro_there(void **state)
{
    (void)state;
    static const struct tt_opt rows[] = {
        { "a.b", TT_OPT_STR, .arg = "X",
          .text = ".gz and a \\ here. 'Tis the second sentence, which is so long that it has to go on in a line "
                  "of its own after eighty bytes." },
        { 0 },
    };
    const struct tt_prog page = { .name = "titan-x", .opts = rows };
    struct tt_buf text = { 0 };
    assert_true(tt_opt_write_man(&text, &page, "settings"));
    assert_string_equal(tt_buf_cstr(&text), ".Ss Section a\n.Bl -tag -width Ds\n.It Cm a.b Ar X\n\\&.gz and a \\e here.\n"
                                            "\\&'Tis the second sentence, which is so long that it has to go on in a line of\n"
                                            "its own after eighty bytes.\n.El\n");
    tt_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_arguments_may_stand_in_any_order),
        cmocka_unit_test(test_a_value_may_be_implied),
        cmocka_unit_test(test_the_shared_options_are_taken_out_of_the_arguments),
        cmocka_unit_test(test_sizes_have_units),
        cmocka_unit_test(test_a_wrong_argument_is_a_usage_error_that_names_it),
        cmocka_unit_test(test_the_nearest_name_is_near_or_none),
        cmocka_unit_test(test_help_man_page_and_completions_name_every_option),
        cmocka_unit_test(test_a_man_page_escapes_what_is_a_macro_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

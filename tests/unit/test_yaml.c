/* YAML: each row is a document and the JSON of what it says, or the error it must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "value/json.h"
#include "value/yaml.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct {
    const char *yaml, *json;
} good[] = {
    { "", "null" },
    { "# nothing\n", "null" },
    { "a: 1\nb:\n  c: x\n  d: [1, two, 3.5]\n", "{\"a\": 1, \"b\": {\"c\": \"x\", \"d\": [1, \"two\", 3.5]}}" },
    { "- 1e-6\n- 1E+5\n- 1.\n- .5\n- -2.5e3\n- 1_000\n- 1_0.5\n- 0x1F\n- 0o17\n- -7\n- +7\n- 0",
      "[1e-06, 100000.0, 1.0, 0.5, -2500.0, 1000, 10.5, 31, 15, -7, 7, 0]" },
    { "[.inf, -.INF, .nan, +.inf]", "[Infinity, -Infinity, NaN, Infinity]" },
    { "[true, False, yes, OFF, ~, null, '', \"yes\", '1']", "[true, false, true, false, null, null, \"\", \"yes\", \"1\"]" },
    { "[1.2.3, 1e, e1, '.', inf, nan, y, n, 1-2, 2000-01-01, a b, 0x, 0xg, 1 000]",
      "[\"1.2.3\", \"1e\", \"e1\", \".\", \"inf\", \"nan\", \"y\", \"n\", \"1-2\", \"2000-01-01\", \"a b\", \"0x\", \"0xg\", \"1 "
      "000\"]" },
    { "a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\": \"x\\ny\\n\", \"b\": \"x y\\n\"}" },
    { "on: 1\n2: b\n? c\n: d\n", "{\"on\": 1, \"2\": \"b\", \"c\": \"d\"}" },
    { "a: &x {b: 1}\nc: *x\nd: [*x, *x]\n", "{\"a\": {\"b\": 1}, \"c\": {\"b\": 1}, \"d\": [{\"b\": 1}, {\"b\": 1}]}" },
    { "a: !!str 1\nb: !!float 1\nc: !!int '3'\nd: ! 4\ne: !!map {}\nf: !!null ''\n",
      "{\"a\": \"1\", \"b\": 1.0, \"c\": 3, \"d\": \"4\", \"e\": {}, \"f\": null}" },
    { "a:\nb: [{c: }]\n", "{\"a\": null, \"b\": [{\"c\": null}]}" },
    { "--- {a: b}\n...\n", "{\"a\": \"b\"}" },
    { "a: \"\\u00e9\\n\"", "{\"a\": \"\xc3\xa9\\n\"}" },
};

static const struct {
    const char *yaml, *message;
} bad[] = {
    { "a: 1\na: 2", "x.yaml:2: 'a' was defined before, in line 1" },
    { "a: [1, 2", "x.yaml:2: not YAML: " },
    { "a:\n\t- b", "x.yaml:2: not YAML: " },
    { "a: 010", "x.yaml:1: expected a number without a leading 0" },
    { "\na: 99999999999999999999", "x.yaml:2: expected an integer of at most 64 bits, found '99999999999999999999'" },
    { "a: *x", "x.yaml:1: the alias '*x' has no anchor before it" },
    { "a: &x [*x]", "x.yaml:1: the alias '*x' has no anchor before it" },
    { "a: !python/object x", "x.yaml:1: expected no tag but !!str" },
    { "a: !!binary x", "x.yaml:1: expected no tag but !!str" },
    { "a: !!int x", "x.yaml:1: expected an integer, found 'x'" },
    { "a: !!seq {}", "x.yaml:1: expected no tag here" },
    { "a: 1\n--- \nb: 2", "x.yaml:2: expected one document, found another" },
    { "[1]: 2", "x.yaml:1: expected a plain key" },
    { "a: '\xff'", "x.yaml:1: not YAML: " },
    { "\"a\\0b\": 1", "x.yaml:1: a key must not hold a NUL" },
};

static void test_what_is_yaml_says_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct tt_arena arena = { 0 };
        struct tt_buf json = { 0 };
        struct tt_value *v;
        struct tt_err err = { .msg = "" };
        if (tt_yaml_parse(&v, &arena, good[i].yaml, strlen(good[i].yaml), "x.yaml", &err) != TT_OK)
            fail_msg("%s\n%s", good[i].yaml, err.msg);
        tt_json_write(&json, v, 0);
        assert_string_equal(tt_buf_cstr(&json), good[i].json);
        tt_buf_release(&json);
        tt_arena_release(&arena);
    }
}

static void test_what_is_not_yaml_is_an_error_that_names_the_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct tt_arena arena = { 0 };
        struct tt_value *v = NULL;
        struct tt_err err = { .msg = "" };
        if (tt_yaml_parse(&v, &arena, bad[i].yaml, strlen(bad[i].yaml), "x.yaml", &err) != TT_EFORMAT)
            fail_msg("accepted: %s", bad[i].yaml);
        if (strncmp(err.msg, bad[i].message, strlen(bad[i].message)) != 0)
            assert_string_equal(err.msg, bad[i].message);
        assert_null(v);
        tt_arena_release(&arena);
    }
}

static void test_values_know_their_lines(void **state)
{
    (void)state;
    static const char text[] = "a: 1\n\nb:\n  c:\n    - 1\n    - 2\n";
    struct tt_arena arena = { 0 };
    struct tt_value *v;
    assert_int_equal(tt_yaml_parse(&v, &arena, text, sizeof text - 1, "x", NULL), TT_OK);
    assert_int_equal(tt_value_get(v, "a")->line, 1);
    assert_int_equal(tt_value_at(v, "b", "c", NULL)->u.list.items[1]->line, 6);
    tt_arena_release(&arena);
}

static void test_every_truncation_and_every_flipped_bit_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        for (size_t n = 0; n <= strlen(good[i].yaml); n++)
            for (int bit = -1; bit < 8; bit++) {
                struct tt_arena arena = { 0 };
                struct tt_value *v;
                struct tt_err err;
                char *text = malloc(n + 1);
                memcpy(text, good[i].yaml, n);
                if (bit >= 0 && n > 0)
                    text[n - 1] = (char)(text[n - 1] ^ (1 << bit));
                const tt_status st = tt_yaml_parse(&v, &arena, text, n, "x", &err);
                assert_true(st == TT_OK || st == TT_EFORMAT);
                free(text);
                tt_arena_release(&arena);
            }
}

/* Nine levels of nine aliases would be 387 million values. */
static void test_aliases_of_aliases_do_not_grow_without_bound(void **state)
{
    (void)state;
    struct tt_arena arena = { 0 };
    struct tt_buf text = { 0 };
    struct tt_value *v;
    struct tt_err err;
    tt_buf_str(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        tt_buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++)
            tt_buf_printf(&text, "*a%d,", i - 1);
        tt_buf_str(&text, "]\n");
    }
    assert_int_equal(tt_yaml_parse(&v, &arena, text.data, text.len, "x", &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "aliases written out"));
    tt_buf_release(&text);
    tt_arena_release(&arena);
}

static void test_deep_nesting_is_refused_with_and_without_aliases(void **state)
{
    (void)state;
    struct tt_arena arena = { 0 };
    struct tt_buf text = { 0 };
    struct tt_value *v;
    struct tt_err err;
    tt_buf_fill(&text, '[', 300);
    assert_int_equal(tt_yaml_parse(&v, &arena, text.data, text.len, "x", &err), TT_EFORMAT);
    assert_string_equal(err.msg, "x:1: nested deeper than 200 levels");
    tt_buf_clear(&text);
    tt_buf_str(&text, "- &a0 []\n");
    for (int i = 1; i < 300; i++)
        tt_buf_printf(&text, "- &a%d [*a%d]\n", i, i - 1);
    assert_int_equal(tt_yaml_parse(&v, &arena, text.data, text.len, "x", &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "nested deeper than 200 levels"));
    tt_buf_release(&text);
    tt_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_yaml_says_what_it_says),
        cmocka_unit_test(test_what_is_not_yaml_is_an_error_that_names_the_line),
        cmocka_unit_test(test_values_know_their_lines),
        cmocka_unit_test(test_every_truncation_and_every_flipped_bit_is_survived),
        cmocka_unit_test(test_aliases_of_aliases_do_not_grow_without_bound),
        cmocka_unit_test(test_deep_nesting_is_refused_with_and_without_aliases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

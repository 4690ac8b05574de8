/* TOML 1.0: each row is a document and the JSON of what it says, or the error it must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "value/json.h"
#include "value/toml.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct {
    const char *toml, *json;
} good[] = {
    { "", "{}" },
    { "# only a comment\n\n", "{}" },
    { "\xef\xbb\xbf"
      "a = 1",
      "{\"a\": 1}" },
    { "a = 1\r\nb = 2\r\n", "{\"a\": 1, \"b\": 2}" },
    { "a=1#c", "{\"a\": 1}" },
    /* keys */
    { "bare-key_1 = 1\n1234 = 2\n\"quoted key\" = 3\n'lit\"eral' = 4\n\"\" = 5",
      "{\"bare-key_1\": 1, \"1234\": 2, \"quoted key\": 3, \"lit\\\"eral\": 4, \"\": 5}" },
    { "a.b.c = 1\na . b . d = 2\na.\"x.y\" = 3", "{\"a\": {\"b\": {\"c\": 1, \"d\": 2}, \"x.y\": 3}}" },
    { "3.14 = 'pi'", "{\"3\": {\"14\": \"pi\"}}" },
    /* strings */
    { "a = \"\\b\\t\\n\\f\\r\\\"\\\\\\u00e9\\U0001F600\"", "{\"a\": \"\\b\\t\\n\\f\\r\\\"\\\\\xc3\xa9\xf0\x9f\x98\x80\"}" },
    { "a = 'C:\\x\\\"'", "{\"a\": \"C:\\\\x\\\\\\\"\"}" },
    { "a = \"\"\"\nx\ny\"\"\"", "{\"a\": \"x\\ny\"}" },
    { "a = \"\"\"\r\nx\r\ny\"\"\"", "{\"a\": \"x\\ny\"}" },
    { "a = \"\"\"one \\\n   two \\  \n\n  three\"\"\"", "{\"a\": \"one two three\"}" },
    { "a = \"\"\"\"\"two quotes\"\"\"\"\"", "{\"a\": \"\\\"\\\"two quotes\\\"\\\"\"}" },
    { "a = '''\n''two'''''", "{\"a\": \"''two''\"}" },
    { "a = '''\\u0041\n'''", "{\"a\": \"\\\\u0041\\n\"}" },
    { "a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = ''''''", "{\"a\": \"\", \"b\": \"\", \"c\": \"\", \"d\": \"\"}" },
    { "a = \"\"\"\\\"\"\"\"", "{\"a\": \"\\\"\"}" },
    /* integers */
    { "a = [+99, 42, 0, -17, 1_000, 5_349_221, -0, +0]", "{\"a\": [99, 42, 0, -17, 1000, 5349221, 0, 0]}" },
    { "a = [0xDEADBEEF, 0xdead_beef, 0o755, 0b1101_0110]", "{\"a\": [3735928559, 3735928559, 493, 214]}" },
    { "a = [9223372036854775807, -9223372036854775808, 0x7fffffffffffffff]",
      "{\"a\": [9223372036854775807, -9223372036854775808, 9223372036854775807]}" },
    /* floats */
    { "a = [+1.0, 3.1415, -0.01, 5e+22, 1e06, -2E-2, 6.626e-34, 224_617.445_991_228, 0.0, -0.0, 0e0, 1e-6, 8e-4]",
      "{\"a\": [1.0, 3.1415, -0.01, 5e+22, 1000000.0, -0.02, 6.626e-34, 224617.445991228, 0.0, -0.0, 0.0, 1e-06, 0.0008]}" },
    { "a = [inf, +inf, -inf, nan, +nan, -nan]", "{\"a\": [Infinity, Infinity, -Infinity, NaN, NaN, NaN]}" },
    { "a = true\nb = false", "{\"a\": true, \"b\": false}" },
    /* dates and times, as strings */
    { "a = [1979-05-27T07:32:00Z, 1979-05-27T00:32:00.999999-07:00, 1979-05-27 07:32:00, 1979-05-27, 07:32:00, 00:32:00.5]",
      "{\"a\": [\"1979-05-27T07:32:00Z\", \"1979-05-27T00:32:00.999999-07:00\", \"1979-05-27 07:32:00\", \"1979-05-27\", "
      "\"07:32:00\", \"00:32:00.5\"]}" },
    { "a = 2000-02-29 # leap", "{\"a\": \"2000-02-29\"}" },
    /* arrays */
    { "a = []\nb = [ ]\nc = [1, 'x', [2.5, []], {d = 1}]", "{\"a\": [], \"b\": [], \"c\": [1, \"x\", [2.5, []], {\"d\": 1}]}" },
    { "a = [ # first\n  1, # one\n\n  2 # two\n  , 3,\n]", "{\"a\": [1, 2, 3]}" },
    /* inline tables */
    { "a = {}\nb = { x = 1, y.z = 2, y.w = {v = [\n1\n]} }",
      "{\"a\": {}, \"b\": {\"x\": 1, \"y\": {\"z\": 2, \"w\": {\"v\": [1]}}}}" },
    /* tables */
    { "[a]\nx=1\n[a.b]\ny=2\n[c]\n", "{\"a\": {\"x\": 1, \"b\": {\"y\": 2}}, \"c\": {}}" },
    { "[a.b.c]\nx=1\n[a]\ny=2", "{\"a\": {\"b\": {\"c\": {\"x\": 1}}, \"y\": 2}}" },
    { "[ a . 'b c' . \"d\" ] # x\nx=1", "{\"a\": {\"b c\": {\"d\": {\"x\": 1}}}}" },
    { "[fruit]\napple.color = 1\napple.taste.sweet = true\n[fruit.apple.texture]\nsmooth = true",
      "{\"fruit\": {\"apple\": {\"color\": 1, \"taste\": {\"sweet\": true}, \"texture\": {\"smooth\": true}}}}" },
    /* arrays of tables */
    { "[[p]]\nname='x'\n[[p]]\n[[p]]\nname='y'\n[p.q]\nz=1",
      "{\"p\": [{\"name\": \"x\"}, {}, {\"name\": \"y\", \"q\": {\"z\": 1}}]}" },
    { "[[a.b]]\nx=1\n[[a.b.c]]\ny=1\n[[a.b.c]]\ny=2\n[[a.b]]\nx=2",
      "{\"a\": {\"b\": [{\"x\": 1, \"c\": [{\"y\": 1}, {\"y\": 2}]}, {\"x\": 2}]}}" },
    { "[a]\n[[a.b]]\n[a.c]", "{\"a\": {\"b\": [{}], \"c\": {}}}" },
};

static const struct {
    const char *toml, *message;
} bad[] = {
    { "a", "x.toml:1: expected '=' after a key, found the end of the file" },
    { "a =", "x.toml:1: expected a value, found the end of the file" },
    { "a = \n", "x.toml:1: expected a value, found the end of the line" },
    { "= 1", "x.toml:1: expected a key, found '='" },
    { "a = 1 b = 2", "x.toml:1: expected the end of the line, found 'b'" },
    { "a = 1\na = 2", "x.toml:2: 'a' was defined before, in line 1" },
    { "a = 1\n\"a\" = 2", "x.toml:2: 'a' was defined before, in line 1" },
    { "a.b = 1\na = 2", "x.toml:2: 'a' was defined before, in line 1" },
    { "a = 1\na.b = 2", "x.toml:2: 'a' was defined before, in line 1" },
    { "[a]\n\n[a]", "x.toml:3: 'a' was defined before, in line 1" },
    { "a = {}\n[a]", "x.toml:2: 'a' was defined before, in line 1" },
    { "a = {b = 1}\na.c = 2", "x.toml:2: 'a' was defined before, in line 1" },
    { "a = {}\n[a.b]", "x.toml:2: 'a' was defined before, in line 1" },
    { "a = [{}]\n[[a]]", "x.toml:2: 'a' was defined before, in line 1" },
    { "a = [{}]\n[a.b]", "x.toml:2: 'a' was defined before, in line 1" },
    { "[[a]]\n[a]", "x.toml:2: 'a' was defined before, in line 1" },
    { "[a]\n[[a]]", "x.toml:2: 'a' was defined before, in line 1" },
    { "[a]\nb.c = 1\n[a.b]", "x.toml:3: 'b' was defined before, in line 2" },
    { "[a]\nb.c.d = 1\n[a.b.c]", "x.toml:3: 'c' was defined before, in line 2" },
    { "[a.b.c]\nz=9\n[a]\nb.c.t = 1", "x.toml:4: 'b' was defined before, in line 1" },
    { "a = {b = 1, b = 2}", "x.toml:1: 'b' was defined before, in line 1" },
    { "a = {b = 1,}", "x.toml:1: expected a key, found '}'" },
    { "a = {b = 1\n}", "x.toml:1: expected ',' or '}' in an inline table, found the end of the line" },
    { "a = [1 2]", "x.toml:1: expected ',' or ']' in an array, found '2'" },
    { "a = [,]", "x.toml:1: expected a value, found ','" },
    { "a = [1,\n2", "x.toml:2: expected ',' or ']' in an array, found the end of the file" },
    { "[a", "x.toml:1: expected ']' after the name of a table, found the end of the file" },
    { "[[a]", "x.toml:1: expected ']]' after the name of an array of tables, found the end of the file" },
    { "[]", "x.toml:1: expected a key, found ']'" },
    { "[a..b]", "x.toml:1: expected a key, found '.b'" },
    { "[a] b = 1", "x.toml:1: expected the end of the line, found 'b'" },
    { "a = 'x\n'", "x.toml:1: expected the closing ' of a string, found the end of the line" },
    { "a = \"x", "x.toml:1: expected the closing \" of a string, found the end of the file" },
    { "a = \"\"\"x\ny", "x.toml:2: expected the end of the string that starts in line 1, found the end of the file" },
    { "a = \"\\x41\"", "x.toml:1: expected one of b t n f r \" \\ u U after a backslash, found 'x41\"'" },
    { "a = \"\\u00g0\"", "x.toml:1: expected 4 hexadecimal digits after \\u, found 'g0\"'" },
    { "a = \"\\ud800\"", "x.toml:1: expected a Unicode scalar value, found U+D800" },
    { "a = \"\\U00110000\"", "x.toml:1: expected a Unicode scalar value, found U+110000" },
    { "a = \"\"\"b\\ c\"\"\"", "x.toml:1: expected one of b t n f r \" \\ u U after a backslash, found ' '" },
    { "\"\"\"a\"\"\" = 1", "x.toml:1: expected a key on one line, found '\"\"\"a\"\"\"'" },
    { "a = \"\x01\"", "x.toml:1: expected the closing \" of a string, found the control character 0x01" },
    { "# \x7f", "x.toml:1: expected a comment without control characters, found the control character 0x7f" },
    { "a = 1\rb = 2", "x.toml:1: expected the end of the line, found the end of the line" },
    { "a = '\xff'", "x.toml:1: expected UTF-8, found the byte 0xff" },
    { "a = 1\nb = '\xc0\x80'", "x.toml:2: expected UTF-8, found the byte 0xc0" },
    { "\"a\\u0000\" = 1", "x.toml:1: a key must not hold a NUL" },
    { "a = 9223372036854775808", "x.toml:1: expected an integer of at most 64 bits, found '9223372036854775808'" },
    { "a = 0xffffffffffffffff", "x.toml:1: expected an integer of at most 64 bits, found '0xffffffffffffffff'" },
};

/* What must be "expected a value". */
static const char *const not_values[] = {
    "01",
    "+01",
    "-01",
    "1_",
    "_1",
    "1__0",
    "+0x1",
    "0x",
    "0x_1",
    "0xg",
    "0o8",
    "0b2",
    "0X1",
    "1.",
    ".5",
    "1.e1",
    "1._0",
    "1_.0",
    "1e",
    "1e_1",
    "1e1_",
    "1e1.0",
    "+-1",
    "++1",
    "00",
    "0_0",
    "00.5",
    "Inf",
    "infinity",
    "NAN",
    "True",
    "TRUE",
    "yes",
    "null",
    "none",
    "1979-13-01",
    "1979-00-01",
    "1979-02-30",
    "1900-02-29",
    "1979-5-27",
    "1979-05-27T",
    "1979-05-27T25:00:00",
    "1979-05-27T07:32Z",
    "07:60:00",
    "7:32:00",
    "07:32",
    "07:32:00Z",
    "07:32:00.",
    "1979-05-27T07:32:00+24:00",
    "abc",
    "-",
    "+",
    "+true",
    "0x1.0",
    "0.0.0",
};

static void test_what_is_toml_says_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct tt_arena arena = { 0 };
        struct tt_buf json = { 0 };
        struct tt_value *v;
        struct tt_err err = { .msg = "" };
        if (tt_toml_parse(&v, &arena, good[i].toml, strlen(good[i].toml), "x.toml", &err) != TT_OK)
            fail_msg("%s\n%s", good[i].toml, err.msg);
        tt_json_write(&json, v, 0);
        assert_string_equal(tt_buf_cstr(&json), good[i].json);
        tt_buf_release(&json);
        tt_arena_release(&arena);
    }
}

static void test_what_is_not_toml_is_an_error_that_names_the_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct tt_arena arena = { 0 };
        struct tt_value *v = NULL;
        struct tt_err err = { .msg = "" };
        if (tt_toml_parse(&v, &arena, bad[i].toml, strlen(bad[i].toml), "x.toml", &err) != TT_EFORMAT)
            fail_msg("accepted: %s", bad[i].toml);
        if (strncmp(err.msg, bad[i].message, strlen(bad[i].message)) != 0)
            assert_string_equal(err.msg, bad[i].message);
        assert_null(v);
        tt_arena_release(&arena);
    }
}

static void test_a_wrong_number_date_or_word_is_no_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(not_values); i++) {
        struct tt_arena arena = { 0 };
        struct tt_value *v = NULL;
        struct tt_err err = { .msg = "" };
        const char *text = tt_arena_printf(&arena, "a = %s\n", not_values[i]);
        if (tt_toml_parse(&v, &arena, text, strlen(text), "x.toml", &err) != TT_EFORMAT)
            fail_msg("accepted: %s", not_values[i]);
        tt_arena_release(&arena);
    }
}

static void test_values_know_their_lines(void **state)
{
    (void)state;
    static const char text[] = "a = 1\n\n[b]\nc = [\n  1,\n  2]\nd = \"\"\"\n\n\"\"\"\ne = {f = 1}\n";
    struct tt_arena arena = { 0 };
    struct tt_value *v;
    assert_int_equal(tt_toml_parse(&v, &arena, text, sizeof text - 1, "x", NULL), TT_OK);
    assert_int_equal(tt_value_get(v, "a")->line, 1);
    assert_int_equal(tt_value_get(v, "b")->line, 3);
    assert_int_equal(tt_value_at(v, "b", "c", NULL)->line, 4);
    assert_int_equal(tt_value_at(v, "b", "c", NULL)->u.list.items[1]->line, 6);
    assert_int_equal(tt_value_at(v, "b", "d", NULL)->line, 7);
    assert_int_equal(tt_value_at(v, "b", "e", "f", NULL)->line, 10);
    tt_arena_release(&arena);
}

static void test_every_truncation_and_every_flipped_bit_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        for (size_t n = 0; n <= strlen(good[i].toml); n++)
            for (int bit = -1; bit < 8; bit++) {
                struct tt_arena arena = { 0 };
                struct tt_value *v;
                struct tt_err err;
                char *text = malloc(n + 1); /* of the exact size, for the address sanitizer */
                memcpy(text, good[i].toml, n);
                if (bit >= 0 && n > 0)
                    text[n - 1] = (char)(text[n - 1] ^ (1 << bit));
                const tt_status st = tt_toml_parse(&v, &arena, text, n, "x", &err);
                assert_true(st == TT_OK || st == TT_EFORMAT);
                free(text);
                tt_arena_release(&arena);
            }
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    char deep[2000] = "a = ";
    memset(deep + 4, '[', 1900);
    struct tt_arena arena = { 0 };
    struct tt_value *v;
    struct tt_err err;
    assert_int_equal(tt_toml_parse(&v, &arena, deep, 1904, "x", &err), TT_EFORMAT);
    assert_string_equal(err.msg, "x:1: nested deeper than 200 levels");
    size_t n = 0;
    for (; n < 1900; n += 4) /* {a.b={a.b= ... */
        memcpy(deep + n, n ? "{a.b=" : "a  =", n ? 5 : 4), n += n > 0;
    assert_int_equal(tt_toml_parse(&v, &arena, deep, n, "x", &err), TT_EFORMAT);
    assert_string_equal(err.msg, "x:1: nested deeper than 200 levels");
    tt_arena_release(&arena);
}

static void test_memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    static const char text[] = "[a]\nb = [1, 2, {c = 'x'}]\n[[d]]\ne.f = 1.5\n";
    for (size_t limit = 16; limit < 3000; limit += 16) {
        struct tt_arena arena = { .limit = limit };
        struct tt_value *v;
        const tt_status st = tt_toml_parse(&v, &arena, text, sizeof text - 1, "x", NULL);
        assert_true(st == TT_OK || st == TT_ENOMEM);
        tt_arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_toml_says_what_it_says),
        cmocka_unit_test(test_what_is_not_toml_is_an_error_that_names_the_line),
        cmocka_unit_test(test_a_wrong_number_date_or_word_is_no_value),
        cmocka_unit_test(test_values_know_their_lines),
        cmocka_unit_test(test_every_truncation_and_every_flipped_bit_is_survived),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

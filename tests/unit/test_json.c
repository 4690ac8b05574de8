/* JSON: read as Python reads it, written byte for byte as json.dumps(ensure_ascii=False) writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value/json.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void test_a_removed_key_is_gone_from_a_map_of_any_size(void **state)
{
    (void)state;
    for (int n = 1; n < 40; n += 13) { /* a large one has an index */
        struct tt_arena arena = { 0 };
        struct tt_value *map = tt_value_map(&arena);
        for (int i = 0; i < n; i++)
            assert_true(tt_value_set(&arena, map, tt_arena_printf(&arena, "%d", i), tt_value_int(&arena, i)));
        tt_value_remove(map, "0");
        tt_value_remove(map, "absent");
        assert_int_equal(map->u.map.n, n - 1);
        assert_null(tt_value_get(map, "0"));
        assert_true(tt_value_set(&arena, map, "0", tt_value_int(&arena, 100)));
        for (int i = 0; i < n; i++)
            assert_int_equal(tt_value_get(map, tt_arena_printf(&arena, "%d", i))->u.i, i ? i : 100);
        tt_arena_release(&arena);
    }
}

static void test_a_document_comes_back_as_it_was_written(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "{\"a\": 1, \"b\": [true, false, null], \"c\": {}, \"d\": [], \"e\": 1e-06, \"f\": \"x\\ty\\u0001\\\"\\\\ \xc3\xa9\"}",
        "[1, -9223372036854775808, 9223372036854775807]",
        "\"\\u0000\"",
        "0.1",
        "{\"\": \"\"}",
    };
    for (size_t i = 0; i < COUNT(documents); i++) {
        struct tt_arena arena = { 0 };
        struct tt_buf out = { 0 };
        struct tt_value *v;
        struct tt_err err;
        assert_int_equal(tt_json_parse(&v, &arena, documents[i], strlen(documents[i]), "x.json", &err), TT_OK);
        tt_json_write(&out, v, 0);
        assert_string_equal(tt_buf_cstr(&out), documents[i]);
        tt_buf_release(&out);
        tt_arena_release(&arena);
    }
}

static void test_an_indented_document_is_as_pythons(void **state)
{
    (void)state;
    static const char text[] = "{\n  \"a\": {\n    \"b\": [\n      1,\n      2\n    ],\n    \"c\": []\n  },\n  \"d\": {}\n}";
    struct tt_arena arena = { 0 };
    struct tt_buf out = { 0 };
    struct tt_value *v;
    assert_int_equal(tt_json_parse(&v, &arena, text, sizeof text - 1, "x.json", NULL), TT_OK);
    tt_json_write(&out, v, 2);
    assert_string_equal(tt_buf_cstr(&out), text);
    tt_buf_release(&out);
    tt_arena_release(&arena);
}

static void test_numbers_are_the_shortest_that_read_back(void **state)
{
    (void)state;
    static const struct {
        double f;
        const char *text;
    } rows[] = {
        { 0.0, "0.0" },
        { -0.0, "-0.0" },
        { 1.0, "1.0" },
        { 0.1, "0.1" },
        { 100.0, "100.0" },
        { 8e-4, "0.0008" },
        { 1e-5, "1e-05" },
        { 1e15, "1000000000000000.0" },
        { 1e16, "1e+16" },
        { 123456789012345680.0, "1.2345678901234568e+17" },
        { 5e-324, "5e-324" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 0x1p-44, "5.684341886080802e-14" },
        { 2.0 / 3, "0.6666666666666666" },
        { 1.5e300, "1.5e+300" },
        { 12.5, "12.5" },
        { 0.000123, "0.000123" },
        { INFINITY, "Infinity" },
        { -INFINITY, "-Infinity" },
        { NAN, "NaN" },
        { 9007199254740993.0, "9007199254740992.0" },
        { 0x1p-1022, "2.2250738585072014e-308" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_buf out = { 0 };
        tt_json_write_double(&out, rows[i].f);
        assert_string_equal(tt_buf_cstr(&out), rows[i].text);
        tt_buf_release(&out);
    }
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) { /* xorshift over all of the doubles */
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        double f;
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(f))
            continue;
        struct tt_buf out = { 0 };
        tt_json_write_double(&out, f);
        assert_true(strtod(tt_buf_cstr(&out), NULL) == f);
        tt_buf_release(&out);
    }
}

static void test_bytes_that_are_not_utf8_are_escaped(void **state)
{
    (void)state;
    struct tt_buf out = { 0 };
    tt_json_write_str(&out, "a\xff\xc3\xa9\xed\xa0\x80", 7);
    assert_string_equal(tt_buf_cstr(&out), "\"a\\udcff\xc3\xa9\\udced\\udca0\\udc80\"");
    tt_buf_release(&out);
}

static void test_what_is_not_json_is_an_error_with_file_and_line(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "{\"a\":}", "[1,]", "tru", "\"\xff\"", "1 2", "{\"a\" 1}", "99999999999999999999", "\"\\ud800\"", "[1e999]"
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct tt_arena arena = { 0 };
        struct tt_value *v = NULL;
        struct tt_err err;
        assert_int_equal(tt_json_parse(&v, &arena, bad[i], strlen(bad[i]), "dir/x.json", &err), TT_EFORMAT);
        assert_null(v);
        assert_memory_equal(err.msg, "dir/x.json:1:", 13);
        tt_arena_release(&arena);
    }
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    char deep[2 * 300 + 1];
    memset(deep, '[', 300);
    memset(deep + 300, ']', 300);
    struct tt_arena arena = { 0 };
    struct tt_value *v;
    struct tt_err err;
    assert_int_equal(tt_json_parse(&v, &arena, deep, 600, "x", &err), TT_EFORMAT);
    assert_string_equal(err.msg, "x: nested deeper than 200 levels");
    assert_int_equal(tt_json_parse(&v, &arena, deep + 150, 300, "x", &err), TT_OK);
    tt_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_removed_key_is_gone_from_a_map_of_any_size),
        cmocka_unit_test(test_a_document_comes_back_as_it_was_written),
        cmocka_unit_test(test_an_indented_document_is_as_pythons),
        cmocka_unit_test(test_numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(test_bytes_that_are_not_utf8_are_escaped),
        cmocka_unit_test(test_what_is_not_json_is_an_error_with_file_and_line),
        cmocka_unit_test(test_deep_nesting_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Pickles: what is read, what is written, what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "format/pickle_text.h"
#include "format/pickle_value.h"

#define BYTES(s) (s), sizeof(s) - 1

static const struct tt_value *decode(struct tt_arena *arena, const char *bytes, size_t n)
{
    const struct tt_value *v = NULL;
    struct tt_err err;
    if (tt_pickle_to_value(arena, bytes, n, "test", &v, &err) != TT_OK)
        fail_msg("%s", err.msg);
    return v;
}

static void assert_text(const char *bytes, size_t n, const char *expected)
{
    struct tt_arena arena = { 0 };
    struct tt_buf text = { 0 };
    tt_value_text(&text, decode(&arena, bytes, n), 1000);
    assert_string_equal(tt_buf_cstr(&text), expected);
    tt_buf_release(&text);
    tt_arena_release(&arena);
}

static void assert_refused(const char *bytes, size_t n, const char *message)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *v = NULL;
    struct tt_err err = { .msg = "" };
    assert_int_equal(tt_pickle_to_value(&arena, bytes, n, "test", &v, &err), TT_EFORMAT);
    assert_null(v);
    if (!strstr(err.msg, message))
        fail_msg("expected \"%s\" in \"%s\"", message, err.msg);
    tt_arena_release(&arena);
}

static void test_values_of_every_protocol(void **state)
{
    (void)state;
    assert_text(BYTES("\x80\x02K\x05."), "5");
    assert_text(BYTES("\x80\x02J\xff\xff\xff\xff."), "-1");
    assert_text(BYTES("\x80\x02\x8a\x05\x00\x00\x00\x00\x80."), "-549755813888");
    assert_text(BYTES("\x80\x02\x8a\x00."), "0");
    assert_text(BYTES("\x80\x02G?J6\xe2\xeb\x1c" "C-."), "0.0008");
    assert_text(BYTES("\x80\x02(K\x01\x88\x89Nt."), "(1, True, False, None)");
    assert_text(BYTES("\x80\x02]q\x00(K\x01K\x02" "e."), "[1, 2]");
    assert_text(BYTES("\x80\x02}q\x00X\x01\x00\x00\x00" "aq\x01K\x01s."), "{'a': 1}");
    assert_text(BYTES("\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01" "a\x94K\x01s."), "{'a': 1}");
    assert_text(BYTES("\x80\x02"
                      "c_codecs\nencode\nq\x00X\x04\x00\x00\x00"
                      "a\xc3\xbf'q\x01X\x06\x00\x00\x00latin1q\x02\x86q\x03Rq\x04."),
                "b\"a\\xff'\"");
    assert_text(BYTES("\x80\x03" "C\x02\x00\xff."), "b'\\x00\\xff'");
    assert_text(BYTES("\x80\x02" "ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00kK\x07u."), "{'k': 7}");
    assert_text(BYTES("\x80\x02" "ctorch\nbfloat16\n."), "torch.bfloat16");
    assert_text(BYTES("\x80\x02"
                      "ctorch\nSize\nK\x02K\x03\x86\x85R."),
                "torch.Size([2, 3])");
    assert_text(BYTES("\x80\x04(K\x01\x91."), "frozenset({1})");
    assert_text(BYTES("\x80\x04(\x91."), "frozenset()");
    assert_text(BYTES("\x80\x02"
                      "c__builtin__\nset\n](K\x01K\x02"
                      "e\x85R."),
                "{1, 2}");
    assert_text(BYTES("\x80\x02"
                      "c__builtin__\nset\n]\x85R."),
                "set()");
    assert_text(BYTES("\x80\x02"
                      "ctorch\nSize\n)\x85R."),
                "torch.Size([])");
    assert_text(BYTES("\x80\x02"
                      "c__builtin__\ncomplex\nG?\xf0\0\0\0\0\0\0G@\4\0\0\0\0\0\0\x86R."),
                "(1+2.5j)");
    assert_text(BYTES("\x80\x02"
                      "c__builtin__\ncomplex\nG\0\0\0\0\0\0\0\0G\xc0\0\0\0\0\0\0\0\x86R."),
                "-2j");
    assert_text(BYTES("\x80\x02"
                      "c__builtin__\ncomplex\nG\x80\0\0\0\0\0\0\0G\x7f\xf0\0\0\0\0\0\0\x86R."),
                "(-0+infj)");
    assert_text(BYTES("\x80\x02"
                      "c__builtin__\nxrange\nK\0K\x03K\x01\x87R."),
                "range(0, 3)");
    assert_text(BYTES("\x80\x02"
                      "c__builtin__\nxrange\nK\0K\x05K\x02\x87R."),
                "range(0, 5, 2)");
    assert_text(BYTES("\x80\x02"
                      "ctorch\ndevice\nX\4\0\0\0cudaK\x01\x86R."),
                "device(type='cuda', index=1)");
    assert_text(BYTES("\x80\x02(K\x01" "0N1K\x02."), "2"); /* POP, POP_MARK */
    assert_text(BYTES("\x80\x02K\x01" "2\x86."), "(1, 1)"); /* DUP */
}

static void test_what_is_no_pickle_of_plain_data_is_refused(void **state)
{
    (void)state;
    assert_refused(BYTES(""), "offset 0: the pickle is cut short");
    assert_refused(BYTES("\x80\x02" "cos\nsystem\n."), "offset 2: refused: the pickle names os.system");
    assert_refused(BYTES("\x80\x04\x8c\x08" "builtins\x8c\x04" "eval\x93."), "refused: the pickle names builtins.eval");
    assert_refused(BYTES("\x80\x02" "co\x1bs\nsys\ttem\n."), "names o?s.sys?tem");
    assert_refused(BYTES("\x80\x02" "cos\nsys"), "cut short");
    assert_refused(BYTES("\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n."), "names torch._utils._rebuild_tensor_v2");
    assert_refused(BYTES("\x80\x02}(X\x01\x00\x00\x00" "aK\x01X\x01\x00\x00\x00" "aK\x02u."), "a dict has a key twice");
    assert_refused(BYTES("\x80\x02}(K\x01NK\x02NK\x03NK\x04NK\x05NK\x06NK\x07NK\x08NK\x01Nu."), "a dict has a key twice");
    assert_refused(BYTES("\x80\x06N."), "expected pickle protocol 2 to 5");
    assert_refused(BYTES("\x80\x02I1\n."), "opcode 0x49");
    assert_refused(BYTES("\x80\x02\x85."), "needs more values");
    assert_refused(BYTES("\x80\x02."), "does not hold exactly one value");
    assert_refused(BYTES("\x80\x02NN."), "does not hold exactly one value");
    assert_refused(BYTES("\x80\x02N.x"), "offset 4: bytes after the end");
    assert_refused(BYTES("\x80\x02K\x01(\x86."), "needs more values"); /* not below a mark */
    assert_refused(BYTES("\x80\x02t."), "needs a mark");
    assert_refused(BYTES("\x80\x02h\x00."), "never filled");
    assert_refused(BYTES("\x80\x02Nr\xff\xff\xff\xff."), "beyond the pickle's length");
    assert_refused(BYTES("\x80\x02}(K\x01u."), "a key without a value");
    assert_refused(BYTES("\x80\x02K\x01K\x02" "a."), "expected a list");
    assert_refused(BYTES("\x80\x02K\x01)R."), "expected a class or function to call");
    assert_refused(BYTES("\x80\x02K\x01}b."), "BUILD needs an object");
    assert_refused(BYTES("\x80\x02]q\x00h\x00" "a."), "contains itself");
    assert_refused(BYTES("\x80\x02" "X\xff\xff\xff\x7f" "abc."), "cut short");
    assert_refused(BYTES("\x80\x02K\x01Q."), "a storage outside a tensor");
    assert_refused(BYTES("\x80\x02" "ctorch\nload\n."), "names torch.load");
}

static struct tt_value *sample(struct tt_arena *a)
{
    struct tt_value *map = tt_value_map(a), *list = tt_value_list(a), *tuple = tt_value_tuple(a);
    bool ok = true;
    for (int i = 0; i < 2500; i++)
        ok &= tt_value_append(a, list, tt_value_int(a, (int64_t)i * i * i * 77777 - 12345));
    const int64_t ints[] = { 0, 255, 256, 65535, 65536, -1, INT32_MAX, INT32_MIN, INT32_MAX + 1ll, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        ok &= tt_value_append(a, tuple, tt_value_int(a, ints[i]));
    ok &= tt_value_set(a, map, "list", list) && tt_value_set(a, map, "tuple", tuple) &&
          tt_value_set(a, map, "lr", tt_value_float(a, 0.0008)) && tt_value_set(a, map, "nan", tt_value_float(a, (double)NAN)) &&
          tt_value_set(a, map, "none", tt_value_null(a)) && tt_value_set(a, map, "yes", tt_value_bool(a, true)) &&
          tt_value_set(a, map, "text", tt_value_str(a, "caf\xc3\xa9")) && tt_value_set(a, map, "again", tt_value_str(a, "text")) &&
          tt_value_set(a, map, "bytes", tt_value_bytes(a, "\x00\x7f\x80\xff", 4)) && tt_value_set(a, map, "", tt_value_tuple(a)) &&
          tt_value_put(a, map, tt_value_int(a, 7), tt_value_map(a));
    assert_true(ok);
    return map;
}

static void test_what_is_written_is_read_back(void **state)
{
    struct tt_arena arena = { 0 };
    struct tt_buf bytes = { 0 };
    const struct tt_value *v = sample(&arena);
    (void)state;
    assert_int_equal(tt_pickle_from_value(&bytes, v, NULL), TT_OK);
    assert_true(tt_value_equal(decode(&arena, (const char *)bytes.data, bytes.len), v));
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
}

static void assert_written(const struct tt_value *v, const char *bytes, size_t n)
{
    struct tt_buf out = { 0 };
    assert_int_equal(tt_pickle_from_value(&out, v, NULL), TT_OK);
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, bytes, n);
    tt_buf_release(&out);
}

/* The bytes that CPython's pickler writes for the same values. */
static void test_small_values_are_written_as_python_writes_them(void **state)
{
    struct tt_arena a = { 0 };
    (void)state;
    assert_written(tt_value_int(&a, 5), BYTES("\x80\x02K\x05."));
    assert_written(tt_value_int(&a, 300), BYTES("\x80\x02M,\x01."));
    assert_written(tt_value_int(&a, -1), BYTES("\x80\x02J\xff\xff\xff\xff."));
    assert_written(tt_value_int(&a, 1ll << 40), BYTES("\x80\x02\x8a\x06\x00\x00\x00\x00\x00\x01."));
    assert_written(tt_value_int(&a, 1ll << 31), BYTES("\x80\x02\x8a\x05\x00\x00\x00\x80\x00."));
    assert_written(tt_value_int(&a, -(1ll << 39)), BYTES("\x80\x02\x8a\x05\x00\x00\x00\x00\x80."));
    assert_written(tt_value_float(&a, 0.0008), BYTES("\x80\x02G?J6\xe2\xeb\x1c" "C-."));
    assert_written(tt_value_bool(&a, true), BYTES("\x80\x02\x88."));
    assert_written(tt_value_str(&a, "a"), BYTES("\x80\x02X\x01\x00\x00\x00" "aq\x00."));
    tt_arena_release(&a);
}

static void test_the_names_of_dtypes_and_storages_are_those_of_the_dtype_table(void **state)
{
    (void)state;
    for (int d = 0; d < TT_NDTYPE; d++) {
        const struct tt_py_global *g = tt_py_global_dtype((enum tt_dtype)d), *s = tt_py_global_storage((enum tt_dtype)d);
        assert_string_equal(g->name, tt_dtypes[d].torch);
        assert_ptr_equal(tt_py_global_find(g->module, strlen(g->module), g->name, strlen(g->name)), g);
        assert_int_equal(s != NULL, tt_dtypes[d].storage != NULL);
        if (s)
            assert_string_equal(s->name, tt_dtypes[d].storage);
    }
}

static void test_a_value_nested_too_deep_is_refused_without_recursion(void **state)
{
    enum { DEPTH = 100000 };
    static char bytes[2 * DEPTH + 10];
    (void)state;
    memcpy(bytes, "\x80\x02", 2);
    memset(bytes + 2, ']', DEPTH);
    memset(bytes + 2 + DEPTH, 'a', DEPTH - 1);
    bytes[2 * DEPTH + 1] = '.';
    assert_refused(bytes, 2 * DEPTH + 2, "nested too deep");
}

/* Each level is the pickle of the bytes that are the level below: an envelope of seven bytes before, and STOP behind. */
static void test_pickles_in_pickles_are_shown_four_deep(void **state)
{
    enum { DEPTH = 20000 };
    static char bytes[8 * DEPTH + 4];
    struct tt_arena arena = { 0 };
    struct tt_buf json = { 0 };
    char *p = bytes;
    (void)state;
    for (uint32_t left = 8 * (DEPTH - 1) + 4; p < bytes + 7 * DEPTH; p += 7, left -= 8) {
        memcpy(p, "\x80\x02""B", 3);
        memcpy(p + 3, &left, 4);
    }
    memcpy(p, "\x80\x02N.", 4);
    memset(p + 4, '.', DEPTH);
    tt_value_json(&json, decode(&arena, bytes, sizeof bytes));
    assert_string_equal(tt_buf_cstr(&json), "{\"bytes\": 159996, \"pickle\": {\"bytes\": 159988, \"pickle\": {\"bytes\": 159980, "
                                            "\"pickle\": {\"bytes\": 159972, \"pickle\": {\"bytes\": 159964}}}}}");
    tt_buf_release(&json);
    tt_arena_release(&arena);
}

static void test_floats_that_json_has_no_form_for_are_strings(void **state)
{
    static const char bytes[] = "\x80\x02]("
                                "G\x7f\xf8\0\0\0\0\0\0" /* nan */
                                "G\x7f\xf0\0\0\0\0\0\0" /* inf */
                                "}\x8c\x01xG\xff\xf0\0\0\0\0\0\0s"
                                "G\x3f\xf8\0\0\0\0\0\0" /* 1.5 */
                                "e.";
    struct tt_arena arena = { 0 };
    struct tt_buf json = { 0 };
    (void)state;
    tt_value_json(&json, decode(&arena, bytes, sizeof bytes - 1));
    assert_string_equal(tt_buf_cstr(&json), "[\"NaN\", \"Infinity\", {\"x\": \"-Infinity\"}, 1.5]");
    tt_buf_release(&json);
    tt_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_protocol),
        cmocka_unit_test(test_what_is_no_pickle_of_plain_data_is_refused),
        cmocka_unit_test(test_what_is_written_is_read_back),
        cmocka_unit_test(test_small_values_are_written_as_python_writes_them),
        cmocka_unit_test(test_the_names_of_dtypes_and_storages_are_those_of_the_dtype_table),
        cmocka_unit_test(test_a_value_nested_too_deep_is_refused_without_recursion),
        cmocka_unit_test(test_pickles_in_pickles_are_shown_four_deep),
        cmocka_unit_test(test_floats_that_json_has_no_form_for_are_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Objects of classes that titan does not know: kept as names and arguments, and written again as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ckpt/write.h"
#include "format/pickle_text.h"
#include "format/pt.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

static const struct tt_value *decode(struct tt_arena *arena, const uint8_t *bytes, size_t n)
{
    struct tt_pt pt = { 0 };
    assert_ok(tt_pt_decode(&pt, arena, bytes, n, "test", &e_));
    return pt.root;
}

static void assert_unknown(const struct tt_value *v, const char *name)
{
    char found[200] = "";
    const struct tt_py_global *g = tt_value_unknown(v, NULL);
    if (g)
        snprintf(found, sizeof found, "%s.%s", g->module, g->name);
    assert_string_equal(found, name);
}

/* The pickle is of `text`, its first unknown class is `name`, and it is written as `again` (NULL: as something else), which is read as
 * the same. */
static void check(const uint8_t *bytes, size_t n, const char *text, const char *name, const uint8_t *again, size_t nagain)
{
    struct tt_arena arena = { 0 };
    struct tt_buf shown = { 0 }, out = { 0 };
    struct tt_pt_storages storages = { 0 };
    const struct tt_value *v = decode(&arena, bytes, n);

    tt_value_text(&shown, v, 1000);
    assert_string_equal(tt_buf_cstr(&shown), text);
    assert_unknown(v, name);
    assert_ok(tt_pt_encode(&out, &storages, &arena, v, &e_));
    if (again) {
        assert_int_equal(out.len, nagain);
        assert_memory_equal(out.data, again, nagain);
    }
    assert_true(tt_pt_equal(v, decode(&arena, out.data, out.len)));
    tt_buf_release(&shown);
    tt_buf_release(&out);
    tt_arena_release(&arena);
}

static void test_an_object_is_its_class_and_what_it_was_made_with(void **state)
{
    (void)state;
    check(BYTES("\x80\x02" "cmod\nCls\nq\x01)\x81q\x02}X\x01\x00\x00\x00" "aK\x05sb."), "mod.Cls()", "mod.Cls",
          BYTES("\x80\x02" "cmod\nCls\nq\x00)\x81q\x01}q\x02(X\x01\x00\x00\x00" "aq\x03K\x05ub."));
    check(BYTES("\x80\x02" "cmod\nf\nK\x01K\x02\x86R."), "mod.f(1, 2)", "mod.f", NULL, 0);
    check(BYTES("\x80\x02" "cmod\nCls\n."), "mod.Cls", "mod.Cls", BYTES("\x80\x02" "cmod\nCls\nq\x00."));
    check(BYTES("\x80\x02" "ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(K\x01K\x02u."), "collections.defaultdict(list)",
          "collections.defaultdict", NULL, 0);
    check(BYTES("\x80\x02" "cmod\nL\n)\x81(K\x01K\x02" "e}b."), "mod.L()", "mod.L", NULL, 0);
    check(BYTES("\x80\x02]cmod\nf\n)Ra."), "[mod.f()]", "mod.f", NULL, 0);
}

/* STACK_GLOBAL, dots in names, NEWOBJ_EX, frozensets: what protocol 2 has other words for. */
static void test_later_protocols_are_written_in_protocol_2(void **state)
{
    (void)state;
    check(BYTES("\x80\x04\x8c\x03mod\x94\x8c\x09" "Outer.Cls\x94\x93)\x81."), "mod.Outer.Cls()", "mod.Outer.Cls",
          BYTES("\x80\x02" "c__builtin__\ngetattr\ncmod\nOuter\nX\x03\x00\x00\x00" "Cls\x86Rq\x00)\x81q\x01."));
    check(BYTES("\x80\x04\x8c\x03mod\x8c\x03" "Cls\x93K\x01\x85}\x8c\x01kK\x02s\x92."), "copyreg.__newobj_ex__(mod.Cls, (1,), {'k': 2})",
          "copyreg.__newobj_ex__", NULL, 0);
    check(BYTES("\x80\x02" "c__builtin__\ngetattr\ncmod\nOuter\nX\x03\x00\x00\x00" "Cls\x86R)\x81."),
          "mod.Outer.Cls()", "mod.Outer.Cls", NULL, 0);
    check(BYTES("\x80\x02" "c__builtin__\ngetattr\ncmod\nCls\n)\x81X\x01\x00\x00\x00" "f\x86RK\x05\x85R."), "getattr(mod.Cls(), 'f')(5)",
          "__builtin__.getattr", NULL, 0); /* a method of an object, called */
    check(BYTES("\x80\x04(K\x01\x91."), "frozenset({1})", "",
          BYTES("\x80\x02"
                "c__builtin__\nfrozenset\nq\x00](K\x01"
                "e\x85R."));
}

static void test_two_references_to_one_thing_stay_two_references(void **state)
{
    static const char shared[] = "\x80\x02" "cmod\nCls\n)\x81}(X\x01\x00\x00\x00" "a]q\x01K\x01" "aX\x01\x00\x00\x00" "bh\x01ub.";
    struct tt_arena arena = { 0 };
    struct tt_buf out = { 0 };
    struct tt_pt_storages storages = { 0 };
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct tt_value *v = i ? decode(&arena, out.data, out.len) : decode(&arena, BYTES(shared));
        const struct tt_pyobj *o = v->u.ref;
        assert_ptr_equal(tt_value_get(o->state, "a"), tt_value_get(o->state, "b"));
        tt_buf_clear(&out);
        assert_ok(tt_pt_encode(&out, &storages, &arena, v, &e_));
    }
    tt_buf_release(&out);
    tt_arena_release(&arena);
}

static void assert_refused(const uint8_t *bytes, size_t n, const char *message)
{
    struct tt_arena arena = { 0 };
    struct tt_pt pt;
    struct tt_err err = { .msg = "" };
    assert_int_equal(tt_pt_decode(&pt, &arena, bytes, n, "test", &err), TT_EFORMAT);
    if (!strstr(err.msg, message))
        fail_msg("expected \"%s\" in \"%s\"", message, err.msg);
    tt_arena_release(&arena);
}

static void test_what_is_no_object_is_refused(void **state)
{
    (void)state;
    assert_refused(BYTES("\x80\x02" "cm od\nCls\n."), "refused: the pickle names m?od.Cls");
    assert_refused(BYTES("\x80\x02" "c\nCls\n."), "refused: the pickle names .Cls");
    assert_refused(BYTES("\x80\x04\x8c\x03" "a\nb\x8c\x01" "c\x93."), "refused: the pickle names a?b.c");
    assert_refused(BYTES("\x80\x02K\x01)R."), "expected a class or function to call");
    assert_refused(BYTES("\x80\x02" "cmod\nCls\n)\x81K\x01" "bK\x02" "b."), "BUILD of an object that has a state already");
    assert_refused(BYTES("\x80\x02" "cmod\nCls\n)\x81K\x01" "aK\x01K\x02s."), "an object with items both of a list and of a dict");
    assert_refused(BYTES("\x80\x04" "](K\x01\x90."), "expected a set to put items in");
    assert_refused(BYTES("\x80\x02\x82\x01."), "opcode 0x82 is not one of those"); /* EXT1: a name that only its writer knows */
}

/* It is shown by its class, left out like any other key, and only writing it says what is wrong. */
static void test_an_object_that_contains_itself_is_known_by_its_class(void **state)
{
    struct tt_arena arena = { 0 };
    struct tt_buf out = { 0 };
    struct tt_pt_storages storages = { 0 };
    struct tt_err err = { .msg = "" };
    const char *why = NULL;
    (void)state;
    const struct tt_value *v = decode(&arena, BYTES("\x80\x02" "cmod\nCyc\n)\x81q\x01}X\x02\x00\x00\x00meh\x01sb."));
    assert_non_null(tt_value_unknown(v, &why));
    assert_string_equal(why, "the value contains itself");
    assert_unknown(v, "mod.Cyc");
    assert_int_equal(tt_pt_encode(&out, &storages, &arena, v, &err), TT_EUNSUPPORTED);
    assert_string_equal(err.msg, "an object of mod.Cyc cannot be written again: the value contains itself");
    assert_refused(BYTES("\x80\x02]q\x01h\x01" "a."), "the value contains itself"); /* a list is plain data, and this one is not */
    tt_buf_release(&out);
    tt_arena_release(&arena);
}

static void test_pickles_within_bytes_have_no_objects(void **state)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *v = NULL;
    struct tt_err err = { .msg = "" };
    (void)state;
    assert_int_equal(tt_pickle_to_value(&arena, BYTES("\x80\x02" "cmod\nCls\n)\x81."), "test", &v, &err), TT_EFORMAT);
    assert_string_equal(err.msg, "test: offset 2: refused: the pickle names mod.Cls, which is not among the plain data that titan reads");
    tt_arena_release(&arena);
}

/* --- checkpoints ---------------------------------------------------------------------------------------------------------------- */

static char warned[2000];

static void note(void *ctx, enum tt_log_level level, const char *line)
{
    (void)ctx;
    assert_int_equal(level, TT_LOG_WARNING);
    strncat(warned, line, sizeof warned - strlen(warned) - 2);
    strcat(warned, "\n");
}

static tt_status write_one(const char *from, const char *fqn, enum tt_ckpt_format format, bool allow, struct tt_err *err)
{
    const struct tt_log log = { .write = note };
    const struct tt_write_opts opts = { .allow_objects = allow, .dry_run = true, .log = &log };
    const struct tt_target target = { .format = format, .path = "/tmp/titan-test-objects-that-is-never-written" };
    struct tt_ckpt *ckpt = NULL;
    struct tt_recipe recipe = { 0 };

    warned[0] = 0;
    assert_ok(tt_ckpt_open(&ckpt, from, &e_));
    assert_ok(tt_recipe_add_entry(&recipe, ckpt, tt_entries_find(&ckpt->entries, fqn), &e_));
    const tt_status st = tt_recipe_write(&recipe, &target, &opts, NULL, err);
    tt_recipe_release(&recipe);
    tt_ckpt_close(ckpt);
    return st;
}

/* As it lies in a DCP folder, and in a .pt, where it has to be written anew. */
static void test_what_is_written_with_objects_says_so_or_is_refused(void **state)
{
    static const char *const inputs[] = { "tests/golden/dcp-objects", "tests/golden/pt/objects.pt" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        const char *from = inputs[i / 2];
        const enum tt_ckpt_format format = i % 2 ? TT_CKPT_PT : TT_CKPT_DCP;
        struct tt_err err = { .msg = "" };
        assert_int_equal(write_one(from, "config", format, false, &err), TT_EUNSUPPORTED);
        if (!strstr(err.msg, ": key config: refused: the pickle names job.Config, which is not among the plain data that titan reads; "
                    "--exclude leaves it out, --allow_objects carries it over"))
            fail_msg("%s", err.msg);
        assert_ok(write_one(from, "config", format, true, &e_));
        assert_string_equal(warned, "key config: an object of job.Config, which titan does not know, is carried over as it is\n");
        assert_ok(write_one(from, "step", format, false, &e_));
        assert_string_equal(warned, "");
    }
    struct tt_err err = { .msg = "" };
    assert_ok(write_one(inputs[0], "cycle", TT_CKPT_DCP, true, &e_)); /* byte for byte */
    assert_int_equal(write_one(inputs[0], "cycle", TT_CKPT_PT, true, &err), TT_EUNSUPPORTED);
    assert_string_equal(err.msg, "key cycle: an object of job.Cycle cannot be written again: the value contains itself; --exclude leaves it out");
}

static void assert_refused_by_torch(const uint8_t *bytes, size_t n, const char *name)
{
    struct tt_arena arena = { 0 };
    const struct tt_py_global *g = tt_value_refused_by_torch(decode(&arena, bytes, n));
    assert_string_equal(g ? g->name : "", name);
    tt_arena_release(&arena);
}

/* As PyTorch 2.13 says. */
static void test_what_weights_only_refuses_is_known(void **state)
{
    struct tt_err err = { .msg = "" };
    (void)state;
    assert_refused_by_torch(BYTES("\x80\x02"
                                  "c__builtin__\nset\n]K\x01"
                                  "a\x85R."),
                            "");
    assert_refused_by_torch(BYTES("\x80\x02"
                                  "c__builtin__\ncomplex\nG\0\0\0\0\0\0\0\0G\0\0\0\0\0\0\0\0\x86R."),
                            "");
    assert_refused_by_torch(BYTES("\x80\x02"
                                  "ctorch\nSize\n)\x85R."),
                            "");
    assert_refused_by_torch(BYTES("\x80\x02"
                                  "ctorch\ndevice\nX\3\0\0\0cpu\x85R."),
                            "");
    assert_refused_by_torch(BYTES("\x80\x02"
                                  "ctorch\nbfloat16\n."),
                            "");
    assert_refused_by_torch(BYTES("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\1."), "");
    assert_refused_by_torch(BYTES("\x80\x02"
                                  "c__builtin__\nxrange\nK\0K\3K\1\x87R."),
                            "xrange");
    assert_refused_by_torch(BYTES("\x80\x02"
                                  "c__builtin__\nslice\nK\0K\3K\1\x87R."),
                            "slice");
    assert_refused_by_torch(BYTES("\x80\x02}X\1\0\0\0k](c__builtin__\nset\n]c__builtin__\nfrozenset\n]\x85Ra\x85Res."),
                            "frozenset");
    assert_ok(write_one("tests/golden/pt/objects.pt", "frozen", TT_CKPT_PT, false, &err));
    assert_string_equal(warned, "key frozen: for its frozenset torch.load(weights_only=True) refuses the file\n");
    assert_ok(write_one("tests/golden/pt/objects.pt", "frozen", TT_CKPT_DCP, false, &err));
    assert_string_equal(warned, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_object_is_its_class_and_what_it_was_made_with),
        cmocka_unit_test(test_later_protocols_are_written_in_protocol_2),
        cmocka_unit_test(test_two_references_to_one_thing_stay_two_references),
        cmocka_unit_test(test_what_is_no_object_is_refused),
        cmocka_unit_test(test_an_object_that_contains_itself_is_known_by_its_class),
        cmocka_unit_test(test_pickles_within_bytes_have_no_objects),
        cmocka_unit_test(test_what_is_written_with_objects_says_so_or_is_refused),
        cmocka_unit_test(test_what_weights_only_refuses_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Records as tensorboard 2.21 writes them: RecordWriter(f).write(event_pb2.Event(...).SerializeToString()). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/tfevents.h"

static void test_a_file_begins_as_tensorboard_begins_one(void **state)
{
    (void)state;
    /* Event(wall_time=1795367135.25, file_version="brain.Event:2", source_metadata=SourceMetadata(writer="titan")) */
    static const char expected[] = "\x21\x00\x00\x00\x00\x00\x00\x00\x01\x7b\xec\xf6"
                                   "\x09\x00\x00\xd0\x37\xc8\xc0\xda\x41\x1a\x0d"
                                   "brain.Event:2\x52\x07\x0a\x05titan"
                                   "\x69\xe3\x5a\x05";
    struct tt_buf out = { 0 };
    tt_tfevents_begin(&out, 1795367135.25);
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.len);
    tt_buf_release(&out);
}

static void test_numbers_of_a_step_are_one_record(void **state)
{
    (void)state;
    /* Event(wall_time=1795367136.5, step=300, summary=Summary(value=[
     *     Summary.Value(tag="grad_norm", simple_value=0.85914), Summary.Value(tag="memory/max_active(GiB)", simple_value=0.0)])) */
    static const char expected[] = "\x3f\x00\x00\x00\x00\x00\x00\x00\x51\x65\x76\x61"
                                   "\x09\x00\x00\x20\x38\xc8\xc0\xda\x41\x10\xac\x02"
                                   "\x2a\x31\x0a\x10\x0a\x09grad_norm\x15\x99\xf0\x5b\x3f"
                                   "\x0a\x1d\x0a\x16memory/max_active(GiB)\x15\x00\x00\x00\x00"
                                   "\x52\x9d\x1b\x2f";
    static const struct tt_tfscalar scalars[] = { { "grad_norm", 0.85914 }, { "memory/max_active(GiB)", 0 } };
    struct tt_buf out = { 0 };
    tt_tfevents_scalars(&out, 1795367136.5, 300, scalars, 2);
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.len);
    tt_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_begins_as_tensorboard_begins_one),
        cmocka_unit_test(test_numbers_of_a_step_are_one_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

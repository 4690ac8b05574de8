/* Checkpoints that come through a pipe: what tt_ckpt_open says of the file is what the pipe gives, whole or cut. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "base/file.h"
#include "ckpt/pipe.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct { const char *stream, *path; } whole[] = {
    { "tests/golden/pt/types.pt", "tests/golden/pt/types.pt" },
    { "tests/golden/pt/views.pt", "tests/golden/pt/views.pt" },
    { "tests/golden/pt/many.ckpt.pt", "tests/golden/pt/many.ckpt.pt" },
    { "tests/golden/pt/module.pt", "tests/golden/pt/module.pt" },
    { "tests/golden/hf/types.safetensors", "tests/golden/hf/types.safetensors" },
    { "tests/golden/hf/none.safetensors", "tests/golden/hf/none.safetensors" },
    { "tests/golden/dcp-rows2/.metadata", "tests/golden/dcp-rows2" },
};

static tt_status open_bytes(struct tt_ckpt **out, const void *bytes, size_t nbytes, struct tt_err *err)
{
    const int fd = memfd_create("test", MFD_CLOEXEC); /* read from its first byte to its last, as a pipe is */
    assert_true(fd >= 0);
    assert_int_equal(tt_write_full(fd, bytes, nbytes, "memfd", NULL), TT_OK);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    const tt_status st = tt_ckpt_open_pipe(out, fd, "stdin", err);
    close(fd);
    return st;
}

static void assert_same_chunk(const struct tt_entry *e, const struct tt_chunk *a, const struct tt_chunk *b)
{
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->nbytes, b->nbytes);
    assert_int_equal(a->crc, b->crc);
    assert_int_equal(a->file, b->file);
    assert_int_equal(a->first, b->first);
    if (e->ndim)
        assert_memory_equal(a->offsets, b->offsets, (size_t)e->ndim * sizeof *a->offsets);
}

static void test_the_catalogue_is_that_of_the_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(whole); i++) {
        struct tt_buf bytes = { 0 };
        struct tt_ckpt *piped = NULL, *file = NULL;
        struct tt_err err = { 0 };
        assert_int_equal(tt_file_read_all(&bytes, whole[i].stream, 1 << 20, NULL), TT_OK);
        if (open_bytes(&piped, bytes.data, bytes.len, &err) != TT_OK || tt_ckpt_open(&file, whole[i].path, &err) != TT_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(piped->entries.n, file->entries.n);
        for (size_t k = 0; k < file->entries.n; k++) {
            const struct tt_entry *a = &piped->entries.items[k], *b = &file->entries.items[k];
            assert_string_equal(a->fqn, b->fqn);
            assert_int_equal(a->kind, b->kind);
            assert_int_equal(a->dtype, b->dtype);
            assert_int_equal(a->nchunks, b->nchunks);
            for (uint32_t c = 0; c < a->nchunks; c++)
                assert_same_chunk(a, &a->chunks[c], &b->chunks[c]);
        }
        tt_ckpt_close(piped);
        tt_ckpt_close(file);
        tt_buf_release(&bytes);
    }
}

static void test_a_stream_that_ends_early_is_an_error_that_names_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(whole); i++) {
        struct tt_buf bytes = { 0 };
        assert_int_equal(tt_file_read_all(&bytes, whole[i].stream, 1 << 20, NULL), TT_OK);
        for (size_t n = 0; n < bytes.len; n++) {
            struct tt_ckpt *ckpt = NULL;
            struct tt_err err = { 0 };
            assert_int_equal(open_bytes(&ckpt, bytes.data, n, &err), TT_EFORMAT);
            if (strncmp(err.msg, "stdin: ", 7) != 0 || !strstr(err.msg, "offset "))
                fail_msg("%s cut at %zu: %s", whole[i].stream, n, err.msg);
        }
        tt_buf_release(&bytes);
    }
}

static void test_bytes_behind_the_end_are_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(whole); i++) {
        struct tt_buf bytes = { 0 };
        struct tt_ckpt *ckpt = NULL;
        assert_int_equal(tt_file_read_all(&bytes, whole[i].stream, 1 << 20, NULL), TT_OK);
        tt_buf_byte(&bytes, 'x');
        assert_int_equal(open_bytes(&ckpt, bytes.data, bytes.len, NULL), TT_EFORMAT);
        tt_buf_release(&bytes);
    }
}

/* Data and records stand under CRCs: a flip is an error, or in a field that a pipe does not need. */
static void test_no_flipped_bit_does_harm(void **state)
{
    size_t refused = 0, tried = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(whole); i++) {
        struct tt_buf bytes = { 0 };
        assert_int_equal(tt_file_read_all(&bytes, whole[i].stream, 1 << 20, NULL), TT_OK);
        for (size_t bit = 0; bit < 8 * bytes.len; bit += 11, tried++) {
            struct tt_ckpt *ckpt = NULL;
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            refused += open_bytes(&ckpt, bytes.data, bytes.len, NULL) != TT_OK;
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            tt_ckpt_close(ckpt);
        }
        tt_buf_release(&bytes);
    }
    assert_in_range(refused, tried / 5, tried);
}

static void test_what_needs_the_file_is_refused(void **state)
{
    struct tt_buf bytes = { 0 };
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err = { 0 };
    const struct tt_value *value = NULL;
    (void)state;
    assert_int_equal(tt_file_read_all(&bytes, "tests/golden/dcp-rows2/.metadata", 1 << 20, NULL), TT_OK);
    assert_int_equal(open_bytes(&ckpt, bytes.data, bytes.len, NULL), TT_OK);
    assert_int_equal(tt_ckpt_value(ckpt, "rank0.step", &value, &err), TT_EINVAL);
    assert_string_equal(err.msg, "a checkpoint that comes through a pipe can only be listed");
    tt_ckpt_close(ckpt);
    tt_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_catalogue_is_that_of_the_file),
        cmocka_unit_test(test_a_stream_that_ends_early_is_an_error_that_names_its_place),
        cmocka_unit_test(test_bytes_behind_the_end_are_an_error),
        cmocka_unit_test(test_no_flipped_bit_does_harm),
        cmocka_unit_test(test_what_needs_the_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

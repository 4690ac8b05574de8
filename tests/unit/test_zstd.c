/* zstd frames, forward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <cmocka.h>

#include "format/zstd.h"

enum { NMAX = 3 << 20 };

static uint8_t *noise(size_t n)
{
    uint8_t *bytes = malloc(n + 1);
    uint32_t x = 1;
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 29); /* three bits: it compresses, but not to nothing */
    }
    return bytes;
}

static void put_frame(struct tt_buf *out, const uint8_t *bytes, size_t n)
{
    struct tt_zstd_writer *w = NULL;
    assert_int_equal(tt_zstd_writer_new(&w, 3, 1, NULL), TT_OK);
    assert_int_equal(tt_zstd_put(w, bytes, n, out, NULL), TT_OK);
    assert_int_equal(tt_zstd_end(w, out, NULL), TT_OK);
    tt_zstd_writer_free(w);
}

/* What packed decodes to, in steps of `step`; the status of the last of them. */
static tt_status decode(struct tt_buf *out, const uint8_t *packed, size_t n, uint64_t max_nbytes, size_t step, struct tt_err *err)
{
    const struct tt_source src = { .data = packed, .nbytes = n, .name = "test" };
    struct tt_zstd_reader *r = NULL;
    size_t got = step;
    tt_status st = tt_zstd_reader_new(&r, &src, max_nbytes, err);

    tt_buf_clear(out);
    while (st == TT_OK && got == step) {
        uint8_t *to = tt_buf_reserve(out, step);
        assert_non_null(to);
        st = tt_zstd_read(r, to, step, &got, err);
        out->len += st == TT_OK ? got : 0;
    }
    tt_zstd_reader_free(r);
    return st;
}

static void test_frames_come_back_in_steps_of_any_size(void **state)
{
    static const size_t sizes[] = { 0, 1, 1000, 1 << 17, (1 << 17) + 1, NMAX }, steps[] = { 7, 4096, 1 << 17, NMAX + 1 };
    uint8_t *bytes = noise(NMAX);
    struct tt_buf packed = { 0 }, out = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = sizes[i] > 1 << 17; k < sizeof steps / sizeof *steps; k++) {
            struct tt_err err = { .msg = "" };
            tt_buf_clear(&packed);
            put_frame(&packed, bytes, sizes[i]);
            put_frame(&packed, bytes, 5);
            if (decode(&out, packed.data, packed.len, sizes[i] + 5, steps[k], &err) != TT_OK)
                fail_msg("%zu in steps of %zu: %s", sizes[i], steps[k], err.msg);
            assert_int_equal(out.len, sizes[i] + 5);
            assert_memory_equal(out.data, bytes, sizes[i]);
            assert_memory_equal(out.data + sizes[i], bytes, 5);
        }
    tt_buf_release(&packed);
    tt_buf_release(&out);
    free(bytes);
}

static void assert_refused(const uint8_t *packed, size_t n, uint64_t max_nbytes, tt_status status, const char *message)
{
    struct tt_buf out = { 0 };
    struct tt_err err = { .msg = "" };
    uint8_t *copy = malloc(n + 1); /* its end is that of the allocation */
    assert_non_null(copy);
    memcpy(copy + 1, packed, n);
    assert_int_equal(decode(&out, copy + 1, n, max_nbytes, 1000, &err), status);
    if (!strstr(err.msg, message))
        fail_msg("expected \"%s\" in \"%s\"", message, err.msg);
    free(copy);
    tt_buf_release(&out);
}

static void test_every_truncation_names_the_place(void **state)
{
    uint8_t *bytes = noise(3000);
    struct tt_buf packed = { 0 };
    (void)state;
    put_frame(&packed, bytes, 3000);
    assert_refused(packed.data, 0, 3000, TT_EFORMAT, "test: offset 0: expected a zstd frame");
    for (size_t n = 1; n < packed.len; n++)
        assert_refused(packed.data, n, 3000, TT_EFORMAT, n < 4 ? "expected a zstd frame" : "the zstd frame is cut short");
    free(bytes);
    tt_buf_release(&packed);
}

static void test_what_is_no_frame_is_refused(void **state)
{
    static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c' };
    uint8_t *bytes = noise(3000);
    struct tt_buf packed = { 0 }, out = { 0 };
    (void)state;
    put_frame(&packed, bytes, 3000);
    assert_refused(packed.data, packed.len, 2999, TT_EFORMAT, "expected at most 2999 decoded bytes, found more");
    const size_t end = packed.len;
    tt_buf_put(&packed, skippable, sizeof skippable);
    assert_int_equal(decode(&out, packed.data, packed.len, 3000, 4096, NULL), TT_OK); /* as zstd itself has it */
    assert_int_equal(out.len, 3000);
    packed.len = end;
    tt_buf_str(&packed, "x");
    assert_refused(packed.data, packed.len, 3000, TT_EFORMAT, "bytes behind the zstd frame");
    packed.len = end;
    tt_buf_put(&packed, (uint8_t[]){ 0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0 }, 8); /* of a version before 1.0 */
    assert_refused(packed.data, packed.len, 3000, TT_EFORMAT, "bytes behind the zstd frame");
    packed.len = end;
    packed.data[4] |= 3; /* a dictionary id of four bytes */
    assert_refused(packed.data, packed.len, 3000, TT_EUNSUPPORTED, "needs a dictionary");
    free(bytes);
    tt_buf_release(&packed);
    tt_buf_release(&out);
}

/* Where the last block is empty zstd itself says so only of a frame that it decodes in one go. */
static void test_a_frame_with_less_than_its_header_says_is_refused(void **state)
{
    const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 1 << 5, 88, 1, 0, 0 };
    struct tt_buf out = { 0 };
    (void)state;
    assert_int_equal(decode(&out, frame, sizeof frame, 1000, 2000, NULL), TT_EFORMAT);
    assert_int_equal(decode(&out, frame, sizeof frame, 1000, 10, NULL), TT_EFORMAT);
    tt_buf_release(&out);
}

/* The header alone says it: 2^(10+e) bytes, and m eighths of it. */
static void test_a_window_beyond_the_limit_is_refused_with_the_number(void **state)
{
    uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0 };
    struct tt_buf out = { 0 };
    (void)state;
    frame[5] = 17 << 3; /* 128 MiB, and an empty last block */
    assert_int_equal(decode(&out, frame, sizeof frame, 0, 100, NULL), TT_OK);
    frame[5] = 17 << 3 | 1;
    assert_refused(frame, sizeof frame, 0, TT_EUNSUPPORTED, "needs a window of 150994944 bytes; titan's limit is 134217728");
    const uint8_t single[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 1, 0, 0, 8, 1, 0, 0 }; /* its content, of 134217729 bytes */
    assert_refused(single, sizeof single, 1 << 30, TT_EUNSUPPORTED, "needs a window of 134217729 bytes");
    tt_buf_release(&out);
}

static void test_checksums_and_content_sizes_are_read(void **state)
{
    uint8_t *bytes = noise(3000);
    struct tt_buf out = { 0 };
    uint8_t packed[4096];
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    (void)state;
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1)));
    const size_t n = ZSTD_compress2(ctx, packed, sizeof packed, bytes, 3000);
    assert_false(ZSTD_isError(n));
    assert_int_equal(decode(&out, packed, n, 3000, 100, NULL), TT_OK);
    assert_memory_equal(out.data, bytes, 3000);
    packed[n - 1] ^= 1;
    assert_refused(packed, n, 3000, TT_EFORMAT, "damaged zstd frame");
    ZSTD_freeCCtx(ctx);
    free(bytes);
    tt_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_come_back_in_steps_of_any_size),
        cmocka_unit_test(test_every_truncation_names_the_place),
        cmocka_unit_test(test_what_is_no_frame_is_refused),
        cmocka_unit_test(test_a_frame_with_less_than_its_header_says_is_refused),
        cmocka_unit_test(test_a_window_beyond_the_limit_is_refused_with_the_number),
        cmocka_unit_test(test_checksums_and_content_sizes_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

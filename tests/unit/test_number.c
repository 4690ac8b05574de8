/* The text of elements: it reads back as the same element, and no shorter text does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/number.h"
#include "tensor/cast.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *text_of(struct tt_buf *out, enum tt_dtype dtype, const void *src)
{
    tt_buf_clear(out);
    tt_element_text(out, dtype, src);
    return tt_buf_cstr(out);
}

static int digits_of(const char *text)
{
    int n = 0, zeros = 0;
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p < '0' || *p > '9')
            continue;
        if (n == 0 && *p == '0')
            continue;
        zeros = *p == '0' ? zeros + 1 : 0;
        n++;
    }
    return n - zeros;
}

static void assert_reads_back(enum tt_dtype dtype, uint64_t bits)
{
    struct tt_buf out = { 0 };
    const char *text = text_of(&out, dtype, &bits);
    uint64_t again = 0;
    double x = strtod(text, NULL), number;

    tt_numbers_f64(&number, dtype, &bits, 1);
    if (isnan(number)) {
        assert_string_equal(text, "nan");
    } else {
        tt_cast(&again, dtype, &x, TT_F64, 1);
        if (again != bits)
            fail_msg("%s: %llx is written %s, which is %llx", tt_dtype_name(dtype), (unsigned long long)bits, text,
                     (unsigned long long)again);
        const int digits = digits_of(text);
        char shorter[40];
        if (digits > 1 && isfinite(number)) {
            snprintf(shorter, sizeof shorter, "%.*e", digits - 2, number);
            x = strtod(shorter, NULL);
            again = ~bits;
            tt_cast(&again, dtype, &x, TT_F64, 1);
            if (memcmp(&again, &bits, tt_dtype_nbytes(dtype)) == 0)
                fail_msg("%s: %s, but %s would do", tt_dtype_name(dtype), text, shorter);
        }
    }
    tt_buf_release(&out);
}

static void test_every_small_float_reads_back_from_the_fewest_digits(void **state)
{
    static const enum tt_dtype eight[] = { TT_F8_E4M3FN, TT_F8_E5M2, TT_F8_E4M3FNUZ, TT_F8_E5M2FNUZ };
    (void)state;
    for (size_t i = 0; i < COUNT(eight); i++)
        for (uint64_t bits = 0; bits < 256; bits++)
            assert_reads_back(eight[i], bits);
    for (uint64_t bits = 0; bits < 65536; bits += 7) {
        assert_reads_back(TT_F16, bits);
        assert_reads_back(TT_BF16, bits);
    }
}

static void test_wide_floats_read_back(void **state)
{
    uint64_t bits = 88172645463325252u;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        assert_reads_back(TT_F32, bits & 0xffffffff);
        assert_reads_back(TT_F64, bits);
    }
}

static void test_elements_of_every_kind_have_a_text(void **state)
{
    static const struct { enum tt_dtype dtype; uint64_t bits[2]; const char *text; } rows[] = {
        { TT_F32, { 0x3dcccccd }, "0.1" },
        { TT_F32, { 0x80000000 }, "-0.0" },
        { TT_F32, { 0x7f800000 }, "inf" },
        { TT_F32, { 0xff800000 }, "-inf" },
        { TT_F32, { 0x7fc00000 }, "nan" },
        { TT_F32, { 1 }, "1e-45" },
        { TT_F32, { 0x7f7fffff }, "3.4028235e+38" },
        { TT_BF16, { 0x3dcd }, "0.1" },
        { TT_F64, { 0x3fb999999999999a }, "0.1" },
        { TT_I64, { 0x8000000000000000 }, "-9223372036854775808" },
        { TT_U64, { 0xffffffffffffffff }, "18446744073709551615" },
        { TT_I8, { 0xff }, "-1" },
        { TT_U16, { 0xffff }, "65535" },
        { TT_BOOL, { 1 }, "True" },
        { TT_BOOL, { 0 }, "False" },
        { TT_C64, { 0xc00000003f800000 }, "1.0-2.0j" },
        { TT_C128, { 0, 0x3ff0000000000000 }, "0.0+1.0j" },
        { TT_C32, { 0x7e003c00 }, "1.0+nanj" },
        { TT_F8_E8M0FNU, { 128 }, "2.0" },
        { TT_F8_E8M0FNU, { 255 }, "nan" },
        { TT_F4_E2M1FN_X2, { 0xf1 }, "0.5,-6.0" },
    };
    struct tt_buf out = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(text_of(&out, rows[i].dtype, rows[i].bits), rows[i].text);
    tt_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_small_float_reads_back_from_the_fewest_digits),
        cmocka_unit_test(test_wide_floats_read_back),
        cmocka_unit_test(test_elements_of_every_kind_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

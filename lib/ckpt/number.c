#include "ckpt/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tensor/cast.h"
#include "value/json.h"

/* The type of a complex element's two halves. */
static enum tt_dtype component(enum tt_dtype dtype)
{
    switch (dtype) {
    case TT_C32: return TT_F16;
    case TT_C64: return TT_F32;
    case TT_C128: return TT_F64;
    default: return dtype;
    }
}

int tt_numbers_per_element(enum tt_dtype dtype) { return tt_dtypes[dtype].is_complex || dtype == TT_F4_E2M1FN_X2 ? 2 : 1; }

/* A power of two without a sign; 255 is NaN. */
static double e8m0(uint8_t byte) { return byte == 255 ? NAN : ldexp(1, byte - 127); }

static double e2m1(uint8_t half)
{
    static const double magnitudes[] = { 0, 0.5, 1, 1.5, 2, 3, 4, 6 };
    return half & 8 ? -magnitudes[half & 7] : magnitudes[half & 7];
}

void tt_numbers_f64(double *out, enum tt_dtype dtype, const void *src, size_t n)
{
    const uint8_t *bytes = src;

    if (dtype == TT_F8_E8M0FNU) {
        for (size_t i = 0; i < n; i++)
            out[i] = e8m0(bytes[i]);
    } else if (dtype == TT_F4_E2M1FN_X2) {
        for (size_t i = 0; i < n; i++) {
            out[2 * i] = e2m1(bytes[i] & 15);
            out[2 * i + 1] = e2m1(bytes[i] >> 4);
        }
    } else {
        tt_cast(out, TT_F64, src, component(dtype), n * (size_t)tt_numbers_per_element(dtype));
    }
}

/* Whether the text of `digits` significant digits reads back as x in the dtype; *back is what it reads as. */
static bool reads_back(enum tt_dtype dtype, double x, int digits, double *back)
{
    char text[40];
    uint64_t want = 0, found = 0;

    snprintf(text, sizeof text, "%.*e", digits - 1, x);
    *back = strtod(text, NULL);
    if (!tt_dtypes[dtype].is_float || !tt_cast_supported(dtype, TT_F64) || dtype == TT_F64)
        return *back == x;
    tt_cast(&want, dtype, &x, TT_F64, 1);
    tt_cast(&found, dtype, back, TT_F64, 1);
    return want == found;
}

void tt_number_text(struct tt_buf *out, enum tt_dtype dtype, double x)
{
    double back = x;

    if (isnan(x)) {
        tt_buf_str(out, "nan");
    } else if (isinf(x)) {
        tt_buf_str(out, x < 0 ? "-inf" : "inf");
    } else if (component(dtype) == TT_F64) {
        tt_json_write_double(out, x);
    } else {
        for (int digits = 1; digits <= 17 && !reads_back(component(dtype), x, digits, &back); digits++)
            ;
        tt_json_write_double(out, back);
    }
}

static void put_complex(struct tt_buf *out, enum tt_dtype dtype, const void *src)
{
    double parts[2];
    tt_numbers_f64(parts, dtype, src, 1);
    tt_number_text(out, dtype, parts[0]);
    if (isnan(parts[1]) || !signbit(parts[1]))
        tt_buf_byte(out, '+');
    tt_number_text(out, dtype, parts[1]);
    tt_buf_byte(out, 'j');
}

void tt_element_text(struct tt_buf *out, enum tt_dtype dtype, const void *src)
{
    double numbers[2];
    int64_t i = 0;

    if (tt_dtypes[dtype].is_complex) {
        put_complex(out, dtype, src);
    } else if (dtype == TT_BOOL) {
        tt_buf_str(out, *(const uint8_t *)src ? "True" : "False");
    } else if (dtype == TT_U64) {
        tt_buf_printf(out, "%" PRIu64, tt_load_le64(src));
    } else if (!tt_dtypes[dtype].is_float) {
        tt_cast(&i, TT_I64, src, dtype, 1);
        tt_buf_printf(out, "%" PRId64, i);
    } else {
        tt_numbers_f64(numbers, dtype, src, 1);
        tt_number_text(out, dtype, numbers[0]);
        if (tt_numbers_per_element(dtype) == 2) {
            tt_buf_byte(out, ',');
            tt_number_text(out, dtype, numbers[1]);
        }
    }
}

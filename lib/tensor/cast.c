#include "tensor/cast.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* --- small floats ---------------------------------------------------------------------------------------------------------------
 * Each is described by its exponent and mantissa bits, its bias, and what the top of its range means. */
struct small_float {
    int exponent_bits, mantissa_bits, bias;
    bool has_inf;       /* the top exponent is infinity and NaN, as in IEEE; else only `nan` is NaN */
    uint32_t nan;       /* the pattern of NaN (without sign, but for the fnuz types, where it is the negative zero) */
    bool is_fnuz;       /* no negative zero */
    bool saturates;     /* what is too large becomes the largest value, infinity too (PyTorch's choice) */
};

static const struct small_float small_floats[TT_NDTYPE] = {
    [TT_F16] = { 5, 10, 15, true, 0x7e00, false, false },
    [TT_F8_E5M2] = { 5, 2, 15, true, 0x7f, false, false },
    [TT_F8_E4M3FN] = { 4, 3, 7, false, 0x7f, false, true },
    [TT_F8_E4M3FNUZ] = { 4, 3, 8, false, 0x80, true, false },
    [TT_F8_E5M2FNUZ] = { 5, 2, 16, false, 0x80, true, false },
};

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* v / 2^shift, to the nearest, ties to even. */
static uint32_t round_shift(uint32_t v, int shift)
{
    if (shift <= 0)
        return v << -shift;
    if (shift > 25) /* below half of the smallest step: v has 24 bits */
        return 0;
    const uint32_t half = 1u << (shift - 1), rest = v & ((1u << shift) - 1), q = v >> shift;
    return q + (rest > half || (rest == half && (q & 1)));
}

static uint32_t to_small(float f, const struct small_float *t)
{
    const int width = 1 + t->exponent_bits + t->mantissa_bits;
    const uint32_t bits = bits_of(f), sign = bits >> 31 ? 1u << (width - 1) : 0;
    const uint32_t magnitude = bits & 0x7fffffff, mantissa_one = 1u << t->mantissa_bits;
    const uint32_t inf = (uint32_t)((1 << t->exponent_bits) - 1) << t->mantissa_bits;
    const uint32_t top = t->has_inf ? inf - 1 : t->is_fnuz ? (mantissa_one << t->exponent_bits) - 1 : t->nan - 1;

    if (magnitude > 0x7f800000)
        return t->is_fnuz ? t->nan : sign | t->nan;
    /* f = m * 2^(e - 23), m with 24 bits; the result counts steps of 2^(1 - bias - mantissa_bits) below the first normal. */
    const int e = (int)(magnitude >> 23) - 127;
    const uint32_t m = magnitude >= 0x00800000 ? (magnitude & 0x7fffff) | 0x800000 : magnitude & 0x7fffff;
    const int exponent = magnitude >= 0x00800000 ? e : -126;
    const int normal = exponent + t->bias; /* biased exponent in the small type */
    uint32_t out;
    if (magnitude >= 0x7f800000 || normal >= (1 << t->exponent_bits))
        out = top + 1;
    else if (normal >= 1)
        /* The implicit one adds 1 to the exponent field, so that a mantissa that rounds up carries into it by itself. */
        out = ((uint32_t)(normal - 1) << t->mantissa_bits) + round_shift(m, 23 - t->mantissa_bits);
    else
        out = round_shift(m, 23 - t->mantissa_bits + 1 - normal);
    if (out > top)
        out = t->saturates ? top : t->has_inf ? inf : t->nan;
    if (t->is_fnuz)
        return out == 0 || out == t->nan ? out : sign | out;
    return sign | out;
}

static float from_small(uint32_t v, const struct small_float *t)
{
    const int width = 1 + t->exponent_bits + t->mantissa_bits;
    const uint32_t sign = v >> (width - 1), magnitude = v & ((1u << (width - 1)) - 1);
    const uint32_t exponent = magnitude >> t->mantissa_bits, mantissa = magnitude & ((1u << t->mantissa_bits) - 1);
    const uint32_t inf_exponent = (1u << t->exponent_bits) - 1;
    float f;

    if (t->is_fnuz ? v == t->nan : !t->has_inf && magnitude == t->nan)
        return float_of(sign << 31 | 0x7fc00000);
    if (t->has_inf && exponent == inf_exponent)
        return float_of(sign << 31 | 0x7f800000 | mantissa << (23 - t->mantissa_bits));
    if (exponent == 0)
        f = ldexpf((float)mantissa, 1 - t->bias - t->mantissa_bits);
    else
        f = float_of((uint32_t)((int)exponent - t->bias + 127) << 23 | mantissa << (23 - t->mantissa_bits));
    return sign ? -f : f;
}

uint16_t tt_f32_to_f16(float f) { return (uint16_t)to_small(f, &small_floats[TT_F16]); }
float tt_f16_to_f32(uint16_t h) { return from_small(h, &small_floats[TT_F16]); }

/* --- one element at a time, through a carrier ----------------------------------------------------------------------------------
 * A float travels as float32 (float64 from and to itself and to float32 as double), an integer as int64. */
struct carrier {
    enum { FROM_INT, FROM_UINT, FROM_F32, FROM_F64 } kind;
    int64_t i;
    float f;
    double d;
};

static bool is_small(enum tt_dtype t) { return small_floats[t].mantissa_bits > 0; }
static bool is_float(enum tt_dtype t) { return t == TT_F32 || t == TT_F64 || t == TT_BF16 || is_small(t); }
static bool is_integer(enum tt_dtype t) { return !tt_dtypes[t].is_float && !tt_dtypes[t].is_complex; }

static struct carrier load(const char *p, enum tt_dtype from)
{
    const size_t nbytes = tt_dtype_nbytes(from);
    struct carrier c = { FROM_INT, 0, 0, 0 };
    uint64_t raw = 0;

    memcpy(&raw, p, nbytes);
    if (from == TT_F64) {
        c.kind = FROM_F64;
        memcpy(&c.d, p, sizeof c.d);
    } else if (is_float(from)) {
        c.kind = FROM_F32;
        c.f = from == TT_F32 ? float_of((uint32_t)raw)
              : from == TT_BF16 ? tt_bf16_to_f32((uint16_t)raw) : from_small((uint32_t)raw, &small_floats[from]);
    } else if (from == TT_BOOL) {
        c.i = raw != 0;
    } else if (tt_dtypes[from].is_signed) {
        const int unused = 64 - 8 * (int)nbytes;
        c.i = (int64_t)(raw << unused) >> unused;
    } else {
        c.kind = from == TT_U64 ? FROM_UINT : FROM_INT;
        c.i = (int64_t)raw;
    }
    return c;
}

static float as_f32(const struct carrier *c)
{
    switch (c->kind) {
    case FROM_INT: return (float)c->i;
    case FROM_UINT: return (float)(uint64_t)c->i;
    case FROM_F64: return (float)c->d;
    case FROM_F32: break;
    }
    return c->f;
}

static double as_f64(const struct carrier *c)
{
    switch (c->kind) {
    case FROM_INT: return (double)c->i;
    case FROM_UINT: return (double)(uint64_t)c->i;
    case FROM_F64: return c->d;
    case FROM_F32: break;
    }
    return (double)c->f;
}

static bool is_nonzero(const struct carrier *c)
{
    return c->kind == FROM_F32 ? c->f != 0 : c->kind == FROM_F64 ? c->d != 0 : c->i != 0;
}

static void store(char *p, enum tt_dtype to, const struct carrier *c)
{
    uint64_t raw;

    if (to == TT_F64) {
        const double d = as_f64(c);
        memcpy(&raw, &d, sizeof d);
    } else if (to == TT_F32)
        raw = bits_of(as_f32(c));
    else if (to == TT_BF16)
        raw = tt_f32_to_bf16(as_f32(c));
    else if (is_small(to))
        raw = to_small(as_f32(c), &small_floats[to]);
    else if (to == TT_BOOL)
        raw = is_nonzero(c);
    else
        raw = (uint64_t)c->i;
    memcpy(p, &raw, tt_dtype_nbytes(to));
}

/* --- arrays ------------------------------------------------------------------------------------------------------------------- */

bool tt_cast_supported(enum tt_dtype to, enum tt_dtype from)
{
    if (to == from)
        return true;
    if (is_integer(from))
        return is_integer(to) || is_float(to);
    return is_float(from) && (is_float(to) || to == TT_BOOL);
}

static void cast_f32_to_bf16(char *dst, const char *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float f;
        memcpy(&f, src + 4 * i, 4);
        const uint16_t v = tt_f32_to_bf16(f);
        memcpy(dst + 2 * i, &v, 2);
    }
}

static void cast_bf16_to_f32(char *dst, const char *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t v;
        memcpy(&v, src + 2 * i, 2);
        const float f = tt_bf16_to_f32(v);
        memcpy(dst + 4 * i, &f, 4);
    }
}

void tt_cast(void *dst, enum tt_dtype to, const void *src, enum tt_dtype from, size_t n)
{
    const size_t dn = tt_dtype_nbytes(to), sn = tt_dtype_nbytes(from);

    assert(tt_cast_supported(to, from));
    if (n == 0)
        return;
    if (to == from) {
        memcpy(dst, src, n * dn);
    } else if (from == TT_F32 && to == TT_BF16) {
        cast_f32_to_bf16(dst, src, n);
    } else if (from == TT_BF16 && to == TT_F32) {
        cast_bf16_to_f32(dst, src, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            const struct carrier c = load((const char *)src + i * sn, from);
            store((char *)dst + i * dn, to, &c);
        }
    }
}

#include "tensor/cast_private.h"

#include <string.h>

/* Each loop is written once and compiled for each instruction set. A block of LANES elements is what the compiler turns into vector
 * instructions at -O2; for that nothing in it may branch. */
#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };

/* Elements in a file are aligned to nothing. */
typedef uint8_t u8 __attribute__((may_alias));
typedef uint16_t u16 __attribute__((may_alias, aligned(1)));
typedef uint32_t u32 __attribute__((may_alias, aligned(1)));
typedef float f32 __attribute__((may_alias, aligned(1)));
typedef double f64 __attribute__((may_alias, aligned(1)));

/* --- one element -----------------------------------------------------------------------------------------------------------------
 * A small float is described by its exponent and mantissa bits, its bias, and what the top of its range means. */
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

INLINE uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

INLINE float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* cond ? a : b, of which a and b are made whatever cond is: to the compiler ?: may be a branch around a float operation, which it
 * then must not take as one. */
INLINE uint32_t pick(bool cond, uint32_t a, uint32_t b)
{
    const uint32_t mask = 0u - cond;
    return (a & mask) | (b & ~mask);
}

/* The exponent field moves by the difference of the biases. A subnormal has no implicit one: it is read with one, which is then
 * subtracted. */
INLINE uint32_t widen_small(uint32_t v, const struct small_float *t)
{
    const int width = 1 + t->exponent_bits + t->mantissa_bits;
    const uint32_t sign = v >> (width - 1) << 31, magnitude = v & ((1u << (width - 1)) - 1);
    const uint32_t moved = magnitude << (23 - t->mantissa_bits), top = ((1u << t->exponent_bits) - 1) << 23;
    const uint32_t normal = moved + ((uint32_t)(127 - t->bias) << 23);
    const uint32_t subnormal = bits_of(float_of(normal + (1u << 23)) - float_of((uint32_t)(128 - t->bias) << 23));
    uint32_t bits = pick(moved < 1u << 23, subnormal, normal);

    if (t->has_inf)
        bits = pick(moved >= top, moved + (0x7f800000 - top), bits);
    else
        bits = pick((t->is_fnuz ? v : magnitude) == t->nan, 0x7fc00000, bits);
    return sign | bits;
}

/* Rounds to nearest, ties to even: a normal number in integers, where a mantissa that rounds up carries into the exponent by
 * itself; a subnormal one by adding the power of two whose last bit is the type's smallest step. */
INLINE uint32_t narrow_small(uint32_t bits, const struct small_float *t)
{
    const int shift = 23 - t->mantissa_bits, width = 1 + t->exponent_bits + t->mantissa_bits;
    const uint32_t sign = bits >> 31 << (width - 1), magnitude = bits & 0x7fffffff;
    const uint32_t inf = ((1u << t->exponent_bits) - 1) << t->mantissa_bits;
    const uint32_t top = t->has_inf ? inf - 1 : t->is_fnuz ? (1u << (width - 1)) - 1 : t->nan - 1; /* the largest number */
    const uint32_t too_large = t->saturates ? top : t->has_inf ? inf : t->nan;
    const uint32_t smallest_normal = (uint32_t)(128 - t->bias) << 23, step = (uint32_t)(128 - t->bias + shift) << 23;
    /* A float that is far too large would wrap: it is as good as the one that is just too large. */
    const uint32_t bound = (uint32_t)(127 - t->bias + (1 << t->exponent_bits)) << 23;
    const uint32_t m = pick(magnitude < bound, magnitude, bound);
    const uint32_t normal = (m - ((uint32_t)(127 - t->bias) << 23) + (1u << (shift - 1)) - 1 + (m >> shift & 1)) >> shift;
    const uint32_t subnormal = bits_of(float_of(magnitude) + float_of(step)) - step;
    uint32_t v = pick(magnitude < smallest_normal, subnormal, normal);

    v = pick(v > top, too_large, v);
    v = pick(magnitude > 0x7f800000, t->nan, v);
    return t->is_fnuz ? v | pick((v == 0) | (v == t->nan), 0, sign) : sign | v;
}

INLINE uint32_t widen(uint32_t v, enum tt_dtype from) { return from == TT_BF16 ? v << 16 : widen_small(v, &small_floats[from]); }

INLINE uint32_t narrow(uint32_t bits, enum tt_dtype to)
{
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;

    if (to != TT_BF16)
        return narrow_small(bits, &small_floats[to]);
    return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0 : rounded;
}

bool tt_is_small_float(enum tt_dtype dtype) { return small_floats[dtype].mantissa_bits > 0; }
float tt_small_to_f32(uint32_t v, enum tt_dtype dtype) { return float_of(widen_small(v, &small_floats[dtype])); }
uint32_t tt_f32_to_small(float f, enum tt_dtype dtype) { return narrow_small(bits_of(f), &small_floats[dtype]); }

/* --- many --------------------------------------------------------------------------------------------------------------------- */

/* dst[i] = one, where x is src[i]. */
#define EACH(name, to, from, one)                                                                                              \
    INLINE void name(to *restrict dst, const from *restrict src, size_t n, enum tt_dtype type)                                 \
    {                                                                                                                          \
        size_t i = 0;                                                                                                          \
        (void)type;                                                                                                            \
        for (; i + LANES <= n; i += LANES)                                                                                     \
            for (int l = 0; l < LANES; l++) {                                                                                  \
                const from x = src[i + l];                                                                                     \
                dst[i + l] = one;                                                                                              \
            }                                                                                                                  \
        for (; i < n; i++) {                                                                                                   \
            const from x = src[i];                                                                                             \
            dst[i] = one;                                                                                                      \
        }                                                                                                                      \
    }

EACH(widen_8, u32, u8, widen(x, type))
EACH(widen_16, u32, u16, widen(x, type))
EACH(narrow_8, u8, u32, (u8)narrow(x, type))
EACH(narrow_16, u16, u32, (u16)narrow(x, type))
EACH(widen_f32, f64, f32, (double)x)
EACH(narrow_f64, f32, f64, (float)x)

/* --- for each instruction set ------------------------------------------------------------------------------------------------- */

#define SMALL_LOOPS(isa, attribute, type, size)                                                                                \
    attribute static void isa##_widen_##type(void *dst, const void *src, size_t n) { widen_##size(dst, src, n, TT_##type); }   \
    attribute static void isa##_narrow_##type(void *dst, const void *src, size_t n) { narrow_##size(dst, src, n, TT_##type); }

#define ALL_LOOPS(isa, attribute)                                                                                              \
    SMALL_LOOPS(isa, attribute, BF16, 16)                                                                                      \
    SMALL_LOOPS(isa, attribute, F16, 16)                                                                                       \
    SMALL_LOOPS(isa, attribute, F8_E4M3FN, 8)                                                                                  \
    SMALL_LOOPS(isa, attribute, F8_E5M2, 8)                                                                                    \
    SMALL_LOOPS(isa, attribute, F8_E4M3FNUZ, 8)                                                                                \
    SMALL_LOOPS(isa, attribute, F8_E5M2FNUZ, 8)                                                                                \
    attribute static void isa##_narrow_F64(void *dst, const void *src, size_t n) { narrow_f64(dst, src, n, TT_F64); }          \
    attribute static void isa##_widen_F32(void *dst, const void *src, size_t n) { widen_f32(dst, src, n, TT_F64); }

#define BOTH_WAYS(isa, type) .to_f32[TT_##type] = isa##_widen_##type, .from_f32[TT_##type] = isa##_narrow_##type
#define TABLE(isa)                                                                                                             \
    {                                                                                                                          \
        BOTH_WAYS(isa, BF16), BOTH_WAYS(isa, F16), BOTH_WAYS(isa, F8_E4M3FN), BOTH_WAYS(isa, F8_E5M2),                         \
            BOTH_WAYS(isa, F8_E4M3FNUZ), BOTH_WAYS(isa, F8_E5M2FNUZ), .to_f32[TT_F64] = isa##_narrow_F64,                      \
            .from_f32[TT_F64] = isa##_widen_F32,                                                                               \
    }

ALL_LOOPS(base, )
const struct tt_cast_loops tt_cast_loops_base = TABLE(base);

#if defined(__x86_64__)
ALL_LOOPS(avx2, __attribute__((target("avx2"))))
static const struct tt_cast_loops loops_avx2 = TABLE(avx2);

const struct tt_cast_loops *tt_cast_loops_fast(void) { return __builtin_cpu_supports("avx2") ? &loops_avx2 : &tt_cast_loops_base; }
#else
const struct tt_cast_loops *tt_cast_loops_fast(void) { return &tt_cast_loops_base; }
#endif

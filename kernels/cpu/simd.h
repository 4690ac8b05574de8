/* kernels/cpu/simd.h: one vector of float32, VL lanes of it, the same operations for each instruction set that a file is compiled
 * for. vm is a mask of lanes, vi a vector of int32. Arithmetic between two vf is written with the operators. */
#ifndef TT_KERNELS_CPU_SIMD_H
#define TT_KERNELS_CPU_SIMD_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
enum { VL = 16 };
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); } /* b where either is NaN */
INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vf vf_scalef(vf a, vf n) { return _mm512_scalef_ps(a, n); }
INLINE float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
INLINE vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
INLINE vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE vm vi_gt(vi a, vi b) { return _mm512_cmpgt_epi32_mask(a, b); }
INLINE vm vi_ne(vi a, vi b) { return _mm512_cmpneq_epi32_mask(a, b); }
INLINE vm vm_or(vm a, vm b) { return (vm)(a | b); }
INLINE vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE vm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE vf vf_select(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
INLINE vf vf_from_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
INLINE vi bf16_bits(vf x) /* of each lane, in its upper half */
{
    const vi bits = _mm512_castps_si512(x);
    const vi lsb = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const vi up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), lsb);
    return _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), up, _mm512_set1_epi32(0x7fc00000));
}
INLINE void vf_to_bf16(uint16_t *p, vf x)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(bf16_bits(x), 16)));
}
INLINE vf vf_round_bf16(vf x) { return _mm512_castsi512_ps(_mm512_and_si512(bf16_bits(x), _mm512_set1_epi32((int)0xffff0000u))); }
/* (x0, x1, x2, x3, ...) to (x1, x0, x3, x2, ...); even lanes twice; odd lanes twice; a - b in even lanes, a + b in odd ones */
INLINE vf vf_swap_pairs(vf x) { return _mm512_permute_ps(x, 0xb1); }
INLINE vf vf_dup_even(vf x) { return _mm512_moveldup_ps(x); }
INLINE vf vf_dup_odd(vf x) { return _mm512_movehdup_ps(x); }
INLINE vf vf_fmaddsub(vf a, vf b, vf c) { return _mm512_fmaddsub_ps(a, b, c); }

#elif defined(__AVX2__) && defined(__FMA__)
enum { VL = 8 };
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

INLINE vf vf_set(float x) { return _mm256_set1_ps(x); }
INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vi vi_set(int32_t x) { return _mm256_set1_epi32(x); }
INLINE vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vm vi_gt(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b)); }
INLINE vm vi_ne(vi a, vi b) { return _mm256_castsi256_ps(_mm256_xor_si256(_mm256_cmpeq_epi32(a, b), _mm256_set1_epi32(-1))); }
INLINE vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
INLINE vm vf_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
INLINE vm vf_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE vf vf_select(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }
/* a 2^n for whole n: two factors, so that neither leaves the range of a float before the product does */
INLINE vf vf_scalef(vf a, vf n)
{
    const vi i = _mm256_cvtps_epi32(_mm256_max_ps(_mm256_set1_ps(-250), _mm256_min_ps(_mm256_set1_ps(250), n)));
    const vi half = _mm256_srai_epi32(i, 1), rest = _mm256_sub_epi32(i, half), bias = _mm256_set1_epi32(127);
    a = a * _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    return a * _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
}
INLINE float vf_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
INLINE vf vf_from_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE vi bf16_bits(vf x)
{
    const vi bits = _mm256_castps_si256(x);
    const vi lsb = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const vi up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), lsb);
    return _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)),
                                                _mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
INLINE void vf_to_bf16(uint16_t *p, vf x)
{
    const vi v = _mm256_srli_epi32(bf16_bits(x), 16);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}
INLINE vf vf_round_bf16(vf x) { return _mm256_castsi256_ps(_mm256_and_si256(bf16_bits(x), _mm256_set1_epi32((int)0xffff0000u))); }
INLINE vf vf_swap_pairs(vf x) { return _mm256_permute_ps(x, 0xb1); }
INLINE vf vf_dup_even(vf x) { return _mm256_moveldup_ps(x); }
INLINE vf vf_dup_odd(vf x) { return _mm256_movehdup_ps(x); }
INLINE vf vf_fmaddsub(vf a, vf b, vf c) { return _mm256_fmaddsub_ps(a, b, c); }

#else /* any machine: the compiler's own vectors of four, which are one SSE register on x86-64 */
enum { VL = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef vi vm;

INLINE vf vf_set(float x) { return (vf){ x, x, x, x }; }
INLINE vi vi_set(int32_t x) { return (vi){ x, x, x, x }; }
INLINE vf vf_load(const float *p) { vf x; memcpy(&x, p, sizeof x); return x; }
INLINE void vf_store(float *p, vf x) { memcpy(p, &x, sizeof x); }
INLINE vi vi_load(const int32_t *p) { vi x; memcpy(&x, p, sizeof x); return x; }
INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
INLINE vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
INLINE vf vf_select(vm m, vf yes, vf no) { return (vf)(((vi)yes & m) | ((vi)no & ~m)); }
INLINE vf vf_max(vf a, vf b) { return vf_select(a > b, a, b); }
INLINE vf vf_min(vf a, vf b) { return vf_select(a < b, a, b); }
INLINE vf vf_sqrt(vf a) { return (vf){ sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3]) }; }
INLINE float vf_sum(vf a) { return (a[0] + a[2]) + (a[1] + a[3]); }
INLINE vm vi_gt(vi a, vi b) { return a > b; }
INLINE vm vi_ne(vi a, vi b) { return a != b; }
INLINE vm vm_or(vm a, vm b) { return a | b; }
INLINE vm vf_eq(vf a, vf b) { return a == b; }
INLINE vm vf_lt(vf a, vf b) { return a < b; }
INLINE vf vf_round(vf a) /* adding 1.5 2^23 leaves no bits for a fraction; what is larger has none */
{
    const vf big = vf_set(12582912.0f), abs = (vf)((vi)a & vi_set(0x7fffffff));
    return vf_select(abs < vf_set(4194304.0f), (a + big) - big, a);
}
INLINE vf vf_scalef(vf a, vf n)
{
    const vf bounded = vf_max(vf_set(-250), vf_min(vf_set(250), n));
    const vi i = (vi)(bounded + vf_set(12582912.0f)) - vi_set(0x4b400000); /* the whole number in the sum's low bits */
    const vi half = i >> 1, rest = i - half;
    return a * (vf)((half + 127) << 23) * (vf)((rest + 127) << 23);
}
INLINE vf vf_from_bf16(const uint16_t *p)
{
    const vi bits = { (int32_t)((uint32_t)p[0] << 16), (int32_t)((uint32_t)p[1] << 16), (int32_t)((uint32_t)p[2] << 16),
                      (int32_t)((uint32_t)p[3] << 16) };
    return (vf)bits;
}
typedef uint32_t vu __attribute__((vector_size(16)));
INLINE vf vf_round_bf16(vf x)
{
    const vu bits = (vu)x, up = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
    return vf_select(x == x, (vf)up, (vf)vi_set(0x7fc00000));
}
INLINE void vf_to_bf16(uint16_t *p, vf x)
{
    const vu bits = (vu)vf_round_bf16(x) >> 16;
    for (int i = 0; i < VL; i++)
        p[i] = (uint16_t)bits[i];
}
INLINE vf vf_swap_pairs(vf x) { return (vf){ x[1], x[0], x[3], x[2] }; }
INLINE vf vf_dup_even(vf x) { return (vf){ x[0], x[0], x[2], x[2] }; }
INLINE vf vf_dup_odd(vf x) { return (vf){ x[1], x[1], x[3], x[3] }; }
INLINE vf vf_fmaddsub(vf a, vf b, vf c) { return a * b + c * (vf){ -1, 1, -1, 1 }; }
#endif

INLINE vf vf_zero(void) { return vf_set(0); }

/* 2^x to about 1 ulp: 2^n by the exponent, 2^f with |f| <= 1/2 by a polynomial (the coefficients minimise the largest relative
 * error, 2e-8). Too small an x gives 0, too large infinity; x is finite (infinities give NaN). */
INLINE vf vf_exp2(vf x)
{
    const vf n = vf_round(x), f = x - n;
    vf p = vf_set(1.535336188319500e-4f);
    p = vf_fma(p, f, vf_set(1.339887440266574e-3f));
    p = vf_fma(p, f, vf_set(9.618437357674640e-3f));
    p = vf_fma(p, f, vf_set(5.550332471162809e-2f));
    p = vf_fma(p, f, vf_set(2.402264791363012e-1f));
    p = vf_fma(p, f, vf_set(6.931472028550421e-1f));
    p = vf_fma(p, f, vf_set(1));
    return vf_scalef(p, n);
}

/* e^x to about 1 ulp: x = n ln 2 + r with ln 2 in two parts, e^r by a polynomial (Cephes' expf). Any x; NaN gives NaN. */
INLINE vf vf_exp(vf x)
{
    x = vf_min(vf_set(100), vf_max(vf_set(-110), x)); /* beyond which the result is infinity or 0 */
    const vf n = vf_round(x * vf_set(1.44269504088896341f));
    const vf r = vf_fnma(n, vf_set(-2.12194440e-4f), vf_fnma(n, vf_set(0.693359375f), x));
    vf p = vf_set(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set(5.0000001201e-1f));
    p = vf_fma(p, r * r, r + vf_set(1));
    return vf_scalef(p, n);
}

#endif

#include "train/rng.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Four lanes: what every machine of the baseline has. */
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef uint32_t v4u __attribute__((vector_size(16)));

static v4u load_u(const uint32_t *p)
{
    v4u v;
    memcpy(&v, p, sizeof v);
    return v;
}
static v4f load_f(const float *p)
{
    v4f v;
    memcpy(&v, p, sizeof v);
    return v;
}
static void store_u(uint32_t *p, v4u v) { memcpy(p, &v, sizeof v); }
static void store_f(float *p, v4f v) { memcpy(p, &v, sizeof v); }
static v4f splat(float f) { return (v4f){ f, f, f, f }; }
static v4f blend(v4i mask, v4f yes, v4f no) { return (v4f)(((v4i)yes & mask) | ((v4i)no & ~mask)); }

/* --- MT19937 ------------------------------------------------------------------------------------------------------------ */

enum { MT_M = 397, LANES = 4 };
static const uint32_t MT_MATRIX = 0x9908b0dfu, MT_UPPER = 0x80000000u, MT_LOWER = 0x7fffffffu;

void tt_rng_seed(struct tt_rng *rng, uint64_t seed, struct tt_pool *pool)
{
    *rng = (struct tt_rng){ .next = TT_MT_N, .pool = pool };
    rng->state[0] = (uint32_t)seed;
    for (uint32_t j = 1; j < TT_MT_N; j++)
        rng->state[j] = 1812433253u * (rng->state[j - 1] ^ (rng->state[j - 1] >> 30)) + j;
}

static uint32_t twist(uint32_t u, uint32_t v) { return (((u & MT_UPPER) | (v & MT_LOWER)) >> 1) ^ (-(v & 1) & MT_MATRIX); }

static v4u twist4(const uint32_t *p)
{
    const v4u u = load_u(p), v = load_u(p + 1);
    return (((u & MT_UPPER) | (v & MT_LOWER)) >> 1) ^ (-(v & 1) & MT_MATRIX);
}

/* p[i] for i in [begin, end) from itself, its neighbour and p[i + far]. Four at a time never read what the same four write:
 * |far| is at least 227, and the neighbour of the last is written by the next four. */
static void renew_span(uint32_t *p, int begin, int end, int far)
{
    int i = begin;
    for (; i + LANES <= end; i += LANES)
        store_u(p + i, load_u(p + i + far) ^ twist4(p + i));
    for (; i < end; i++)
        p[i] = p[i + far] ^ twist(p[i], p[i + 1]);
}

static void renew(struct tt_rng *rng)
{
    uint32_t *p = rng->state;
    renew_span(p, 0, TT_MT_N - MT_M, MT_M);
    renew_span(p, TT_MT_N - MT_M, TT_MT_N - 1, MT_M - TT_MT_N);
    p[TT_MT_N - 1] = p[MT_M - 1] ^ twist(p[TT_MT_N - 1], p[0]);
    rng->next = 0;
}

uint32_t tt_rng_u32(struct tt_rng *rng)
{
    if (rng->next == TT_MT_N)
        renew(rng);
    uint32_t y = rng->state[rng->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

uint64_t tt_rng_u64(struct tt_rng *rng)
{
    const uint64_t high = tt_rng_u32(rng);
    return high << 32 | tt_rng_u32(rng);
}

/* --- uniforms ----------------------------------------------------------------------------------------------------------- */

static const float TWO_M24 = 1.0f / 16777216.0f;

static v4f uniform4(v4u y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    y ^= y >> 18;
    return __builtin_convertvector((v4i)(y & 0xffffffu), v4f) * TWO_M24;
}

static void uniforms(struct tt_rng *rng, float *u, int64_t n)
{
    while (n > 0) {
        if (rng->next == TT_MT_N)
            renew(rng);
        const int left = TT_MT_N - rng->next, take = n < left ? (int)n : left;
        const uint32_t *word = rng->state + rng->next;
        int i = 0;
        for (; i + LANES <= take; i += LANES)
            store_f(u + i, uniform4(load_u(word + i)));
        rng->next += i;
        for (; i < take; i++)
            u[i] = (float)(tt_rng_u32(rng) & 0xffffffu) * TWO_M24;
        u += take;
        n -= take;
    }
}

/* --- Box and Muller ----------------------------------------------------------------------------------------------------- */

/* ln x for x in [2^-24, 1], by Cephes' logf (Moshier): x = m 2^e with m in [sqrt(1/2), sqrt(2)), a polynomial in m - 1. */
static v4f ln(v4f x)
{
    const v4i bits = (v4i)x;
    v4f m = (v4f)((bits & 0x007fffff) | 0x3f000000); /* in [1/2, 1) */
    v4f e = __builtin_convertvector((bits >> 23) - 126, v4f);
    const v4i low = m < splat(0.707106781186547524f);
    e -= blend(low, splat(1.0f), splat(0.0f));
    m = m + blend(low, m, splat(0.0f)) - 1.0f;

    const v4f z = m * m;
    v4f y = m * 7.0376836292e-2f - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    y = y * m * z;
    y += e * -2.12194440e-4f;
    y -= z * 0.5f;
    return m + y + e * 0.693359375f;
}

/* Sine and cosine for t in [0, 2 pi], by Cephes' sinf and cosf: t less the nearest even multiple of pi / 4, in three parts. */
static void sincos4(v4f t, v4f *sine, v4f *cosine)
{
    const v4i octant = (__builtin_convertvector(t * 1.27323954473516f, v4i) + 1) & ~1;
    const v4f k = __builtin_convertvector(octant, v4f);
    const v4f x = ((t - k * 0.78515625f) - k * 2.4187564849853515625e-4f) - k * 3.77489497744594108e-8f;
    const v4f z = x * x;

    v4f c = z * 2.443315711809948e-5f - 1.388731625493765e-3f;
    c = (c * z + 4.166664568298827e-2f) * z * z - z * 0.5f + 1.0f;
    v4f s = z * -1.9515295891e-4f + 8.3321608736e-3f;
    s = (s * z - 1.6666654611e-1f) * z * x + x;

    const v4i swap = (octant & 2) == 2;
    const v4i sine_sign = (octant & 4) << 29, cosine_sign = ((octant + 2) & 4) << 29;
    *sine = (v4f)((v4i)blend(swap, c, s) ^ sine_sign);
    *cosine = (v4f)((v4i)blend(swap, s, c) ^ cosine_sign);
}

static v4f sqrt4(v4f x) { return (v4f){ sqrtf(x[0]), sqrtf(x[1]), sqrtf(x[2]), sqrtf(x[3]) }; }

enum { BLOCK = 16, HALF = 8 };

static void box_muller(float *d, float mean, float std)
{
    for (int j = 0; j < HALF; j += LANES) {
        const v4f r = sqrt4(ln(1.0f - load_f(d + j)) * -2.0f);
        v4f sine, cosine;
        sincos4(load_f(d + HALF + j) * 6.28318530717958647692f, &sine, &cosine);
        store_f(d + j, r * cosine * std + mean);
        store_f(d + HALF + j, r * sine * std + mean);
    }
}

/* --- rounding to the tensor's type -------------------------------------------------------------------------------------- */

static float to_dtype(float x, enum tt_dtype dtype) { return dtype == TT_BF16 ? tt_bf16_to_f32(tt_f32_to_bf16(x)) : x; }

static void narrow(float *x, int64_t n, enum tt_dtype dtype)
{
    if (dtype == TT_BF16)
        for (int64_t i = 0; i < n; i++)
            x[i] = to_dtype(x[i], dtype);
}

/* --- normal, as a stream ------------------------------------------------------------------------------------------------ */

static struct tt_run next_wanted(const struct tt_rng_sink *sink, int64_t at)
{
    return sink->wants ? sink->wants(sink, at) : (struct tt_run){ at, INT64_MAX - at };
}

struct turn {
    float *d, mean, std;
    enum tt_dtype dtype;
    int64_t at; /* d[0]'s element */
    const struct tt_rng_sink *sink;
};

static void turn_blocks(void *ctx, int64_t begin, int64_t end, int thread)
{
    const struct turn *t = ctx;
    int64_t stop;

    (void)thread;
    for (int64_t i = begin; i < end; i = stop) {
        const struct tt_run run = next_wanted(t->sink, t->at + i * BLOCK);
        const int64_t first = (run.at - t->at) / BLOCK, last = (run.at - t->at + run.len - 1) / BLOCK;
        stop = last < end ? last + 1 : end;
        for (i = first; i < stop; i++)
            box_muller(t->d + i * BLOCK, t->mean, t->std);
        if (first < stop)
            narrow(t->d + first * BLOCK, (stop - first) * BLOCK, t->dtype);
    }
}

static void skip_words(struct tt_rng *rng, int64_t n)
{
    for (int64_t take; n > 0; n -= take) {
        if (rng->next == TT_MT_N)
            renew(rng);
        take = n < TT_MT_N - rng->next ? n : TT_MT_N - rng->next;
        rng->next += (int)take;
    }
}

/* Fewer than 16: the scalar path, two values at a time. */
static double next_normal(struct tt_rng *rng)
{
    static const double two_m53 = 1.0 / 9007199254740992.0, pi = 3.14159265358979323846;
    if (rng->has_spare) {
        rng->has_spare = false;
        return rng->spare;
    }
    const double u1 = (double)(tt_rng_u64(rng) & ((UINT64_C(1) << 53) - 1)) * two_m53;
    const double u2 = (double)(tt_rng_u64(rng) & ((UINT64_C(1) << 53) - 1)) * two_m53;
    const double r = sqrt(-2.0 * log1p(-u2)), t = 2.0 * pi * u1;
    rng->spare = r * sin(t);
    rng->has_spare = true;
    return r * cos(t);
}

enum { PIECE = 1 << 16 };

/* Normals at x, n a multiple of 16, which are the tensor's from element `at` on. */
static void draw_blocks(struct tt_rng *rng, enum tt_dtype dtype, float *x, int64_t at, int64_t n, double mean, double std,
                        const struct tt_rng_sink *sink)
{
    uniforms(rng, x, n);
    tt_pool_run(rng->pool, n / BLOCK, 256, turn_blocks, &(struct turn){ x, (float)mean, (float)std, dtype, at, sink });
}

void tt_rng_normal(struct tt_rng *rng, enum tt_dtype dtype, int64_t n, double mean, double std, struct tt_rng_sink *sink)
{
    float piece[PIECE];

    if (n < BLOCK) {
        for (int64_t i = 0; i < n; i++)
            piece[i] = to_dtype((float)(next_normal(rng) * std + mean), dtype);
        sink->take(sink, piece, 0, n);
        return;
    }
    const int64_t whole = n - n % BLOCK;
    for (int64_t i = 0; i < whole; i += PIECE) {
        const int64_t m = whole - i < PIECE ? whole - i : PIECE;
        /* Elements that the last draw replaces are left out: each element is taken once. */
        const int64_t used = n == whole || i + m <= n - BLOCK ? m : n - BLOCK - i;
        if (used <= 0 || next_wanted(sink, i).at >= i + used) {
            skip_words(rng, m);
            continue;
        }
        draw_blocks(rng, dtype, piece, i, m, mean, std, sink);
        sink->take(sink, piece, i, used);
    }
    if (n == whole)
        return;
    if (dtype == TT_F32)
        skip_words(rng, n - whole);
    draw_blocks(rng, dtype, piece, n - BLOCK, BLOCK, mean, std, sink);
    sink->take(sink, piece, n - BLOCK, BLOCK);
}

/* --- truncated ---------------------------------------------------------------------------------------------------------- */

/* Between the generator and who takes a tensor: lists the elements that lie outside [lo, hi], and in further draws of the tensor wants
 * those alone. */
struct clip_sink {
    struct tt_rng_sink base, *to;
    float lo, hi;
    int64_t *outside; /* [0, nkept): in this draw too; [next, n): not drawn yet */
    size_t nkept, next, n, cap;
    bool failed;
};

static bool is_outside(const struct clip_sink *s, float x) { return x < s->lo || x > s->hi; }

static void list_outside(struct clip_sink *s, int64_t at)
{
    if (s->n == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 1024;
        int64_t *more = realloc(s->outside, cap * sizeof *more);
        s->failed |= !more;
        if (!more)
            return;
        s->outside = more;
        s->cap = cap;
    }
    s->outside[s->n++] = at;
}

static void take_all(struct tt_rng_sink *sink, const float *value, int64_t begin, int64_t n)
{
    struct clip_sink *s = (struct clip_sink *)sink;
    s->to->take(s->to, value, begin, n);
    for (int64_t i = 0; i < n; i++)
        if (is_outside(s, value[i]))
            list_outside(s, begin + i);
}

static void take_outside(struct tt_rng_sink *sink, const float *value, int64_t begin, int64_t n)
{
    struct clip_sink *s = (struct clip_sink *)sink;
    for (; s->next < s->n && s->outside[s->next] < begin + n; s->next++) {
        const int64_t at = s->outside[s->next];
        s->to->take(s->to, &value[at - begin], at, 1);
        if (is_outside(s, value[at - begin]))
            s->outside[s->nkept++] = at;
    }
}

static struct tt_run want_outside(const struct tt_rng_sink *sink, int64_t at)
{
    const struct clip_sink *s = (const struct clip_sink *)sink;
    size_t from = s->next, to = s->n;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (s->outside[middle] < at)
            from = middle + 1;
        else
            to = middle;
    }
    return from < s->n ? (struct tt_run){ s->outside[from], 1 } : (struct tt_run){ INT64_MAX, 0 };
}

static double normal_cdf(double x) { return (1.0 + erf(x / sqrt(2.0))) / 2.0; }

tt_status tt_rng_trunc_normal(struct tt_rng *rng, int64_t n, double mean, double std, double a, double b, struct tt_rng_sink *sink,
                              struct tt_err *err)
{
    static const double reach = 9; /* standard deviations: no value of the generator is farther from the mean */
    struct clip_sink s = { { NULL, take_all }, sink, .lo = (float)a, .hi = (float)b };

    assert(normal_cdf((b - mean) / std) - normal_cdf((a - mean) / std) > 0.3);
    if (a < mean - reach * std && b > mean + reach * std) {
        tt_rng_normal(rng, TT_F32, n, mean, std, sink);
        return TT_OK;
    }
    tt_rng_normal(rng, TT_F32, n, mean, std, &s.base);
    s.base = (struct tt_rng_sink){ want_outside, take_outside };
    while (s.n > 0 && !s.failed) {
        s.nkept = s.next = 0;
        tt_rng_normal(rng, TT_F32, n, mean, std, &s.base);
        s.n = s.nkept;
    }
    free(s.outside);
    return s.failed ? tt_err_nomem(err, 2 * s.cap * sizeof *s.outside, "the elements to draw again") : TT_OK;
}

tt_status tt_random_seed(uint64_t *seed, struct tt_err *err)
{
    uint64_t value;
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        return tt_err_errno(err, errno, "getrandom");
    *seed = value;
    return TT_OK;
}

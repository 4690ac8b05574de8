#include "tensor/cast.h"

#include <assert.h>
#include <string.h>

#include "tensor/cast_private.h"

float tt_f16_to_f32(uint16_t h) { return tt_small_to_f32(h, TT_F16); }

/* --- one element at a time, through a carrier ----------------------------------------------------------------------------------
 * A float travels as float32 (float64 from and to itself and to float32 as double), an integer as int64. */
struct carrier {
    enum { FROM_INT, FROM_UINT, FROM_F32, FROM_F64 } kind;
    int64_t i;
    float f;
    double d;
};

static bool is_float(enum tt_dtype t) { return t == TT_F32 || t == TT_F64 || t == TT_BF16 || tt_is_small_float(t); }
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
        if (from == TT_F32)
            memcpy(&c.f, p, sizeof c.f);
        else
            c.f = from == TT_BF16 ? tt_bf16_to_f32((uint16_t)raw) : tt_small_to_f32((uint32_t)raw, from);
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
    const double d = as_f64(c);
    const float f = as_f32(c);
    uint64_t raw = 0;

    if (to == TT_F64)
        memcpy(&raw, &d, sizeof d);
    else if (to == TT_F32)
        memcpy(&raw, &f, sizeof f);
    else if (to == TT_BF16)
        raw = tt_f32_to_bf16(f);
    else if (tt_is_small_float(to))
        raw = tt_f32_to_small(f, to);
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

/* Through float32, as much of it at a time as stays in the cache. */
static void cast_floats(char *dst, enum tt_dtype to, const char *src, enum tt_dtype from, size_t n)
{
    const struct tt_cast_loops *loops = tt_cast_loops_fast();
    float numbers[512];
    enum { MOST = sizeof numbers / sizeof *numbers };

    if (from == TT_F32) {
        loops->from_f32[to](dst, src, n);
        return;
    }
    if (to == TT_F32) {
        loops->to_f32[from](dst, src, n);
        return;
    }
    for (size_t i = 0, k; i < n; i += k) {
        k = n - i < MOST ? n - i : MOST;
        loops->to_f32[from](numbers, src + i * tt_dtype_nbytes(from), k);
        loops->from_f32[to](dst + i * tt_dtype_nbytes(to), numbers, k);
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
    } else if (is_float(from) && is_float(to)) {
        cast_floats(dst, to, src, from, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            const struct carrier c = load((const char *)src + i * sn, from);
            store((char *)dst + i * dn, to, &c);
        }
    }
}

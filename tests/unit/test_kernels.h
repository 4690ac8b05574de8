/* What the kernels' tests share: operands between guard bytes, values from a small generator, and the tolerances.
 *
 * A kernel's result may differ from the reference's by
 *   rel |want| + abs max |want|
 *   float32   rel: 8 roundings of 2^-24 (a formula, a polynomial of 1-2 ulp); abs: sums of up to some hundred float32 terms,
 *             whose error is of the size of the terms, not of a sum that cancels: 32 roundings of 2^-24
 *   bfloat16  rel: the two may round to neighbours, 2^-7 apart at most; abs: where silu or dy b is rounded on the way, that
 *             neighbour is scaled by the other factor: 2^-8 */
#ifndef TT_TEST_KERNELS_H
#define TT_TEST_KERNELS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "kernels.h"

static const struct {
    float rel, abs;
} tolerance[TT_NDTYPE] = {
    [TT_F32] = { 0x1p-21f, 0x1p-19f },
    [TT_BF16] = { 0x1p-7f, 0x1p-8f },
};

static const char *const isa_names[] = { "base", "avx2", "avx512" };
enum { NISA = 3, GUARD = 64 };

struct array {
    char *mem;
    enum tt_dtype dtype;
    int64_t n;
};

static inline size_t array_bytes(const struct array *a) { return (size_t)a->n * tt_dtype_nbytes(a->dtype); }
static inline char *array_data(const struct array *a) { return a->mem + GUARD; }
static inline struct tt_in array_in(const struct array *a) { return (struct tt_in){ a->mem ? array_data(a) : NULL, a->dtype }; }
static inline struct tt_out array_out(const struct array *a) { return (struct tt_out){ a->mem ? array_data(a) : NULL, a->dtype }; }
static inline float *array_f32(const struct array *a) { return (float *)(void *)array_data(a); }
static inline int32_t *array_i32(const struct array *a) { return (int32_t *)(void *)array_data(a); }

static inline struct array array_new(enum tt_dtype dtype, int64_t n)
{
    struct array a = { .dtype = dtype, .n = n };
    a.mem = malloc(array_bytes(&a) + 2 * GUARD);
    assert_non_null(a.mem);
    memset(a.mem, 0xa5, array_bytes(&a) + 2 * GUARD);
    return a;
}

static inline void array_free(struct array *a)
{
    free(a->mem);
    a->mem = NULL;
}

static inline float array_get(const struct array *a, int64_t i)
{
    return a->dtype == TT_BF16 ? tt_bf16_to_f32(((const uint16_t *)(void *)array_data(a))[i]) : array_f32(a)[i];
}

static inline void array_set(struct array *a, int64_t i, float v)
{
    if (a->dtype == TT_BF16)
        ((uint16_t *)(void *)array_data(a))[i] = tt_f32_to_bf16(v);
    else
        array_f32(a)[i] = v;
}

static inline double uniform(uint64_t *state) /* in [-1, 1) */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*state >> 11 << 11) * 0x1p-63;
}

static inline struct array array_random(enum tt_dtype dtype, int64_t n, uint64_t seed)
{
    struct array a = array_new(dtype, n);
    for (int64_t i = 0; i < n; i++)
        array_set(&a, i, (float)(2 * uniform(&seed)));
    return a;
}

static inline struct array array_copy(const struct array *a)
{
    struct array b = array_new(a->dtype, a->n);
    memcpy(b.mem, a->mem, array_bytes(a) + 2 * GUARD);
    return b;
}

static inline void check_guards(const struct array *a, const char *what)
{
    for (int i = 0; i < GUARD; i++)
        if ((unsigned char)a->mem[i] != 0xa5 || (unsigned char)array_data(a)[array_bytes(a) + (size_t)i] != 0xa5)
            fail_msg("%s: wrote outside of its memory", what);
}

/* Within the tolerance times `loose`. */
static inline void check_close(const struct array *got, const struct array *want, float loose, const char *what)
{
    float top = 0;
    assert_int_equal(got->n, want->n);
    check_guards(got, what);
    check_guards(want, what);
    for (int64_t i = 0; i < want->n; i++)
        top = fmaxf(top, fabsf(array_get(want, i)));
    for (int64_t i = 0; i < want->n; i++) {
        const float g = array_get(got, i), w = array_get(want, i);
        const float tol = loose * (tolerance[want->dtype].rel * fabsf(w) + tolerance[want->dtype].abs * top);
        if (!(isfinite(g) && isfinite(w) && fabsf(g - w) <= tol))
            fail_msg("%s: [%lld] is %.9g, expected %.9g within %.3g", what, (long long)i, (double)g, (double)w, (double)tol);
    }
}

/* Runs the check for each instruction set of this machine, with no pool and with three threads. */
static inline void each_cpu(void (*check)(const struct tt_kernels *, struct tt_pool *, int nthreads))
{
    for (int i = 0; i < NISA; i++) {
        const struct tt_kernels *kernels = tt_kernels_cpu_isa(isa_names[i]);
        struct tt_pool *pool;
        if (!kernels) {
            print_message("SKIP %s: this machine does not have it\n", isa_names[i]);
            continue;
        }
        check(kernels, NULL, 1);
        assert_int_equal(tt_pool_new(&pool, 3, NULL), TT_OK);
        check(kernels, pool, 3);
        tt_pool_free(pool);
    }
}

static inline void *scratch_new(size_t nbytes)
{
    void *p = nbytes ? aligned_alloc(64, (nbytes + 63) / 64 * 64) : NULL;
    if (p)
        memset(p, 0xff, nbytes); /* NaN, should anything read what it has not written */
    return p;
}

#endif

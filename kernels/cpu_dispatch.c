#include <stdlib.h>
#include <string.h>

#include "kernels.h"

extern const struct tt_kernels tt_kernels_base;
#if defined(__x86_64__)
extern const struct tt_kernels tt_kernels_avx2, tt_kernels_avx512;

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static bool always(void) { return true; }

/* The fastest first. */
static const struct {
    const struct tt_kernels *kernels;
    bool (*runs_here)(void);
} rows[] = {
#if defined(__x86_64__)
    { &tt_kernels_avx512, has_avx512 },
    { &tt_kernels_avx2, has_avx2 },
#endif
    { &tt_kernels_base, always },
};
enum { NROWS = sizeof rows / sizeof rows[0] };

const struct tt_kernels *tt_kernels_cpu_isa(const char *name)
{
    for (int i = 0; i < NROWS; i++)
        if (strcmp(rows[i].kernels->name, name) == 0)
            return rows[i].runs_here() ? rows[i].kernels : NULL;
    return NULL;
}

const struct tt_kernels *tt_kernels_cpu(void)
{
    const char *name = getenv("TITAN_CPU_ISA");
    const struct tt_kernels *asked = name ? tt_kernels_cpu_isa(name) : NULL;

    if (asked)
        return asked;
    for (int i = 0; i < NROWS - 1; i++)
        if (rows[i].runs_here())
            return rows[i].kernels;
    return rows[NROWS - 1].kernels;
}

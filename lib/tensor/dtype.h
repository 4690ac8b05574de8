/* lib/tensor/dtype.h: the element types, and what each format calls them. One table, read by everyone. */
#ifndef TT_TENSOR_DTYPE_H
#define TT_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum tt_dtype {
    TT_F32, TT_F64, TT_F16, TT_BF16,
    TT_I64, TT_I32, TT_I16, TT_I8, TT_U8, TT_BOOL,
    TT_U16, TT_U32, TT_U64,
    TT_C32, TT_C64, TT_C128,
    TT_F8_E4M3FN, TT_F8_E5M2, TT_F8_E4M3FNUZ, TT_F8_E5M2FNUZ, TT_F8_E8M0FNU,
    TT_F4_E2M1FN_X2,
    TT_NDTYPE
};

struct tt_dtype_info {
    const char *torch;      /* torch.<name>: "bfloat16" */
    const char *storage;    /* torch.<name> of the typed storage; NULL: only as an UntypedStorage (_rebuild_tensor_v3) */
    const char *safetensors; /* NULL: the format has no name for it */
    uint8_t nbytes;         /* of one element */
    bool is_float, is_complex, is_signed;
};

extern const struct tt_dtype_info tt_dtypes[TT_NDTYPE];

static inline uint64_t tt_dtype_nbytes(enum tt_dtype dtype) { return tt_dtypes[dtype].nbytes; }
static inline const char *tt_dtype_name(enum tt_dtype dtype) { return tt_dtypes[dtype].torch; }

/* By the name after "torch." ("bfloat16"), by the safetensors name ("BF16"). */
bool tt_dtype_from_torch(const char *name, enum tt_dtype *out);
bool tt_dtype_from_safetensors(const char *name, enum tt_dtype *out);

/* float32 to bfloat16 and back. Rounds to nearest, ties to even, as torch does; NaN stays a (quiet) NaN. */
static inline float tt_bf16_to_f32(uint16_t v)
{
    const uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t tt_f32_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return 0x7fc0;
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

#endif

#include "tensor/dtype.h"

#include <stddef.h>

const struct tt_dtype_info tt_dtypes[TT_NDTYPE] = {
    [TT_F32] = { "float32", "FloatStorage", "F32", 4, .is_float = true, .is_signed = true },
    [TT_F64] = { "float64", "DoubleStorage", "F64", 8, .is_float = true, .is_signed = true },
    [TT_F16] = { "float16", "HalfStorage", "F16", 2, .is_float = true, .is_signed = true },
    [TT_BF16] = { "bfloat16", "BFloat16Storage", "BF16", 2, .is_float = true, .is_signed = true },
    [TT_I64] = { "int64", "LongStorage", "I64", 8, .is_signed = true },
    [TT_I32] = { "int32", "IntStorage", "I32", 4, .is_signed = true },
    [TT_I16] = { "int16", "ShortStorage", "I16", 2, .is_signed = true },
    [TT_I8] = { "int8", "CharStorage", "I8", 1, .is_signed = true },
    [TT_U8] = { "uint8", "ByteStorage", "U8", .nbytes = 1 },
    [TT_BOOL] = { "bool", "BoolStorage", "BOOL", .nbytes = 1 },
    [TT_U16] = { "uint16", NULL, "U16", .nbytes = 2 },
    [TT_U32] = { "uint32", NULL, "U32", .nbytes = 4 },
    [TT_U64] = { "uint64", NULL, "U64", .nbytes = 8 },
    [TT_C32] = { "complex32", NULL, NULL, 4, .is_complex = true, .is_signed = true },
    [TT_C64] = { "complex64", "ComplexFloatStorage", "C64", 8, .is_complex = true, .is_signed = true },
    [TT_C128] = { "complex128", "ComplexDoubleStorage", NULL, 16, .is_complex = true, .is_signed = true },
    [TT_F8_E4M3FN] = { "float8_e4m3fn", NULL, "F8_E4M3", 1, .is_float = true, .is_signed = true },
    [TT_F8_E5M2] = { "float8_e5m2", NULL, "F8_E5M2", 1, .is_float = true, .is_signed = true },
    [TT_F8_E4M3FNUZ] = { "float8_e4m3fnuz", NULL, "F8_E4M3FNUZ", 1, .is_float = true, .is_signed = true },
    [TT_F8_E5M2FNUZ] = { "float8_e5m2fnuz", NULL, "F8_E5M2FNUZ", 1, .is_float = true, .is_signed = true },
    [TT_F8_E8M0FNU] = { "float8_e8m0fnu", NULL, "F8_E8M0", 1, .is_float = true },
    [TT_F4_E2M1FN_X2] = { "float4_e2m1fn_x2", NULL, "F4", 1, .is_float = true, .is_signed = true },
};

static bool by_field(const char *name, size_t field, enum tt_dtype *out)
{
    for (int i = 0; i < TT_NDTYPE; i++) {
        const char *const *p = (const char *const *)(const void *)((const char *)&tt_dtypes[i] + field);
        if (*p && strcmp(*p, name) == 0) {
            *out = (enum tt_dtype)i;
            return true;
        }
    }
    return false;
}

bool tt_dtype_from_torch(const char *name, enum tt_dtype *out)
{
    return by_field(name, offsetof(struct tt_dtype_info, torch), out);
}

bool tt_dtype_from_safetensors(const char *name, enum tt_dtype *out)
{
    return by_field(name, offsetof(struct tt_dtype_info, safetensors), out);
}

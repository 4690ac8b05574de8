#include <string.h>

#include "format/pickle.h"

/* Every class and function that a pickle may name. What is not here is refused. INERT rows stand for plain data of Python's and
 * numpy's: kept as callable and arguments, written back as they were. */
enum {
    V = TT_PY_ALLOW_VALUE | TT_PY_ALLOW_TENSOR,
    T = TT_PY_ALLOW_TENSOR,
    M = TT_PY_ALLOW_METADATA,
    W = TT_PY_ALLOW_TORCH,
};

#define DCP_METADATA "torch.distributed.checkpoint.metadata"
#define DCP_FILESYSTEM "torch.distributed.checkpoint.filesystem"
#define DCP_PLANNER "torch.distributed.checkpoint.planner"
#define SHARDED_METADATA "torch.distributed._shard.sharded_tensor.metadata"
#define MEGATRON "megatron.core.dist_checkpointing.strategies.torch"

static const struct tt_py_global known[] = {
    { "collections", "OrderedDict", TT_PY_ORDERED_DICT, V | M | W, 0 },
    { "_codecs", "encode", TT_PY_CODECS_ENCODE, V | M | W, 0 },
    { "__builtin__", "set", TT_PY_SET, V | W, 0 },
    { "builtins", "set", TT_PY_SET, V | W, 0 },
    { "__builtin__", "bytes", TT_PY_BYTES_TYPE, V, 0 },
    { "builtins", "bytes", TT_PY_BYTES_TYPE, V, 0 },
    { "__builtin__", "frozenset", TT_PY_FROZENSET, V, 0 },
    { "builtins", "frozenset", TT_PY_FROZENSET, V, 0 },
    { "__builtin__", "complex", TT_PY_INERT, V | W, 0 },
    { "builtins", "complex", TT_PY_INERT, V | W, 0 },
    { "__builtin__", "bytearray", TT_PY_BYTEARRAY_TYPE, V | W, 0 },
    { "builtins", "bytearray", TT_PY_BYTEARRAY_TYPE, V | W, 0 },
    { "__builtin__", "slice", TT_PY_INERT, V, 0 },
    { "builtins", "slice", TT_PY_INERT, V, 0 },
    { "__builtin__", "range", TT_PY_INERT, V, 0 },
    { "builtins", "range", TT_PY_INERT, V, 0 },
    { "__builtin__", "xrange", TT_PY_INERT, V, 0 },
    { "_io", "BytesIO", TT_PY_INERT, V, 0 },
    { "datetime", "datetime", TT_PY_INERT, V, 0 },
    { "datetime", "timedelta", TT_PY_INERT, V, 0 },
    { "numpy", "dtype", TT_PY_INERT, V, 0 },
    { "numpy", "ndarray", TT_PY_INERT, V, 0 },
    { "numpy._core.multiarray", "scalar", TT_PY_INERT, V, 0 },
    { "numpy.core.multiarray", "scalar", TT_PY_INERT, V, 0 },
    { "numpy._core.multiarray", "_reconstruct", TT_PY_INERT, V, 0 },
    { "numpy.core.multiarray", "_reconstruct", TT_PY_INERT, V, 0 },
    { "torch", "Size", TT_PY_SIZE, V | M | W, 0 },
    { "torch", "device", TT_PY_INERT, V | W, 0 },
    { "torch.serialization", "_get_layout", TT_PY_GET_LAYOUT, V | M | W, 0 },
    { "torch", "Tensor", TT_PY_TENSOR_TYPE, T, 0 },
    { "torch.nn.parameter", "Parameter", TT_PY_TENSOR_TYPE, T, 0 },
    { "torch.nn.parameter", "Buffer", TT_PY_TENSOR_TYPE, T, 0 },
    { "torch._tensor", "_rebuild_from_type_v2", TT_PY_REBUILD_FROM_TYPE, T, 0 },
    { "torch._utils", "_rebuild_tensor", TT_PY_REBUILD_TENSOR, T, 0 },
    { "torch._utils", "_rebuild_tensor_v2", TT_PY_REBUILD_TENSOR_V2, T, 0 },
    { "torch._utils", "_rebuild_tensor_v3", TT_PY_REBUILD_TENSOR_V3, T, 0 },
    { "torch._utils", "_rebuild_parameter", TT_PY_REBUILD_PARAMETER, T, 0 },
    { "torch._utils", "_rebuild_parameter_with_state", TT_PY_REBUILD_PARAMETER_STATE, T, 0 },
    { "torch.storage", "UntypedStorage", TT_PY_UNTYPED_STORAGE, T, 0 },
    { "torch.storage", "_UntypedStorage", TT_PY_UNTYPED_STORAGE, T, 0 },
    { "torch", "UntypedStorage", TT_PY_UNTYPED_STORAGE, T, 0 },
    { "torch", "_UntypedStorage", TT_PY_UNTYPED_STORAGE, T, 0 },
    { DCP_METADATA, "Metadata", TT_PY_METADATA, M, 0 },
    { MEGATRON, "MCoreMetadata", TT_PY_METADATA, M, 0 },
    { DCP_METADATA, "TensorStorageMetadata", TT_PY_TENSOR_METADATA, M, 0 },
    { DCP_METADATA, "BytesStorageMetadata", TT_PY_BYTES_METADATA, M, 0 },
    { DCP_METADATA, "ChunkStorageMetadata", TT_PY_CHUNK_METADATA, M, 0 },
    { DCP_METADATA, "TensorProperties", TT_PY_TENSOR_PROPERTIES, M, 0 },
    { SHARDED_METADATA, "TensorProperties", TT_PY_TENSOR_PROPERTIES, M, 0 },
    { DCP_METADATA, "_MEM_FORMAT_ENCODING", TT_PY_MEMORY_FORMAT, M, 0 },
    { SHARDED_METADATA, "MEM_FORMAT_ENCODING", TT_PY_MEMORY_FORMAT, M, 0 },
    { DCP_METADATA, "MetadataIndex", TT_PY_METADATA_INDEX, M, 0 },
    { DCP_METADATA, "StorageMeta", TT_PY_STORAGE_META, M, 0 },
    { DCP_FILESYSTEM, "_StorageInfo", TT_PY_STORAGE_INFO, M, 0 },
    { DCP_PLANNER, "SavePlan", TT_PY_INERT, M, 0 }, /* Megatron keeps the ranks' plans */
    { MEGATRON, "MCoreSavePlan", TT_PY_INERT, M, 0 },
    { DCP_PLANNER, "WriteItem", TT_PY_INERT, M, 0 },
    { DCP_PLANNER, "WriteItemType", TT_PY_INERT, M, 0 },
    { DCP_PLANNER, "TensorWriteData", TT_PY_INERT, M, 0 },
    { DCP_PLANNER, "BytesIOWriteData", TT_PY_INERT, M, 0 },
    { "pathlib", "PosixPath", TT_PY_PATH, M, 0 },
    { "pathlib", "PurePosixPath", TT_PY_PATH, M, 0 },
    { "pathlib", "WindowsPath", TT_PY_PATH, M, 0 },
    { "pathlib._local", "PosixPath", TT_PY_PATH, M, 0 },
    { "pathlib._local", "WindowsPath", TT_PY_PATH, M, 0 },
};
enum { NKNOWN = sizeof known / sizeof known[0] };

/* The names of the dtype table as rows of this one: static, so that pointers to them can be kept; a test holds both together. */
#define DTYPE(d, name) [d] = { "torch", name, TT_PY_DTYPE, V | M | W, d }
static const struct tt_py_global dtypes[TT_NDTYPE] = {
    DTYPE(TT_F32, "float32"), DTYPE(TT_F64, "float64"), DTYPE(TT_F16, "float16"), DTYPE(TT_BF16, "bfloat16"),
    DTYPE(TT_I64, "int64"), DTYPE(TT_I32, "int32"), DTYPE(TT_I16, "int16"), DTYPE(TT_I8, "int8"), DTYPE(TT_U8, "uint8"),
    DTYPE(TT_BOOL, "bool"), DTYPE(TT_U16, "uint16"), DTYPE(TT_U32, "uint32"), DTYPE(TT_U64, "uint64"),
    DTYPE(TT_C32, "complex32"), DTYPE(TT_C64, "complex64"), DTYPE(TT_C128, "complex128"),
    DTYPE(TT_F8_E4M3FN, "float8_e4m3fn"), DTYPE(TT_F8_E5M2, "float8_e5m2"), DTYPE(TT_F8_E4M3FNUZ, "float8_e4m3fnuz"),
    DTYPE(TT_F8_E5M2FNUZ, "float8_e5m2fnuz"), DTYPE(TT_F8_E8M0FNU, "float8_e8m0fnu"), DTYPE(TT_F4_E2M1FN_X2, "float4_e2m1fn_x2"),
};
#undef DTYPE

#define STORAGE(d, name) { "torch", name, TT_PY_STORAGE, T, d }
static const struct tt_py_global storages[] = {
    STORAGE(TT_F32, "FloatStorage"), STORAGE(TT_F64, "DoubleStorage"), STORAGE(TT_F16, "HalfStorage"),
    STORAGE(TT_BF16, "BFloat16Storage"), STORAGE(TT_I64, "LongStorage"), STORAGE(TT_I32, "IntStorage"),
    STORAGE(TT_I16, "ShortStorage"), STORAGE(TT_I8, "CharStorage"), STORAGE(TT_U8, "ByteStorage"), STORAGE(TT_BOOL, "BoolStorage"),
    STORAGE(TT_C64, "ComplexFloatStorage"), STORAGE(TT_C128, "ComplexDoubleStorage"),
};
#undef STORAGE
enum { NSTORAGES = sizeof storages / sizeof storages[0] };

static bool is(const char *s, const char *text, size_t n) { return strlen(s) == n && memcmp(s, text, n) == 0; }

static const struct tt_py_global *find_in(const struct tt_py_global *rows, size_t n, const char *module, size_t nmodule,
                                          const char *name, size_t nname)
{
    for (size_t i = 0; i < n; i++)
        if (is(rows[i].name, name, nname) && is(rows[i].module, module, nmodule))
            return &rows[i];
    return NULL;
}

const struct tt_py_global *tt_py_global_find(const char *module, size_t nmodule, const char *name, size_t nname)
{
    const struct tt_py_global *row = find_in(known, NKNOWN, module, nmodule, name, nname);
    if (!row)
        row = find_in(dtypes, TT_NDTYPE, module, nmodule, name, nname);
    return row ? row : find_in(storages, NSTORAGES, module, nmodule, name, nname);
}

const struct tt_py_global *tt_py_global_dtype(enum tt_dtype dtype) { return &dtypes[dtype]; }

const struct tt_py_global *tt_py_global_storage(enum tt_dtype dtype)
{
    for (size_t i = 0; i < NSTORAGES; i++)
        if (storages[i].dtype == dtype)
            return &storages[i];
    return NULL;
}

const struct tt_py_global *tt_py_global_id(enum tt_py_id id)
{
    for (size_t i = 0; i < NKNOWN; i++)
        if (known[i].id == id)
            return &known[i];
    return NULL;
}

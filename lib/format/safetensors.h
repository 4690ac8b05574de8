/* lib/format/safetensors.h: a .safetensors file: a JSON header, then the elements of its tensors, row-major, one behind the other.
 *
 *   byte 0       n, the length of the header in bytes (u64, little-endian)
 *   byte 8       the header: n bytes of UTF-8 JSON, padded with spaces:
 *                {"<name>": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__": {"<key>": "<text>"}}
 *   byte 8 + n   the data, to the end of the file; data_offsets count from here, and the tensors tile it without hole or overlap
 *
 * A shard of a DCP job says where it belongs: __metadata__'s DCP_SHARDING_INFO is JSON (in a string): {"<name>": {"saved_offsets":
 * [..]}}. Source: the safetensors README, section "Format"; the cap on n is its reference reader's. man/titan-safetensors.5. */
#ifndef TT_FORMAT_SAFETENSORS_H
#define TT_FORMAT_SAFETENSORS_H

#include "base/buf.h"
#include "format/entry.h"
#include "format/source.h"

enum { TT_ST_PREFIX_NBYTES = 8, TT_ST_HEADER_NBYTES_MAX = 100 * 1000 * 1000 };

/* One tensor of a file. */
struct tt_st_tensor {
    const char *name;
    enum tt_dtype dtype;
    int ndim;
    const int64_t *shape;         /* (ndim) */
    const int64_t *saved_offsets; /* (ndim) of DCP_SHARDING_INFO; NULL: it is whole */
    uint64_t offset, nbytes;      /* as read: from the start of the file; as written: set by tt_st_encode */
};

struct tt_st_file {
    struct tt_st_tensor *tensors; /* (n) in the header's order */
    size_t n;
    const struct tt_value *metadata; /* __metadata__: a MAP of strings; NULL: none */
    uint64_t data_offset;
};

/* Whether a file can be one by its first 9 bytes: a length, and JSON behind it. */
bool tt_st_is_start(const uint8_t head[TT_ST_PREFIX_NBYTES + 1]);

/* Reads and checks the header: every rule above, known dtypes, no second tensor of a name. What is in *out lives in the arena.
 * TT_EFORMAT names src->name, the offset or the tensor; TT_EUNSUPPORTED a dtype that titan has none for. */
TT_MUST_CHECK tt_status tt_st_decode(struct tt_st_file *out, struct tt_arena *arena, const struct tt_source *src,
                                     struct tt_err *err);

/* Appends the prefix and the header of a file with these tensors, in this order, one behind the other, padded to a multiple of 8;
 * fills their offset and nbytes. metadata may be NULL. TT_EUNSUPPORTED: a dtype that the format has no name for. The names are
 * distinct, and none is "__metadata__". */
TT_MUST_CHECK tt_status tt_st_encode(struct tt_buf *out, struct tt_st_tensor *tensors, size_t n, const struct tt_value *metadata,
                                     struct tt_err *err);

#endif

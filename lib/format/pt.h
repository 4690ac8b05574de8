/* lib/format/pt.h: the object graph of torch.save: a value whose tensors are views of storages, in a torch zip.
 *
 *   data.pkl      the pickle of the value; a tensor is a call of torch._utils._rebuild_tensor_v2 (or _v3) on a storage
 *   data/<key>    the bytes of a storage
 *   byteorder, version, .format_version, .storage_alignment, .data/serialization_id
 *
 * A tensor is (storage, offset, size, stride) in elements; several may share a storage. man/titan-pt.5. */
#ifndef TT_FORMAT_PT_H
#define TT_FORMAT_PT_H

#include "format/pickle_value.h"
#include "format/zip.h"
#include "tensor/dtype.h"
#include "tensor/region.h"

struct tt_pt_storage {
    enum tt_dtype dtype; /* what its class says; the tensors over it may have another only through _rebuild_tensor_v3 */
    uint64_t nbytes;
    /* as read */
    const char *key;
    uint64_t offset; /* of its bytes: from the start of the file that the archive lies in */
    uint32_t crc;    /* 0: not recorded */
    uint32_t file;   /* for the caller */
    /* as written */
    const void *owner; /* for the caller: where the bytes come from */
    int64_t number;    /* of its record; -1: not used so far (tt_pt_encode) */
};

/* What the ref of a TT_V_TENSOR points to. */
struct tt_pt_tensor {
    enum tt_dtype dtype;
    int ndim;
    const int64_t *shape, *strides; /* (ndim), in elements */
    int64_t first;                  /* storage offset, in elements */
    struct tt_pt_storage *storage;
    bool requires_grad, is_parameter;
};

struct tt_pt {
    const struct tt_value *root;
    struct tt_pt_storage *const *storages; /* in the order of their first use */
    size_t nstorages;
};

/* Everything of *out lives in the arena. Checked: each view lies inside its storage, each record has the length that its storage
 * needs. TT_EUNSUPPORTED: TorchScript archives, files of before torch 1.6, big-endian ones, conjugate and negative views. */
TT_MUST_CHECK tt_status tt_pt_open(struct tt_pt *out, struct tt_arena *arena, const struct tt_source *src, struct tt_err *err);

/* The same of records that are known already (tt_zip_prefix): only data.pkl and the small ones are read from src. A record of unknown
 * length has the one that its storage needs. */
TT_MUST_CHECK tt_status tt_pt_open_records(struct tt_pt *out, struct tt_arena *arena, const struct tt_source *src,
                                           const struct tt_zip *zip, struct tt_err *err);

/* The same of data.pkl alone, without the archive: a storage has its key and nbytes, but no place yet. `name` starts the messages. */
TT_MUST_CHECK tt_status tt_pt_decode(struct tt_pt *out, struct tt_arena *arena, const uint8_t *pickle, size_t nbytes,
                                     const char *name, struct tt_err *err);

/* Whether the first bytes of a file are those of torch.save before version 1.6, which is no zip. */
bool tt_pt_is_legacy(const uint8_t *head, size_t nbytes);

enum { TT_PT_PICKLE_NBYTES_MAX = 1 << 30 };

/* Whether two values are the same, the order of maps too. Tensors within are, where dtype, shape, strides and storage are the same, a
 * storage by its length and, where both archives recorded it, its CRC. */
bool tt_pt_equal(const struct tt_value *a, const struct tt_value *b);

/* Writes data.pkl of a value; storages get their numbers in the order of their first use, and are listed in *storages (a
 * growing array of the arena). Those of the value's tensors must have number -1 before. */
struct tt_pt_storages {
    struct tt_pt_storage **items;
    size_t n, cap;
};
TT_MUST_CHECK tt_status tt_pt_encode(struct tt_buf *out, struct tt_pt_storages *storages, struct tt_arena *arena,
                                     const struct tt_value *value, struct tt_err *err);

/* The records of an archive in torch.save's order: data.pkl, .format_version, .storage_alignment, byteorder, data/0 .. data/n-1,
 * version, .data/serialization_id. In the arena; nbytes and names are set, the rest is for tt_zip_layout. */
struct tt_pt_records {
    struct tt_zip_record *items;
    size_t n, ndata; /* data/0 is items[TT_PT_DATA0] */
    uint64_t tail_offset; /* where the directory begins */
    uint64_t nbytes;      /* of the whole archive */
};
enum { TT_PT_DATA0 = 4 };
TT_MUST_CHECK tt_status tt_pt_layout(struct tt_pt_records *out, struct tt_arena *arena, const char *root,
                                     const struct tt_buf *data_pkl, const uint64_t *storage_nbytes, size_t nstorages,
                                     struct tt_err *err);

/* The bytes before the data of data/0: data.pkl, the small records, and the header of data/0 where there is one; fills the CRCs of
 * the records that it writes. */
void tt_pt_put_head(struct tt_buf *out, struct tt_pt_records *records, const struct tt_buf *data_pkl);
/* What lies between the data of storage i and that of i + 1: a descriptor and a header. records' CRC of i is set before. */
void tt_pt_put_between(struct tt_buf *out, const struct tt_pt_records *records, size_t i);
/* Everything behind the last storage's data. All CRCs of storages are set before. */
void tt_pt_put_tail(struct tt_buf *out, struct tt_pt_records *records);

#endif

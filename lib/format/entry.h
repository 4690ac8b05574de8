/* lib/format/entry.h: what a checkpoint says that it holds, whatever its format: a list of entries, each a tensor made of chunks
 * or a value. Formats decode to it and encode from it; lib/ckpt reads and copies by it.
 *
 * It is kept lean (a 70B job of 64 ranks has 147,000 chunks): everything lies in one arena, keys and dimensions are shared. */
#ifndef TT_FORMAT_ENTRY_H
#define TT_FORMAT_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "tensor/dtype.h"
#include "tensor/region.h"
#include "value/value.h"

/* Where an entry sits in the nested state dict: dict keys and list positions, outermost first. The fqn is the parts joined with
 * dots, but cannot be split at them: ("optimizer", "state.norm.weight.step") is two parts. */
struct tt_path_part {
    const char *key; /* NULL: a list position */
    int64_t index;
};

#define TT_FILE_NONE UINT32_MAX

enum tt_codec {
    TT_CODEC_BLOB,  /* a torch zip archive of its own: one tensor, or one value */
    TT_CODEC_ZSTD,  /* the same behind DCP's transform "stream.zstd/1": one or more zstd frames of a BLOB */
    TT_CODEC_RAW,   /* the elements themselves */
    TT_CODEC_MEMORY, /* the elements themselves, at `data` in this process */
};

struct tt_chunk {
    const int64_t *offsets, *sizes; /* (ndim) each, within the global shape; ndim 0: not read */
    const int64_t *strides; /* RAW, MEMORY: (ndim), in elements; NULL: row-major */
    int64_t first; /* RAW, MEMORY: where element 0 is, in elements from the start of the storage */
    uint64_t offset, nbytes; /* where the item lies in its file; RAW: all of the storage that the strides may reach */
    const void *data; /* MEMORY */
    uint32_t file; /* index into files; TT_FILE_NONE: the chunk is empty and has no bytes */
    uint32_t crc; /* RAW: CRC-32 of the nbytes; 0: unknown */
    enum tt_codec codec : 8;
    uint8_t readers; /* ZSTD: places of a plan that read it, as far as they count (ckpt/unpack.h) */
};

enum tt_entry_kind { TT_ENTRY_TENSOR, TT_ENTRY_VALUE };

/* How chunks are found by their offsets where a tensor has so many that looking at each, for each of them, would take long. */
struct tt_chunk_order {
    bool is_known;             /* false: each is looked at */
    int8_t along;              /* the dimension */
    int64_t longest;           /* of any chunk along it */
    const uint32_t *by_offset; /* (nchunks) their indices by the offset along it; NULL: the chunks stand so */
};

struct tt_entry {
    const char *fqn;
    const struct tt_path_part *path; /* (npath); npath 0: not known, the fqn itself is the path */
    uint32_t npath;
    enum tt_entry_kind kind;
    enum tt_dtype dtype; /* TENSOR */
    int32_t ndim;
    bool requires_grad;
    const int64_t *shape; /* (ndim) */
    struct tt_chunk *chunks; /* TENSOR: in the checkpoint's order. VALUE: one, where its pickle lies, or none */
    uint32_t nchunks;
    bool is_packed; /* some chunk is ZSTD */
    struct tt_chunk_order order;
    const struct tt_value *value; /* VALUE: NULL until read (tt_ckpt_value); may hold tensors */
};

struct tt_entries {
    struct tt_arena arena; /* holds all that is below */
    struct tt_entry *items;
    size_t n, cap;
    const char **files; /* relative to the checkpoint */
    size_t nfiles, files_cap;
    struct tt_map by_fqn;  /* fqn to index */
    struct tt_map by_file; /* file name to index */
};

void tt_entries_release(struct tt_entries *entries);

/* n entries will be added in all, or nearly so many. */
TT_MUST_CHECK tt_status tt_entries_expect(struct tt_entries *entries, size_t n, struct tt_err *err);
/* Appends, and indexes by fqn. TT_EFORMAT on a second entry of the same fqn, TT_ENOMEM. What *entry points to is borrowed: it lives
 * in entries->arena, or as long as the entries do. */
TT_MUST_CHECK tt_status tt_entries_add(struct tt_entries *entries, const struct tt_entry *entry, struct tt_err *err);

/* The index of a file name (copied), which is added where it is new. */
TT_MUST_CHECK tt_status tt_entries_file(struct tt_entries *entries, const char *name, uint32_t *index, struct tt_err *err);

struct tt_entry *tt_entries_find(const struct tt_entries *entries, const char *fqn); /* NULL: none */

/* That the chunks tile the shape: inside it, no overlap, no hole. TT_EFORMAT names `where`, the fqn and the chunk. */
TT_MUST_CHECK tt_status tt_entry_check_chunks(const struct tt_entry *entry, const char *where, struct tt_err *err);

/* Prepares finding among many chunks; of few, nothing is done. What it needs lies in the arena. TT_ENOMEM. */
TT_MUST_CHECK tt_status tt_chunks_sort(struct tt_entry *entry, struct tt_arena *arena, struct tt_err *err);

/* The chunks that have elements in common with a region, one after the other:
 *     struct tt_chunk_search s = tt_chunks_in(entry, &region);
 *     for (struct tt_chunk *c; (c = tt_chunks_next(&s));) ... */
struct tt_chunk_search {
    const struct tt_entry *entry;
    const struct tt_region *region; /* borrowed */
    uint32_t at, end;
};

struct tt_chunk_search tt_chunks_in(const struct tt_entry *entry, const struct tt_region *region);
struct tt_chunk *tt_chunks_next(struct tt_chunk_search *search);

/* The chunk of just these offsets and sizes, (ndim) each; NULL: there is none. */
struct tt_chunk *tt_chunk_find(const struct tt_entry *entry, const int64_t *offsets, const int64_t *sizes);

/* "(2, 3)", for messages; in buf. */
const char *tt_dims_text(char *buf, size_t nbuf, int ndim, const int64_t *dims);

#endif

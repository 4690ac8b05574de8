/* lib/ckpt/ckpt_private.h: what the files of this room share. */
#ifndef TT_CKPT_CKPT_PRIVATE_H
#define TT_CKPT_CKPT_PRIVATE_H

#include "ckpt/ckpt.h"
#include "format/source.h"
#include "value/value.h"

/* An empty one. */
TT_MUST_CHECK tt_status tt_ckpt_make(struct tt_ckpt **out, const char *path, enum tt_ckpt_format format, struct tt_err *err);

/* Appends an entry for each leaf of a state dict, as DCP's planner flattens: dicts are entered, lists where they hold (at any list
 * depth) a tensor or a dict; tuples never. Keys become strings; empty dicts vanish. Tensors are of file 0. */
TT_MUST_CHECK tt_status tt_flatten(struct tt_entries *out, const struct tt_value *root, const char *where, struct tt_err *err);

/* Fill a catalogue from a .safetensors file, and from a folder of them: with an index its files, without one every *.safetensors in
 * it, in the order of their names. In a folder, tensors of one name that say where they belong (DCP_SHARDING_INFO) are chunks of
 * one; a file by itself has what it has. */
TT_MUST_CHECK tt_status tt_open_safetensors(struct tt_ckpt *ckpt, struct tt_err *err);
TT_MUST_CHECK tt_status tt_fill_safetensors(struct tt_ckpt *ckpt, const struct tt_source *src, struct tt_err *err);
TT_MUST_CHECK tt_status tt_open_hf(struct tt_ckpt *ckpt, struct tt_err *err);
bool tt_is_bare_metadata(const struct tt_infile *in); /* by its first bytes */

/* The bytes of a BLOB or ZSTD chunk as they lie in the file, as a source whose name (in the arena) starts with file and key. On
 * success the chunk's file is pinned: unpin it when done with the source. */
TT_MUST_CHECK tt_status tt_item_source(struct tt_source *out, struct tt_arena *arena, struct tt_ckpt *ckpt,
                                       const struct tt_entry *entry, const struct tt_chunk *chunk, struct tt_err *err);

/* That an item's value is a tensor of the chunk's dtype and sizes, whatever .metadata says of it. name starts the message. */
TT_MUST_CHECK tt_status tt_check_blob(const struct tt_entry *entry, const struct tt_chunk *chunk, const struct tt_value *root,
                                      const char *name, struct tt_err *err);

/* TT_EFORMAT: the storage of the key, at the offset of the file, has another CRC than was stored for it. */
tt_status tt_crc_damaged(const char *path, const char *fqn, uint64_t offset, uint32_t expected, uint32_t found, struct tt_err *err);

#endif

/* lib/ckpt/ckpt.h: open a checkpoint, whatever its format, and read it by its catalogue.
 *
 * A DCP folder (with .metadata), a .pt file, a .safetensors file, or a Hugging Face folder of those. Opening reads the metadata
 * alone; tensor data is read by lib/ckpt/load.h and lib/ckpt/copy.h, values one at a time here. */
#ifndef TT_CKPT_CKPT_H
#define TT_CKPT_CKPT_H

#include "ckpt/files.h"
#include "format/entry.h"
#include "format/metadata.h"

enum tt_ckpt_format { TT_CKPT_DCP, TT_CKPT_PT, TT_CKPT_SAFETENSORS, TT_CKPT_HF, TT_CKPT_MEMORY };

struct tt_ckpt {
    const char *path; /* as it was given; "memory" for a running job */
    enum tt_ckpt_format format;
    struct tt_entries entries;
    struct tt_files files; /* of the catalogue, by its index */
    const struct tt_problems *problems; /* while it is opened */
    bool is_pipe;          /* it came through one: there is the catalogue, and no file (lib/ckpt/pipe.h) */
    struct tt_unpack *unpack; /* DCP: of its compressed items */
};

/* TT_ENOENT where there is nothing, or a folder without .metadata and without .safetensors files. Symbolic links are followed, in a
 * folder too (the Hugging Face cache is made of them). */
TT_MUST_CHECK tt_status tt_ckpt_open(struct tt_ckpt **out, const char *path, struct tt_err *err);
/* The same, but keys whose chunks are wrong are noted and stay (lib/format/metadata.h): only their chunks may be looked at. */
TT_MUST_CHECK tt_status tt_ckpt_open_noting(struct tt_ckpt **out, const char *path, const struct tt_problems *problems,
                                            struct tt_err *err);
void tt_ckpt_close(struct tt_ckpt *ckpt);

/* A checkpoint whose entries the caller adds, with TT_CODEC_MEMORY chunks: a running job. */
TT_MUST_CHECK tt_status tt_ckpt_memory(struct tt_ckpt **out, struct tt_err *err);

/* Whether the folder is a finished checkpoint: it has .metadata. */
bool tt_ckpt_is_complete(const char *dir);
bool tt_is_hf_folder(const char *path); /* there is an index, or a *.safetensors */

/* A DCP folder of Megatron's (torch_dist, by its metadata.json) has what is not sharded in a common.pt, a checkpoint by itself:
 * its path, in the arena. NULL: path is no such folder. */
const char *tt_ckpt_common(struct tt_arena *arena, const char *path);

/* The value of a VALUE entry: read and decoded on the first call, then kept with the checkpoint. Tuples, bytes, numbers and so on
 * come as they were pickled; bytes that are themselves a pickle (dataloader.dp_rank_<r>) are decoded by tt_pickle_to_value.
 * TT_ENOENT: no such key. TT_EFORMAT names the file, the key and the offset; TT_EUNSUPPORTED the key and the class or function of
 * Python's that the value needs and titan does not know. Not to be called from two threads at once. */
TT_MUST_CHECK tt_status tt_ckpt_value(struct tt_ckpt *ckpt, const char *fqn, const struct tt_value **out, struct tt_err *err);

/* The same without keeping it, for those who walk over all: the value lives in the arena. */
TT_MUST_CHECK tt_status tt_ckpt_read_value(struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_arena *arena,
                                           const struct tt_value **out, struct tt_err *err);

/* The same, but what titan does not know is no error: tt_value_unknown (format/pickle_value.h) tells its name. For those who
 * list it, or write it again as it is. */
TT_MUST_CHECK tt_status tt_ckpt_read_object(struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_arena *arena,
                                            const struct tt_value **out, struct tt_err *err);

#endif

/* lib/format/hf_index.h: model.safetensors.index.json of a Hugging Face folder: which file holds which tensor.
 *
 *   {"metadata": {"total_size": <bytes of all tensors>}, "weight_map": {"<tensor>": "<file>", ...}}
 *
 * A file is named by one component: it lies beside the index. Source: transformers' save_pretrained. man/titan-safetensors.5. */
#ifndef TT_FORMAT_HF_INDEX_H
#define TT_FORMAT_HF_INDEX_H

#include "base/buf.h"
#include "value/value.h"

#define TT_HF_INDEX_NAME "model.safetensors.index.json"

enum { TT_HF_INDEX_NBYTES_MAX = 100 * 1000 * 1000 };

struct tt_hf_index_item { const char *tensor, *file; };

struct tt_hf_index {
    struct tt_hf_index_item *items; /* (n) in the order of weight_map */
    size_t n;
};

/* What is in *out lives in the arena. `where` starts the messages. TT_EFORMAT: no JSON, no weight_map, a tensor that is there twice,
 * a file that is not one component (no '/', "..", control character). total_size is not read: it is often wrong. */
TT_MUST_CHECK tt_status tt_hf_index_decode(struct tt_hf_index *out, struct tt_arena *arena, const void *bytes, size_t nbytes,
                                           const char *where, struct tt_err *err);

/* Appends it as transformers writes it, indented by 2, with a newline at the end; the items in their order. */
void tt_hf_index_encode(struct tt_buf *out, const struct tt_hf_index *index, uint64_t total_size);

#endif

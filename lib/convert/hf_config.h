/* lib/convert/hf_config.h: config.json, transformers' description of a model, beside TorchTitan's model args.
 *
 * One table a family (lib/convert/hf_config_fields.c) says which field stands for what: it makes a config, and it checks one. What is
 * made is spelled so that transformers 4 and 5 read it: torch_dtype, and rope_theta with rope_scaling. */
#ifndef TT_CONVERT_HF_CONFIG_H
#define TT_CONVERT_HF_CONFIG_H

#include "base/buf.h"
#include "base/log.h"
#include "family/family.h"
#include "tensor/dtype.h"
#include "value/value.h"

#define TT_HF_CONFIG_NAME "config.json"

struct tt_hf_config {
    const char *path;       /* for messages */
    struct tt_value *value; /* a MAP */
};

/* A folder's config.json, in the arena; value NULL where there is none. TT_EFORMAT: it is no JSON object. */
TT_MUST_CHECK tt_status tt_hf_config_read(struct tt_hf_config *out, struct tt_arena *arena, const char *folder, struct tt_err *err);

/* That the config describes the flavor, as far as both say, or transformers' class where the config is silent: TT_EINVAL names each field
 * that decides a shape and differs, with both values. Fields that only change what the model computes (rope_theta, eps, routing) are
 * warnings, or with same_math errors too. Of a multimodal config the text_config is looked at. */
TT_MUST_CHECK tt_status tt_hf_config_check(const struct tt_hf_config *config, const struct tt_family *family,
                                           const struct tt_model_args *args, bool same_math, const struct tt_log *log,
                                           struct tt_err *err);

/* Made from the model args, so that transformers computes what TorchTitan does. What its classes cannot compute so (a router by
 * softmax in deepseek_v3) is a warning. The dtype and the tie are set by tt_hf_config_set. */
TT_MUST_CHECK tt_status tt_hf_config_make(struct tt_hf_config *out, struct tt_arena *arena, const struct tt_family *family,
                                          const struct tt_model_args *args, const struct tt_log *log, struct tt_err *err);

/* Makes it true to the tensors beside it: dtype under the key that it has (torch_dtype where it has none; in text_config too where it
 * is there), no quantization_config, tie_word_embeddings where lm_head.weight is not written. keep_dtype: a dtype that it has stays. */
TT_MUST_CHECK tt_status tt_hf_config_set(struct tt_hf_config *config, struct tt_arena *arena, enum tt_dtype dtype, bool keep_dtype,
                                         bool tied, struct tt_err *err);

/* Appends its text, as transformers writes it: indented by 2, a newline at the end, the keys in their order. */
void tt_hf_config_write(struct tt_buf *out, const struct tt_hf_config *config);

#endif

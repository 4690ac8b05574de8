/* lib/convert/hf_config_private.h: the table of config.json's fields, and who reads it. */
#ifndef TT_CONVERT_HF_CONFIG_PRIVATE_H
#define TT_CONVERT_HF_CONFIG_PRIVATE_H

#include "convert/hf_config.h"

/* What it means where a config has another value than the flavor. */
enum tt_hf_field_role {
    TT_HFC_NOTE,  /* nothing: a name, or what a tokenizer says better */
    TT_HFC_MATH,  /* the model computes something else */
    TT_HFC_SHAPE, /* tensors have other shapes, or there are others */
};

/* Where a value comes from: a constant (JSON), a size of the family's, the model args at an offset, or a function of them. */
struct tt_hf_field {
    const char *key; /* NULL: the end */
    const char *also; /* another name of it in configs that people have */
    enum tt_hf_field_role role;
    bool or_null; /* null is a value of it, not the absence of one */
    const char *absent; /* the value of one that is not there (JSON); NULL: nothing is known of it */
    enum { TT_HFC_JSON, TT_HFC_SIZE, TT_HFC_INT, TT_HFC_NUMBER, TT_HFC_FLAG, TT_HFC_MADE } kind;
    const char *json;
    enum tt_size size; /* what tt_family_size gives */
    size_t offset;
    struct tt_value *(*make)(struct tt_arena *arena, const struct tt_model_args *args);
};

/* How transformers' class routes tokens to experts; what a flavor does otherwise, it cannot. */
struct tt_hf_routing {
    enum tt_score_func score_func;
    bool score_before_experts;
    bool any_norm, norm; /* route_norm: any, or this */
    bool any_scale; /* route_scale: any, or 1 */
    int64_t num_shared_experts; /* -1: any */
};

struct tt_hf_model {
    const char *family;
    bool (*is)(const struct tt_model_args *args); /* NULL: all of the family */
    const struct tt_hf_field *fields;
    const struct tt_hf_routing *routing; /* NULL: it has no experts */
};

const struct tt_hf_model *tt_hf_model_find(const struct tt_family *family, const struct tt_model_args *args); /* NULL: none */

#endif

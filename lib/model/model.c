#include "model/model.h"

#include <string.h>

static const struct {
    const char *family;
    tt_forward *forward;
} models[] = {
    { "llama3", tt_llama3_forward },
};

tt_forward *tt_model_forward(const struct tt_family *family)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (strcmp(models[i].family, family->name) == 0)
            return models[i].forward;
    return NULL;
}

bool tt_model_wants_documents(const struct tt_model_args *args)
{
    return args->attn_type != TT_ATTN_SDPA && args->attn_mask_type == TT_MASK_BLOCK_CAUSAL;
}

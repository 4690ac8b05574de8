/* lib/family/family_private.h: the families that lib/family/family.c finds by name, a file each. */
#ifndef TT_FAMILY_FAMILY_PRIVATE_H
#define TT_FAMILY_FAMILY_PRIVATE_H

#include "family/family.h"

extern const struct tt_family tt_family_llama3, tt_family_qwen3, tt_family_llama4, tt_family_deepseek_v3, tt_family_gpt_oss;

#endif

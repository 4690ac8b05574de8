/* lib/convert/hf_convert.h: a conversion between a model's form on Hugging Face's Hub and TorchTitan's, from the words of a command
 * line to a recipe and a target. */
#ifndef TT_CONVERT_HF_CONVERT_H
#define TT_CONVERT_HF_CONVERT_H

#include "convert/hf_folder.h"
#include "convert/tool.h"

enum tt_hf_direction { TT_HF_EITHER /* what the input is decides */, TT_HF_FROM, TT_HF_TO };

struct tt_hf_convert_opts {
    enum tt_hf_direction direction;
    const char *input, *output;
    struct tt_ckpt *open; /* the input, open already; the conversion's from then on. NULL: it is opened */
    const char *model_name, *model_flavor;
    const char *assets_path; /* NULL: none */
    uint64_t max_shard_size; /* see tt_hf_folder_opts */
    bool allow_unused;       /* input tensors with no home in the flavor are no error */
    bool same_math;          /* see tt_hf_config_check */
    bool tt_names;           /* to HF, gpt_oss: TorchTitan's names */
    const struct tt_log *log;
};

struct tt_hf_conversion {
    struct tt_model_args args;
    struct tt_ckpt *input, *assets; /* assets: NULL: none */
    struct tt_recipe recipe;
    struct tt_target target;
};

/* Opens the input where it is not, and plans the output: a DCP folder or a Hugging Face folder, of the keys that `tool` takes,
 * in the dtypes that it says (float32 where it says none). Nothing is written. TT_EINVAL: an input that is not of the
 * direction's kind, a flavor that does not fit the input or a config.json, tensors without a home; TT_ENOENT: keys that the
 * flavor has and the input has not. Release it in any case. */
TT_MUST_CHECK tt_status tt_hf_convert_plan(struct tt_hf_conversion *out, const struct tt_hf_convert_opts *job, const struct tt_tool_opts *tool,
                                           struct tt_err *err);
void tt_hf_convert_release(struct tt_hf_conversion *conversion); /* fine on a zeroed struct */

#endif

/* lib/convert/compare.h: what titan-ckpt-inspect --diff compares: two checkpoints as recipes, so that a Hugging Face model can stand
 * beside TorchTitan's. */
#ifndef TT_CONVERT_COMPARE_H
#define TT_CONVERT_COMPARE_H

#include "ckpt/diff.h"
#include "convert/hf.h"

struct tt_compare_opts {
    const char *model_name;   /* NULL: nothing is converted */
    const char *model_flavor;
    struct tt_diff_opts diff;
};

/* Opens both and prints in what they differ (lib/ckpt/diff.h). With a model name, and one of them safetensors and the other not, that
 * one is read under TorchTitan's names, its floating-point tensors in the other's dtypes, and of the other the model alone is looked at.
 */
TT_MUST_CHECK tt_status tt_compare(FILE *out, const char *path_a, const char *path_b, const struct tt_compare_opts *opts,
                                   const struct tt_task *task, bool *same, struct tt_err *err);

#endif

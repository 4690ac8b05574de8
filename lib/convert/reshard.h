/* lib/convert/reshard.h: a checkpoint, or the average of several, as a job of another shape would have written it: titan-reshard. */
#ifndef TT_CONVERT_RESHARD_H
#define TT_CONVERT_RESHARD_H

#include "convert/tool.h"

/* What the options fill. The settings of the job are rows whose second name is the setting's key ("parallelism.tensor_parallel_degree",
 * "model.name", "job.config_file"), text or lists of words: lib/config reads them. */
struct tt_reshard_opts {
    struct tt_tool_opts tool;
    const char *config_file, *model_name, *model_flavor;
    const char *dp_replicate, *dp_shard, *tp, *pp, *cp, *ep, *etp;
    const char *schedule, *layers_per_stage, *first_less, *last_less;
    struct tt_opt_list parts;
    int64_t world_size; /* 0: not given */
    const char *like;
    bool single;
    bool model_only;
    int64_t zstd; /* level; 0: none */
    struct tt_opt_list rename;
    bool hard_link;
    bool average;
    const char *weights; /* "0.5,0.25,0.25"; NULL: all the same */
};

/* args: SRC... DST (nargs). TT_EUSAGE: options that exclude one another. */
TT_MUST_CHECK tt_status tt_reshard(const struct tt_prog *prog, const struct tt_reshard_opts *opts, char **args, int nargs,
                                   struct tt_err *err);

/* --- its parts ---------------------------------------------------------------------------------------------------------------- */

/* average.c: appends the model of the first checkpoint, each tensor the weighted mean of theirs. weights (n) live as long as the recipe.
 * TT_ENOENT: one of them lacks a tensor of another; TT_EINVAL: another shape. */
TT_MUST_CHECK tt_status tt_average_add(struct tt_recipe *recipe, struct tt_ckpt *const *ckpts, size_t n, const double *weights,
                                       const struct tt_tool_opts *opts, struct tt_err *err);

#endif

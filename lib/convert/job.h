/* lib/convert/job.h: a job of a given shape, and where in it each key of a checkpoint lies. */
#ifndef TT_CONVERT_JOB_H
#define TT_CONVERT_JOB_H

#include "ckpt/layout.h"
#include "base/map.h"
#include "ckpt/stages.h"
#include "config/config.h"
#include "family/family.h"

struct tt_bases {
    const uint32_t *v;
    uint32_t n;
};

struct tt_job {
    struct tt_arena arena;
    const char *title; /* "llama3 8B", for messages */
    const struct tt_family *family;
    struct tt_model_args args;
    struct tt_params params;
    struct tt_map by_fqn; /* to an index into params */
    bool *found;          /* (params.n) tt_job_find was asked for the parameter itself, and knew it */
    struct tt_degrees degrees;
    struct tt_stages stages;
    struct tt_map by_shape; /* to shards, which rows and layers of one shape share */
    struct tt_bases *bases; /* (params.n) those of struct tt_holders; none: not asked for so far */
};

/* Of [model] and [parallelism], and for a dp_shard of -1 the number of ranks (0: not known, an error). TT_EINVAL: degrees that make no
 * job, or that the family does not have. */
TT_MUST_CHECK tt_status tt_job_open(struct tt_job *job, const struct tt_config *config, int64_t nranks, struct tt_err *err);
void tt_job_close(struct tt_job *job); /* fine on a zeroed struct */

/* Who holds what of a tensor: the ranks of `shards` counted from each of `bases`, the first rank of a pipeline rank; most often
 * there is one. */
struct tt_holders {
    const struct tt_shards *shards;
    const uint32_t *bases;
    uint32_t nbases;
};

/* Of the tensor of a key of a TorchTitan checkpoint, its optimizer's too; valid as long as the job. TT_EINVAL, naming the key: no
 * such parameter in the family, another shape, a pipeline that has it in no stage, degrees that do not fit. */
TT_MUST_CHECK tt_status tt_job_find(struct tt_holders *out, struct tt_job *job, const char *fqn, int ndim, const int64_t *shape,
                                    struct tt_err *err);

#endif

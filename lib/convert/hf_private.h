/* lib/convert/hf_private.h: what the two directions of lib/convert/hf.h share. */
#ifndef TT_CONVERT_HF_PRIVATE_H
#define TT_CONVERT_HF_PRIVATE_H

#include "base/buf.h"
#include "convert/hf.h"

struct tt_hf_job {
    const struct tt_hf_opts *opts;
    struct tt_recipe *recipe;
    struct tt_ckpt *in;
    const char *prefix; /* of the input's keys */
    struct tt_params params;
    bool *used;            /* (in->entries.n) */
    struct tt_buf key;     /* that was looked for last */
    struct tt_buf lacking; /* the keys that are missing and cannot be filled */
    size_t nlacking;
};

tt_status tt_hf_job_begin(struct tt_hf_job *job, struct tt_recipe *recipe, struct tt_ckpt *in, const struct tt_hf_opts *opts,
                          struct tt_err *err);
void tt_hf_job_release(struct tt_hf_job *job);

/* The input's tensor of the key prefix + pattern, marked as used; NULL: none. job->key is then the key. */
const struct tt_entry *tt_hf_find(struct tt_hf_job *job, const char *pattern, int64_t layer, int64_t expert);

/* The tensor beside `entry`, whose name has `to` where that one's ends in `from`, marked as used; NULL: none. */
const struct tt_entry *tt_hf_find_beside(struct tt_hf_job *job, const struct tt_entry *entry, const char *from, const char *to);

/* The key is missing, and nothing can take its place. */
void tt_hf_lacks(struct tt_hf_job *job, const char *key);

/* TT_ENOENT naming all that was missing, if anything was. */
tt_status tt_hf_check_lacking(struct tt_hf_job *job, struct tt_err *err);

tt_status tt_hf_check_shape(const struct tt_hf_job *job, const struct tt_entry *entry, int ndim, const int64_t *shape,
                            struct tt_err *err);

/* n numbers in the recipe's arena; NULL: no memory. */
int64_t *tt_hf_dims(struct tt_hf_job *job, int n, const int64_t *dims);

/* Appends a tensor with the parts, which are in the recipe's arena as the shape is. The fqn is its whole path. */
tt_status tt_hf_add(struct tt_hf_job *job, const char *fqn, enum tt_dtype dtype, int ndim, const int64_t *shape,
                    const struct tt_part *parts, size_t nparts, struct tt_err *err);

#endif

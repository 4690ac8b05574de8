/* lib/ckpt/filter.h: which keys of a checkpoint somebody asks about. */
#ifndef TT_CKPT_FILTER_H
#define TT_CKPT_FILTER_H

#include <stdbool.h>

#include "ckpt/ckpt.h"

struct tt_key_filter {
    bool (*takes)(const void *ctx, const char *fqn); /* NULL: all */
    const void *ctx;
};

static inline bool tt_key_taken(const struct tt_key_filter *filter, const char *fqn)
{
    return !filter->takes || filter->takes(filter->ctx, fqn);
}

/* TT_EINVAL where the checkpoint has keys and none of them is taken: a name that was mistyped, most often. */
TT_MUST_CHECK tt_status tt_keys_check(const struct tt_key_filter *filter, const struct tt_ckpt *ckpt, struct tt_err *err);

#endif

#include "ckpt/filter.h"

tt_status tt_keys_check(const struct tt_key_filter *filter, const struct tt_ckpt *ckpt, struct tt_err *err)
{
    for (size_t i = 0; i < ckpt->entries.n; i++)
        if (tt_key_taken(filter, ckpt->entries.items[i].fqn))
            return TT_OK;
    return ckpt->entries.n == 0 ? TT_OK
                                : tt_err_set(err, TT_EINVAL, "%s: --include and --exclude leave none of its %zu keys", ckpt->path,
                                             ckpt->entries.n);
}

/* lib/ckpt/load.h: from a checkpoint into memory. A caller lists the regions that it wants and where they go; only the bytes that
 * they need are read, from as many chunks as it takes, and cast on the way. Any chunking serves any region. */
#ifndef TT_CKPT_LOAD_H
#define TT_CKPT_LOAD_H

#include "base/pool.h"
#include "ckpt/ckpt.h"

struct tt_recipe; /* ckpt/recipe.h */

struct tt_want {
    const char *fqn;
    enum tt_dtype dtype; /* of dst; a checkpoint of another dtype is cast */
    int ndim;
    const int64_t *shape; /* (ndim) of the whole tensor; must be the checkpoint's */
    const int64_t *offsets, *sizes; /* (ndim) the region of dst; both NULL: all of it */
    void *dst; /* row-major, of `sizes` */
};

/* Fills every dst, or fails; after a failure what the dsts hold is undefined, but keys and shapes are checked for all wants
 * before the first byte is written. TT_ENOENT names the keys that the checkpoint lacks, TT_EINVAL a shape that differs or a key
 * that is no tensor, TT_EFORMAT what is wrong in the files (a hole between chunks, a wrong CRC ...). Keys that nobody wants are
 * not touched. pool NULL: this thread alone. */
TT_MUST_CHECK tt_status tt_ckpt_load(struct tt_ckpt *ckpt, const struct tt_want *wants, size_t n, struct tt_pool *pool,
                                     struct tt_err *err);

/* The same by one of several readers, each with wants of its own. shares: for tt_crc_shares_check (ckpt/crc_share.h), which tells wrong
 * CRCs where none of them reads all that they are of; or NULL. */
TT_MUST_CHECK tt_status tt_ckpt_load_share(struct tt_ckpt *ckpt, const struct tt_want *wants, size_t n, struct tt_pool *pool,
                                           struct tt_buf *shares, struct tt_err *err);

/* The same of what a recipe makes; `name` is its input's, for messages. */
TT_MUST_CHECK tt_status tt_recipe_load(const struct tt_recipe *recipe, const char *name, const struct tt_want *wants, size_t n,
                                       struct tt_pool *pool, struct tt_err *err);

#endif

/* lib/convert/reread.h: whether what was written is what the recipe says. Opens the output as anyone would, and compares every
 * element and value with what the inputs give once more; the operating system is asked to forget what it still has of the output in
 * memory, so that the disk is read. */
#ifndef TT_CONVERT_REREAD_H
#define TT_CONVERT_REREAD_H

#include <signal.h>

#include "base/pool.h"
#include "ckpt/recipe.h"

struct tt_reread_opts {
    bool flat;            /* a .pt was written as one dict of fqns */
    struct tt_pool *pool; /* NULL: this thread alone */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* in bytes; one call at a time; NULL: none */
    void *ctx;
    const volatile sig_atomic_t *stop; /* not 0: a signal asked to end, which is TT_EIO; NULL: nobody asks */
};

/* TT_EFORMAT names the path, the key and the first element that differs. */
TT_MUST_CHECK tt_status tt_recipe_reread(const struct tt_recipe *recipe, const char *path, const struct tt_reread_opts *opts,
                                         struct tt_err *err);

#endif

/* lib/ckpt/copy.h: the engine behind every checkpoint tool. What is to be written is listed first, from metadata alone, so that
 * the offset of every output byte is known before the first is written; then a few threads move blocks of fixed size from the
 * source to where they belong. Each output byte is written once; memory does not grow with the tensors. */
#ifndef TT_CKPT_COPY_H
#define TT_CKPT_COPY_H

#include "base/pool.h"
#include "ckpt/ckpt.h"
#include "ckpt/recipe.h"

struct tt_copy;

/* src is borrowed, and so is what is added below, until tt_copy_free. */
TT_MUST_CHECK tt_status tt_copy_new(struct tt_copy **out, struct tt_ckpt *src, struct tt_err *err);
void tt_copy_free(struct tt_copy *copy);

/* A torch zip behind what was added before: `value`, pickled; the storages of its tensors have a `struct tt_fill` as owner, and
 * number -1. *offset and *nbytes are where it will lie in the output; they may be NULL. */
TT_MUST_CHECK tt_status tt_copy_add_archive(struct tt_copy *copy, const char *root, const struct tt_value *value, uint64_t *offset,
                                            uint64_t *nbytes, struct tt_err *err);

/* A fill into memory: dst is row-major, of the fill's sizes, in the output's dtype. */
TT_MUST_CHECK tt_status tt_copy_add_memory(struct tt_copy *copy, const struct tt_fill *fill, void *dst, struct tt_err *err);

/* Where archives go. */
struct tt_sink {
    tt_status (*write)(void *ctx, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err);
    void *ctx;
    bool in_order; /* a stream: it is written from the first byte to the last, by one thread */
};

/* sink may be NULL where only memory was added. pool NULL: this thread alone. */
TT_MUST_CHECK tt_status tt_copy_run(struct tt_copy *copy, struct tt_pool *pool, const struct tt_sink *sink, struct tt_err *err);

/* A TENSOR value for tt_copy_add_archive: row-major, over a storage of its own that is filled by `fill`. In the arena. */
struct tt_value *tt_copy_tensor(struct tt_arena *arena, const struct tt_fill *fill);

#endif

/* lib/ckpt/to_pt.h: a checkpoint as one .pt file, nested as PyTorch's dcp_to_torch nests it: each key at its path in a dict of
 * dicts and lists, in the catalogue's order; every tensor row-major over a storage of its own. */
#ifndef TT_CKPT_TO_PT_H
#define TT_CKPT_TO_PT_H

#include "base/pool.h"
#include "ckpt/ckpt.h"

/* path "-" writes to stdout, from the first byte to the last; a file appears whole or not at all. Memory does not grow with the
 * tensors. */
TT_MUST_CHECK tt_status tt_ckpt_to_pt(struct tt_ckpt *ckpt, const char *path, struct tt_pool *pool, struct tt_err *err);

/* The nested value alone: TENSOR leaves for tt_copy_add_archive. In the arena. */
TT_MUST_CHECK tt_status tt_ckpt_nest(struct tt_ckpt *ckpt, struct tt_arena *arena, struct tt_value **out, struct tt_err *err);

#endif

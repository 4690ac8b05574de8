/* lib/ckpt/layout.h: which rank of a job holds which region of a tensor, by the rules of TorchTitan and PyTorch.
 *
 * Ranks count through a mesh whose last dimension runs fastest:
 *   pp, dp_replicate, dp_shard * cp, tp           parameters
 *   pp, dp_replicate, efsdp, ep, etp              routed experts where ep > 1; efsdp = dp_shard * cp * tp / (ep * etp)
 * A dimension of n ranks that cuts a dimension of len elements gives each ceil(len / n) of them in order; the last pieces are shorter
 * or empty (torch.chunk), and an empty one has the offset of the tensor's end.
 *   tp        cuts the dimension that the family's table names, or none
 *   ep, etp   cut the experts (dimension 0), and what tp would cut of each
 *   FSDP      cuts dimension 0 of what these leave on a rank; of experts dimension 1 where efsdp * ep is more than there are
 *   dp_replicate and, where dp_shard * cp is 1, efsdp give each of their ranks the same
 * So where tp and FSDP cut the same dimension, a rank's piece is one of FSDP's of one of tp's, and the pieces do not follow the
 * ranks: PyTorch's _StridedShard. Sources: torchtitan/distributed/parallel_dims.py, torchtitan/models/<family>/infra, and
 * torch/distributed/{fsdp/_fully_shard/_fsdp_param.py,tensor/_utils.py}. */
#ifndef TT_CKPT_LAYOUT_H
#define TT_CKPT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum { TT_RANKS_MAX = 1 << 20 };

/* The shape of a job, as [parallelism] has it; each at least 1. etp is that of ep > 1. */
struct tt_degrees {
    int64_t dp_replicate, dp_shard, cp, tp, pp, ep, etp;
};

/* TorchTitan's rules about degrees, whatever the family; TT_EINVAL names the degrees. */
TT_MUST_CHECK tt_status tt_degrees_check(const struct tt_degrees *d, struct tt_err *err);

int64_t tt_degrees_nranks(const struct tt_degrees *d);       /* of checked degrees, as are all below */
int64_t tt_degrees_stage_nranks(const struct tt_degrees *d); /* ranks of one pipeline rank: consecutive */

/* How a tensor comes apart. */
struct tt_spread {
    bool whole;   /* not at all: a buffer, a scalar */
    bool experts; /* dimension 0 counts routed experts */
    int tp_dim;   /* that tensor parallelism cuts; -1: none */
};

struct tt_shard {
    const int64_t *offsets, *sizes; /* (ndim) */
    const uint32_t *ranks;          /* (nranks) that hold it, ascending, within their pipeline rank */
    uint32_t nranks;
};

struct tt_shards {
    const struct tt_shard *s; /* in the order of their first ranks; no two have the same offsets */
    uint32_t n;
};

/* The shards of a tensor over the ranks of one pipeline rank, in the arena. TT_EINVAL names the tensor (fqn): experts that ep does not
 * divide, what FSDP does not divide where it cuts dimension 1, and lengths for which PyTorch records other regions than its
 * ranks hold, so that no such job can save what it can load. */
TT_MUST_CHECK tt_status tt_shards_make(struct tt_shards *out, struct tt_arena *arena, const struct tt_degrees *d,
                                       const struct tt_spread *how, const char *fqn, int ndim, const int64_t *shape,
                                       struct tt_err *err);

#endif

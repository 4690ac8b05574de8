/* lib/comm/mesh.h: which ranks of a job work together in what, as TorchTitan's ParallelDims has it.
 *
 * Ranks count through meshes of the same ranks, whose last dimension runs fastest:
 *   pp, batch, cp, tp                      batch = dp_replicate * dp_shard: ranks that read different data
 *   pp, loss, tp                           loss = batch * cp: over whose tokens a loss and gradients are summed
 *   pp, dp_replicate, fsdp, tp             fsdp = dp_shard * cp: over whom parameters are sharded
 *   pp, dp_replicate, efsdp, ep, etp       efsdp = fsdp * tp / (ep * etp): the same of routed experts
 * A group are the ranks that differ in one dimension only. Source: torchtitan/distributed/parallel_dims.py. */
#ifndef TT_COMM_MESH_H
#define TT_COMM_MESH_H

#include "ckpt/layout.h"

enum tt_mesh_dim {
    TT_MESH_PP,
    TT_MESH_BATCH,
    TT_MESH_LOSS,
    TT_MESH_REPLICATE,
    TT_MESH_FSDP,
    TT_MESH_CP,
    TT_MESH_TP,
    TT_MESH_EP,
    TT_MESH_EFSDP,
    TT_MESH_ETP,
    TT_MESH_NDIMS
};

extern const char *const tt_mesh_names[TT_MESH_NDIMS]; /* "pp", ..., "dp_replicate", ... as TorchTitan calls them */

struct tt_mesh {
    struct tt_degrees degrees; /* that tt_degrees_check takes */
    int rank;                  /* below tt_degrees_nranks */
};

int tt_mesh_size(const struct tt_mesh *mesh, enum tt_mesh_dim dim);
int tt_mesh_coord(const struct tt_mesh *mesh, enum tt_mesh_dim dim); /* the rank's place in its group of this dimension */

/* The rank at place i of that group. */
int tt_mesh_peer(const struct tt_mesh *mesh, enum tt_mesh_dim dim, int i);

#endif

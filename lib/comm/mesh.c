#include "comm/mesh.h"

const char *const tt_mesh_names[TT_MESH_NDIMS] = {
    [TT_MESH_PP] = "pp",     [TT_MESH_BATCH] = "batch", [TT_MESH_LOSS] = "loss",
    [TT_MESH_FSDP] = "fsdp", [TT_MESH_CP] = "cp",       [TT_MESH_REPLICATE] = "dp_replicate",
    [TT_MESH_TP] = "tp",     [TT_MESH_EP] = "ep",       [TT_MESH_EFSDP] = "efsdp",
    [TT_MESH_ETP] = "etp",
};

/* How many ranks a group has, and how far apart they are. */
struct line {
    int64_t size, stride;
};

static struct line line_of(const struct tt_degrees *d, enum tt_mesh_dim dim)
{
    const int64_t fsdp = d->dp_shard * d->cp;

    switch (dim) {
    case TT_MESH_PP: return (struct line){ d->pp, tt_degrees_stage_nranks(d) };
    case TT_MESH_BATCH: return (struct line){ d->dp_replicate * d->dp_shard, d->cp * d->tp };
    case TT_MESH_LOSS: return (struct line){ d->dp_replicate * fsdp, d->tp };
    case TT_MESH_REPLICATE: return (struct line){ d->dp_replicate, fsdp * d->tp };
    case TT_MESH_FSDP: return (struct line){ fsdp, d->tp };
    case TT_MESH_CP: return (struct line){ d->cp, d->tp };
    case TT_MESH_TP: return (struct line){ d->tp, 1 };
    case TT_MESH_EP: return (struct line){ d->ep, d->etp };
    case TT_MESH_EFSDP: return (struct line){ fsdp * d->tp / (d->ep * d->etp), d->ep * d->etp };
    case TT_MESH_ETP: return (struct line){ d->etp, 1 };
    case TT_MESH_NDIMS: break;
    }
    return (struct line){ 1, 1 };
}

int tt_mesh_size(const struct tt_mesh *mesh, enum tt_mesh_dim dim) { return (int)line_of(&mesh->degrees, dim).size; }

int tt_mesh_coord(const struct tt_mesh *mesh, enum tt_mesh_dim dim)
{
    const struct line line = line_of(&mesh->degrees, dim);
    return (int)(mesh->rank / line.stride % line.size);
}

int tt_mesh_peer(const struct tt_mesh *mesh, enum tt_mesh_dim dim, int i)
{
    return mesh->rank + (int)((i - tt_mesh_coord(mesh, dim)) * line_of(&mesh->degrees, dim).stride);
}

"""The meshes that TorchTitan builds for jobs of some shapes: python make_meshes.py > meshes.txt. A line a rank and dimension: its place in
its group, and the ranks of that."""
import logging
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../anchor"))
import tt_cpu  # noqa: F401

import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore
from torchtitan.distributed import ParallelDims

NAMES = ("dp_replicate", "dp_shard", "cp", "tp", "pp", "ep", "etp")
CASES = [{}, {"dp_shard": 4}, {"dp_replicate": 4}, {"dp_replicate": 2, "dp_shard": 2}, {"dp_shard": 2, "tp": 2},
         {"dp_shard": -1, "cp": 2, "tp": 2, "ranks": 8}, {"dp_replicate": 2, "dp_shard": 2, "cp": 2, "tp": 2, "pp": 2},
         {"dp_shard": 4, "tp": 2, "ep": 2, "etp": 2}, {"dp_shard": 4, "tp": 2, "ep": 4}, {"dp_shard": 3, "pp": 2}]  # fmt: skip

logging.disable(logging.WARNING)
for case in CASES:
    degrees = {name: case.get(name, 1) for name in NAMES}
    nranks = case.get("ranks")
    if not nranks:
        nranks = 1
        for name in NAMES[:5]:
            nranks *= degrees[name]
    print("degrees", *degrees.values(), "of", nranks)
    for rank in range(nranks):
        dist.init_process_group("fake", rank=rank, world_size=nranks, store=FakeStore())
        dims = ParallelDims(**degrees, world_size=nranks)
        dims.build_mesh()
        for name, mesh in dims._meshes.items():
            print(name, rank, mesh.get_local_rank(), ":", *mesh.mesh.flatten().tolist())
        dist.destroy_process_group()

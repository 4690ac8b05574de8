#!/usr/bin/env python3
"""make_megatron.py DIR: a torch_dist checkpoint of Megatron Core, in DIR, by one process on a CPU (README.md has the versions).

dense is whole; rows and grid are cut as by two and by 2 x 2 ranks, all of which this one process plays; stack has an axis in front for
its layers, as a pipeline's stages save them; flat (up to 0.15) has flattened pieces, as a distributed optimizer's were; rng and state are
sharded objects; the rest is common.pt."""
import argparse
import io
import os
import shutil
import sys

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.mapping import ShardedObject, ShardedTensor


def state_dict():
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    half = [whole[2 * i:2 * i + 2].clone() for i in range(2)]
    rows = [ShardedTensor.from_rank_offsets("rows", half[i], (0, i, 2)) for i in range(2)]
    grid = [ShardedTensor.from_rank_offsets("grid", half[i][:, 3 * j:3 * j + 3].bfloat16(), (0, i, 2), (1, j, 2))
            for i in range(2) for j in range(2)]
    stack = [ShardedTensor.from_rank_offsets("stack", whole[i].clone(), (0, i, 3), prepend_axis_num=1) for i in range(3)]
    state = {"dense": ShardedTensor.from_rank_offsets("dense", whole.to(torch.float64)), "rows": rows, "grid": grid, "stack": stack,
             "rng": ShardedObject("rng_state", {"np": ("MT19937", np.arange(3)), "torch": torch.arange(5, dtype=torch.uint8)}, (1,), (0,)),
             "state": [ShardedObject("extra_state", data, (2,), (i,)) for i, data in enumerate((None, io.BytesIO(b"fp8")))],
             "iteration": 11, "args": argparse.Namespace(lr=0.25, bf16=True), "scheduler": {"max_lr": 0.25, "num_steps": 44},
             "scale": torch.tensor([1.0, 2.0])}
    if hasattr(ShardedTensor, "from_rank_offsets_flat"):
        state["flat"] = [ShardedTensor.from_rank_offsets_flat("flat", half[i].flatten(), (2, 6), (0, i, 2), flattened_range=slice(0, 12))
                         for i in range(2)]
    return state


if __name__ == "__main__":
    out = sys.argv[1]
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29651")
    torch.cuda.synchronize = lambda *_: None  # all that Megatron's writer asks of a GPU:
    torch.cuda.current_device = lambda: "cpu"  # nothing to wait for, and where to put a flag
    dist.init_process_group("gloo", rank=0, world_size=1)
    dist_checkpointing.save(state_dict(), out, sharded_strategy=("torch_dist", 1))
    dist.destroy_process_group()

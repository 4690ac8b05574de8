#!/usr/bin/env python3
"""make_dialects.py DIR: one small checkpoint by two ranks, in DIR, as the PyTorch that runs this writes it: 2.1 to 2.15 (README.md).

Its content is what tests/unit/test_goldens.c expects: w, 3 x 3 float32 in rows of two ranks; s, a 0-d int64; a.n, a value in a
dict without tensors, which only PyTorch 2.4 and later take apart; m.b, bfloat16, in a dict with a tensor."""
import os
import shutil
import socket
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp


def state_of(world):
    if torch.__version__.startswith(("2.1.", "2.2.", "2.3.", "2.4.")):
        from torch.distributed._tensor import DeviceMesh, Shard, distribute_tensor
    else:
        from torch.distributed.tensor import DeviceMesh, Shard, distribute_tensor
    w = torch.arange(9, dtype=torch.float32).reshape(3, 3)
    return {"w": distribute_tensor(w, DeviceMesh("cpu", list(range(world))), [Shard(0)]), "s": torch.tensor(7), "a": {"n": 5},
            "m": {"b": torch.arange(4).to(torch.bfloat16)}}


def save(rank, world, port, path):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    state = state_of(world)
    if hasattr(dcp, "save"):
        dcp.save(state, storage_writer=dcp.FileSystemWriter(path))
    else:
        dcp.save_state_dict(state, dcp.FileSystemWriter(path))
    dist.barrier()
    os._exit(0)  # 2.1's destroy_process_group hangs where the other rank has left


if __name__ == "__main__":
    out = sys.argv[1]
    shutil.rmtree(out, ignore_errors=True)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        free = s.getsockname()[1]
    mp.spawn(save, (2, free, out), nprocs=2)

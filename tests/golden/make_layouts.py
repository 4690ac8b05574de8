#!/usr/bin/env python3
"""make_layouts.py FILE: what the real PyTorch and TorchTitan say about shards and pipeline stages, as JSON lines, for test_layout.c.

{"job": [dp_replicate, dp_shard, cp, tp, ep, etp], "shape", "tp_dim", "experts", "shards": [[offsets, sizes, ranks], ...]}
    shards are those of one pipeline rank as DCP would record them, one for each place; null: PyTorch records another region than
    the rank holds (torch.chunk of torch.chunk), or FSDP refuses
{"layers", "first", "last", "stages": [[module, ...], ...]}
"""
import itertools
import json
import random
import sys

import torch
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor._utils import _compute_local_shape_and_global_offset
from torch.distributed.tensor.placement_types import _StridedShard
from torchtitan.distributed.pipeline_parallel import generate_llm_fqn_per_model_part


def placements(job, tp_dim, experts, shape):
    """The mesh below pp and the placements on it, as FSDP puts them together (_fsdp_param.py)."""
    replicate, shard, cp, tp, ep, etp = job
    fsdp, inner = shard * cp, []
    if experts and ep > 1:
        fsdp = fsdp * tp // (ep * etp)
        inner = [(ep, 0), (etp, tp_dim)]
    else:
        inner = [(tp, tp_dim)]
    fsdp_dim = 1 if experts and ep > 1 and fsdp * ep > shape[0] else 0
    split = 1
    for n, dim in inner:
        split *= n if dim == fsdp_dim else 1
    on = fsdp > 1 and shard * cp > 1
    cut = (_StridedShard(fsdp_dim, split_factor=split) if split > 1 else Shard(fsdp_dim)) if on else Replicate()
    mesh = [replicate, fsdp] + [n for n, _ in inner]
    return mesh, [Replicate(), cut] + [Replicate() if dim < 0 or n == 1 else Shard(dim) for n, dim in inner]


def chunk(t, n, at, dim):
    pieces = torch.chunk(t, n, dim)
    return pieces[at] if at < len(pieces) else t.narrow(dim, 0, 0)


def held(shape, mesh, places, coord):
    """Which elements the rank really has: the cuts from right to left, FSDP's last."""
    t = torch.arange(torch.Size(shape).numel()).view(shape)
    for n, place, at in reversed(list(zip(mesh, places, coord))):
        t = t if isinstance(place, Replicate) else chunk(t, n, at, place.dim)
    return t


def recorded(shape, offset, size):
    t = torch.arange(torch.Size(shape).numel()).view(shape)
    for dim, (o, s) in enumerate(zip(offset, size)):
        t = t.narrow(dim, min(o, shape[dim] - s), s)
    return t


def shards(job, shape, tp_dim, experts):
    mesh, places = placements(job, tp_dim, experts, shape)
    out = {}
    for rank, coord in enumerate(itertools.product(*map(range, mesh))):
        size, offset = _compute_local_shape_and_global_offset(shape, mesh, list(coord), places)
        has = held(shape, mesh, places, coord)
        if list(has.shape) != list(size) or not torch.equal(has, recorded(shape, offset, size)):
            return None
        out.setdefault(tuple(offset), (list(offset), list(size), []))[2].append(rank)
    sizes = {tuple(size) for _, size, _ in out.values()}
    if not isinstance(places[1], Replicate) and places[1].dim == 1 and len(sizes) > 1:
        return None  # FSDP: "does not support uneven sharding on dim 1"
    return list(out.values())


def cases():
    random.seed(0)
    for job in [(1, 2, 1, 1, 1, 1), (1, 4, 1, 1, 1, 1), (2, 2, 1, 1, 1, 1), (1, 1, 1, 2, 1, 1), (1, 2, 1, 2, 1, 1), (1, 4, 1, 2, 1, 1),
                (1, 2, 2, 2, 1, 1), (2, 2, 1, 2, 1, 1), (2, 1, 1, 1, 1, 1), (1, 2, 1, 4, 1, 1), (1, 3, 1, 2, 1, 1)]:
        for rows, tp_dim in itertools.product([1, 2, 7, 8, 9], [-1, 0, 1]):
            if job[3] > 1 or tp_dim == -1:
                yield job, [rows, 6], tp_dim, False
        yield job, [random.randrange(1, 40)], -1, False
    for job in [(1, 4, 1, 1, 2, 1), (1, 8, 1, 1, 2, 1), (1, 4, 1, 2, 2, 2), (1, 4, 1, 2, 4, 1), (2, 4, 1, 2, 2, 2), (1, 2, 1, 2, 4, 1),
                (1, 8, 1, 2, 2, 2), (1, 2, 2, 1, 4, 1), (1, 2, 1, 2, 1, 1)]:
        for experts, rows, tp_dim in itertools.product([4, 8], [8, 16, 20], [1, 2, -1]):
            if experts % job[4] == 0 and not (tp_dim == 1 and rows % job[5]):
                yield job, [experts, rows, 4], tp_dim, True


def main(path):
    with open(path, "w") as f:
        for job, shape, tp_dim, experts in cases():
            row = {"job": job, "shape": shape, "tp_dim": tp_dim, "experts": experts, "shards": shards(job, shape, tp_dim, experts)}
            f.write(json.dumps(row, separators=(",", ":")) + "\n")
        for n, layers, first, last in [(1, 6, 1, 1), (2, 6, 1, 1), (4, 6, 1, 1), (8, 6, 1, 1), (3, 7, 1, 1), (4, 32, 1, 1), (4, 32, 2, 3),
                                       (4, 32, 0, 0), (5, 13, 0, 1), (6, 16, 3, 0), (16, 126, 1, 1), (2, 1, 1, 1), (2, 0, 1, 1)]:
            row = {"layers": layers, "first": first, "last": last,
                   "stages": generate_llm_fqn_per_model_part(n, layers, first, last)}  # fmt: skip
            f.write(json.dumps(row, separators=(",", ":")) + "\n")


main(sys.argv[1])

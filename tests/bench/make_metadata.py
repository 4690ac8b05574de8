#!/usr/bin/env python3
"""The .metadata of a large job, made by the real library's own planner and writer, without the tensors.

    make_metadata.py FOLDER [--ranks 64] [--layers 80] [--dim 8192] [--ffn 28672] [--vocab 128256] [--zstd]

A full TorchTitan checkpoint of a Llama-3 model under FSDP: parameters, both moments of AdamW, param_groups, the learning rate's
state, one dataloader state a rank. The plans pass between "ranks" as pickles, as they do in a job, so that objects are shared
in the file as they are there. FOLDER gets .metadata alone: 64 ranks of 70 B have 138,816 chunks of 2,169 sharded tensors.
"""
import argparse
import os
import pickle

import torch
from torch.distributed.checkpoint import DefaultSavePlanner, FileSystemWriter
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import SavePlan, TensorWriteData, WriteItem, WriteItemType
from torch.distributed.checkpoint.storage import WriteResult


def parameters(a):
    yield "tok_embeddings.weight", (a.vocab, a.dim)
    for i in range(a.layers):
        at = f"layers.{i}."
        yield at + "attention.wq.weight", (a.dim, a.dim)
        yield at + "attention.wk.weight", (a.dim // 8, a.dim)
        yield at + "attention.wv.weight", (a.dim // 8, a.dim)
        yield at + "attention.wo.weight", (a.dim, a.dim)
        yield at + "feed_forward.w1.weight", (a.ffn, a.dim)
        yield at + "feed_forward.w2.weight", (a.dim, a.ffn)
        yield at + "feed_forward.w3.weight", (a.ffn, a.dim)
        yield at + "attention_norm.weight", (a.dim,)
        yield at + "ffn_norm.weight", (a.dim,)
    yield "norm.weight", (a.dim,)
    yield "output.weight", (a.vocab, a.dim)


GROUP = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused",
         "decoupled_weight_decay", "initial_lr")
SCHEDULER = ("base_lrs", "last_epoch", "_step_count", "_is_initial", "_get_lr_called_within_step", "_last_lr")


def shard(fqn, shape, rank, ranks):
    rows = -(-shape[0] // ranks)
    begin = min(rank * rows, shape[0])
    sizes = (min(rows, shape[0] - begin),) + shape[1:]
    offsets = torch.Size((begin,) + (0,) * (len(shape) - 1))
    data = TensorWriteData(chunk=ChunkStorageMetadata(offsets=offsets, sizes=torch.Size(sizes)),
                           properties=TensorProperties(dtype=torch.float32), size=torch.Size(shape))
    return WriteItem(index=MetadataIndex(fqn, offsets), type=WriteItemType.SHARD, tensor_data=data)


def scalar(fqn):
    data = TensorWriteData(chunk=ChunkStorageMetadata(offsets=torch.Size(()), sizes=torch.Size(())),
                           properties=TensorProperties(dtype=torch.float32), size=torch.Size(()))
    return WriteItem(index=MetadataIndex(fqn, torch.Size(())), type=WriteItemType.TENSOR, tensor_data=data)


def plan(a, rank):
    items, paths = [], {}

    def add(item, *path):
        items.append(item)
        paths[item.index.fqn] = path

    def add_value(*path):
        add(WriteItem(index=MetadataIndex(".".join(path)), type=WriteItemType.BYTE_IO), *path)

    for fqn, shape in parameters(a):
        add(shard(fqn, shape, rank, a.ranks), fqn)
    for fqn, shape in parameters(a):
        state = f"state.{fqn}."
        add(scalar("optimizer." + state + "step"), "optimizer", state + "step")
        for moment in ("exp_avg", "exp_avg_sq"):
            add(shard("optimizer." + state + moment, shape, rank, a.ranks), "optimizer", state + moment)
    for fqn, _ in parameters(a):
        for name in GROUP:
            add_value("optimizer", f"param_groups.{fqn}.{name}")
    for name in SCHEDULER:
        add_value("lr_scheduler", name)
    add_value("dataloader", f"dp_rank_{rank}")
    add_value("dataloader", "world_size")
    add_value("train_state", "step")
    add_value("train_state", "ntokens_seen")
    return SavePlan(items, planner_data=paths)


def written(a, plan_of_rank, rank):
    """What the rank's writer would report: values first, then tensors, end to end in its one file."""
    name, offset, results = f"__{rank}_0.distcp", 0, []
    extra = {"transform_descriptors": ["stream.zstd/1"]} if a.zstd else {}
    for item in sorted(plan_of_rank.items, key=lambda i: i.type != WriteItemType.BYTE_IO):
        nbytes = 1261
        if item.tensor_data:
            nbytes = 1513 + (item.tensor_data.chunk.sizes.numel() * 4 + 63) // 64 * 64
        results.append(WriteResult(index=item.index, size_in_bytes=nbytes, storage_data=_StorageInfo(name, offset, nbytes, **extra)))
        offset += nbytes
    return results


def over_the_wire(v):
    return pickle.loads(pickle.dumps(v))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    for name, n in (("ranks", 64), ("layers", 80), ("dim", 8192), ("ffn", 28672), ("vocab", 128256)):
        p.add_argument("--" + name, type=int, default=n)
    p.add_argument("--zstd", action="store_true")
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)

    planner = DefaultSavePlanner(dedup_save_to_lowest_rank=False)
    planner.set_up_planner({}, None, is_coordinator=True)
    plans = [over_the_wire(plan(a, rank)) for rank in range(a.ranks)]
    plans, metadata = planner.create_global_plan(plans)
    results = [over_the_wire(written(a, over_the_wire(p), rank)) for rank, p in enumerate(plans)]
    writer = FileSystemWriter(a.folder)
    writer.reset(a.folder)
    writer.finish(metadata, results)
    chunks = [len(m.chunks) for m in metadata.state_dict_metadata.values() if hasattr(m, "chunks")]
    print(f"{len(chunks)} tensors in {sum(chunks)} chunks, {len(metadata.state_dict_metadata) - len(chunks)} values, "
          f"{os.path.getsize(os.path.join(a.folder, '.metadata'))} bytes")


main()

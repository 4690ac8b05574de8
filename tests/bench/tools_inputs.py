"""Inputs for the benchmark of the checkpoint tools.

usage: tools_inputs.py hf     FLAVOR.yaml OUT.safetensors           float32, Hugging Face's names
       tools_inputs.py titan  FLAVOR.yaml OUT.safetensors           float32, TorchTitan's
       tools_inputs.py sparse FLAVOR.yaml OUT.safetensors           bfloat16, Hugging Face's names, a file that is one hole
       tools_inputs.py chunks FLAVOR.yaml OUT_DIR N                 a DCP folder of about N chunks, no more

A flavor is one of llama3's, as titan's flavor files have them. Numbers come from a seeded generator, uniform in [-0.5, 0.5).
"""
import io
import json
import os
import sys

import numpy as np

BLOCK = 1 << 24  # elements drawn at a time


def flavor(path):
    with open(path) as f:
        pairs = [line.split(":") for line in f if ":" in line and not line.startswith("#")]
    args = {k.strip(): float(v) for k, v in pairs}
    args.setdefault("n_kv_heads", args["n_heads"])
    args.setdefault("vocab_size", 128256)
    return args


def hidden_dim(a):
    n = int(int(2 * 4 * a["dim"] / 3) * a.get("ffn_dim_multiplier", 1))
    multiple = int(a.get("multiple_of", 256))
    return (n + multiple - 1) // multiple * multiple


def tensors(a, names):
    """(name, shape) in the order of the model."""
    dim, vocab, hidden = int(a["dim"]), int(a["vocab_size"]), hidden_dim(a)
    kv = dim // int(a["n_heads"]) * int(a["n_kv_heads"])
    layer = [("attention.wq", "self_attn.q_proj", (dim, dim)), ("attention.wk", "self_attn.k_proj", (kv, dim)),
             ("attention.wv", "self_attn.v_proj", (kv, dim)), ("attention.wo", "self_attn.o_proj", (dim, dim)),
             ("feed_forward.w1", "mlp.gate_proj", (hidden, dim)), ("feed_forward.w2", "mlp.down_proj", (dim, hidden)),
             ("feed_forward.w3", "mlp.up_proj", (hidden, dim)), ("attention_norm", "input_layernorm", (dim,)),
             ("ffn_norm", "post_attention_layernorm", (dim,))]
    hf = names == "hf"
    yield ("model.embed_tokens" if hf else "tok_embeddings") + ".weight", (vocab, dim)
    for i in range(int(a["n_layers"])):
        for tt, theirs, shape in layer:
            yield f"model.layers.{i}.{theirs}.weight" if hf else f"layers.{i}.{tt}.weight", shape
    yield ("model." if hf else "") + "norm.weight", (dim,)
    yield ("lm_head" if hf else "output") + ".weight", (vocab, dim)


def write_safetensors(path, list_of_tensors, dtype, itemsize, sparse):
    header, at = {}, 0
    for name, shape in list_of_tensors:
        n = int(np.prod(shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + n * itemsize]}
        at += n * itemsize
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        if sparse:
            f.truncate(8 + len(text) + at)
            return
        left = at // itemsize
        while left:
            n = min(left, BLOCK)
            f.write((rng.random(n, dtype=np.float32) - np.float32(0.5)).tobytes())
            left -= n


def grid(shape, numel):
    """Chunks of about numel elements: whole rows, or parts of one."""
    rows, cols = shape[0], int(np.prod(shape[1:]))
    if len(shape) == 1:
        step = min(numel, rows)
        return [((r,), (min(step, rows - r),)) for r in range(0, rows, step)]
    nr, nc = max(1, numel // cols), min(numel, cols)
    return [((r, c), (min(nr, rows - r), min(nc, cols - c))) for r in range(0, rows, nr) for c in range(0, cols, nc)]


def choose_grids(shapes, wanted):
    """One a tensor, with little less than `wanted` chunks in all: the first tensors are cut finer than the others."""
    numel = sum(int(np.prod(s)) for s in shapes) // wanted
    grids = [grid(s, numel) for s in shapes]
    while sum(map(len, grids)) > wanted:
        fine, numel = grids, numel + numel // 20 + 1
        grids = [grid(s, numel) for s in shapes]
        left = wanted - sum(map(len, grids))
        for i in range(len(shapes) if left > 0 else 0):
            if len(fine[i]) - len(grids[i]) <= left:
                left -= len(fine[i]) - len(grids[i])
                grids[i] = fine[i]
    return grids


def blob_maker():
    """What torch.save makes of a float32 tensor, with other numbers in it each time; its CRCs are 0, which says: not recorded."""
    import torch

    torch.serialization.set_crc32_options(False)
    known = {}

    def make(shape, data):
        if shape not in known:
            marker, buffer = torch.rand(shape), io.BytesIO()
            torch.save(marker, buffer)
            blob = buffer.getvalue()
            known[shape] = blob, blob.index(marker.numpy().tobytes())
        blob, at = known[shape]
        return blob[:at] + data + blob[at + len(data):]

    return make


def write_chunks(a, path, wanted):
    import pickle

    import torch
    from torch.distributed.checkpoint.filesystem import _StorageInfo
    from torch.distributed.checkpoint.metadata import (ChunkStorageMetadata, Metadata, MetadataIndex, TensorProperties,
                                                       TensorStorageMetadata)

    os.makedirs(path)
    all_tensors = list(tensors(a, "titan"))
    grids = choose_grids([s for _, s in all_tensors], wanted)
    make, rng, meta, storage, at = blob_maker(), np.random.default_rng(0), {}, {}, 0
    with open(path + "/__0_0.distcp", "wb") as f:
        for (name, shape), chunks in zip(all_tensors, grids):
            size = torch.Size(shape)
            meta[name] = TensorStorageMetadata(TensorProperties(torch.float32), size,
                                               [ChunkStorageMetadata(torch.Size(o), torch.Size(s)) for o, s in chunks])
            for i, (offsets, sizes) in enumerate(chunks):
                data = (rng.random(int(np.prod(sizes)), dtype=np.float32) - np.float32(0.5)).tobytes()
                blob = make(sizes, data)
                f.write(blob)
                storage[MetadataIndex(name, torch.Size(offsets), i)] = _StorageInfo("__0_0.distcp", at, len(blob))
                at += len(blob)
    with open(path + "/.metadata", "wb") as f:
        pickle.dump(Metadata(meta, {k: (k,) for k in meta}, storage), f)
    print(len(storage))


def main():
    kind, path, out = sys.argv[1:4]
    a = flavor(path)
    if kind == "chunks":
        write_chunks(a, out, int(sys.argv[4]))
    elif kind == "sparse":
        write_safetensors(out, list(tensors(a, "hf")), "BF16", 2, True)
    else:
        write_safetensors(out, list(tensors(a, kind)), "F32", 4, False)


main()

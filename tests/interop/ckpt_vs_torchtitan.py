"""Full checkpoints of real training runs: TorchTitan's on one rank and on two (FSDP), and titan's own. titan-dcp2pt's file equals that of
PyTorch's dcp_to_torch, keys in order, nesting and bytes; titan-ckpt-inspect lists what PyTorch's reader of the metadata says."""
import json
import os
import subprocess

import torch
from runs import BASE, BIN, F32, FULL, ROOT, TINY, Workdir, check, finish, flags, titan
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

SETTINGS = {**BASE, **FULL, **F32, "training.steps": 3, "checkpoint.interval": 2, "training.seq_len": 64}


def torchtitan(work, nranks):
    """A run of the real TorchTitan, in processes of its own: its last full checkpoint."""
    dump = work.path(f"torchtitan-{nranks}")
    command = [os.path.join(ROOT, "tests/anchor/tt-train"), str(nranks)]
    command += flags({**SETTINGS, "model.flavor": "tiny", "job.dump_folder": dump})
    env = dict(os.environ, TT_FLAVORS=json.dumps({"tiny": TINY}))
    done = subprocess.run(command, cwd=work.name, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return os.path.join(dump, "checkpoint/step-3")


def bits(t):
    return t.reshape(-1).view(torch.uint8) if t.numel() else t.reshape(-1)


def difference(a, b, where=""):
    """Where the two first differ, or None."""
    if type(a) is not type(b):
        return f"{where}: {type(a)} and {type(b)}"
    if torch.is_tensor(a):
        alike = a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and a.requires_grad == b.requires_grad
        return None if alike and torch.equal(bits(a), bits(b)) else f"{where}: tensors differ"
    if isinstance(a, dict):
        if list(a) != list(b):
            return f"{where}: keys {list(a)[:4]} and {list(b)[:4]}, of {len(a)} and {len(b)}"
        return next((d for k in a if (d := difference(a[k], b[k], f"{where}/{k}"))), None)
    if isinstance(a, (list, tuple)) and len(a) == len(b):
        return next((d for i in range(len(a)) if (d := difference(a[i], b[i], f"{where}/{i}"))), None)
    return None if a == b else f"{where}: {a!r} and {b!r}"


def check_flattened(work, name, step):
    ours, theirs = work.path("ours.pt"), work.path("theirs.pt")
    dcp_to_torch_save(step, theirs)
    subprocess.run([BIN + "/titan-dcp2pt", "--force", "--quiet", step, ours], check=True)
    for how in ({}, {"mmap": True}):
        a, b = (torch.load(path, weights_only=True, **how) for path in (ours, theirs))
        check(f"{name}: titan-dcp2pt as dcp_to_torch {how or ''}", difference(a, b) is None and len(a) > 3,
              difference(a, b) or f"{len(a)} keys")
    back = work.path("back")
    subprocess.run([BIN + "/titan-dcp2pt", "--reverse", "--force", "--quiet", ours, back], check=True)
    was, now = (FileSystemReader(path).read_metadata() for path in (step, back))
    check(f"{name}: and back: the same keys and paths", now.planner_data == was.planner_data and
          {k: type(v) for k, v in now.state_dict_metadata.items()} == {k: type(v) for k, v in was.state_dict_metadata.items()})


def expected_row(key, item, meta):
    """What titan-ckpt-inspect must say of a key, out of PyTorch's metadata."""
    row = {"key": key, "path": list(meta.planner_data[key])}
    chunks = [(None, None)]  # of a value
    if hasattr(item, "size"):
        row |= {"kind": "tensor", "dtype": str(item.properties.dtype).removeprefix("torch."), "shape": list(item.size),
                "nbytes": item.size.numel() * item.properties.dtype.itemsize}  # fmt: skip
        chunks = [(list(c.offsets), list(c.sizes)) for c in item.chunks]
    else:
        row["kind"] = "value"
    places = {tuple(k.offset) if k.offset is not None else None: v for k, v in meta.storage_data.items() if k.fqn == key}
    row["chunks"] = []
    for offsets, sizes in chunks:
        place = places[offsets if offsets is None else tuple(offsets)]
        row["chunks"].append((offsets, sizes, (place.relative_path, place.offset, place.length)))
    return row


def check_listed(name, step):
    meta = FileSystemReader(step).read_metadata()
    out = subprocess.run([BIN + "/titan-ckpt-inspect", "--json", step], check=True, stdout=subprocess.PIPE).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    check(f"{name}: titan-ckpt-inspect has every key in order", [r["key"] for r in rows] == list(meta.state_dict_metadata),
          f"{len(rows)} keys")  # fmt: skip
    different = []
    for row in rows:
        del row["checkpoint"]
        row.pop("value", None)
        row["chunks"] = [(c.get("offsets"), c.get("sizes"), (c["file"], c["offset"], c["nbytes"])) for c in row["chunks"]]
        if row != expected_row(row["key"], meta.state_dict_metadata[row["key"]], meta):
            different.append(row["key"])
    check(f"{name}: types, shapes, sizes and places as PyTorch reads them", not different, f"different: {different[:3]}")
    return {len(v.chunks) for v in meta.state_dict_metadata.values() if hasattr(v, "size") and v.size.numel() > 1}


def main():
    with Workdir() as work:
        titan_dump = work.path("titan")
        titan(work, "tiny", {**SETTINGS, "job.dump_folder": titan_dump}, TINY)
        runs = {"titan": os.path.join(titan_dump, "checkpoint/step-3"), "TorchTitan": torchtitan(work, 1),
                "TorchTitan, 2 ranks": torchtitan(work, 2)}
        for name, step in runs.items():
            nchunks = check_listed(name, step)
            check(f"{name}: chunks", nchunks == {2 if "2" in name else 1}, f"{nchunks}")
            check_flattened(work, name, step)
    finish()


main()

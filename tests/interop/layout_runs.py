"""Runs on several ranks, titan's as threads of one process, against the real TorchTitan's on as many gloo ranks: the losses and norms of
every layout from one seed checkpoint, the same chunks in the same checkpoint, and each goes on from what the other saved, at the same
and at another layout. TITAN_INTEROP_FULL=1 (make interop-full): more layouts, and the latter of all."""
import os
import shutil
import sys

import ranks
from runs import F32, FULL, TINY, Workdir, check, check_steps, copy_step, finish

EVERYTHING = bool(os.environ.get("TITAN_INTEROP_FULL"))
REPLICATE, TP = (f"parallelism.{d}_degree" for d in ("data_parallel_replicate", "tensor_parallel"))
MODEL = {**TINY, "vocab_size": 2051}  # which no degree divides
SETTINGS = {**FULL, **F32, "training.steps": 10, "lr_scheduler.decay_ratio": 0.6, "optimizer.lr": 3e-3, "checkpoint.interval": 5}
# PyTorch takes seconds for a step of tensor parallel ranks.
SHORT = {} if EVERYTHING else {"training.steps": 4, "checkpoint.interval": 2}
SHORTER = {} if EVERYTHING else {"training.steps": 2, "checkpoint.interval": 1}

LAYOUTS = {  # ranks, settings, and a layout of as many ranks that read data of their own
    "fsdp 2": (2, {}, "dp 2 x tp 2"),
    "fsdp 3": (3, {}, "dp 3 x tp 2"),
    "fsdp 4": (4, {}, "hsdp 2x2"),
    "hsdp 2x2": (4, {REPLICATE: 2}, "fsdp 4"),
    # TorchTitan divides once more by the ranks there: where clipping always acts, that cancels. Short sequences have large norms.
    "ddp 4": (4, {REPLICATE: 4, "training.max_norm": 0.1, "training.local_batch_size": 1, "training.seq_len": 16}, "fsdp 4"),
    "tp 2": (2, {TP: 2}, "one rank"),
    "dp 2 x tp 2": (4, {TP: 2, **SHORT}, "fsdp 2"),
    "dp 3 x tp 2": (6, {TP: 2, **SHORT}, "fsdp 3"),
    "hsdp 2x2 x tp 2": (8, {REPLICATE: 2, TP: 2, **SHORTER}, "hsdp 2x2"),
    "one rank": (1, {}, "tp 2"),
}
CHOSEN = LAYOUTS if EVERYTHING else ("fsdp 3", "hsdp 2x2", "ddp 4", "dp 2 x tp 2", "hsdp 2x2 x tp 2")
RESUMED = LAYOUTS if EVERYTHING else ("dp 2 x tp 2",)


def ours(work, nranks, settings):
    return ranks.titan(work, nranks, "tiny", settings, MODEL)


def theirs(work, nranks, settings):
    return ranks.torchtitan(work, nranks, "tiny", settings, MODEL, settings["job.dump_folder"])


def chunks(folder):
    """{(fqn, offsets, sizes): file} of a DCP folder."""
    from torch.distributed.checkpoint import FileSystemReader

    metadata = FileSystemReader(folder).read_metadata()
    out = {}
    for index, info in metadata.storage_data.items():
        tensor = metadata.state_dict_metadata[index.fqn]
        sizes = None
        if index.offset is not None:
            sizes = next((tuple(c.sizes) for c in tensor.chunks if tuple(c.offsets) == tuple(index.offset)), None)
        out[(index.fqn, None if index.offset is None else tuple(index.offset), sizes)] = info.relative_path
    return out


def balance(folder):
    sizes = [os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder) if f.endswith(".distcp")]
    return max(sizes)


def compare_checkpoints(name, a, b, owners, alone):
    """alone: some rank has something that no other one has."""
    ours, theirs = chunks(a), chunks(b)
    check(f"{name}: the same chunks", ours.keys() == theirs.keys(), f"{len(theirs)}, {sorted(map(str, ours.keys() ^ theirs.keys()))[:3]}")
    own = [k for k in theirs if k in ours and len(owners.get(k, ())) == 1]
    moved = [k for k in own if ours[k] != theirs[k]]
    check(f"{name}: what one rank has is in that rank's file", bool(own) == alone and not moved, f"{len(own)}, {moved[:3]}")
    check(f"{name}: the largest file is no larger", balance(a) <= balance(b) * 1.001, f"{balance(a)} and {balance(b)} bytes")


def go_on(work, source, run, nranks, settings):
    dump = work.path("resumed")
    shutil.rmtree(dump, ignore_errors=True)
    copy_step(source, dump, settings["checkpoint.interval"])
    return run(work, nranks, {**settings, "job.dump_folder": dump})


def times_ranks(steps, nranks):
    return [{**s, "grad_norm": s["grad_norm"] * nranks} for s in steps]


def compare(work, name):
    nranks, layout, other = LAYOUTS[name]
    settings = {**SETTINGS, **layout}
    dumps, a, b = ranks.both(work, name, nranks, settings, MODEL)
    if name.startswith("ddp"):
        norms = [s["grad_norm"] for s in b]
        check(f"{name}: clipping always acts", min(norms) > settings["training.max_norm"], f"norms from {min(norms):.3f}")
        b = times_ranks(b, nranks)
    check_steps(f"{name}: both", a, b, 2e-5, 1e-4)
    last = f"checkpoint/step-{settings['training.steps']}"
    # Replicas have the dataloader's state each for itself, where they are one rank.
    compare_checkpoints(name, *[os.path.join(d, last) for d in dumps], ranks.owners(dumps[1]), not {REPLICATE, TP} <= layout.keys())
    if name in RESUMED:
        resume(work, name, dumps, a, b)


def resume(work, name, dumps, a, b):
    nranks, layout, other = LAYOUTS[name]
    settings = {**SETTINGS, **layout}
    half = settings["checkpoint.interval"]
    check_steps(f"{name}: titan goes on from its own, to the last bit", go_on(work, dumps[0], ours, nranks, settings), a[half:], 0, 0)
    check_steps(f"{name}: titan goes on from TorchTitan's", go_on(work, dumps[1], ours, nranks, settings), b[half:], 2e-5, 1e-4)
    steps = go_on(work, dumps[0], theirs, nranks, settings)
    steps = times_ranks(steps, nranks) if name.startswith("ddp") else steps
    check_steps(f"{name}: TorchTitan goes on from titan's", steps, b[half:], 2e-5, 1e-4)
    nranks, degrees, _ = LAYOUTS[other]
    settings |= {REPLICATE: 1, TP: 1, **{k: v for k, v in degrees.items() if k in (REPLICATE, TP)}}
    check_steps(f"{name}: {other} of titan goes on from TorchTitan's", go_on(work, dumps[1], ours, nranks, settings), b[half:], 2e-5, 1e-4)
    check_steps(f"{name}: {other} of TorchTitan goes on from titan's", go_on(work, dumps[0], theirs, nranks, settings), b[half:], 2e-5, 1e-4)


def main():
    with Workdir() as work:
        for name in sys.argv[1:] or CHOSEN:
            compare(work, name)
    finish()


main()

"""Runs on several ranks, titan's as threads of one process, against the real TorchTitan's on as many gloo ranks: the losses of every
layout, the same chunks in the same checkpoint, and each goes on from what the other saved, at the same and at other layouts."""
import os
import shutil

import ranks
from runs import BF16, F32, FULL, TINY, Workdir, check, check_steps, copy_step, finish, titan

P = "parallelism."
LAYOUTS = {
    "fsdp 2": (2, {}),
    "fsdp 3": (3, {}),
    "hsdp 2x2": (4, {P + "data_parallel_replicate_degree": 2}),
    # TorchTitan divides once more by the ranks there: where clipping always acts, that cancels. Its norms here are 0.09 and more.
    "ddp 4": (4, {P + "data_parallel_replicate_degree": 4, "training.max_norm": 0.01}),
}
SETTINGS = {**FULL, **F32, "training.steps": 10, "lr_scheduler.decay_ratio": 0.6, "optimizer.lr": 3e-3, "checkpoint.interval": 5}


def ours(work, nranks, settings, fails=False):
    """titan with so many ranks in one process."""
    os.environ["NGPU"] = str(nranks)
    return titan(work, "tiny", {"comm.mode": "local_tensor", **settings}, TINY, fails=fails)


def theirs(work, nranks, settings):
    return ranks.torchtitan(work, nranks, "tiny", settings, TINY, settings["job.dump_folder"])


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


def compare_checkpoints(name, a, b, owners):
    ours, theirs = chunks(a), chunks(b)
    check(f"{name}: the same chunks", ours.keys() == theirs.keys(), f"{len(theirs)}, {sorted(map(str, ours.keys() ^ theirs.keys()))[:3]}")
    moved = [k for k in theirs if k in ours and ours[k] != theirs[k] and len(owners.get(k, ())) == 1]
    check(f"{name}: what one rank has is in that rank's file", not moved, f"{moved[:3]}")
    check(f"{name}: the largest file is no larger", balance(a) <= balance(b) * 1.001, f"{balance(a)} and {balance(b)} bytes")


def go_on(work, source, run, nranks, settings):
    dump = work.path("resumed")
    shutil.rmtree(dump, ignore_errors=True)
    copy_step(source, dump, 5)
    return run(work, nranks, {**settings, "job.dump_folder": dump})


def from_seed(work, who):
    """A dump folder that begins with one process's initial weights: TorchTitan's shards would draw others."""
    dump = work.path(who)
    copy_step(work.path("seed"), dump, 0)
    return dump


def compare(work, name):
    nranks, layout = LAYOUTS[name]
    settings = {**SETTINGS, **layout}
    dumps = [from_seed(work, f"{name} {who}") for who in ("titan", "torchtitan")]
    a = ours(work, nranks, {**settings, "job.dump_folder": dumps[0]})
    b = theirs(work, nranks, {**settings, "job.dump_folder": dumps[1]})
    ddp = name.startswith("ddp")
    check_steps(f"{name}: both", a, b, 2e-5, None if ddp else 1e-4)
    steps = [os.path.join(d, "checkpoint", "step-10") for d in dumps]
    compare_checkpoints(name, *steps, ranks.owners(dumps[1]))
    norm = None if ddp else 1e-4
    check_steps(f"{name}: titan goes on from TorchTitan's", go_on(work, dumps[1], ours, nranks, settings), b[5:], 2e-5, norm)
    check_steps(f"{name}: TorchTitan goes on from titan's", go_on(work, dumps[0], theirs, nranks, settings), b[5:], 2e-5, norm)
    check_steps(f"{name}: titan from its own, to the last bit", go_on(work, dumps[0], ours, nranks, settings), a[5:], 0, 0)
    return dumps, b


def cross(work, dumps, b):
    """What four ranks that read the same data have saved, at the other layouts of four."""
    four = {P + "data_parallel_replicate_degree": 1}
    steps = go_on(work, dumps[1], ours, 4, {**SETTINGS, **four})
    check_steps("fsdp 4 of titan goes on from TorchTitan's hsdp 2x2", steps, b[5:], 2e-5, 1e-4)
    steps = go_on(work, dumps[0], theirs, 4, {**SETTINGS, **four})
    check_steps("fsdp 4 of TorchTitan goes on from titan's hsdp 2x2", steps, b[5:], 2e-5, 1e-4)


def bfloat16(work):
    settings = {**SETTINGS, **BF16, "training.steps": 8, "checkpoint.interval": 100}
    a, b = (run(work, 2, {**settings, "job.dump_folder": from_seed(work, f"bfloat16 {run.__name__}")}) for run in (ours, theirs))
    check_steps("fsdp 2, bfloat16: both", a, b, 3e-3)


def main():
    with Workdir() as work:
        titan(work, "tiny", {"job.dump_folder": work.path("seed")}, TINY, program="titan-seed")
        for name in LAYOUTS:
            dumps, b = compare(work, name)
            if name.startswith("hsdp"):
                cross(work, dumps, b)
        bfloat16(work)
    finish()


main()

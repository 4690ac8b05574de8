"""Checkpoints of real TorchTitan runs of many shapes, each given the shape of every other by titan-reshard: the regions of each tensor and
the files they lie in are those of the real checkpoint of that shape, all values are the same, the files are as even as
PyTorch's; TorchTitan goes on from some of them with the losses that it has from the original.
TITAN_INTEROP_FULL=1 (make interop-full): more shapes, and TorchTitan goes on from all of them."""
import itertools
import json
import os
import pickle
import re
import shutil
import subprocess

import ranks
import torch
from ckptdiff import difference, flatten
from runs import BIN, DATA, F32, FULL, ROOT, TOKENIZER, Workdir, check, finish, load, titan
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

EVERYTHING = bool(os.environ.get("TITAN_INTEROP_FULL"))
# No degree divides the vocabulary; 8 FSDP ranks leave two of them without a row of most tensors.
MODEL = {"dim": 12, "n_layers": 4, "n_heads": 6, "n_kv_heads": 6, "vocab_size": 2047, "multiple_of": 6, "rope_theta": 500000}
SETTINGS = {**FULL, **F32, "training.steps": 1, "checkpoint.interval": 1, "training.seq_len": 64, "training.local_batch_size": 4}


def shape(**degrees):
    """The settings of a shape, and its number of ranks."""
    names = {"r": "data_parallel_replicate_degree", "f": "data_parallel_shard_degree", "t": "tensor_parallel_degree",
             "p": "pipeline_parallel_degree", "schedule": "pipeline_parallel_schedule"}  # fmt: skip
    settings = {f"parallelism.{names[k]}": v for k, v in {"r": 1, "f": 1, "t": 1, "p": 1, **degrees}.items()}
    n = 1
    for k in "rftp":
        n *= degrees.get(k, 1)
    return n, settings


SHAPES = {
    "1": shape(), "FSDP 2": shape(f=2), "FSDP 4": shape(f=4), "HSDP 2x2": shape(r=2, f=2), "TP 2": shape(t=2), "PP 2": shape(p=2),
    "FSDP 2 x TP 2": shape(f=2, t=2), "PP 2 x FSDP 2 x TP 2": shape(p=2, f=2, t=2),
}  # fmt: skip
MORE = {
    "FSDP 8": shape(f=8), "FSDP 4 x TP 2": shape(f=4, t=2),
    "PP 2, interleaved": shape(p=2, schedule="Interleaved1F1B"),
}  # fmt: skip
# From a shape to another, such that each way to cut is a source and a target.
RESUMED = [("FSDP 4", "FSDP 2"), ("HSDP 2x2", "TP 2"), ("1", "FSDP 2 x TP 2"), ("PP 2 x FSDP 2 x TP 2", "PP 2")]
if EVERYTHING:
    SHAPES |= MORE
    RESUMED = list(itertools.permutations(SHAPES, 2))


def degree(name):
    s = SHAPES[name][1]
    return s["parallelism.data_parallel_replicate_degree"] * s["parallelism.data_parallel_shard_degree"]


class Real:
    """A real checkpoint, and what is known of it."""

    def __init__(self, work, name):
        self.name, (self.nranks, settings) = name, SHAPES[name]
        self.dump = work.path(re.sub(r"\W+", "-", name))
        ranks.torchtitan(work, self.nranks, "tiny", {**SETTINGS, **settings}, MODEL, self.dump)
        self.step = os.path.join(self.dump, "checkpoint/step-1")
        self.meta = FileSystemReader(self.step).read_metadata()
        self.owners = ranks.owners(self.dump)
        self.flat = load(self.step)


def reshard(source, target, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    args = [f"--{k}={v}" for k, v in SHAPES[target][1].items()]
    subprocess.run([f"{BIN}/titan-reshard", source, out, "--quiet", *args, *options], check=True, stderr=subprocess.DEVNULL)


def flatten_check(work, real):
    theirs = work.path("theirs.pt")
    dcp_to_torch_save(real.step, theirs)
    a, b = flattened(work, real.step), dict(flatten(torch.load(theirs, weights_only=True)))
    different = [k for k in a.keys() | b.keys() if k not in a or k not in b or difference(a[k], b[k], 0)]
    check(f"{real.name}: titan-dcp2pt as dcp_to_torch", list(a) == list(b) and not different, f"{len(a)} keys, {different[:3]}")


def flattened(work, step):
    """By titan-dcp2pt."""
    path = work.path("ours.pt")
    subprocess.run([f"{BIN}/titan-dcp2pt", "--quiet", "--force", step, path], check=True)
    return dict(flatten(torch.load(path, weights_only=True)))


# --- the same regions, in the files of those who hold them ---------------------------------------------------------------------------


def regions(meta):
    return {k: sorted((tuple(c.offsets), tuple(c.sizes)) for c in v.chunks) for k, v in meta.state_dict_metadata.items() if hasattr(v, "chunks")}


def rank_of(path):
    return int(re.fullmatch(r"__(\d+)_0\.distcp", path)[1])


def wrong_files(meta, real):
    """Chunks that lie where no rank would write them; what one rank alone holds is in its file in the real checkpoint too."""
    wrong = []
    for index, place in meta.storage_data.items():
        chunks = getattr(meta.state_dict_metadata[index.fqn], "chunks", None)
        if chunks:
            sizes = next(tuple(c.sizes) for c in chunks if c.offsets == index.offset)
            owners = real.owners.get((index.fqn, tuple(index.offset), sizes), set())
            if rank_of(place.relative_path) not in owners:
                wrong.append((index.fqn, place.relative_path, owners))
    return wrong


def sizes(folder):
    return [os.path.getsize(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith(".distcp")]


def position(flat):
    """What titan is to write of the position of a checkpoint's ranks, for another number of them."""
    n = flat["dataloader.world_size"]
    states = [pickle.loads(flat[f"dataloader.dp_rank_{r}"])["dataset_state"] for r in range(n)]
    return {"version": 1, "ranks": [[{"part": r, "parts": n, "end": None, **s}] for r, s in enumerate(states)]}


def compare(work, source, target, out):
    name = f"{source.name} -> {target.name}"
    meta = FileSystemReader(out).read_metadata()
    a, b = regions(meta), regions(target.meta)
    check(f"{name}: the regions of {target.name}", a == b, f"{sum(map(len, a.values()))}, {[k for k in b if a.get(k) != b[k]][:3]}")
    wrong = wrong_files(meta, target)
    check(f"{name}: in the files of their ranks", not wrong and len(sizes(out)) == target.nranks, f"{wrong[:2]}")
    most, theirs, more = max(sizes(out)), max(sizes(target.step)), sum(sizes(out)) - sum(sizes(target.step))
    check(f"{name}: as even", most <= theirs + max(more, 0), f"{most} bytes at most, PyTorch {theirs}")

    # PyTorch's reader for one source of each target, for it takes its time; titan's equals it on all the real ones.
    by_torch = source.name == next(name for name in SHAPES if name != target.name)
    flat, expected = load(out) if by_torch else flattened(work, out), dict(source.flat)
    if degree(source.name) != degree(target.name):
        expected = {k: v for k, v in expected.items() if not k.startswith("dataloader.")}
        expected |= flatten(position(source.flat), "dataloader.titan_position")
    different = [k for k in flat.keys() | expected.keys()
                 if k not in flat or k not in expected or difference(flat[k], expected[k], 0)]  # fmt: skip
    check(f"{name}: the same values", not different, f"{len(flat)} keys, {different[:3]}")


# --- the data goes on ------------------------------------------------------------------------------------------------------------------


def left(flat):
    """The tokens that the ranks of a checkpoint have not taken, rank after rank, by TorchTitan's tokenizer and split."""
    from datasets import load_dataset
    from datasets.distributed import split_dataset_by_node
    from torchtitan.components.tokenizer import HuggingFaceTokenizer

    tokenizer, data, n = HuggingFaceTokenizer(TOKENIZER), load_dataset(DATA, split="train"), flat["dataloader.world_size"]
    out = []
    for rank in range(n):
        state = pickle.loads(flat[f"dataloader.dp_rank_{rank}"])["dataset_state"]
        out += state["token_buffer"]
        for sample in split_dataset_by_node(data, rank, n).skip(state["sample_idx"]):
            out += tokenizer.encode(sample["text"], add_bos=True, add_eos=True)
    return out


def taken(work, nested, rank, nranks):
    """What a loader of titan's takes of a position to the end of the pass, and what stays in its buffer."""
    with open(work.path("position.json"), "w") as f:
        json.dump(nested, f)
    dump = [os.path.join(os.environ.get("B", "build/release"), "tools/data_dump"), TOKENIZER, DATA]
    out = subprocess.run([*dump, "64", "4", str(rank), str(nranks), "0", "1000000", f.name], check=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, cwd=ROOT).stdout.splitlines()  # fmt: skip
    rows = [list(map(int, line.split())) for line in out[:-1]]
    tokens = []
    for inputs, labels in zip(rows[0::2], rows[1::2]):
        for i in range(0, len(inputs), 64):
            tokens += inputs[i : i + 64] + labels[i + 63 : i + 64]
    return tokens + json.loads(out[-1])["dataset_state"]["token_buffer"]


def data_check(work, source, model):
    """Another number of ranks takes what is left once and in order; so does titan-train, through a checkpoint of its own."""
    expected, dump = left(source.flat), work.path("titan")
    nested = position(source.flat)
    for n in (1, 3):
        found = [t for rank in range(n) for t in taken(work, nested, rank, n)]
        check(f"{source.name}: {n} ranks of titan take the rest of the pass", found == expected, f"{len(found)} of {len(expected)} tokens")
    reshard(source.step, "1", os.path.join(dump, "checkpoint/step-1"), *model)
    titan(work, "tiny", {**SETTINGS, "training.steps": 3, "job.dump_folder": dump}, MODEL)
    flat, consumed = load(os.path.join(dump, "checkpoint/step-3")), 2 * 4 * 65
    where = "dataloader.titan_position.ranks.0.0"
    buffer = [flat[k] for k in flat if k.startswith(where + ".token_buffer.")]
    check(f"{source.name}: titan-train goes on with the next tokens", buffer == expected[consumed : consumed + len(buffer)] and len(buffer) > 0,
          f"sample {flat[where + '.sample_idx']} of part {flat[where + '.part']} of {flat[where + '.parts']}")  # fmt: skip
    direct = work.path("direct")
    os.makedirs(os.path.join(direct, "checkpoint"))
    os.symlink(source.step, os.path.join(direct, "checkpoint/step-1"))
    titan(work, "tiny", {**SETTINGS, "training.steps": 3, "job.dump_folder": direct}, MODEL)
    other = load(os.path.join(direct, "checkpoint/step-3"))
    check(f"{source.name}: and without titan-reshard between", {k: v for k, v in other.items() if k.startswith("dataloader.")} ==
          {k: v for k, v in flat.items() if k.startswith("dataloader.")})  # fmt: skip
    shutil.rmtree(direct)


# --- averages ---------------------------------------------------------------------------------------------------------------------------


def average_check(work, sources):
    """Of checkpoints of different shapes: the weighted sum in float64, rounded once."""
    out, weights = work.path("average"), [0.5, 0.2, 0.3]
    text = ",".join(map(str, weights))
    command = [f"{BIN}/titan-reshard", "--average", "--quiet", f"--weights={text}", *[s.step for s in sources], out]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    flat, different = load(out), []
    for key, found in flat.items():
        total = sum(w / sum(weights) * s.flat[key].double() for w, s in zip(weights, sources))
        if difference(found, total.float(), 0):
            different.append(key)
    parameters = [k for k in sources[0].flat if k.startswith(("layers.", "norm.", "output.", "tok_embeddings."))]
    check("the average of three models", flat.keys() == set(parameters) and not different, f"{len(flat)} keys, {different[:3]}")


# --- TorchTitan goes on ----------------------------------------------------------------------------------------------------------------


def resume(work, target, step, keep_data):
    nranks, settings = SHAPES[target]
    dump = work.path("resumed")
    shutil.rmtree(dump, ignore_errors=True)
    os.makedirs(os.path.join(dump, "checkpoint"))
    os.symlink(step, os.path.join(dump, "checkpoint/step-1"))
    more = {"training.steps": 2, "checkpoint.load_only": True}
    if not keep_data:
        more["checkpoint.exclude_from_loading"] = "dataloader"
    return ranks.torchtitan(work, nranks, "tiny", {**SETTINGS, **settings, **more}, MODEL, dump)


def resume_check(work, source, target, out):
    keep = degree(source.name) == degree(target)
    ours, theirs = (resume(work, target, step, keep) for step in (out, source.step))
    same = [(s["step"], s["loss"], s["grad_norm"]) for s in ours] == [(s["step"], s["loss"], s["grad_norm"]) for s in theirs]
    check(f"{source.name} -> {target}: TorchTitan goes on as from the original", same and [s["step"] for s in ours] == [2],
          f"loss {[s['loss'] for s in ours]} and {[s['loss'] for s in theirs]}")  # fmt: skip


def main():
    with Workdir() as work:
        flavor = work.flavor_file("tiny", MODEL)
        model = ["--model_name", "llama3", "--model_flavor", flavor]
        real = {name: Real(work, name) for name in SHAPES}
        for r in real.values():
            flatten_check(work, r)
        data_check(work, real["FSDP 4"], model)
        average_check(work, [real["TP 2"], real["FSDP 4"], real["1"]])
        for source, target in itertools.permutations(SHAPES, 2):
            out = work.path("out")
            reshard(real[source].step, target, out, *model)
            compare(work, real[source], real[target], out)
            if (source, target) in RESUMED:
                resume_check(work, real[source], target, out)
    finish()


main()

"""titan's batches and positions against TorchTitan's dataloader, token for token, and resumed from each other's positions.

Needs torch, torchtitan, datasets; run by tests/interop/run.sh with $TITAN_PY. B is the build folder with tools/data_dump.
"""
import copy
import dataclasses
import functools
import gzip
import itertools
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile

SCRATCH = tempfile.TemporaryDirectory()
os.environ["HF_DATASETS_CACHE"] = SCRATCH.name + "/cache"
os.environ["HF_HUB_OFFLINE"] = "1"

import datasets  # noqa: E402
import numpy  # noqa: E402
from torch.utils.data._utils import worker  # noqa: E402
from torchtitan.components.dataloader import ParallelAwareDataloader  # noqa: E402
from torchtitan.components.tokenizer import HuggingFaceTokenizer  # noqa: E402
from torchtitan.hf_datasets.text_datasets import DATASETS, HuggingFaceTextDataset  # noqa: E402
from torchtitan.tools.logging import logger  # noqa: E402

datasets.disable_progress_bars()
logger.setLevel("ERROR")
DUMP = os.path.join(os.environ.get("B", "build/release"), "tools", "data_dump")
TOK = "tests/assets/tokenizer"


class OnceTokenizer(HuggingFaceTokenizer):
    """Each text is encoded once, however many loaders read it."""

    encode = functools.cache(HuggingFaceTokenizer.encode)


TOKENIZER = OnceTokenizer(TOK)


def load_once(config):
    """The same of a dataset; one that is streamed keeps its position in itself."""
    load = functools.cache(config.loader)
    return dataclasses.replace(config, loader=lambda path: copy.deepcopy(ds) if isinstance(ds := load(path), datasets.IterableDataset) else ds)


class Dataset(HuggingFaceTextDataset):
    """Its state is that of the moment. TorchTitan's has the buffer itself, which a worker process may have put another sample into before
    the queue's thread sends it: then the state has a sample that its place does not count."""

    def state_dict(self):
        return copy.deepcopy(super().state_dict())


DATASETS.update({name: load_once(config) for name, config in DATASETS.items()})


def theirs(path, seq, batch, rank, world, infinite, counts, state=None, dataset="c4_test", num_workers=0):
    """The batches up to the last of the counts, and the position after each."""
    ds = Dataset(dataset, path, TOKENIZER, seq, rank, world, infinite)
    loader = ParallelAwareDataloader(ds, rank, world, batch_size=batch, num_workers=num_workers)
    if state is not None:
        loader.load_state_dict({f"dp_rank_{rank}": pickle.dumps(state), "world_size": world})
    out, states = [], []
    it = iter(loader)
    for n in counts:
        out += [(x["input"].flatten().tolist(), y.flatten().tolist()) for x, y in itertools.islice(it, n - len(out))]
        states.append(pickle.loads(loader.state_dict()[f"dp_rank_{rank}"]))
    return out, states


def ours(path, seq, batch, rank, world, infinite, counts, state=None, dataset="c4_test"):
    args = [DUMP, TOK, path, seq, batch, rank, world, int(infinite), ",".join(map(str, counts)), "", dataset]
    if state is not None:
        with open(SCRATCH.name + "/state.json", "w") as f:
            json.dump(state, f)
        args[9] = f.name
    run = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr)
    rows, states = [], []
    for line in run.stdout.splitlines():
        if line.startswith("{"):
            states.append(json.loads(line))
        else:
            rows.append(numpy.fromstring(line, dtype=numpy.int64, sep=" ").tolist())
    return list(zip(rows[0::2], rows[1::2])), states


def same(what, a, b):
    if a[0] != b[0] or a[1] != b[1]:
        where = next((i for i, (x, y) in enumerate(zip(a[0], b[0])) if x != y), min(len(a[0]), len(b[0])))
        sys.exit(f"FAIL {what}: {len(a[0])} and {len(b[0])} batches, differing from {where}; positions\n{a[1]}\n{b[1]}"[:4000])
    return a[1]


def live(run):
    """A run without where its dataset reads, if in tables: TorchTitan does not look at that, and once resumed writes what it had loaded
    for as long as the pass lasts."""
    for state in run[1]:
        data = state["dataset_state"].get("data")
        if data and data["examples_iterable"]["previous_state"]:
            del data["examples_iterable"]["examples_iterable"]
    return run


def check(path, seq, batch, rank, world, infinite, n, dataset="c4_test"):
    what = f"{dataset} {os.path.basename(path)} seq_len {seq} batch {batch} rank {rank}/{world} infinite {infinite}"
    args = (path, seq, batch, rank, world, infinite)
    whole = theirs(*args, (n, 2 * n), dataset=dataset)
    state = same(what, ours(*args, (n, 2 * n), dataset=dataset), whole)[0]
    # From one position, both go on alike, and (infinite) as without the interruption. TorchTitan forgets which pass over a streamed
    # dataset it was in and starts the data over.
    on = ours(*args, (n,), state, dataset)
    if state["dataset_state"].get("data", {}).get("epoch", 0) == 0:
        same(what + " resumed", live(on), live(theirs(*args, (n,), state, dataset)))
    if infinite and on[0] != whole[0][n:]:
        sys.exit(f"FAIL {what}: other tokens after a resume")


def write(folder, files):
    for name, texts in files.items():
        os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
        data = "".join(json.dumps({"text": t}, ensure_ascii=i % 2) + "\n" for i, t in enumerate(texts)).encode()
        if name.endswith(".gz"):
            data = gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
        with open(f"{folder}/{name}", "wb") as f:
            f.write(data)
    return folder


CARD = """---
configs:
- config_name: en
  data_files:
  - split: train
    path: en/c4-train.*.json*
  - split: validation
    path:
    - en/c4-validation.*.json.gz
- config_name: en.noblocklist
  data_files: en.noblocklist/*.json.gz
---
# C4
"""


def c4(folder, files, arrays=()):
    write(folder, files)
    for name, values in arrays:
        with open(f"{folder}/{name}", "w") as f:
            json.dump([{"text": v} for v in values], f)
    with open(folder + "/README.md", "w") as f:
        f.write(CARD)
    return folder


def streamed(text):
    """A clone of c4: four files, seven, one whose lines fill several tables of 10 MiB, some that are arrays."""
    texts = lambda n, k=12: [text(k) for _ in range(n)]  # noqa: E731
    train = lambda n: {f"en/c4-train.{i:05}-of-{n:05}.json.gz": texts(9 + 5 * (i % 3)) for i in range(n)}  # noqa: E731
    other = {"en/c4-validation.00000-of-00001.json.gz": texts(17), "en.noblocklist/x.json.gz": ["not this one"]}
    four = c4(SCRATCH.name + "/four", {**train(4), **other})
    seven = c4(SCRATCH.name + "/seven", {**train(7), "en/c4-train.00001-of-00007.json.gz": [], **other})
    big = c4(SCRATCH.name + "/big", {"en/c4-train.0.json": [("x" * 1000 + " ") * 999 + str(i) for i in range(25)] + texts(30), **other})
    first = c4(SCRATCH.name + "/first", {"en/c4-train.1.json": texts(20), **other}, [("en/c4-train.0.json", texts(15))])
    later = c4(SCRATCH.name + "/later", {"en/c4-train.0.json": texts(20), **other}, [("en/c4-train.1.json", texts(15))])
    n = 0
    for path, dataset, seq, batch, k in ((four, "c4", 24, 2, 8), (four, "c4", 50, 1, 25), (seven, "c4", 16, 2, 11), (first, "c4", 16, 1, 9),
                                         (later, "c4", 16, 1, 13), (four, "c4_validation", 16, 1, 5)):  # fmt: skip
        for world in (1, 2, 4):
            for rank in range(world):
                for infinite in (True, False) if rank + 1 == world else (True,):
                    check(path, seq, batch, rank, world, infinite, k, dataset)
                    n += 1
    check(big, 100000, 1, 0, 1, True, 12, "c4")
    check(big, 100000, 1, 1, 2, True, 9, "c4")
    for path, saved in ((four, 2), (four, 4), (seven, 2), (first, 2)):
        fewer_ranks(path, saved)
    for path, world, count in ((four, 1, 2), (four, 1, 3), (four, 2, 2), (seven, 2, 2), (first, 1, 2)):
        divided(path, world, count)
    return n + 11 + workers(four)


def workers(path):
    """Positions of TorchTitan's loaders with worker processes: titan goes on as that with one does; two give each batch twice."""
    n = 0
    for dataset, where, count in (("c4_test", "tests/assets/c4_test", 1), ("c4_test", "tests/assets/c4_test", 2), ("c4", path, 1)):
        args = (where, 16, 2, 0, 1, True)
        whole = theirs(*args, (20,), dataset=dataset)[0]
        batches, (state,) = theirs(*args, (6 * count,), dataset=dataset, num_workers=count)
        on = ours(*args, (10,), state, dataset)[0]
        if batches[::count] != whole[:6] or on != whole[6:16]:
            sys.exit(f"FAIL {dataset} after {count} workers")
        n += 1
    return n


def as_worker(w, count, state, *args):
    """The tokens that worker w goes on with from its state."""
    ds = HuggingFaceTextDataset("c4", *args)
    ds.load_state_dict(copy.deepcopy(state))
    worker._worker_info = worker.WorkerInfo(id=w, num_workers=count, seed=0, dataset=ds)
    try:
        return [t for x, y in ds for t in x["input"].tolist() + y[-1:].tolist()] + ds._token_buffer
    finally:
        worker._worker_info = None


def divided(path, world, count, seq=16):
    """Ranks of TorchTitan whose workers each read files of their own; one rank of titan takes what they have left, each sample once: what
    that is the states say."""
    left, streams = [], []
    for rank in range(world):
        n = count + 1 + rank
        state = theirs(path, seq, 1, rank, world, True, (n,), dataset="c4", num_workers=count)[1][0]
        streams.append([])
        for w in range(count):
            dataset = state["_snapshot"]["_worker_snapshots"][f"worker_{w}"]["dataset_state"]
            streams[-1].append({"part": rank, "parts": world, "worker": w, "workers": count, "data": dataset["data"], "skip": 0, "stride": 1,
                                "token_buffer": dataset["token_buffer"]})
            left += as_worker(w, count, dataset, path, TOKENIZER, seq, rank, world, False)
    batches, (end,) = ours(path, seq, 1, 0, 1, False, (10**6,), {"version": 1, "ranks": streams}, "c4")
    found = [t for x, y in batches for t in x + y[-1:]] + end["dataset_state"]["token_buffer"]
    if found != left or not left:
        sys.exit(f"FAIL {os.path.basename(path)}: {len(found)} tokens on one rank, {len(left)} left by {count} workers of {world} each")


def fewer_ranks(path, saved, seq=16):
    """One rank of titan takes what `saved` ranks of TorchTitan have left of a streamed dataset, each sample once and in order."""
    left, streams = [], []
    for rank in range(saved):
        args, n = (path, seq, 1, rank, saved, False), 3 + rank
        batches, (state, end) = theirs(*args, (n, 10**6), dataset="c4")
        left += [t for x, y in batches[n:] for t in x + y[-1:]] + end["dataset_state"]["token_buffer"]
        state = state["dataset_state"]
        streams.append([{"part": rank, "parts": saved, "data": state["data"], "skip": 0, "stride": 1, "token_buffer": state["token_buffer"]}])
    batches, (end,) = ours(path, seq, 1, 0, 1, False, (10**6,), {"version": 1, "ranks": streams}, "c4")
    found = [t for x, y in batches for t in x + y[-1:]] + end["dataset_state"]["token_buffer"]
    if found != left or not left:
        sys.exit(f"FAIL {os.path.basename(path)}: {len(found)} tokens on one rank, {len(left)} left by {saved}")


def main():
    rng = random.Random(1)
    words = "alpha béta 漢字 \U0001f600 \n\n  tab\t 123456 it's <|end_of_text|> \u0000 \u2028 x = y;".split(" ")
    text = lambda k: " ".join(rng.choice(words) for _ in range(rng.randrange(k)))  # noqa: E731
    flat = write(SCRATCH.name + "/flat", {"a.json": [text(40) for _ in range(701)]})
    mixed = write(SCRATCH.name + "/mixed", {"b.jsonl": [text(60) for _ in range(90)], "a.json.gz": [text(20) for _ in range(50)],
                                            "sub/c.json": [text(9) for _ in range(33)], "B.json": ["x", "", "y"]})
    split = write(SCRATCH.name + "/split", {"train-2.json": [text(30) for _ in range(40)], "train-1.json": [text(30) for _ in range(9)],
                                            "test.json": ["not this one"] * 20, "other.json": ["nor this"] * 20})
    tiny = write(SCRATCH.name + "/tiny", {"d.json": ["one sample only", "and another"]})
    arrays = write(SCRATCH.name + "/arrays", {"a.json": [text(20) for _ in range(30)], "b.json": [text(20) for _ in range(20)]})
    for name, indent in (("c.json", None), ("0.json", 2)):
        with open(f"{arrays}/{name}", "w") as f:
            json.dump([{"id": i, "text": text(20)} for i in range(25)] if indent else [text(9) + ",]" for _ in range(25)], f, indent=indent)
    n = 0
    for path in (flat, mixed, split, arrays, "tests/assets/c4_test"):
        for seq, batch, world in ((16, 3, 1), (64, 1, 1), (129, 2, 1), (40, 2, 2), (33, 3, 3)):
            for rank in range(world):
                for infinite in (True, False):
                    check(path, seq, batch, rank, world, infinite, 7)
                    n += 1
    for infinite in (True, False):  # several times over the end of the data; a sequence longer than all of it
        check(tiny, 4, 2, 0, 1, infinite, 30)
        check(tiny, 50, 2, 1, 2, infinite, 5)
        check(flat, 16, 8, 0, 1, infinite, 200)
        n += 3
    n += streamed(text)
    print(f"{n} passed, 0 failed")


if __name__ == "__main__":
    main()

"""titan's batches and positions against TorchTitan's dataloader, token for token, and resumed from each other's positions.

Needs torch, torchtitan, datasets; run by tests/interop/run.sh with $TITAN_PY. B is the build folder with tools/data_dump.
"""
import gzip
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
from torchtitan.components.dataloader import ParallelAwareDataloader  # noqa: E402
from torchtitan.components.tokenizer import HuggingFaceTokenizer  # noqa: E402
from torchtitan.hf_datasets.text_datasets import HuggingFaceTextDataset  # noqa: E402
from torchtitan.tools.logging import logger  # noqa: E402

datasets.disable_progress_bars()
logger.setLevel("ERROR")
DUMP = os.path.join(os.environ.get("B", "build/release"), "tools", "data_dump")
TOK = "tests/assets/tokenizer"


def theirs(path, seq, batch, rank, world, infinite, n, state=None):
    ds = HuggingFaceTextDataset("c4_test", path, HuggingFaceTokenizer(TOK), seq, rank, world, infinite)
    loader = ParallelAwareDataloader(ds, rank, world, batch_size=batch)
    if state is not None:
        loader.load_state_dict({f"dp_rank_{rank}": pickle.dumps(state), "world_size": world})
    out = []
    it = iter(loader)
    for _ in range(n):
        try:
            x, y = next(it)
        except StopIteration:
            break
        out.append((x["input"].flatten().tolist(), y.flatten().tolist()))
    return out, pickle.loads(loader.state_dict()[f"dp_rank_{rank}"])


def ours(path, seq, batch, rank, world, infinite, n, state=None):
    args = [DUMP, TOK, path, seq, batch, rank, world, int(infinite), n]
    if state is not None:
        with open(SCRATCH.name + "/state.json", "w") as f:
            json.dump(state, f)
        args.append(f.name)
    run = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr)
    *lines, last = run.stdout.splitlines()
    rows = [[int(t) for t in line.split()] for line in lines]
    return list(zip(rows[0::2], rows[1::2])), json.loads(last)


def same(what, a, b):
    if a[0] != b[0] or a[1] != b[1]:
        where = next((i for i, (x, y) in enumerate(zip(a[0], b[0])) if x != y), min(len(a[0]), len(b[0])))
        sys.exit(f"FAIL {what}: {len(a[0])} and {len(b[0])} batches, differing from {where}; positions\n{a[1]}\n{b[1]}"[:4000])
    return a[1]


def check(path, seq, batch, rank, world, infinite, n):
    what = f"{os.path.basename(path)} seq_len {seq} batch {batch} rank {rank}/{world} infinite {infinite}"
    whole = theirs(path, seq, batch, rank, world, infinite, 2 * n)
    same(what, (tuple(map(tuple, ours(path, seq, batch, rank, world, infinite, 2 * n)[0])), 0), (tuple(map(tuple, whole[0])), 0))
    state = same(what, *[(tuple(map(tuple, r[0])), r[1]) for r in (ours(path, seq, batch, rank, world, infinite, n),
                                                                  theirs(path, seq, batch, rank, world, infinite, n))])
    # From one position, both go on alike, and (infinite) as without the interruption.
    on = [f(path, seq, batch, rank, world, infinite, n, state) for f in (ours, theirs)]
    same(what + " resumed", *[(tuple(map(tuple, r[0])), r[1]) for r in on])
    if infinite and [list(map(list, b)) for b in on[0][0]] != [list(map(list, b)) for b in whole[0][n:]]:
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
    n = 0
    for path in (flat, mixed, split, "tests/assets/c4_test"):
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
    print(f"{n} passed, 0 failed")


if __name__ == "__main__":
    main()

"""titan-ckpt-inspect against the real libraries: safetensors files both ways, and what --stats, --values, --diff, --verify and
--manifest say of checkpoints that PyTorch wrote. BIN: the programs; B: the build folder."""
import json
import math
import os
import pickle
import random
import re
import subprocess
import tempfile
from decimal import Decimal

import torch
import torch.distributed.checkpoint as dcp
from runs import Workdir, finish
from runs import count as check
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import TensorWriteData, WriteItem, WriteItemType

BIN, B = os.environ.get("BIN", "build/bin"), os.environ.get("B", "build/release")
TOOL = BIN + "/titan-ckpt-inspect"
FLOATS = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]
INTEGERS = ["int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32", "uint64"]
COMPLEX = ["complex64", "complex128"]


def inspect(*args, text=True, **kw):
    return subprocess.run([TOOL, *args], capture_output=True, text=text, **kw)


def bits(t):
    t = t.detach().contiguous()
    return t.reshape(-1).view(torch.uint8) if t.numel() else t.reshape(-1)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))


def any_bits(dtype, *shape):
    t = getattr(torch, dtype)
    if dtype == "bool":
        return torch.rand(shape) < 0.5
    n = math.prod(shape) * t.itemsize
    return torch.randint(0, 256, (n,), dtype=torch.uint8).view(t).reshape(shape)


# --- safetensors, both ways ----------------------------------------------------------------------------------------------------


def check_written(tmp):
    """What tt_st_encode writes, with metadata and without, is what safetensors reads."""
    metadata = {"format": "pt", "caf\u00e9": "\"\\\n\u0001"}
    for name, args in (("bare", []), ("with metadata", [x for pair in metadata.items() for x in pair])):
        path = tmp + "/ours.safetensors"
        subprocess.run([f"{B}/tools/st_write", path, *args], check=True)
        with safe_open(path, "pt") as f:
            check(f"{name}: metadata", f.metadata() == (metadata if args else None), f.metadata())
            keys = f.keys()
            check(f"{name}: keys", len(keys) == 22 and "caf\u00e9 \"\\\n\u0001" in keys and "empty" in keys, keys)
            for key in keys:
                t = f.get_tensor(key)
                raw = [k % 3 == 0 if key == "bool" else k * 37 % 119 for k in range(t.numel() * t.element_size())]
                check(f"{name}: {key}", bits(t).tolist() == raw if t.numel() else tuple(t.shape) == (0,))


def check_read(tmp):
    """Every dtype, odd names, and no order: the tensors of a file as --json and --values have them."""
    state = {f"a.{d}": any_bits(d, 3, 5) for d in FLOATS + INTEGERS + ["complex64"]}
    state |= {"": torch.ones(()), "\u00fc\n\x7f\u0085": torch.zeros(0, 3), "x" * 300: torch.ones(1)}
    save_file(state, tmp + "/theirs.safetensors")
    rows = [json.loads(line) for line in inspect("--json", tmp + "/theirs.safetensors").stdout.splitlines()]
    check("read: keys", {r["key"] for r in rows} == set(state), rows)
    for r in rows:
        t = state[r["key"]]
        check(f"read: {r['key']!r}", r["shape"] == list(t.shape) and r["dtype"] == str(t.dtype)[6:] and
              r["nbytes"] == t.numel() * t.element_size())  # fmt: skip
    with open(tmp + "/theirs.safetensors", "rb") as f:
        piped = inspect("--json", "-", stdin=f).stdout
    check("read: a pipe", piped.replace('"checkpoint": "-"', "") ==
          inspect("--json", tmp + "/theirs.safetensors").stdout.replace(f'"checkpoint": "{tmp}/theirs.safetensors"', ""))  # fmt: skip


def check_pipes(tmp):
    """What torch.save writes, whatever its CRCs, is listed from a pipe as from the file."""
    state = {"w": torch.randn(100, 7), "nested": {"v": [torch.ones(3), {"n": 5}], "s": "x"}, "t": torch.randn(4, 6).t()}
    state |= {f"m{i}": torch.full((i,), i) for i in range(30)}
    for crc in (True, False):
        torch.serialization.set_crc32_options(crc)
        torch.save(state, tmp + "/p.pt")
        with open(tmp + "/p.pt", "rb") as f:
            piped = inspect("-", stdin=f).stdout.splitlines()[1:]
        check(f"pipe, CRC {crc}", piped == inspect(tmp + "/p.pt").stdout.splitlines()[1:] and len(piped) == 37, piped)
    torch.serialization.set_crc32_options(True)


# --- many chunks ---------------------------------------------------------------------------------------------------------------


def many_chunks(shared, first="state_dict_metadata"):
    """A Metadata of thousands of chunks, as Python pickles it in batches of 1000: a row, a grid, empty ones, a scalar, a value.
    `shared`: its objects are those of its storage_data, as one process has them; else equal ones, as they come from other ranks.
    `first`: the attribute that is pickled first."""
    own = (lambda dims: dims) if shared else (lambda dims: torch.Size(list(dims)))
    entries, places = {}, {}
    tensors = {"row": ((2500,), [(i,) for i in range(2500)], (1,)),
               "grid": ((60, 40), [(2 * i, j) for j in range(40) for i in range(30)], (2, 1)),
               "last": ((7, 1001, 3), [(0, i, 0) for i in range(1001)], (7, 1, 3)),
               "scalar": ((), [()], ()), "none": ((0, 5), [(0, 0)], (0, 5))}  # fmt: skip
    for fqn, (shape, offsets, sizes) in tensors.items():
        sizes = torch.Size(sizes)
        chunks = [ChunkStorageMetadata(torch.Size(o), sizes if shared else torch.Size(sizes)) for o in offsets]
        entries[fqn] = TensorStorageMetadata(TensorProperties(dtype=torch.float32), torch.Size(shape), chunks)
    entries["value"] = BytesStorageMetadata()
    for fqn, entry in entries.items():
        for i, chunk in enumerate(getattr(entry, "chunks", [None])):
            index = MetadataIndex(fqn, own(chunk.offsets), i) if chunk else MetadataIndex(fqn)
            places[index] = _StorageInfo(f"__{len(places) // 700}_0.distcp", 512 * len(places), 500 + i % 7)
    order = random.sample(list(places), len(places))
    m = Metadata(entries, {fqn: (fqn,) for fqn in entries}, {index: places[index] for index in order})
    m.__dict__ = {k: m.__dict__[k] for k in sorted(m.__dict__, key=lambda k: k != first)}
    return m


def chunk_rows(m):
    places = {(index.fqn, index.offset): place for index, place in m.storage_data.items()}
    rows = {}
    for fqn, entry in m.state_dict_metadata.items():
        rows[fqn] = [] if hasattr(entry, "chunks") else [(None, None, places[fqn, None])]
        rows[fqn] += [(list(c.offsets), list(c.sizes), places[fqn, c.offsets]) for c in getattr(entry, "chunks", [])]
    return {fqn: [(o, s, p.relative_path, p.offset, p.length) for o, s, p in r] for fqn, r in rows.items()}


def check_many_chunks(tmp):
    for name, m in (("equal objects", many_chunks(False)), ("shared objects", many_chunks(True)),
                    ("storage_data first", many_chunks(False, "storage_data")),
                    ("planner_data first", many_chunks(True, "planner_data"))):  # fmt: skip
        for protocol in (2, 3, 4, 5):
            raw = pickle.dumps(m, protocol)
            got = inspect("--json", "-", input=raw, text=False)
            rows = [json.loads(line) for line in got.stdout.splitlines()]
            listed = {r["key"]: [(c.get("offsets"), c.get("sizes"), c["file"], c["offset"], c["nbytes"]) for c in r["chunks"]] for r in rows}
            check(f"many chunks: {name}, protocol {protocol}", got.returncode == 0 and listed == chunk_rows(m), got.stderr[:300])
    m = many_chunks(False)
    m.state_dict_metadata["again"] = TensorStorageMetadata(TensorProperties(dtype=torch.float32), torch.Size([2500]),
                                                           m.state_dict_metadata["row"].chunks)  # fmt: skip
    got = inspect("--json", "-", input=pickle.dumps(m), text=False)
    check("many chunks: of two keys, without places for one", b"key again: there is no storage_data for its chunk" in got.stderr, got.stderr)
    m = many_chunks(False)
    m.state_dict_metadata["row"].size = torch.Size([2500, 1])
    got = inspect("--json", "-", input=pickle.dumps(m), text=False)
    check("many chunks: of other dimensions", b"key row: expected chunk offsets of 2 dimensions, found 1" in got.stderr, got.stderr)


# --- elements and figures ------------------------------------------------------------------------------------------------------


def save_in_pieces(path, state, rows, cols):
    """A DCP folder whose matrices lie in a grid of pieces, as a job of rows * cols ranks has them."""

    class Planner(dcp.DefaultSavePlanner):
        def create_local_plan(self):
            plan, items = super().create_local_plan(), []
            for item in plan.items:
                if item.tensor_data is None or len(item.tensor_data.size) != 2 or 0 in item.tensor_data.size:
                    items.append(item)
                    continue
                h, w = item.tensor_data.size
                for r in range(0, h, -(-h // rows)):
                    for c in range(0, w, -(-w // cols)):
                        size = torch.Size([min(-(-h // rows), h - r), min(-(-w // cols), w - c)])
                        at = torch.Size([r, c])
                        data = TensorWriteData(ChunkStorageMetadata(at, size), item.tensor_data.properties, item.tensor_data.size)
                        items.append(WriteItem(MetadataIndex(item.index.fqn, at), WriteItemType.SHARD, tensor_data=data))
            self.plan = plan.__class__(items, planner_data=plan.planner_data)
            return self.plan

        def resolve_data(self, item):
            if item.type != WriteItemType.SHARD:
                return super().resolve_data(item)
            chunk = item.tensor_data.chunk
            whole = self.state_dict[item.index.fqn]
            return whole[tuple(slice(o, o + s) for o, s in zip(chunk.offsets, chunk.sizes))].clone()

    dcp.save(state, checkpoint_id=path, planner=Planner(), no_dist=True)


def number(text, dtype):
    if dtype.is_complex:
        return complex(text)
    return text == "True" if dtype == torch.bool else float(text) if dtype.is_floating_point else int(text)


def parse(text, dtype, shape):
    flat = [number(x, dtype) for line in text.splitlines() for x in line.split()]
    if dtype == torch.uint64:
        return torch.tensor([x - 2**64 if x >= 2**63 else x for x in flat], dtype=torch.int64).view(torch.uint64).reshape(shape)
    wide = torch.float64 if dtype.is_floating_point else dtype
    return torch.tensor(flat, dtype=wide).to(dtype).reshape(shape)


def equal_numbers(a, b):
    """The same bits, but that a NaN has no text for which it is."""
    if not (a.dtype.is_floating_point or a.dtype.is_complex):
        return same(a, b)
    wide = torch.complex128 if a.dtype.is_complex else torch.float64
    x, y = a.to(wide), b.to(wide)
    x, y = (torch.view_as_real(x), torch.view_as_real(y)) if a.dtype.is_complex else (x, y)
    return x.shape == y.shape and bool(((x == y) & (x.signbit() == y.signbit()) | x.isnan() & y.isnan()).all())


SLICES = [("", ...), ("[2]", 2), ("[-1,3]", (-1, 3)), ("[1:5]", slice(1, 5)), ("[:, 2]", (slice(None), 2)),
          ("[::2, 1::3]", (slice(None, None, 2), slice(1, None, 3))), ("[..., -2:]", (..., slice(-2, None))), ("[3:3]", slice(3, 3)),
          ("[4:2:1,...]", slice(4, 2)), ("[-100:100,0]", (slice(-100, 100), 0))]  # fmt: skip


def check_values(tmp):
    state = {d: any_bits(d, 7, 9) for d in FLOATS + INTEGERS + COMPLEX}
    for text, index in SLICES:
        for name, path in (("pieces", tmp + "/pieces"), ("pt", tmp + "/values.pt")):
            if not os.path.exists(path):
                save_in_pieces(path, state, 3, 2) if name == "pieces" else torch.save(state, path)
            for d, t in state.items():
                if random.random() < 0.5:
                    continue
                got = inspect("--values", d + text, path)
                want = t.view(torch.int64)[index].view(torch.uint64) if d == "uint64" else t[index]
                check(f"values {name} {d}{text}", got.returncode == 0 and equal_numbers(parse(got.stdout, t.dtype, want.shape), want),
                      got.stdout + got.stderr)  # fmt: skip


def figures(text):
    """Rows of --stats by key."""
    return {f[0]: f[1:] for f in (line.split() for line in text.splitlines()[2:])}


def check_stats(tmp):
    state = {}
    for d in FLOATS + INTEGERS + COMPLEX:
        state[d] = any_bits(d, 61, 47)
        if d in FLOATS and d != "float64":
            state[d + ".small"] = (torch.randn(300, 200) * 0.02).to(getattr(torch, d))
    state |= {"nan": torch.full((2, 2), math.nan), "none": torch.zeros(0, 4), "large": torch.randn(1500, 1100, dtype=torch.float64)}
    state["large"][7, 7], state["large"][8, 8] = math.inf, math.nan
    save_in_pieces(tmp + "/stats", state, 3, 4)
    got = inspect("--stats", tmp + "/stats")
    rows = figures(got.stdout)
    check("stats: all keys", set(rows) == set(state), got.stderr)
    for key, t in state.items():
        x = t.to(torch.complex128) if t.is_complex() else t.to(torch.float64) if t.dtype != torch.uint64 else None
        if x is None:  # torch does not convert it
            x = torch.tensor([float(v) for v in t.flatten().tolist()], dtype=torch.float64)
        x = torch.view_as_real(x).flatten() if x.is_complex() else x.flatten()
        finite = x[x.isfinite()]
        dtype, numel, low, high, mean, l2, nans, infs = rows[key]
        ok = (dtype == str(t.dtype)[6:] and int(numel) == t.numel() and int(nans) == int(x.isnan().sum())
              and int(infs) == int(x.isinf().sum()))  # fmt: skip
        if finite.numel():
            narrow = torch.float32 if t.dtype == torch.complex64 else t.dtype if t.dtype.is_floating_point else torch.float64
            if t.dtype in (torch.int64, torch.uint64):
                ok &= (int(low), int(high)) == (min(t.flatten().tolist()), max(t.flatten().tolist()))
            else:
                bounds = torch.tensor([float(low), float(high)], dtype=torch.float64).to(narrow)
                ok &= equal_numbers(bounds, torch.stack([finite.min(), finite.max()]).to(narrow))
            scale = finite.abs().max().item() or 1  # the norm of float64's largest is beyond it
            ok &= abs(float(Decimal(mean) / Decimal(scale)) - (finite / scale).mean().item()) <= 1e-10
            want = (finite / scale).square().sum().sqrt().item()
            ok &= abs(float(Decimal(l2) / Decimal(scale)) - want) <= 1e-10 * want
        else:
            ok &= low == high == mean == "-"
        check(f"stats {key}", ok, rows[key])
    check("stats: threads do not matter", inspect("--stats", "--threads", "3", tmp + "/stats").stdout == got.stdout)


# --- differences ---------------------------------------------------------------------------------------------------------------


def check_diff(tmp):
    state = {"w": torch.randn(300, 210), "b": torch.randn(300, 210).bfloat16(), "i": torch.arange(60).reshape(6, 10),
             "v": {"n": 5, "t": (1, 2.5), "s": "x"}}  # fmt: skip
    tensors = {k: t for k, t in state.items() if torch.is_tensor(t)}
    save_in_pieces(tmp + "/a", state, 2, 3)
    save_in_pieces(tmp + "/b", state, 5, 1)
    torch.save(state, tmp + "/a.pt")
    save_file(tensors, tmp + "/a.safetensors")
    for x, y, extra in (("a", "b", []), ("a", "a.pt", []), ("a.pt", "b", []), ("a", "a.safetensors", ["--exclude", "v.*"])):
        got = inspect("--diff", *extra, f"{tmp}/{x}", f"{tmp}/{y}")
        check(f"diff {x} {y}", got.returncode == 0 and got.stdout == "", got.stdout + got.stderr)
    other = {**state, "w": state["w"].clone(), "v": {"n": 6, "t": (1, 2.5), "s": "x"}}
    at = [(17, 3), (17, 4), (250, 209)]
    for k, (r, c) in enumerate(at):
        other["w"][r, c] += 0.25 * (k + 1)
    save_in_pieces(tmp + "/c", other, 7, 2)
    got = inspect("--diff", tmp + "/a.pt", tmp + "/c")
    worst = (other["w"].double() - state["w"].double()).abs().max().item()
    m = re.search(r"^w: (\d+) of 63000 elements differ, by at most (\S+), first at \[17,3\]: (\S+), (\S+)$", got.stdout, re.M)
    check("diff: count, largest, first", got.returncode == 1 and m and int(m[1]) == 3 and float(m[2]) == worst and
          torch.tensor(float(m[3])) == state["w"][17, 3] and torch.tensor(float(m[4])) == other["w"][17, 3], got.stdout)  # fmt: skip
    check("diff: a value", "v.n: value 5, 6\n" in got.stdout and "2 keys differ, 0 only in A, 0 only in B, 4 are the same" in got.stdout)
    for atol, rtol in ((0.3, 0), (0, 0.1), (0.1, 0.05), (1, 0)):
        got = inspect("--diff", "--include", "w", "--atol", str(atol), "--rtol", str(rtol), tmp + "/a", tmp + "/c")
        want = int((~torch.isclose(state["w"].double(), other["w"].double(), rtol=rtol, atol=atol)).sum())
        m = re.search(r"^w: (\d+) of", got.stdout, re.M)
        check(f"diff within {atol}, {rtol}", (int(m[1]) if m else 0) == want and got.returncode == (want > 0), got.stdout)
    save_file({"w": state["w"].bfloat16()}, tmp + "/half.safetensors")
    got = inspect("--diff", "--include", "w", tmp + "/a", tmp + "/half.safetensors")
    check("diff: a dtype", got.returncode == 1 and "w: dtype float32, bfloat16\n" in got.stdout, got.stdout)
    got = inspect("--diff", "--include", "w", "--rtol", "0.00390625", tmp + "/a", tmp + "/half.safetensors")
    check("diff: close enough for bfloat16", got.returncode == 0, got.stdout)


def check_models(work):
    """A Hugging Face model against what titan-convert-hf makes of it; one element changed is found where the permutation put it."""
    from hf_models import LLAMA3, convert, make_assets

    assets = make_assets(work, "assets", LLAMA3)
    convert(work, LLAMA3, "from-hf", assets, work.path("dcp"))
    flags = ["--diff", "--model_name", "llama3", "--model_flavor", work.flavor_file("flavor", LLAMA3.args)]
    got = inspect(*flags, assets, work.path("dcp"))
    check("models are the same", got.returncode == 0, got.stdout + got.stderr)
    state = load_file(f"{assets}/{sorted(f for f in os.listdir(assets) if f.endswith('.safetensors'))[0]}")
    key = next(k for k in state if k.endswith("q_proj.weight"))
    state[key][1, 0] += 1
    save_file(state, f"{assets}/{sorted(f for f in os.listdir(assets) if f.endswith('.safetensors'))[0]}", {"format": "pt"})
    got = inspect(*flags, work.path("dcp"), assets)
    m = re.search(r"^layers\.\d+\.attention\.wq\.weight: 1 of \d+ elements differ, by at most (\S+), first at \[2,0\]", got.stdout, re.M)
    check("models: the changed element, where the permutation put it", got.returncode == 1 and m, got.stdout + got.stderr)


# --- damage --------------------------------------------------------------------------------------------------------------------


def check_damage(tmp):
    """A flipped bit anywhere in a tensor's or a value's bytes is found by --verify and by the manifest."""
    state = {"w": torch.randn(40, 30), "n": {"x": "text" * 50}, "u": torch.randn(5)}
    save_in_pieces(tmp + "/good", state, 2, 2)
    torch.save(state, tmp + "/good.pt")
    check("verify: good", inspect("--verify", tmp + "/good", tmp + "/good.pt").returncode == 0)
    check("manifest: written", inspect("--manifest", tmp + "/sums", tmp + "/good", tmp + "/good.pt").returncode == 0)
    check("manifest: sha256sum -c", subprocess.run(["sha256sum", "--quiet", "-c", tmp + "/sums"]).returncode == 0)
    found = manifested = 0
    for path, chunks in ((f"{tmp}/good/__0_0.distcp", None), (f"{tmp}/good.pt", None)):
        with open(path, "rb") as f:
            raw = f.read()
        marks = [raw.index(t.contiguous().numpy().tobytes()[:16]) for t in (state["u"], state["w"][0, :15])]
        marks.append(raw.index(b"texttext"))
        for at in marks:
            with open(path, "wb") as f:
                f.write(raw[: at + 5] + bytes([raw[at + 5] ^ 4]) + raw[at + 6 :])
            got = inspect("--verify", tmp + "/good", tmp + "/good.pt")
            found += got.returncode == 1 and "the bytes are damaged" in got.stdout and os.path.basename(path) in got.stdout
            manifested += inspect("--manifest_check", tmp + "/sums", tmp + "/good", tmp + "/good.pt").returncode == 1
        with open(path, "wb") as f:
            f.write(raw)
    check("verify finds each flipped bit", found == 6, found)
    check("the manifest finds each flipped bit", manifested == 6, manifested)


def main():
    torch.manual_seed(0)
    random.seed(0)
    with tempfile.TemporaryDirectory() as tmp:
        for test in (check_written, check_read, check_pipes, check_many_chunks, check_values, check_stats, check_diff, check_damage):
            test(tmp)
    with Workdir() as work:
        check_models(work)
    finish()


if __name__ == "__main__":
    main()

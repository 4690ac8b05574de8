"""Checkpoints against the real PyTorch: it loads what titan wrote and titan converts what it wrote, both compared bit for bit.
BIN: the programs; B: the build folder."""
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile

import torch
import torch.distributed.checkpoint as dcp
from runs import count as check
from runs import finish
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save, torch_save_to_dcp

BIN = os.environ.get("BIN", "build/bin")
B = os.environ.get("B", "build/release")
TOOLS = B + "/tools"
GOLDEN = "tests/golden"


def run(*args, **kw):
    return subprocess.run(args, check=True, **kw)


def bits(t):
    t = t.detach().contiguous()
    return t.reshape(-1).view(torch.uint8) if t.numel() else t.reshape(-1)


def same(a, b):
    if torch.is_tensor(a):
        return (torch.is_tensor(b) and type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
                and a.stride() == b.stride() and torch.equal(bits(a), bits(b)))
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a and b != b)


def check_conversion(name, path, tmp):
    """titan-dcp2pt's file against dcp_to_torch's: nesting, order of keys, values, bytes."""
    ours, theirs, piped = (os.path.join(tmp, f) for f in ("ours.pt", "theirs.pt", "piped.pt"))
    dcp_to_torch_save(path, theirs)
    run(BIN + "/titan-dcp2pt", "--force", "--quiet", path, ours)
    with open(piped, "wb") as f:
        subprocess.run([f"{BIN}/titan-dcp2pt --quiet '{path}' - | cat"], shell=True, check=True, stdout=f)
    ref = torch.load(theirs, weights_only=False)  # PyTorch pickles b"" in a form that weights_only refuses; titan does not
    for how in ({}, {"mmap": True}):
        check(f"{name}: {how or 'read'}", same(torch.load(ours, weights_only=True, **how), ref))
    check(f"{name}: through a pipe", same(torch.load(piped, weights_only=True), ref))
    check(f"{name}: zip", zipfile.ZipFile(ours).testzip() is None and run("unzip", "-tq", ours, stdout=subprocess.DEVNULL))
    env = dict(os.environ, TORCH_SERIALIZATION_DEBUG="1")
    code = ("import torch,sys; from torch.utils.serialization import config as c; torch.load(sys.argv[1],weights_only=True); "
            "c.load.calculate_storage_offsets=True; torch.load(sys.argv[1],mmap=True,weights_only=True)")
    check(f"{name}: computed offsets", subprocess.run([sys.executable, "-c", code, ours], env=env).returncode == 0)


def check_goldens(tmp):
    for name in ("dcp-types", "dcp-rows2", "dcp-rows4", "dcp-grid4"):
        check_conversion(name, f"{GOLDEN}/{name}", tmp)
    for name in ("torch-2.13", "protocol-2", "protocol-3"):
        check_conversion(name, f"{GOLDEN}/dialects/{name}", tmp)


def check_pt(tmp):
    """A .pt file through titan (which flattens and nests again) holds what torch read from it; views become tensors of their own."""
    for name in ("types", "views", "parameter"):
        ours = os.path.join(tmp, "again.pt")
        run(BIN + "/titan-dcp2pt", "--force", "--quiet", f"{GOLDEN}/pt/{name}.pt", ours)
        got, ref = torch.load(ours, weights_only=True), torch.load(f"{GOLDEN}/pt/{name}.pt", weights_only=False)
        ref = dcp_like(ref)
        check(f"pt/{name}", same(got, ref), f"{got} {ref}" if name != "types" else "")


def dcp_like(v):
    """What survives flattening: no empty dicts, contiguous tensors at the leaves, no parameters."""
    if isinstance(v, dict):
        return {k: dcp_like(x) for k, x in v.items() if not (isinstance(x, dict) and not x)}
    if isinstance(v, list) and any(torch.is_tensor(x) or isinstance(x, dict) for x in v):
        return [dcp_like(x) for x in v]
    return v.detach().clone(memory_format=torch.contiguous_format) if torch.is_tensor(v) else v


EXPECTED_VALUES = {"v.int": 5, "v.negative": -300, "v.large": -(2**63), "v.lr": 0.0008, "v.true": True, "v.none": None,
                   "v.text": "caf\u00e9", "v.betas": (0.9, 0.95), "v.bytes": b"\x00\x7f\x80\xff", "v.no_bytes": b""}


def check_saved(tmp):
    path = os.path.join(tmp, "run/step-5")
    run(TOOLS + "/ckpt_save", path)
    meta = pickle.load(open(path + "/.metadata", "rb"))
    raw = bytes(i * 37 % 119 for i in range(15 * 16))
    target = {}
    for k, v in meta.state_dict_metadata.items():
        target[k] = torch.full(v.size, 3).to(v.properties.dtype) if hasattr(v, "size") else None
    dcp.load(target, checkpoint_id=path, no_dist=True)
    for k, v in target.items():
        if k.startswith("t.") or k == "chunked":
            want = torch.frombuffer(bytearray(raw), dtype=torch.uint8)[:v.numel() * v.element_size()]
            check("saved " + k, torch.equal(bits(v), want) and tuple(v.shape) == (5, 3))
        elif k in EXPECTED_VALUES:
            check("saved " + k, same(v, EXPECTED_VALUES[k]), repr(v))
    check("saved dataloader state", pickle.loads(target["v.state"]) == {"token_buffer": [i * 37 for i in range(2500)], "ended": False})
    check("saved version", meta.version == "1.0.0" and meta.planner_data["list.0.k"] == ("list", 0, "k"))
    check_conversion("saved by titan", path, tmp)
    nested = torch.load(os.path.join(tmp, "ours.pt"), weights_only=True)
    check("nesting", nested["list"][0]["k"].shape == () and nested["optimizer"]["state.w.step"].shape == ())
    for offset, length in [(v.offset, v.length) for v in meta.storage_data.values()]:
        with open(path + "/__0_0.distcp", "rb") as f:
            f.seek(offset)
            check(f"item at {offset}", zipfile.ZipFile(io.BytesIO(f.read(length))).testzip() is None)
    run(TOOLS + "/ckpt_save", os.path.join(tmp, "run/step-6"), "bfloat16")
    half = pickle.load(open(tmp + "/run/step-6/.metadata", "rb")).state_dict_metadata
    check("export dtype", half["t.float32"].properties.dtype == torch.bfloat16 and half["t.int64"].properties.dtype == torch.int64)
    target = {"t.float32": torch.zeros(5, 3, dtype=torch.bfloat16)}
    dcp.load(target, checkpoint_id=tmp + "/run/step-6", no_dist=True)
    f32 = torch.frombuffer(bytearray(raw[:60]), dtype=torch.float32).reshape(5, 3)
    check("export values", torch.equal(target["t.float32"], f32.to(torch.bfloat16)))


FLOATS = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]
INTEGERS = ["int64", "int32", "int16", "int8", "uint8", "bool"]


def patterns(dtype):
    """Every value of a type of up to 16 bits; else random bits, and the neighbourhood of every float16 and bfloat16."""
    t = getattr(torch, dtype)
    if dtype == "bool":
        return torch.tensor([False, True] * 8)
    if t.itemsize == 1:
        return torch.arange(256, dtype=torch.uint8).view(t)
    all16 = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
    if t.itemsize == 2:
        return all16.view(t)
    random = torch.randint(0, 256, (400000 * t.itemsize,), dtype=torch.uint8).view(t)
    if not t.is_floating_point:
        return random
    near = torch.cat([all16.view(torch.float16).to(t), all16.view(torch.bfloat16).to(t)])
    mid = (near[1:].to(torch.float64) / 2 + near[:-1].to(torch.float64) / 2).to(t)
    around = torch.cat([near, mid, torch.nextafter(mid, torch.tensor(float("inf"), dtype=t)),
                        torch.nextafter(mid, torch.tensor(float("-inf"), dtype=t))])
    return torch.cat([random, around])


def check_casts():
    torch.manual_seed(1)
    pairs = [(a, b) for a in FLOATS for b in FLOATS if a != b] + [(a, b) for a in INTEGERS for b in INTEGERS + FLOATS[:4] if a != b]
    for source, dest in pairs:
        x = patterns(source)
        want = x.to(getattr(torch, dest))
        out = run(f"{TOOLS}/cast", dest, source, input=bits(x).numpy().tobytes(), stdout=subprocess.PIPE).stdout
        got = torch.frombuffer(bytearray(out), dtype=torch.uint8).view(getattr(torch, dest))
        equal = bits(want).reshape(len(x), -1) == bits(got).reshape(len(x), -1)
        ok = equal.all(1)
        if getattr(torch, dest).is_floating_point: # which NaN it is, torch's own loops do not agree on
            ok |= want.to(torch.float32).isnan() & got.to(torch.float32).isnan()
        bad = (~ok).nonzero().flatten()
        check(f"cast {source} to {dest}", len(bad) == 0,
              f"{len(bad)} of {len(x)}: " + str([(x[i].item(), want[i].item(), got[i].item()) for i in bad[:4]]))


def check_inspect():
    out = run(BIN + "/titan-ckpt-inspect", "--json", GOLDEN + "/dcp-types", GOLDEN + "/dcp-grid4", stdout=subprocess.PIPE).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    for name in ("dcp-types", "dcp-grid4"):
        meta = pickle.load(open(f"{GOLDEN}/{name}/.metadata", "rb"))
        mine = {r["key"]: r for r in rows if r["checkpoint"].endswith(name)}
        check(f"inspect {name}: keys", list(mine) == list(meta.state_dict_metadata))
        for k, v in meta.state_dict_metadata.items():
            r = mine[k]
            if hasattr(v, "size"):
                check(f"inspect {k!r}", r["shape"] == list(v.size) and "torch." + r["dtype"] == str(v.properties.dtype)
                      and [(c["offsets"], c["sizes"]) for c in r["chunks"]] == [(list(c.offsets), list(c.sizes)) for c in v.chunks])
            check(f"inspect {k!r}: path", tuple(r["path"]) == meta.planner_data[k])
    values = {r["key"]: r.get("value") for r in rows}
    check("inspect values", values["values.float"] == 0.0008 and values["values.list"] == [1, [2.5, "x"]]
          and values["values.state"]["pickle"]["sample_idx"] == 17)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        check_casts()
        check_inspect()
        check_goldens(tmp)
        check_saved(tmp)
        check_pt(tmp)
    finish()


main()

"""titan-dcp2pt against torch.distributed.checkpoint.format_utils, both ways: --reverse gives what torch_to_dcp gives key for key,
and --flat, --prefix, --strip_prefix, --dtype, .safetensors and pipes hold the same tensors. BIN: the programs."""
import io
import os
import pickle
import pty
import subprocess
import tempfile
from collections import OrderedDict

import torch
from runs import count as check
from runs import finish
from safetensors.torch import load_file
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save, torch_save_to_dcp

BIN = os.environ.get("BIN", "build/bin")
GOLDEN = "tests/golden"
TOOL = BIN + "/titan-dcp2pt"


def run(*args, **kw):
    return subprocess.run([TOOL, *args], capture_output=True, **kw)


def good(*args, **kw):
    r = run(*args, **kw)
    check(f"{args}", r.returncode == 0, r.stderr.decode())
    return r


def bits(t):
    t = t.detach().contiguous()
    return t.reshape(-1).view(torch.uint8) if t.numel() else t.reshape(-1)


def same(a, b):
    if torch.is_tensor(a):
        return torch.is_tensor(b) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a and b != b)


def metadata(path):
    with open(path + "/.metadata", "rb") as f:
        return pickle.load(f)


def read(dcp, tmp):
    """What PyTorch reads from a DCP folder, as dcp_to_torch nests it."""
    out = os.path.join(tmp, "read.pt")
    dcp_to_torch_save(dcp, out)
    return torch.load(out, weights_only=False)


def flat(dcp, tmp):
    """The same by fqn, in the order of the metadata."""
    nested, meta = read(dcp, tmp), metadata(dcp)
    out = {}
    for fqn in meta.state_dict_metadata:
        at = nested
        for part in meta.planner_data[fqn]:
            at = at[part]
        out[fqn] = at
    return out


def chunks(entry):
    return [(tuple(c.offsets), tuple(c.sizes)) for c in entry.chunks] if hasattr(entry, "size") else None


def check_reverse(name, pt, tmp):
    ours, theirs = (os.path.join(tmp, name + end) for end in (".ours", ".theirs"))
    torch_save_to_dcp(pt, theirs)
    good("--reverse", "--quiet", pt, ours)
    a, b = metadata(ours), metadata(theirs)
    check(f"{name}: keys", list(a.state_dict_metadata) == list(b.state_dict_metadata), list(a.state_dict_metadata))
    check(f"{name}: paths", a.planner_data == b.planner_data)
    files = [{v.relative_path for v in m.storage_data.values()} for m in (a, b)]
    check(f"{name}: files", files[0] == files[1], files)
    for k, v in b.state_dict_metadata.items():
        w = a.state_dict_metadata[k]
        check(f"{name}: {k}", type(v) is type(w) and chunks(v) == chunks(w) and getattr(v, "size", None) == getattr(w, "size", None)
              and (not hasattr(v, "size") or v.properties.dtype == w.properties.dtype))
    check(f"{name}: values", same(read(ours, tmp), read(theirs, tmp)))
    with open(pt, "rb") as f:
        good("--reverse", "--quiet", "-", ours + ".stdin", stdin=f)
    good("--reverse", "--quiet", "-", ours + ".pipe", input=open(pt, "rb").read())
    for end in (".stdin", ".pipe"):
        check(f"{name}: {end}", same(read(ours + end, tmp), read(ours, tmp)))
    good("--reverse", "--flat", "--quiet", pt, ours + ".flat")
    check(f"{name}: --flat", metadata(ours + ".flat").planner_data == {k: (k,) for k in a.planner_data})
    back = os.path.join(tmp, name + ".back.pt")
    good("--quiet", ours, back)
    check(f"{name}: and back", same(torch.load(back, weights_only=True), read(theirs, tmp)))


def make_files(tmp):
    torch.manual_seed(0)
    w = torch.randn(6, 4)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    full = {
        "w": w, "view": w[1:3], "transposed": w.t(), "scalar": torch.tensor(3.5), "empty": torch.empty(0, 4),
        "parameter": torch.nn.Parameter(torch.randn(2)), "half": torch.randn(3).to(torch.bfloat16),
        "mask": torch.tensor([True, False]),
        "optimizer": {"state": {0: {"exp_avg": torch.randn(6, 4), "step": torch.tensor(7.0)}},
                      "param_groups": [{"lr": 0.0008, "betas": (0.9, 0.95), "params": [0]}]},
        "list": [torch.ones(2), 3, [torch.zeros(1)]], "numbers": [1, 2, [3]], "tuple": (1, "a", None),
        "no": None, "nothing": {}, "text": "caf\u00e9",
        "raw": b"\x00\xff", "ordered": OrderedDict(b=1, a=torch.ones(1)), "epoch": 3, "big": 2**70,
    }
    files = {}
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    for name, obj in {"full": full, "module": model.state_dict(), "adam": adam.state_dict()}.items():
        files[name] = os.path.join(tmp, name + ".pt")
        torch.save(obj, files[name])
    return files


def check_names(tmp):
    """Prefixes and flat keys, of a checkpoint that is nested like TorchTitan's."""
    dcp = os.path.join(tmp, "full.ours")
    want, pt = flat(dcp, tmp), os.path.join(tmp, "names.pt")
    good("--flat", "--quiet", dcp, pt)
    check("--flat", same(torch.load(pt, weights_only=True), want))
    good("--flat", "--prefix", "model.", "--quiet", "--force", dcp, pt)
    check("--flat --prefix", same(torch.load(pt, weights_only=True), {"model." + k: v for k, v in want.items()}))
    good("--prefix", "model.", "--quiet", "--force", dcp, pt)
    check("--prefix", same(torch.load(pt, weights_only=True), {"model." + k: v for k, v in read(dcp, tmp).items()}))
    good("--strip_prefix", "optimizer.state.", "--include", "optimizer.state.*", "--quiet", "--force", dcp, pt)
    check("--strip_prefix", same(torch.load(pt, weights_only=True), read(dcp, tmp)["optimizer"]["state"]))
    good("--exclude=optimizer.*", "--include=*w*", "--include", "optimizer*", "--quiet", "--force", dcp, pt)
    check("--include, --exclude", list(torch.load(pt, weights_only=True)) == ["w", "view", "raw"])
    good("--dtype=bfloat16", "--dtype=w=float64", "--dtype=mask=uint8", "--quiet", "--force", "--flat", dcp, pt)
    for k, v in torch.load(pt, weights_only=True).items():
        was, dtype = want[k], {"w": torch.float64, "mask": torch.uint8}.get(k, torch.bfloat16)
        is_cast = torch.is_tensor(was) and (k == "mask" or was.is_floating_point())
        check(f"--dtype: {k}", same(v, was.to(dtype) if is_cast else was))


def check_safetensors(tmp):
    out = os.path.join(tmp, "x.safetensors")
    for dcp in (os.path.join(tmp, "full.ours"), f"{GOLDEN}/dcp-grid4", f"{GOLDEN}/dcp-rows4", f"{GOLDEN}/dcp-types"):
        want = {k: v for k, v in flat(dcp, tmp).items() if torch.is_tensor(v)}
        dropped = {k for k, v in want.items() if v.dtype in (torch.complex128,)}
        r = good("--force", dcp, out)
        got = load_file(out)
        check(f"safetensors of {dcp}: keys", set(got) == set(want) - dropped, set(got) ^ set(want))
        check(f"safetensors of {dcp}", all(same(got[k], want[k]) for k in got))
        n = len(metadata(dcp).state_dict_metadata) - len(got)
        check("unused keys are listed", n == 0 or f"{n} unused key" in r.stderr.decode(), r.stderr.decode())
        r = run("--strict", "--force", dcp, out)
        check("--strict refuses them", r.returncode == (1 if n else 0), r.stderr.decode())
        piped = good("--format=safetensors", "--quiet", dcp, "-").stdout
        check("safetensors through a pipe", piped == open(out, "rb").read())
        good("--reverse", "--quiet", "--force", out, os.path.join(tmp, "again"))
        check("and back", same(dict(sorted(flat(os.path.join(tmp, "again"), tmp).items())), dict(sorted(got.items()))))


def check_pipe(tmp):
    dcp = os.path.join(tmp, "full.ours")
    r = good("--progress", "json", dcp, "-")
    check("a .pt on stdout", same(torch.load(io.BytesIO(r.stdout), weights_only=True), read(dcp, tmp)))


def on_a_terminal(*args):
    """What a program says where stderr is a terminal, and its exit status."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([TOOL, *args], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:  # Linux' way to say that nobody has the other end any more
        pass
    os.close(ours)
    return text, p.wait()


def check_terminal(tmp):
    """A line of progress that is drawn over and gone at the end; and a terminal gives no checkpoint."""
    dcp, out = os.path.join(tmp, "full.ours"), os.path.join(tmp, "terminal.pt")
    text, status = on_a_terminal(dcp, out)
    lines = text.split(b"\r\n")[0].split(b"\r")
    check("progress on a terminal", status == 0 and b"%)" in lines[1] and lines[1].endswith(b"\x1b[K"), lines)
    check("the line is gone at the end", lines[-1].startswith(b"\x1b[Ktitan-dcp2pt: ") and b"wrote" in lines[-1], lines)
    for quiet in (["--quiet"], ["--progress=none"]):
        text, status = on_a_terminal("--force", *quiet, dcp, out)
        check(f"{quiet}: no progress", status == 0 and b"%)" not in text, text)
    text, status = on_a_terminal("--reverse", "-", os.path.join(tmp, "from-terminal"))
    check("stdin is a terminal", status == 1 and b"stdin is a terminal" in text, text)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        for name, pt in make_files(tmp).items():
            check_reverse(name, pt, tmp)
        check_names(tmp)
        check_safetensors(tmp)
        check_pipe(tmp)
        check_terminal(tmp)
    finish()


main()

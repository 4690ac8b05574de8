"""Every .pt that torch.load reads, whoever zipped it and whatever is in it: titan makes a DCP folder of it that gives PyTorch the same
tensors, bit for bit, and the same values; what it does not read it refuses by name."""
import io
import os
import subprocess
import tempfile
import zipfile
from collections import OrderedDict

import torch
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from runs import BIN, check, finish

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32", "uint64",
          "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]  # fmt: skip


def pt(value, **how):
    f = io.BytesIO()
    torch.save(value, f, **how)
    return f.getvalue()


def records(data):
    z = zipfile.ZipFile(io.BytesIO(data))
    return [(n, z.read(n)) for n in z.namelist()]


def zipped(items, method=zipfile.ZIP_STORED, comment=b""):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", method) as z:
        for name, data in items:
            z.writestr(name, data)
        z.comment = comment
    return f.getvalue()


def changed(data, **records_by_name):
    """Records by the end of their names: None takes one away."""
    out = []
    for name, content in records(data):
        short = name.split("/", 1)[1]
        if short in records_by_name and records_by_name[short] is None:
            continue
        out.append((name, records_by_name.get(short, content)))
    return zipped(out)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and \
            a.contiguous().view(torch.uint8).equal(b.contiguous().view(torch.uint8)) if a.dim() and a.numel() else \
            a.dtype == b.dtype and a.shape == b.shape and (not a.numel() or a.reshape(1).view(torch.uint8).equal(b.reshape(1).view(torch.uint8)))
    if isinstance(a, dict):
        return isinstance(b, dict) and [str(k) for k in a] == [str(k) for k in b] and all(same(a[k], b[str(k)]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return type(a) is type(b) and (a == b or a != a)


def dcp2pt(*args):
    return subprocess.run([f"{BIN}/titan-dcp2pt", "--quiet", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read(name, data, value, *options):
    with open("x.pt", "wb") as f:
        f.write(data)
    done = dcp2pt("--force", "--verify", *options, "--reverse", "x.pt", "x")
    if done.returncode:
        return check(name, False, done.stderr)
    dcp_to_torch_save("x", "back.pt")
    got = torch.load("back.pt", weights_only=False)
    check(name, same(value, got), "" if same(value, got) else got)


def refused(name, data, message, *options):
    with open("x.pt", "wb") as f:
        f.write(data)
    done = dcp2pt("--force", *options, "--reverse", "x.pt", "x")
    check(name, done.returncode == 1 and message in done.stderr, done.stderr.strip())


class Sub(torch.Tensor):
    pass


def values():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    attributed = torch.nn.Parameter(torch.arange(3.0))
    attributed.tag = "x"
    yield "views of one storage", {"whole": base, "slice": base[1:3, 2:4], "column": base[:, 1], "row": base[2], "again": base,
                                   "transposed": base.t(), "stepped": base[::2, ::3], "scalar": base[1, 2]}
    yield "strides of all kinds", {"expanded": torch.arange(3.0).expand(2, 3), "zero": torch.ones(1).expand(5),
                                   "permuted": torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1), "empty": torch.zeros(0, 4).t(),
                                   "overlapping": torch.arange(9.0).as_strided((3, 4), (2, 1)), "0-d": torch.tensor(5)}
    yield "every dtype", {d: (torch.arange(12) * 19 % 119).to(torch.uint8).repeat(2 if d == "complex128" else 1)
                          .view(torch.uint8).repeat(4).view(getattr(torch, d)) if d != "bool" else torch.tensor([True, False])
                          for d in DTYPES}
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    yield "a state dict with _metadata", module.state_dict()
    yield "parameters", {"p": torch.nn.Parameter(base), "attributed": attributed, "frozen": torch.nn.Parameter(base, requires_grad=False)}
    yield "an optimizer's", {"state": {0: {"step": torch.tensor(3.0), "exp_avg": base}, 1: {}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    yield "nestings", {"t": (1, (base, [base[0]]), {}), "l": [[base], [{"k": 1}]], "o": OrderedDict(a=1, b=OrderedDict(c=base)), "s": {1, 2},
                       "f": frozenset("a"), "b": bytes(range(256)), "y": bytearray(b"\xff"), "big": 2**100, "none": None, "c": 1 + 2j,
                       "size": base.size(), "dtype": torch.bfloat16, "device": torch.device("cpu"), "layout": torch.strided,
                       "float": float("-inf"), "r": range(3), "text": "\u00e9\U0001f600\0"}
    yield "keys of all kinds", {1: base, True: 2, None: 3, 2.5: 4, ("a", 1): {(): 5}, "x y": 6}


def without_empty(v):
    """A dict as DCP has it: what is empty leaves nothing."""
    if isinstance(v, dict):
        v = {k: without_empty(x) for k, x in v.items()}
        return {k: x for k, x in v.items() if not (isinstance(x, dict) and not x)}
    if isinstance(v, list):
        return [without_empty(x) for x in v]
    return v


def main():
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        for name, value in values():
            read(name, pt(value), without_empty(value), "--allow_expand")
        value = {"w": torch.arange(6.0).reshape(2, 3), "n": 5, "t": torch.arange(100000)}
        data = pt(value)
        stored = [(n, d) for n, d in records(data) if n.endswith(("data.pkl", "version")) or "/data/" in n]
        for name, form in (
            ("data.pkl, data and version alone", zipped(stored)),
            ("no version", changed(data, version=None)),
            ("version 10 without a newline", changed(data, version=b"10")),
            ("no byteorder", changed(data, byteorder=None)),
            ("another order of records", zipped(reversed(records(data)))),
            ("a comment", zipped(records(data), comment=b"a comment PK\5\6")),
            ("10 bytes behind the end", data + b"0123456789"),
            ("60000 bytes behind the end", data + b"PK\5\6" * 15000),
            ("pickle protocol 3", pt(value, pickle_protocol=3)),
            ("pickle protocol 4", pt(value, pickle_protocol=4)),
            ("pickle protocol 5", pt(value, pickle_protocol=5)),
        ):
            read(name, form, value)
        torch.serialization.set_crc32_options(False)
        read("CRCs of 0", pt(value), value)
        torch.serialization.set_crc32_options(True)
        script = io.BytesIO()
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), script)
        wide = pt({"w": torch.ones(1).expand(1000, 1000)})
        for name, form, message in (
            ("a deflated record", zipped(records(data), zipfile.ZIP_DEFLATED), "record archive/data.pkl: it is compressed, which no torch.save does"),
            ("version 11", changed(data, version=b"11\n"), "record version: expected 1 to 10"),
            ("a big-endian file", changed(data, byteorder=b"big"), "record byteorder: expected \"little\""),
            ("TorchScript", script.getvalue(), "a TorchScript archive (it has a record constants.pkl)"),
            ("a file of before 1.6", pt(value, _use_new_zipfile_serialization=False), "a .pt of before PyTorch 1.6, which is no zip"),
            ("a damaged storage", data.replace(b"\0\0\0\0\0\0\x80?\0\0\0@", b"\0\0\0\0\0\0\x80?\1\0\0@"), "the bytes are damaged"),
            ("a large expanded tensor", wide, "more than 100 times as many need --allow_expand"),
            ("a sparse tensor", pt({"s": torch.eye(3).to_sparse()}), "key s: refused: the pickle names torch._utils._rebuild_sparse_tensor"),
            ("a quantized tensor", pt({"q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}), "names torch._utils._rebuild_qtensor"),
            ("a conjugate view", pt({"c": torch.ones(2, dtype=torch.complex64).conj()}), "key c: refused: a tensor with extra metadata"),
            ("a subclass of Tensor", pt({"s": torch.ones(2).as_subclass(Sub)}), "key s: refused: the pickle names __main__.Sub"),
        ):
            refused(name, form, message)
        read("a large expanded tensor, allowed", wide, {"w": torch.ones(1000, 1000)}, "--allow_expand")
    finish()


main()

"""Objects of classes that titan does not know, carried over between a DCP folder and a .pt: Python finds in them what it had put
in, shared references and all; nothing of them is run on the way."""
import collections
import datetime
import enum
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import types

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from runs import BIN, check, finish


class Config:
    class Inner:
        def __init__(self, a):
            self.a = a

    def __init__(self):
        self.lr, self.ramp, self.steps = 0.1, torch.arange(3.0), [1, 2]
        self.same, self.inner = self.steps, Config.Inner(5)


class Color(enum.Enum):
    RED = 1


class Named(list):
    pass


class Trap:
    def __reduce__(self):
        return os.system, ("touch trapped",)


def objects():
    named = Named([1, 2])
    named.x = 3
    return {"config": Config(), "color": Color.RED, "named": named, "counts": [collections.defaultdict(list, {"a": [1]})],
            "deque": collections.deque([1, 2], 5), "path": pathlib.PosixPath("/a/b"), "part": functools.partial(int, base=2),
            "linear": (torch.nn.Linear(2, 3),), "array": np.arange(4), "scalar": np.float64(2.5), "frozen": frozenset([1]),
            "utc": datetime.timezone.utc, "relu": torch.nn.functional.relu}  # fmt: skip


def same(name, a, b):
    if name == "config":
        return a.lr == b.lr and torch.equal(a.ramp, b.ramp) and a.same is a.steps and a.steps == b.steps and a.inner.a == b.inner.a
    if name == "linear":
        return torch.equal(a[0].weight, b[0].weight) and torch.equal(a[0].bias, b[0].bias) and a[0].in_features == 2
    if name == "part":
        return a("101") == 5
    if name == "named":
        return type(a) is Named and a == b and a.x == b.x
    if name == "deque":
        return a == b and a.maxlen == b.maxlen
    return type(a) is type(b) and (np.array_equal(a, b) if name == "array" else a == b)


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}: {done.stderr}"


def main():
    job = types.ModuleType("job")
    sys.modules["job"] = job
    for cls in (Config, Config.Inner, Color, Named, Trap):
        cls.__module__ = "job"
        setattr(job, cls.__name__, cls)
    made = objects()
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        dcp.save({"w": torch.ones(2), **made}, checkpoint_id="dcp", no_dist=True)
        torch.save({"w": torch.ones(2), **made}, "torch.pt")
        run([f"{BIN}/titan-dcp2pt", "--quiet", "--allow_objects", "--verify", "dcp", "ours.pt"])
        run([f"{BIN}/titan-dcp2pt", "--quiet", "--allow_objects", "--verify", "--reverse", "torch.pt", "ours"])
        dcp_to_torch_save("ours", "back.pt")
        for file in ("ours.pt", "back.pt"):
            got = torch.load(file, weights_only=False)
            for name, value in made.items():
                check(f"{file}: {name}", same(name, got[name], value), got[name])
        torch.save({"w": torch.ones(2), "trap": Trap()}, "trap.pt")
        for args in ([f"{BIN}/titan-ckpt-inspect", "trap.pt"],
                     [f"{BIN}/titan-dcp2pt", "--quiet", "--allow_objects", "--reverse", "trap.pt", "trap"]):
            run(args)
        check("nothing was run", not os.path.exists("trapped"), os.listdir("."))
    finish()


main()

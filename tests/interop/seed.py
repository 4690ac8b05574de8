"""titan-seed's tensors are those of TorchTitan's create_seed_checkpoint within 2e-6, for the same debug.seed: two flavors (one with
hardly a tensor whose number of elements is a multiple of 16), several seeds, float32 and bfloat16 models, an export dtype, and a
full seed checkpoint with its optimizer."""
import shutil

import torch
from runs import ODD, Workdir, check, finish, largest, load, titan, torchtitan

SEED = {"checkpoint.enable": True, "checkpoint.create_seed_checkpoint": True}
CASES = {
    "debugmodel, seed 42": ("debugmodel", None, {}),
    "debugmodel, seed 2^33 + 7": ("debugmodel", None, {"debug.seed": 2**33 + 7}),
    "odd sizes, seed 42": ("odd", ODD, {}),
    "odd sizes, seed 1": ("odd", ODD, {"debug.seed": 1}),
    "odd sizes, seed -4": ("odd", ODD, {"debug.seed": -4}),
    "depth_init off": ("flat", {**ODD, "depth_init": False}, {}),
    "a model in bfloat16": ("debugmodel", None, {"training.dtype": "bfloat16"}),
    "odd sizes in bfloat16": ("odd", ODD, {"training.dtype": "bfloat16"}),
    "exported as bfloat16": ("odd", ODD, {"checkpoint.export_dtype": "bfloat16"}),
    "exported as float16": ("odd", ODD, {"checkpoint.export_dtype": "float16"}),
    "a full checkpoint": ("odd", ODD, {"checkpoint.last_save_model_only": False}),
}
# One unit in the last place of the narrower types is more than the tolerance.
ULPS = {torch.float32: 0.0, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}


def seed(run, work, flavor, fields, settings, **how):
    dump = work.path("dump")
    shutil.rmtree(dump, ignore_errors=True)
    run(work, flavor, {**SEED, **settings, "job.dump_folder": dump}, fields, **how)
    return load(f"{dump}/checkpoint/step-0")


def difference(a, b):
    """How far apart, in units of what is allowed."""
    if not isinstance(a, torch.Tensor):
        return 0.0 if a == b else float("inf")
    if a.dtype != b.dtype or a.shape != b.shape:
        return float("inf")
    allowed = 2e-6 + ULPS[a.dtype] * b.double().abs()
    return ((a.double() - b.double()).abs() / allowed).max().item()


def main():
    with Workdir() as work:
        for title, (flavor, fields, settings) in CASES.items():
            theirs = seed(torchtitan, work, flavor, fields, settings)
            ours = seed(titan, work, flavor, fields, settings, program="titan-seed")
            if list(ours) != list(theirs):
                check(title, False, f"keys differ: {list(ours.keys() ^ theirs.keys())[:8]}")
                continue
            gap = {k: difference(ours[k], theirs[k]) for k in ours if not k.startswith("dataloader.dp_rank")}
            worst = largest(gap.values())
            exact = sum(torch.equal(ours[k], theirs[k]) for k in ours if isinstance(ours[k], torch.Tensor))
            where = max(gap, key=gap.get)
            check(title, worst <= 1, f"{len(ours)} keys, worst {worst:.2f} of what is allowed ({where}), {exact} bit for bit")
        a, b = (seed(titan, work, "odd", ODD, {"debug.seed": s}, program="titan-seed") for s in (1, 2))
        check("another seed gives other weights", not torch.equal(a["output.weight"], b["output.weight"]))
        c = seed(titan, work, "odd", ODD, {"debug.seed": 1})
        check("titan-train --checkpoint.create_seed_checkpoint is titan-seed", all(torch.equal(a[k], c[k]) for k in a))
    finish()


main()

"""What a user may set beyond the ordinary, against TorchTitan: shapes that no vector divides, schedules that do not fit their run,
and every rule of [checkpoint] about what is kept, where a run starts from and what of it is taken."""
import os
import shutil

import torch
from runs import BF16, F32, FULL, TINY, Workdir, check, check_steps, copy_step, finish, largest, load, titan, torchtitan

SHORT = {**F32, "training.steps": 5, "training.seq_len": 64}
SHAPES = {  # TorchTitan takes even seq_lens only
    "sequences of 2": ({"training.seq_len": 2}, TINY),
    "3 sequences of 18": ({"training.seq_len": 18, "training.local_batch_size": 3, "debug.seed": 11}, TINY),
    "two heads a key head, vocabulary of 2051": (
        {"training.seq_len": 30}, {**TINY, "dim": 48, "n_heads": 6, "n_kv_heads": 3, "vocab_size": 2051}),
    "three heads a key head, heads of 10": (
        {"training.seq_len": 66}, {**TINY, "dim": 60, "n_heads": 6, "n_kv_heads": 2, "multiple_of": 1}),
    "one head of 256": ({"training.seq_len": 40}, {**TINY, "dim": 256, "n_heads": 1, "n_kv_heads": 1}),
    "two microbatches of 5 times 300": (
        {"training.steps": 3, "training.seq_len": 300, "training.local_batch_size": 5, "training.global_batch_size": 10}, TINY),
    "a sequence of 2050": ({"training.steps": 2, "training.seq_len": 2050, "training.local_batch_size": 1}, TINY),
    "norm_eps 1e-2": ({}, {**TINY, "norm_eps": 1e-2}),
}  # fmt: skip
LR = "lr_scheduler."
SCHEDULES = {
    "a warm-up longer than the run": {LR + "warmup_steps": 50},
    "total_steps before the end, cosine": {LR + "total_steps": 4, LR + "decay_type": "cosine"},
    "total_steps before the end, linear to 0.2": {LR + "total_steps": 4, LR + "warmup_steps": 1, LR + "min_lr_factor": 0.2},
    "neither warm-up nor decay": {LR + "decay_ratio": 0.0, LR + "warmup_steps": 0},
    "no clipping, no decay": {"training.max_norm": "inf", "optimizer.weight_decay": 0},
}
NARROW = {  # loss within, grad_norm within (relative)
    "bfloat16, Adam, accumulation": ({**BF16, "optimizer.name": "Adam", "training.global_batch_size": 6}, 3e-3, 1e-2),
    "training.dtype bfloat16, products too": ({"training.dtype": "bfloat16"}, 1e-2, 1e-2),
    "training.dtype bfloat16, Adam, accumulation": (
        {**BF16, "training.dtype": "bfloat16", "optimizer.name": "Adam", "training.global_batch_size": 6}, 1e-2, 1e-2),
}  # fmt: skip
SAVING = {**SHORT, **FULL, "checkpoint.interval": 2}
PARTS = ("model", "optimizer", "lr_scheduler", "dataloader", "train_state", "optimizer,lr_scheduler", "dataloader,train_state")


def both(work, settings, fields=TINY, before=lambda dump: None):
    """The steps of both, each from a folder that `before` filled, and the folders."""
    flavor = "f%x" % (hash(str(fields)) & 0xFFFFFFFF)
    dumps = [work.path("ours"), work.path("theirs")]
    for dump in dumps:
        shutil.rmtree(dump, ignore_errors=True)
        before(dump)
    steps = [run(work, flavor, {**settings, "job.dump_folder": d}, fields) for run, d in zip((titan, torchtitan), dumps)]
    return steps, dumps


def compare(work, title, settings, fields=TINY, loss_tol=2e-5, norm_tol=1e-4, before=lambda dump: None):
    steps, _ = both(work, settings, fields, before)
    check_steps(title, *steps, loss_tol, norm_tol)


def numbers(work):
    for title, (settings, fields) in SHAPES.items():
        compare(work, title, {**SHORT, **settings}, fields)
    for title, settings in SCHEDULES.items():
        compare(work, title, {**SHORT, **settings})
    for title, (settings, loss_tol, norm_tol) in NARROW.items():
        compare(work, title, {**SHORT, **settings}, TINY, loss_tol, norm_tol)


def checkpoints(work):
    _, dumps = both(work, {**SAVING, "checkpoint.keep_latest_k": 2, "checkpoint.enable_first_step_checkpoint": True})
    kept = [sorted(os.listdir(f"{dump}/checkpoint")) for dump in dumps]
    check("the first step, and the latest two are kept", kept[0] == kept[1], f"{kept[0]} and {kept[1]}")

    base = work.path("base")
    titan(work, "tiny", {**SAVING, "training.steps": 4, "job.dump_folder": base}, TINY)
    for parts in PARTS:
        settings = {**SAVING, "optimizer.lr": 2e-3, "checkpoint.exclude_from_loading": parts}
        compare(work, f"without {parts}", settings, before=lambda dump: copy_step(base, dump, 2))
    settings = {**SAVING, "training.steps": 3, "checkpoint.initial_load_path": f"{base}/checkpoint/step-2"}
    compare(work, "initial_load_path gives the model", settings)
    compare(work, "of the model alone nothing is left out", {**settings, "checkpoint.exclude_from_loading": "model,optimizer"})
    compare(work, "or all of it", {**settings, "checkpoint.initial_load_model_only": False})

    _, dumps = both(work, {**SAVING, "training.steps": 1, "training.dtype": "bfloat16"})
    a, b = (load(f"{dump}/checkpoint/step-1") for dump in dumps)
    types = [{k: v.dtype for k, v in c.items() if isinstance(v, torch.Tensor)} for c in (a, b)]
    ok = list(a) == list(b) and types[0] == types[1]
    check("a bfloat16 model's state has TorchTitan's types", ok, f"{len(types[1])} tensors")
    for export in ("float32", "float16"):
        settings = {**SHORT, "training.steps": 2, "checkpoint.enable": True, "checkpoint.export_dtype": export}
        _, dumps = both(work, {**settings, "training.dtype": "bfloat16"})
        a, b = (load(f"{dump}/checkpoint/step-2") for dump in dumps)
        far = largest((a[k].double() - b[k].double()).abs().max().item() for k in b)
        ok = list(a) == list(b) and all(a[k].dtype == b[k].dtype for k in b) and far < 1e-2
        types = {v.dtype for v in b.values()}
        check(f"the last step's model, bfloat16 with export dtype {export}", ok, f"{types}, {far:.3g} apart at most")


EXPORTS = {"float32": 1e-4, "bfloat16": 1e-2, "float16": 2e-3}  # how far an element may be from the other's, rounded


def models(work):
    """The last step's model in each type of export: TorchTitan's keys and types, and what either begins with."""
    for dtype, tolerance in EXPORTS.items():
        _, dumps = both(work, {**SHORT, "checkpoint.enable": True, "checkpoint.export_dtype": dtype})
        a, b = (load(f"{dump}/checkpoint/step-5") for dump in dumps)
        far = largest((a[k].double() - b[k].double()).abs().max().item() for k in b)
        ok = list(a) == list(b) and all(v.dtype == getattr(torch, dtype) for v in (*a.values(), *b.values())) and far < tolerance
        check(f"the last step's model in {dtype}", ok, f"{len(b)} tensors, {far:.3g} apart at most")
        model = work.path(dtype)
        shutil.move(f"{dumps[0]}/checkpoint/step-5", model)
        start = {**SHORT, "training.steps": 3, "debug.seed": 7, "checkpoint.enable": True, "checkpoint.initial_load_path": model}
        compare(work, f"both start from titan's {dtype}", start)


def steps_of_choice(work):
    """The step that load_step names, a first one, and a run that only loads."""
    base = work.path("steps")
    titan(work, "tiny", {**SAVING, "checkpoint.enable_first_step_checkpoint": True, "job.dump_folder": base}, TINY)

    def all_of_them(dump):
        for step in (1, 2, 4, 5):
            copy_step(base, dump, step)

    for step in (1, 2):
        settings = {**SAVING, "checkpoint.load_step": step, "training.steps": 7}
        compare(work, f"from step {step} by load_step", settings, before=all_of_them)
    settings = {**SAVING, "training.steps": 8, "checkpoint.load_only": True}
    steps, dumps = both(work, settings, before=all_of_them)
    check_steps("load_only goes on from the newest", *steps, 2e-5, 1e-4)
    kept = [sorted(os.listdir(f"{dump}/checkpoint")) for dump in dumps]
    check("and saves nothing", kept[0] == kept[1] == ["step-1", "step-2", "step-4", "step-5"], f"{kept[0]} and {kept[1]}")

    message = "--checkpoint.load_step=3 but checkpoint"
    settings = {**SAVING, "checkpoint.load_step": 3, "job.dump_folder": base}
    fails = [run(work, "tiny", settings, TINY, fails=True) for run in (titan, torchtitan)]
    check("a step that is not there is an error of both", "step-3" in fails[0] and message in fails[1], fails[0])
    compare(work, "without a folder neither minds load_step", {**SAVING, "checkpoint.load_step": 3, "training.steps": 2})


def guide(work):
    """The name that TorchTitan's guide has for the data loader is one that TorchTitan refuses; titan takes it for the right one."""
    base = work.path("steps")
    steps = {}
    for name in ("data_loader", "dataloader"):
        shutil.rmtree(work.path(name), ignore_errors=True)
        copy_step(base, work.path(name), 2)
        settings = {**SAVING, "checkpoint.exclude_from_loading": f"{name},lr_scheduler", "job.dump_folder": work.path(name)}
        steps[name] = [(s["step"], s["loss"], s["lr"]) for s in titan(work, "tiny", settings, TINY)]
        if name == "data_loader":
            message = torchtitan(work, "tiny", {**settings, "checkpoint.load_step": 2}, TINY, fails=True)
    check("data_loader is no name to TorchTitan", "data_loader not found in state_dict." in message, message.split("\n")[-2])
    check("and to titan one of dataloader", steps["data_loader"] == steps["dataloader"] and steps["dataloader"][0][0] == 3)


def main():
    with Workdir() as work:
        numbers(work)
        checkpoints(work)
        models(work)
        steps_of_choice(work)
        guide(work)
    finish()


main()

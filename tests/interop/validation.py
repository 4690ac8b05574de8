"""[validation]: at the same steps TorchTitan's losses, from datasets that it streams and that it does not, with a validation that ends in
the middle of the data, at its end, and across it, and after either side resumed what the other saved. titan resumed from its own
checkpoint has the validation losses of the uninterrupted run to the last bit, which TorchTitan's do not: it begins that data anew."""
import os
import shutil

import torch
from runs import BF16, DATA, F32, FULL, TINY, Workdir, check, copy_step, finish, largest, load, titan, torchtitan

SETTINGS = {**F32, **FULL, "training.steps": 10, "optimizer.lr": 3e-3, "validation.enable": True, "validation.freq": 3,
            "validation.local_batch_size": 2, "validation.seq_len": 100, "validation.steps": 2}  # fmt: skip
RESUMED = {
    "streamed, 2 steps": {},
    "streamed, to the end, a short last batch": {"validation.steps": -1, "validation.local_batch_size": 4, "validation.seq_len": 37},
    "local, across the end": {"validation.dataset": "c4_test", "validation.steps": 3, "validation.local_batch_size": 3},
}
CASES = {
    "streamed, more than there is": {"validation.steps": 17},
    "bfloat16": {**BF16, "validation.steps": 3},
}
PLACE = "dataloader.titan_validation.position.dataset_state."


def make_data(work):
    """A dataset of 3 samples as c4 has it, and the same as c4_test has it."""
    with open(os.path.join(DATA, "data.json")) as f:
        lines = f.readlines()[:3]
    for name in ("c4/en/c4-validation.json", "local/data.json"):
        os.makedirs(os.path.dirname(work.path(name)))
        with open(work.path(name), "w") as f:
            f.writelines(lines)
    with open(work.path("c4", "README.md"), "w") as f:
        f.write("---\nconfigs:\n- config_name: en\n  data_files:\n  - split: validation\n    path: en/c4-validation.json\n---\n")


def runner(run, work, dump):
    """Runs with the dataset that the settings name."""

    def with_data(settings):
        streamed = settings.get("validation.dataset") != "c4_test"
        path = "c4" if streamed else "local"
        return run(work, "tiny", {**settings, "validation.dataset_path": work.path(path), "job.dump_folder": work.path(dump)}, TINY)

    return with_data


def validations(steps):
    return {s["step"]: s["validation_loss"] for s in steps if "validation_loss" in s}


def check_close(name, ours, theirs, tol):
    a, b = validations(ours), validations(theirs)
    if a.keys() != b.keys() or not a:
        return check(name, False, f"steps {list(a)} against {list(b)}")
    gap = largest(abs(a[s] - b[s]) for s in a)
    check(name, gap <= tol, f"steps {list(a)}, gap {gap:.2e} of {tol:g}, last {list(b.values())[-1]:.5f}")


def check_equal(name, ours, theirs):
    keys = ("step", "loss", "grad_norm", "lr", "ntokens", "validation_loss")
    differ = [s["step"] for s, t in zip(ours, theirs) if any(s.get(k) != t.get(k) for k in keys)]
    check(name, len(ours) == len(theirs) > 0 and not differ, f"{len(ours)} steps, differing {differ}")


def resumed(run, work, source, step, settings):
    shutil.rmtree(work.path("resumed"), ignore_errors=True)
    copy_step(work.path(source), work.path("resumed"), step)
    return runner(run, work, "resumed")(settings)


def same(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def compare(work, title, settings):
    settings = {**SETTINGS, **settings}
    tol = 3e-3 if settings["training.mixed_precision_param"] == "bfloat16" else 2e-5
    for dump in ("ours", "theirs"):
        shutil.rmtree(work.path(dump), ignore_errors=True)
    theirs = runner(torchtitan, work, "theirs")(settings)
    ours = runner(titan, work, "ours")(settings)
    check_close(title, ours, theirs, tol)
    return ours


def resume(work, title, settings):
    ours = compare(work, title, settings)
    settings, tol = {**SETTINGS, **settings}, 2e-5
    tail = [s for s in ours if s["step"] > 5]
    check_equal(f"{title}: titan resumes its own, to the last bit", resumed(titan, work, "ours", 5, settings), tail)
    a, b = (load(work.path(dump, "checkpoint", "step-10")) for dump in ("ours", "resumed"))
    keys = [k for k in a if k.startswith(PLACE) or not k.startswith("dataloader.")]
    check(f"{title}: and saves the same step 10", all(same(a[k], b[k]) for k in keys) and any(k.startswith(PLACE) for k in keys),
          f"{len(keys)} keys")  # fmt: skip
    check_close(f"{title}: both resume TorchTitan's", resumed(titan, work, "theirs", 5, settings),
                resumed(torchtitan, work, "theirs", 5, settings), tol)  # fmt: skip
    return ours


def main():
    with Workdir() as work:
        make_data(work)
        for title, settings in RESUMED.items():
            ours = resume(work, title, settings)
        check_close("TorchTitan resumes titan's", resumed(torchtitan, work, "ours", 5, {**SETTINGS, **settings}),
                    resumed(titan, work, "theirs", 5, {**SETTINGS, **settings}), 2e-5)  # fmt: skip
        without = {**SETTINGS, **settings, "validation.enable": False, "checkpoint.enable": False}
        plain = runner(titan, work, "plain")(without)
        check_equal("training is the same without it", plain, [{**s, "validation_loss": None} for s in ours])

        for title, settings in CASES.items():
            compare(work, title, {**settings, "checkpoint.enable": False})

        # Saved right before a validation is made: the position is the one before it, and the resumed run reads past it.
        often = {**SETTINGS, "validation.freq": 5, "checkpoint.async_mode": "async"}
        ours = runner(titan, work, "often")(often)
        check_equal("saved before the validation of its step", resumed(titan, work, "often", 5, often), ours[5:])
    finish()


main()

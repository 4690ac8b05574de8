"""Either side resumes what the other saved, interval 5, 10 steps in both runs: losses within 2e-5 of the uninterrupted run. titan from
its own checkpoint: the same losses and the same checkpoint of step 10, bit for bit."""
import os
import pickle
import shutil

import torch
from runs import DATA, F32, FULL, TINY, Workdir, check, check_steps, copy_step, finish, load, titan, torchtitan

SETTINGS = {**FULL, **F32, "training.steps": 10, "lr_scheduler.decay_ratio": 0.6, "optimizer.lr": 3e-3}
# A resumed loader takes one sample more before it empties its buffer: the same tokens, another position.
POSITION = "dataloader.dp_rank_0"


def from_step_5(run, work, source, flavor, fields, settings):
    dump = work.path("resumed")
    shutil.rmtree(dump, ignore_errors=True)
    copy_step(source, dump, 5)
    return dump, run(work, flavor, {**settings, "job.dump_folder": dump}, fields)


def same_item(a, b):
    if isinstance(b, bytes):  # the position: a pickle, of another protocol
        return isinstance(a, bytes) and pickle.loads(a) == pickle.loads(b)
    return torch.equal(a, b) and a.dtype == b.dtype if isinstance(a, torch.Tensor) else a == b and type(a) is type(b)


def exchange(work, title, flavor, fields, settings):
    dumps = {run: work.path(f"{title}-{run.__name__}") for run in (titan, torchtitan)}
    whole = {run: run(work, flavor, {**settings, "job.dump_folder": dump}, fields) for run, dump in dumps.items()}
    check_steps(f"{title}: both uninterrupted", whole[titan], whole[torchtitan], 2e-5, 1e-4)

    a, b = (load(f"{dumps[run]}/checkpoint/step-5") for run in (titan, torchtitan))
    check(f"{title}: the same keys in the same order", list(a) == list(b), f"{len(a)} and {len(b)}")
    values = {k for k in b if not isinstance(b[k], torch.Tensor)}
    check(f"{title}: the same values", all(same_item(a.get(k), b[k]) for k in values),
          f"{[k for k in values if not same_item(a.get(k), b[k])][:3]} of {len(values)}")  # fmt: skip
    tensors = b.keys() - values
    check(f"{title}: tensors of the same type and shape", all(a[k].dtype == b[k].dtype and a[k].shape == b[k].shape for k in tensors))

    _, steps = from_step_5(titan, work, dumps[torchtitan], flavor, fields, settings)
    check_steps(f"{title}: titan resumes TorchTitan's", steps, whole[torchtitan][5:], 2e-5, 1e-4)
    _, steps = from_step_5(torchtitan, work, dumps[titan], flavor, fields, settings)
    check_steps(f"{title}: TorchTitan resumes titan's", steps, whole[torchtitan][5:], 2e-5, 1e-4)

    dump, steps = from_step_5(titan, work, dumps[titan], flavor, fields, settings)
    check_steps(f"{title}: titan resumes its own, to the last bit", steps, whole[titan][5:], 0, 0)
    a, b = (load(f"{d}/checkpoint/step-10") for d in (dump, dumps[titan]))
    differ = [k for k in b if k != POSITION and not same_item(a.get(k), b[k])]
    check(f"{title}: and saves the same step 10", list(a) == list(b) and not differ, f"{len(b)} keys, differing: {differ[:3]}")
    return dumps


def model_only(work, dumps):
    """Onto weights alone: refused where asked for, else skipped for the newest full step."""
    dump = work.path("model-only")
    settings = {**SETTINGS, "checkpoint.last_save_model_only": True, "job.dump_folder": dump}
    titan(work, "tiny", settings, TINY)
    more = {**settings, "training.steps": 12}
    message = titan(work, "tiny", {**more, "checkpoint.load_step": 10}, TINY, fails=True)
    check("a model-only step is refused with the way to train anew", "step-10 holds the model only" in message and
          "exclude_from_loading train_state,optimizer,dataloader,lr_scheduler" in message, message)  # fmt: skip
    steps = titan(work, "tiny", more, TINY)
    check("a run goes on from the newest full one", [s["step"] for s in steps] == list(range(6, 13)))
    shutil.rmtree(os.path.join(dump, "checkpoint", "step-12"))
    anew = {**more, "checkpoint.load_step": 10, "training.steps": 3,
            "checkpoint.exclude_from_loading": "optimizer,lr_scheduler,dataloader,train_state"}  # fmt: skip
    copy_step(dump, work.path("anew"), 10)
    theirs = torchtitan(work, "tiny", {**anew, "job.dump_folder": work.path("anew")}, TINY)
    shutil.rmtree(work.path("anew"))
    copy_step(dump, work.path("anew"), 10)
    ours = titan(work, "tiny", {**anew, "job.dump_folder": work.path("anew")}, TINY)
    check_steps("excluding all else trains anew from the weights, as TorchTitan does", ours, theirs, 2e-5, 1e-4)


def overridden(work, dumps):
    """Settings that the checkpoint brings along count on both sides, whatever the configuration says."""
    other = {**SETTINGS, "optimizer.lr": 1e-3, "optimizer.beta1": 0.5, "optimizer.weight_decay": 0.0, "optimizer.eps": 1e-4}
    _, theirs = from_step_5(torchtitan, work, dumps[torchtitan], "tiny", TINY, other)
    _, ours = from_step_5(titan, work, dumps[torchtitan], "tiny", TINY, other)
    check_steps("a checkpoint's optimizer settings count", ours, theirs, 2e-5, 1e-4)


def from_seed(work):
    """A seed checkpoint gives its model and nothing else."""
    dump = work.path("seeded")
    seed = {**SETTINGS, "checkpoint.create_seed_checkpoint": True, "debug.seed": 5, "job.dump_folder": dump}
    torchtitan(work, "tiny", seed, TINY)
    ours = titan(work, "tiny", {**SETTINGS, "training.steps": 4, "debug.seed": 6, "job.dump_folder": dump}, TINY)
    whole = titan(work, "tiny", {**SETTINGS, "training.steps": 4, "debug.seed": 5, "checkpoint.enable": False}, TINY)
    check_steps("titan starts from TorchTitan's seed checkpoint", ours, whole, 2e-5, 1e-4)


def from_workers(work):
    """Two worker processes of TorchTitan's, each in files of its own of a streamed dataset: titan takes what both have left."""
    clone = work.path("c4")
    os.makedirs(clone)
    with open(f"{DATA}/data.json") as f:
        lines = f.readlines()
    for i in range(4):
        with open(f"{clone}/c4-train.{i}.json", "w") as f:
            f.writelines(lines[20 * i : 20 * i + 20])
    with open(f"{clone}/README.md", "w") as f:
        f.write("---\nconfigs: [{config_name: en, data_files: c4-train.*.json}]\n---\n")
    settings = {**SETTINGS, "training.dataset": "c4", "training.dataset_path": clone, "job.dump_folder": work.path("workers")}
    torchtitan(work, "tiny", {**settings, "training.dataloader.num_workers": 2, "training.steps": 5}, TINY)
    steps = [s["step"] for s in titan(work, "tiny", settings, TINY)]
    saved = load(f"{work.path('workers')}/checkpoint/step-10")
    workers = [saved.get(f"dataloader.titan_position.ranks.0.{i}.worker") for i in (0, 1, 2)]
    check("titan resumes a run of two workers on a streamed dataset", steps == list(range(6, 11)) and workers == [0, 1, None], f"{workers}")


def main():
    with Workdir() as work:
        dumps = exchange(work, "tiny", "tiny", TINY, {**SETTINGS, "training.global_batch_size": 4})
        exchange(work, "async", "tiny", TINY, {**SETTINGS, "checkpoint.async_mode": "async", "checkpoint.interval": 1})
        exchange(work, "adam", "tiny", TINY, {**SETTINGS, "optimizer.name": "Adam"})
        overridden(work, dumps)
        model_only(work, dumps)
        from_seed(work)
        from_workers(work)
        exchange(work, "debugmodel", "debugmodel", None, {**SETTINGS, "training.seq_len": 256})
    finish()


main()

"""optimizer.early_step_in_backward: every microbatch's backward steps, and nothing is clipped. Losses, weights and the optimizer's state
are TorchTitan's; its checkpoints hold the state of the first parameter alone, titan's that of all, and both go on from titan's."""
import shutil

import torch
from runs import BF16, F32, FULL, TINY, Workdir, check, check_steps, copy_step, finish, largest, load, titan, torchtitan

EARLY = {**FULL, "optimizer.early_step_in_backward": True, "training.steps": 8, "checkpoint.interval": 4}
CASES = {  # loss within
    "AdamW, accumulation over 3": ({**F32, "training.global_batch_size": 6}, 2e-5),
    "Adam, strong decay, clipping asked for": (
        {**F32, "optimizer.name": "Adam", "optimizer.weight_decay": 0.3, "training.max_norm": 0.01}, 2e-5),
    "bfloat16, accumulation over 2": ({**BF16, "training.global_batch_size": 4}, 3e-3),
}  # fmt: skip
FIRST = "tok_embeddings.weight"


def both(work, title, settings, loss_tol):
    dumps = [work.path(title, run.__name__) for run in (titan, torchtitan)]
    ours, theirs = (run(work, "tiny", {**settings, "job.dump_folder": d}, TINY) for run, d in zip((titan, torchtitan), dumps))
    check_steps(title, ours, theirs, loss_tol, 0)
    check(f"{title}: no norm of gradients", all(s["grad_norm"] == 0 for s in theirs))
    return dumps, ours, theirs


def same_checkpoints(title, dumps):
    a, b = (load(f"{d}/checkpoint/step-8") for d in dumps)
    state = {k.split(".")[2] for k in b if k.startswith("optimizer.")}
    check(f"{title}: TorchTitan's state of the optimizer is the first parameter's", state == {FIRST.split(".")[0]}, f"{state}")
    missing = [k for k in b if k not in a]
    check(f"{title}: titan's has all of TorchTitan's keys, in its order", not missing and [k for k in a if k in b] == list(b), f"{missing[:3]}")
    own = {k for k in a if k not in b}
    ok = own and all(k.startswith("optimizer.") and FIRST not in k for k in own)
    check(f"{title}: and the other parameters' state", ok, f"{len(own)} keys more")
    step = f"optimizer.state.{FIRST}.step"
    check(f"{title}: a step a microbatch", torch.equal(a[step], b[step]), f"{a[step]}")
    return a, b


def close_weights(title, a, b):
    """Clipping once, or one rate taken for another, moves a tensor by more than 1e-3 of its norm; rounding, by less than 1e-6."""
    worst = {}
    for k, v in b.items():
        if isinstance(v, torch.Tensor):
            worst[k] = ((a[k].double() - v.double()).norm() / max(v.double().norm(), 1e-30)).item()
    gap = largest(worst.values())
    check(f"{title}: weights and state", gap < 1e-5, f"{max(worst, key=worst.get)} {gap:.2e} of its norm apart at most")


def go_on(work, dumps, settings, ours, theirs):
    def resumed(run, source):
        dump = work.path("resumed")
        shutil.rmtree(dump, ignore_errors=True)
        copy_step(source, dump, 4)
        return run(work, "tiny", {**settings, "job.dump_folder": dump}, TINY)

    check_steps("titan goes on from its own, to the last bit", resumed(titan, dumps[0]), ours[4:], 0, 0)
    lost = resumed(torchtitan, dumps[1])
    check("TorchTitan does not from its own", abs(lost[3]["loss"] - theirs[7]["loss"]) > 1e-4,
          f"{lost[3]['loss']:.5f} for {theirs[7]['loss']:.5f}")  # fmt: skip
    check_steps("TorchTitan takes of titan's what it takes of its own", resumed(torchtitan, dumps[0]), lost, 2e-5, 0)

    dump = work.path("refused")
    copy_step(dumps[1], dump, 4)
    message = titan(work, "tiny", {**settings, "checkpoint.load_step": 4, "job.dump_folder": dump}, TINY, fails=True)
    check("a state of some parameters is refused with the way out", f"optimizer's state of {FIRST}, but none of layers.0" in message and
          "exclude_from_loading optimizer" in message, message)  # fmt: skip


def main():
    with Workdir() as work:
        for title, (settings, loss_tol) in CASES.items():
            settings = {**EARLY, **settings}
            dumps, ours, theirs = both(work, title, settings, loss_tol)
            a, b = same_checkpoints(title, dumps)
            if settings["training.mixed_precision_param"] == "float32":
                close_weights(title, a, b)
            if "AdamW" in title:
                go_on(work, dumps, settings, ours, theirs)
    finish()


main()

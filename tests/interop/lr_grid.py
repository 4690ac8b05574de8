"""The learning rate of every step, bit for bit TorchTitan's, and its warnings, for a grid of settings; and of runs that go on from
another run's schedule. Where TorchTitan's asserts in the middle of a run, titan refuses to start."""
import itertools
import logging
import os
import subprocess
import sys

import torch
from runs import ROOT, check, count, finish

TOOL = os.path.join(ROOT, os.environ.get("B", "build/release"), "tools/lr")
BASE = 8e-4
STEPS = (1, 5, 10, 37)
WARMUPS = (0, 2, 9, 50)
TOTALS = (None, 4, 10, 90)
# Ties of round(): 5 * 0.5, 5 * 0.3, 10 * 0.25, 10 * 0.45, 90 * 0.05
RATIOS = (None, 0.0, 0.05, 0.25, 0.3, 0.45, 0.5, 0.8, 1.0)
SHAPES = (("linear", 0.0), ("sqrt", 0.1), ("cosine", 0.3))


class Settings:
    def __init__(self, steps, warmup, total, ratio, shape):
        self.steps, self.warmup, self.total, self.ratio = steps, warmup, total, ratio
        self.type, self.least = shape

    def flags(self):
        out = ["--training.steps", str(self.steps), "--lr_scheduler.warmup_steps", str(self.warmup), "--lr_scheduler.decay_type",
               self.type, "--lr_scheduler.min_lr_factor", repr(self.least), "--optimizer.lr", repr(BASE)]  # fmt: skip
        out += ["--lr_scheduler.total_steps", str(self.total)] if self.total is not None else []
        return out + (["--lr_scheduler.decay_ratio", repr(self.ratio)] if self.ratio is not None else [])

    def schedule(self):
        """TorchTitan's, over a real optimizer."""
        from torchtitan.components.lr_scheduler import build_lr_schedulers
        from torchtitan.config.job_config import LRScheduler

        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
        optimizer._opt_called = True  # no step is taken: it would warn
        config = LRScheduler(warmup_steps=self.warmup, total_steps=self.total, decay_ratio=self.ratio, decay_type=self.type,
                             min_lr_factor=self.least)  # fmt: skip
        return build_lr_schedulers([optimizer], config, self.steps)


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


def rates(schedule, nsteps):
    """Of this step and the nsteps that follow; None where one of them has no rate."""
    out = [schedule.schedulers[0].get_last_lr()[0]]
    try:
        for _ in range(nsteps):
            schedule.step()
            out.append(schedule.schedulers[0].get_last_lr()[0])
    except AssertionError:
        return None
    return out


def titan(args):
    p = subprocess.run([TOOL, *args], capture_output=True, text=True)
    if p.returncode not in (0, 1):
        sys.exit(f"{TOOL} {args}: exit {p.returncode}\n{p.stderr}")
    return [float.fromhex(line) for line in p.stdout.split()] if p.returncode == 0 else None, p.stderr.splitlines()


def grid(listener):
    refused = adjusted = 0
    for i, values in enumerate(itertools.product(STEPS, WARMUPS, TOTALS, RATIOS)):
        # One shape for each: the counts of steps do not depend on it.
        settings = Settings(*values, SHAPES[(i + i // len(RATIOS)) % len(SHAPES)])
        listener.said.clear()
        theirs = rates(settings.schedule(), settings.steps)
        ours, said = titan(settings.flags())
        refused += theirs is None
        adjusted += bool(listener.said)
        count(str(vars(settings)), ours == theirs and (theirs is None or said == listener.said), f"{ours} {said}, {theirs} {listener.said}")
    n = len(STEPS) * len(WARMUPS) * len(TOTALS) * len(RATIOS)
    check("the grid", refused and adjusted, f"{n} schedules, {adjusted} adjusted with a warning, {refused} refused")


def resumed():
    before = Settings(10, 2, None, 0.5, ("cosine", 0.1))
    others = [Settings(20, 2, None, 0.5, ("cosine", 0.1)), Settings(12, 0, None, None, ("linear", 0.0)),
              Settings(10, 8, 30, 0.2, ("sqrt", 0.2)), Settings(9, 2, 4, 0.25, ("linear", 0.1)), Settings(9, 6, 6, 0.0, ("sqrt", 0.0))]  # fmt: skip
    for other in others:
        for epoch in (1, 5, 8):
            done = before.schedule()
            done.schedulers[0].base_lrs = [3e-4]  # of a run with another optimizer.lr
            rates(done, epoch)
            state = done.state_dict()
            schedule = other.schedule()
            schedule.load_state_dict(state)
            theirs = rates(schedule, other.steps - epoch)
            ours, _ = titan(["from", str(epoch), repr(state["base_lrs"][0]), repr(state["_last_lr"][0]), *other.flags()])
            # What TorchTitan adjusts or refuses depends on the run, what it runs into on the checkpoint.
            check(f"on from step {epoch} with {vars(other)}", ours == theirs, f"{theirs and theirs[-1]}")


def main():
    listener = Warnings()
    logging.getLogger().addHandler(listener)
    from torchtitan.tools.logging import logger

    logger.setLevel(logging.WARNING)
    grid(listener)
    resumed()
    finish()


main()

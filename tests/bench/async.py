"""How long saving a checkpoint holds training up, in the background against in the foreground, and what the write does to the steps
beside it. Runs of titan-train with a state of 400 MB in turns, back to back: ROUNDS of each (3), with SAVES saves (2), INTERVAL
steps (25: longer than a write takes, since a save waits for the one before) apart, of SEQ_LEN tokens (256), in DIR (build). For
each round

  blocked   the longest time that training stood still for a save of the background run (its first one included), from the end of
            the step on, against the shortest save of the foreground run
  steps     the longest step that begins or ends while a save is written, and their median, against the median of all other steps;
            and the longest of those others, which says what the machine does by itself

Times are those of the log, to the millisecond."""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROUNDS, SAVES, INTERVAL = int(os.environ.get("ROUNDS", 3)), int(os.environ.get("SAVES", 2)), int(os.environ.get("INTERVAL", 25))
DIR = os.environ.get("DIR", os.path.join(ROOT, "build"))
FLAVOR = {"dim": 512, "n_layers": 9, "n_heads": 8, "vocab_size": 2560, "multiple_of": 256}  # with moments 401 MB
FLAGS = [
    "--model.name", "llama3", "--model.hf_assets_path", os.path.join(ROOT, "tests/assets/tokenizer"),
    "--training.dataset_path", os.path.join(ROOT, "tests/assets/c4_test"), "--training.seq_len", os.environ.get("SEQ_LEN", "256"),
    "--training.local_batch_size", "1", "--training.steps", str(INTERVAL * SAVES + INTERVAL - 1), "--metrics.log_freq", "1",
    "--debug.seed", "1", "--checkpoint.enable", "--checkpoint.interval", str(INTERVAL), "--checkpoint.keep_latest_k", "2",
]  # fmt: skip


def events(folder, mode):
    """(seconds, what the log says) of a run."""
    with open(os.path.join(folder, "flavor.yaml"), "w") as f:
        f.writelines(f"{k}: {v}\n" for k, v in FLAVOR.items())
    command = [os.path.join(ROOT, os.environ.get("BIN", "build/bin"), "titan-train"), *FLAGS, "--checkpoint.async_mode", mode,
               "--model.flavor", os.path.join(folder, "flavor.yaml"), "--job.dump_folder", folder]  # fmt: skip
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    out = []
    for line in done.stderr.splitlines():
        found = re.match(r"\[titan\] (\S+ \S+) - root - \w+ - (.*)", line)
        if found:
            out.append((datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").timestamp(), found[2]))
    return out


def measure(folder, mode):
    """How long each save held training up, the steps as (begin, end), and the times of writing in the background."""
    blocked, steps, writes = [], [], []
    begin = None
    for at, text in events(folder, mode):
        if text.startswith("Training starts"):
            begin = at
        elif text.startswith("step:"):
            steps.append((begin, at))
            begin = at
        elif text.startswith("Finished saving"):
            blocked.append(at - begin)
            writes.append([at, float("inf")])
            begin = at
        elif text.startswith("Saved step"):
            writes[-1][1] = at
    return blocked, steps[2:], writes


def times(seconds):
    return " ".join(f"{x:.3f}" for x in seconds)


def main():
    os.makedirs(DIR, exist_ok=True)
    ratios, slowest, medians, noise = [], [], [], []
    for i in range(ROUNDS):
        runs = {}
        for mode in ("disabled", "async"):
            with tempfile.TemporaryDirectory(dir=DIR) as folder:
                runs[mode] = measure(folder, mode)
                shutil.rmtree(os.path.join(folder, "checkpoint"))
        sync, (blocked, steps, writes) = runs["disabled"][0], runs["async"]
        beside = [e - b for b, e in steps if any(b < to and e > at for at, to in writes)]
        others = [e - b for b, e in steps if not any(b < to and e > at for at, to in writes)]
        alone = statistics.median(others)
        ratios.append(max(blocked) / min(sync))
        slowest.append(max(beside) / alone)
        medians.append(statistics.median(beside) / alone)
        noise.append(max(others) / alone)
        print(f"round {i + 1}: saves in the foreground {times(sync)} s, in the background training waited {times(blocked)} s and "
              f"{times([b - a for a, b in writes])} s were written; steps {alone:.3f} s, beside a write {times(beside)}",
              flush=True)  # fmt: skip
    print(f"blocked: {statistics.median(ratios):.3f} of a save in the foreground (rounds {' '.join(f'{x:.3f}' for x in ratios)})")
    print(f"steps beside a write: the longest {statistics.median(slowest):.2f}, the median {statistics.median(medians):.2f} of the "
          f"median step (the longest, by round: {' '.join(f'{x:.2f}' for x in slowest)}); beside none, the longest "
          f"{statistics.median(noise):.2f} (by round: {' '.join(f'{x:.2f}' for x in noise)})")  # fmt: skip


main()

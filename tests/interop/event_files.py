"""metrics.enable_tensorboard: TensorBoard reads from titan's files the tags and steps that it reads from TorchTitan's, the same losses
but for rounding, and what titan's JSON lines have; the files lie in folders of the same names."""
import glob
import os
import re
import struct

import ranks
from runs import DATA, F32, TINY, Workdir, check, finish, titan, torchtitan

VALIDATION = {"validation.enable": True, "validation.dataset": "c4_test", "validation.dataset_path": DATA, "validation.steps": 1,
              "validation.local_batch_size": 2, "validation.seq_len": 64, "validation.freq": 4}  # fmt: skip
JSON_OF = {"loss_metrics/global_avg_loss": "loss", "loss_metrics/global_max_loss": "loss", "grad_norm": "grad_norm", "lr": "lr",
           "n_tokens_seen": "ntokens", "validation_metrics/loss": "validation_loss"}  # fmt: skip


def read(path):
    """The scalars of an event file: {tag: {step: value}}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(path, size_guidance={"scalars": 0}).Reload()
    return {tag: {e.step: e.value for e in board.Scalars(tag)} for tag in board.Tags()["scalars"]}


def find(dump):
    """The one event file of a run, and its path without what differs from run to run."""
    (path,) = [p for p in glob.glob(os.path.join(dump, "**"), recursive=True) if os.path.isfile(p)]
    name = re.sub(r"\d{8}-\d{4}", "TIME", os.path.relpath(path, dump))
    return path, re.sub(r"\.\d{10}\.(.+)\.\d+\.\d+$", r".SECONDS.\1.PROCESS.N", name)


def events_of_rank(dump, rank):
    (path,) = glob.glob(os.path.join(dump, "tb", "*", f"rank_{rank}", "events.out.tfevents.*"))
    return read(path)


def check_ranks(work):
    """metrics.save_for_all_ranks of two ranks, which have the same mean loss, and the same largest of their own."""
    settings = {**F32, "training.steps": 3, "metrics.log_freq": 1, "metrics.enable_tensorboard": True, "metrics.save_for_all_ranks": True,
                "checkpoint.enable": True, "parallelism.data_parallel_shard_degree": 2}  # fmt: skip
    (ours_dump, theirs_dump), *_ = ranks.both(work, "all ranks", 2, settings, TINY)
    for rank in range(2):
        ours, theirs = events_of_rank(ours_dump, rank), events_of_rank(theirs_dump, rank)
        check(f"rank {rank}: tags", set(ours) == set(theirs), f"{len(ours)}")
        for tag in sorted(JSON_OF.keys() & theirs.keys()):
            gap = max(abs(value - theirs[tag][step]) / max(1, abs(theirs[tag][step])) for step, value in ours[tag].items())
            check(f"rank {rank}: {tag}", list(ours[tag]) == list(theirs[tag]) and gap <= 1e-4, f"gap to TorchTitan {gap:.1e}")
        apart = min(ours["loss_metrics/global_max_loss"][s] - v for s, v in ours["loss_metrics/global_avg_loss"].items())
        check(f"rank {rank}: the largest loss is above the mean", apart > 1e-4, f"{apart:.1e}")


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def main():
    with Workdir() as work:
        cases = {"every step": {"metrics.log_freq": 1}, "every 3rd, all ranks": {"metrics.log_freq": 3, "metrics.save_for_all_ranks": True,
                                                                                "metrics.save_tb_folder": "boards/b", **VALIDATION}}  # fmt: skip
        for i, (title, settings) in enumerate(cases.items()):
            settings = {**F32, "training.steps": 10, "training.global_batch_size": 4, "metrics.enable_tensorboard": True, **settings}
            ours_dump, theirs_dump = work.path(f"ours{i}"), work.path(f"theirs{i}")
            torchtitan(work, "tiny", {**settings, "job.dump_folder": theirs_dump}, TINY)
            lines = {s["step"]: s for s in titan(work, "tiny", {**settings, "job.dump_folder": ours_dump}, TINY)}
            (ours_path, ours_name), (theirs_path, theirs_name) = find(ours_dump), find(theirs_dump)
            ours, theirs = read(ours_path), read(theirs_path)

            check(f"{title}: paths", ours_name == theirs_name, f"{ours_name} and {theirs_name}")
            check(f"{title}: tags", set(ours) == set(theirs), f"{len(ours)}; {sorted(set(ours) ^ set(theirs))} in one alone")
            steps = {tag: list(values) for tag, values in theirs.items()}
            check(f"{title}: steps", {tag: list(values) for tag, values in ours.items()} == steps, f"{steps['lr']}")
            for tag, key in ((tag, key) for tag, key in JSON_OF.items() if tag in theirs):
                same = all(value == f32(lines[step][key]) for step, value in ours[tag].items())
                gap = max(abs(value - theirs[tag][step]) / max(1, abs(theirs[tag][step])) for step, value in ours[tag].items())
                check(f"{title}: {tag}", same and gap <= (0 if tag in ("lr", "n_tokens_seen") else 1e-4),
                      f"JSON {'equal' if same else 'DIFFERS'}, gap to TorchTitan {gap:.1e}")  # fmt: skip
            sane = all(ours["time_metrics/end_to_end(s)"][s] > ours["time_metrics/data_loading(s)"][s] > 0
                       and 0 < ours["time_metrics/data_loading(%)"][s] < 100 and ours["memory/max_reserved(GiB)"][s] > 0
                       and ours["throughput(tps)"][s] > 0 for s in steps["lr"])  # fmt: skip
            check(f"{title}: times, memory and speed", sane, str({t: v[1] for t, v in ours.items() if t not in JSON_OF}))
        check_ranks(work)
    finish()


main()

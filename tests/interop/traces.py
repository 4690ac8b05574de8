"""profiling.enable_profiling: titan's traces are those of the steps that TorchTitan traces, in files of the same names. A trace is JSON,
its steps are PyTorch's, and its operations lie in them one after another."""
import json
import os

from runs import F32, FULL, TINY, Workdir, check, finish, titan, torchtitan

# freq, active, warmup, steps, as TorchTitan takes them; not those where it ends in a step of a new trace, of which it writes an empty one
CASES = [(4, 1, 1, 6), (4, 2, 2, 7), (3, 1, 0, 6), (10, 1, 3, 8)]


def traces(dump):
    """{path below the dump folder: events}"""
    found = {}
    for folder, _, files in os.walk(os.path.join(dump, "profile_traces")):
        for name in files:
            with open(os.path.join(folder, name)) as f:
                found[os.path.relpath(os.path.join(folder, name), dump)] = json.load(f)["traceEvents"]
    return found


def steps(events, end):
    """The steps before `end`: at the end of a run PyTorch has begun one that does not come."""
    names = {e["name"] for e in events if e["name"].startswith("ProfilerStep#")}
    return sorted(n for n in names if int(n.partition("#")[2]) < end)


def is_sound(events):
    """Operations do not overlap, and each lies within a step; every one has what its bytes come from."""
    spans = [e for e in events if e.get("cat") == "user_annotation"]
    ops = sorted((e for e in events if e.get("cat") == "cpu_op"), key=lambda e: e["ts"])
    apart = all(a["ts"] + a["dur"] <= b["ts"] + 1e-6 for a, b in zip(ops, ops[1:]))
    within = all(any(s["ts"] <= e["ts"] and e["ts"] + e["dur"] <= s["ts"] + s["dur"] + 1e-6 for s in spans) for e in ops)
    shaped = all(len(e["args"][f"{w} Dims"]) == len(e["args"][f"{w} type"]) for e in ops for w in ("Input", "Output"))
    return len(ops) > 0 and apart and within and shaped and all(e["args"]["bytes"] > 0 for e in ops)


def main():
    with Workdir() as work:
        for i, (freq, active, warmup, nsteps) in enumerate(CASES):
            settings = {**F32, **FULL, "training.steps": nsteps, "profiling.enable_profiling": True, "profiling.profile_freq": freq,
                        "profiling.profiler_active": active, "profiling.profiler_warmup": warmup}  # fmt: skip
            ours_dump, theirs_dump = work.path(f"ours{i}"), work.path(f"theirs{i}")
            torchtitan(work, "tiny", {**settings, "job.dump_folder": theirs_dump}, TINY)
            titan(work, "tiny", {**settings, "job.dump_folder": ours_dump}, TINY)
            ours, theirs = traces(ours_dump), traces(theirs_dump)
            title = f"{active} of {freq}, {nsteps} steps"
            check(f"{title}: files", sorted(ours) == sorted(theirs), f"{sorted(ours)} and {sorted(theirs)}")
            names = {p: (steps(ours[p], nsteps + 1), steps(theirs.get(p, []), nsteps)) for p in ours}
            check(f"{title}: steps", all(a == b for a, b in names.values()), str(names))
            check(f"{title}: operations", all(map(is_sound, ours.values())), str({p: len(e) for p, e in ours.items()}))
    finish()


main()

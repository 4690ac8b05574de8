"""Runs on several ranks: titan's as threads of one process; the real TorchTitan's forked from this process, which has imported it once:
starting eight ranks from nothing takes half a minute, eight forks a second."""
import functools
import json
import os
import runs
import signal
import sys
import time
import traceback


def _record_plans(path):
    """Who would write what, before PyTorch leaves each replicated item to one rank: rows of fqn, offsets, sizes, ranks."""
    import torch.distributed.checkpoint.default_planner as planner

    dedup = planner.dedup_save_plans

    def record(plans, *args, **kwargs):
        rows = {}
        for rank, plan in enumerate(plans):
            for item in plan.items:
                chunk = item.tensor_data.chunk if item.tensor_data else None
                place = (list(chunk.offsets), list(chunk.sizes)) if chunk else (None, None)
                rows.setdefault(json.dumps([item.index.fqn, *place]), []).append(rank)
        with open(path, "w") as f:
            json.dump([json.loads(k) + [v] for k, v in rows.items()], f)
        return dedup(plans, *args, **kwargs)

    planner.dedup_save_plans = record


def _prepare(args):
    """What every rank would do alike: the settings are parsed, and the data is found, once."""
    import torchtitan.hf_datasets.text_datasets as datasets
    from torchtitan.config import ConfigManager

    runs.prepare()
    if not hasattr(datasets.load_dataset, "cache_info"):
        datasets.load_dataset = functools.cache(datasets.load_dataset)
    datasets.load_dataset(runs.DATA, split="train")
    config = ConfigManager().parse_args(args)
    return lambda self, args=None: config


def _one_rank(work, dump, parse_args):
    """The child: trains, and leaves what it reported."""
    import torchtitan.train as train
    from torchtitan.config import ConfigManager

    rank = os.environ["RANK"]
    os.makedirs(dump, exist_ok=True)
    out = os.open(os.path.join(dump, f"rank-{rank}.log"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    _record_plans(os.path.join(dump, "plans.json"))
    ConfigManager.parse_args = parse_args
    runs.steps.clear()
    os.chdir(work.name)
    train.main(train.Trainer)
    with open(os.path.join(dump, f"rank-{rank}.json"), "w") as f:
        json.dump(runs.steps, f)


def _fork(rank, nranks, port, work, dump, parse_args):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(nranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        _one_rank(work, dump, parse_args)
        status = 0
    except BaseException:  # CheckpointException is no Exception
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(pids):
    """Ends the others as soon as one fails, for they would wait for it."""
    ok = True
    while pids:
        pid, status = os.wait()
        pids.discard(pid)
        if status and ok:
            ok = False
            time.sleep(0.5)  # let the others say what they saw
            for other in pids:
                os.kill(other, signal.SIGKILL)
    return ok


def torchtitan(work, nranks, flavor, settings, fields, dump):
    """The steps that a rank with a loss reported (pipeline ranks without the last stage have none). Logs stay in the dump folder."""
    runs.prepare()
    from tt_flavors import add_flavors

    os.environ["TT_FLAVORS"] = json.dumps({flavor: fields})
    add_flavors()
    args = runs.flags({**runs.BASE, **settings, "model.flavor": flavor, "job.dump_folder": dump})
    parse_args, port = _prepare(args), runs.free_port()
    if not _wait({_fork(rank, nranks, port, work, dump, parse_args) for rank in range(nranks)}):
        logs = [open(log).read() for r in range(nranks) if os.path.exists(log := os.path.join(dump, f"rank-{r}.log"))]
        raise AssertionError(f"{nranks} ranks, {' '.join(args)}:\n" + "\n".join(log[-3000:] for log in logs if "Traceback" in log))
    reports = [json.load(open(os.path.join(dump, f"rank-{r}.json"))) for r in range(nranks)]
    return max(reports, key=lambda steps: [s["loss"] for s in steps])


def titan(work, nranks, flavor, settings, fields, fails=False):
    """As runs.titan, with so many ranks in one process."""
    os.environ["NGPU"] = str(nranks)
    return runs.titan(work, flavor, {"comm.mode": "local_tensor", **settings}, fields, fails=fails)


def both(work, name, nranks, settings, fields):
    """The dump folders and the steps of both, which begin with one process's initial weights: TorchTitan's shards would draw others."""
    seed = work.path("seed")
    if not os.path.exists(seed):
        runs.titan(work, "tiny", {"job.dump_folder": seed}, fields, program="titan-seed")
    dumps = [work.path(f"{name}, {who}") for who in ("titan", "torchtitan")]
    for dump in dumps:
        runs.copy_step(seed, dump, 0)
    ours = titan(work, nranks, "tiny", {**settings, "job.dump_folder": dumps[0]}, fields)
    return dumps, ours, torchtitan(work, nranks, "tiny", settings, fields, dumps[1])


def owners(dump):
    """{(fqn, offsets, sizes): ranks} of the last checkpoint that was saved there; offsets and sizes are None for values."""
    with open(os.path.join(dump, "plans.json")) as f:
        rows = json.load(f)
    return {(fqn, o if o is None else tuple(o), s if s is None else tuple(s)): set(ranks) for fqn, o, s, ranks in rows}

"""activation_checkpoint: titan makes the same matrix products again as TorchTitan's apply_ac. profiling.enable_memory_snapshot: PyTorch's
viewers read the file, no two buffers that are alive share a byte of the arena, and its peak is that of titan's own table."""
import collections
import json
import os
import pickle
import re

import torch
from runs import F32, TINY, Workdir, check, finish, titan
from torch.cuda import _memory_viz
from torch.utils._python_dispatch import TorchDispatchMode
from torchtitan.config.job_config import ActivationCheckpoint
from torchtitan.distributed import activation_checkpoint
from torchtitan.models.llama3 import Transformer, TransformerModelArgs
from torchtitan.models.llama3.infra.parallelize import _op_sac_save_list

LAYERS = {**TINY, "n_layers": 5}
# PyTorch computes attention on a CPU by an operation that TorchTitan's list, made for GPUs, has not.
SAVED = _op_sac_save_list | {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default}
FORCED = "activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns"
MODES = {
    "full": dict(mode="full"),
    "every layer": dict(mode="selective", selective_ac_option="1"),
    "0, which is every layer too": dict(mode="selective", selective_ac_option="0"),
    "every second layer": dict(mode="selective", selective_ac_option="2"),
    "every third layer": dict(mode="selective", selective_ac_option="3"),
    "no layer": dict(mode="selective", selective_ac_option="6"),
    "by operation": dict(mode="selective", selective_ac_option="op"),
    "by operation, a shape of all layers": dict(
        mode="selective", selective_ac_option="op", per_op_sac_force_recompute_mm_shapes_by_fqns=["attention.wk"]),
    "by operation, two shapes of one layer": dict(
        mode="selective", selective_ac_option="op",
        per_op_sac_force_recompute_mm_shapes_by_fqns=["layers.1.attention.wo", "layers.1.feed_forward.w1"]),
}  # fmt: skip


class Products(TorchDispatchMode):
    """Counts products of matrices by the shape of the second one."""

    def __init__(self):
        super().__init__()
        self.count = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func == torch.ops.aten.mm.default:
            self.count[tuple(args[1].shape)] += 1
        return func(*args, **(kwargs or {}))


def products(mode):
    """Of a forward and backward; what is saved anyway is not made again only for being the end of a layer (early_stop)."""
    model = Transformer(TransformerModelArgs(**LAYERS, max_seq_len=32))
    with torch.no_grad():
        model.init_weights()
    if mode:
        activation_checkpoint._layer_sac_count = 0  # of all models of a process
        how = ActivationCheckpoint(**mode, early_stop=True)
        activation_checkpoint.apply_ac(model, how, op_sac_save_list=SAVED)
    with Products() as seen:
        model(torch.arange(32).reshape(1, 32)).sum().backward()
    return seen.count


def remade(work, mode):
    """The same of titan, from a trace: linear layers of the forward in the backward."""
    settings = {f"activation_checkpoint.{k}": ",".join(v) if isinstance(v, list) else v for k, v in mode.items()}
    dump = work.path("traced")
    titan(work, "layers", {**F32, **settings, "training.steps": 1, "training.seq_len": 32, "training.local_batch_size": 1,
                           "profiling.enable_profiling": True, "profiling.profile_freq": 1, "profiling.profiler_warmup": 0,
                           "job.dump_folder": dump}, LAYERS)  # fmt: skip
    with open(os.path.join(dump, "profile_traces/iteration_1/rank0_trace.json")) as f:
        events = json.load(f)["traceEvents"]
    ops = [e["args"] for e in events if e["name"] == "linear" and e["args"]["phase"] == "input gradient"]
    return collections.Counter(tuple(reversed(a["Input Dims"][1])) for a in ops)


def replay(snapshot):
    """The most bytes of the arena alive at once; two buffers over each other are an error."""
    arena = next(s for s in snapshot["segments"] if s["allocated_size"] == 0)
    alive, most = {}, 0
    for e in snapshot["device_traces"][0]:
        begin, end = e["addr"], e["addr"] + e["size"]
        if e["action"] == "alloc":
            if not arena["address"] <= begin <= end <= arena["address"] + arena["total_size"]:
                raise AssertionError(f"outside the arena: {e}")
            for b, (size, _) in alive.items():
                if begin < b + size and b < end:
                    raise AssertionError(f"{e} lies over {alive[b]}")
            alive[begin] = (e["size"], e["frames"])
            most = max(most, sum(size for size, _ in alive.values()))
        elif e["action"] == "free_completed":
            assert alive.pop(begin) == (e["size"], e["frames"])
    assert not alive
    return most


def check_snapshot(work, title, settings):
    dump = work.path("snapshot")
    titan(work, "layers", {**settings, "training.steps": 1, "profiling.enable_memory_snapshot": True, "profiling.profile_freq": 1,
                           "job.dump_folder": dump}, LAYERS)  # fmt: skip
    folder = os.path.join(dump, "memory_snapshot/iteration_1")
    with open(os.path.join(folder, "rank0_memory_snapshot.pickle"), "rb") as f:
        snapshot = pickle.load(f)
    with open(os.path.join(folder, "rank0_memory.txt")) as f:
        table = f.read()
    peak = int(re.search(r"alive during operation \d+: (\d+) bytes", table)[1])
    total = int(re.search(r"(\d+) +[0-9.]+ MiB  in all", table)[1])
    check(f"{title}: buffers apart, the table's peak", replay(snapshot) == peak, f"{replay(snapshot)} and {peak}")
    check(f"{title}: the table's sum", sum(s["total_size"] for s in snapshot["segments"]) == total, str(total))
    segments, trace = _memory_viz.segsum(snapshot), _memory_viz.trace(snapshot)
    check(f"{title}: PyTorch's viewers", f"segments: {len(snapshot['segments'])}" in segments and "del " in trace, segments[-300:])
    frames = _memory_viz.memory(snapshot, format_flamegraph=lambda lines: lines)
    check(f"{title}: PyTorch's frames", "titan:0:optimizer state" in frames, frames[:300])


def main():
    with Workdir() as work:
        plain = products(None)
        for title, mode in MODES.items():
            theirs, ours = products(mode) - plain, remade(work, mode)
            check(f"products made again, {title}", ours == theirs, f"{dict(ours)} and {dict(theirs)}")
        check_snapshot(work, "mode none", {"activation_checkpoint.mode": "none"})
        check_snapshot(work, "two microbatches", {"activation_checkpoint.mode": "full", "training.global_batch_size": 4})
    finish()


main()

"""Who holds what of every parameter, in jobs of many shapes and all families: TorchTitan's own parallelize and pipeline functions, run on
the meta device with a process group that does not communicate, against titan's layout. Where the one refuses, so does the other."""
import itertools
import json
import logging
import os
import re
import subprocess
import warnings

import runs
from runs import ROOT, check, finish

TOOL = os.path.join(ROOT, os.environ.get("B", "build/release"), "tools/layout")
NAMES = {"r": "data_parallel_replicate_degree", "f": "data_parallel_shard_degree", "c": "context_parallel_degree",
         "t": "tensor_parallel_degree", "p": "pipeline_parallel_degree", "e": "expert_parallel_degree",
         "et": "expert_tensor_parallel_degree", "schedule": "pipeline_parallel_schedule", "less": "pipeline_parallel_first_stage_less_layers",
         "per": "pipeline_parallel_layers_per_stage"}  # fmt: skip

# Family and flavor, then shapes: "f4 t2" is 4 FSDP ranks of 2 tensor-parallel ones each.
DENSE = ["", "f4 t2", "r2 f2 t2", "r2", "r2 t2", "t4", "f2 c2 t2", "f128 t2", "f2 t3", "p2 f2 t2", "p4 r2 f2", "p2 scheduleInterleaved1F1B",
         "p2 scheduleZBVZeroBubble f2", "p2 per2 scheduleInterleaved1F1B", "p2 less2", "p8", "p16", "p2 per3"]  # fmt: skip
MOE = ["f4 t2", "f4 e4", "f8 e2", "f4 t2 e2", "f4 t2 e2 et2", "f4 t2 e8", "f16 e4", "r2 f4 t2 e2 et2", "f2 c2 e4", "e2 t2", "f2 e8", "f4 t4 e2 et2",
       "r2 t2", "p2 f4 t2 e2 et2", "r2 e2 t2"]  # fmt: skip
CASES = {("llama3", "debugmodel"): DENSE, ("qwen3", "debugmodel"): ["f2 t2", "p2", "r2 t2"], ("qwen3", "debugmodel_moe"): MOE,
         ("llama4", "debugmodel"): MOE, ("deepseek_v3", "debugmodel"): MOE, ("gpt_oss", "debugmodel"): MOE}  # fmt: skip
# TorchTitan builds these models, and fails in their first step: heads and experts that do not divide.
FAIL_LATER = [("llama3", "debugmodel", "t32"), ("qwen3", "debugmodel_moe", "f3 e3"), ("deepseek_v3", "debugmodel", "f3 e3")]


def degrees(text):
    return {m[1]: m[2] for m in (re.fullmatch(r"(schedule|less|per|et|[rfctpe])(.*)", word) for word in text.split())}


def settings(family, flavor, d):
    """As arguments, and how many ranks there are."""
    n = 1
    for k in "rfctp":
        n *= int(d.get(k, 1))
    args = [f"--model.name={family}", f"--model.flavor={flavor}", "--parallelism.data_parallel_shard_degree=1"]
    args += [f"--parallelism.{NAMES[k]}={v}" for k, v in d.items()]
    return args, n


def recorded(tensor, stage, holders):
    """Adds what DCP would record of a tensor for the ranks of its mesh; for all of the stage where it has none. Which these are."""
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._utils import _compute_local_shape_and_global_offset

    if not isinstance(tensor, DTensor):
        holders.setdefault(((0,) * tensor.dim(), tuple(tensor.shape)), set()).update(stage)
        return set(stage)
    mesh, ranks = tensor.device_mesh, set()
    for coordinate in itertools.product(*map(range, mesh.shape)):
        size, offset = _compute_local_shape_and_global_offset(tensor.shape, mesh.shape, list(coordinate), tensor.placements)
        ranks.add(int(mesh.mesh[coordinate]))
        holders.setdefault((offset, size), set()).add(int(mesh.mesh[coordinate]))
    return ranks


def build(spec, config, rank, nranks):
    """The model parts of one rank, on the meta device."""
    import torch
    from torchtitan.distributed import ParallelDims

    p = config.parallelism
    dims = ParallelDims(dp_replicate=p.data_parallel_replicate_degree, dp_shard=p.data_parallel_shard_degree, cp=p.context_parallel_degree,
                        tp=p.tensor_parallel_degree, pp=p.pipeline_parallel_degree, ep=p.expert_parallel_degree,
                        etp=p.expert_tensor_parallel_degree, world_size=nranks)  # fmt: skip
    dims.build_mesh()
    args = spec.model_args[config.model.flavor]
    args.update_from_config(config)
    with torch.device("meta"):
        model = spec.model_cls(args)
    if not dims.pp_enabled:
        return [spec.parallelize_fn(model, dims, config)]
    if not spec.pipelining_fn:
        raise RuntimeError("does not support pipelining")  # as train.py does
    return spec.pipelining_fn(model, dims, config, torch.device("cpu"), args, spec.parallelize_fn, lambda x: x)[1]


def theirs(family, args, nranks):
    """{fqn: {(offsets, sizes): ranks}}; the message where it refuses."""
    import torch.distributed as dist
    from torch.distributed.checkpoint.state_dict import get_model_state_dict
    from torch.testing._internal.distributed.fake_pg import FakeStore
    from torchtitan.config import ConfigManager
    from torchtitan.protocols.train_spec import get_train_spec

    config = ConfigManager().parse_args(args + ["--training.local_batch_size=64", "--activation_checkpoint.mode=none"])
    per_stage = nranks // config.parallelism.pipeline_parallel_degree
    out, seen = {}, {}
    for rank in range(nranks):
        stage = range(rank // per_stage * per_stage, (rank // per_stage + 1) * per_stage)
        if rank % per_stage == 0:
            seen = {}
        elif all(rank in ranks for ranks in seen.values()):
            continue  # a mesh that does not go over all ranks of the stage is another rank's too
        dist.init_process_group("fake", rank=rank, world_size=nranks, store=FakeStore())
        try:
            for part in build(get_train_spec(family), config, rank, nranks):
                for fqn, tensor in get_model_state_dict(part).items():
                    if rank not in seen.setdefault(fqn, set()):
                        seen[fqn] |= recorded(tensor, stage, out.setdefault(fqn, {}))
        except (ValueError, RuntimeError, AssertionError) as e:  # anything else is an error of this script
            return f"{type(e).__name__}: {e}"
        finally:
            dist.destroy_process_group()
    return out


def ours(args, nranks):
    """The same of titan."""
    done = subprocess.run([TOOL, str(nranks), *args], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 1 and len(done.stderr.splitlines()) == 1:
        return done.stderr.strip()
    if done.returncode or done.stderr:
        raise AssertionError(f"{' '.join(done.args)}: exit {done.returncode}: {done.stderr}")
    rows = map(json.loads, done.stdout.splitlines())
    return {fqn: {(tuple(o), tuple(s)): set(ranks) for o, s, ranks in shards} for fqn, shards in rows}


def is_refused(found, text):
    """With a message that names one of the settings of that shape."""
    return isinstance(found, str) and any(NAMES[k] in found for k in degrees(text))


def compare(family, flavor, text):
    args, nranks = settings(family, flavor, degrees(text))
    a, b = ours(args, nranks), theirs(family, args, nranks)
    name = f"{family} {flavor}, {text or 'one rank'}"
    if isinstance(a, str) or isinstance(b, str):
        return check(f"{name}: refused by both", is_refused(a, text) and isinstance(b, str), f"{a if isinstance(a, str) else 'taken'} | "
                     f"{b[:120] if isinstance(b, str) else 'taken'}")  # fmt: skip
    different = [fqn for fqn in a.keys() | b.keys() if a.get(fqn) != b.get(fqn)]
    check(f"{name}: the same holders", not different, f"{sum(map(len, a.values()))} shards of {len(a)} tensors, {sorted(different)[:3]}")


def main():
    warnings.filterwarnings("ignore")
    os.environ["LOCAL_RANK"] = "0"
    runs.prepare()
    logging.disable(logging.WARNING)
    for (family, flavor), shapes in CASES.items():
        for text in shapes:
            compare(family, flavor, text)
    for family, flavor, text in FAIL_LATER:
        found = ours(*settings(family, flavor, degrees(text)))
        check(f"{family} {flavor}, {text}: refused before the first step", is_refused(found, text), f"{found}"[:150])
    finish()


main()

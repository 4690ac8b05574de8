"""What a family's table says of each flavor, held against TorchTitan's own model on the meta device: the keys of its state dict in
their order, shapes, dtypes, the distributions that init_weights draws from, the counts in its log, and how tensor and expert
parallelism place each parameter on a fake mesh."""
import json
import logging
import os
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["WORLD_SIZE"], os.environ["RANK"], os.environ["LOCAL_RANK"] = "8", "0", "0"

import torch
import torch.distributed as dist
import torchtitan.protocols.train_spec as specs
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore
from torchtitan.components.checkpoint import ModelWrapper

FAMILIES = ["llama3", "qwen3", "llama4", "deepseek_v3", "gpt_oss"]
SEQ_LEN = 2048
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.environ.get("FAMILY_TOOL", os.path.join(ROOT, os.environ.get("B", "build/release"), "tools/family"))

drawn = {}  # id of a parameter: what it was drawn from last


def record_draws():
    """Every module's trunc_normal_, and the draws that go through torch.nn.init."""

    def trunc(x, mean=0.0, std=1.0, a=-2.0, b=2.0, **_):
        drawn[id(x)] = ["trunc", std, a, b]

    for name, module in list(sys.modules.items()):
        if name.startswith("torchtitan.models") and hasattr(module, "trunc_normal_"):
            module.trunc_normal_ = trunc
    torch.nn.init.trunc_normal_ = trunc
    torch.nn.init.normal_ = lambda x, mean=0.0, std=1.0, **_: drawn.__setitem__(id(x), ["normal", std, 0.0, 0.0])
    torch.nn.init.ones_ = lambda x: drawn.__setitem__(id(x), ["ones", 0.0, 0.0, 0.0])


def titan(family, flavor):
    env = dict(os.environ, TITAN_MODELS=os.path.join(ROOT, "configs/models"))
    p = subprocess.run([TOOL, family, flavor, str(SEQ_LEN)], capture_output=True, text=True, env=env)
    return json.loads(p.stdout) if p.returncode == 0 else p.stderr


def make(spec, args):
    """The model as the trainer has it before its first step: init_weights makes the buffers anew."""
    drawn.clear()
    with torch.device("meta"):
        model = spec.model_cls(args)
        drawn.clear()  # what constructors draw is drawn again
        model.init_weights(buffer_device=torch.device("meta"))
    return model


def close(a, b):
    return a[0] == b[0] and all(abs(x - y) <= 1e-12 * max(abs(x), 1) for x, y in zip(a[1:], b[1:]))


def compare_flavor(spec, family, flavor, args):
    model = make(spec, args)
    state = ModelWrapper(model)._get_state_dict()
    ours = titan(family, flavor)
    if isinstance(ours, str):
        return [ours]
    wrong = []
    params = ours["params"]
    if [p["fqn"] for p in params] != list(state):
        theirs, keys = set(state), {p["fqn"] for p in params}
        return [f"keys: titan lacks {sorted(theirs - keys)[:5]}, has {sorted(keys - theirs)[:5]}, or the order differs"]
    buffers = {n for n, _ in model.named_buffers()}
    where = {n: id(p) for n, p in model.named_parameters(remove_duplicate=False)}
    tied = getattr(args, "enable_weight_tying", False)
    for p in params:
        name, x = p["fqn"], state[p["fqn"]]
        theirs = [str(x.dtype).removeprefix("torch."), list(x.shape), name in buffers, ".experts." in name]
        mine = [p["dtype"], p["shape"], p["kind"] == "buffer", p["kind"] == "expert"]
        if theirs != mine:
            wrong.append(f"{name}: {theirs} is {mine} in titan")
        init = drawn.get(where.get(name), ["zeros", 0.0, 0.0, 0.0])  # a router's bias is drawn by nobody
        if not close(init, p["init"]) and not (tied and name == "tok_embeddings.weight"):  # drawn twice: last as the output
            wrong.append(f"{name}: init {init} is {p['init']} in titan")
    theirs = args.get_nparams_and_flops(model, SEQ_LEN)
    mine = (ours["nparams"], ours["flops_per_token"])
    if tuple(theirs) != mine:
        wrong.append(f"(nparams, flops) {theirs} is {mine} in titan")
    return wrong


def placements(model):
    return {n: [pl.dim if pl.is_shard() else -1 for pl in p.placements] if isinstance(p, DTensor) else [-1]
            for n, p in model.named_parameters(remove_duplicate=False)}


def compare_parallel(spec, family, flavor, args):
    """TP alone: each parameter by its tp. EP and ETP: experts by dimension 0, then by their tp."""
    module = sys.modules[spec.parallelize_fn.__module__]
    tp_only = init_device_mesh("cpu", (2,), mesh_dim_names=("tp",))
    both = init_device_mesh("cpu", (2, 2), mesh_dim_names=("ep", "etp"))
    table = {p["fqn"]: p for p in titan(family, flavor)["params"]}
    wrong = []
    for with_ep in (False, True):
        if with_ep and not hasattr(module, "apply_moe_ep_tp"):
            continue
        with torch.device("meta"):
            model = spec.model_cls(args)
        if family == "llama3":
            module.apply_tp(model, tp_only, loss_parallel=True, enable_float8_tensorwise_tp=False)
        else:
            tp(module, model, tp_only)
            ep_tp(module, family, model, tp_only, both if with_ep else None)
        for name, theirs in placements(model).items():
            p = table[name]
            mine = [0, p["tp"]] if p["kind"] == "expert" and with_ep else [p["tp"]]
            if theirs != mine:
                wrong.append(f"{name}: {'EP and ETP' if with_ep else 'TP'} places it {theirs}, titan {mine}")
    return wrong


def tp(module, model, mesh):
    import inspect

    known = {"enable_async_tp": False, "cp_enabled": False, "enable_float8_tensorwise_tp": False, "loss_parallel": True}
    wanted = inspect.signature(module.apply_non_moe_tp).parameters
    module.apply_non_moe_tp(model, mesh, **{k: v for k, v in known.items() if k in wanted})


def ep_tp(module, family, model, mesh, ep_etp):
    how = {"tp_mesh": mesh, "ep_mesh": ep_etp and ep_etp["ep"], "ep_etp_mesh": ep_etp}
    if family == "gpt_oss":
        how["etp_enabled"] = ep_etp is not None
    else:
        how["etp_mesh"] = ep_etp and ep_etp["etp"]
    module.apply_moe_ep_tp(model, **how)


def main():
    logging.disable(logging.CRITICAL)
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=4)
    passed = failed = 0
    found = {f: specs.get_train_spec(f) for f in FAMILIES}
    record_draws()
    for family, spec in found.items():
        for flavor, args in spec.model_args.items():
            if not hasattr(args, "moe_impl"):
                args.moe_impl = "standard"  # deepseek_v3 has it from the job's settings
            checks = {"": compare_flavor}
            if flavor.startswith("debugmodel"):
                checks[" in parallel"] = compare_parallel
            for what, check in checks.items():
                wrong = check(spec, family, flavor, args)
                passed, failed = passed + (not wrong), failed + bool(wrong)
                if wrong:
                    print(f"FAIL {family} {flavor}{what}:", *wrong[:12], sep="\n  ")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()

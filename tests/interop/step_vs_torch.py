"""A step of titan's training core against TorchTitan's llama3 Transformer under PyTorch: the same weights and tokens give the same
losses, gradients, gradient norms, first moments and weights after several optimizer steps. B: the build folder.

Flavors that attend within documents (flex, varlen) are held against a softmax with TorchTitan's own mask, which its compiled
kernels do not offer on a CPU.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from runs import largest
from torchtitan.components.loss import cross_entropy_loss
from torchtitan.distributed.utils import clip_grad_norm_
from torchtitan.models.attention import create_varlen_metadata_for_document, get_document_mask_mod
from torchtitan.models.llama3.model.args import TransformerModelArgs
from torchtitan.models.llama3.model.model import Transformer

STEP = os.path.join(os.environ.get("B", "build/release"), "tools", "step")
F32, AUTOCAST, PARAM = 0, 1, 2

# Relative L2 of each parameter's gradient, of its first moment, and of the weights in the end; relative difference of losses and
# gradient norms. Float32: sums in another order. Bfloat16: every activation is rounded to 8 bits (2^-9), and titan keeps some sums
# in float32 that PyTorch rounds. Weights are further apart than gradients: Adam divides each element by its own size, the tiny ones
# that are all rounding included.
TOLERANCES = {
    "f32": dict(loss=1e-6, norm=1e-5, grads=1e-5, exp_avg=1e-5, params=2e-4),
    "bf16": dict(loss=1e-3, norm=5e-3, grads=1e-2, exp_avg=1e-2, params=8e-2),
}

BASE = dict(dim=64, n_layers=2, n_heads=4, n_kv_heads=4, vocab_size=97, multiple_of=16, batch=2, seq=40, steps=3)
CASES = {
    "float32": dict(),
    "grouped queries, odd sizes": dict(dim=60, n_heads=6, n_kv_heads=2, vocab_size=131, multiple_of=7, seq=33, batch=3),
    "one key head, wider feed-forward": dict(n_kv_heads=1, ffn_dim_multiplier=1.3, multiple_of=10, n_layers=3),
    "three microbatches, ignored labels": dict(nmb=3, ignored=True),
    "rope scaling is felt": dict(original_max=16, rope_theta=10000.0),
    "adam, weight decay": dict(adamw=0, weight_decay=0.3),
    "adamw without weight decay": dict(weight_decay=0.0),
    "clipping acts": dict(max_norm=0.01),
    "max_norm 0 zeroes the gradients": dict(max_norm=0.0),
    "documents (flex)": dict(attn_type=1, mask=1, eos=5),
    "documents (varlen)": dict(attn_type=2, mask=1, eos=5, n_kv_heads=2, nmb=2),
    "flex without documents": dict(attn_type=1, mask=0),
    "a single token": dict(seq=1, batch=1, lr=1e-4),
    "longer than a block": dict(seq=300, batch=1),
    "autocast": dict(prec=AUTOCAST),
    "autocast, bfloat16 parameters": dict(prec=AUTOCAST, bf16_params=1, steps=1),
    "autocast, grouped queries, odd sizes": dict(prec=AUTOCAST, dim=60, n_heads=6, n_kv_heads=2, vocab_size=131,
                                                 multiple_of=7, seq=33),
    "parameters gathered as bfloat16": dict(prec=PARAM, n_kv_heads=2, nmb=2),
    "autocast, microbatches, documents": dict(prec=AUTOCAST, nmb=2, ignored=True, attn_type=1, mask=1, eos=5, seq=130),
}
DEFAULTS = dict(ffn_dim_multiplier=1.0, norm_eps=1e-5, rope_theta=500000.0, original_max=8192, attn_type=0, mask=0, eos=0, prec=F32,
                bf16_params=0, nmb=1, lr=1e-2, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, adamw=1, max_norm=1.0,
                ignored=False)


class MaskedSoftmax(torch.nn.Module):
    """What flex and varlen attention compute, with the mask as a matrix."""

    def forward(self, q, k, v, mask=None, *, block_mask=None, enable_gqa=False):
        mask = block_mask if mask is None else mask
        rep = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(rep, 1), v.repeat_interleave(rep, 1)
        with torch.autocast("cpu", enabled=False):
            scores = (q.float() @ k.float().transpose(-1, -2)) * q.shape[-1] ** -0.5
            p = scores.masked_fill(~mask[:, None], float("-inf")).softmax(-1)
            return (p @ v.float()).to(q.dtype)


class Varlen(MaskedSoftmax):
    def forward(self, q, k, v, mask):
        return super().forward(q, k, v, mask).transpose(1, 2).contiguous()


def document_mask(case, tokens):
    b, t = tokens.shape
    i = torch.arange(t)
    causal = (i[:, None] >= i[None, :]).expand(b, t, t)
    if not case["mask"]:
        return causal
    if case["attn_type"] == 2:
        ends = create_varlen_metadata_for_document(tokens, case["eos"]).cu_seq_q[1:]
        doc = torch.bucketize(torch.arange(b * t), ends, right=True).view(b, t)
        return causal & (doc[:, :, None] == doc[:, None, :])
    same = get_document_mask_mod(tokens.clone(), case["eos"])
    return causal & torch.stack([same(n, None, i[:, None], i[None, :]) for n in range(b)])


def build(case):
    args = TransformerModelArgs(
        dim=case["dim"], n_layers=case["n_layers"], n_heads=case["n_heads"], n_kv_heads=case["n_kv_heads"],
        vocab_size=case["vocab_size"], multiple_of=case["multiple_of"], norm_eps=case["norm_eps"], rope_theta=case["rope_theta"],
        ffn_dim_multiplier=None if case["ffn_dim_multiplier"] == 1 else case["ffn_dim_multiplier"], max_seq_len=case["seq"])
    args.rope_scaling_args.original_max_position_embeddings = case["original_max"]
    torch.manual_seed(7)
    model = Transformer(args)
    with torch.no_grad():
        model.init_weights()
        for p in model.parameters():  # norm weights too are to differ from one another
            p.add_(torch.randn_like(p) * (0.1 if p.ndim == 1 else 0.02))
    if case["attn_type"]:
        for layer in model.layers.values():
            layer.attention.attn_type = ["sdpa", "flex", "varlen"][case["attn_type"]]
            layer.attention.inner_attention = [None, MaskedSoftmax, Varlen][case["attn_type"]]()
    if case["attn_type"] == 1:  # TorchTitan asserts a BlockMask here; the mask goes in below it
        import torchtitan.models.llama3.model.model as module
        module.BlockMask = torch.Tensor
    if case["attn_type"] == 2:
        import torchtitan.models.llama3.model.model as module
        module.VarlenMetadata = torch.Tensor
    return model.bfloat16() if case["bf16_params"] else model


def predict(case, model, x, masks):
    if case["prec"] != PARAM:
        return model(x, attention_masks=masks)
    gathered = {name: p.bfloat16() for name, p in model.named_parameters()}  # as FSDP's mixed precision does
    return torch.func.functional_call(model, gathered, (x,), dict(attention_masks=masks))


def reference(case, model, tokens, labels):
    cls = torch.optim.AdamW if case["adamw"] else torch.optim.Adam
    optimizer = cls(model.parameters(), lr=case["lr"], betas=(case["beta1"], case["beta2"]), eps=case["eps"],
                    weight_decay=case["weight_decay"], fused=True)
    out = dict(loss=[], norm=[])
    for step in range(case["steps"]):
        optimizer.zero_grad()
        valid = (labels[step] != -100).sum().float()
        losses = []
        for mb in range(case["nmb"]):
            x = tokens[step, mb]
            masks = document_mask(case, x) if case["attn_type"] else None
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=case["prec"] == AUTOCAST):
                loss = cross_entropy_loss(predict(case, model, x, masks), labels[step, mb]) / valid
            loss.backward()
            losses.append(loss.detach())
        out["loss"].append(torch.stack(losses).sum().item())
        unclipped = {n: p.grad.clone() for n, p in model.named_parameters()}
        out["norm"].append(clip_grad_norm_(model.parameters(), case["max_norm"], foreach=True).item())
        optimizer.step()
        if step == 0:
            out["grads"] = unclipped
            out["exp_avg"] = {n: optimizer.state[p]["exp_avg"].clone() for n, p in model.named_parameters()}
    out["params"] = {n: p.detach().clone() for n, p in model.named_parameters()}
    return out


def raw(t):
    t = t.detach().contiguous()
    return (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()


def read(path, model):
    dtype = next(model.parameters()).dtype
    data, at, out = torch.from_numpy(np.fromfile(path, np.uint8)), 0, {}
    for name, p in model.state_dict().items():
        n = p.numel() * p.element_size()
        out[name] = data[at:at + n].view(dtype).view(p.shape)
        at += n
    assert at == len(data), path
    return out


def titan(case, model, tokens, labels, folder, threads=2):
    with open(f"{folder}/params", "wb") as f:
        for p in model.state_dict().values():
            f.write(raw(p))
    for name, t in (("tokens", tokens), ("labels", labels)):
        t.int().numpy().tofile(f"{folder}/{name}")
    numbers = [f"{k}={v}" for k, v in case.items() if k != "ignored"]
    run = subprocess.run([STEP, folder, f"threads={threads}", *numbers], capture_output=True, text=True)
    if run.returncode:
        raise AssertionError(f"step: exit {run.returncode}: {run.stderr}")
    lines = [line.split() for line in run.stdout.splitlines()]
    out = dict(loss=[float(line[0]) for line in lines], norm=[float(line[1]) for line in lines])
    for name, file in (("grads", "grads"), ("exp_avg", "exp_avg"), ("params", "params_out")):
        out[name] = read(f"{folder}/{file}", model)
    return out


def rel(ours, theirs, scale):
    """Relative L2; against the whole model's norm where the value is nothing but rounding (queries and keys of a single token)."""
    norm = theirs.double().norm().item()
    diff = (ours.double() - theirs.double()).norm().item()
    return diff / norm if norm > 1e-6 * scale else diff / max(scale, 1e-30)


def check(name, case):
    case = {**DEFAULTS, **BASE, **case}
    bf16 = case["prec"] != F32 or case["bf16_params"]
    tol = TOLERANCES["bf16" if bf16 else "f32"]
    model = build(case)
    g = torch.Generator().manual_seed(3)
    shape = (case["steps"], case["nmb"], case["batch"], case["seq"])
    tokens = torch.randint(0, case["vocab_size"], shape, generator=g)
    labels = torch.randint(0, case["vocab_size"], shape, generator=g)
    if case["mask"]:
        tokens[torch.rand(shape, generator=g) < 0.08] = case["eos"]
    if case["ignored"]:
        labels[torch.rand(shape, generator=g) < 0.3] = -100
    with tempfile.TemporaryDirectory() as folder:
        ours = titan(case, model, tokens, labels, folder)
    theirs = reference(case, model, tokens, labels)

    worst = {}
    worst["loss"] = largest(abs(a - b) / abs(b) for a, b in zip(ours["loss"], theirs["loss"]))
    worst["norm"] = largest(abs(a - b) / b for a, b in zip(ours["norm"], theirs["norm"]))
    for what in ("grads", "exp_avg", "params"):
        scale = sum(t.double().norm().item() ** 2 for t in theirs[what].values()) ** 0.5
        worst[what] = largest(rel(ours[what][n], theirs[what][n], scale) for n in theirs[what])
    bad = [k for k in worst if not worst[k] <= tol[k]]
    print(("FAILED " if bad else "ok ") + name + ": " + ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    return not bad


def main():
    torch.set_num_threads(2)
    wanted = sys.argv[1:]
    results = [check(name, case) for name, case in CASES.items() if not wanted or name in wanted]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

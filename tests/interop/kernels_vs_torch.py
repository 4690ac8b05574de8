"""Every kernel, the reference's and each instruction set's, against the torch function that its header names.

Distances are relative L2 of the whole tensor. float32: two orders of summation differ by a few times 2^-24; bfloat16: where both
round the same float32 value, a few elements in a thousand fall on the other side (2^-9 relative); where torch's own attention
rounds its probabilities to bfloat16, its error is 2^-9 itself.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from torchtitan.models.llama3.model.args import RoPEScalingArgs
from torchtitan.models.llama3.model.model import apply_rotary_emb, precompute_freqs_cis

TOOL = os.path.join(os.environ.get("B", "build/release"), "tools", "kernels_run")
EXT = {torch.float32: "f32", torch.bfloat16: "bf16", torch.int32: "i32", torch.int64: "i64"}
LIMIT = {torch.float32: 1e-6, torch.bfloat16: 1e-3}
NOISY = {torch.float32: 2e-6, torch.bfloat16: 6e-3}  # attention's gradients
passed = failed = 0


def write(folder, name, x):
    x = x.detach().contiguous()
    raw = x.view(torch.int16) if x.dtype == torch.bfloat16 else x
    raw.numpy().tofile(f"{folder}/{name}.{EXT[x.dtype]}")


def read(folder, name, like):
    kind = np.int16 if like.dtype == torch.bfloat16 else np.float32
    raw = torch.from_numpy(np.fromfile(f"{folder}/{name}.{EXT[like.dtype]}", kind))
    return (raw.view(torch.bfloat16) if like.dtype == torch.bfloat16 else raw).view(like.shape)


def check(op, inputs, wants, limits, **args):
    """Runs op for every table of kernels; wants: name -> torch's result; a limit of 0 is equality."""
    global passed, failed
    for kernels in ("ref", "base", "avx2", "avx512"):
        with tempfile.TemporaryDirectory() as folder:
            for name, x in inputs.items():
                write(folder, name, x)
            words = [f"{k}={v}" for k, v in args.items()] + [f"{k}={EXT[v.dtype]}" for k, v in wants.items()]
            rc = subprocess.run([TOOL, kernels, folder, op, *words]).returncode
            if rc == 77:
                print(f"SKIP {op} {kernels}: this machine does not have it")
                continue
            for name, want in wants.items():
                limit = limits[name if name in limits else want.dtype]
                got = read(folder, name, want).double() if rc == 0 else torch.tensor(float("nan"))
                want = want.detach().double()
                distance = ((got - want).norm() / want.norm().clamp_min(1e-30)).item()
                ok = distance <= limit and bool(torch.isfinite(got).all())
                passed, failed = passed + ok, failed + (not ok)
                if not ok or os.environ.get("VERBOSE"):
                    print(f"{'ok  ' if ok else 'FAIL'} {op} {kernels} {name} {args}: {distance:.2e}, limit {limit:.0e}")


def leaf(x):
    return x.clone().requires_grad_()


def matmul(dtype):
    x, w, dy = (torch.randn(s).to(dtype) for s in ((70, 33), (65, 33), (70, 65)))
    xl, wl = leaf(x), leaf(w)
    y = F.linear(xl, wl)
    y.backward(dy)
    check("matmul", {"a": x, "b": w}, {"c": y}, LIMIT, m=70, n=65, k=33, tb=1)
    check("matmul", {"a": dy, "b": w}, {"c": xl.grad}, LIMIT, m=70, n=33, k=65)
    check("matmul", {"a": dy, "b": x}, {"c": wl.grad}, LIMIT, m=65, n=33, k=70, ta=1)


def embedding(dtype):
    w, ids, dy = torch.randn(50, 24).to(dtype), torch.randint(0, 50, (90,)), torch.randn(90, 24).to(dtype)
    wl = leaf(w.float())
    F.embedding(ids, wl).backward(dy.float())
    check("embedding", {"w": w, "id": ids, "dy": dy}, {"y": F.embedding(ids, w), "dw": wl.grad}, LIMIT, n=90, d=24, vocab=50)


def rmsnorm(x_dtype, w_dtype, d):
    x, w, dy = torch.randn(60, d).to(x_dtype), 1 + torch.randn(d).to(w_dtype) / 4, torch.randn(60, d)
    xl, wl = leaf(x), leaf(w)
    y = F.rms_norm(xl, (d,), wl, 1e-5)
    dy = dy.to(y.dtype)
    y.backward(dy)
    check("rmsnorm", {"x": x, "w": w, "dy": dy}, {"y": y, "dx": xl.grad, "dw": wl.grad}, LIMIT, n=60, d=d, eps=1e-5)


def rope(dtype, dim, with_positions):
    b, t, h, end = 2, 37, 3, 4096
    args = RoPEScalingArgs()
    table = precompute_freqs_cis(dim, end, 500000.0, args)
    x, dy = torch.randn(b, t, h, dim).to(dtype), torch.randn(b, t, h, dim).to(dtype)
    pos = torch.randint(0, end, (b, t)) if with_positions else None
    xl = leaf(x)
    y, _ = apply_rotary_emb(xl, xl, table, pos)
    y.backward(dy)
    inputs = {"x": x, "dy": dy} | ({"pos": pos.int()} if with_positions else {})
    # cos and sin of an angle up to 4096: where torch's pow is an ulp off, the angle is by up to 4096 * 2^-24
    check("rope", inputs, {"table": torch.view_as_real(table)}, {"table": 2e-5}, batch=b, t=t, heads=h, dim=dim, end=end,
          theta=500000.0, factor=args.scaling_factor, low=args.low_freq_factor, high=args.high_freq_factor,
          original=args.original_max_position_embeddings)
    check("rope", inputs, {"y": y, "dx": xl.grad}, {"y": 2e-5 if dtype == torch.float32 else 2e-3, "dx": 2e-5 if dtype == torch.float32 else 2e-3},
          batch=b, t=t, heads=h, dim=dim, end=end, theta=500000.0, factor=args.scaling_factor, low=args.low_freq_factor,
          high=args.high_freq_factor, original=args.original_max_position_embeddings)


def attention(dtype, heads, kv_heads, dim, t, docs):
    b = 2
    q, k, v, do = (torch.randn(b, t, h, dim).to(dtype) for h in (heads, kv_heads, kv_heads, heads))
    doc = (torch.arange(b * t, dtype=torch.int32).view(b, t) // 19) if docs else None
    ql, kl, vl = leaf(q), leaf(k), leaf(v)
    mask = (torch.tril(torch.ones(t, t, dtype=torch.bool)) & (doc[:, None, :, None] == doc[:, None, None, :])) if docs else None
    o = F.scaled_dot_product_attention(ql.transpose(1, 2), kl.transpose(1, 2), vl.transpose(1, 2), attn_mask=mask,
                                       is_causal=not docs, enable_gqa=heads > kv_heads).transpose(1, 2)
    o.backward(do)
    inputs = {"q": q, "k": k, "v": v, "do": do} | ({"doc": doc} if docs else {})
    check("attention", inputs, {"o": o, "dq": ql.grad, "dk": kl.grad, "dv": vl.grad}, NOISY, batch=b, t=t, heads=heads,
          kv_heads=kv_heads, dim=dim, scale=dim**-0.5, causal=1)


def swiglu(dtype):
    a, b, dy = (torch.randn(999).to(dtype) * 3 for _ in range(3))
    al, bl = leaf(a), leaf(b)
    y = F.silu(al) * bl
    y.backward(dy)
    check("swiglu", {"a": a, "b": b, "dy": dy}, {"y": y, "da": al.grad, "db": bl.grad}, LIMIT, n=999)


def cross_entropy(dtype):
    z, label = torch.randn(50, 301).to(dtype) * 4, torch.randint(0, 301, (50,))
    label[7] = -100
    zl = leaf(z)
    scale = torch.tensor([1 / 49])
    loss = F.cross_entropy(zl.float(), label, reduction="sum", ignore_index=-100) * scale
    loss.backward()
    check("cross_entropy", {"z": z, "label": label, "scale": scale}, {"loss": loss, "dz": zl.grad}, LIMIT, n=50, vocab=301)


def adam(dtype, decoupled, wd, max_norm):
    p, g, m, v = (torch.randn(777).to(dtype) for _ in range(4))
    v = v.abs()
    pl = p.clone().requires_grad_()
    opt = (torch.optim.AdamW if decoupled else torch.optim.Adam)([pl], lr=3e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=wd, fused=True)
    opt.state[pl] = {"step": torch.tensor(6.0), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    coef = torch.tensor([0.37 if max_norm else 1.0])
    pl.grad = g * coef.to(dtype) if dtype == torch.float32 else (g.float() * coef).to(dtype)
    opt.step()
    inputs = {"p": p, "m": m, "v": v, "g": g} | ({"grad_mul": coef} if max_norm else {})
    state = opt.state[pl]
    check("adam", inputs, {"p": pl, "m": state["exp_avg"], "v": state["exp_avg_sq"]},
          {torch.float32: 1e-7, torch.bfloat16: 2e-4}, n=777, lr=3e-3, beta1=0.9, beta2=0.95, eps=1e-8, wd=wd, decoupled=int(decoupled),
          step=7)


def clip(max_norm):
    x, y = torch.randn(5000), torch.randn(5000)
    xl, yl = leaf(x), leaf(y)
    xl.grad, yl.grad = x.clone(), y.clone()
    norm = torch.nn.utils.clip_grad_norm_([xl, yl], max_norm)
    coef = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    check("clip", {"x": x, "y": y}, {"norm": norm.reshape(1), "coef": coef.reshape(1)}, {torch.float32: 3e-7}, n=5000, max_norm=max_norm)


def main():
    torch.manual_seed(1)
    for dtype in (torch.float32, torch.bfloat16):
        matmul(dtype)
        embedding(dtype)
        rmsnorm(dtype, dtype, 256)
        rmsnorm(dtype, dtype, 33)
        rope(dtype, 16, False)
        rope(dtype, 128, True)
        attention(dtype, 4, 4, 16, 130, False)
        attention(dtype, 4, 2, 24, 70, False)
        attention(dtype, 2, 1, 128, 65, True)
        swiglu(dtype)
        cross_entropy(dtype)
        for decoupled in (False, True):
            for wd in (0.0, 0.1):
                adam(dtype, decoupled, wd, wd > 0)
    clip(1.0)
    clip(1e9)
    clip(0.0)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())

"""PyTorch's speed in the operations of bench_kernels, at the debugmodel's shapes: kernels_torch.py [THREADS]. Medians, milliseconds.

`make bench-kernels` prints the same rows for titan; both want an otherwise idle machine.
"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F

B, T, DIM, HEADS, HIDDEN, VOCAB, RUNS = 8, 2048, 256, 16, 768, 2048, 5


def median_ms(call):
    call()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def rand(dtype, *shape):
    return torch.rand(*shape).to(dtype).requires_grad_()


def rows(dtype):
    x, w, u, a, b = rand(dtype, B * T, DIM), rand(dtype, DIM), rand(dtype, HIDDEN, DIM), rand(dtype, B * T, HIDDEN), rand(dtype, B * T, HIDDEN)
    q, k, v = (rand(dtype, B, T, HEADS, DIM // HEADS).transpose(1, 2) for _ in range(3))
    z, label = rand(dtype, B * T, VOCAB), torch.randint(0, VOCAB, (B * T,))
    return {
        "matmul hidden dim": lambda: F.linear(x, u),
        "attention": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        "rmsnorm": lambda: F.rms_norm(x, (DIM,), w, 1e-5),
        "swiglu": lambda: F.silu(a) * b,
        "cross entropy": lambda: F.cross_entropy(z.float(), label, reduction="sum"),
    }


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    for dtype in (torch.float32, torch.bfloat16):
        for name, forward in rows(dtype).items():
            y = forward()
            grad = torch.ones_like(y)
            print(f"{name:20} {str(dtype)[6:]:9} fwd {median_ms(forward):9.3f} ms  bwd "
                  f"{median_ms(lambda: y.backward(grad, retain_graph=True)):9.3f} ms", flush=True)


main()

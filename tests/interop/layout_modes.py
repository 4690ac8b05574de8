"""What a run of several ranks may do beside taking steps, against the real TorchTitan's on as many gloo ranks, from one seed checkpoint:
gradient accumulation, validation with a plan of its own, steps in the backward, whole logits, and every mode of precision.
TITAN_INTEROP_FULL=1 (make interop-full): all of these. (training.enable_cpu_offload is an error of TorchTitan's on a CPU.)"""
import os
import sys

import ranks
from runs import BF16, DATA, F32, TINY, Workdir, check_steps, finish

REPLICATE, TP = (f"parallelism.{d}_degree" for d in ("data_parallel_replicate", "tensor_parallel"))
MODEL = {**TINY, "vocab_size": 2051}  # which no degree divides
SETTINGS = {**F32, "training.steps": 6, "training.seq_len": 64, "optimizer.lr": 3e-3, "checkpoint.enable": True, "checkpoint.load_only": True}
VALIDATION = {"validation.enable": True, "validation.freq": 3, "validation.steps": 2, "validation.seq_len": 24, "validation.local_batch_size": 3,
              "validation.dataset": "c4_test", "validation.dataset_path": DATA}  # fmt: skip
EARLY = {"optimizer.early_step_in_backward": True}
STORED = {"training.dtype": "bfloat16"}
DDP = {"training.max_norm": 0.1, "training.local_batch_size": 1, "training.seq_len": 16}  # clipping always acts, as in layout_runs.py

# Ranks, settings, losses within, norms within (relative).
F32_TOL, STORED_TOL, BF16_TOL = (2e-5, 1e-4), (1e-5, 1e-2), (3e-3, 1e-2)  # TorchTitan's norm of bfloat16 gradients is one
CASES = {
    "fsdp 2, accumulation over 3": (2, {"training.global_batch_size": 12}, F32_TOL),
    "hsdp 2x2, accumulation over 2, validation": (4, {REPLICATE: 2, "training.global_batch_size": 16, **VALIDATION}, F32_TOL),
    "dp 2 x tp 2, accumulation over 2, validation": (4, {TP: 2, "training.global_batch_size": 8, **VALIDATION}, F32_TOL),
    "tp 2, whole logits, validation": (2, {TP: 2, "parallelism.disable_loss_parallel": True, **VALIDATION}, F32_TOL),
    "fsdp 2, steps in the backward, accumulation over 2": (2, {**EARLY, "training.global_batch_size": 8}, F32_TOL),
    "fsdp 2, steps in the backward, accumulation over 2, bfloat16": (2, {**EARLY, **BF16, "training.global_batch_size": 8}, BF16_TOL),
    "hsdp 2x2, steps in the backward": (4, {REPLICATE: 2, **EARLY}, F32_TOL),
    "tp 2, steps in the backward": (2, {TP: 2, **EARLY}, F32_TOL),
    "dp 2 x tp 2, steps in the backward": (4, {TP: 2, **EARLY}, F32_TOL),
    "tp 2, bfloat16, which is not": (2, {TP: 2, **BF16}, F32_TOL),
    "fsdp 2, bfloat16": (2, BF16, BF16_TOL),
    "hsdp 2x2, bfloat16": (4, {REPLICATE: 2, **BF16}, BF16_TOL),
    "dp 2 x tp 2, bfloat16": (4, {TP: 2, **BF16}, BF16_TOL),
    "fsdp 2, bfloat16 parameters, accumulation over 2": (2, {**STORED, "training.global_batch_size": 8}, STORED_TOL),
    "hsdp 2x2, bfloat16 parameters, accumulation over 2": (4, {REPLICATE: 2, **STORED, "training.global_batch_size": 16}, STORED_TOL),
    "dp 2 x tp 2, bfloat16 parameters, accumulation over 2": (4, {TP: 2, **STORED, "training.global_batch_size": 8}, STORED_TOL),
    "dp 2 x tp 2, bfloat16 parameters, steps in the backward": (4, {TP: 2, **STORED, **EARLY, "training.global_batch_size": 8}, STORED_TOL),
    "ddp 2, bfloat16": (2, {REPLICATE: 2, **DDP, **BF16}, BF16_TOL),
}  # fmt: skip
FULL_ONLY = ("fsdp 2, accumulation over 3", "dp 2 x tp 2, accumulation over 2, validation", "hsdp 2x2, steps in the backward",
             "dp 2 x tp 2, steps in the backward", "fsdp 2, bfloat16", "hsdp 2x2, bfloat16",
             "dp 2 x tp 2, bfloat16 parameters, accumulation over 2", "ddp 2, bfloat16")  # fmt: skip
CHOSEN = CASES if os.environ.get("TITAN_INTEROP_FULL") else [name for name in CASES if name not in FULL_ONLY]


def main():
    with Workdir() as work:
        for name in sys.argv[1:] or CHOSEN:
            nranks, settings, (loss_tol, norm_tol) = CASES[name]
            _, a, b = ranks.both(work, name, nranks, {**SETTINGS, **settings}, MODEL)
            scale = nranks if "ddp" in name else 1
            check_steps(name, a, [{**s, "grad_norm": s["grad_norm"] * scale} for s in b], loss_tol, norm_tol)
    finish()


main()

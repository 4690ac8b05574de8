"""Tokens a second and peak memory of titan-train and of the real TorchTitan: llama3 debugmodel, BATCH (8) sequences of 2048 tokens a
step, products in DTYPE (bfloat16; PyTorch is slow at it on processors without AVX-512, where float32 is fairer), no activation
checkpointing; on RANKS (1) processes that share the batch by FSDP, of mpirun and of torchrun with gloo. The two run in turns, ROUNDS
(3) times; a figure is the median over all STEPS (7) but each run's first two (its last where there are no more), a ratio is the median of
the rounds' ratios (above 1: titan is better). Exit 1 where titan is not as fast, on several processes 1.5 times as fast, or takes more
memory."""
import os
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROUNDS, STEPS = int(os.environ.get("ROUNDS", 3)), int(os.environ.get("STEPS", 7))
RANKS, BATCH = int(os.environ.get("RANKS", 1)), int(os.environ.get("BATCH", 8))
BAR = 1.5 if RANKS > 1 else 1.0
FLAGS = [
    "--job.config_file", os.path.join(ROOT, "configs/llama3/debug_model.toml"),
    "--training.local_batch_size", str(BATCH // RANKS), "--training.seq_len", "2048", "--training.steps", str(STEPS),
    "--training.mixed_precision_param", os.environ.get("DTYPE", "bfloat16"), "--activation_checkpoint.mode", "none",
    "--metrics.log_freq", "1", "--debug.seed", "42",
]  # fmt: skip


def run(command, folder):
    """The medians of tokens/s of all ranks, the peak resident memory in MiB (of the largest process), the losses."""
    log = os.path.join(folder, "log")
    env = dict(os.environ, OMP_NUM_THREADS=str(max(1, os.cpu_count() // RANKS)))
    env.update(OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none", OMPI_ALLOW_RUN_AS_ROOT="1",
               OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")  # fmt: skip
    with open(log, "w") as f:
        p = subprocess.Popen(command + FLAGS + ["--job.dump_folder", folder], cwd=ROOT, stdout=f, stderr=f, env=env)
        _, status, usage = os.wait4(p.pid, 0)
    with open(log) as f:
        text = re.sub(r"\x1b\[[0-9;]*m", "", f.read())
    tps = [float(x.replace(",", "")) for x in re.findall(r"tps: ([0-9,]+)", text)]
    losses = re.findall(r"loss: +([0-9.]+)", text)
    if status or len(tps) != STEPS:
        sys.exit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    return RANKS * statistics.median(tps[min(2, STEPS - 1):]), usage.ru_maxrss / 1024, losses


def main():
    mpirun = ["mpirun", "-n", str(RANKS)] if RANKS > 1 else []
    programs = {
        "titan": mpirun + [os.path.join(ROOT, os.environ.get("BIN", "build/bin"), "titan-train")],
        "TorchTitan": [os.path.join(ROOT, "tests/anchor/tt-train"), str(RANKS)],
    }
    results = {name: [] for name in programs}
    for i in range(ROUNDS):
        for name in list(programs)[:: 1 if i % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                results[name].append(run(programs[name], folder))
                tps, mem, losses = results[name][-1]
            print(f"round {i + 1}  {name:10}  {tps:9.0f} tokens/s  {mem:7.0f} MiB  last loss {losses[-1]}", flush=True)
    a, b = results["titan"], results["TorchTitan"]
    for name, r in results.items():
        print(f"{name:10}  {statistics.median(x[0] for x in r):9.0f} tokens/s  {statistics.median(x[1] for x in r):7.0f} MiB")
    speed = statistics.median(x[0] / y[0] for x, y in zip(a, b))
    memory = statistics.median(y[1] / x[1] for x, y in zip(a, b))
    print(f"ratio       {speed:9.2f} times as fast  {1 / memory:.2f} of the memory")
    if not (speed >= BAR and memory >= 1):
        sys.exit(f"FAILED: titan is to be at least {BAR:g} times as fast, in no more memory")


main()

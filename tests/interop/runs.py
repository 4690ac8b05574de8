"""Runs of titan and of the real TorchTitan with the same settings, and what they reported at each step, to the last digit.

TorchTitan runs inside this process, one run after another, because starting it takes as long as twenty small steps. Both take the same
flags; a flavor is a dict of TorchTitan's model args, a file for titan and an entry of the registry for TorchTitan."""
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/anchor"))
BIN = os.path.join(ROOT, os.environ.get("BIN", "build/bin"))
DATA = os.environ.get("TITAN_TEST_DATA", os.path.join(ROOT, "tests/assets/c4_test"))
TOKENIZER = os.environ.get("TITAN_TEST_TOKENIZER", os.path.join(ROOT, "tests/assets/tokenizer"))

TINY = {"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 2048, "multiple_of": 32, "rope_theta": 500000}
# No tensor of it but the norms has a multiple of 16 elements.
ODD = {"dim": 30, "n_layers": 3, "n_heads": 3, "vocab_size": 2047, "multiple_of": 7, "rope_theta": 500000}

BASE = {
    "job.description": "interop",
    "model.name": "llama3",
    "model.hf_assets_path": TOKENIZER,
    "training.dataset": "c4_test",
    "training.dataset_path": DATA,
    "training.local_batch_size": 2,
    "training.seq_len": 128,
    "training.steps": 20,
    "lr_scheduler.warmup_steps": 2,
    "optimizer.lr": 8e-4,
    "metrics.log_freq": 1,
    "activation_checkpoint.mode": "none",
    "debug.seed": 42,
}
F32 = {"training.mixed_precision_param": "float32"}
BF16 = {"training.mixed_precision_param": "bfloat16"}
FULL = {"checkpoint.enable": True, "checkpoint.interval": 5, "checkpoint.last_save_model_only": False}


def flags(settings):
    out = []
    for key, value in settings.items():
        if isinstance(value, bool):
            section, _, name = key.rpartition(".")
            out += [f"--{key}" if value else f"--{section}.no_{name}"]
        else:
            out += [f"--{key}", str(value)]
    return out


class Workdir(tempfile.TemporaryDirectory):
    """A folder of flavors, dump folders and logs."""

    def __init__(self):
        super().__init__(prefix="titan-interop-")
        os.environ.setdefault("HF_DATASETS_CACHE", os.path.join(tempfile.gettempdir(), "tt-datasets"))

    def __enter__(self):
        return self

    def path(self, *names):
        return os.path.join(self.name, *names)

    def flavor_file(self, name, fields):
        path = self.path(f"{name}.yaml")
        with open(path, "w") as f:
            f.writelines(f"{k}: {json.dumps(v)}\n" for k, v in fields.items())
        return path


# --- titan -------------------------------------------------------------------------------------------------------------------


def titan(work, flavor, settings, fields=None, program="titan-train", fails=False):
    """The steps of a run: dicts with step, loss, grad_norm, lr, ntokens and, where there was a validation, validation_loss. `fails`: the
    run must end with exit 1; its message."""
    jsonl = work.path("steps.jsonl")
    if os.path.exists(jsonl):
        os.remove(jsonl)
    flavor = work.flavor_file(flavor, fields) if fields else flavor
    command = [os.path.join(BIN, program)] + flags({**BASE, **settings, "model.flavor": flavor})
    command += ["--metrics.save_jsonl", jsonl]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.stdout:
        raise AssertionError(f"stdout is for data: {done.stdout[:200]!r}")
    if done.returncode != (1 if fails else 0):
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-3000:]}")
    if fails:
        return done.stderr.strip().splitlines()[-1]
    if not os.path.exists(jsonl):
        return []
    with open(jsonl) as f:
        lines = [json.loads(line) for line in f]
    ours = {line["step"]: line for line in lines if "loss" in line}
    for line in lines:
        ours[line["step"]].update({key: line[key] for key in line if key.startswith("validation_")})
    return list(ours.values())


# --- TorchTitan --------------------------------------------------------------------------------------------------------------

steps = []  # of the run in progress


def prepare():
    """Imports TorchTitan once, with what it needs to run on a CPU, and listens to its metrics."""
    if "torchtitan.train" in sys.modules:
        return
    import tt_cpu  # noqa: F401  the patches for a CPU

    import torchtitan.components.metrics as metrics
    import torchtitan.train as train

    original = metrics.MetricsProcessor.log

    def log(self, step, global_avg_loss, global_max_loss, grad_norm, extra_metrics=None):
        steps.append({"step": step, "loss": global_avg_loss, "grad_norm": grad_norm, "lr": extra_metrics["lr"],
                      "ntokens": extra_metrics["n_tokens_seen"]})  # fmt: skip
        original(self, step, global_avg_loss, global_max_loss, grad_norm, extra_metrics)

    original_validation = metrics.MetricsProcessor.log_validation

    def log_validation(self, loss, step, extra_metrics=None):
        steps[-1]["validation_loss"] = loss
        original_validation(self, loss, step, extra_metrics)

    metrics.MetricsProcessor.log = log
    metrics.MetricsProcessor.log_validation = log_validation
    train.time.sleep = lambda seconds: None  # "for other ranks to complete"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def torchtitan(work, flavor, settings, fields=None, fails=False):
    """The same for the real TorchTitan."""
    prepare()
    import torchtitan.train as train
    from tt_flavors import add_flavors
    from torchtitan.config import ConfigManager

    if fields:
        os.environ["TT_FLAVORS"] = json.dumps({flavor: fields})
        add_flavors()
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    # The default of this argument is what sys.argv was when the module was loaded.
    ConfigManager.parse_args.__defaults__ = (flags({**BASE, **settings, "model.flavor": flavor}),)
    steps.clear()
    here = os.getcwd()
    os.chdir(work.name)
    try:
        train.main(train.Trainer)
    except BaseException:  # CheckpointException is no Exception
        import torch

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if not fails:
            raise
        return traceback.format_exc()
    finally:
        os.chdir(here)
    return list(steps)


# --- tokenizers --------------------------------------------------------------------------------------------------------------


def train_tokenizer(model, texts, vocab, pretok=None, norm=None, alphabet=True, **more):
    """A BPE tokenizer, byte-level where it has an alphabet; more: of its trainer."""
    from tokenizers import Tokenizer, pre_tokenizers, trainers

    tok = Tokenizer(model)
    if norm:
        tok.normalizer = norm
    if pretok:
        tok.pre_tokenizer = pretok
    initial = pre_tokenizers.ByteLevel.alphabet() if alphabet else []
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=initial, show_progress=False, **more))
    return tok


def save_tokenizer(folder, tok, config=None, change=None, ensure_ascii=False):
    """tokenizer.json, with `change` made to its tree, and tokenizer_config.json; the folder."""
    os.makedirs(folder)
    tree = json.loads(tok.to_str())
    if change:
        change(tree)
    with open(folder + "/tokenizer.json", "w") as f:
        json.dump(tree, f, ensure_ascii=ensure_ascii)
    if config is not None:
        with open(folder + "/tokenizer_config.json", "w") as f:
            json.dump(config, f)
    return folder


# --- comparing ---------------------------------------------------------------------------------------------------------------

passed = failed = 0


def count(name, ok, detail=""):
    """Of many: only what fails is printed."""
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAILED {name}: {detail}", flush=True)


def check(name, ok, detail=""):
    count(name, ok, detail)
    if ok:
        print(f"ok     {name}: {detail}", flush=True)


def largest(gaps):
    """NaN where one of them is no finite number, wherever it stands: max() heeds a first one only."""
    gaps = list(gaps)
    return max(gaps) if all(map(math.isfinite, gaps)) else math.nan


def check_steps(name, ours, theirs, loss_tol, norm_tol=None):
    """Losses, of validations too, within loss_tol of each other, gradient norms within norm_tol of theirs (relative); all are numbers."""
    if [s["step"] for s in ours] != [s["step"] for s in theirs] or not ours:
        return check(name, False, f"steps {[s['step'] for s in ours]} against {[s['step'] for s in theirs]}")
    if any(("validation_loss" in a) != ("validation_loss" in b) for a, b in zip(ours, theirs)):
        return check(name, False, "validated at other steps")
    values = ("loss", "validation_loss", "grad_norm")
    odd = [(s["step"], k, s[k]) for s in (*ours, *theirs) for k in values if k in s and (s[k] is None or not math.isfinite(s[k]))]
    if odd:
        return check(name, False, f"no numbers: {odd[:3]}")
    gap = max(abs(a[k] - b[k]) for a, b in zip(ours, theirs) for k in values[:2] if k in a)
    norm_gap = max(abs(a["grad_norm"] - b["grad_norm"]) / max(b["grad_norm"], 1e-12) for a, b in zip(ours, theirs))
    same = all(a["lr"] == b["lr"] and a["ntokens"] == b["ntokens"] for a, b in zip(ours, theirs))
    ok = gap <= loss_tol and (norm_tol is None or norm_gap <= norm_tol) and same
    check(name, ok, f"loss gap {gap:.2e} of {loss_tol:g}, grad_norm gap {norm_gap:.2e}"
          f"{'' if norm_tol is None else f' of {norm_tol:g}'}, lr and tokens {'equal' if same else 'DIFFER'}, "
          f"last loss {theirs[-1]['loss']:.5f}")  # fmt: skip


def load(path):
    """A DCP folder as {key: value}, flat."""
    from ckptdiff import flatten, load as load_any

    return dict(flatten(load_any(path)))


def copy_step(source, target, step):
    shutil.copytree(os.path.join(source, "checkpoint", f"step-{step}"), os.path.join(target, "checkpoint", f"step-{step}"))


def finish():
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)

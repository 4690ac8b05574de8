"""Command lines and TOML files through TorchTitan's own parser and through titan's: the same settings, or an error from both.

Where titan is stricter on purpose, the row says so (STRICTER): TorchTitan takes the value and fails, or misbehaves, later."""
import contextlib
import functools
import io
import json
import math
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.environ.get("CONFIG_TOOL", os.path.join(ROOT, os.environ.get("B", "build/release"), "tools/config"))

STRICTER = "stricter"
LINES = [
    [], ["--training.steps", "5"], ["--training.steps=5"], ["--training.steps", "1_000"], ["--training.steps", " +5 "],
    ["--training.steps", "5.0"], ["--training.steps", "1e3"], ["--training.steps", "0x10"], ["--training.steps", ""],
    ["--training.steps", "_1"], ["--training.steps", "1__0"], ["--training.steps=5", "--training.steps=6"], ["--training.step", "6"],
    ["--training.local-batch-size", "6"], ["--training.local_batch-size", "6"], ["--optimizer.lr", "1"], ["--optimizer.lr", "1e-4"],
    ["--optimizer.lr", "1_0.5"], ["--optimizer.lr", "abc"], ["--optimizer.lr=.5"], ["--optimizer.lr", "5."], ["--optimizer.lr", "0x1p3"],
    ["--training.max_norm", "1"], ["--training.max_norm", "inf"], ["--training.max_norm", "infinity"], ["--training.max_norm", "1e1"],
    ["--training.max_norm", "abc"], ["--checkpoint.enable"], ["--checkpoint.no_enable"], ["--checkpoint.no-enable"],
    ["--checkpoint.enable", "True"], ["--checkpoint.enable=True"], ["--no-checkpoint.enable"],
    ["--checkpoint.enable", "--checkpoint.no-enable"], ["--debug.seed", "None"], ["--debug.seed", "none"], ["--debug.seed", "4"],
    ["--debug.seed", "-4"], ["--debug.seed=-4"], ["--debug.seed", "1_0"], ["--compile.components", "a,b"], ["--compile.components", ""],
    ["--compile.components", "a", "b"], ["--compile.components", "a, b"], ["--compile.components", "None"],
    ["--compile.components=a,b,"], ["--parallelism.module_fqns_per_model_part", "a,b", "c"],
    ["--parallelism.module_fqns_per_model_part", "a,b c"], ["--parallelism.module_fqns_per_model_part", "None"],
    ["--parallelism.module_fqns_per_model_part"], ["--parallelism.module_fqns_per_model_part=a,b"],
    ["--parallelism.module_fqns_per_model_part", "a,b", "--training.steps", "3"], ["--job.description", "None"],
    ["--training.dataset_path", "None"], ["--training.dataset_path", "none"], ["--job.description", ""], ["--job.description", "-x"],
    ["--job.description=-x"], ["--job.description=a=b"], ["--job.description"], ["--lr_scheduler.decay_type", "cosine"],
    ["--lr_scheduler.decay_type", "cos"], ["--lr-scheduler.decay-type", "sqrt"], ["--quantize.grouped_mm.mx.fqns", "a,b"],
    ["--quantize.grouped_mm.mx.fqns"], ["--quantize.linear.float8.recipe_name", "None"],
    ["--quantize.linear.float8.recipe_name", "rowwise"], ["--quantize.linear.float8.emulate"],
    ["--quantize.linear.float8.no-emulate"], ["--training.dataloader.no-pin-memory"], ["--lr_scheduler.decay_ratio", "1"],
    ["--lr_scheduler.decay_ratio", "None"], ["--parallelism.pipeline_parallel_schedule_csv", "None"], ["extra"], ["--foo.bar"],
    ["--training.foo", "1"], ["--validation.steps", "0"], ["--training.steps", "5", "6"], ["--Training.steps", "5"],
    ["--training.mixed_precision_param", "float16"], ["--activation_checkpoint.selective_ac_option", "op"], ["--"],
    ["--job.dump_folder", "~/x"], ["training.steps", "5"], ["-training.steps", "5"], ["--training.no_steps"],
    ["--model.tokenizer_path", "tests/assets/tokenizer"], ["--checkpoint.exclude_from_loading", "model,optimizer"],
    ["--checkpoint.keep_latest_k", "1"], ["--checkpoint.keep_latest_k", "-3"],
    (["--optimizer.name", "Foo"], STRICTER), (["--optimizer.lr", "-0.1"], STRICTER), (["--optimizer.lr", "nan"], STRICTER),
    (["--training.steps", "-1"], STRICTER), (["--training.steps", "99999999999999999999"], STRICTER),
    (["--checkpoint.exclude_from_loading", "optimiser"], STRICTER),
]  # fmt: skip
FILES = [
    "", "[training]\nsteps = 7\nseq_len = 1_024\n", "training.steps = 7\n", "[training]\nstep = 7\n", "[nothing]\n",
    "[optimizer]\nlr = 1\neps = 1e-6\n", "[training.dataloader]\npin_memory = false\n", "[debug]\nseed = 3\n",
    "[quantize.linear.float8]\nfilter_fqns = ['output', \"x\"]\n", "[parallelism]\nmodule_fqns_per_model_part = [['a', 'b'], ['c']]\n",
    "[job]\ndescription = '''\ntwo\nlines'''\n", "[training]\nsteps = 7\nsteps = 8\n", "[training\n", "[training]\nmax_norm = 2\n",
    "[lr_scheduler]\ndecay_ratio = 0.5\n[checkpoint]\nexclude_from_loading = ['optimizer']\n",
]  # fmt: skip


def every_config(results):
    """Each of ours through both; those of TorchTitan's names as its own files are (tests/golden/train_configs.json)."""
    with open("tests/golden/train_configs.json") as f:
        golden = json.load(f)
    defaults = torchtitan([])
    names = sorted(n for n in os.listdir("configs/llama3") if n.endswith(".toml"))
    for name in names:
        args = ["--job.config_file", f"configs/llama3/{name}"]
        ours = titan(["read", *args])
        results.append(check("file", args, "", torchtitan(args), ours))
        if name in golden:
            want = json.loads(json.dumps(defaults))
            for key, value in {**golden[name], "job.config_file": args[1]}.items():
                *sections, last = key.split(".")
                functools.reduce(dict.__getitem__, sections, want)[last] = value
            results.append(check("TorchTitan's own", args, "", want, ours))
    missing = golden.keys() - set(names)
    results.append(not missing)
    if missing:
        print(f"FAIL no such file in configs/llama3: {missing}")


def torchtitan(args):
    """The settings, or None for an error."""
    from torchtitan.config.manager import ConfigManager

    sink = io.StringIO()
    try:
        with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            return ConfigManager().parse_args(args).to_dict()
    except (SystemExit, Exception):  # its parser exits, its file reader and its assertions raise
        return None


def titan(args):
    p = subprocess.run([TOOL, *args], capture_output=True, text=True, cwd=ROOT)
    if p.returncode not in (0, 1, 2):
        sys.exit(f"{TOOL} {args}: exit {p.returncode}\n{p.stderr}")
    return json.loads(p.stdout) if p.returncode == 0 else None


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return a == b


def check(name, args, note, theirs, ours):
    if ours:
        ours["metrics"].pop("save_jsonl", None)  # titan's own, as all of generate
        ours.pop("generate", None)
    if note == STRICTER:
        ok = theirs is not None and ours is None
    else:
        ok = (theirs is None) == (ours is None) and (ours is None or same(theirs, ours))
    if not ok:
        print(f"FAIL {name} {args}: TorchTitan {'refuses' if theirs is None else 'takes'} it, titan {'refuses' if ours is None else 'takes'} it")
        for section in theirs or {}:
            if ours and not same(theirs[section], ours[section]):
                print(f"     {section}: {theirs[section]}\n  titan: {ours[section]}")
    return ok


def main():
    os.chdir(ROOT)
    results = []
    for row in LINES:
        args, note = row if isinstance(row, tuple) else (row, "")
        results.append(check("args", args, note, torchtitan(args), titan(args)))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.toml")
        for text in FILES:
            with open(path, "w") as f:
                f.write(text)
            for args in (["--job.config_file", path], [f"--job.config-file={path}", "--training.steps", "9"]):
                results.append(check("file", [repr(text), *args], "", torchtitan(args), titan(args)))
    every_config(results)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(not all(results))


main()

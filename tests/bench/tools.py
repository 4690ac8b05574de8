"""The checkpoint tools against `cp` of their own output and against the real ones, as make bench-tools runs it.

Rounds of cp --reflink=never of titan's output, titan, and the real tool, in rotating order; before each the old output is
removed, `sync` runs and the inputs are read once, so that they are in the page cache; the time includes `sync -f` of the output.
The first round is dropped; a figure is the median, with the smallest and the largest. CPU is user and system time. Memory is the
peak of what is resident, no less than the 15 MiB of this script, whose children the programs are. The real tools' import of their
libraries is measured apart, and the ratio without it is what the bound is held against.

ROUNDS (7)   SIZE (1500: millions of parameters; 500, 150, 15)   SECTIONS (listing disk tenth chunks tmpfs big)   CHUNKS (150000)
CASES (from-hf to-hf to-hf-bf16 dcp2pt; reshard-bf16 where there are many chunks)   BIG (8B: a flavor in configs/models/llama3)   DIR (a folder on the disk)
TMPFS (/dev/shm)   TMPFS_SIZE (500)   BIN
Smaller sizes than 1500 show that all of this runs; their figures mean little.
"""
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ENV = os.environ.get
BIN = os.path.join(ROOT, ENV("BIN", "build/bin"))
ROUNDS, SIZE, CHUNKS = int(ENV("ROUNDS", 7)), ENV("SIZE", "1500"), int(ENV("CHUNKS", 150000))
GB, MIB = 1e9, 1 << 20
MEMORY_MIB, CP_TIMES, CPU_TIMES, LISTING_MS = 128, 1.25, 2, 100

COMMON = {"rope_theta": 500000, "ffn_dim_multiplier": 1.5, "multiple_of": 256}
FLAVORS = {  # millions of parameters
    "1500": {"dim": 2048, "n_layers": 16, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256, **COMMON},
    "500": {"dim": 1280, "n_layers": 14, "n_heads": 20, "n_kv_heads": 4, "vocab_size": 64128, **COMMON},
    "150": {"dim": 768, "n_layers": 12, "n_heads": 12, "n_kv_heads": 4, "vocab_size": 32064, **COMMON},
    "15": {"dim": 256, "n_layers": 6, "n_heads": 8, "n_kv_heads": 8, "vocab_size": 16032, **COMMON},
}
TENTH = {"1500": "150", "500": "15", "150": "15", "15": "15"}
LEAST = {"from-hf": 4, "to-hf-bf16": 10, "dcp2pt": 2.5}  # times as fast as the real one
IMPORTS = {
    "convert": "import torch, torch.distributed.checkpoint, torchtitan.protocols.train_spec, torchtitan.components.checkpoint",
    "format_utils": "import torch.distributed.checkpoint.format_utils",
}
missed = []


def say(*text):
    print(*text, flush=True)


def bound(case, what, value, limit, at_least=False):
    ok = value >= limit if at_least else value <= limit
    if not ok:
        missed.append(f"{case}: {what}")
    say(f"    {what}: {value:.2f} ({'at least' if at_least else 'at most'} {limit}){'' if ok else '  MISSED'}")


# --- a run ----------------------------------------------------------------------------------------------------------------------


class Result:
    def __init__(self, seconds, cpu, mib):
        self.seconds, self.cpu, self.mib = seconds, cpu, mib


def files_below(path):
    if os.path.isfile(path):
        return [path]
    return [os.path.join(d, f) for d, _, names in os.walk(path) for f in names]


def nbytes(path):
    return sum(os.path.getsize(f) for f in files_below(path))


def read_once(paths):
    files = [f for p in paths for f in files_below(p)]
    with open(os.devnull, "wb") as null:
        subprocess.run(["cat", *files], stdout=null, check=True)


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


def run(command, out, inputs, env=None, limit=None, quiet=True):
    remove(out)
    os.sync()
    read_once(inputs)
    with tempfile.TemporaryFile("w+") as log:
        start = time.monotonic()
        p = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=ROOT,
                             preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) if limit else None)
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = status
        if status == 0:
            subprocess.run(["sync", "-f", out], check=True)
        seconds = time.monotonic() - start
        log.seek(0)
        if status:
            sys.exit(f"{' '.join(command)} failed:\n{log.read()[-3000:]}")
        if not quiet:
            say("    " + "\n    ".join(log.read().strip().split("\n")))
    return Result(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


# --- what is compared -----------------------------------------------------------------------------------------------------------


class Work:
    """A folder with a flavor's files; DCP and HF inputs are made when they are first asked for."""

    def __init__(self, folder, size, python):
        self.folder, self.python = folder, python
        self.flavor = self.path("flavor.yaml")
        os.makedirs(folder, exist_ok=True)
        fields = FLAVORS[size]
        with open(self.flavor, "w") as f:
            f.write("".join(f"{k}: {v}\n" for k, v in fields.items()))
        self.env = dict(os.environ, TT_FLAVORS=json.dumps({"bench": fields}), PYTHONDONTWRITEBYTECODE="1")

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, kind, out):
        subprocess.run([self.python, HERE + "/tools_inputs.py", kind, self.flavor, out], check=True)

    def hf(self):
        out = self.path("hf")
        if not os.path.exists(out):
            os.mkdir(out)
            self.make("hf", out + "/model.safetensors")
        return out

    def dcp(self):
        out, flat = self.path("dcp"), self.path("titan.safetensors")
        if not os.path.exists(out):
            self.make("titan", flat)
            subprocess.run([BIN + "/titan-dcp2pt", "--quiet", "--reverse", flat, out], check=True)
            os.remove(flat)
        return out

    def case(self, name):
        """Input, name of the output, titan's command and the real one's (None: it is not compared), which imports."""
        model = ["--model_name", "llama3", "--model_flavor", self.flavor, "--quiet"]
        convert = [self.python, ROOT + "/tests/anchor/tt_convert.py"]
        if name == "from-hf":
            src, out = self.hf(), self.path("out")
            real = [*convert, "from-hf", src, out, "llama3", "bench"]
            return src, out, [BIN + "/titan-convert-hf", "from-hf", src, out, *model], real, "convert"
        src = self.dcp()
        if name == "dcp2pt":
            out = self.path("out.pt")
            module = [self.python, "-m", "torch.distributed.checkpoint.format_utils", "dcp_to_torch"]
            return src, out, [BIN + "/titan-dcp2pt", "--quiet", src, out], [*module, src, out], "format_utils"
        if name == "reshard-bf16":
            out = self.path("out")
            return src, out, [BIN + "/titan-reshard", "--quiet", src, out, "--dtype", "bfloat16"], None, None
        out, dtype = self.path("out"), "bfloat16" if name == "to-hf-bf16" else "float32"
        real = [*convert, "to-hf", src, out, "llama3", "bench", dtype] if name == "to-hf-bf16" else None
        return src, out, [BIN + "/titan-convert-hf", "to-hf", src, out, *model, "--export_dtype", dtype], real, "convert"


def import_seconds(work, what):
    def once():
        start = time.monotonic()
        subprocess.run([work.python, "-c", IMPORTS[what]], env=work.env, check=True, capture_output=True)
        return time.monotonic() - start

    return statistics.median(once() for _ in range(3))


def put_row(who, results, gigabytes):
    s = [r.seconds for r in results]
    cpu = statistics.median(r.cpu for r in results)
    say(f"  {who:6}  {statistics.median(s):8.2f} s ({min(s):.2f} to {max(s):.2f})  {gigabytes / statistics.median(s):6.2f} GB/s  "
        f"CPU {cpu / gigabytes:6.2f} s/GB  peak {max(r.mib for r in results):7.0f} MiB")


def compare(work, name, with_real=True):
    """All rounds of a case; the medians of the seconds and the CPU seconds a GB, by program."""
    src, out, titan, real, imports = work.case(name)
    ref = work.path("ref" + os.path.splitext(out)[1])
    run(titan, out, [src], work.env)
    remove(ref)
    os.rename(out, ref)
    gigabytes = nbytes(ref) / GB
    programs = {"cp": (["cp", "--reflink=never", "-r", ref, out], ref), "titan": (titan, src)}
    if real and with_real:
        programs["real"] = (real, src)
    results = {who: [] for who in programs}
    for i in range(ROUNDS):
        order = list(programs)
        for who in order[i % len(order):] + order[: i % len(order)]:
            command, source = programs[who]
            results[who].append(run(command, out, [source], work.env))
    results = {who: r[1:] if len(r) > 1 else r for who, r in results.items()}
    remove(out)
    remove(ref)
    say(f"{name}: {nbytes(src) / GB:.2f} GB in, {gigabytes:.2f} GB out")
    for who, r in results.items():
        put_row(who, r, gigabytes)
    s = {who: statistics.median(x.seconds for x in r) for who, r in results.items()}
    cpu = {who: statistics.median(x.cpu for x in r) / gigabytes for who, r in results.items()}
    if "real" in s:
        seconds = import_seconds(work, imports)
        say(f"    the real one's imports take {seconds:.2f} s; with them titan is {s['real'] / s['titan']:.2f} times as fast")
        bound(name, "times as fast as the real one, imports apart", (s["real"] - seconds) / s["titan"], LEAST[name], at_least=True)
    bound(name, "times cp's time", s["titan"] / s["cp"], CP_TIMES)
    if name == "to-hf-bf16":
        say(f"    times cp's CPU a GB: {cpu['titan'] / cpu['cp']:.2f}, casts included")
    else:
        bound(name, "times cp's CPU a GB", cpu["titan"] / cpu["cp"], CPU_TIMES)
    bound(name, "MiB of peak memory", max(r.mib for r in results["titan"]), MEMORY_MIB)
    return cpu["titan"]


# --- sections -------------------------------------------------------------------------------------------------------------------


def table(folder, size, python, with_real=True):
    work = Work(folder, size, python)
    names = ENV("CASES", "from-hf to-hf to-hf-bf16 dcp2pt").split()
    cpu = {name: compare(work, name, with_real) for name in names}
    if "to-hf" in cpu and "to-hf-bf16" in cpu:
        say(f"the cast to bfloat16: {cpu['to-hf-bf16'] / 2 - cpu['to-hf']:+.2f} CPU s a GB of input beside to-hf without it")
    shutil.rmtree(folder)


def tenth(folder, python):
    """The same memory at a tenth of the size."""
    work = Work(folder, TENTH[SIZE], python)
    for name in ENV("CASES", "from-hf to-hf-bf16 dcp2pt").split():
        src, out, titan, _, _ = work.case(name)
        say(f"{name} of {nbytes(src) / GB:.2f} GB")
        bound(f"{name}, a tenth", "MiB of peak memory", run(titan, out, [src], work.env).mib, MEMORY_MIB)
        remove(out)
    shutil.rmtree(folder)


def chunks(folder, python):
    work = Work(folder, "15" if SIZE == "15" else "150", python)
    made = subprocess.run([python, HERE + "/tools_inputs.py", "chunks", work.flavor, work.path("dcp"), str(CHUNKS)], check=True,
                          capture_output=True, text=True).stdout.strip()
    for name in [n for n in ENV("CASES", "dcp2pt to-hf-bf16 reshard-bf16").split() if n != "from-hf"]:
        src, out, titan, _, _ = work.case(name)
        r = run(titan, out, [src], work.env)
        say(f"{name} of {made} chunks: {r.seconds:.2f} s, {r.cpu:.2f} s of CPU")
        bound(f"{name} of {made} chunks", "MiB of peak memory", r.mib, MEMORY_MIB)
        remove(out)
    shutil.rmtree(folder)


def big(folder, python):
    """8 billion parameters, from bfloat16 to float32, where a process may have 1 GiB of address space."""
    os.makedirs(folder)
    name, src, out = ENV("BIG", "8B"), os.path.join(folder, "hf"), os.path.join(folder, "out")
    flavor = f"{ROOT}/configs/models/llama3/{name}.yaml"
    os.mkdir(src)
    subprocess.run([python, HERE + "/tools_inputs.py", "sparse", flavor, src + "/model.safetensors"], check=True)
    need, free = 2.2 * nbytes(src), shutil.disk_usage(folder).free
    if free < need:
        say(f"SKIP {name} under a limit of 1 GiB: it takes {need / GB:.0f} GB, and {folder} has {free / GB:.0f} GB")
    else:
        command = [BIN + "/titan-convert-hf", "from-hf", src, out, "--model_name", "llama3", "--model_flavor", name]
        r = run(command, out, [], limit=1 << 30, quiet=False)
        sizes = f"{nbytes(src) / GB:.2f} GB in (a hole), {nbytes(out) / GB:.2f} GB out"
        say(f"{name} under a limit of 1 GiB: {sizes}, {r.seconds:.1f} s")
        bound(name, "MiB of peak memory", r.mib, 1024)
    shutil.rmtree(folder)


def listing(folder, python):
    """The .metadata of 64 ranks of a 70 B model, about 150,000 items, made by the real library; each time a new process."""
    made = subprocess.run([python, HERE + "/make_metadata.py", folder, "--ranks", ENV("RANKS", "64")], check=True, capture_output=True,
                          text=True).stdout.strip()
    say(made)
    for what, command, stdin in (("by its path", [BIN + "/titan-ckpt-inspect", folder + "/.metadata"], os.devnull),
                                 ("from a pipe", [BIN + "/titan-ckpt-inspect", "-"], folder + "/.metadata")):
        ms = []
        for _ in range(9):
            with open(stdin, "rb") as f:
                start = time.monotonic()
                subprocess.run(command, stdin=f, stdout=subprocess.DEVNULL, check=True)
                ms.append((time.monotonic() - start) * 1e3)
        say(f"listed {what}: {min(ms):.1f} to {max(ms):.1f} ms")
        bound(f"listing {what}", "ms, median of 9", statistics.median(ms), LISTING_MS)
    shutil.rmtree(folder)


def main():
    python = sys.argv[1]
    disk = tempfile.mkdtemp(prefix="bench-tools-", dir=ENV("DIR", os.path.join(ROOT, "build")))
    tmpfs = tempfile.mkdtemp(prefix="titan-bench-", dir=ENV("TMPFS", "/dev/shm"))
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "unknown")
    say(f"{os.cpu_count()} cores ({model}), {ROUNDS} rounds, {SIZE} million parameters")
    try:
        for section in ENV("SECTIONS", "listing disk tenth chunks tmpfs big").split():
            say(f"--- {section}")
            if section == "disk":
                table(disk + "/disk", SIZE, python)
            elif section == "tmpfs":
                table(tmpfs + "/tmpfs", ENV("TMPFS_SIZE", "500" if SIZE == "1500" else SIZE), python)
            else:
                {"listing": listing, "tenth": tenth, "chunks": chunks, "big": big}[section](os.path.join(disk, section), python)
    finally:
        shutil.rmtree(disk, ignore_errors=True)
        shutil.rmtree(tmpfs, ignore_errors=True)
    say("every bound holds" if not missed else f"missed: {'; '.join(missed)}")
    return 1 if missed and SIZE == "1500" else 0


sys.exit(main())

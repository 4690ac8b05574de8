"""Every flavor of TorchTitan's families is a file of ours, with the same numbers, and the other way round."""
import dataclasses
import json
import os
import subprocess
import sys

import torchtitan.protocols.train_spec as specs

FAMILIES = ["llama3", "qwen3", "llama4", "deepseek_v3", "gpt_oss"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.environ.get("CONFIG_TOOL", os.path.join(ROOT, os.environ.get("B", "build/release"), "tools/config"))
FOLDER = os.path.join(ROOT, "configs/models")


def theirs(args):
    """TorchTitan's fields; its None as what it stands for, where that is a number."""
    fields = dataclasses.asdict(args)
    fields.pop("_enforced", None)  # a note of its base class to itself
    if "n_kv_heads" in fields and fields["n_kv_heads"] is None:
        fields["n_kv_heads"] = fields["n_heads"]
    if "ffn_dim_multiplier" in fields and fields["ffn_dim_multiplier"] is None:
        fields["ffn_dim_multiplier"] = 1.0
    return fields


def compare(family):
    """How many checks hold and how many do not."""
    flavors = specs.get_train_spec(family).model_args
    env = dict(os.environ, TITAN_MODELS=FOLDER)
    failed = 0
    for name, args in flavors.items():
        p = subprocess.run([TOOL, "flavor", family, name], capture_output=True, text=True, env=env)
        ours = json.loads(p.stdout) if p.returncode == 0 else p.stderr
        if ours != theirs(args):
            print(f"FAIL {family} {name}\n  TorchTitan {theirs(args)}\n  titan      {ours}")
            failed += 1
    files = {f.removesuffix(".yaml") for f in os.listdir(os.path.join(FOLDER, family))}
    if files != set(flavors):
        print(f"FAIL {family}: files without a flavor or flavors without a file: {files ^ set(flavors)}")
        failed += 1
    return len(flavors) + 1 - failed, failed


def main():
    passed, failed = map(sum, zip(*map(compare, FAMILIES)))
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()

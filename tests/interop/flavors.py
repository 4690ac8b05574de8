"""Every llama3 flavor of TorchTitan is a file of ours, with the same numbers, and the other way round."""
import dataclasses
import json
import os
import subprocess
import sys

from torchtitan.models.llama3 import llama3_args

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.environ.get("CONFIG_TOOL", os.path.join(ROOT, os.environ.get("B", "build/release"), "tools/config"))
FOLDER = os.path.join(ROOT, "configs/models/llama3")


def theirs(args):
    """TorchTitan's fields, nested ones by a path; its None as what it stands for."""
    fields = {}
    values = dataclasses.asdict(args)
    values.pop("_enforced", None)  # a note of its base class to itself
    for name, value in values.items():
        if isinstance(value, dict):
            fields.update({f"{name}.{k}": v for k, v in value.items()})
        else:
            fields[name] = value
    if fields["n_kv_heads"] is None:
        fields["n_kv_heads"] = fields["n_heads"]
    if fields["ffn_dim_multiplier"] is None:
        fields["ffn_dim_multiplier"] = 1.0
    return fields


def main():
    failed = 0
    env = dict(os.environ, TITAN_MODELS=os.path.join(ROOT, "configs/models"))
    for name, args in llama3_args.items():
        p = subprocess.run([TOOL, "flavor", "llama3", name], capture_output=True, text=True, env=env)
        ours = json.loads(p.stdout) if p.returncode == 0 else p.stderr
        if ours != theirs(args):
            print(f"FAIL {name}\n  TorchTitan {theirs(args)}\n  titan      {ours}")
            failed += 1
    files = {f.removesuffix(".yaml") for f in os.listdir(FOLDER)}
    if files != set(llama3_args):
        print(f"FAIL files without a flavor or flavors without a file: {files ^ set(llama3_args)}")
        failed += 1
    print(f"{len(llama3_args) + 1 - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()

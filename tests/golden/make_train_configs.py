"""Writes train_configs.json: for each of TorchTitan's own files for llama3 what its ConfigManager reads from it, but for what every
setting is by itself.

    make_train_configs.py TORCHTITAN_CHECKOUT    (tag v0.2.2; its package does not have the files)
"""
import json
import os
import sys

from torchtitan.config.manager import ConfigManager

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ("debug_model", "llama3_8b", "llama3_70b", "llama3_405b")


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def settings(args):
    return dict(leaves(ConfigManager().parse_args(args).to_dict()))


def main():
    folder = os.path.join(sys.argv[1], "torchtitan/models/llama3/train_configs")
    defaults = settings([])
    out = {}
    for name in NAMES:
        read = settings(["--job.config_file", os.path.join(folder, f"{name}.toml")])
        del read["job.config_file"]
        out[f"{name}.toml"] = {key: value for key, value in read.items() if value != defaults[key]}
    with open(os.path.join(HERE, "train_configs.json"), "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


main()

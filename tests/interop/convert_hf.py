"""titan-convert-hf of dense models (llama3, qwen3) held against TorchTitan's own conversion, transformers and huggingface_hub; and
TorchTitan's trainer goes on from what it wrote, in both forms."""
import json
import os
import shutil
import subprocess

import torch
from hf_models import (DEBUGMODEL, LLAMA3, QWEN3, TOLERANCE, check_opens, check_round, check_same, convert, hf_logits, make_assets,
                       placement, read_dcp, read_hf, script, strict_load_error, torchtitan_logits)  # fmt: skip
from runs import BIN, F32, TOKENIZER, Workdir, check, check_steps, finish, largest, prepare, titan, torchtitan


def check_tied(work):
    """An input without lm_head, which TorchTitan's llama3 conversion cannot read: the output is the embedding."""
    assets = make_assets(work, "tied", LLAMA3, tie_word_embeddings="true")
    said = convert(work, LLAMA3, "from-hf", assets, work.path("tied-dcp"))
    dcp = read_dcp(work.path("tied-dcp"))
    check("llama3, tied: output.weight is the embedding", torch.equal(dcp["output.weight"], dcp["tok_embeddings.weight"]) and
          "1 missing key: output.weight" in said, said.strip().splitlines()[-1])  # fmt: skip
    check("llama3, tied: TorchTitan loads it strictly", strict_load_error(LLAMA3, work.path("tied-dcp")) is None)
    convert(work, LLAMA3, "to-hf", work.path("tied-dcp"), work.path("tied-back"), "--hf_assets_path", assets, "--export_dtype", "like")
    ours, fits, info = hf_logits(work.path("tied-back"))
    check("llama3, tied: logits are the original's", fits and torch.equal(ours, hf_logits(assets)[0]), f"{info}")


def check_files(work, dcp):
    """Without an index the files are filled as huggingface_hub fills them."""
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors import safe_open

    one, many = work.path("one"), work.path("many")
    convert(work, LLAMA3, dcp, one)
    convert(work, LLAMA3, dcp, many, "--max_shard_size", "100KB")
    with open(os.path.join(one, "model.safetensors"), "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        order = [k for k in json.loads(f.read(n)) if k != "__metadata__"]
    state = read_hf(one)
    split = split_torch_state_dict_into_shards({k: state[k] for k in order}, filename_pattern="model{suffix}.safetensors",
                                               max_shard_size="100KB")  # fmt: skip
    index = placement(many)
    check("files of --max_shard_size are huggingface_hub's", index["weight_map"] == split.tensor_to_filename and
          index["metadata"]["total_size"] == split.metadata["total_size"] and len(split.filename_to_tensors) > 3,
          f"{len(split.filename_to_tensors)} files")  # fmt: skip
    check_same("the same tensors in one file and in many", read_hf(many), state)
    with safe_open(os.path.join(one, "model.safetensors"), "pt") as f:
        check("__metadata__ says pt", f.metadata() == {"format": "pt"}, f"{f.metadata()}")


def check_assets_without_weights(work, assets, dcp):
    """An index, a config and a tokenizer are enough to follow; a name that the model has not is dropped, one that the index has not
    goes into the last file."""
    bare = work.path("bare")
    os.mkdir(bare)
    index = placement(assets)
    del index["weight_map"]["model.norm.weight"]
    index["weight_map"]["gone.weight"] = "model-00099-of-00099.safetensors"
    last = max(index["weight_map"].values())
    shutil.copy(os.path.join(assets, "config.json"), bare)
    script("make_assets.py", "tokenizer", bare, "300")
    with open(os.path.join(bare, "model.safetensors.index.json"), "w") as f:
        json.dump(index, f)
    out = work.path("bare-out")
    convert(work, LLAMA3, dcp, out, "--hf_assets_path", bare, "--export_dtype", "bfloat16")
    want = {**index["weight_map"], "model.norm.weight": last}
    del want["gone.weight"]
    check("an index without weights is followed", placement(out)["weight_map"] == want, f"{len(want)} keys")
    from transformers import AutoTokenizer

    check("its tokenizer came along", AutoTokenizer.from_pretrained(out).encode("a text") ==
          AutoTokenizer.from_pretrained(bare).encode("a text"))  # fmt: skip
    ours, fits, info = hf_logits(out)
    check("and it opens at once", fits and torch.equal(ours, hf_logits(assets)[0]), f"{info}")


def check_full_checkpoint(work):
    """Of a full checkpoint, and of its .pt, the model alone."""
    dump = work.path("full")
    args = {**LLAMA3.args, "vocab_size": 2048}
    model = LLAMA3.but({"vocab_size": 2048})
    titan(work, "full", {"training.steps": 1, "training.seq_len": 64, "checkpoint.enable": True, "checkpoint.interval": 1,
                         "checkpoint.last_save_model_only": False, "job.dump_folder": dump, **F32}, args)  # fmt: skip
    step = os.path.join(dump, "checkpoint/step-1")
    convert(work, model, step, work.path("full-hf"))
    subprocess.run([os.path.join(BIN, "titan-dcp2pt"), step, work.path("full.pt")], check=True, stderr=subprocess.DEVNULL)
    convert(work, model, "to-hf", work.path("full.pt"), work.path("pt-hf"))
    ours = read_hf(work.path("full-hf"))
    check_same("a full checkpoint and its .pt give the same model", read_hf(work.path("pt-hf")), ours)
    check("and nothing but the model", len(ours) == 2 * 9 + 3, f"{len(ours)} keys")
    convert(work, model, work.path("full-hf"), work.path("full-again"))
    trained = read_dcp(step)
    check_same("back again, bit for bit", read_dcp(work.path("full-again")), {k: trained[k] for k in read_dcp(work.path("full-again"))})


def check_trainer(work):
    """TorchTitan's own trainer starts from titan's folders, titan-train from the DCP one: the same loss."""
    model = DEBUGMODEL
    assets = make_assets(work, "train-assets", model, dtype="float32", shard="5MB")
    convert(work, model, "from-hf", assets, work.path("train-dcp"))
    convert(work, model, "to-hf", work.path("train-dcp"), work.path("train-hf"), "--hf_assets_path", assets)
    common = {**F32, "training.steps": 1, "training.seq_len": 64, "checkpoint.enable": True, "checkpoint.interval": 100}
    dcp = {**common, "checkpoint.initial_load_path": work.path("train-dcp")}
    hf = {**common, "checkpoint.initial_load_path": work.path("train-hf"), "checkpoint.initial_load_in_hf": True}
    theirs = torchtitan(work, "debugmodel", {**dcp, "job.dump_folder": work.path("t1")})
    from_hf = torchtitan(work, "debugmodel", {**hf, "job.dump_folder": work.path("t2")})
    fresh = torchtitan(work, "debugmodel", {**common, "job.dump_folder": work.path("t3")})
    ours = titan(work, "debugmodel", {**dcp, "job.dump_folder": work.path("t4")})
    ours_hf = titan(work, "debugmodel", {**hf, "job.dump_folder": work.path("t5")})
    check("TorchTitan starts from the DCP folder and from the Hugging Face folder", theirs == from_hf and len(theirs) == 1 and
          theirs[0]["loss"] != fresh[0]["loss"], f"loss {theirs[0]['loss']:.5f}, fresh {fresh[0]['loss']:.5f}")  # fmt: skip
    gap = abs(ours[0]["loss"] - theirs[0]["loss"])
    check("titan-train from the DCP folder", gap < 1e-5, f"loss gap {gap:.1e}")
    check("and from the Hugging Face folder", ours[0]["loss"] == ours_hf[0]["loss"], f"loss {ours_hf[0]['loss']:.5f}")


def check_last_save(work):
    """checkpoint.last_save_in_hf: the names, types and, but for rounding, elements of TorchTitan's folder; TorchTitan starts from ours."""
    assets = make_assets(work, "last-assets", DEBUGMODEL, dtype="float32", shard="5MB")
    shutil.copytree(TOKENIZER, assets, dirs_exist_ok=True)
    common = {**F32, "training.steps": 2, "training.seq_len": 64, "checkpoint.enable": True, "checkpoint.last_save_in_hf": True}
    narrow = {"training.dtype": "bfloat16"}  # and the default export_dtype, float32, which casts nothing
    for dtype, more, far in (("float32", {}, 1e-4), ("bfloat16", {}, 1e-2), ("a bfloat16 model", narrow, 2**-6)):  # half an ulp of 4
        export = {} if more else {"checkpoint.export_dtype": dtype}
        settings = {**common, **export, **more, "model.hf_assets_path": assets}
        torchtitan(work, "debugmodel", {**settings, "job.dump_folder": work.path(f"last-t-{dtype}")})
        titan(work, "debugmodel", {**settings, "job.dump_folder": work.path(f"last-{dtype}")})
        folders = [work.path(f"{run}-{dtype}", "checkpoint/step-2") for run in ("last", "last-t")]
        ours, theirs = map(read_hf, folders)
        gap = largest((ours[k].double() - theirs[k].double()).abs().max().item() for k in theirs)
        check(f"last_save_in_hf, {dtype}: TorchTitan's names, types and elements", ours.keys() == theirs.keys() and gap < far and
              all(ours[k].dtype == theirs[k].dtype for k in theirs), f"{len(theirs)} keys, gap {gap:.1e}")  # fmt: skip
        files = [placement(folder)["weight_map"] for folder in folders]
        check(f"last_save_in_hf, {dtype}: in the same files", files[0] == files[1] and len(set(files[0].values())) > 1,
              f"{len(set(files[1].values()))} files")  # fmt: skip
    start = {**common, "checkpoint.last_save_in_hf": False, "checkpoint.initial_load_in_hf": True, "training.steps": 1,
             "checkpoint.initial_load_path": work.path("last-float32", "checkpoint/step-2")}  # fmt: skip
    theirs = torchtitan(work, "debugmodel", {**start, "job.dump_folder": work.path("from-last-t")})
    ours = titan(work, "debugmodel", {**start, "job.dump_folder": work.path("from-last")})
    check_steps("both start from it", ours, theirs, 2e-5)
    titan(work, "debugmodel", {**common, "checkpoint.last_save_in_hf": False, "job.dump_folder": work.path("last-dcp")})
    with torch.inference_mode():
        want = torchtitan_logits(DEBUGMODEL, work.path("last-dcp", "checkpoint/step-2"))
        check_opens("last_save_in_hf: transformers", work.path("last-float32", "checkpoint/step-2"), want, TOLERANCE)


@torch.inference_mode()
def conversions(work):
    assets = check_round(work, "llama3", LLAMA3)
    check_round(work, "qwen3, untied", QWEN3)
    check_round(work, "qwen3, tied", QWEN3.but({"enable_weight_tying": True}, {"tie_word_embeddings": True}))
    check_tied(work)
    check_files(work, work.path("llama3-dcp"))
    check_assets_without_weights(work, assets, work.path("llama3-dcp"))


def main():
    prepare()  # before anything of TorchTitan is imported
    with Workdir() as work:
        conversions(work)
        check_full_checkpoint(work)
        check_trainer(work)
        check_last_save(work)
    finish()


main()

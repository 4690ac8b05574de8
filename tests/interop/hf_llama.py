"""A Llama of transformers as what a run begins with (checkpoint.initial_load_in_hf): GQA, Llama 3.1's RoPE scaling, every tensor random.
The loss of step 1 is transformers' within 2e-5 in float32, with an output layer of its own and with one that is tied to the embedding,
which titan begins as a copy and trains apart. Scaling that is left out is seen. A config.json of another model is an error with its field."""
import json
import os
import shutil
import subprocess

import torch
from hf_models import Model, make_assets
from runs import BASE, BIN, DATA, F32, ROOT, TOKENIZER, Workdir, check, finish, flags, load, titan

BATCH, SEQ, TOL = 2, 256, 2e-5
# Positions far beyond the 32 that the scaling is made for; most of the frequencies lie where it acts.
SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LLAMA = Model(
    "llama3", "llama",
    {"dim": 96, "n_layers": 3, "n_heads": 6, "n_kv_heads": 2, "vocab_size": 2048, "multiple_of": 32, "rope_theta": 10000,
     "rope_scaling_args": {"scaling_factor" if k == "factor" else k: v for k, v in SCALING.items()}},
    {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
     "vocab_size": 2048, "rms_norm_eps": 1e-5, "initializer_range": 0.1,
     "rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, **SCALING}},
)  # fmt: skip
SETTINGS = {**F32, "training.steps": 1, "training.local_batch_size": BATCH, "training.seq_len": SEQ, "checkpoint.enable": True,
            "checkpoint.initial_load_in_hf": True, "optimizer.lr": 1e-2, "lr_scheduler.warmup_steps": 0}  # fmt: skip
# What config.json must agree with the flavor in: the field, another value, and what the message says of it.
FIELDS = {
    "hidden_size": (192, "hidden_size is 192, the flavor's is 96"),
    "num_hidden_layers": (4, "num_hidden_layers is 4, the flavor's is 3"),
    "num_attention_heads": (12, "num_attention_heads is 12, the flavor's is 6"),
    "num_key_value_heads": (6, "num_key_value_heads is 6, the flavor's is 2"),
    "head_dim": (32, "head_dim is 32, the flavor's is 16"),
    "intermediate_size": (512, "intermediate_size is 512, the flavor's is 256"),
    "vocab_size": (4096, "vocab_size is 4096, the flavor's is 2048"),
    "rms_norm_eps": (1e-6, "rms_norm_eps is 1e-06, the flavor's is 1e-05"),
    "rope_parameters": ({**LLAMA.config["rope_parameters"], "rope_theta": 5e5}, "rope_theta is 500000.0, the flavor's is 10000.0"),
    "rope_parameters.factor": ({**LLAMA.config["rope_parameters"], "factor": 32.0}, "RoPE's factor is 32.0, the flavor's is 8.0"),
    "rope_parameters.type": ({"rope_type": "default", "rope_theta": 10000.0}, "RoPE's type is \"default\", the flavor's is \"llama3\""),
}  # fmt: skip


def make_model(work, tied):
    """A folder that transformers wrote, with queries and keys so large that attention is far from uniform."""
    from safetensors.torch import load_file, save_file

    folder = make_assets(work, "tied" if tied else "untied", LLAMA, dtype="float32", shard="2GB", tie_word_embeddings=json.dumps(tied))
    path = os.path.join(folder, "model.safetensors")
    state = load_file(path)
    save_file({k: 8 * v if "q_proj" in k or "k_proj" in k else v for k, v in state.items()}, path, {"format": "pt"})
    return folder


def first_batch():
    """Inputs and labels of step 1, from TorchTitan's dataset."""
    from torchtitan.components.tokenizer import HuggingFaceTokenizer
    from torchtitan.hf_datasets.text_datasets import HuggingFaceTextDataset

    data = iter(HuggingFaceTextDataset("c4_test", DATA, HuggingFaceTokenizer(TOKENIZER), seq_len=SEQ, infinite=True))
    pairs = [next(data) for _ in range(BATCH)]
    return torch.stack([x["input"] for x, _ in pairs]), torch.stack([label for _, label in pairs])


@torch.inference_mode()
def transformers_loss(folder, batch, **config):
    """The loss of the folder's model; config: in another configuration."""
    import transformers

    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **config)
    logits = model(batch[0]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), batch[1].flatten()).item()


def settings_from(work, folder):
    """Of a run from the folder and from nothing else."""
    shutil.rmtree(work.path("dump"), ignore_errors=True)
    return {**SETTINGS, "checkpoint.initial_load_path": folder, "job.dump_folder": work.path("dump")}


def run(work, folder, fails=False):
    return titan(work, "llama", settings_from(work, folder), LLAMA.args, fails=fails)


def warnings(work, folder):
    settings = {**BASE, **settings_from(work, folder), "model.flavor": work.path("llama.yaml")}
    done = subprocess.run([os.path.join(BIN, "titan-train"), "--quiet", *flags(settings)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    return done.stderr


def check_losses(work, batch):
    for tied in (False, True):
        title = "tied" if tied else "untied"
        folder = make_model(work, tied)
        theirs = transformers_loss(folder, batch)
        steps = run(work, folder)
        gap = abs(steps[0]["loss"] - theirs)
        check(f"{title}: the loss of step 1 is transformers'", gap <= TOL, f"gap {gap:.1e} of {TOL:g}, {theirs:.5f}")
        unscaled = {"rope_type": "default", "rope_theta": 10000.0}
        moved = abs(transformers_loss(folder, batch, rope_parameters=unscaled) - theirs)
        check(f"{title}: without the scaling it is another", moved > 10 * TOL, f"{moved:.1e} away")
        trained = load(work.path("dump", "checkpoint", "step-1"))
        apart = not torch.equal(trained["output.weight"], trained["tok_embeddings.weight"])
        said = "output.weight begins as a copy of the embedding" in warnings(work, folder)
        check(f"{title}: output and embedding are trained apart, said only where they were one", apart and said == tied)


def check_config(work):
    """Each field by itself, with its name and both values; nothing is written."""
    folder, other = work.path("untied"), work.path("other")
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    for field, (value, says) in FIELDS.items():
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(folder, other)
        with open(os.path.join(other, "config.json"), "w") as f:
            json.dump({**config, field.split(".")[0]: value}, f)
        said = run(work, other, fails=True)
        check(f"config.json: {field}", os.path.join(other, "config.json") in said and says in said, said[-160:])
    os.remove(os.path.join(other, "config.json"))
    losses = [run(work, f)[0]["loss"] for f in (other, folder)]
    check("without config.json nothing is compared", losses[0] == losses[1], f"loss {losses[0]:.5f}")


def main():
    with Workdir() as work:
        check_losses(work, first_batch())
        check_config(work)
    finish()


main()

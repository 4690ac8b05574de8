"""Tiny models of each family: Hugging Face checkpoints that transformers writes, the TorchTitan flavor that they fit, and what the real
libraries make of a folder. Every tensor is random: norms of ones would hide it when two of them changed places."""
import functools
import json
import os
import runpy
import subprocess
import sys

import torch
from runs import BIN, ROOT, check

VOCAB, SEQ = 512, 48
MOE = {"num_experts": 4, "top_k": 2, "use_grouped_mm": False}


class Model:
    """args: TorchTitan's model args. config: transformers' for the same model."""

    def __init__(self, model, family, args, config):
        self.model, self.family, self.args, self.config = model, family, args, config

    def but(self, args={}, config={}):
        moe = {**self.args.get("moe_args", {}), **args.get("moe_args", {})}
        args = {**self.args, **args}
        return Model(self.model, self.family, {**args, "moe_args": moe} if moe else args, {**self.config, **config})


LLAMA_ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
LLAMA3 = Model(
    "llama3", "llama",
    {"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": VOCAB, "multiple_of": 32, "rope_theta": 500000,
     "max_seq_len": 2048},
    {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
     "vocab_size": VOCAB, "rms_norm_eps": 1e-5, "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA_ROPE}},
)  # fmt: skip
# TorchTitan's flavor of this name.
DEBUGMODEL = Model(
    "llama3", "llama", {"dim": 256, "n_layers": 6, "n_heads": 16, "vocab_size": 2048, "rope_theta": 500000},
    {**LLAMA3.config, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 16,
     "num_key_value_heads": 16, "vocab_size": 2048},
)  # fmt: skip
QWEN3 = Model(
    "qwen3", "qwen3",
    {"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 32, "hidden_dim": 160, "vocab_size": VOCAB,
     "rope_theta": 1000000, "max_seq_len": 2048},
    {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
     "head_dim": 32, "vocab_size": VOCAB, "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
)  # fmt: skip
QWEN3_MOE = Model(
    "qwen3", "qwen3_moe",
    {**QWEN3.args, "moe_enabled": True, "moe_inter_dim": 48,
     "moe_args": {**MOE, "num_shared_experts": 0, "score_func": "softmax", "route_norm": True, "score_before_experts": False}},
    {**QWEN3.config, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "norm_topk_prob": True},
)  # fmt: skip
LLAMA4 = Model(
    "llama4", "llama4",
    {"dim": 64, "n_layers": 4, "n_heads": 4, "n_kv_heads": 2, "vocab_size": VOCAB, "multiple_of": 32, "rope_theta": 500000,
     "rope_scaling_args": {}, "max_seq_len": 2048, "every_n_layers_nope": 3, "interleave_moe_layer_step": 2,
     "moe_args": {**MOE, "top_k": 1}},
    {"hidden_size": 64, "intermediate_size": 96, "intermediate_size_mlp": 192, "num_hidden_layers": 4, "num_attention_heads": 4,
     "num_key_value_heads": 2, "head_dim": 16, "vocab_size": VOCAB, "num_local_experts": 4, "num_experts_per_tok": 1,
     "interleave_moe_layer_step": 2, "use_qk_norm": False, "attn_temperature_tuning": False, "no_rope_layers": [0, 1, 1, 0],
     "pad_token_id": 0},
)  # fmt: skip
DEEPSEEK_V3 = Model(
    "deepseek_v3", "deepseek_v3",
    {"dim": 64, "inter_dim": 160, "moe_inter_dim": 48, "n_layers": 3, "n_dense_layers": 1, "n_heads": 4, "vocab_size": VOCAB,
     "q_lora_rank": 0, "kv_lora_rank": 32, "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "v_head_dim": 20, "max_seq_len": 8192,
     "norm_eps": 1e-6, "mscale": 0.7,
     "moe_args": {**MOE, "num_shared_experts": 2, "route_norm": True, "route_scale": 2.5, "score_before_experts": False}},
    {"hidden_size": 64, "intermediate_size": 160, "moe_intermediate_size": 48, "num_hidden_layers": 3, "first_k_dense_replace": 1,
     "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": VOCAB, "q_lora_rank": None, "kv_lora_rank": 32,
     "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "v_head_dim": 20, "n_routed_experts": 4, "n_shared_experts": 2, "n_group": 1,
     "topk_group": 1, "num_experts_per_tok": 2, "num_nextn_predict_layers": 0},
)  # fmt: skip
DEEPSEEK_V3_LORA = DEEPSEEK_V3.but(
    {"q_lora_rank": 40, "moe_args": {"num_expert_groups": 2, "num_limited_groups": 1}},
    {"q_lora_rank": 40, "n_group": 2, "topk_group": 1},
)
GPT_OSS = Model(
    "gpt_oss", "gpt_oss",
    {"dim": 64, "moe_inter_dim": 96, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 64, "vocab_size": VOCAB,
     "sliding_window_size": 20, "max_seq_len": 2048,
     "moe_args": {**MOE, "num_shared_experts": 0, "score_func": "softmax", "route_norm": True, "gate_bias": True,
                  "score_before_experts": False}},
    {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
     "head_dim": 64, "vocab_size": VOCAB, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 20},
)  # fmt: skip


# --- making and reading ------------------------------------------------------------------------------------------------------


def script(name, *argv):
    """A script of tests/anchor, in this process: starting another would take longer than its work."""
    old, sys.argv = sys.argv, [name, *argv]
    try:
        runpy.run_path(os.path.join(ROOT, "tests/anchor", name), run_name="__main__")
    finally:
        sys.argv = old


def make_assets(work, name, model, **options):
    """A folder that transformers wrote, in bfloat16 and several files."""
    folder = work.path(name)
    fields = {k: json.dumps(v) for k, v in model.config.items()}
    fields |= {"shard": "150KB", **options}
    script("make_assets.py", "hf", folder, model.family, *(f"{k}={v}" for k, v in fields.items()))
    return folder


def read_hf(folder):
    from safetensors.torch import load_file

    names = sorted(n for n in os.listdir(folder) if n.endswith(".safetensors"))
    return {k: v for n in names for k, v in load_file(os.path.join(folder, n)).items()}


def read_dcp(folder):
    from runs import load

    return load(folder)


def placement(folder):
    with open(os.path.join(folder, "model.safetensors.index.json")) as f:
        return json.load(f)


def convert(work, model, *argv, fails=False):
    """titan-convert-hf; with `fails` it must end with exit 1: what it says then."""
    flavor = work.flavor_file("flavor", model.args)
    command = [os.path.join(BIN, "titan-convert-hf"), *argv, "--model_name", model.model, "--model_flavor", flavor]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.stdout or done.returncode != (1 if fails else 0):
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[:200]}{done.stderr[-3000:]}")
    return done.stderr


# --- TorchTitan --------------------------------------------------------------------------------------------------------------


def flavor_of(model):
    os.environ["TT_FLAVORS"] = json.dumps({f"{model.model}:tiny": model.args})
    return model.model, "tiny"


def theirs_from_hf(work, name, model, folder):
    """The DCP folder that TorchTitan's own conversion writes, as {key: tensor}."""
    import tt_convert

    tt_convert.from_hf(folder, work.path(name), *flavor_of(model))
    return read_dcp(work.path(name))


def strict_load_error(model, folder):
    """What TorchTitan says where it cannot load the DCP folder; None where it can."""
    import tt_convert

    try:
        tt_convert.load(folder, *flavor_of(model))
    except SystemExit as e:
        return str(e)


def prepare_for_cpu():
    """Its experts count with a kernel that the CPU does not have, and its attention is compiled, which takes a minute."""
    import torchtitan.models.attention as attention
    from torch.nn.attention.flex_attention import flex_attention

    histc, flex_attention_mask = torch.histc, functools.partial(attention.create_block_mask, device="cpu")
    torch.histc = lambda x, **how: histc(x.float(), **how).to(x.dtype)
    attention.FlexAttentionWrapper._compiled_flex_attn = flex_attention
    attention._compiled_create_block_mask = flex_attention_mask


def torchtitan_logits(model, folder):
    """What TorchTitan's model computes with the DCP folder."""
    import torch.distributed.checkpoint as dcp
    import tt_convert

    spec, args, _ = tt_convert.family(*flavor_of(model))
    net = spec.model_cls(args).eval()
    masks = {}
    if model.model == "gpt_oss":
        net.float()  # its layers are bfloat16
        masks["attention_masks"] = net.get_attention_masks(tokens(), None)
    if model.model == "deepseek_v3":
        net.norm.eps = args.norm_eps  # TorchTitan leaves that of the last norm at PyTorch's default; no config.json can say so
    dcp.load(net.state_dict(), checkpoint_id=folder)
    return net(tokens(), **masks)


# --- transformers ------------------------------------------------------------------------------------------------------------


def tokens():
    return torch.randint(VOCAB, (2, SEQ), generator=torch.Generator().manual_seed(7))


def hf_logits(folder, **options):
    """What transformers computes with the folder, and whether every key fitted."""
    from transformers import AutoModelForCausalLM

    net, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **options)
    return net.eval()(tokens()).logits, not any(info.values()), info


# --- checks ------------------------------------------------------------------------------------------------------------------


def bits(x):
    return x.contiguous().reshape(-1).view(torch.uint8)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))


def check_same(name, ours, theirs, keys=None):
    """Each key of theirs (or of `keys`) is in ours, equal bit for bit; where keys is None, and no other is."""
    wrong = [k for k in (keys or theirs) if k not in ours or not same(ours[k], theirs[k])]
    extra = [] if keys else [k for k in ours if k not in theirs]
    check(name, not wrong and not extra and len(theirs) > 0, f"{len(theirs)} keys, wrong: {wrong[:4]}, extra: {extra[:4]}")


def check_round(work, name, model, theirs=True, **options):
    """From a folder that transformers wrote to DCP and back: against TorchTitan's conversion, and against the original. Returns the
    folder; the DCP folder is <name>-dcp."""
    assets = make_assets(work, f"{name}-assets", model, **options)
    dcp, back, made = (work.path(f"{name}-{what}") for what in ("dcp", "back", "made"))
    convert(work, model, "from-hf", assets, dcp)
    ours = read_dcp(dcp)
    if theirs:
        expected = theirs_from_hf(work, f"{name}-theirs", model, assets)
        expected = {k: v.float() for k, v in expected.items()}
        check_same(f"{name}: what TorchTitan's from-hf writes", ours, expected, keys=expected)
    error = strict_load_error(model, dcp)
    check(f"{name}: TorchTitan loads it strictly", error is None, error or f"{len(ours)} keys")
    convert(work, model, "to-hf", dcp, back, "--hf_assets_path", assets, "--export_dtype", "like")
    check_same(f"{name}: back in Hugging Face's form bit for bit", read_hf(back), read_hf(assets))
    check(f"{name}: in the assets' files", placement(back)["weight_map"] == placement(assets)["weight_map"])
    check_opens(f"{name}: transformers", back, hf_logits(assets)[0])
    convert(work, model, dcp, made)
    check_opens(f"{name}: by a config.json of titan's", made, torchtitan_logits(model, dcp), TOLERANCE)
    return assets


TOLERANCE = 2e-6  # two implementations of one model in float32, logits of about 1


def check_opens(name, folder, want, tolerance=0):
    got, fits, info = hf_logits(folder)
    gap = (got.float() - want.float()).abs().max().item()
    check(f"{name}: every key fits, and the logits are right", fits and gap <= tolerance and got.isfinite().all(),
          f"gap {gap:.1e} of {tolerance:g}, {info if not fits else 'no key missing, unexpected or mismatched'}")  # fmt: skip

"""titan-convert-hf of models with experts (qwen3, llama4, deepseek_v3, gpt_oss), and of quantized inputs, held against TorchTitan's own
conversion, PyTorch's and transformers' dequantization, and transformers itself."""
import json
import os

import torch
from hf_models import (DEEPSEEK_V3, DEEPSEEK_V3_LORA, GPT_OSS, LLAMA4, QWEN3_MOE, check_opens, check_round, check_same, convert,
                       hf_logits, make_assets, placement, prepare_for_cpu, read_dcp, read_hf, strict_load_error,
                       theirs_from_hf, tokens)  # fmt: skip
from runs import Workdir, check, finish
from safetensors.torch import save_file


def rewrite(folder, change, config):
    """Changes the tensors of a folder, into one file with an index, and its config.json."""
    state = change(read_hf(folder))
    for name in os.listdir(folder):
        if name.endswith(".safetensors"):
            os.remove(os.path.join(folder, name))
    file = "model-00001-of-00001.safetensors"
    save_file(state, os.path.join(folder, file), {"format": "pt"})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {}, "weight_map": {k: file for k in state}}, f)
    with open(os.path.join(folder, "config.json")) as f:
        fields = json.load(f)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({**fields, **config}, f)
    return state


# --- llama4: names -----------------------------------------------------------------------------------------------------------


def check_llama4(work, name, model):
    """Under transformers' names, which TorchTitan's adapter cannot read; then under its own, language_model. and all."""
    check_round(work, name, model, theirs=False)
    dcp = read_dcp(work.path(f"{name}-dcp"))
    theirs_named = make_assets(work, f"{name}-named", model, names="torchtitan")
    convert(work, model, theirs_named, work.path(f"{name}-named-dcp"))
    check_same(f"{name}: with language_model. the same", read_dcp(work.path(f"{name}-named-dcp")), dcp)
    expected = {k: v.float() for k, v in theirs_from_hf(work, f"{name}-theirs", model, theirs_named).items()}
    check_same(f"{name}: what TorchTitan's from-hf writes", dcp, expected, keys=expected)
    check(f"{name}: and what it loses", all(k in dcp for k in (f"layers.{n}.moe.expert_bias" for n in (1, 3))) and
          (model.args["interleave_moe_layer_step"] == 1 or "layers.0.feed_forward.w1.weight" in dcp), f"{len(dcp)} keys, "
          f"TorchTitan {len(expected)}")  # fmt: skip
    convert(work, model, work.path(f"{name}-dcp"), work.path(f"{name}-named-back"), "--hf_assets_path", theirs_named,
            "--export_dtype", "like")  # fmt: skip
    check_same(f"{name}: back under the assets' names", read_hf(work.path(f"{name}-named-back")), read_hf(theirs_named))
    convert(work, model, work.path(f"{name}-dcp"), work.path(f"{name}-tt"), "--tt_names", "--export_dtype", "bfloat16")
    check_same(f"{name}: --tt_names", read_hf(work.path(f"{name}-tt")), read_hf(theirs_named))


def check_transposed(work, model):
    """TorchTitan's own DCP of llama4 keeps the experts with transposed strides."""
    folder = work.path("llama4-1-theirs")
    convert(work, model, "to-hf", folder, work.path("from-theirs"), "--include", "*experts.gate_up_proj", "--include", "*down_proj")
    want = read_hf(work.path("llama4-1-made"))
    got = read_hf(work.path("from-theirs"))
    check_same("llama4: transposed strides of TorchTitan's DCP", got, want, keys=got)


def check_vision(work):
    """A multimodal folder: the vision tower has no place, and the language model comes back into a folder that opens."""
    import transformers

    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "vision_output_dim": 32,
             "image_size": 28, "patch_size": 14, "projector_input_dim": 32, "projector_output_dim": 32}  # fmt: skip
    net = transformers.Llama4ForConditionalGeneration(transformers.Llama4Config(text_config=LLAMA4.config, vision_config=small))
    for name, x in net.state_dict().items():
        x.normal_(1 if "norm" in name else 0, 0.2 if "norm" in name else 0.02)
    assets, dcp, back = (work.path(f"vision-{what}") for what in ("assets", "dcp", "back"))
    net.to(torch.bfloat16).save_pretrained(assets, max_shard_size="150KB")
    message = convert(work, LLAMA4, assets, dcp, fails=True)
    check("llama4, vision: refused by name", "26 tensors of the input have no place in the flavor" in message and "vision_model." in
          message, message[:100])  # fmt: skip
    convert(work, LLAMA4, assets, dcp, "--allow_unused")
    convert(work, LLAMA4, dcp, back, "--hf_assets_path", assets, "--export_dtype", "like")
    want = {k: v for k, v in read_hf(assets).items() if k.startswith("language_model.")}
    check_same("llama4, vision: the language model comes back", read_hf(back), want)
    whole = transformers.Llama4ForConditionalGeneration.from_pretrained(assets)
    check_opens("llama4, vision: transformers", back, whole(tokens()).logits)


# --- deepseek_v3: FP8 in blocks ----------------------------------------------------------------------------------------------


def quantize(state):
    """Weights of linear layers in FP8, with a scale for each block of 128 by 128; those at the edges are smaller."""
    out = {}
    for key, x in state.items():
        out[key] = x
        if "_proj" in key and x.ndim == 2:
            rows, cols = (-(-n // 128) for n in x.shape)
            out[key] = (x.float() * 8).to(torch.float8_e4m3fn)
            out[key + "_scale_inv"] = torch.rand(rows, cols) + 0.05
    return out


def pytorch_dequantizes(folder, state):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.quantized_hf_storage import QuantizedHuggingFaceStorageReader

    out = {k: torch.empty(v.shape) for k, v in state.items() if not k.endswith("_scale_inv")}
    dcp.load(out, storage_reader=QuantizedHuggingFaceStorageReader(folder, target_dtype=torch.float32, block_size=128))
    return out


def check_fp8(work):
    wide = {"dim": 136, "inter_dim": 264, "kv_lora_rank": 144, "moe_inter_dim": 132}
    model = DEEPSEEK_V3_LORA.but(wide, {"hidden_size": 136, "intermediate_size": 264, "kv_lora_rank": 144, "moe_intermediate_size": 132})
    assets = make_assets(work, "fp8", model)
    config = {"quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}}
    state = rewrite(assets, quantize, config)
    convert(work, model, "from-hf", assets, work.path("fp8-dcp"))
    error = strict_load_error(model, work.path("fp8-dcp"))
    check("deepseek_v3, FP8: TorchTitan loads it strictly", error is None, error or "")
    convert(work, model, "to-hf", work.path("fp8-dcp"), work.path("fp8-back"), "--hf_assets_path", assets)
    want = pytorch_dequantizes(assets, state)
    check_same("deepseek_v3, FP8: dequantized as QuantizedHuggingFaceStorageReader does", read_hf(work.path("fp8-back")), want)
    check("deepseek_v3, FP8: one file, as in the assets", set(placement(work.path("fp8-back"))["weight_map"].values()) ==
          {"model-00001-of-00001.safetensors"})  # fmt: skip
    _, fits, info = hf_logits(work.path("fp8-back"))
    check("deepseek_v3, FP8: opens without its quantization_config", fits, f"{info if not fits else ''}")


# --- gpt_oss: three forms of its experts -------------------------------------------------------------------------------------


def pack(state):
    """The experts as MXFP4: random nibbles, and scales from 2^-14 to 2^-7."""
    out = {}
    for key, x in state.items():
        if key.endswith(("gate_up_proj", "down_proj")):
            e, n_in, n_out = x.shape
            out[key + "_blocks"] = torch.randint(256, (e, n_out, n_in // 32, 16), dtype=torch.uint8)
            out[key + "_scales"] = torch.randint(113, 121, (e, n_out, n_in // 32), dtype=torch.uint8)
        else:
            out[key] = x
    return out


def check_mxfp4(work, model):
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    assets = make_assets(work, "mxfp4", model)
    state = rewrite(assets, pack, {"quantization_config": {"quant_method": "mxfp4"}})
    convert(work, model, "from-hf", assets, work.path("mxfp4-dcp"))
    error = strict_load_error(model, work.path("mxfp4-dcp"))
    check("gpt_oss, MXFP4: TorchTitan loads it strictly", error is None, error or "")
    convert(work, model, "to-hf", work.path("mxfp4-dcp"), work.path("mxfp4-back"), "--hf_assets_path", assets, "--export_dtype", "bfloat16")
    want = {k: v for k, v in state.items() if not k.endswith(("_blocks", "_scales"))}
    for key in (k.removesuffix("_blocks") for k in state if k.endswith("_blocks")):
        want[key] = convert_moe_packed_tensors(state[key + "_blocks"], state[key + "_scales"])
    check_same("gpt_oss, MXFP4: dequantized as transformers does", read_hf(work.path("mxfp4-back")), want)
    _, fits, info = hf_logits(work.path("mxfp4-back"))  # the original opens on a GPU alone
    check("gpt_oss, MXFP4: opens without its quantization_config", fits, f"{info if not fits else ''}")


def check_gpt_oss(work):
    check_round(work, "gpt_oss", GPT_OSS, theirs=False)
    dcp = read_dcp(work.path("gpt_oss-dcp"))
    named = make_assets(work, "gpt_oss-named", GPT_OSS, names="torchtitan")
    convert(work, GPT_OSS, named, work.path("gpt_oss-named-dcp"))
    check_same("gpt_oss: under TorchTitan's names the same", read_dcp(work.path("gpt_oss-named-dcp")), dcp)
    expected = {k: v.float() for k, v in theirs_from_hf(work, "gpt_oss-theirs", GPT_OSS, named).items()}
    check_same("gpt_oss: what TorchTitan's from-hf writes, widened", dcp, expected, keys=expected)
    convert(work, GPT_OSS, work.path("gpt_oss-dcp"), work.path("gpt_oss-tt"), "--tt_names", "--export_dtype", "bfloat16")
    check_same("gpt_oss: --tt_names", read_hf(work.path("gpt_oss-tt")), read_hf(named))
    check_mxfp4(work, GPT_OSS)


@torch.inference_mode()
def main():
    prepare_for_cpu()
    with Workdir() as work:
        check_round(work, "qwen3_moe", QWEN3_MOE)
        check_llama4(work, "llama4", LLAMA4)
        every = LLAMA4.but({"interleave_moe_layer_step": 1}, {"interleave_moe_layer_step": 1})
        check_llama4(work, "llama4-1", every)
        check_transposed(work, every)
        check_vision(work)
        check_round(work, "deepseek_v3", DEEPSEEK_V3)
        check_round(work, "deepseek_v3, q_lora", DEEPSEEK_V3_LORA)
        check_fp8(work)
        check_gpt_oss(work)
    finish()


main()

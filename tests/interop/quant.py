"""Quantized tensors as numbers, bit for bit: DeepSeek's FP8 blocks as PyTorch's QuantizedHuggingFaceStorageReader gives them, MXFP4
groups as transformers does. B: the build folder."""
import json
import os
import subprocess
import tempfile

import torch
import torch.distributed.checkpoint as dcp
from runs import count as check
from runs import finish
from safetensors.torch import save_file
from torch.distributed.checkpoint.quantized_hf_storage import QuantizedHuggingFaceStorageReader
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

TOOL = os.environ.get("B", "build/release") + "/tools/quant"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def same(a, b):
    """Bits, but for which NaN it is."""
    number = ~torch.isnan(a)
    view = {4: torch.int32, 2: torch.int16}[a.element_size()]
    return (a.dtype == b.dtype and a.shape == b.shape and torch.equal(torch.isnan(a), torch.isnan(b))
            and torch.equal(a.contiguous().view(view)[number], b.contiguous().view(view)[number]))


def ours(shape, dtype, *args):
    out = subprocess.run([TOOL, *args, str(dtype)[6:]], check=True, stdout=subprocess.PIPE).stdout
    return torch.frombuffer(bytearray(out), dtype=dtype).reshape(shape)


def write(folder, tensors):
    save_file(tensors, folder + "/model.safetensors")
    with open(folder + "/model.safetensors.index.json", "w") as f:
        json.dump({"metadata": {}, "weight_map": {k: "model.safetensors" for k in tensors}}, f)


def check_blocks(folder, rows, cols):
    """Every byte there is, NaN too; scales of every size, one so large that products overflow, one so small that they vanish."""
    w = torch.randint(0, 256, (rows, cols), dtype=torch.uint8).view(torch.float8_e4m3fn)
    scales = torch.exp2(torch.randint(-60, 60, ((rows + 127) // 128, (cols + 127) // 128)).float()) * torch.rand(1)
    scales.view(-1)[0], scales.view(-1)[-1] = 3e38, 1e-43
    write(folder, {"x.weight": w, "x.weight_scale_inv": scales})
    for dtype in DTYPES:
        theirs = torch.zeros(rows, cols, dtype=dtype)
        dcp.load({"x.weight": theirs}, storage_reader=QuantizedHuggingFaceStorageReader(folder, target_dtype=dtype), no_dist=True)
        got = ours((rows, cols), dtype, "block128", folder, "x.weight", "x.weight_scale_inv")
        check(f"blocks of {rows} x {cols} as {dtype}", same(got, theirs))


def check_groups(folder, shape):
    """Every byte with every scale, the two at the ends included."""
    blocks = torch.randint(0, 256, shape, dtype=torch.uint8)
    scales = torch.randint(0, 256, shape[:-1], dtype=torch.uint8)
    scales.view(-1)[:256] = torch.arange(256, dtype=torch.uint8)[: scales.numel()]
    write(folder, {"x_blocks": blocks, "x_scales": scales})
    e, r, g, b = shape
    for dtype in DTYPES:
        theirs = convert_moe_packed_tensors(blocks, scales, dtype=dtype)
        got = ours((e, g * b * 2, r), dtype, "mxfp4", "transpose", folder, "x_blocks", "x_scales")
        check(f"groups of {shape} as {dtype}, transposed", same(got, theirs))
        got = ours((e, r, g * b * 2), dtype, "mxfp4", folder, "x_blocks", "x_scales")
        check(f"groups of {shape} as {dtype}", same(got, theirs.transpose(1, 2).contiguous()))


torch.manual_seed(1)
with tempfile.TemporaryDirectory() as tmp:
    for size in ((1, 1), (31, 33), (128, 128), (576, 1000), (1536, 576), (129, 257)):
        check_blocks(tmp, *size)
    for size in ((1, 1, 1, 16), (2, 31, 5, 16), (4, 96, 33, 16), (1, 3, 2, 5), (3, 577, 90, 16)):
        check_groups(tmp, size)
finish()

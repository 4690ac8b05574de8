"""A model-only checkpoint of TorchTitan, flattened by titan-dcp2pt, is what torchtune's checkpointer for Meta's format reads: all keys
matched, and its model computes what TorchTitan's computes. The same checkpoint loads into a plain model by
torch.distributed.checkpoint.load."""
import os
import subprocess
import sys

import torch
import torch.distributed.checkpoint as dcp
from runs import BIN, ROOT, Workdir, check, finish

setup = subprocess.run([os.path.join(ROOT, "tests/anchor/setup-torchtune")], check=True, stdout=subprocess.PIPE, text=True)
sys.path.append(setup.stdout.strip())
DIM, LAYERS, HEADS, KV_HEADS, VOCAB, THETA, EPS = 64, 3, 4, 2, 256, 500000, 1e-5


def torchtitan_model():
    """TorchTitan's, with every weight random: norms that are all ones would hide it when two of them changed places."""
    from torchtitan.models.llama3.model.args import TransformerModelArgs
    from torchtitan.models.llama3.model.model import Transformer

    args = TransformerModelArgs(dim=DIM, n_layers=LAYERS, n_heads=HEADS, n_kv_heads=KV_HEADS, vocab_size=VOCAB, rope_theta=THETA,
                                norm_eps=EPS, multiple_of=32, max_seq_len=512)  # fmt: skip
    model = Transformer(args)
    torch.manual_seed(0)
    for name, p in model.state_dict().items():
        p.normal_(1 if "norm" in name else 0, 0.2 if "norm" in name else 0.1)
    return model.eval()


def torchtune_model(hidden):
    from torchtune.models.llama3_1 import llama3_1

    return llama3_1(vocab_size=VOCAB, num_layers=LAYERS, num_heads=HEADS, num_kv_heads=KV_HEADS, embed_dim=DIM, max_seq_len=512,
                    intermediate_dim=hidden, rope_base=THETA, norm_eps=EPS, scale_factor=8).eval()  # fmt: skip


def check_torchtune(work, model, tokens, want):
    from torchtune.training import FullModelMetaCheckpointer

    pt = work.path("model", "consolidated.00.pth")
    os.mkdir(work.path("model"))
    subprocess.run([os.path.join(BIN, "titan-dcp2pt"), work.path("dcp"), pt], check=True)
    reader = FullModelMetaCheckpointer(work.path("model"), [os.path.basename(pt)], "LLAMA3", work.path("out"))
    state = reader.load_checkpoint()["model"]
    tuned = torchtune_model(model.layers["0"].feed_forward.w1.weight.shape[0])
    keys = tuned.load_state_dict(state, strict=False)
    check("torchtune: all keys matched", not keys.missing_keys and not keys.unexpected_keys, f"{len(state)} keys, {keys}")
    gap = (tuned(tokens) - want).abs().max().item()
    check("torchtune: logits", gap <= 1e-3, f"differ by {gap:.1e} of 1e-3, largest {want.abs().max():.2f}")


def check_plain(work, model, tokens, want):
    plain = torchtitan_model()
    for p in plain.parameters():
        p.data.zero_()
    dcp.load(plain.state_dict(), checkpoint_id=work.path("dcp"))
    check("a plain model: logits", torch.equal(plain(tokens), want), f"{sum(1 for _ in plain.parameters())} parameters")


@torch.no_grad()
def main():
    with Workdir() as work:
        model = torchtitan_model()
        dcp.save(model.state_dict(), checkpoint_id=work.path("dcp"))
        tokens = torch.randint(VOCAB, (2, 200), generator=torch.Generator().manual_seed(1))
        want = model(tokens)
        check_torchtune(work, model, tokens, want)
        check_plain(work, model, tokens, want)
    finish()


main()

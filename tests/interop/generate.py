"""titan-train --generate.prompt goes on from a prompt as TorchTitan's model does: the same tokens from the same weights, prompt, seed,
temperature and top_k in float32, where TorchTitan computes the whole text again for each token and titan keeps keys and values.

The reference draws as scripts/generate of TorchTitan does: the argmax of the probabilities over as many exponential numbers of a seeded
generator. TorchTitan's wheel does not have that script."""
import json
import os
import subprocess

import torch
from runs import BASE, BIN, F32, FULL, ODD, ROOT, TINY, TOKENIZER, Workdir, check, finish, flags, load, titan
from torchtitan.components.tokenizer import HuggingFaceTokenizer
from torchtitan.models.llama3.model.args import TransformerModelArgs
from torchtitan.models.llama3.model.model import Transformer

PROMPT = "The sources of a program: static const"
SEQ_LEN, STEPS = 160, 30
MODELS = {
    "tiny": TINY,
    "odd": ODD,
    "one key head, wide heads": {**TINY, "n_heads": 2, "n_kv_heads": 1, "n_layers": 3},
}  # fmt: skip
GREEDY = dict(temperature=0, max_new_tokens=120)
CASES = {
    "temperature 1, three sequences": dict(temperature=1, seed=7, batch_size=3, max_new_tokens=60),
    "temperature 0.8 of the 5 most likely": dict(temperature=0.8, top_k=5, seed=3, batch_size=2, max_new_tokens=90),
    "temperature 1.5 of the most likely one": dict(temperature=1.5, top_k=1, seed=1, max_new_tokens=40),
    "no prompt": dict(prompt="", temperature=0.7, seed=5, max_new_tokens=50),
    "one token": dict(temperature=1, seed=9, max_new_tokens=1),
}  # fmt: skip


@torch.no_grad()
def reference(model, ids, max_new_tokens, temperature, top_k=None, seed=0, batch_size=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.tensor(ids).repeat(batch_size, 1)
    for _ in range(max_new_tokens):
        logits = model(x)[:, -1]
        if temperature == 0:
            token = logits.argmax(-1, keepdim=True)
        else:
            logits = logits / temperature
            if top_k is not None:
                logits[logits < logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]] = -torch.inf
            p = logits.softmax(-1)
            token = (p / torch.empty_like(p).exponential_(1, generator=generator)).argmax(-1, keepdim=True)
        x = torch.cat([x, token], 1)
    return x[:, len(ids):].tolist()


def ours(flavor, settings, stdin=None, **how):
    command = [os.path.join(BIN, "titan-train"), *flags({**BASE, **settings, "model.flavor": flavor})]
    command += flags({f"generate.{k}": v for k, v in how.items()})
    done = subprocess.run(command, cwd=ROOT, capture_output=True, input=stdin)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.decode()[-3000:]}")
    return done.stdout


def transformer(fields, weights):
    model = Transformer(TransformerModelArgs(**fields, max_seq_len=SEQ_LEN)).eval()
    missing, unexpected = model.load_state_dict({k: weights[k] for k in model.state_dict() if k in weights}, strict=False)
    assert not unexpected and set(missing) <= {"freqs_cis"}, missing
    return model


def compare(name, tokenizer, model, flavor, settings, prompt=PROMPT, **how):
    ids = tokenizer.encode(prompt, add_bos=True, add_eos=False)
    theirs = [tokenizer.decode(t) for t in reference(model, ids, **how)]
    report = json.loads(ours(flavor, settings, prompt=prompt, out=True, **how))
    texts = [r["output_text"] for r in report["responses"]]
    meta = report["metadata"]
    same = texts == theirs and all(r["input_text"] == tokenizer.decode(ids) for r in report["responses"])
    check(name, same and meta["input_n_tokens"] == len(ids) and meta["generated_n_tokens"] == how["max_new_tokens"],
          f"{len(theirs)} x {how['max_new_tokens']} tokens, {theirs[0][:40]!r}" if same else f"{texts} against {theirs}")  # fmt: skip
    return theirs


def main():
    tokenizer = HuggingFaceTokenizer(TOKENIZER)
    torch.set_num_threads(1)
    with Workdir() as work:
        for i, (name, fields) in enumerate(MODELS.items()):
            settings = {**F32, **FULL, "training.seq_len": SEQ_LEN, "training.steps": STEPS, "checkpoint.interval": STEPS,
                        "optimizer.lr": 5e-3, "job.dump_folder": work.path(f"dump{i}")}  # fmt: skip
            titan(work, f"model{i}", settings, fields)
            model = transformer(fields, load(work.path(f"dump{i}", "checkpoint", f"step-{STEPS}")))
            flavor = work.flavor_file(f"model{i}", fields)
            greedy = compare(f"{name}, greedy", tokenizer, model, flavor, settings, **GREEDY)
            if i:
                continue
            for title, how in CASES.items():
                compare(title, tokenizer, model, flavor, settings, **how)
            text = ours(flavor, settings, prompt="-", stdin=PROMPT.encode(), **GREEDY)
            check("the text alone, the prompt from standard input", text.decode() == greedy[0] + "\n", f"{len(text)} bytes")
    finish()


main()

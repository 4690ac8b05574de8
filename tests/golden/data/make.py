"""Makes the goldens of this folder with the real libraries: a tokenizer, texts with their tokens, and a rank's batches.

usage: make.py        (from this folder; tokenizers 0.23.3, TorchTitan 0.2.2, torch 2.13, datasets 5.2)
"""
import gzip
import json
import os
import pickle

os.environ["HF_DATASETS_CACHE"] = "/tmp/golden-cache"
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torchtitan.components.dataloader import ParallelAwareDataloader
from torchtitan.components.tokenizer import HuggingFaceTokenizer
from torchtitan.hf_datasets.text_datasets import HuggingFaceTextDataset

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = [
    "", " ", "a", "hello world", "Hello, WORLD! it's I'LL 'ſ", "  two  spaces\n\n\tand a tab \r\n end   ", "1234567 12 ½ ٣٤٥",
    "for (int i = 0; i < n; i++)\n        x[i] += y[i];\n", "naïve café e\u0301te\u0301 Å", "漢字とかな 한국어 ᄀ\u1161\u11a8 עברית العربية हिन्दी",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽", "a <|pad|>  b<tag>c <tag> foo foobar <mask> x", "\x00\x01\x7f\x80\xff", "\u180e\u2028\u0085\u3000",
    "\U0001e4d0\U00010d4a\U0001ccf0 newer than Unicode 14", "x" * 100, "ab" * 60 + "!", " " * 90 + "z", "\ufffd\ufeff",
]


def make_tokenizer():
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tok.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    tok.train_from_iterator(TEXTS * 2 + ["hello world the for int café 漢字"] * 5, trainer)
    tok.add_special_tokens(["<|bos|>", "<|eos|>"])
    tok.add_tokens([AddedToken("<tag>", lstrip=True, rstrip=True), AddedToken("foo", single_word=True), "<mask>", "<mask> x"])
    tok.post_processor = processors.TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", 330)])
    os.makedirs("tokenizer", exist_ok=True)
    tok.save("tokenizer/tokenizer.json", pretty=False)
    with open("tokenizer/tokenizer_config.json", "w") as f:
        json.dump({"bos_token": "<|bos|>", "eos_token": {"content": "<|eos|>"}, "pad_token": "<|pad|>"}, f)


def make_tokens(tok):
    with open("tokens.jsonl", "w") as f:
        for t in TEXTS:
            ids = tok.encode(t, add_bos=True, add_eos=True)
            f.write(json.dumps({"text": t, "ids": ids, "decoded": tok.decode(ids, skip_special_tokens=True)}) + "\n")


def cases_of(tok, dataset, path, settings):
    cases = []
    for seq, batch, rank, world, infinite, n in settings:
        ds = HuggingFaceTextDataset(dataset, path, tok, seq, rank, world, infinite)
        it, rows, states = iter(loader := ParallelAwareDataloader(ds, rank, world, batch_size=batch)), [], []
        for _ in range(n):
            x, y = next(it, (None, None))
            if x is None:
                break
            rows.append([x["input"].flatten().tolist(), y.flatten().tolist()])
            states.append(pickle.loads(loader.state_dict()[f"dp_rank_{rank}"]))
        resumed = ParallelAwareDataloader(HuggingFaceTextDataset(dataset, path, tok, seq, rank, world, infinite), rank, world, batch_size=batch)
        resumed.load_state_dict({f"dp_rank_{rank}": pickle.dumps(states[1]), "world_size": world})
        after = [[x["input"].flatten().tolist(), y.flatten().tolist()] for _, (x, y) in zip(range(2), resumed)]
        cases.append(dict(seq_len=seq, batch=batch, rank=rank, world=world, infinite=infinite, batches=rows, states=states, resumed=after,
                          resumed_state=pickle.loads(resumed.state_dict()[f"dp_rank_{rank}"])))
    return cases


def dump(name, cases):
    with open(name, "w") as f:
        json.dump(cases, f, separators=(",", ":"))
        f.write("\n")


def make_batches(tok):
    os.makedirs("samples", exist_ok=True)
    with open("samples/data.json", "w") as f:
        for i in range(7):
            f.write(json.dumps({"text": TEXTS[3 + i]}) + "\n")
    settings = (12, 2, 0, 1, True, 9), (20, 2, 1, 2, True, 4), (9, 3, 2, 3, False, 5), (8, 2, 0, 1, False, 99)
    dump("batches.json", cases_of(tok, "c4_test", "samples", settings))


CARD = """---
configs:
- config_name: en
  data_files:
  - split: train
    path: en/c4-train.*.json.gz
  - split: validation
    path: en/c4-validation.*.json.gz
- config_name: other
  data_files: other/*.json.gz
---
"""


def make_streamed(tok):
    """A clone of allenai/c4, small."""
    os.makedirs("clone/en", exist_ok=True)
    with open("clone/README.md", "w") as f:
        f.write(CARD)
    for name, n in ("train.00000-of-00004", 5), ("train.00001-of-00004", 3), ("train.00002-of-00004", 6), ("train.00003-of-00004", 4), ("validation.00000-of-00001", 3):
        lines = "".join(json.dumps({"text": f"{name[:7]} {i}", "url": "x"}) + "\n" for i in range(n))
        with open(f"clone/en/c4-{name}.json.gz", "wb") as f:
            f.write(gzip.compress(lines.encode(), mtime=0))
    settings = (9, 2, 0, 1, True, 40), (8, 2, 1, 2, True, 20), (10, 1, 2, 3, True, 12), (8, 2, 0, 1, False, 99), (9, 1, 2, 3, False, 99)
    dump("streamed.json", cases_of(tok, "c4", "clone", settings))


if __name__ == "__main__":
    make_tokenizer()
    tok = HuggingFaceTokenizer("tokenizer")
    make_tokens(tok)
    make_batches(tok)
    make_streamed(tok)

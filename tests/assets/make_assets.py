"""Makes the tokenizer and the text that configs/*.toml train on, out of this repository's own files.

usage: make_assets.py            (from anywhere; writes tokenizer/ and c4_test/ beside this file)

The same files give the same bytes. Needs the package tokenizers (0.23); README.md here says when to run it.
"""
import json
import os
import random
import subprocess

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TEXT = (".c", ".h", ".md", ".py", ".sh", ".toml", ".yaml", ".1", ".5", "Makefile", "LICENSE")
LEFT_OUT = ("tests/assets/", "tests/golden/")
VOCAB = 2048
CHARS = 3000  # about so many to a document
BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
SPECIAL = [BOS, EOS, "<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
           "<|python_tag|>"]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def files():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [n for n in sorted(names) if n.endswith(TEXT) and not n.startswith(LEFT_OUT)]


def documents():
    """Whole lines, CHARS characters or a little more at a time, in an order that mixes the files."""
    out = []
    for name in files():
        with open(os.path.join(ROOT, name), encoding="utf-8") as f:
            text = ""
            for line in f:
                text += line
                if len(text) >= CHARS:
                    out.append((name, text))
                    text = ""
            if text.strip():
                out.append((name, text))
    random.Random(0).shuffle(out)
    return out


def make_tokenizer(texts, folder):
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - len(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tok.train_from_iterator(texts, trainer)
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    tok.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, tok.token_to_id(BOS))]),
        ]
    )
    assert tok.get_vocab_size() == VOCAB, tok.get_vocab_size()
    os.makedirs(folder, exist_ok=True)
    tok.save(os.path.join(folder, "tokenizer.json"))
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    config = {
        "added_tokens_decoder": {str(tok.token_to_id(s)): {"content": s, **flags} for s in SPECIAL},
        "bos_token": BOS,
        "clean_up_tokenization_spaces": True,
        "eos_token": EOS,
        "model_max_length": 131072,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2)
        f.write("\n")


def make_data(docs, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        for name, text in docs:
            f.write(json.dumps({"text": text, "timestamp": "2026-01-01T00:00:00Z", "url": name}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    docs = documents()
    make_tokenizer([text for _, text in docs], os.path.join(HERE, "tokenizer"))
    make_data(docs, os.path.join(HERE, "c4_test", "data.json"))

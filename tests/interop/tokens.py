"""titan's tokens against the Hugging Face library's, through TorchTitan's wrapper: all must be equal.

Tokenizers: the project's; a GPT-2-style and a Qwen-style one trained here; and one for each behaviour that neither has. Text: code,
every script, every code point, emoji, contractions, long runs, noise. Needs tokenizers, torchtitan; run by tests/interop/run.sh.
B is the build folder with tools/tokenize.
"""
import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

import numpy
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torchtitan.components.tokenizer import HuggingFaceTokenizer
from torchtitan.tools.logging import logger

from runs import save_tokenizer, train_tokenizer

logger.setLevel("ERROR")
TOOL = os.path.join(os.environ.get("B", "build/release"), "tools", "tokenize")
SCRATCH = tempfile.TemporaryDirectory()
BOS_EOS, DEFAULT = 3, 4
LLAMA = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA.replace(r"\p{N}{1,3}", r"\p{N}")
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
ODD = r"\bfoo\w*|\d{1,2}+|\h+;|^#.*$|(?m:<!--.*?-->)|[\w\-]+\u0041?|\v|(?i)straß\p{^L}|\P{L}\W?"


def corpus():
    rng = random.Random(7)
    texts = []
    for name in sorted(glob.glob("lib/[bd]*/*.[ch]") + glob.glob("*.md") + glob.glob("tests/interop/*.py")):
        texts.append(open(name, encoding="utf-8").read())
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for k in range(0, len(every), 3000):
        some = every[k : k + 3000]
        if k > 0x20000 and k // 3000 % 10:  # planes of nothing: one in ten of what has no character
            some = [c for c in some if unicodedata.category(c) not in ("Cn", "Co")]
        texts.append("".join(some))
        texts.append("".join(f"a{c}1{c}\n" for c in some[::3]))
    letters = [c for c in every if unicodedata.category(c)[0] in "LMNPSZ"]
    marks = [c for c in every if unicodedata.category(c)[0] == "M"]
    for _ in range(120):
        texts.append("".join(rng.choice(letters) * rng.randrange(1, 3) + rng.choice(marks) * rng.randrange(3) for _ in range(120)))
        block = rng.randrange(0, 0x3000)
        texts.append("".join(chr(block + rng.randrange(0x80)) + " " * (rng.randrange(9) == 0) for _ in range(200)))
    spaces = " \t\n\r\x0b\x0c\x85\xa0\u1680\u2003\u2028\u202f\u3000\u180e\u200b\ufeff"
    for _ in range(80):
        texts.append("".join(rng.choice(spaces) * rng.randrange(1, 6) + rng.choice("ab1.é漢😀'") for _ in range(60)))
    words = "I'm you'LL he'S we've 'T 'ſ don’t isn't ' '' 's'd fooBAR foo² 123456789 1٣४ ３ ½ Ⅷ <|im_start|> <|endoftext|> <mask> <tag> "
    words += "<|begin_of_text|> <|end_of_text|> été e\u0301te\u0301 Å Ω ﬁ 각 ᄀ\u1161\u11a8 👩‍👩‍👧‍👦 🇩🇪 🏳️‍🌈 👍🏽 ‮rtl עברית العربية हिन्दी ไทย မြန်မာ 中文，。 日本語 한국어 ẞ ß SS ſs K"
    words = words.split(" ") + ["", "\n\n", "\t", "#x\n", "\\u", "\x00", "<", "|>", "<|"]
    for _ in range(200):
        texts.append("".join(rng.choice(words) + rng.choice(["", " ", "  ", "\n"]) for _ in range(30)))
    for _ in range(40):
        texts.append(rng.randbytes(400).decode("utf-8", errors="replace"))
        texts.append(rng.randbytes(400).decode("latin-1"))
    for c in " \n\ta.1é漢😀":
        texts += [c * n for n in (1, 2, 3, 39, 40, 41, 127, 1000, 9000)] + [c * 3000 + "x", "x" + c * 3000 + "\n"]
    texts += ["", " ", "a", json.dumps(words), json.dumps(words, ensure_ascii=False)]
    return texts


def train(model, norm, pretok, texts, vocab, special=()):
    tok = train_tokenizer(model, texts, vocab, pretok, norm, special_tokens=list(special))
    tok.decoder = decoders.ByteLevel()
    return tok


def save(tok, name, config=None, change=None):
    return save_tokenizer(f"{SCRATCH.name}/{name}", tok, config, change, ensure_ascii=name < "m")


def split(pattern, behavior="isolated", invert=False):
    pattern = pattern if len(pattern) == 1 else Regex(pattern)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, behavior, invert), pre_tokenizers.ByteLevel(False, use_regex=False)])


def folders(texts):
    bl = pre_tokenizers.ByteLevel
    few = [t[k : k + 400] for t in texts[:30] for k in range(0, 8000, 400)] + [t for t in texts if len(t) < 600][:150]
    yield "tests/assets/tokenizer"

    gpt2 = train(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""), None, bl(False), few, 3000, ["<|endoftext|>"])
    gpt2.post_processor = processors.ByteLevel(trim_offsets=False)

    def legacy(tree):
        tree["model"]["merges"] = ["#version: 0.2"] + [" ".join(m) for m in tree["model"]["merges"]]
        del tree["model"]["ignore_merges"], tree["model"]["byte_fallback"]

    yield save(gpt2, "gpt2", {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "add_eos_token": True}, legacy)
    folder = f"{SCRATCH.name}/gpt2-files"
    os.makedirs(folder)
    gpt2.model.save(folder)
    yield folder

    qwen = train(models.BPE(), normalizers.NFC(), split(QWEN), few, 3000)
    qwen.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    yield save(qwen, "qwen", {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None, "add_bos_token": False,
                              "added_tokens_decoder": {str(qwen.get_vocab_size()): {"content": "<tag>", "special": False}}})
    for name, norm, pretok in (
        ("gpt4o", normalizers.NFKC(), split(GPT4O)),
        ("deepseek", None, pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
                                                    pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
                                                    pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"), bl(False, use_regex=False)])),
        ("nfd", normalizers.NFD(), bl(True)),
        ("nfkd", normalizers.Sequence([normalizers.NFKD(), normalizers.NFC()]), pre_tokenizers.Sequence([pre_tokenizers.Digits(False), bl(False)])),
        ("digits", None, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), bl(False)])),
        ("white", None, pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), bl(False, use_regex=False)])),
        ("whitesplit", None, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), bl(True, use_regex=False)])),
        ("odd", None, split(ODD)),
        ("removed", None, split(r"\s+|a", "removed")),
        ("contiguous", None, split("a", "contiguous")),
        ("previous", None, split(r"\d|[.]", "merged_with_previous")),
        ("next", None, split(r"\d|[.]|\s", "merged_with_next")),
        ("next-inverted", None, split(r"\w+", "merged_with_next", True)),
        ("removed-inverted", None, split(r"\S+", "removed", True)),
        ("contiguous-inverted", None, split(r"\S", "contiguous", True)),
        ("previous-inverted", None, split(r"[^.]", "merged_with_previous", True)),
        ("empty-matches", None, split(r"x*|(?=b)", "isolated")),
    ):
        tok = train(models.BPE(ignore_merges=name > "n"), norm, pretok, few, 1200)
        tok.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("été", normalized=True), AddedToken("foo", single_word=True),
                        AddedToken("<tag>", rstrip=True, lstrip=True, normalized=False), AddedToken("<|", normalized=False), "ab", "abc"])
        tok.post_processor = processors.TemplateProcessing(single="ab $A <mask>", special_tokens=[("ab", 7), ("<mask>", 9)])
        yield save(tok, name, {"bos_token": {"content": "<mask>", "lstrip": True}, "eos_token": {"content": "</s>", "__type": "AddedToken"},
                               "add_eos_token": 1})

    byte_fallback = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate("abcde é")} | {f"<0x{b:02X}>": 10 + b for b in range(256)} |
                                         {"ab": 300, "<unk>": 301}, merges=[("a", "b")], unk_token="<unk>", byte_fallback=True))
    byte_fallback.add_tokens(["zz"])
    yield save(byte_fallback, "byte-fallback")
    for fuse in (False, True):
        unk = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate("abcde ")} | {"ab": 6, "<unk>": 9, "abc": 11},
                                   merges=[("a", "b"), ("ab", "c")], unk_token="<unk>", fuse_unk=fuse))
        yield save(unk, f"unk-{fuse}", {})


def check(folder, texts):
    ref = HuggingFaceTokenizer(folder)
    info = subprocess.run([TOOL, folder, "info"], capture_output=True, text=True)
    expected = [-1 if ref.bos_id is None else ref.bos_id, -1 if ref.eos_id is None else ref.eos_id, ref.get_vocab_size()]
    if info.stdout.split() != [str(e) for e in expected]:
        sys.exit(f"FAIL {folder}: bos, eos, size: expected {expected}, found {info.stdout} {info.stderr}")
    total = 0
    for flags, some in ((BOS_EOS, texts), (DEFAULT, texts[::20])):
        lines = "".join(json.dumps(t) + "\n" for t in some)
        encode = (lambda t: ref.encode(t, add_bos=True, add_eos=True)) if flags == BOS_EOS else ref.encode
        decode = [] if flags == BOS_EOS or "byte-fallback" in folder or "unk" in folder else ["decode"]
        run = subprocess.run([TOOL, folder, str(flags), *decode], input=lines, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"FAIL {folder}: {run.stderr}")
        out = run.stdout.split("\n")
        for i, t in enumerate(some):
            want, got = encode(t), numpy.fromstring(out[i * (1 + len(decode))], dtype=numpy.int64, sep=" ").tolist()
            if got != want:
                at = next((k for k, (x, y) in enumerate(zip(got, want)) if x != y), min(len(got), len(want)))
                sys.exit(f"FAIL {folder}: text {i} {t[:80]!r}: token {at}: expected {[ref.id_to_token(x) for x in want[at:at + 5]]}, "
                         f"found {[ref.id_to_token(x) for x in got[at:at + 5]]} after {ref.decode(want[max(0, at - 8):at])!r}")
            if decode and json.loads(out[2 * i + 1]) != ref.decode(want, skip_special_tokens=True):
                sys.exit(f"FAIL {folder}: decoding text {i} {t[:80]!r}")
            total += len(want)
    return total


def main():
    texts = corpus()
    print(f"{len(texts)} texts, {sum(map(len, texts))} characters", flush=True)
    n = 0
    styles = "tokenizer", "gpt2", "qwen"  # whole ones; the others are one behaviour each
    for folder in folders(texts):
        total = check(folder, texts if os.path.basename(folder) in styles else texts[::12] + texts[-100:])
        print(f"{os.path.basename(folder)}: {total} tokens equal", flush=True)
        n += 1
    print(f"{n} passed, 0 failed")


if __name__ == "__main__":
    main()

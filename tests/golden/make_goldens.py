#!/usr/bin/env python3
"""make_goldens.py DIR: makes the files of this folder with the real PyTorch (see README.md for versions and what each is for)."""
import datetime
import io
import os
import pickle
import shutil
import socket
import struct
import sys
import types
import zipfile
import zlib
from collections import OrderedDict, defaultdict

import numpy as np
import torch
import torch.distributed as dist
import zstandard
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import save_file
from torch.distributed.checkpoint import HuggingFaceStorageWriter
from torch.distributed.checkpoint import metadata as M
from torch.distributed.checkpoint import FileSystemWriter
from torch.distributed.checkpoint._extension import ZStandard
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32",
          "uint64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]


def ramp(dtype, *shape):
    """Every byte pattern that a bool or a float8 can have is fine here: only bits are compared."""
    t = getattr(torch, dtype)
    n = 1
    for s in shape:
        n *= s
    if dtype == "bool":
        return (torch.arange(n) % 3 == 0).reshape(shape)
    raw = (torch.arange(n * torch.empty((), dtype=t).element_size()) * 37 % 119).to(torch.uint8)
    return raw.view(t).reshape(shape)


def types_dict():
    d = {"t_" + name: ramp(name, 2, 3) for name in DTYPES}
    d.update(
        scalar=torch.tensor(0.5), empty=torch.zeros(0, 4), five=ramp("int16", 2, 1, 2, 1, 3),
        transposed=ramp("float32", 6, 4).t(), nested={"b": {"c": torch.ones(2), "n": 5}, "e": {}},
        values={"none": None, "yes": True, "int": -7, "big": 2**40, "huge": 2**80, "minus": -(2**70), "float": 0.0008,
                "nan": float("nan"), "inf": float("-inf"), "text": "caf\u00e9 \U0001f600", "empty": "", "bytes": bytes(range(256)),
                "no_bytes": b"", "list": [1, [2.5, "x"]], "tuple": (1, (), (2,), (3, 4), (5, 6, 7), (8, 9, 10, 11)),
                "set": {3}, "complex": 1 + 2j, "size": torch.Size([2, 3]), "dtype": torch.bfloat16,
                "state": pickle.dumps({"token_buffer": list(range(300)), "sample_idx": 17, "data": None}, 4)},
        mixed=[torch.arange(3), {"k": torch.zeros(1), "v": "x"}, [7]], pair=(torch.arange(6.0).reshape(2, 3).t(), 3))
    d["key with space \u00fc \"quoted\""] = torch.ones(1)
    d["line\nbreak"] = 1
    return d


def save_types(path):
    dcp.save(types_dict(), checkpoint_id=path, no_dist=True)


def save_zstd(path):
    """The same compressed, with a tensor that is more than one read of an item."""
    state = dict(types_dict(), large=(torch.arange(40000) * 7919 % 251).to(torch.int16).reshape(200, 200))
    dcp.save(state, storage_writer=FileSystemWriter(path, _extensions=[ZStandard()]), no_dist=True)


class Config:
    """As a job's own classes are: pickled by name."""

    class Inner:
        pass

    def __init__(self):
        self.lr, self.ramp, self.steps = 0.1, torch.arange(3.0), [1, 2]
        self.same, self.inner = self.steps, Config.Inner()


class Cycle:
    def __init__(self):
        self.me = self


def save_objects(root):
    job = types.ModuleType("job")
    sys.modules["job"] = job
    for cls in (Config, Config.Inner, Cycle):
        cls.__module__ = "job"
    job.Config, job.Cycle = Config, Cycle
    state = {"w": torch.ones(2), "step": 5, "config": Config(), "cycle": Cycle(), "counts": [defaultdict(list, {"a": [1]})],
             "relu": torch.nn.functional.relu, "frozen": frozenset([1])}
    dcp.save(state, checkpoint_id=os.path.join(root, "dcp-objects"), no_dist=True)
    state["quantized"] = torch.quantize_per_tensor(torch.ones(2), 0.5, 0, torch.qint8)
    state["conjugate"] = torch.ones(2, dtype=torch.complex64).conj()
    torch.save(state, os.path.join(root, "pt", "objects.pt"))


def _rank(rank, world, port, path, kind):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=world, timeout=datetime.timedelta(seconds=120))
    whole = torch.arange(5 * 6, dtype=torch.float32).reshape(5, 6)
    if kind == "rows":
        mesh = init_device_mesh("cpu", (world,))
        state = {"rows": distribute_tensor(whole, mesh, [Shard(0)]), "cols": distribute_tensor(whole, mesh, [Shard(1)]),
                 "one_row": distribute_tensor(whole[:1].to(torch.bfloat16), mesh, [Shard(0)]),
                 "same": distribute_tensor(whole, mesh, [Replicate()]), "plain": whole[0].clone(), "rank0": {"step": 3}}
    else:
        mesh = init_device_mesh("cpu", (2, 2))
        state = {"grid": distribute_tensor(whole, mesh, [Shard(0), Shard(1)]),
                 "nested": distribute_tensor(whole, mesh, [Shard(0), Shard(0)]),
                 "half": distribute_tensor(whole.to(torch.float16), mesh, [Replicate(), Shard(1)])}
    dcp.save(state, checkpoint_id=path)
    dist.destroy_process_group()


def save_sharded(path, world, kind):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(_rank, (world, port, path, kind), nprocs=world)


def small_metadata(**attributes):
    """w = 3x3 float32 in two row chunks, a.n = a value; the layout of files is that of `save_small`."""
    size, one, zero = torch.Size([3, 3]), torch.Size([1, 3]), torch.Size([0, 0])
    two, at2 = torch.Size([2, 3]), torch.Size([2, 0])
    props = M.TensorProperties(dtype=torch.float32)
    w = M.TensorStorageMetadata(properties=props, size=size,
                                chunks=[M.ChunkStorageMetadata(zero, two), M.ChunkStorageMetadata(at2, one)])
    m = M.Metadata(state_dict_metadata={"w": w, "a.n": M.BytesStorageMetadata()}, planner_data={"w": ("w",), "a.n": ("a", "n")},
                   storage_data={})
    for k, v in attributes.items():
        setattr(m, k, v)
    return m


def blob(value):
    f = io.BytesIO()
    torch.save(value, f)
    return f.getvalue()


def save_small(path, change=None, data=None, blobs=None):
    """A DCP folder made by hand, so that single things in it can be wrong. change(metadata) edits it before it is written."""
    os.makedirs(path)
    w = torch.arange(9, dtype=torch.float32).reshape(3, 3)
    items = blobs or [blob(5), blob(w[:2].clone()), blob(w[2:].clone())]
    m = small_metadata()
    keys = [M.MetadataIndex("a.n"), M.MetadataIndex("w", torch.Size([0, 0]), 0), M.MetadataIndex("w", torch.Size([2, 0]), 1)]
    at = 0
    for k, b in zip(keys, items):
        m.storage_data[k] = _StorageInfo("__0_0.distcp", at, len(b))
        at += len(b)
    raw = b"".join(items)
    if change:
        changed = change(m)
        m = m if changed is None else changed
    with open(os.path.join(path, "__0_0.distcp"), "wb") as f:
        f.write(data(raw) if data else raw)
    with open(os.path.join(path, ".metadata"), "wb") as f:
        f.write(m if isinstance(m, bytes) else pickle.dumps(m, 4))


class As:
    """Pickles as an instance of another class: module, name, state."""

    def __init__(self, module, name, state):
        self.cls, self.state = (module, name), state


class Named:
    def __init__(self, module, name):
        self.module, self.name = module, name


class Pickler(pickle._Pickler):
    """The pure Python pickler, which lets a script write GLOBALs of classes that this torch does not have."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Named):
            return self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")
        if isinstance(obj, As):
            self.save(Named(*obj.cls))
            self.write(b")\x81")
            self.save(obj.state)
            return self.write(b"b")
        return super().save(obj, save_persistent_id)


def dump(obj, protocol):
    f = io.BytesIO()
    Pickler(f, protocol).dump(obj)
    return f.getvalue()


SHARDED = "torch.distributed._shard.sharded_tensor.metadata"


def properties(module=M.__name__, extra=()):
    encoding = "MEM_FORMAT_ENCODING" if module == SHARDED else "_MEM_FORMAT_ENCODING"

    class Enc:
        pass

    state = (torch.float32, torch.strided, False, Reduce(Named(module, encoding), (0,)), False) + tuple(extra)
    return As(module, "TensorProperties", state)


class Reduce:
    def __init__(self, fn, args):
        self.fn, self.args = fn, args


class Pairs:
    """A dict, as no dict can be: with a key twice."""

    def __init__(self, pairs):
        self.pairs = pairs


def _save_pairs(self, obj):
    self.write(b"}(")
    for k, v in obj.pairs:
        self.save(k)
        self.save(v)
    self.write(b"u")


def _save_reduce(self, obj):
    self.save(obj.fn)
    self.save(obj.args)
    self.write(b"R")


Pickler.dispatch = dict(pickle._Pickler.dispatch)
Pickler.dispatch[Reduce] = _save_reduce
Pickler.dispatch[Pairs] = _save_pairs


def dialect(props, protocol=4, drop=(), checkpoint_id=None):
    """A change for save_small: the same checkpoint as another version of PyTorch writes it."""

    def change(m):
        w = m.state_dict_metadata["w"]
        chunks = w.chunks
        state = dict(m.__dict__, state_dict_metadata={
            "w": As(M.__name__, "TensorStorageMetadata", {"properties": props, "size": w.size, "chunks": chunks}),
            "a.n": m.state_dict_metadata["a.n"]})
        if checkpoint_id:
            state["storage_meta"] = As(M.__name__, "StorageMeta", {"checkpoint_id": checkpoint_id, "save_id": "x", "load_id": None,
                                                                  "modules": []})
        for k in drop:
            del state[k]
        if "version" in drop:
            state["storage_data"] = {k: As(_StorageInfo.__module__, "_StorageInfo", {
                "relative_path": v.relative_path, "offset": v.offset, "length": v.length}) for k, v in m.storage_data.items()}
        return dump(As(M.__name__, "Metadata", state), protocol)

    return change


def save_dialects(root):
    make = lambda name, change: save_small(os.path.join(root, name), change)
    make("torch-2.13", None)
    make("bare", dialect(properties(SHARDED), drop=("planner_data", "storage_meta", "version")))
    make("python-3.14", dialect(properties(extra=((3, 1),)), protocol=5,
                                checkpoint_id=Reduce(Named("pathlib._local", "PosixPath"), ("/a/b",))))
    make("protocol-2", dialect(properties(), protocol=2))
    make("protocol-3", dialect(properties(), protocol=3))
    save_small(os.path.join(root, "zstd-1.2"), **packed("stream.zstd/1.2", frames(lambda b: [b[:700], b[700:]], write_checksum=True)))


def frames(split=lambda b: [b], **how):
    """Compresses an item as one or more frames, of unknown size as PyTorch's extension does; with write_checksum in one go."""
    def compress(item):
        out = b""
        for part in split(item):
            z = zstandard.ZstdCompressor(**how)
            if "write_checksum" in how:
                out += z.compress(part)
                continue
            f = io.BytesIO()
            with z.stream_writer(f, closefd=False) as w:
                w.write(part)
            out += f.getvalue()
        return out
    return compress


def packed(descriptor, compress, w=None):
    """save_small's arguments for items that went through a transform; w: what is instead of the first chunk of w."""
    t = torch.arange(9, dtype=torch.float32).reshape(3, 3)
    items = [blob(5), blob(t[:2].clone()) if w is None else w, blob(t[2:].clone())]

    def change(m):
        for info in m.storage_data.values():
            info.transform_descriptors = [descriptor]

    return dict(change=change, blobs=[compress(i) for i in items])



def edit(**fields):
    """A change of one _StorageInfo, that of the first chunk of w."""

    def change(m):
        k = M.MetadataIndex("w", torch.Size([0, 0]))
        info = m.storage_data[k]
        m.storage_data[k] = _StorageInfo(**{**dict(relative_path=info.relative_path, offset=info.offset, length=info.length), **fields})

    return change


def without_chunk(m):
    m.state_dict_metadata["w"].chunks.pop()


def overlapping(m):
    m.state_dict_metadata["w"].chunks[1] = M.ChunkStorageMetadata(torch.Size([1, 0]), torch.Size([2, 3]))


def outside(m):
    m.state_dict_metadata["w"].chunks[1] = M.ChunkStorageMetadata(torch.Size([2, 1]), torch.Size([1, 3]))


def huge(m):
    big = torch.Size([2**62, 2**62])
    m.state_dict_metadata["w"].size = big
    m.state_dict_metadata["w"].chunks = [M.ChunkStorageMetadata(torch.Size([0, 0]), big)]


def no_storage(m):
    del m.storage_data[M.MetadataIndex("w", torch.Size([2, 0]))]


def twice(attribute):
    """The first key of one of the dicts once more."""

    def change(m):
        pairs = list(getattr(m, attribute).items())
        state = {**m.__dict__, attribute: Pairs(pairs + [pairs[0]])}
        return dump(As(M.__name__, "Metadata", state), 4)

    return change


def transformed(m):
    edit(transform_descriptors=["stream.zstd/1"])(m)


def flip(b, at):
    b = bytearray(b)
    b[at] ^= 1
    return bytes(b)


def other_dtype(m):
    m.state_dict_metadata["w"].properties.dtype = torch.float64


def call(module, name, argument):
    return b"\x80\x02c" + module + b"\n" + name + b"\nX" + struct.pack("<I", len(argument)) + argument + b"\x85R."


def with_pickle(pkl, extra=()):
    """A torch zip with this data.pkl."""
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_STORED) as z:
        z.writestr("archive/data.pkl", pkl)
        z.writestr("archive/version", "3\n")
        for name, data in extra:
            z.writestr("archive/" + name, data)
    return f.getvalue()


def beyond_storage():
    z = zipfile.ZipFile(io.BytesIO(blob(torch.zeros(2, 3))))
    return with_pickle(z.read("archive/data.pkl").replace(b"K\x02K\x03\x86", b"K\x02K\x07\x86"), [("data/0", bytes(24))])


def deflated(value):
    src = zipfile.ZipFile(io.BytesIO(blob(value)))
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED) as z:
        for n in src.namelist():
            z.writestr(n, src.read(n))
    return f.getvalue()


def nested_pickle(depth):
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def laughs(depth):
    """A list of two references to a list of two references to ..."""
    p = b"\x80\x02](K\x01K\x02eq\x00"
    for i in range(depth):
        p += b"0](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1])
    return p + b"."


BAD = [  # name, keyword arguments of save_small, what the message must hold
    ("system", dict(change=lambda m: call(b"os", b"system", b"touch hacked")), ".metadata: offset 2: refused: the pickle names os.system"),
    ("posix-system", dict(blobs="n", pkl=call(b"posix", b"system", b"touch hacked")), "refused: the pickle names posix.system"),
    ("unknown-global", dict(change=lambda m: b"\x80\x04\x8c\x05torch\x8c\x04load\x93."), "refused: the pickle names torch.load"),
    ("empty-metadata", dict(change=lambda m: b""), ".metadata: offset 0: the pickle is cut short"),
    ("trailing", dict(change=lambda m: pickle.dumps(m, 4) + b"x"), "bytes after the end of the pickle"),
    ("length+1", dict(change=edit(length=1577 + 1)), "key w: item at 1261: offset"),
    ("length-1", dict(change=edit(length=1577 - 1)), "key w: item at 1261: offset"),
    ("beyond-the-file", dict(change=edit(offset=1 << 40)), "__0_0.distcp: key w: expected its item at offset 1099511627776"),
    ("negative", dict(change=edit(offset=-1)), "key w: a negative offset or length"),
    ("dotdot", dict(change=edit(relative_path="../x.distcp")), "key w: refused: its relative_path \"../x.distcp\" is not the name of a file in the checkpoint's folder"),
    ("absolute", dict(change=edit(relative_path="/etc/passwd")), "key w: refused: its relative_path \"/etc/passwd\" is not the name"),
    ("control", dict(change=edit(relative_path="__0\x1b[2J_0.distcp")), "key w: refused: its relative_path \"__0?[2J_0.distcp\" is not the name"),
    ("subfolder", dict(change=edit(relative_path="a/__0_0.distcp")), "key w: refused: its relative_path \"a/__0_0.distcp\" is not the name"),
    ("key-twice", dict(change=twice("state_dict_metadata")), "key w: it is there twice"),
    ("path-twice", dict(change=twice("planner_data")), "key w: it is in planner_data twice"),
    ("place-twice", dict(change=twice("storage_data")), "key a.n: storage_data has two places for the same chunk of it"),
    ("no-file", dict(change=edit(relative_path="__7_0.distcp")), "__7_0.distcp: cannot open: No such file"),
    ("hole", dict(change=without_chunk), "key w: the chunks hold 6 of the 9 elements of (3, 3): there is a hole"),
    ("overlap", dict(change=overlapping), "key w: the chunks at (0, 0) and (1, 0) overlap"),
    ("outside", dict(change=outside), "key w: the chunk at (2, 1) of (1, 3) lies outside the shape (3, 3)"),
    ("huge", dict(change=huge), "key w: (4611686018427387904, 4611686018427387904) is no shape"),
    ("no-storage", dict(change=no_storage), "key w: there is no storage_data for its chunk at (2, 0)"),
    ("zstd", dict(change=transformed), "key w: item at 1261: offset 0: expected a zstd frame"),
    ("zstd-version", packed("stream.zstd/2", frames()), "key a.n: its item went through \"stream.zstd/2\"; of stream.zstd titan reads version 1"),
    ("zstd-no-version", packed("stream.zstd", frames()), "key a.n: its item went through \"stream.zstd\"; of stream.zstd titan reads"),
    ("zstd-name", packed("stream.lz4/1", frames()), "key a.n: its item went through the transform \"stream.lz4/1\"; titan knows stream.zstd"),
    ("zstd-trailing", packed("stream.zstd/1", lambda b: frames()(b) + b"junk"), "bytes behind the zstd frame"),
    ("zstd-cut", packed("stream.zstd/1", lambda b: frames()(b)[:-9]), "the zstd frame is cut short"),
    ("zstd-checksum", packed("stream.zstd/1", lambda b: flip(frames(write_checksum=True)(b), -3)), "damaged zstd frame"),
    ("zstd-crc", packed("stream.zstd/1", frames(), w=blob(torch.arange(6.0).reshape(2, 3)).replace(struct.pack("<f", 2.0),
     struct.pack("<f", 2.5), 1)), "expected CRC-32 91e79017, found 5c83e8cf: the bytes are damaged"),
    ("zstd-bomb", packed("stream.zstd/1", frames(), w=blob(torch.zeros(2, 3)) + bytes(50 << 20)),
     "expected at most 1048600 decoded bytes, found more"),
    ("zstd-window", packed("stream.zstd/1", frames(compression_params=zstandard.ZstdCompressionParameters(window_log=28))), "its zstd frame needs a window of 268435456 bytes; titan's limit is 134217728"),
    ("dtype", dict(change=other_dtype), "expected a tensor of torch.float64, found torch.float32"),
    ("empty-distcp", dict(data=lambda raw: b""), "__0_0.distcp: key a.n: expected its item at offset 0"),
    ("wrong-crc", dict(data=lambda raw: raw.replace(struct.pack("<f", 2.0), struct.pack("<f", 2.5), 1)), "the bytes are damaged"),
    ("deflated", dict(blobs="w", zip=lambda: deflated(torch.arange(6.0).reshape(2, 3))), "record archive/data.pkl: it is compressed"),
    ("wrong-shape", dict(blobs="w", zip=lambda: blob(torch.zeros(3, 2))), "expected a chunk of (2, 3), found (3, 2)"),
    ("value-for-tensor", dict(blobs="w", zip=lambda: blob([1, 2])), "expected a tensor, found a list"),
    ("no-zip", dict(blobs="w", zip=lambda: b"\0" * 300), "expected a torch zip (PK\\3\\4), found 00 00 00 00"),
    ("no-record", dict(blobs="w", zip=lambda: blob(torch.zeros(2, 3)).replace(b"archive/data/0", b"archive/data/7")),
     "there is no record data/0"),
    ("deep", dict(blobs="n", pkl=nested_pickle(100000)), "the value is nested too deep"),
    ("cyclic", dict(blobs="n", pkl=b"\x80\x02]q\x00h\x00a."), "the value contains itself"),
    ("laughs", dict(blobs="n", pkl=laughs(60)), "the value repeats itself beyond reason"),
    ("memo-bomb", dict(blobs="n", pkl=b"\x80\x02Nr\xff\xff\xff\x7f."), "a memo slot beyond the pickle's length"),
    ("long-string", dict(blobs="n", pkl=b"\x80\x02X\xff\xff\xff\xffabc."), "the pickle is cut short"),
    ("beyond-storage", dict(blobs="w", zip=lambda: beyond_storage()), "a tensor reaches beyond the 24 bytes of its storage 0"),
    ("pickle-crc", dict(blobs="w", zip=lambda: blob(torch.zeros(2, 3)).replace(b"K\x02K\x03\x86", b"K\x02K\x07\x86")),
     "record data.pkl: expected CRC-32"),
]


def save_bad(root):
    rows = []
    for name, how, message in BAD:
        how = dict(how)
        if isinstance(how.get("blobs"), str) and how.pop("blobs"):
            w = torch.arange(9, dtype=torch.float32).reshape(3, 3)
            made = with_pickle(how.pop("pkl")) if "pkl" in how else how.pop("zip")()
            items = [blob(5), blob(w[:2].clone()), blob(w[2:].clone())]
            items[0 if name in ("posix-system", "deep", "cyclic", "laughs", "memo-bomb", "long-string") else 1] = made
            how["blobs"] = items
        save_small(os.path.join(root, name), **how)
        rows.append(f"{name}\t{message}\n")
    with open(os.path.join(root, "MESSAGES"), "w") as f:
        f.writelines(rows)


def save_pt(root):
    os.makedirs(root)
    w = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    torch.save({**types_dict()}, os.path.join(root, "types.pt"))
    torch.save({"whole": w, "slice": w[1:3, 2:4], "column": w[:, 1], "again": w}, os.path.join(root, "views.pt"))
    torch.save(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2)).state_dict(), os.path.join(root, "module.pt"))
    torch.save({"p": torch.nn.Parameter(w)}, os.path.join(root, "parameter.pt"))
    many = {f"w{i}": torch.full((i % 5,), float(i)) for i in range(12)}
    torch.save(many, os.path.join(root, "many.ckpt.pt"))
    torch.save([1, "x"], os.path.join(root, "list.pt"))


class Pieces:
    """A file of which only what is small is kept: its offset and its length (u64, little-endian) before each piece of bytes."""

    def __init__(self):
        self.at, self.kept = 0, []

    def write(self, data):
        view = memoryview(data).cast("B")
        if len(view) < 1 << 20:
            self.kept.append(struct.pack("<QQ", self.at, len(view)) + view)
        self.at += len(view)
        return len(view)

    def flush(self):
        pass


def save_large(path):
    """Storages of zeros on both sides of the size and the offset from which a zip needs its 64-bit fields."""
    zeros = lambda n: torch.from_numpy(np.zeros(n, dtype=np.uint8))  # memory that is never written takes none
    f = Pieces()
    torch.save({"first": torch.arange(3), "large": zeros(2**32 - 1), "far": zeros(2**32 - 2), "both": zeros(2**32 + 3)}, f)
    with open(path, "wb") as out:
        out.writelines(f.kept)


def _hf_rank(rank, world, port, path, consolidate):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=world, timeout=datetime.timedelta(seconds=120))
    mesh = init_device_mesh("cpu", (world,))
    whole = torch.arange(5 * 6, dtype=torch.float32).reshape(5, 6)
    state = {"rows": distribute_tensor(whole, mesh, [Shard(0)]), "cols": distribute_tensor(whole.bfloat16(), mesh, [Shard(1)]),
             "same": distribute_tensor(whole[0].clone(), mesh, [Replicate()])}
    if not consolidate:
        state["scalar"] = torch.tensor(0.5)
    files = {k: 1 + i // 2 for i, k in enumerate(state)}
    dcp.save(state, storage_writer=HuggingFaceStorageWriter(path, fqn_to_index_mapping=files, save_distributed=True,
                                                            enable_consolidation=consolidate))
    dist.destroy_process_group()


def save_hf_sharded(path, consolidate):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(_hf_rank, (2, port, path, consolidate), nprocs=2)


def save_transformers(path):
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, max_position_embeddings=32)
    model = LlamaForCausalLM(config)
    for i, p in enumerate(model.parameters()):
        p.data.copy_(torch.arange(p.numel()).reshape(p.shape) / 64 + i)
    model.save_pretrained(path, max_shard_size="1KB")


def save_hf(root):
    os.makedirs(root)
    tensors = {"t_" + name: ramp(name, 2, 3) for name in DTYPES if name != "complex128"}
    tensors |= {"f4": torch.arange(6, dtype=torch.uint8).reshape(2, 3).view(torch.float4_e2m1fn_x2),
                "e8m0": torch.arange(6, dtype=torch.uint8).reshape(2, 3).view(torch.float8_e8m0fnu),
                "scalar": torch.tensor(0.5), "empty": torch.zeros(0, 4), "caf\u00e9 \U0001f600\n\"x\"": torch.ones(1)}
    save_file(tensors, os.path.join(root, "types.safetensors"), {"format": "pt", "caf\u00e9": "\"\\\n"})
    save_file({}, os.path.join(root, "none.safetensors"))
    small = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.arange(3)}
    save_file(small, os.path.join(root, "small.safetensors"), {"format": "pt"})
    dcp.save(small | {"u": torch.ones(2, dtype=torch.bfloat16)}, no_dist=True, storage_writer=HuggingFaceStorageWriter(
        os.path.join(root, "dcp-one"), fqn_to_index_mapping={"w": 1, "b": 2, "u": 2}))
    save_hf_sharded(os.path.join(root, "dcp-sharded2"), False)
    save_hf_sharded(os.path.join(root, "dcp-consolidated"), True)
    save_transformers(os.path.join(root, "transformers"))


def main(root):
    torch.manual_seed(0)
    for name in ("dcp-types", "dcp-rows2", "dcp-rows4", "dcp-grid4", "dialects", "pt", "bad", "hf"):
        shutil.rmtree(os.path.join(root, name), ignore_errors=True)
    save_types(os.path.join(root, "dcp-types"))
    save_zstd(os.path.join(root, "dcp-zstd"))
    save_sharded(os.path.join(root, "dcp-rows2"), 2, "rows")
    save_sharded(os.path.join(root, "dcp-rows4"), 4, "rows")
    save_sharded(os.path.join(root, "dcp-grid4"), 4, "grid")
    save_dialects(os.path.join(root, "dialects"))
    save_pt(os.path.join(root, "pt"))
    save_objects(root)
    save_bad(os.path.join(root, "bad"))
    save_hf(os.path.join(root, "hf"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))

"""Writes tests/fuzz/corpus/<target>/<name>: small inputs, valid ones and ones with one thing wrong, so that fuzzing begins at every branch of
a decoder, and `make fuzz-coverage` counts them. Python's standard library is enough:  python3 tests/fuzz/make_seeds.py"""

import io
import json
import os
import pickle
import struct
import sys
import zipfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(target, seeds):
    os.makedirs(os.path.join(ROOT, target), exist_ok=True)
    for name, data in seeds.items():
        with open(os.path.join(ROOT, target, name), "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)


# --- JSON ---------------------------------------------------------------------------------------------------------------------------

JSON = {
    "numbers": "[0, -1, 9223372036854775807, 1.5, 1e22, 1e-7, 0.0, -0.0, 123456.0, 1234567890123456789.0, "
    "9.9999999999999995e22, 0.30000000000000004, 1e16, 1.7976931348623157e308, 5e-324, 99999999999999990000.0]",
    "int65": "[18446744073709551616]",
    "strings": r'["\"\\\/\b\f\n\r\t", "\u00e9\u20ac\ud83d\ude00", "' + "\u00e9\U0001f600" + r'", "\u0000\u001f"]',
    "nested": '{"a": {"b": [[], {}, [1, [2, [3]]], null, true, false]}, "": 1}',
    "twice": '{"a": 1, "a": 2}',
    "deep": "[" * 300 + "]" * 300,
    "cut": '{"a": [1, 2',
    "line-3": '{\n "a":\n  nul}',
    "behind": "{} x",
    "infinity": "[1e999, -1e999]",
    "nan": "[NaN]",
    "surrogate": r'["\ud800"]',
    "latin1": b'["\xe9"]',
}

# --- safetensors --------------------------------------------------------------------------------------------------------------------


def st(header, ndata=8, n=None):
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header) if n is None else n) + header + bytes(ndata)


def tensor(name="w", dtype='"F32"', shape="[2]", offsets="[0, 8]"):
    return f'"{name}": {{"dtype": {dtype}, "shape": {shape}, "data_offsets": {offsets}}}'


def sharded(text):
    text = text.replace('"', '\\"')
    return st('{"__metadata__": {"DCP_SHARDING_INFO": "' + text + '"}, ' + tensor() + "}")


SAFETENSORS = {
    "two": st("{" + tensor() + ", " + tensor("b", '"U8"', "[]", "[8, 9]") + ', "__metadata__": {"format": "pt"}}  ', 9),
    "dtypes": st("{" + ", ".join(tensor(d, f'"{d}"', "[0]", "[0, 0]") for d in (
        "BOOL U8 I8 U16 I16 F16 BF16 U32 I32 F32 U64 I64 F64 F8_E4M3 F8_E5M2 F8_E8M0 C64 F4").split()) + "}", 0),
    "f4-odd": st("{" + tensor("w", '"F4"', "[3]", "[0, 2]") + "}", 2),
    "f4": st("{" + tensor("w", '"F4"', "[4]", "[0, 2]") + "}", 2),
    "short": b"\x08\0\0",
    "long-header": st("{}", 0, 1 << 40),
    "header-beyond": st("{}", 0, 100),
    "no-json": st("{nope", 0),
    "a-list": st("[1]", 0),
    "metadata-list": st('{"__metadata__": []}', 0),
    "metadata-number": st('{"__metadata__": {"a": 1}}', 0),
    "tensor-number": st('{"w": 1}', 0),
    "no-shape": st('{"w": {"dtype": "F32", "data_offsets": [0, 8]}}'),
    "shape-float": st("{" + tensor(shape="[2.5]") + "}"),
    "shape-negative": st("{" + tensor(shape="[-2]") + "}"),
    "shape-long": st("{" + tensor(shape="[" + "1," * 70 + "2]") + "}"),
    "shape-huge": st("{" + tensor(shape="[4611686018427387904, 4]") + "}"),
    "dtype-number": st("{" + tensor(dtype="3") + "}"),
    "dtype-unknown": st("{" + tensor(dtype='"Q3"') + "}"),
    "offsets-one": st("{" + tensor(offsets="[0]") + "}"),
    "offsets-reversed": st("{" + tensor(offsets="[8, 0]") + "}"),
    "offsets-three": st("{" + tensor(offsets="[0, 8, 9]") + "}"),
    "cut": st("{" + tensor() + "}", 7),
    "length": st("{" + tensor(shape="[1]") + "}"),
    "overlap": st("{" + tensor() + ", " + tensor("b", offsets="[4, 12]") + "}", 12),
    "hole": st("{" + tensor() + ", " + tensor("b", offsets="[12, 20]") + "}", 20),
    "behind": st("{" + tensor() + "}", 12),
    "twice": st("{" + tensor() + ", " + tensor() + "}"),
    "name": st(b'{"w\\u0000\xc3\xa9": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'),
    "shard": sharded('{"w": {"saved_offsets": [4]}}'),
    "shard-text": sharded("{"),
    "shard-list": sharded("[]"),
    "shard-none": sharded('{"v": {"saved_offsets": [4]}}'),
    "shard-dims": sharded('{"w": {"saved_offsets": [4, 4]}}'),
    "shard-far": sharded('{"w": {"saved_offsets": [9223372036854775807]}}'),
    "shard-number": sharded('{"w": 3}'),
}

INDEX = {
    "two": '{"metadata": {"total_size": 8}, "weight_map": {"a": "x.safetensors", "b": "x.safetensors", "c": "y.safetensors"}}',
    "empty": '{"weight_map": {}}',
    "no-map": '{"metadata": {}}',
    "a-list": "[]",
    "number": '{"weight_map": {"a": 1}}',
    "outside": '{"weight_map": {"a": "../x"}}',
    "nul": r'{"weight_map": {"a": "x\u0000y"}}',
    "twice": '{"weight_map": {"a": "x", "a": "y"}}',
}

# --- pickles ------------------------------------------------------------------------------------------------------------------------


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


def call(module, name, args=b")"):
    return glob(module, name) + args + b"R"


def plain(body):
    return b"\x80\x02" + body + b"."


VALUE = {"a": [1, -2, 300, 70000, 1 << 40, -(1 << 70), 2.5, None, True, False], "b": ("x", "y" * 300, b"bytes", b"b" * 300), "c": {1, 2},
         "d": frozenset([3]), "e": bytearray(b"array"), "f": (), "g": (1,), "h": (1, 2, 3, 4), "i": {}, "\u00e9": [[], [()]], "r": range(3)}
PICKLES = {f"protocol-{p}": pickle.dumps(VALUE, p) for p in (2, 3, 4, 5)}
PICKLES |= {
    "many": pickle.dumps({"list": list(range(2100)), "map": {str(i): i for i in range(1100)}}, 4),
    "shared": pickle.dumps([[1, 2]] * 3 + [{"k": (1, 2, 3, 4)}] * 2, 4),
    "values": plain(b"(" + call("collections", "OrderedDict") + b"(" + text("k") + b"K\x01u" + glob("torch", "float32")
                    + call("torch", "Size", b"K\x02K\x03\x86\x85") + call("torch", "device", text("cpu") + b"\x85")
                    + call("_codecs", "encode", text("\u00e9a") + text("latin1") + b"\x86")
                    + call("__builtin__", "bytes") + call("__builtin__", "bytearray", b"C\x01a\x85") + b"2t"),
    "inert-state": plain(call("numpy", "dtype", text("f4") + b"\x85") + b"K\x01b"),
    "new": plain(glob("datetime", "timedelta") + b"K\x01\x85\x81"),
    "new-ex": plain(glob("datetime", "timedelta") + b")}\x92"),
    "object-twice": plain(call("torch", "Size", b")\x85") + b"q\x01h\x01\x86"),
    "object-in-itself": plain(call("numpy", "dtype", b")") + b"q\x01h\x01b"),
    "list-in-itself": plain(b"]q\x01h\x01a"),
    "inert-items": plain(call("torch", "device") + b"K\x01a"),
    "bytes-argument": plain(call("__builtin__", "bytes", b"K\x01\x85")),
    "dict-argument": plain(call("collections", "OrderedDict", b"K\x01\x85")),
    "dict-appended": plain(call("collections", "OrderedDict") + b"K\x01a"),
    "encode-one": plain(call("_codecs", "encode", text("a") + b"\x85")),
    "encode-wide": plain(call("_codecs", "encode", text("\u20ac") + text("latin1") + b"\x86")),
    "tensor": plain(call("torch._utils", "_rebuild_tensor_v2")),
    "persid": plain(b"K\x01Q"),
    "old-strings": plain(b"(U\x02abT\x02\0\0\0cdl"),
    "marked": plain(b"(K\x01K\x02d(K\x01l0(\x31(K\x01\x30\x30" + b"N"),
    "long-strings": b"\x80\x04(\x8d" + struct.pack("<Q", 2) + b"ab\x8e" + struct.pack("<Q", 2) + b"cd\x96" + struct.pack("<Q", 1) + b"eB"
    + struct.pack("<I", 1) + b"f(K\x01K\x02\x91\x8f(K\x01\x90t.",
    "longs": plain(b"(\x8a\x00\x8a\x01\xff\x8a\x09" + bytes(8) + b"\x01\x8b" + struct.pack("<I", 2) + b"\x01\x02J" + b"\xff" * 4 + b"t"),
    "bool": plain(b"\x88\x89\x86"),
    "key-list": plain(b"}]K\x01s"),
    "pickle-in-bytes": plain(b"C\x05\x80\x02K\x01.\x85"),
    "nan": plain(b"(G\x7f\xf8" + bytes(6) + b"G\xff\xf0" + bytes(6) + b"G\x3f\xb9" + b"\x99" * 6 + b"t"),
    "quotes": plain(b"(" + text("it's") + text("\"'\\\n\t\r\x01\x7f") + b"C\x03\x00'\xfft"),
    "bad-opcode": plain(b"Y"), "bad-protocol": b"\x80\x09N.", "no-value": b"\x80\x02.", "two-values": plain(b"NN"),
    "no-mark": plain(b"t"), "no-mark-items": plain(b"}u"), "no-callable": plain(b"K\x01)R"), "no-tuple": plain(glob("torch", "Size") + b"K\x01R"),
    "call-nothing": plain(b"R"), "build-int": plain(b"K\x01K\x02b"), "build-nothing": plain(b"b"), "odd-dict": plain(b"(K\x01d"),
    "odd-items": plain(b"}(K\x01u"), "append-dict": plain(b"}K\x01a"), "set-list": plain(b"]K\x01K\x01s"), "append-nothing": plain(b"a"),
    "tuple-nothing": plain(b"\x87"), "persid-nothing": plain(b"Q"), "put-nothing": plain(b"q\x01"), "put-far": plain(b"Nr\xff\xff\xff\x7f"),
    "put-twice": plain(b"Nq\x010K\x01q\x01h\x01\x86"), "get-unset": plain(b"h\x07"), "get-unset-long": plain(b"j\x07\0\0\0"), "pop-nothing": plain(b"0"),
    "dup-nothing": plain(b"2"), "stack-global": b"\x80\x04\x8c\x05torch\x8c\x04Size\x93.", "stack-global-ints": plain(b"K\x01K\x01\x93"),
    "stack-global-nothing": plain(b"\x93"), "global-unknown": plain(glob("os", "system")), "set-in": plain(b"\x8f(]\x90"),
    "cut-string": b"\x80\x02X\xff\0\0\0ab", "cut-number": b"\x80\x02J\1", "cut-long": b"\x80\x02\x8a\x05a", "cut-long4": b"\x80\x02\x8b\xff\xff\xff\xff",
    "cut-line": b"\x80\x02ctorch", "cut-float": b"\x80\x02G\1", "cut-get": b"\x80\x02h", "cut-put": b"\x80\x02Nq", "cut-frame": b"\x80\x04\x95\1",
    "huge-string": b"\x80\x04\x8d" + b"\xff" * 8, "cut-length": b"\x80\x02X\1", "bare": b"N.", "behind": plain(b"N") + b"x", "empty": b"",
    "deep-tuples": plain(b")" + b"\x85" * 300),
    "laughs": plain(b")" + b"q\x01h\x01h\x01h\x01\x87" * 20),
}

# --- torch zips ---------------------------------------------------------------------------------------------------------------------


def record(name, data, header=None, central=None, extra=b"", cextra=b"", **fields):
    """A record and its directory entry; fields: of both, `header` and `central`: of one of them."""
    def pack(over, is_central, offset=0):
        v = {"flags": 0, "method": 0, "crc": 0, "csize": len(data), "usize": len(data), "name": name.encode("latin1")} | fields | (over or {})
        x = cextra if is_central else extra
        head = struct.pack("<HHHHIIIHH", v["flags"], v["method"], 0, 0, v["crc"], v["csize"], v["usize"], len(v["name"]), len(x))
        if not is_central:
            return b"PK\3\4" + struct.pack("<H", 20) + head + v["name"] + x
        return (b"PK\1\2" + struct.pack("<HH", 20, 20) + head
                + struct.pack("<HHHII", 0, 0, 0, 0, v.get("offset", offset)) + v["name"] + x)
    return pack(header, False) + data, lambda offset: pack(central, True, offset)


def archive(*records, zip64=False, comment=b"", end=None, before=b"", gap=b"", end64=None, locator=None):
    body, directory = b"", b""
    for data, central in records:
        directory += central(len(body))
        body += data
    e = {"n": len(records), "size": len(directory), "offset": len(body)} | (end or {})
    out = body + before + directory + gap
    if zip64:
        e64 = {"n": len(records), "size": len(directory), "offset": len(body)} | (end64 or {})
        at = len(out)
        out += b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, e64["n"], e64["n"], e64["size"], e64["offset"])
        out += b"PK\6\7" + struct.pack("<IQI", 0, at if locator is None else locator, 1)
    return out + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, e["n"] & 0xffff, e["n"] & 0xffff, e["size"], e["offset"], len(comment)) + comment


DATA = struct.pack("<4f", 1, 2, 3, 4)


def storage(cls="FloatStorage", key=text("0"), numel=b"K\x04", module="torch", tag="storage"):
    return b"(" + text(tag) + glob(module, cls) + key + text("cpu") + numel + b"tQ"


def rebuild(pid=None, first=b"K\x00", size=b"K\x02K\x02\x86", stride=b"K\x02K\x01\x86", rest=b"\x89" + call("collections", "OrderedDict"),
            name="_rebuild_tensor_v2"):
    return glob("torch._utils", name) + b"(" + (pid or storage()) + first + size + stride + rest + b"tR"


def pt(body, data=DATA, more=(), key="0"):
    return archive(record("a/data.pkl", plain(body)), record("a/byteorder", b"little"), record(f"a/data/{key}", data), *more)


OD = call("collections", "OrderedDict")
W = rebuild()
X64 = struct.pack("<HH", 1, 16) + struct.pack("<QQ", len(DATA), len(DATA))
U32 = 0xffffffff
PKL = record("a/data.pkl", plain(W))
REC = record("a/data/0", DATA)
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr(zipfile.ZipInfo("a/data.pkl"), plain(W) * 20, zipfile.ZIP_DEFLATED)  # of 1980: the same bytes each time

ZIPS = {
    "tensor": pt(W),
    "tensors": pt(b"(" + text("w") + W + text("v") + rebuild(first=b"K\x01", size=b"K\x03\x85", stride=b"K\x01\x85") + b"d"),
    "parameter": pt(glob("torch._utils", "_rebuild_parameter") + W + b"\x88" + OD + b"\x87R"),
    "parameter-int": pt(glob("torch._utils", "_rebuild_parameter") + b"K\x01\x88" + OD + b"\x87R"),
    "parameter-other": pt(glob("torch._utils", "_rebuild_parameter") + call("torch", "Size") + b"\x88" + OD + b"\x87R"),
    "v3": pt(rebuild(storage("UntypedStorage", numel=b"K\x10", module="torch.storage"), rest=b"\x89" + OD + glob("torch", "int32"),
                     name="_rebuild_tensor_v3")),
    "v3-dtype": pt(rebuild(storage("UntypedStorage", numel=b"K\x10", module="torch.storage"), rest=b"\x89" + OD + b"K\x01",
                           name="_rebuild_tensor_v3")),
    "size-object": pt(rebuild(size=call("torch", "Size", b"K\x02K\x02\x86\x85"))),
    "scalar": pt(rebuild(size=b")", stride=b")")), "empty": pt(rebuild(size=b"K\x00\x85", stride=b"K\x01\x85")),
    "conj": pt(rebuild(rest=b"\x89" + OD + b"}" + text("conj") + b"\x88s")), "no-conj": pt(rebuild(rest=b"\x89" + OD + b"}")),
    "args": pt(call("torch._utils", "_rebuild_tensor_v2", b"K\x01\x85")), "pid-int": pt(rebuild(b"K\x01Q")),
    "pid-class": pt(rebuild(storage("float32"))), "pid-key": pt(rebuild(storage(key=b"K\x00"))), "pid-numel": pt(rebuild(storage(numel=b"N"))),
    "pid-huge": pt(rebuild(storage(numel=b"\x8a\x08" + b"\xff" * 7 + b"\x7f"))), "pid-tag": pt(rebuild(storage(tag="module"))),
    "pid-differ": pt(W + rebuild(storage(numel=b"K\x03")) + b"\x86"), "no-record": pt(W, key="1"), "record-short": pt(W, DATA[:8]),
    "size-int": pt(rebuild(size=b"K\x01")), "size-long": pt(rebuild(size=b"(" + b"K\x01" * 70 + b"t")), "size-negative": pt(rebuild(size=b"J" + b"\xff" * 4 + b"\x85")),
    "ndim-differ": pt(rebuild(stride=b"K\x01\x85")), "beyond": pt(rebuild(first=b"K\x01")), "first-none": pt(rebuild(first=b"N")),
    "overflow": pt(rebuild(stride=(b"\x8a\x08" + b"\xff" * 7 + b"\x7f") * 2 + b"\x86")), "size-overflow": pt(rebuild(size=(b"\x8a\x08" + b"\xff" * 7 + b"\x7f") * 2 + b"\x86")),
    "persid-alone": pt(storage()), "many-storages": archive(
        record("a/data.pkl", plain(b"(" + b"".join(rebuild(storage(key=text(str(i)))) for i in range(20)) + b"t")),
        *[record(f"a/data/{i}", DATA) for i in range(20)]),
    "script": pt(W, more=[record("a/constants.pkl", b"N.")]), "big-endian": archive(PKL, record("a/byteorder", b"big"), REC),
    "order-long": archive(PKL, record("a/byteorder", b"little" * 20), REC), "no-pickle": archive(REC), "legacy": bytes.fromhex("80028a0a6cfc9c46f9206aa85019") + bytes(40),
    "tiny": b"PK", "text": b"not a zip at all, but long enough for one", "no-end": pt(W)[:-30], "pickle-cut": archive(record("a/data.pkl", plain(W)[:-9]), REC),
    "zip64": archive(PKL, REC, zip64=True), "zip64-used": archive(PKL, REC, zip64=True, end={"n": 0xffff, "size": U32, "offset": U32}),
    "zip64-differ": archive(PKL, REC, zip64=True, end64={"n": 7}), "zip64-locator": archive(PKL, REC, zip64=True, locator=1 << 40),
    "zip64-magic": archive(PKL, REC, zip64=True, locator=0), "comment": archive(PKL, REC, comment=b"by hand"),
    "zip64-sizes": archive(PKL, record("a/data/0", DATA, central={"csize": U32, "usize": U32}, cextra=struct.pack("<HH", 7, 0) + X64)),
    "zip64-missing": archive(PKL, record("a/data/0", DATA, central={"csize": U32})),
    "zip64-short": archive(PKL, record("a/data/0", DATA, central={"csize": U32, "usize": U32}, cextra=struct.pack("<HHQ", 1, 8, 16))),
    "extra-beyond": archive(PKL, record("a/data/0", DATA, cextra=struct.pack("<HH", 7, 100))), "local-extra": archive(PKL, record("a/data/0", DATA, extra=b"FB\x04\0ZZZZ")),
    "directory-far": archive(PKL, REC, end={"offset": 0}), "directory-gap": archive(PKL, REC, gap=b"\0" * 50, end={"size": 0}), "no-records": archive(end={"n": 0}),
    "too-many": archive(PKL, REC, end={"n": 99}), "too-few": archive(PKL, REC, end={"n": 1}), "not-an-entry": archive(PKL, (DATA, lambda o: bytes(60))),
    "entry-cut": archive(PKL, record("a/data/0", DATA, central={"name": b"a" * 90}), end={"n": 2}), "encrypted": archive(PKL, record("a/data/0", DATA, flags=1)),
    "deflated": buffer.getvalue(), "sizes": archive(PKL, record("a/data/0", DATA, csize=9)), "long-name": archive(PKL, record("a/" + "n" * 600, DATA)),
    "local-outside": archive(PKL, record("a/data/0", DATA, central={"offset": 1 << 30})), "local-magic": archive(PKL, record("a/data/0", DATA, central={"offset": 8})),
    "local-name": archive(PKL, record("a/data/0", DATA, header={"name": b"a/data/1"})), "local-method": archive(PKL, record("a/data/0", DATA, header={"method": 8})),
    "local-size": archive(PKL, record("a/data/0", DATA, header={"csize": 9})), "data-outside": archive(PKL, record("a/data/0", DATA, csize=1 << 20, usize=1 << 20)),
    "no-folder": archive(record("data.pkl", plain(W))), "other-folder": archive(PKL, record("b/data/0", DATA)), "nul-name": archive(PKL, record("a/x\0\x01\x7f", DATA)),
    "overlap": archive(PKL, REC, record("a/data/1", DATA, central={"name": b"a/data.pkl", "offset": 0, "csize": len(plain(W)), "usize": len(plain(W))}, header={"name": b"a/data/1"})),
    "twice": archive(PKL, REC, REC), "descriptor": archive(record("a/data.pkl", plain(W) + b"PK\7\x08" + struct.pack("<III", 0, len(plain(W)), len(plain(W))), flags=8,
                                                                  csize=len(plain(W)), usize=len(plain(W))), REC),
    "prefix-cut": record("a/data.pkl", plain(W), flags=8)[0] + b"PK\7\x08", "prefix-other": PKL[0] + record("b/data/0", DATA)[0], "prefix-name": record("data.pkl", DATA)[0] * 2,
    "prefix-size": record("a/data.pkl", b"", usize=U32)[0] + DATA * 2, "prefix-method": record("a/x", DATA, method=8)[0] * 2,
}

# --- .metadata ----------------------------------------------------------------------------------------------------------------------

M = "torch.distributed.checkpoint.metadata"
F = "torch.distributed.checkpoint.filesystem"


def obj(module, name, **attributes):
    return glob(module, name) + b")\x81}(" + b"".join(text(k) + v for k, v in attributes.items()) + b"ub"


def size(*dims):
    return call("torch", "Size", b"(" + b"".join(b"J" + struct.pack("<i", d) for d in dims) + b"t\x85")


def layout(name="torch.strided"):
    return call("torch.serialization", "_get_layout", text(name) + b"\x85")


PROPERTIES = b"(" + glob("torch", "float32") + layout() + b"\x89" + call(M, "_MEM_FORMAT_ENCODING", b"K\x00\x85") + b"\x89t"


def props(state=PROPERTIES):
    return glob(M, "TensorProperties") + b")\x81" + state + b"b"


def chunk(offsets=size(0, 0), sizes=size(2, 3)):
    return obj(M, "ChunkStorageMetadata", offsets=offsets, sizes=sizes)


def tensor_metadata(properties=None, shape=size(2, 3), chunks=None):
    return obj(M, "TensorStorageMetadata", properties=properties or props(), size=shape, chunks=chunks or b"](" + chunk() + b"e")


def index(fqn=text("w"), offset=size(0, 0), at=b"K\x00"):
    return obj(M, "MetadataIndex", fqn=fqn, offset=offset, index=at)


def info(path=text("__0_0.distcp"), offset=b"K\x00", length=b"K\x10", **more):
    return obj(F, "_StorageInfo", relative_path=path, offset=offset, length=length, **more)


def metadata(state=None, storage_data=None, planner=b"N", root="Metadata"):
    state = state if state is not None else text("w") + tensor_metadata()
    storage_data = storage_data if storage_data is not None else index() + info()
    return plain(obj(M, root, state_dict_metadata=b"}(" + state + b"u", planner_data=planner, storage_data=b"}(" + storage_data + b"u"))


def packed(descriptors):
    return metadata(storage_data=index() + info(transform_descriptors=descriptors))


def dict_of(key, value):
    return b"}" + key + value + b"s"


BYTES = text("v") + obj(M, "BytesStorageMetadata", dummy=b"N")
HUGE = b"\x8a\x08" + b"\xff" * 7 + b"\x7f"
METADATA = {
    "tensor": metadata(), "value": metadata(BYTES, index(text("v"), b"N", b"N") + info()),
    "both": metadata(text("w") + tensor_metadata() + BYTES, index() + info() + index(text("v"), b"N") + info(offset=b"K\x10"),
                     dict_of(text("w"), text("a") + b"K\x01\x86")[:-1] + b"s" + text("v") + text("v") + b"\x85s"),
    "columns": metadata(text("w") + tensor_metadata(chunks=b"](" + chunk(size(0, 1), size(2, 2)) + chunk(size(0, 0), size(2, 1)) + b"e"),
                        index(offset=size(0, 0), at=b"K\x07") + info() + index(offset=size(0, 1), at=b"N") + info(offset=b"K\x20")),
    "plain-tuple": metadata(text("w") + tensor_metadata(shape=b"K\x02K\x03\x86")), "no-dims": metadata(text("w") + tensor_metadata(shape=call("torch", "Size"), chunks=b"](" + chunk(b")", b")") + b"e"), index(offset=b")") + info()),
    "zstd": packed(b"](" + text("stream.zstd/1") + b"e"), "zstd-1.2": packed(text("stream.zstd/1.2") + b"\x85"), "no-transform": packed(b"]"),
    "transform-int": packed(b"K\x01"), "transform-of-int": packed(b"](K\x01e"), "transforms": packed(b"](" + text("stream.zstd/1") * 2 + b"e"),
    "transform-other": packed(b"](" + text("stream.gzip/1") + b"e"), "transform-2": packed(b"](" + text("stream.zstd/2") + b"e"),
    "unknown-key": metadata(storage_data=index() + info() + index(text("x")) + info()), "index-int": metadata(storage_data=index(b"K\x01") + info() + index() + info()),
    "layout": metadata(text("w") + tensor_metadata(props(PROPERTIES.replace(b"torch.strided", b"torch.sparse!")))), "layout-int": metadata(text("w") + tensor_metadata(props(b"(" + glob("torch", "float32") + b"K\x01" * 4 + b"t"))),
    "dtype-int": metadata(text("w") + tensor_metadata(props(b"(" + b"K\x01" * 5 + b"t"))), "props-short": metadata(text("w") + tensor_metadata(props(b"K\x01\x85"))), "props-int": metadata(text("w") + tensor_metadata(b"K\x01")),
    "size-int": metadata(text("w") + tensor_metadata(shape=b"K\x01")), "size-object": metadata(text("w") + tensor_metadata(shape=chunk())), "size-global": metadata(text("w") + tensor_metadata(shape=glob("torch", "float32"))),
    "size-float": metadata(text("w") + tensor_metadata(shape=b"G" + bytes(8) + b"\x85")), "size-long": metadata(text("w") + tensor_metadata(shape=size(*[1] * 70))),
    "size-negative": metadata(text("w") + tensor_metadata(shape=size(-2, 3))), "size-huge": metadata(text("w") + tensor_metadata(shape=HUGE + HUGE + b"\x86")),
    "chunks-int": metadata(text("w") + tensor_metadata(chunks=b"K\x01")), "chunk-int": metadata(text("w") + tensor_metadata(chunks=b"](K\x01e")), "chunk-dims": metadata(text("w") + tensor_metadata(chunks=b"](" + chunk(size(0)) + b"e")),
    "chunk-outside": metadata(text("w") + tensor_metadata(chunks=b"](" + chunk(size(1, 1)) + b"e")), "chunk-hole": metadata(text("w") + tensor_metadata(chunks=b"](" + chunk(sizes=size(1, 3)) + b"e")),
    "chunk-overlap": metadata(text("w") + tensor_metadata(chunks=b"](" + chunk() + chunk() + b"e")), "chunks-empty": metadata(text("w") + tensor_metadata(shape=size(0, 3), chunks=b"](" + chunk(sizes=size(0, 3)) + b"e"), b""),
    "chunks-cross": metadata(text("w") + tensor_metadata(shape=size(4, 4), chunks=b"](" + chunk(size(0, 0), size(2, 2)) + chunk(size(1, 1), size(2, 2)) + chunk(size(2, 0), size(2, 2)) + chunk(size(0, 2), size(2, 2)) + b"e"), b""),
    "key-int": metadata(b"K\x01" + tensor_metadata()), "key-nul": metadata(text("w\0") + tensor_metadata()), "key-twice": metadata((text("w") + tensor_metadata()) * 2),
    "entry-int": metadata(text("w") + b"K\x01"), "entry-size": metadata(text("w") + size(1)), "planner-int": metadata(planner=b"K\x01"), "planner-empty": metadata(planner=dict_of(text("w"), b")")),
    "planner-none": metadata(planner=dict_of(text("w"), b"N\x85")), "planner-nul": metadata(planner=dict_of(text("w"), text("a\0") + b"\x85")), "planner-negative": metadata(planner=dict_of(text("w"), b"J" + b"\xff" * 4 + b"\x85")),
    "info-int": metadata(storage_data=index() + b"K\x01"), "info-none": metadata(storage_data=index() + info(b"N")), "info-negative": metadata(storage_data=index() + info(offset=b"J" + b"\xff" * 4)),
    "info-outside": metadata(storage_data=index() + info(text("../x"))), "info-nul": metadata(storage_data=index() + info(text("a\0b"))), "key-of-storage": metadata(storage_data=b"K\x01" + info()), "offset-int": metadata(storage_data=index(offset=b"K\x01") + info()),
    "no-storage": metadata(storage_data=b""), "no-value": metadata(BYTES, b""), "value-offset": metadata(BYTES, index(text("v")) + info()), "root-int": plain(b"K\x01"),
    "root-bytes": plain(b"C\x01a"), "root-chunk": plain(chunk()), "root-empty": plain(obj(M, "Metadata", a=b"N")), "storage-int": plain(obj(M, "Metadata", state_dict_metadata=b"}", storage_data=b"K\x01")), "root-set": plain(b"\x8f"), "root-storage": plain(b"NQ"),
}

# --- zstd ---------------------------------------------------------------------------------------------------------------------------


def frame(*blocks, descriptor=0, window=b"\x58", header=b"", checksum=b"", magic=b"\x28\xb5\x2f\xfd"):
    """Raw blocks, so that a mutation of the content leaves a valid frame."""
    blocks = blocks or (b"",)
    body = b"".join(struct.pack("<I", len(b) << 3 | (i + 1 == len(blocks)))[:3] + b for i, b in enumerate(blocks))
    return magic + bytes([descriptor]) + (b"" if descriptor & 0x20 else window) + header + body + checksum


ITEM = ZIPS["tensor"]
SKIPPABLE = b"\x52\x2a\x4d\x18" + struct.pack("<I", 5) + b"aside"
RLE = b"\x28\xb5\x2f\xfd\0\x58" + struct.pack("<I", (1 << 17) << 3 | 2)[:3] + b"z" + struct.pack("<I", (1 << 17) << 3 | 3)[:3] + b"z"
ZSTD = {
    "item": frame(ITEM), "blocks": frame(ITEM[:100], ITEM[100:200], ITEM[200:]), "frames": frame(ITEM[:100]) + frame(ITEM[100:]),
    "skippable": SKIPPABLE + frame(ITEM) + SKIPPABLE, "single": frame(b"abc", descriptor=0x20, header=b"\x03"),
    "single-2": frame(ITEM, descriptor=0x60, header=struct.pack("<H", len(ITEM) - 256)), "single-4": frame(ITEM, descriptor=0xa0, header=struct.pack("<I", len(ITEM))),
    "single-8": frame(b"", descriptor=0xe0, header=bytes(8)), "sized": frame(ITEM, descriptor=0x80, header=struct.pack("<I", len(ITEM))), "size-wrong": frame(ITEM, descriptor=0xa0, header=struct.pack("<I", 9)),
    "size-empty": frame(descriptor=0x20, header=b"\x58"),
    "dictionary": frame(ITEM, descriptor=3, header=b"\1\2\3\4"), "checksum-wrong": frame(ITEM, descriptor=4, checksum=b"\0\0\0\0"), "window": frame(ITEM, window=b"\xf9"), "window-limit": frame(ITEM, window=b"\x88"),
    "reserved": frame(ITEM, descriptor=8), "block-reserved": frame(ITEM)[:6] + b"\x07\0\0" + ITEM, "behind": frame(ITEM) + b"behind", "old-magic": frame(ITEM, magic=b"\x27\xb5\x2f\xfd"),
    "cut": frame(ITEM)[:-9], "cut-header": frame(ITEM)[:5], "cut-magic": b"\x28\xb5", "empty": frame(), "nothing": b"", "run": RLE, "run-beyond": RLE + frame(b"more"), "text": b"no frame, but text",
    "block-cut": frame(ITEM)[:8], "compressed-junk": b"\x28\xb5\x2f\xfd\0\x58" + struct.pack("<I", 20 << 3 | 5)[:3] + b"junk" * 5,
}

# --- tokenizer.json -----------------------------------------------------------------------------------------------------------------

REPLACE = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
STRIP = {"type": "Strip", "strip_left": True, "strip_right": True}
BOS = {"id": 0, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": True}
TOKENIZER = {
    "llama2": {"added_tokens": [BOS],
               "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, REPLACE | {"pattern": {"String": " "}, "content": "\u2581"}, STRIP, {"type": "NFKC"}]},
               "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                                  "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
               "decoder": {"type": "Sequence", "decoders": [REPLACE, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 1}]},
               "model": {"type": "BPE", "unk_token": "<s>", "fuse_unk": True, "byte_fallback": True, "merges": ["\u2581 H", "l o"],
                         "vocab": {"<s>": 0, "\u2581": 1, "H": 2, "\u2581H": 3, "<0xC3>": 4, "<0xA9>": 5, "l": 6, "o": 7, "lo": 8}}},
    "metaspace": {"normalizer": {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "\u00e9"},
                  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                      {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True},
                      {"type": "Split", "pattern": {"Regex": "^.|(?=o)"}, "behavior": "MergedWithNext", "invert": False}]},
                  "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"},
                  "model": {"vocab": {"H": 1, "e": 2, "\u2581": 5, "\u00e9": 7}, "merges": [], "byte_fallback": True}},
    "words": {"normalizer": STRIP, "pre_tokenizer": {"type": "Whitespace"}, "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"Hello": 0, "?": 3, "<|eos|>": 9}},
              "eos_token": "<|eos|>", "added_tokens_decoder": {"4": {"content": "foo"}}},
}

if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit("usage: make_seeds.py")
    put("fuzz_json", JSON)
    put("fuzz_safetensors", SAFETENSORS)
    put("fuzz_hf_index", INDEX)
    put("fuzz_pickle", PICKLES)
    put("fuzz_zip", ZIPS)
    put("fuzz_item", {"plain": ITEM, "zstd": frame(ITEM), "zstd-blocks": frame(ITEM[:300], ITEM[300:])})
    put("fuzz_metadata", METADATA)
    put("fuzz_zstd", ZSTD)
    put("fuzz_tokenizer", {name: json.dumps(tree) for name, tree in TOKENIZER.items()})

"""Sizes and offsets beyond 4 GiB: a tensor of 4 GiB and what lies behind it, from a DCP folder of PyTorch's to a .pt and from a .pt of
PyTorch's to a folder, both of which PyTorch reads. The files are sparse: PyTorch's writes of zeros become holes, which titan keeps. That the
zip64 fields are those of torch.save, byte for byte, is tests/unit/test_goldens.c's to say. BIN: the programs."""
import contextlib
import os
import pickle
import resource
import subprocess
import tempfile
import zipfile

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from runs import count as check
from runs import finish
from torch.distributed.checkpoint.filesystem import FileSystem

BIN = os.environ.get("BIN", "build/bin")
GIB4 = 1 << 32
PIECE = 1 << 20
DISK_NBYTES = 1 << 28  # of all these files, where holes stay holes


def run(tool, *args):
    r = subprocess.run([BIN + "/" + tool, *args], capture_output=True, text=True)
    check(" ".join((tool, *args)), r.returncode == 0, r.stderr)
    return r.stdout


class SparseFile:
    """A file to write to in which pieces of zeros are holes."""

    def __init__(self, path):
        self.f = open(path, "wb")

    def write(self, data):
        view = memoryview(data).cast("B")
        for i in range(0, len(view), PIECE):
            piece = view[i:i + PIECE]
            if len(piece) == PIECE and not np.frombuffer(piece, np.uint64).any():
                self.f.seek(PIECE, os.SEEK_CUR)
            else:
                self.f.write(piece)
        return len(view)

    def __getattr__(self, name):
        return getattr(self.f, name)


class SparseFileSystem(FileSystem):
    @contextlib.contextmanager
    def create_stream(self, path, mode):
        if mode == "wb":
            f = SparseFile(path)
            yield f
            f.close()
        else:
            with super().create_stream(path, mode) as f:
                yield f


def save_dcp(state, path):
    writer = dcp.FileSystemWriter(path)
    writer.fs = SparseFileSystem()
    dcp.save(state, storage_writer=writer, no_dist=True)


def state_dict():
    """Memory that was never written takes none. 4 GiB and a row, in the order in which a file gets them: what is small comes last."""
    big = torch.from_numpy(np.zeros((GIB4 // 4096 + 1, 1024), dtype=np.float32))
    big[0, 0], big[-1, -1], big[GIB4 // 8192, 5] = 1.5, -2.5, 7.0
    return {"big": big, "last": torch.arange(1000, dtype=torch.float32)}


def same_big(t, big):
    at = [(0, 0), (0, 1), (-1, -1), (-1, -2), (GIB4 // 8192, 5), (GIB4 // 8192, 6)]
    return t.dtype == big.dtype and t.shape == big.shape and all(t[i].item() == big[i].item() for i in at)


def crcs(path):
    """Of the storages, by their sizes, as the directory has them."""
    with zipfile.ZipFile(path) as z:
        return {i.file_size: i.CRC for i in z.infolist() if "/data/" in i.filename and i.file_size > 1000}


def check_pt(name, path, state):
    for how in ({}, {"TORCH_SERIALIZATION_DEBUG": "1"}):  # which compares computed offsets with those of the headers
        os.environ.update(how)
        got = torch.load(path, mmap=True, weights_only=True)
        check(f"{name}: keys", list(got) == list(state), list(got))
        check(f"{name}: big", same_big(got["big"], state["big"]))
        check(f"{name}: last", torch.equal(got["last"], state["last"]))
    os.environ.pop("TORCH_SERIALIZATION_DEBUG")
    check_values(name, path)


def copy_item(source, place, path):
    """An item by itself, its holes too."""
    end = place.offset + place.length
    with open(source, "rb") as src, open(path, "wb") as dst:
        at = place.offset
        while at < end:
            data = os.lseek(src.fileno(), at, os.SEEK_DATA)
            at = min(os.lseek(src.fileno(), data, os.SEEK_HOLE), end)
            src.seek(data)
            dst.seek(data - place.offset)
            while data < at:
                data += dst.write(src.read(min(PIECE, at - data)))


def check_dcp(name, path, state, tmp):
    """What PyTorch reads of a folder; returns the CRCs of its tensors."""
    with open(path + "/.metadata", "rb") as f:
        places = {k.fqn: v for k, v in pickle.load(f).storage_data.items()}
    check(f"{name}: the last item lies beyond 4 GiB", places["last"].offset > GIB4 and places["big"].length > GIB4, places)
    got = {"last": torch.zeros(1000)}
    dcp.load(got, checkpoint_id=path, no_dist=True)
    check(f"{name}: last", torch.equal(got["last"], state["last"]))
    item, found = os.path.join(tmp, "item.pt"), {}
    for key, place in places.items():
        copy_item(os.path.join(path, place.relative_path), place, item)
        found |= crcs(item)
        if key == "big":
            check(f"{name}: big", same_big(torch.load(item, mmap=True, weights_only=True), state["big"]))
        os.unlink(item)
    check_values(name, path)
    return found


def check_values(name, path):
    """titan reads part of what lies beyond."""
    tail = run("titan-ckpt-inspect", "--quiet", "--values", "big[-1,-3:]", path)
    check(f"{name}: the end of big", tail.split() == ["0.0", "0.0", "-2.5"], tail)
    check(f"{name}: the end of last", run("titan-ckpt-inspect", "--quiet", "--values", "last[-1]", path).split() == ["999.0"])


def room(tmp):
    """Why there is no room; None: there is."""
    free = os.statvfs(tmp).f_bavail * os.statvfs(tmp).f_frsize
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    with open(os.path.join(tmp, "probe"), "wb") as f:
        f.seek(GIB4)
        f.write(b"x")
        f.flush()
        is_sparse = os.fstat(f.fileno()).st_blocks * 512 < PIECE
    os.unlink(os.path.join(tmp, "probe"))
    if limit != resource.RLIM_INFINITY and limit < 2 * GIB4:
        return f"files may have {limit} bytes"
    if not is_sparse:
        return "the file system has no holes"
    return f"{free} bytes are free" if free < DISK_NBYTES else None


def main():
    with tempfile.TemporaryDirectory() as tmp:
        why_not = room(tmp)
        if why_not:
            print(f"SKIP: 4 GiB tensors: in {tmp} {why_not}")
            return
        at = lambda name: os.path.join(tmp, name)
        state = state_dict()
        save_dcp(state, at("torch"))
        run("titan-dcp2pt", "--quiet", at("torch"), at("titan.pt"))
        with contextlib.closing(SparseFile(at("torch.pt"))) as f:
            torch.save(state, f)
        run("titan-dcp2pt", "--quiet", "--reverse", at("torch.pt"), at("titan"))
        check_pt("to .pt", at("titan.pt"), state)
        check_values("PyTorch's .pt", at("torch.pt"))
        theirs, ours = check_dcp("PyTorch's folder", at("torch"), state, tmp), check_dcp("to a folder", at("titan"), state, tmp)
        check("CRCs", len(theirs) == 2 and crcs(at("titan.pt")) == theirs == ours, (theirs, ours))
        used = sum(os.stat(os.path.join(d, f)).st_blocks * 512 for d, _, files in os.walk(tmp) for f in files)
        check("holes stay holes", used < DISK_NBYTES, used)


main()
finish()

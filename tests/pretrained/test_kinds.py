"""Which kind of file it is: by structure, whatever the name; damaged files are of their own kind, others are named."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from pickles import archive, save

from minicnn import pretrained
from minicnn.pretrained import WeightsError, read_weights
from minicnn.pretrained.kinds import kind_of
from minicnn.train import save_checkpoint

WEIGHTS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}


def safetensors(state, header_size=None):
    """The bytes of such a file, its header padded with spaces to `header_size`, as the format allows."""
    header, data = {}, b""
    for key, array in state.items():
        header[key] = {"dtype": "F32", "shape": array.shape, "data_offsets": (len(data), len(data) + array.nbytes)}
        data += array.tobytes()
    text = json.dumps(header).encode()
    text = text.ljust(header_size or len(text))
    return struct.pack("<Q", len(text)) + text + data


def npz(state, write=np.savez):
    file = io.BytesIO()
    write(file, **state)
    return file.getvalue()


@pytest.fixture(scope="module")
def files(torch, tmp_path_factory):
    """{kind: content} of a file of every kind, with the same weights."""
    path = tmp_path_factory.mktemp("kinds") / "checkpoint"
    save_checkpoint(path, {"model": WEIGHTS})
    tensors = {key: torch.tensor(array) for key, array in WEIGHTS.items()}
    return {
        "checkpoint": path.read_bytes(),
        "pth": save(torch, tensors),
        "legacy": save(torch, tensors, new=False),
        "npz": npz(WEIGHTS),
        "safetensors": safetensors(WEIGHTS),
    }


def check_read(path):
    found = read_weights(path)
    assert found.keys() == WEIGHTS.keys()
    for key, array in WEIGHTS.items():
        np.testing.assert_array_equal(found[key], array)


def test_the_name_says_nothing(files, tmp_path):
    for kind, content in files.items():
        for name in ("w.pth", "w.safetensors", "w.npz", "w", "w.pth.tar", "w.h5"):
            (tmp_path / name).write_bytes(content)
            assert kind_of(tmp_path / name) == kind.replace("legacy", "pth")
            assert pretrained.is_checkpoint(tmp_path / name) == (kind == "checkpoint")
            check_read(tmp_path / name)


@pytest.mark.parametrize("first", range(256))
def test_safetensors_headers_of_every_length(tmp_path, first):
    """The first byte of such a file is that of its header's length: it may be a pickle's, a zip archive's, gzip's."""
    path = tmp_path / "w"
    for more in (0x100 * 0x4B, 0x100 * 0x8B, 0x10000):
        path.write_bytes(safetensors(WEIGHTS, first + more))
        assert kind_of(path) == "safetensors"
    pytest.importorskip("safetensors", reason="the package safetensors is not installed")
    check_read(path)


OF_KIND = {
    "checkpoint": "is damaged or no minicnn checkpoint",
    "pth": "is damaged or not a file that torch.save has written",
    "legacy": "is damaged or not a file that torch.save has written",
    "npz": "is damaged or not an .npz file",
    "safetensors": "is damaged or not a .safetensors file",
}


@pytest.mark.parametrize("kind", OF_KIND)
def test_damaged_files_are_of_their_kind(files, tmp_path, kind):
    """Cut anywhere, but for the first bytes; or with one byte changed, which may also do no harm."""
    path, content = tmp_path / "w", files[kind]
    shortest = 60 if kind in ("checkpoint", "pth", "npz") else 20
    for length in range(shortest, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match=OF_KIND[kind]):
            read_weights(path)
    rng, named = np.random.default_rng(0), 0
    for position in rng.integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except WeightsError as error:
            assert str(path) in str(error)
            named += OF_KIND[kind] in str(error)
    assert named > (75 if kind in ("checkpoint", "npz") else 20)  # .pth: padding; the other two: no checksum


def tar(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


OTHERS = {
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file, as Keras and TensorFlow write"),
    "keras": (archive({"config.json": b"{}", "model.weights.h5": b"x"}), "a Keras model"),
    "onnx": (b"\x08\x0a\x12\x07pytorch\x1a\x052.1.0:" + bytes(50), "an ONNX model"),
    "tflite": (b"\x20\x00\x00\x00TFL3" + bytes(50), "a TensorFlow Lite model"),
    "gzip": (gzip.compress(b"weights"), "compressed by gzip; unpack it first"),
    "xz": (lzma.compress(b"weights"), "compressed by xz"),
    "bzip2": (bz2.compress(b"weights"), "compressed by bzip2"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-LFS.*git lfs pull"),
    "page": (b"\n<!DOCTYPE HTML><html><head>", "a web page.*fetch the file again"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "tar": (tar({"sys_info": b"1", "pickle": b"1", "tensors": b"1", "storages": b"1"}), "a tar archive.*before 0.2"),
    "npy": (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'", "a single NumPy array.*numpy.savez"),
    "pickle": (pickle.dumps({"weight": [1.0]}), "a pickle that is damaged, or that torch.save has not written"),
    "arrays": (pickle.dumps(WEIGHTS), "a pickle that is damaged, or that torch.save has not written"),
    "zip": (archive({"resnet.pth": b"x", "readme.txt": b"x"}), "a zip archive of resnet.pth, readme.txt; unpack it"),
    "nothing": (archive({}), "holds no weights"),
    "empty": (b"", "it is empty"),
    "text": (b"0.5 0.25\n", "it begins with"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_else_people_take_for_weights(tmp_path, name):
    content, reason = OTHERS[name]
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"weights.pth holds no weights.*{reason}|{reason}"):
        read_weights(path)
    assert not pretrained.is_checkpoint(path)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch would rather export
def test_torchscript(torch, tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"w\.pt .*a TorchScript program; save its weights alone"):
        read_weights(tmp_path / "w.pt")


def test_pipes_are_not_waited_for(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "w.pth")
    for function in (read_weights, pretrained.read_pth, pretrained.read_npz, pretrained.read_safetensors):
        with pytest.raises(WeightsError, match=r"cannot read weights .*w\.pth: Not a regular file"):
            function(tmp_path / "w.pth")
    assert not pretrained.is_checkpoint(tmp_path / "w.pth")


# .npz files of plain arrays


def test_npz_of_every_layout_and_dtype(tmp_path):
    state = {
        "rows": np.arange(6.0).reshape(2, 3),
        "columns": np.arange(6.0).reshape(2, 3).T,
        "half": np.ones(3, np.float16),
        "count": np.array(7),
        "flag": np.array([True, False]),
        "big": np.arange(3, dtype=">f4"),
        "none": np.zeros((0, 3), np.float32),
    }
    (tmp_path / "w.npz").write_bytes(npz(state))
    found = read_weights(tmp_path / "w.npz")
    assert found.keys() == state.keys()
    for key, array in state.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == array.dtype


def header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n")}, "other bytes"),
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }\n") + bytes(4)}, "no array"),
        ({"a.npy": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n") + b"\x80\x02N."}, "no array"),
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }\n") + bytes(8)}, "other bytes"),
        ({"a.npy": b"\x93NUMPY\x01\x00"}, "damaged"),
        ({"a.npy": b""}, "damaged"),
    ],
)
def test_npz_headers_are_not_believed(tmp_path, members, reason):
    (tmp_path / "w.npz").write_bytes(archive(members))
    with pytest.raises(WeightsError, match=rf"w\.npz is damaged or not an \.npz file.*{reason}"):
        read_weights(tmp_path / "w.npz")


def test_npz_of_other_things(tmp_path):
    (tmp_path / "w.npz").write_bytes(npz({"a": np.ones(2, np.complex64)}))
    with pytest.raises(WeightsError, match=r"w\.npz: a is of dtype complex64.*float32"):
        read_weights(tmp_path / "w.npz")
    (tmp_path / "w.npz").write_bytes(npz({"a": np.zeros(10**6)}, np.savez_compressed))
    with pytest.raises(WeightsError, match="compressed"):
        read_weights(tmp_path / "w.npz")
    (tmp_path / "w.npz").write_bytes(npz({"a": np.array(["text"])}))
    with pytest.raises(WeightsError, match="no array of numbers"):
        read_weights(tmp_path / "w.npz")
    double = io.BytesIO(npz({"a": np.ones(1)}))
    with pytest.warns(UserWarning), zipfile.ZipFile(double, "a") as again:
        again.writestr("a.npy", b"x")
    (tmp_path / "w.npz").write_bytes(double.getvalue())
    with pytest.raises(WeightsError, match="two members have one name"):
        read_weights(tmp_path / "w.npz")

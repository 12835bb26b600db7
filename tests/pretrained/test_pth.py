"""Files of torch.save are read as PyTorch reads them, but damage is noticed."""

import collections
import io
import pickle
import struct
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pickles import FORMATS, archive, check_bounded, contents, crafted, op, read, save, shifted, split, tensor, text

from minicnn.pretrained import WeightsError, read_pth, read_safetensors, read_weights

WITHOUT_TORCH = "PyTorch, the oracle of this test, is not installed"


def state(torch):
    """Tensors of every layout and dtype."""
    base = torch.arange(24.0).reshape(2, 3, 4)
    tensors = {
        "plain": base,
        "transposed": base.transpose(0, 2),
        "sliced": base[1, 1:, ::2],
        "zero_dim": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "bfloat16": torch.tensor([1.0, -2.5, 3e38, float("inf"), 1e-40]).bfloat16(),
        "bool": torch.tensor([True, False]),
    }
    for name in ("float64", "float16", "int64", "int32", "int16", "int8", "uint8"):
        tensors[name] = (100 * torch.rand(3)).to(getattr(torch, name))
    return collections.OrderedDict(tensors)


def check_same(found, expected):
    assert list(found) == list(expected)
    for key, value in expected.items():
        array = value.detach().float().numpy() if key == "bfloat16" else value.detach().numpy()
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("new", FORMATS)
def test_every_layout_and_dtype(torch, new):
    tensors = state(torch)
    check_same(read(save(torch, tensors, new)), tensors)
    check_same(read(save(torch, tensors, new, pickle_protocol=4)), tensors)


@pytest.mark.parametrize("new", FORMATS)
def test_a_network(torch, new):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    check_same(read(save(torch, network.state_dict(), new)), network.state_dict())


@pytest.mark.parametrize("new", FORMATS)
def test_shared_storages_are_read_once_and_are_read_only(torch, new):
    found = read(save(torch, state(torch), new))
    assert np.shares_memory(found["plain"], found["transposed"])
    assert not any(array.flags.writeable for array in found.values())


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
@pytest.mark.parametrize("new", FORMATS)
def test_what_training_programs_save(torch, new, wrapper):
    tensors = {"a.weight": torch.ones(2), "b.weight": torch.zeros(3)}
    parallel = {f"module.{key}": tensor for key, tensor in tensors.items()}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    check_same(read(save(torch, {wrapper: parallel, "epoch": 3, "optimizer": optimizer}, new)), tensors)
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    check_same(read(save(torch, mixed, new)), mixed)


@pytest.mark.parametrize("value", [[], {}, {"epoch": 1}, {"state_dict": {"weight": "text"}}, 3])
def test_no_state_dict(torch, value):
    for new in (True, False):
        with pytest.raises(WeightsError, match=r"weights\.pth holds no state dict.*torch\.save\(model\.state_dict"):
            read(save(torch, value, new))


@pytest.mark.parametrize("new", FORMATS)
def test_no_second_copy_in_memory(torch, new):
    content = save(torch, {f"weight{i}": torch.ones(1 << 20) for i in range(4)}, new)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        path.write_bytes(content)
        tracemalloc.start()
        found = read_pth(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(found) == 4
    assert peak < 1.1 * len(content)


# Damage


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in what a flipped bit makes a STRING instruction
@pytest.mark.parametrize("new", FORMATS)
def test_damage_is_noticed(new):
    torch = pytest.importorskip("torch", reason=WITHOUT_TORCH)
    content = save(torch, {"weight": torch.arange(300.0), "bias": torch.ones(5)}, new)
    right = read(content)

    @settings(max_examples=300)
    @given(st.data())
    def check(data):
        damaged = bytearray(content)
        position = data.draw(st.integers(0, len(content) - 1), label="byte")
        if data.draw(st.booleans(), label="truncate"):
            damaged = damaged[:position]
        else:
            damaged[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        try:
            found = read(damaged)
        except WeightsError as error:
            assert "weights.pth" in str(error)
        else:
            assert len(damaged) == len(content)
            if new:  # what is left is padding and time stamps; the older format has no checksum
                assert found.keys() == right.keys()
                assert all(np.array_equal(found[key], right[key]) for key in right)

    check()


def test_a_flipped_bit_in_the_numbers(torch):
    content = bytearray(save(torch, {"weight": torch.full((9,), 1.5)}))
    content[content.index(np.full(9, 1.5, "<f4").tobytes()) + 5] ^= 1
    assert torch.load(io.BytesIO(content))["weight"].shape == (9,)  # which PyTorch does not notice
    with pytest.raises(WeightsError, match="Bad CRC-32"):
        read(content)


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><html>", b"PK\x03\x04", b"\x80\x02.", b"\x80", bytes(500), pickle.dumps({"a": 1})]
)
def test_other_files(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    for function in (read_pth, read_safetensors, read_weights):
        with pytest.raises(WeightsError, match=r"weights\.pth (is damaged or not|holds no weights)"):
            function(path)


@pytest.mark.parametrize("function", [read_pth, read_safetensors, read_weights])
def test_missing_file_and_folder(tmp_path, function):
    with pytest.raises(WeightsError, match=r"cannot read weights .*nowhere\.pth: No such file"):
        function(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="Is a directory"):
        function(tmp_path)


def test_the_parts_of_the_older_format(torch):
    content = save(torch, {"weight": torch.ones(300)}, new=False)
    with pytest.raises(WeightsError, match="its magic number or its version is wrong"):
        read(content.replace(b"M\xe9\x03.", b"M\xea\x03."))
    with pytest.raises(WeightsError, match=r"storage .* has 299 numbers and should have 300"):
        read(content.replace(struct.pack("<q", 300), struct.pack("<q", 299)))


def test_big_endian(torch):
    new = save(torch, {"weight": torch.ones(1)})
    members = contents(new)
    assert members["archive/byteorder"] == b"little"
    for content in (
        archive(members | {"archive/byteorder": b"big"}),
        save(torch, {"weight": torch.ones(1)}, new=False).replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"),
    ):
        with pytest.raises(WeightsError, match="big-endian"):
            read(content)


# Crafted files


def test_the_crafted_file_would_do():
    np.testing.assert_array_equal(read(crafted(tensor()))["weight"], np.arange(6).reshape(2, 3))


WINDOWS = [
    {"offset": 1},
    {"offset": -1},
    {"shape": (3, 3)},
    {"shape": (6, 1), "strides": (-1, 1)},
    {"shape": (2, 3), "strides": (4, 1)},
    {"shape": (1000, 1000), "strides": (0, 0)},
    {"shape": (2**62, 4), "strides": (2**62, 1)},
    {"shape": (0, 2**62), "strides": (2**70, 1)},
    {"shape": (0,), "strides": (1,), "offset": 2**40},
    {"shape": (-2, -3)},
    {"shape": (6,)},
    {"shape": (1,) * 5000, "strides": (1,) * 5000},
    {"size": 7},
    {"size": 2**40},
    {"size": -6},
    {"shape": (5,), "strides": (2**60,)},  # whose end is 0 in 64 bits
    {"dtype": "DoubleStorage"},
    {"kind": "module"},
    {"view": text("0")},
    {"key": "1"},
]


@pytest.mark.parametrize("window", [pytest.param(window, id=" ".join(window)) for window in WINDOWS])
def test_windows_beyond_their_storage(window):
    with pytest.raises(WeightsError, match=r"weights\.pth is damaged"):
        read(crafted(tensor(**window)))


def test_a_long_reason_is_cut():
    with pytest.raises(WeightsError, match="could not convert string to float") as caught:
        read(crafted(op("FLOAT", b"9x" * 5000 + b"\n")))
    assert len(str(caught.value)) < 500


def test_compressed_and_overlapping_archives():
    zeros = crafted(tensor(shape=(10**8,), strides=(1,), size=10**8), bytes(4 * 10**8), zipfile.ZIP_DEFLATED)
    check_bounded(zeros, "compressed")
    lying = bytearray(crafted(tensor(), bytes(10**7), zipfile.ZIP_LZMA))
    start = lying.rindex(b"PK\x01\x02")
    lying[start + 24 : start + 28] = struct.pack("<L", 24)  # the size, once unpacked
    check_bounded(lying, "compressed")
    blob, directory, value = bytes(10**6), b"", b""
    for key in "87654321":  # the data of each member are those of the next one with its header
        member = archive({f"a/data/{key}": blob})
        start = member.rindex(b"PK\x01\x02")
        value += text(key) + tensor(key=key, dtype="ByteStorage", size=len(blob)) + op("SETITEM")
        entry = member[start : member.rindex(b"PK\x05\x06")]
        directory = b"".join([entry, *(shifted(each, start - len(blob)) for each in split(directory))])
        blob = member[:start]
    pickle = archive({"a/data.pkl": op("EMPTY_DICT") + value + op("STOP")})
    start = pickle.rindex(b"PK\x01\x02")
    directory += shifted(pickle[start : pickle.rindex(b"PK\x05\x06")], len(blob))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, len(directory), len(blob) + start, 0)
    check_bounded(blob + pickle[:start] + directory + end, "members are larger than the file")

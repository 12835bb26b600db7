"""Pickles: none of their code is run, and small ones that unfold into gigabytes, or into hours, are refused at once."""

import pickle
import pickletools
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pickles import FORMATS, check_bounded, crafted, doubled, glob, number, numbers, op, read, save, tensor, text

from minicnn.pretrained import WeightsError
from minicnn.pretrained.pth import MAGIC, VERSION


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


ran = []


def note(*arguments):
    ran.append(arguments)


@pytest.mark.parametrize("new", FORMATS)
@pytest.mark.parametrize("function, name", [(note, "note"), (eval, "eval"), (getattr, "getattr")])
def test_no_code_is_run(torch, new, function, name):
    evil = Evil(function, "1", "real")
    for value in (evil, {"weight": torch.ones(1), "more": evil}, {"state_dict": {"w": torch.ones(1)}, "args": evil}):
        for protocol in (2, 4):
            with pytest.raises(WeightsError, match=rf"weights\.pth would run code: it calls '\w+\.{name}'"):
                read(save(torch, value, new, pickle_protocol=protocol))
    assert not ran


@pytest.mark.parametrize("new", FORMATS)
def test_a_whole_model_is_refused(torch, new):
    reason = r"would run code: it holds a whole object.*\.Linear', such as a network.*torch\.save\(model\.state_dict"
    with pytest.raises(WeightsError, match=reason):
        read(save(torch, torch.nn.Linear(2, 2), new))


class Net(dict):
    """Any class of the one who has saved it."""

    __reduce_ex__ = object.__reduce_ex__


@pytest.mark.parametrize("new", FORMATS)
def test_whole_objects_are_named(torch, new):
    whole = rf"would run code: it holds a whole object of the class '\w+\.{Net.__name__}', such as a network"
    for value in (Net(), {"state_dict": {"w": torch.ones(1)}, "model": Net()}):
        with pytest.raises(WeightsError, match=whole):
            read(save(torch, value, new))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_tensors_that_have_no_plain_numbers_are_named(torch):
    one = torch.ones(2, 3)
    others = {
        "complex numbers": one.to(torch.complex64),
        "quantized tensors": torch.quantize_per_tensor(one, 0.1, 0, torch.qint8),
        "sparse tensors": one.to_sparse(),
        "tensors without numbers": one.to("meta"),
        "tensors of a dtype such as float8": one.to(torch.float8_e4m3fn),
    }
    for name, value in others.items():
        with pytest.raises(WeightsError, match=rf"weights\.pth holds {name}.*as float32"):
            read(save(torch, {"weight": value}))


def test_tensors_of_the_first_pytorch():
    """Before 0.4 they were built by a function of four arguments."""
    storage = text("storage") + glob("torch", "FloatStorage") + text("0") + text("cpu") + number(6) + op("NONE")
    entry = glob("torch._utils", "_rebuild_tensor") + op("MARK") + op("MARK") + storage + op("TUPLE") + op("BINPERSID")
    entry += number(0) + numbers((2, 3)) + numbers((3, 1)) + op("TUPLE") + op("REDUCE")
    assert read(crafted(entry))["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_two_descriptions_of_a_storage():
    other = op("SETITEM") + text("other") + tensor(dtype="IntStorage")
    with pytest.raises(WeightsError, match="described in no known way"):
        read(crafted(tensor() + other))


BOMBS = {
    "a key that takes for ever to hash": op("EMPTY_DICT") + doubled(60, "TUPLE2") + op("NONE") + op("SETITEM"),
    "an entry that takes for ever to print": doubled(60, "TUPLE2"),
    "a huge memo": op("NONE") + op("LONG_BINPUT", b"\xff\xff\xff\x7f"),
    "a huge text": op("BINUNICODE", b"\xff\xff\xff\xff"),
    "huge bytes": op("BINBYTES8", struct.pack("<Q", 2**60)),
    "a huge frame": op("FRAME", struct.pack("<Q", 2**60)),
    "many copies": op("EMPTY_LIST") + op("MARK") + op("NONE") * 9999 + op("APPENDS") + op("BINPUT", b"\x01")
    + (glob("collections", "OrderedDict") + op("BINGET", b"\x01") + op("TUPLE1") + op("REDUCE")) * 9999,
    "keys of one hash": op("EMPTY_DICT") + op("MARK")
    + b"".join(number(k * (2**61 - 1)) + op("NONE") for k in range(90_000)) + op("SETITEMS"),
    "deep lists": op("EMPTY_LIST") * 50_000 + op("APPEND") * 49_999,
    "a list in itself": op("EMPTY_LIST") + op("BINPUT", b"\x01") + op("BINGET", b"\x01") + op("APPEND"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name):
    check_bounded(crafted(BOMBS[name]))


def test_a_list_of_storages_that_takes_for_ever_to_hash():
    start = b"".join(pickle.dumps(part, 2) for part in (MAGIC, VERSION, {"little_endian": True}))
    value = op("EMPTY_DICT") + text("weight") + tensor() + op("SETITEM") + op("STOP")
    keys = op("EMPTY_LIST") + doubled(60, "TUPLE2") + op("APPEND") + op("STOP")
    check_bounded(start + value + keys, "list of storages is wrong")


def test_many_instructions():
    check_bounded(crafted(op("NONE") * 1_200_000), "more than 1,000,000 instructions")


MODULES = ["collections OrderedDict", "torch FloatStorage", "torch._utils _rebuild_tensor_v2", "posix system", "x y"]
OPERANDS = [b"", b"\x00", b"\x01", b"\x02ab", b"\x03\x00\x00\x00abc", b"\xff\xff\xff\x7f", b"a\nb\n", b"1\n"]
OPERANDS += [name.replace(" ", "\n").encode() + b"\n" for name in MODULES]
PARTS = st.one_of(
    st.sampled_from([tensor(), number(3), text("a"), op("MARK"), numbers((2, 3))]),
    st.builds(lambda code, operand: code.code.encode("latin-1") + operand,
              st.sampled_from(pickletools.opcodes), st.sampled_from(OPERANDS)),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=300)
@given(st.lists(PARTS, max_size=30).map(b"".join))
@example(glob("posix", "system") + text("false") + op("TUPLE1") + op("REDUCE"))
def test_any_program_is_refused_or_harmless(program):
    try:
        found = read(crafted(program))
    except WeightsError:
        return
    assert all(array.nbytes <= 24 for array in found.values())

"""Launch plans: the second launch of a kernel is quick, and every check is as sharp as in the first."""

from pathlib import Path

import fake_cupy
import numpy as np
import pytest
from checks import raises

from minicnn.kernels.cuda import launch
from minicnn.kernels.cuda.launch import Kernel
from minicnn.kernels.plan import Whole

FILE = Path(__file__).parent / "cuda" / "kernels_of_types.cu"


@pytest.fixture
def cupy():
    with fake_cupy.installed() as module:
        yield module


@pytest.fixture
def launched(monkeypatch):
    """[(kernel asked for, its arguments)] of each launch."""
    found = []

    def compiled(path, name):
        return lambda grid, block, arguments, shared_mem: found.append((name, grid, block, arguments, shared_mem))

    monkeypatch.setattr(launch, "_gpu_kernel", compiled)
    return found


def array(cupy, *shape, dtype=np.float32, gpu=0):
    return cupy.ndarray(np.ones(shape, dtype), gpu)


def refuse(*_):
    raise AssertionError("this launch was to go by its plan")


def test_the_second_launch_goes_by_the_plan(cupy, launched, monkeypatch):
    kernel, (x, y) = Kernel(FILE, "scale_vectors"), [array(cupy, 8), array(cupy, 8)]
    flag = array(cupy, 1, dtype=bool)
    kernel[2, 3](x, y, 0.5, flag, 8, shared=4)
    monkeypatch.setattr(kernel, "checked", refuse)
    kernel[2, 3](x, y, 0.5, flag, 8, shared=4)
    kernel[(2,), 3](x, y, 0.5, flag, 9)
    kernel[2, 3](x, None, 2, flag, 8)
    first, second, third, fourth = launched
    assert first == second == ("scale_vectors<float>", (2, 1, 1), (3, 1, 1), (x, y, 0.5, flag, 8), 4)
    for arguments in (first[3], second[3], fourth[3]):
        assert type(arguments[2]) is np.float32 and type(arguments[4]) is np.int32
    assert third[3][4] == 9 and third[4] == 0
    assert fourth[3][1] == 0 and type(fourth[3][1]) is np.uint64  # a null pointer
    with pytest.raises(AssertionError, match="by its plan"):  # another T has a plan of its own
        kernel[2, 3](*(array(cupy, 8, dtype=np.float64) for _ in "xy"), 0.5, flag, 8)
    kernel[0, 3](x, y, 0.5, flag, 8)
    assert len(launched) == 4


def test_divisors_go_by_the_plan(cupy, launched, monkeypatch):
    kernel, x, n = Kernel(FILE, "divide"), array(cupy, 1), array(cupy, 4, dtype=np.int32)
    kernel[1, 4](x, n, n, n, 7, 4)
    monkeypatch.setattr(kernel, "checked", refuse)
    kernel[1, 4](x, n, n, n, 7, 4)
    first, second = (arguments[4] for _, _, _, arguments, _ in launched)
    assert type(first) is type(second) is np.void and first.item() == second.item() and first["number"] == 7


def outcome(kernel, arguments, **options):
    try:
        kernel[1, 4](*arguments, **options)
    except (TypeError, ValueError) as error:
        return type(error), str(error)


WRONG = {
    "an argument too few": lambda cupy, x: (x, x, 1.0, x),
    "an argument too many": lambda cupy, x: (x, x, 1.0, x, 4, 4),
    "an array on the processor": lambda cupy, x: (np.ones(4, np.float32), x, 1.0, None, 4),
    "another one": lambda cupy, x: (x, np.ones(4, np.float32), 1.0, None, 4),
    "a list": lambda cupy, x: (x, [1.0], 1.0, None, 4),
    "a mix of dtypes": lambda cupy, x: (x, array(cupy, 4, dtype=np.float64), 1.0, None, 4),
    "a dtype that T is not": lambda cupy, x: (array(cupy, 4, dtype=np.int32), None, 1.0, None, 4),
    "a dtype that a parameter has not": lambda cupy, x: (x, x, 1.0, x, 4),
    "gaps in what is written": lambda cupy, x: (x, cupy.ndarray(np.ones((4, 2), np.float32)[:, 0]), 1.0, None, 4),
    "an array as a number": lambda cupy, x: (x, x, x, None, 4),
    "a number with a fraction": lambda cupy, x: (x, x, 1.0, None, 4.0),
    "a string": lambda cupy, x: (x, x, 1.0, None, "4"),
    "a number too large": lambda cupy, x: (x, x, 1.0, None, 2**31),
    "no array at all": lambda cupy, x: (None, None, 1.0, None, 4),
    "an array on another GPU": lambda cupy, x: (x, array(cupy, 4, gpu=1), 1.0, None, 4),
    "all arrays on another GPU": lambda cupy, x: (array(cupy, 4, gpu=1), array(cupy, 4, gpu=1), 1.0, None, 4),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_as_without_a_plan(cupy, launched, wrong):
    kernel, x = Kernel(FILE, "scale_vectors"), array(cupy, 4)
    before = outcome(kernel, WRONG[wrong](cupy, x))
    assert before and "scale_vectors (kernels_of_types.cu)" in before[1]
    kernel[1, 4](x, x, 1.0, None, 4)
    assert kernel.plans
    assert outcome(kernel, WRONG[wrong](cupy, x)) == before
    assert len(launched) == 1


@pytest.mark.parametrize("given", [True, np.int64(1), np.int32(1)], ids=repr)
def test_numbers_that_look_like_an_int(cupy, launched, given):
    """They are the same key of a dict as 1, of which the plan keeps what it is handed on as."""
    kernel, x = Kernel(FILE, "scale_vectors"), array(cupy, 4)
    for number in (1, given):
        kernel[1, 4](x, x, 1.0, None, number)
    assert [type(arguments[4]) for *_, arguments, _ in launched] == [np.int32, np.int32]
    with raises(TypeError, "int size", "1.0"):
        kernel[1, 4](x, x, 1.0, None, 1.0)
    for sizes in ((1.0, 1), (1, 1.0), ((1, 1.0), 1)):
        with pytest.raises(TypeError):
            kernel[sizes](x, x, 1.0, None, 1)


def test_what_is_only_read_is_copied_where_it_has_gaps(cupy, launched):
    kernel, x = Kernel(FILE, "scale_vectors"), array(cupy, 4)
    gaps = cupy.ndarray(np.ones((4, 2), np.float32)[:, 0])
    for given in (x, gaps, gaps):
        kernel[1, 4](given, x, 1.0, None, 4)
    assert [arguments[0].flags.c_contiguous for *_, arguments, _ in launched] == [True] * 3
    assert launched[0][3][0] is x and launched[1][3][0].shape == (4,)


def test_arrays_reached_through_a_table_are_looked_at_each_time(cupy, launched):
    kernel = Kernel(FILE.with_name("kernels_right.cu"), "add_one_to_each")
    one, table = array(cupy, 1), array(cupy, 2, 2, dtype=np.uint64)
    for _ in range(2):
        kernel[1, 4](one, table, reaches=[one, one])
    for reached, error in (
        (array(cupy, 4, dtype=np.float64), TypeError),
        (np.ones(4, np.float32), TypeError),
        (cupy.ndarray(np.ones((4, 2), np.float32)[:, 0]), ValueError),
    ):
        with raises(error, "add_one_to_each", "reaches[1]"):
            kernel[1, 4](one, table, reaches=[one, reached])
    with raises(ValueError, "add_one_to_each", "several GPUs"):
        kernel[1, 4](one, table, reaches=[one, array(cupy, 4, gpu=1)])
    assert len(launched) == 2


def test_a_table_of_numbers_does_not_grow_for_ever():
    made = []
    table = Whole(lambda number: made.append(number) or -number)
    assert table[3] == table[3] == -3 and made == [3]
    for number in range(2 * Whole.MOST):
        assert table[number] == -number
    assert len(table) <= Whole.MOST


def test_numbers_of_every_kind(cupy, launched, monkeypatch, tmp_path):
    path = tmp_path / "kinds.cu"
    path.write_text("template <typename T> __global__ void f(T *y, bool b, double d, T t, unsigned u) {}\n")
    kernel, y = Kernel(path, "f"), array(cupy, 1)
    kernel[1, 1](y, True, 0.5, -0.0, 7)
    monkeypatch.setattr(kernel, "checked", refuse)
    for numbers in ((True, 0.5, -0.0, 7), (False, 1, 0.0, np.int64(8)), (np.True_, np.float32(2), 3, 9)):
        kernel[1, 1](y, *numbers)
    for *_, (_, b, d, t, u), _ in launched:
        assert [type(n) for n in (b, d, t, u)] == [np.bool_, np.float64, np.float32, np.uint32]
    assert [arguments[1:] for *_, arguments, _ in launched[1:]] == [(1, 0.5, 0, 7), (0, 1, 0, 8), (1, 2, 3, 9)]
    assert np.signbit(launched[1][3][3]) and not np.signbit(launched[2][3][3])
    for wrong, part in (((1.5, 0.5, 0.0, 7), "bool b"), ((True, "x", 0.0, 7), "double d"), ((True, 0.5, y, 7), "T t")):
        with raises((TypeError, ValueError), "f (kinds.cu)", part):
            kernel[1, 1](y, *wrong)

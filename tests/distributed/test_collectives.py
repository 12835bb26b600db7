"""Ops over ranks: their values, and that each one's backward is its transpose, <A x, g> = <x, A^T g> over all ranks."""

import json
from pathlib import Path

import mpi
import numpy as np
import ops_of_ranks
import pytest
import thread_ranks

import minicnn.functional as F
from minicnn import Tensor

PROGRAM = Path(ops_of_ranks.__file__)
REFUSED = [  # what all ranks are told where the last rank does not do what the others do
    "shape is (2, 24) on rank {}, (2, 12) on rank 0",
    "dtype is float32 on rank {}, float64 on rank 0",
    "dim is 0 on rank {}, 1 on rank 0",
    "op is all_reduce on rank {}, all_gather on rank 0",
    "requires_grad is False on rank {}, True on rank 0",
    "shape is (3,) on rank {}, (1,) on rank 0",
    "shape is (2, {wide}) on rank {}, (2, {narrow}) on rank 0",
]


@mpi.skip_without_mpi
@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)])
def test_over_mpi(size):
    for rank, out in enumerate(mpi.succeed(size, PROGRAM, timeout=150)):
        found = json.loads(out)
        wrong, difference, cases = found["errors"]
        assert wrong < 1e-12 and difference < 1e-12 and cases == 36
        check_refusals(found["refusals"], size)
        row = [r for r in range(size) for _ in range(2)]
        total = sum(range(size))
        assert found["layers"] == [[row] * 2, [[size * rank] * 2] * 2, [[total] * 2] * 2]
        assert found["float32"] == "float32" and found["counted"] == [size, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_backward_is_the_transpose(size, device, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    for wrong, difference, cases in thread_ranks.run(size, lambda world: ops_of_ranks.errors(world, device)):
        assert wrong < 1e-12 and difference < 1e-12 and cases == 36


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_that_do_not_call_it_alike_are_told(size):
    for refusals in thread_ranks.run(size, ops_of_ranks.refusals):
        check_refusals(refusals, size)


def check_refusals(refusals, size):
    for told, text in zip(refusals, REFUSED, strict=True):
        text = text.format(size - 1, wide=24 * size, narrow=12 * size)
        assert f" is not the same on all ranks: {text}; every rank must call the same ops in the same order" in told


def test_what_is_refused_on_one_rank_already():
    x = Tensor(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"reduce_scatter: axis 0 of \(3, 4\) cannot be dealt out to 2 ranks in equal"):
        thread_ranks.run(2, lambda world: F.reduce_scatter(x, 0))
    for op in (F.all_gather, F.reduce_scatter):
        with pytest.raises(ValueError, match=f"{op.__name__}: dim 2 is not an axis of shape .3, 4."):
            op(x, 2)
    for op in (F.all_gather, F.reduce_scatter, F.all_reduce):
        with pytest.raises(TypeError, match=f"{op.__name__}: input is a ndarray, not a Tensor"):
            op(np.ones((3, 4)))


def test_a_process_that_is_alone_gets_its_tensor_back():
    x = Tensor(np.ones((3, 4)), requires_grad=True)
    assert F.all_gather(x) is x and F.reduce_scatter(x, axis=0) is x and F.all_reduce(x) is x


def test_a_loss_that_all_ranks_work_out_alike_begins_with_its_share():
    """What the rule on all_gather's page says: without the share, gradients are those of n losses."""
    weight, size = np.random.default_rng(0).standard_normal((4, 6)), 2

    def gradient(world):
        rows = Tensor(weight[world.rank * 2 :][:2], requires_grad=True)
        loss = (F.all_gather(rows, 0) ** 2).sum()
        (loss / size).backward()
        return rows.grad.numpy()

    np.testing.assert_allclose(np.concatenate(thread_ranks.run(size, gradient)), 2 * weight, rtol=1e-14)

"""Batch norm over ranks: alone it is batch norm, bit for bit; together they do what one process does with all rows."""

import numpy as np
import pytest
import thread_ranks
from batch_norm_of_ranks import check_equals_one_process
from checks import check_close, check_gradients, raises
from hypothesis import given
from hypothesis import strategies as st
from strategies import batches

import minicnn.functional as F
from minicnn import Tensor
from minicnn.emulated import EmulatedArray
from minicnn.ops import sync_batchnorm
from minicnn.ops.sync_batchnorm import merged_statistics


def training(x, weight, bias, **options):
    """sync_batch_norm(x, weight, bias) in training, without running statistics."""
    return F.sync_batch_norm(x, None, None, weight, bias, training=True, **options)


# One rank


@given(case=batches(4, 30))
def test_gradients(place, case):
    check_gradients(place, training, case.arrays(), **case.options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shape", [(7, 3, 4, 5), (5, 2), (0, 3, 4, 4)])
def test_alone_it_is_batch_norm_to_the_bit(place, shape, train, dtype):
    rng, channels = np.random.default_rng(0), shape[1]
    x, grad = (rng.standard_normal(shape).astype(dtype) + 3 for _ in range(2))
    per_channel = [1 + rng.random(channels).astype(dtype) for _ in range(4)]  # running, weight and bias

    def results(function):
        mean, var = (place.tensor(each.copy()) for each in per_channel[:2])
        inputs = [place.tensor(each, requires_grad=True) for each in (x, *per_channel[2:])]
        y = function(inputs[0], mean, var, *inputs[1:], train, momentum=0.3, eps=0.01)
        y.backward(place.tensor(grad))
        return [each.numpy() for each in (y, mean, var, *(tensor.grad for tensor in inputs))]

    for ours, expected in zip(results(F.sync_batch_norm), results(F.batch_norm), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_one_value_is_an_error_as_in_batch_norm():
    with raises(ValueError, "sync_batch_norm", "3 channels", "one value in each channel", "larger batches"):
        training(Tensor(np.ones((1, 3, 1, 1))), None, None)
    with raises(ValueError, "sync_batch_norm", "running_mean", "(3,)", "(2,)"):
        F.sync_batch_norm(Tensor(np.ones((4, 3))), *[Tensor(np.ones(2))] * 2)


# Several, as threads


@pytest.mark.parametrize("rows", [(5, 3), (7, 1), (4, 0), (0, 1, 6)])
def test_ranks_do_what_one_process_does_with_all_rows(place, rows):
    thread_ranks.run(len(rows), lambda world: check_equals_one_process(world, place, rows))


def test_a_large_mean_costs_no_digits(place):
    """In E[x^2] - E[x]^2 the variance, 1, would be the difference of two numbers near 1e8, known to 1e-8."""
    thread_ranks.run(2, lambda world: check_equals_one_process(world, place, (5, 3), mean=1e4, tolerance=1e-10))


def test_parts_that_are_far_apart(place):
    """Each rank's own mean is 1e3 away from the other's; nearly all of the variance is between them."""
    thread_ranks.run(2, lambda world: check_equals_one_process(world, place, (5, 3), apart=1e3, tolerance=1e-11))


def test_what_goes_from_rank_to_rank(place):
    """A gather of three numbers a channel, a sum of two; in evaluation nothing."""

    def calls(world):
        x = place.tensor(np.ones((world.rank, 3, 4, 4)), requires_grad=True)  # no rows, and one
        running = [place.tensor(np.ones(3)) for _ in range(2)]
        for train in (True, False):
            y = F.sync_batch_norm(x, *running, training=train)
            y.backward(place.tensor(np.ones(y.shape)))
        return world.calls

    assert thread_ranks.run(2, calls) == [[("gather", (3, 3)), ("sum", (2, 3))]] * 2


def test_who_has_two_values_need_not_wait_for_the_gpu(place, monkeypatch):
    def waited(*_):
        raise AssertionError("the host waits for a value")

    monkeypatch.setattr(sync_batchnorm, "to_device", waited)
    for name in ("__bool__", "__float__", "__int__", "__index__", "item", "tolist"):
        monkeypatch.setattr(EmulatedArray, name, waited, raising=False)

    def work(world):
        x = place.tensor(np.random.default_rng(world.rank).standard_normal((2, 3)), requires_grad=True)
        running = [place.tensor(np.ones(3)) for _ in range(2)]
        F.sync_batch_norm(x, *running, training=True).backward(place.tensor(np.ones((2, 3))))

    thread_ranks.run(2, work)


@pytest.mark.parametrize("rows", [(1, 0), (0, 1), (0, 0, 1)])
def test_one_value_on_all_ranks_together_is_an_error_on_each(place, rows):
    def message(world):
        mean, var = place.tensor(np.ones(3)), place.tensor(np.ones(3))
        with pytest.raises(ValueError) as caught:
            F.sync_batch_norm(place.tensor(np.ones((rows[world.rank], 3))), mean, var, training=True)
        assert [*mean.numpy(), *var.numpy()] == [1] * 6
        assert caught.value.on_all_ranks
        return str(caught.value)

    (text,) = set(thread_ranks.run(len(rows), message))
    what = f"sync_batch_norm: the inputs of all ranks together ({len(rows)} ranks, 3 channels) have one value in each"
    assert text.startswith(what) and "larger batches" in text


def test_one_value_on_each_rank_is_enough(place):
    thread_ranks.run(3, lambda world: check_equals_one_process(world, place, (1, 1, 1), pixels=()))


def test_no_value_on_any_rank_changes_nothing(place):
    def work(world):
        mean, var = place.tensor(np.ones(3)), place.tensor(np.ones(3))
        x = place.tensor(np.ones((0, 3, 2, 2)), requires_grad=True)
        F.sync_batch_norm(x, mean, var, training=True).backward(place.tensor(np.ones((0, 3, 2, 2))))
        assert x.grad.shape == (0, 3, 2, 2)
        return [*mean.numpy(), *var.numpy()]

    assert thread_ranks.run(2, work) == [[1] * 6] * 2


def test_a_rank_without_rows_does_not_spoil_a_mean_whose_square_is_no_number(place):
    """Its distance from that mean counts 0 times, and 0 times infinity would be NaN."""

    def work(world):
        x = np.full((4 * world.rank, 2, 3, 3), 1e30, np.float32)  # no rows, and four
        return F.sync_batch_norm(place.tensor(x), None, None, training=True).numpy()

    assert np.isfinite(thread_ranks.run(2, work)[1]).all()


# Chan, Golub and LeVeque


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_statistics_of_sets_are_those_of_all_their_values(counts, seed):
    rng = np.random.default_rng(seed)
    sets = [rng.normal(rng.normal(0, 3, 2), 1 + rng.random(2), (count, 2)) for count in counts]
    means, variances = ([f(s) if len(s) else np.zeros(2) for s in sets] for f in (means_of, variances_of))
    repeated = np.repeat(np.array(counts, float)[:, None], 2, axis=1)
    mean, variance, total = merged_statistics(repeated, np.array(means), np.array(variances))
    values = np.concatenate(sets)
    assert total.tolist() == [len(values)] * 2
    check_close(mean, means_of(values) if len(values) else np.zeros(2), 1e-12)
    check_close(variance, variances_of(values) if len(values) else np.zeros(2), 1e-12)


def means_of(values):
    return values.mean(axis=0)


def variances_of(values):
    return values.var(axis=0)

"""Dropout: the random numbers themselves, the mask's statistics, and the same mask on the way back."""

import json

import numpy as np
import pytest
from checks import check_gradients, forward, gradient, raises, run
from hypothesis import given
from strategies import ANY_SHAPE, ONE_SHAPE, SEEDS, a_quarter, cases

import minicnn.functional as F
from minicnn import Tensor, manual_seed, random


def seeded(x, **options):
    """dropout that draws the same mask every time: finite differences need a function."""
    manual_seed(5)
    return F.dropout(x, **options)


@a_quarter
@given(case=cases(ONE_SHAPE))
def test_gradients(place, case):
    check_gradients(place, seeded, case.arrays(), p=0.4)


@a_quarter
@given(shape=ANY_SHAPE, seed=SEEDS)
def test_backward_uses_the_same_mask(place, shape, seed):
    manual_seed(seed)
    x = np.ones(shape)
    y, (grad,) = run(place, F.dropout, [x], p=0.3)
    ones = gradient(place, seeded, x, p=0.3)
    assert np.array_equal(grad == 0, y == 0)
    assert set(np.unique(ones)) <= {0.0, 1 / 0.7}


def test_mask_statistics(place):
    manual_seed(0)
    y = forward(place, F.dropout, np.ones((1000, 1000)), p=0.3)
    assert set(np.unique(y)) == {0.0, 1 / (1 - 0.3)}
    assert abs((y == 0).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / y.size)
    assert abs(y.mean() - 1) < 0.005
    neighbours = np.corrcoef((y == 0)[:, :-1].ravel(), (y == 0)[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.005


def test_repeats_under_manual_seed_and_differs_from_call_to_call(place):
    def three_masks(seed):
        manual_seed(seed)
        return [forward(place, F.dropout, np.ones(100), p=0.5) for _ in range(3)]

    first, again, other = three_masks(1), three_masks(1), three_masks(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_continues_from_a_state_that_went_through_json(place):
    manual_seed(3)
    forward(place, F.dropout, np.ones(8))
    state = json.loads(json.dumps(random.get_state()))
    dropped, weights = forward(place, F.dropout, np.ones(50)), random.init_generator().random(5)
    manual_seed(4)
    random.set_state(state)
    assert np.array_equal(forward(place, F.dropout, np.ones(50)), dropped)
    assert np.array_equal(random.init_generator().random(5), weights)


def dropped(place, x, grad, first, inplace=False):
    """(y, the gradient of x) of rows first, first + 1, ... of a batch."""
    leaf = place.tensor(x, requires_grad=True)
    with random.rows(first):
        y = F.dropout(leaf * 1, p=0.4, inplace=inplace)
    y.backward(place.tensor(grad))  # outside of the block: the op knows its rows
    return y.numpy(), leaf.grad.numpy()


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7, 5), (7, 3, 1, 3), (7,), (7, 4, 2)])
def test_parts_of_a_batch_are_dropped_as_the_whole(place, shape, dtype, inplace):
    manual_seed(3)
    x, grad = np.random.default_rng(0).standard_normal((2, *shape)).astype(dtype)
    whole = dropped(place, x, grad, 0)
    parts = []
    for start, stop in [(0, 3), (3, 3), (3, 7)]:  # the one in the middle has no rows
        random.set_dropout_calls(0)
        parts.append(dropped(place, x[start:stop], grad[start:stop], start, inplace))
        assert random.dropout_calls() == 1
    for value, *of_parts in zip(whole, *parts, strict=True):
        assert np.array_equal(np.concatenate(of_parts), value)


def test_rows_beyond_32_bits_have_numbers_of_their_own(place):
    manual_seed(3)
    first = 2**32 - 1  # the last
    y, grad = dropped(place, *np.ones((2, 6, 15)), first)
    number = np.arange(first * 15, (first + 6) * 15, dtype=np.uint64)
    words = random.philox_words(random.get_state()["dropout_key"], 0, number // 4)[np.arange(90), number % 4]
    kept = (words >> np.uint64(8)).reshape(6, 15) * 2.0**-24 >= 0.4
    assert np.array_equal(y > 0, kept) and np.array_equal(grad > 0, kept)


def test_a_single_number_is_no_row(place):
    manual_seed(3)
    y, _ = dropped(place, np.array(2.0), np.array(1.0), 5)
    random.set_dropout_calls(0)
    assert dropped(place, np.array(2.0), np.array(1.0), 0)[0] == y


@pytest.mark.parametrize("first, error", [(-1, ValueError), (2**32, ValueError), (1.0, TypeError), (True, TypeError)])
def test_a_row_is_a_whole_number(first, error):
    with raises(error, "rows", "first", first):
        random.rows(first)
    assert random.first_row() == 0


@pytest.mark.parametrize("calls, error", [(-1, ValueError), (2**64, ValueError), ("3", TypeError)])
def test_calls_are_a_whole_number(calls, error):
    before = random.dropout_calls()
    with raises(error, "set_dropout_calls", "calls", calls):
        random.set_dropout_calls(calls)
    assert random.dropout_calls() == before


def test_inplace_writes_into_the_input():
    x = Tensor(np.ones(50))
    assert F.dropout(x, 0.5, inplace=True) is x
    assert set(x.numpy()) == {0.0, 2.0}


def test_float32_stays_float32(place):
    y, (grad,) = run(place, seeded, [np.ones((4, 5), np.float32)], p=0.4)
    assert y.dtype == grad.dtype == np.float32


def test_extreme_probabilities(place):
    x = np.array([1.0, -2.0])
    assert np.array_equal(forward(place, F.dropout, x, p=0), x)
    assert not forward(place, F.dropout, x, p=1).any() and not gradient(place, F.dropout, x, p=1).any()


def test_evaluation_returns_the_input_itself():
    x = Tensor(np.ones(3))
    assert F.dropout(x, training=False) is x


@pytest.mark.parametrize("p", [-0.1, 1.5, np.nan])
def test_p_must_be_a_probability(p):
    with raises(ValueError, "dropout", "p", p):
        F.dropout(Tensor(np.ones(3)), p)


# Philox4x32 with 10 rounds, counters and keys as one number of 128 and of 64 bits: the known answers of Random123
@pytest.mark.parametrize(
    "counter, key, words",
    [
        (0, 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (2**128 - 1, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            0x03707344_13198A2E_85A308D3_243F6A88,
            0x299F31D0_A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, words):
    block, call = counter % 2**64, counter >> 64
    drawn = random.philox_words(key, call, np.array([block], np.uint64))
    assert [int(word) for word in drawn[0]] == list(words)


def test_uniform_numbers_are_the_upper_24_bits():
    words = random.philox_words(7, 3, np.arange(2, dtype=np.uint64)).reshape(-1)
    numbers = random.philox_uniform(7, 3, 0, 5)
    assert numbers.dtype == np.float32
    assert [int(x * 2**24) for x in numbers] == [int(word) >> 8 for word in words[:5]]

"""Blocks that switch something: per thread, nested, restored whatever happens, around functions and generators."""

import threading

import numpy as np
import pytest
from checks import leaf, raises

import minicnn
from minicnn import enable_grad, is_grad_enabled, no_grad, set_tier, tier
from minicnn.device import current_tier
from minicnn.precision import current_precision, precision, set_precision
from minicnn.random import first_row, rows

# (how a block is made, what it sets, what it sets it to, what there is without it)
SWITCHES = {
    "no_grad": (no_grad, is_grad_enabled, False, True),
    "tier": (lambda: tier("plain"), current_tier, "plain", "fast"),
    "precision": (lambda: precision("tf32"), current_precision, "tf32", "float32"),
    "rows": (lambda: rows(5), first_row, 5, 0),
}
# the block that sets it to what there is without any
BACK = {
    is_grad_enabled: enable_grad,
    current_tier: lambda: tier("fast"),
    current_precision: lambda: precision("float32"),
    first_row: lambda: rows(0),
}


@pytest.fixture(params=SWITCHES.values(), ids=SWITCHES)
def switch(request):
    return request.param


def test_one_block_entered_twice(switch):
    make, value, inside, outside = switch
    block = make()
    with block:
        with block:
            assert value() == inside
        assert value() == inside
    assert value() == outside


def test_an_exception_passes_and_the_value_is_restored(switch):
    make, value, _, outside = switch
    with pytest.raises(ZeroDivisionError), make():
        _ = 1 / 0
    assert value() == outside


def test_blocks_of_two_threads_that_overlap(switch):
    """A enters, B enters, A leaves, B leaves: neither sees the other's, and nothing is left behind."""
    make, value, inside, outside = switch
    a_in, b_in, a_out, seen = threading.Event(), threading.Event(), threading.Event(), []

    def first():
        with make():
            a_in.set()
            b_in.wait(10)
        a_out.set()

    def second():
        a_in.wait(10)
        seen.append(value())
        with make():
            b_in.set()
            a_out.wait(10)
            seen.append(value())
        seen.append(value())

    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [outside, inside, outside] and value() == outside


def test_around_a_function(switch):
    make, value, inside, outside = switch

    @make()
    def look(argument, *, other):
        """What it is for."""
        return argument, other, value()

    assert look(1, other=2) == (1, 2, inside) and value() == outside
    assert look.__name__ == "look" and look.__doc__ == "What it is for."


def test_around_a_generator_only_while_it_runs(switch):
    make, value, inside, outside = switch
    seen = []

    @make()
    def steps():
        try:
            got = yield value()
            seen.append((got, value()))
            yield value()
        except KeyError:
            seen.append(("thrown", value()))
            yield value()
        finally:
            seen.append(("closed", value()))
        return "end"

    running = steps()
    assert next(running) == inside and value() == outside
    assert running.send("sent") == inside and value() == outside
    assert running.throw(KeyError()) == inside and value() == outside
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "end"
    left = steps()
    next(left)
    left.close()
    assert seen == [("sent", inside), ("thrown", inside), ("closed", inside), ("closed", inside)]
    assert value() == outside and list(steps()) == [inside, inside]


def test_a_block_that_is_not_the_innermost_ends(switch):
    """The block in a generator ends when the generator does, wherever that is."""
    make, value, inside, outside = switch

    def steps():
        with make():
            yield value()

    first, second = steps(), steps()
    assert next(first) == next(second) == inside
    first.close()
    assert value() == inside
    second.close()
    assert value() == outside
    running = steps()
    next(running)
    with BACK[value]():
        assert value() == outside
        running.close()
        assert value() == outside
    assert value() == outside


def test_no_grad_in_a_generator_that_ends_within_enable_grad():
    def steps():
        with no_grad():
            yield

    running = steps()
    next(running)
    with enable_grad():
        running.close()
        assert is_grad_enabled()
    assert is_grad_enabled()


def test_a_block_is_left_in_its_own_thread(switch):
    make, value, inside, outside = switch
    block, told = make(), []

    def leave():
        with raises(RuntimeError, type(block).__name__, "thread"):
            block.__exit__(None, None, None)
        told.append(value())

    with block:
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        assert told == [outside] and value() == inside
    assert value() == outside


@pytest.mark.parametrize("mode, recorded", [(no_grad, False), (enable_grad, True)])
def test_gradients_are_switched_by_a_decorator_without_brackets(mode, recorded):
    @mode
    def look(argument):
        return argument, is_grad_enabled()

    with no_grad() if recorded else enable_grad():
        assert look(1) == (1, recorded) and look.__name__ == "look" and is_grad_enabled() != recorded
    with raises(TypeError, mode.__name__, "bool"):
        mode(False)


def test_what_cannot_be_decorated(switch):
    make, *_ = switch

    async def later():
        pass

    for wrong, part in ((int, "type"), (3, "int"), (later, "async")):
        with raises(TypeError, part):
            make()(wrong)


def test_nested_the_innermost_counts():
    x = leaf(1.0)
    with no_grad():
        with enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


@pytest.mark.parametrize(
    "block, choose, current, one, other",
    [(tier, set_tier, current_tier, "plain", "fast"), (precision, set_precision, current_precision, "tf32", "float32")],
)
def test_a_choice_is_for_the_process_and_a_block_for_its_thread(block, choose, current, one, other):
    try:
        with block(one):
            choose(other)
            with block(one):
                pass
            assert current() == other
        choose(one)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
        assert seen == [one] and current() == one
    finally:
        choose(other)


def test_an_unknown_tier_is_refused_when_it_is_named():
    for choose in (tier, set_tier):
        with raises(ValueError, "'slow'", "plain, fast"):
            choose("slow")


def test_the_gradients_of_a_decorated_generator_are_not_recorded():
    w = leaf(1.0, 2.0)

    @no_grad()
    def predictions():
        for factor in range(3):
            yield w * factor

    assert [y.requires_grad for y in predictions()] == [False] * 3
    assert np.array_equal((w * 2).numpy(), [2.0, 4.0])


def test_set_grad_enabled(torch):
    """As in PyTorch: it holds from the call on, and a block around it, or its own, puts back what was before."""

    def program(library):
        seen = []
        with library.set_grad_enabled(False):
            seen.append(library.is_grad_enabled())
            with library.set_grad_enabled(True):
                seen.append(library.is_grad_enabled())
            seen.append(library.is_grad_enabled())
        seen.append(library.is_grad_enabled())
        with library.enable_grad():
            library.set_grad_enabled(False)
            seen.append(library.is_grad_enabled())
        seen.append(library.is_grad_enabled())
        library.set_grad_enabled(False)
        seen.append(library.is_grad_enabled())
        with library.enable_grad():
            seen.append(library.is_grad_enabled())
        seen.append(library.is_grad_enabled())
        library.set_grad_enabled(True)
        ask = library.set_grad_enabled(False)(library.is_grad_enabled)
        seen += [library.is_grad_enabled(), ask(), library.is_grad_enabled()]
        return seen

    try:
        assert program(minicnn) == program(torch)
    finally:
        minicnn.set_grad_enabled(True)
    other = []
    minicnn.set_grad_enabled(False)
    thread = threading.Thread(target=lambda: other.append(minicnn.is_grad_enabled()))
    thread.start()
    thread.join()
    minicnn.set_grad_enabled(True)
    assert other == [True]

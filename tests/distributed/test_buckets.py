"""Gradients in buckets: which lie together, and when each is sent."""

import numpy as np
import pytest
from checks import raises

from minicnn import Tensor, nn
from minicnn.distributed.buckets import Buckets, in_buckets
from minicnn.distributed.ranks import World
from minicnn.distributed.shards import Shards
from minicnn.nn import Parameter


def parameters(*sizes, dtype=np.float64):
    return [Parameter(np.ones(size, dtype)) for size in sizes]


class Line:
    """Doubles what it sends, as another rank with the same numbers would, but no sooner than that is waited for."""

    def __init__(self):
        self.sent, self.waited = [], 0

    def send(self, array):
        self.sent.append(array.copy())
        line = self

        class Sending:
            def wait(self):
                line.waited += 1
                array[...] *= 2

        return Sending()


def step(buckets, *losses):
    """Each loss is a part."""
    buckets.begin()
    for number, loss in enumerate(losses, start=1):
        buckets.begin_part(last=number == len(losses))
        loss().backward()
        buckets.end_part()
    buckets.finish()


def sizes_of(groups):
    return [[parameter.data.size for parameter in group] for group in groups]


def test_the_last_parameters_come_first_and_buckets_have_at_least_their_size():
    found = in_buckets(parameters(1, 2, 3, 4), 5 * 8)
    assert sizes_of(found) == [[4, 3], [2, 1]]
    assert sizes_of(in_buckets(parameters(1, 2, 3, 4), 4 * 8)) == [[4], [3, 2], [1]]
    assert sizes_of(in_buckets(parameters(1, 2, 3, 4), 1)) == [[4], [3], [2], [1]]
    assert sizes_of(in_buckets(parameters(1, 2, 3, 4), 1000)) == [[4, 3, 2, 1]]
    assert in_buckets([], 1000) == []


def test_a_bucket_has_one_dtype():
    a, b = parameters(1, 2), parameters(3, 4, dtype=np.float32)
    assert sizes_of(in_buckets([*a, *b], 1000)) == [[4, 3], [2, 1]]
    assert sizes_of(in_buckets([a[0], b[0], a[1], b[1]], 1000)) == [[4], [2], [3], [1]]


def test_a_bucket_is_sent_when_its_last_gradient_is_complete():
    a, b, c, d = parameters(1, 2, 3, 4)
    line = Line()
    buckets = Buckets([a, b, c, d], line.send, 5 * 8)  # d and c, b and a
    sent = []
    for each in (a, b, c, d):
        each.register_post_accumulate_grad_hook(lambda each: sent.append((each.data.size, len(line.sent))))
    # d's gradient is complete with its second use, which is the last of all
    x = a.sum() + (b.sum() + (c.sum() + d.sum()) * d.sum())
    step(buckets, lambda: x)
    order = [size for size, _ in sent]
    both = max(order.index(4), order.index(3))
    assert [count for _, count in sent] == [0] * both + [1] * (3 - both) + [2]
    assert [array.size for array in line.sent] == [7, 3] and line.waited == 2


def test_buckets_are_sent_in_one_order_whatever_comes_first():
    """What ranks send is matched by its order alone."""
    a, b = parameters(1, 2)
    for loss in (lambda: a.sum() + b.sum(), lambda: b.sum() + a.sum()):  # b's gradient is there first, a's is
        line = Line()
        buckets = Buckets([a, b], line.send, 1)
        step(buckets, loss)
        assert [array.size for array in line.sent] == [2, 1]
        buckets.remove()
        a.grad = b.grad = None


def test_gradients_live_in_their_bucket():
    layer = nn.Linear(3, 2).to(np.float64)
    line = Line()
    buckets = Buckets(list(layer.parameters()), line.send)
    for number in (1, 2):
        step(buckets, lambda: layer(Tensor(np.ones((1, 3)))).sum())
        assert layer.weight.grad.data.base is buckets.buckets[0].array
        assert (layer.weight.grad.numpy() == 2).all() and (layer.bias.grad.numpy() == 2).all()  # summed
        assert len(line.sent) == line.waited == number
        layer.zero_grad()


def test_parts_are_sent_once_and_complete():
    (a,) = parameters(2)
    line = Line()
    buckets = Buckets([a], line.send)
    step(buckets, lambda: a.sum(), lambda: a.sum() * 10, lambda: a.sum() * 100)
    assert [array.tolist() for array in line.sent] == [[111, 111]]
    assert a.grad.tolist() == [222, 222] and a.grad.data.base is buckets.buckets[0].array


@pytest.mark.parametrize("size", [1, 1000])
def test_what_an_earlier_part_alone_has_used_is_sent_too(size):
    a, b, c = parameters(1, 2, 3)
    line = Line()
    buckets = Buckets([a, b, c], line.send, size)
    step(buckets, lambda: c.sum(), lambda: a.sum())  # b: in none
    assert np.concatenate(line.sent).tolist() == [1, 1, 1, 0, 0, 1]
    assert (a.grad.tolist(), b.grad, c.grad.tolist()) == ([2], None, [2, 2, 2])


def test_what_was_left_in_a_bucket_is_not_sent_again():
    a, b = parameters(1, 2)
    line = Line()
    buckets = Buckets([a, b], line.send)
    step(buckets, lambda: a.sum() + b.sum())
    a.grad = b.grad = None
    step(buckets, lambda: a.sum())
    assert line.sent[1].tolist() == [0, 0, 1] and b.grad is None


def test_backward_outside_of_steps_sends_nothing():
    (a,) = parameters(2)
    line = Line()
    buckets = Buckets([a], line.send)
    a.sum().backward()
    a.sum().backward()
    assert a.grad.tolist() == [2, 2] and not line.sent
    buckets.remove()
    a.grad = None
    a.sum().backward()
    assert a.grad.data.base is None and not a.grad_hooks


def test_backward_twice_in_a_part():
    a, b = parameters(1, 2)
    buckets = Buckets([a, b], Line().send, 1)
    with raises(RuntimeError, "backward() twice in one part", "call it once"):
        buckets.begin()
        buckets.begin_part(last=True)
        b.sum().backward()
        b.sum().backward()


def test_a_new_step_waits_for_what_an_error_has_left_on_its_way():
    (a,) = parameters(1)
    line = Line()
    buckets = Buckets([a], line.send)
    buckets.begin()
    buckets.begin_part(last=True)
    a.sum().backward()
    assert line.waited == 0  # here it ends
    a.grad = None
    step(buckets, lambda: a.sum())
    assert line.waited == 2 and a.grad.tolist() == [2]


def test_shards_leave_gradients_of_their_own_memory():
    """Nothing is written into later: each step's sums are new arrays."""
    (a,) = parameters(2)
    shards = Shards([a], World())
    found = []
    for factor in (1, 10):
        shards.begin()
        for _ in range(2):
            shards.begin_part(last=False)
            (a.sum() * factor).backward()
            shards.end_part()
        shards.finish()
        found.append(a.grad)
    assert [grad.tolist() for grad in found] == [[2, 2], [20, 20]]

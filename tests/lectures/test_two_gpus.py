"""13_two_gpus: two processes with half of AlexNet each do what one with all of it does."""

import os
import struct
from multiprocessing import Pipe
from threading import Thread

import numpy as np
import pytest
from lecture_runs import LECTURES, lecture_module, program

from minicnn import Tensor, models, nn, summary
from minicnn.errors import SettingError

halves = lecture_module("common.halves")


def test_two_processes_are_one(quick):
    result = quick("13_two_gpus")["result"]
    assert result["largest_difference_of_losses"] < 1e-10 and result["largest_difference_of_weights"] < 1e-10
    assert result["largest_difference_with_lrn_across"] > 1e-9  # so that the difference would show
    assert result["exchanges_a_step"] == 10 and len(set(result["curves"]["whole"])) == result["steps"]


def test_the_gradient_of_an_exchange_is_the_sum_of_both_uses():
    pipes, found = Pipe(), {}
    x, grads = np.arange(12.0).reshape(2, 1, 2, 3), np.random.default_rng(0).standard_normal((2, 1, 4, 3))

    def half(rank):
        mine = Tensor(x[rank], requires_grad=True)
        y = halves.Exchange.apply(mine, border=halves.Border(rank, pipes[rank]))
        y.backward(Tensor(grads[rank]))
        found[rank] = y.numpy(), mine.grad.numpy()

    threads = [Thread(target=half, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank, rows in enumerate((slice(0, 2), slice(2, 4))):
        np.testing.assert_array_equal(found[rank][0], np.concatenate(x, axis=1))
        np.testing.assert_array_equal(found[rank][1], (grads[0] + grads[1])[:, rows])


def test_what_crosses_is_half_of_what_the_layers_see(capsys):
    """The program's table of the network at 227 pixels."""
    inputs = []
    model = models.alexnet_2012(width=8)
    with nn.watch(model, lambda name, layer, x, y: inputs.append(x.size) if hasattr(layer, "weight") else None):
        summary(model, (3, 227, 227))
    assert list(program("13_two_gpus").BORDERS.values()) == [n // 2 for n in [*inputs[1:6], 4096, 4096, 1000]]


def test_the_other_half_has_ended(monkeypatch):
    two_gpus = program("13_two_gpus")
    monkeypatch.syspath_prepend(str(LECTURES))
    monkeypatch.setattr(two_gpus, "second_process", ended)
    with pytest.raises(SettingError, match="second half has ended"):
        two_gpus.in_two_processes(np.zeros((2, 3, 67, 67)), np.array([0, 1]), 4, 1)


def ended(pipe):
    """In place of the second half: it is done before it has begun."""
    pipe.close()


def test_the_second_process_is_quiet_when_the_first_ends_within_a_message():
    here, there = Pipe()
    os.write(here.fileno(), struct.pack("!i", 100) + b"the beginning")
    here.close()
    halves.second_process(there)
    assert there.closed

"""CUDA graphs: what is captured runs again, in its order, on what lies in memory then; the rest is refused by name."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from checks import Place, needs_compiler, raises

import minicnn.functional as F
from minicnn import Tensor, manual_seed, random
from minicnn.capture import CaptureError, recording, write
from minicnn.cudagraph import CudaGraph
from minicnn.device import full, to_device, to_host

pytestmark = [needs_compiler, pytest.mark.emulator]
ON_GPU = Place("cuda", "fast")


@pytest.fixture(autouse=True)
def on_gpu():
    with ON_GPU.active():
        yield


def on_device(*values):
    return Tensor(np.array(values, np.float32)).to("cuda")


def test_a_replay_computes_with_what_is_in_memory_then():
    x, graph = on_device(-1, 2, -3, 4), CudaGraph()
    with graph.capturing():
        y = F.relu(x)
        z = F.residual_add(y, x)
    for values in ([1, -2, 3, -4], [5, 5, -5, -5]):
        write(x.data, values)
        graph.replay()
        np.testing.assert_array_equal(y.numpy(), np.maximum(values, 0))
        np.testing.assert_array_equal(z.numpy(), np.maximum(values, 0) + np.array(values))


def test_nothing_runs_while_a_graph_is_captured():
    x, y, graph = on_device(1, 2), on_device(7, 7), CudaGraph()
    with graph.capturing():
        F.relu(x)
        y.data[...] = x.data
    assert recording() is None
    graph.replay()
    assert y.tolist() == [1, 2]


def test_each_replay_draws_the_numbers_of_its_own_call():
    """As if dropout were called so often, in a row."""
    x, graph = on_device(*range(1, 33)), CudaGraph()
    manual_seed(3)
    expected = [F.dropout(x, 0.5).numpy() for _ in range(4)]
    assert len({each.tobytes() for each in expected}) == 4
    manual_seed(3)
    F.dropout(x, 0.5)  # call 0 goes by itself
    with graph.capturing():
        y = F.dropout(x, 0.5)  # call 1
    for number in range(3):
        write(graph.calls, [number])
        graph.replay()
        np.testing.assert_array_equal(y.numpy(), expected[1 + number])
    assert random.dropout_calls() == 2  # the graph's owner moves it on


def test_functions_of_the_array_library_run_again():
    x, graph = on_device(1, 2, 3, 4), CudaGraph()

    def function():
        a = x.data
        stacked = np.stack([a, 2 * a]).sum(axis=1)
        filled = full(a, (2,), 5)
        filled[1:] = a[:1]
        halves = a.reshape(2, 2).T.copy()
        return stacked, filled, halves, a[np.array([2, 0])], a.astype(np.float64)

    with graph.capturing():
        results = function()
    for values in ([1, 2, 3, 4], [5, 6, 7, 8]):
        write(x.data, values)
        expected = function()
        graph.replay()
        for found, wanted in zip(results, expected, strict=True):
            np.testing.assert_array_equal(*to_host(found, wanted))


def test_a_backward_pass_is_captured_too():
    x, graph = on_device(1, -2, 3).requires_grad_(), CudaGraph()
    with graph.capturing():
        F.relu(x).sum().backward()
    write(x.data, [-1, 2, 3])
    graph.replay()
    assert x.grad.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("attempt", "part"),
    [
        (lambda x: x.sum().item(), "to 'cpu'"),
        (lambda x: float(x.data[0]), "the host looks at"),
        (lambda x: x.numpy(), "shape (2,) to 'cpu'"),
        (lambda x: to_device(np.zeros(3), "cuda"), "shape (3,) to 'cuda'"),
        (lambda x: CudaGraph().capturing().__enter__(), "(1,)"),
    ],
)
def test_what_cannot_be_captured_is_named(attempt, part):
    x, graph = on_device(1, 2), CudaGraph()
    with raises(CaptureError, part), graph.capturing():
        attempt(x)
    assert recording() is None
    assert F.relu(x).tolist() == [1, 2]  # what is asked for runs again
    with graph.capturing():  # and another attempt is free
        y = F.relu(x)
    graph.replay()
    assert y.tolist() == [1, 2]


def test_one_graph_at_a_time():
    first, second = CudaGraph(), CudaGraph()
    with first.capturing(), raises(CaptureError, "one at a time"), second.capturing():
        pass


def test_an_error_inside_leaves_nothing_behind():
    x, graph = on_device(1, 2), CudaGraph()
    with pytest.raises(ZeroDivisionError), graph.capturing():
        F.relu(x)
        raise ZeroDivisionError
    assert recording() is None
    with raises(CaptureError, "replay: nothing is captured"):
        graph.replay()
    with graph.capturing():
        y = F.relu(x)
    with pytest.raises(KeyboardInterrupt), graph.capturing():
        raise KeyboardInterrupt
    with raises(CaptureError, "nothing is captured"):
        graph.replay()  # not what was captured before
    assert y.shape == (2,)


def test_what_has_no_place_in_a_graph_is_refused():
    x, first, second = on_device(1, 2), CudaGraph(), CudaGraph()
    with raises(CaptureError, "renewing: nothing is captured"), first.renewing():
        pass
    with first.capturing():
        F.relu(x)
    with raises(CaptureError, "the replay of another one"), second.capturing():
        first.replay()
    with raises(CaptureError, "tier 'fast'"), Place("cuda", "plain").active(), first.capturing():
        pass


def test_what_is_written_goes_by_the_stream(monkeypatch):
    """Without a stream CuPy's copy would wait for what the GPU still has to do."""
    given, cupy = [], SimpleNamespace(cuda=SimpleNamespace(get_current_stream=lambda: "current"))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    array = SimpleNamespace(dtype=np.dtype("f"), shape=(2,), set=lambda values, stream: given.append((values, stream)))
    write(array, [1, 2])
    ((values, stream),) = given
    assert values.tolist() == [1, 2] and values.dtype == np.float32 and stream == "current"

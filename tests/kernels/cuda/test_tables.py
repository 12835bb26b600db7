"""Tables of an optimiser's arrays: made once, never stale, and numbers that are renewed where they lie."""

import numpy as np
import pytest
from checks import Place, needs_compiler

from minicnn.capture import CaptureError
from minicnn.cudagraph import CudaGraph
from minicnn.emulated import on_device
from minicnn.kernels.cuda import sgd, table
from minicnn.kernels.cuda.emulator.recording import recording, sectors

pytestmark = needs_compiler

PLAIN = (0.5, 0.0, 0.0, 0.0, False)  # lr, momentum, dampening, weight_decay, nesterov


@pytest.fixture(autouse=True)
def _emulated():
    with Place("cuda", "fast").active():
        yield


def ones(*shape, dtype=np.float32):
    return on_device(np.ones(shape, dtype))


def step(w, grad, settings=PLAIN):
    sgd.sgd_update([w], [grad], [None], [settings])


def test_a_steady_step_makes_no_table(monkeypatch):
    w, grad = ones(5), ones(5)
    step(w, grad)

    def made(*_):
        raise AssertionError("a table is made, or written")

    for name in ("Tables", "_write"):
        monkeypatch.setattr(table, name, made)
    step(w, grad)
    np.testing.assert_array_equal(np.asarray(w), np.zeros(5))


def test_what_a_table_says_of_other_arrays_is_written_anew():
    """Another gradient of the same weights; and what lies at the address of a larger one, or of another dtype."""
    with Place("cuda", "fast").active():
        memory, first, second = ones(12), ones(6), ones(6)
        step(memory[:6], first)
        second[...] = 3
        step(memory[:6], second)
        np.testing.assert_array_equal(np.asarray(memory), [-1] * 6 + [1] * 6)
        step(memory[:4], first[:4])
        np.testing.assert_array_equal(np.asarray(memory), [-1.5] * 4 + [-1] * 2 + [1] * 6)
        wide, gradient = memory[:4].view(np.float64), first[:4].view(np.float64)  # two numbers of 8 bytes
        wide[...], gradient[...] = 1, 1
        step(wide, gradient)
        np.testing.assert_array_equal(np.asarray(wide), [0.5] * 2)


def test_a_graph_reads_the_numbers_that_were_written_before_its_replay():
    w, grad, other, graph = ones(5), ones(5), ones(5), CudaGraph()
    with graph.capturing():
        step(w, grad)  # lr 0.5
    graph.replay()
    np.testing.assert_array_equal(np.asarray(w), [0.5] * 5)
    other[...] = 3
    step(w, other)  # at once, as for a batch that no graph is of
    with graph.renewing():
        step(w, grad, (0.25, *PLAIN[1:]))  # nothing runs, as the graph will do that
    np.testing.assert_array_equal(np.asarray(w), [-1] * 5)
    graph.replay()
    np.testing.assert_array_equal(np.asarray(w), [-1.25] * 5)


def test_numbers_of_arrays_that_the_graph_does_not_have_are_an_error():
    w, graph = ones(5), CudaGraph()
    with graph.capturing():
        step(w, ones(5))
    with pytest.raises(CaptureError, match=r"sgd_update .*other arrays.* capture the function anew"), graph.renewing():
        step(ones(5), ones(5))


def test_arrays_that_were_refused_are_refused_again():
    w, wide = ones(5), ones(5, dtype=np.float64)
    for _ in range(2):
        with pytest.raises(TypeError, match="float64"):
            sgd.sgd_update([w, wide], [w, wide], [None, None], [PLAIN, PLAIN])
    np.testing.assert_array_equal(np.asarray(w), np.ones(5))


def test_few_tables_are_kept():
    arrays = [ones(3) for _ in range(2 * table.MOST_TABLES)]
    for w in arrays:
        step(w, arrays[0])
    assert len(table._kept) == table.MOST_TABLES


@pytest.mark.parametrize("offset, at_once", [(0, 16), (1, 4)])
def test_a_block_takes_a_chunk_by_vectors_where_it_can(offset, at_once):
    count = table.CHUNK + 36
    w, grad = (ones(offset + count)[offset:] for _ in range(2))
    with recording() as launches:
        sgd.sgd_update([w, ones(3)], [grad, ones(3)], [None, None], [PLAIN, PLAIN])
    (launch,) = launches
    assert launch.grid == (3, 1, 1)
    for rows in (launch.reads("reaches[0]"), launch.reads("reaches[1]"), launch.writes("reaches[0]")):
        assert set(rows["bytes"]) == {at_once} and rows["bytes"].sum() == 4 * count
        assert at_once == 4 or sectors(rows) == -(-count // 8)

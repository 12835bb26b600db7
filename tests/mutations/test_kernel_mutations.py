"""Would a mistake in a CUDA kernel be noticed? kernel_mutations.txt names some, each with the check that must do so.

== linear.cu
a barrier under a guard: linear returned        the check below, and a word of the emulator's report, if it is one
-     __syncthreads();                          what stands there, exactly once
+     if (column < columns) __syncthreads();    what takes its place

Of several words one must be in the report: what lies beyond an array's end may belong to another array, whose results
are being written (bounds, or race).
"""

import types

import numpy as np
import pytest
import test_channels_last
import test_cuda_batchnorm
import test_elementwise
import test_hopper
import test_hopper_conv
import test_kernel_sizes
import test_ladder
import test_precision
import test_summation
import test_tables
import test_tensor_conv
import test_tensor_cores
import test_updates
import test_winograd
from checks import Place, check_close, needs_compiler
from mutations import read
from test_updates import UPDATES, check_update
from wrong_versions import in_force

from minicnn.kernels.cuda import activation, conv, matmul, split, tensor_cores
from minicnn.kernels.cuda.source import KernelError
from minicnn.ops.conv import conv2d_forward

pytestmark = needs_compiler

MUTATIONS = read("kernel_mutations.txt")
FAST_GPU = Place("cuda", "fast")
TRIED = {  # in every run; each compiles for seconds, so the others are for `pytest -m slow`
    "a number beyond the edge",
    "another power of a point",
    "tiles too near to each other",
    "an arrival without its fence",
    "phases in the wrong order",
    "a phase without its padding",
    "the buffer that is being read is written",
    "results in the wrong vectors of a row",
    "a descriptor with the wrong stride",
    "results that TMA does not see",
    "the phase before is waited for",
    "sums that nobody waits for",
    "a split left out",
    "copies that nobody waits for",
    "a missing barrier in the pipeline",
    "groups that are not closed at the end",
    "vectors that change places with the wrong row",
    "a matrix that is not transposed",
    "splits that nobody waits for",
    "the phases' first tap forgotten",
    "a window beyond the last k",
    "results before all are there",
}


LISTED = [pytest.param(m, marks=[] if m.name in TRIED else [pytest.mark.slow]) for m in MUTATIONS]
CHECKS = sorted({mutation.check.split()[0] for mutation in MUTATIONS})


@pytest.mark.parametrize("mutation", LISTED, ids=lambda mutation: mutation.name)
def test_is_noticed(tmp_path, mutation):
    check, *reports = mutation.check.split()
    with in_force(mutation, tmp_path), pytest.raises((KernelError, AssertionError)) as caught:
        run_check(check)
    assert "does not compile" not in str(caught.value)
    if reports:
        assert caught.type is KernelError and any(report in str(caught.value) for report in reports), caught.value


@pytest.mark.slow  # every run has most of them already, as tests
@pytest.mark.parametrize("check", CHECKS)
def test_the_check_itself_runs(check):
    run_check(check)


def test_a_check_may_have_the_name_of_a_module_that_is_imported_here(monkeypatch):
    seen = []
    monkeypatch.setattr(test_kernel_sizes, "test_equals_the_reference", lambda *case: seen.append(case))
    run_check("activation")
    assert seen
    with pytest.raises(AssertionError, match="no check nonsense"):
        run_check("nonsense")


def run_check(name):
    """A function below, or the comparisons of an op's or an optimiser's kernels with its page."""
    if name in UPDATES:
        return check_update(name, FAST_GPU)
    if isinstance(globals().get(name), types.FunctionType):  # not a module that is imported above
        return globals()[name]()
    cases = [case for case in test_kernel_sizes.CASES if case[0].__module__.endswith(f".{name}")]
    assert cases, f"there is no check {name}"
    for reference, *arguments in cases:
        test_kernel_sizes.test_equals_the_reference(reference, arguments)


def sgd_loss(stem="sgd"):
    with FAST_GPU.active():
        test_updates.test_a_loss_that_is_not_finite_changes_nothing(stem, FAST_GPU)


def adam_loss():
    sgd_loss("adam")


def products():
    a, b = (np.random.default_rng(0).standard_normal(shape) for shape in ((70, 40), (40, 68)))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(matmul, "SHORTEST", 8)
        for kernel in matmul.LADDER:
            c = matmul.multiply(*map(test_kernel_sizes.there, (a, b)), kernel=kernel)
            np.testing.assert_allclose(np.asarray(c), a @ b, rtol=1e-11, atol=1e-11)


def implicit():
    _, *arguments = next(case for case in test_kernel_sizes.CASES if case[0].__name__ == "conv2d_forward")
    y = conv.conv2d_by_implicit_im2col(*map(test_kernel_sizes.there, arguments))
    check_close(np.asarray(y), conv2d_forward(*arguments), 1e-11)


def convolution_passes():
    for case in test_ladder.CONVOLUTIONS.values():
        if case[0][1] < 100 > case[1][0]:
            test_ladder.check_passes(*case)


def winograd_passes():
    with FAST_GPU.active():
        for name in ("rows of 16 bytes", "tiles beyond the edges"):
            test_winograd.check_passes(test_winograd.CASES[name])


def parts_of_sums():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
        test_ladder.test_parts_of_a_sum_are_added_up_by_the_last_to_arrive(monkeypatch, 3 * split.FAN + 5)


def tensor_products():
    a, b = (np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in ((40, 150), (150, 70)))
    for name in ("tf32", "bfloat16"):
        c = tensor_cores.multiply(*map(test_kernel_sizes.there, (a, b)), None, name)
        test_tensor_cores.check_within(c, a.astype(float) @ b, np.abs(a).astype(float) @ np.abs(b), name)


def tensor_convolutions():
    test_tensor_cores.test_nan_stays_in_the_windows_that_see_it("float16", 3)
    x, weight, geometry = (2, 9, 11, 7), (20, 9, 3, 2), ((2, 2), ((1, 0), (1, 1)), (1, 1), 1)
    for name in ("tf32", "float16"):
        test_tensor_cores.check_convolution(
            name, test_tensor_cores.normal(*x), test_tensor_cores.normal(*weight), None, *geometry
        )

    geometry = (1, 1), ((0, 0), (0, 0)), (1, 1), 2
    test_tensor_cores.check_convolution(
        "tf32", test_tensor_cores.normal(1, 6, 4, 3), test_tensor_cores.normal(4, 3, 1, 1), None, *geometry
    )


def bfloat16_convolutions():
    geometry, normal = ((2, 1), ((1, 0), (1, 2)), (1, 1), 2), test_tensor_conv.normal
    test_tensor_conv.check_convolution(normal(2, 18, 9, 7), normal(20, 9, 3, 2), normal(20), *geometry)
    test_tensor_conv.test_nan_stays_in_the_windows_that_see_it(3)


def bfloat16_strides():
    geometry, normal = ((3, 2), ((2, 1), (1, 0)), (2, 1), 1), test_tensor_conv.normal
    test_tensor_conv.check_convolution(normal(1, 8, 9, 8), normal(8, 8, 3, 3), None, *geometry)


def bfloat16_residuals():
    with FAST_GPU.active():
        test_precision.test_every_op_rounds_once(FAST_GPU, "conv2d_relu")


def bfloat16_parts():
    with pytest.MonkeyPatch.context() as monkeypatch:
        test_tensor_conv.test_splits(monkeypatch)


def bank_conflicts():
    for filters in (128, 64):
        with pytest.MonkeyPatch.context() as monkeypatch:
            test_tensor_conv.test_shared_memory_without_conflicts(
                monkeypatch.setenv("MINICNN_EMULATE_GPU", "1"), filters
            )


def tensor_parts():
    with pytest.MonkeyPatch.context() as monkeypatch:
        test_tensor_cores.test_sums_in_parts("tf32", monkeypatch)


def hopper_products():
    """Of more tiles than stages, and of columns and rows beyond the first 64."""
    for b_is_transposed in (True, False):
        test_hopper.test_a_product_longer_than_its_stages(b_is_transposed)


def hopper_convolutions():
    test_hopper_conv.test_convolutions_of_several_pieces(2, (2, 1))


def hopper_parts():
    with pytest.MonkeyPatch.context() as monkeypatch:
        test_hopper.test_sums_in_parts(monkeypatch)


def nan_through_relu():
    x = np.array([np.nan, 1.0])
    check_close(np.asarray(activation.relu_forward(test_kernel_sizes.there(x), None)), x, 0)


def nan_through_batch_norm_relu():
    test_cuda_batchnorm.test_nan_stays_and_an_infinite_pixel_has_a_finite_gradient(np.float32)


def tables():
    test_tables.test_what_a_table_says_of_other_arrays_is_written_anew()


def renewed():
    with FAST_GPU.active():
        test_tables.test_a_graph_reads_the_numbers_that_were_written_before_its_replay()


def sums():
    test_summation.sums(FAST_GPU)


def infinite_sums():
    test_summation.infinite_sums(FAST_GPU)


def elementwise():
    test_elementwise.test_any_size_and_any_address(np.float32)


def channels_last():
    test_channels_last.test_equals_the_page(np.float32, test_channels_last.LAST, 16)
    test_channels_last.test_the_winners_get_the_gradient(np.float32, 16, test_channels_last.FAR)


def lrn_without_k():
    test_channels_last.test_a_picture_without_k_has_no_neighbours_beyond_its_ends()


def any_grid():
    test_kernel_sizes.test_any_grid_is_right_for_a_grid_stride_loop(3, 7)

"""minicnn check: what it says of this machine, and that it notices what is wrong."""

import pytest
from checks import needs_compiler

from minicnn import __version__, optim
from minicnn.commands import main
from minicnn.device import DeviceError, check_available
from minicnn.ops import linear

GRADIENTS = "right: conv2d, batch_norm, relu, max_pool2d, linear, cross_entropy"


def test_everything_is_right_here(capsys):
    assert main(["check"]) == 0
    first, *others, last = capsys.readouterr().out.splitlines()
    lines = dict(line.split(maxsplit=1) for line in others)
    assert first.split() == ["minicnn", __version__] and last == "minicnn works here."
    assert {"python", "numpy", "numba", "GPU", "cache"} <= lines.keys()
    assert lines["gradients"] == f"{GRADIENTS} (device cpu, tier fast)" and lines["training"].startswith("loss 0.")


ON_CUDA = [pytest.mark.slow, pytest.mark.emulator, needs_compiler]  # its kernels are compiled for the processor


@pytest.mark.parametrize("words", ["--tier plain", pytest.param("--device cuda", marks=ON_CUDA)])
def test_the_other_tier_and_an_emulated_gpu(words, capsys, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    assert main(["check", *words.split()]) == 0
    out = capsys.readouterr().out
    assert GRADIENTS in out and "gpu emulated" in out and out.endswith("minicnn works here.\n")


def test_a_gpu_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "0")
    try:
        check_available("cuda")
    except DeviceError as error:
        reason = str(error)
    else:
        pytest.skip("there is a GPU here")
    assert main(["check", "--device", "cuda"]) == 2
    out, err = capsys.readouterr()
    assert f"none: {reason}" in out and err == f"error: {reason}\n"


def test_a_wrong_gradient_and_a_step_that_does_not_learn(capsys, monkeypatch):
    with monkeypatch.context() as patch:
        real = linear.Linear.backward

        def backward(self, grad_out):
            return tuple(None if grad is None else 1.01 * grad for grad in real(self, grad_out))

        patch.setattr(linear.Linear, "backward", backward)
        assert main(["check"]) == 1
        out = capsys.readouterr().out
        assert "WRONG: linear: gradcheck: input 0" in out and "WRONG: conv2d" not in out
        assert out.endswith("please report all of the above.\n")
    monkeypatch.setattr(optim.SGD, "step", lambda self: None)
    assert main(["check"]) == 1
    assert GRADIENTS in capsys.readouterr().out

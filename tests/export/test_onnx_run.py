"""A trained network as an ONNX file: onnxruntime puts each validation picture into the class that minicnn does."""

import os
import subprocess
import sys

import numpy as np
import pytest
from programs import PROGRAM

import minicnn
from minicnn import Tensor, export, no_grad
from minicnn.commands.networks import choose
from minicnn.data import DataLoader, ImageFolder, draw_sample

pytest.importorskip("onnx", reason="onnx, which writes the files, is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle of these tests, is not installed")


def compare(run, pictures, path):
    """(labels, minicnn's guesses, onnxruntime's of the network, and of the fused network): each (N,). The scores of all
    agree to 1e-5 of the largest."""
    network = choose("", str(run / "checkpoint_best.npz"))
    data = ImageFolder(pictures / "val")
    assert data.classes == network.classes
    batches = list(DataLoader(data, 100, transform=network.transform).epoch(0))
    labels = np.concatenate([batch.labels for batch in batches])
    images = [network.classifier.normalize(batch.images) for batch in batches]
    with no_grad():
        expected = np.concatenate([network.model(Tensor(batch)).numpy() for batch in images])
    guesses = [labels, expected.argmax(1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    for model in (network.model, minicnn.fuse(network.model)):
        export.onnx(model, path, images[0].shape[1:])
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        scores = np.concatenate([session.run(None, {"input": batch})[0] for batch in images])
        assert np.abs(scores - expected).max() <= 1e-5 * np.abs(expected).max()
        guesses.append(scores.argmax(1))
    return guesses


def test_of_a_small_run(trained, pictures, tmp_path):
    labels, ours, *theirs = compare(trained, pictures, tmp_path / "model.onnx")
    assert len(labels) == 6 and all((guesses == ours).all() for guesses in theirs)


@pytest.mark.slow
def test_of_the_sample_run(tmp_path):
    """The README's command; 500 of 500."""
    run = tmp_path / "run"
    command = [sys.executable, PROGRAM, "--output-dir", run]
    subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, check=True, timeout=1800)
    labels, ours, *theirs = compare(run, draw_sample(), tmp_path / "model.onnx")
    assert len(labels) == 500 and (ours == labels).mean() > 0.9  # no constant
    assert [int((guesses == ours).sum()) for guesses in theirs] == [500, 500]

"""The examples on two ranks: weights that one downloads, features, tests of weights, --sync-bn, the files of a run."""

import json
import re

import mpi
import numpy as np
import pytest
from paths import EXAMPLES, ROOT
from programs import arguments, load_example, run

from minicnn import models
from minicnn.commands import evaluate
from minicnn.runlog import read_log
from minicnn.train import load_checkpoint

pytestmark = mpi.skip_without_mpi

CIFAR = EXAMPLES / "resnet_cifar10.py"
SMALL = "--image-size 8 --shorter-side 8 -j 0 -p 100 -b 8 --preprocess channel_mean"

FIRST = """
import sys, time
from pathlib import Path
from minicnn.distributed import world
from minicnn.distributed.first import rank_0_first

def fetch(path):
    if path.exists():
        return "found"
    time.sleep(0.2)
    path.touch()
    return "downloaded"

def fail():
    raise OSError("no connection")

print(rank_0_first(fetch, Path(sys.argv[1])))
try:
    rank_0_first(fail)
except OSError as error:
    print(error)
"""


def program(path, *words, size=2):
    """What rank 0 prints; the others print nothing."""
    out = mpi.succeed(size, path, *arguments(words), timeout=120)
    assert out[1:] == [""] * (size - 1)
    return out[0]


def last(folder):
    return load_checkpoint(folder / "checkpoint_last.npz")


def save_weights(path):
    """Of a network for the three classes of `folder`."""
    np.savez(path, **{key: np.asarray(value) for key, value in models.create("resnet20", 3, {}).state_dict().items()})


def test_one_rank_downloads_and_the_others_find(tmp_path):
    assert mpi.succeed(2, FIRST, tmp_path / "file", timeout=30) == [
        "downloaded\nno connection\n", "found\nno connection\n",
    ]  # fmt: skip


def test_the_loop_of_the_documents_ends_alike_on_two_ranks(tmp_path, monkeypatch):
    """Which on one process is test_docs.py's to run."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```\n", page, re.S)
    loop, printed = ("".join(parts) for parts in zip(*blocks, strict=True))
    monkeypatch.chdir(tmp_path)  # it saves the network
    assert printed.count("epoch") == 3 and "right" in printed
    assert mpi.succeed(2, loop, timeout=60) == [printed, ""]


@pytest.mark.slow
def test_weights_are_tested_as_by_one_process(folder, tmp_path, capsys):
    save_weights(tmp_path / "weights.npz")
    words = folder, f"resnet20:{tmp_path / 'weights.npz'}", "-b 2 -j 0"
    evaluate.main(arguments(words))
    said = capsys.readouterr().out.splitlines()[-1]
    assert "6 pictures" in said and program(EXAMPLES / "evaluate_weights.py", *words).splitlines()[-1] == said
    ended = mpi.run(2, EXAMPLES / "evaluate_weights.py", folder, timeout=60)
    assert ended.code == 2 and "".join(ended.err).count("usage:") == 1


@pytest.mark.slow
def test_pictures_are_named_once(folder, tmp_path):
    save_weights(tmp_path / "weights.npz")
    picture = folder / "val" / "dark" / "0.JPEG"
    said = program(EXAMPLES / "classify.py", picture, "--arch resnet20 --weights", tmp_path / "weights.npz")
    assert said.count(str(picture)) == 1 and said.count("%") == 3


@pytest.mark.slow
def test_transfer_compares_its_runs(folder, tmp_path):
    """On features each rank has worked out half of; every run's files are written once."""
    assert run(folder, SMALL, "--epochs 1 --output-dir", tmp_path / "weights", program=load_example(CIFAR)) == 0
    weights = tmp_path / "weights" / "checkpoint_last.npz"
    words = f"{SMALL} -b 5 --epochs 2 --arch resnet20 --probes --weights {weights} --output-dir"
    transfer = load_example(EXAMPLES / "transfer_flowers102.py")
    transfer.transfer(arguments([folder, words, tmp_path / "one"]))
    said = program(EXAMPLES / "transfer_flowers102.py", folder, words, tmp_path / "two")
    assert said.count("The lectures' advice") == 1 and said.count("the curves are in") == 1
    names = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*")}
    assert names == {path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*")}
    for name in ("option1", "probe-layer2"):  # a linear classifier, whatever batch norm sees in training
        one, two = (last(tmp_path / runs / name)["model"] for runs in ("one", "two"))
        for key, value in one.items():
            np.testing.assert_allclose(two[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.slow
def test_batch_norm_of_all_ranks_trains_as_one_process(folder, tmp_path):
    """Two batches, and a third that one rank has a single picture of; a checkpoint goes on with one process."""
    words = f"{SMALL} -b 6 --epochs 1 --lr 0.01 --lr-for-batch 12 --warmup 1 --output-dir"
    assert run(folder, words, tmp_path / "one", program=load_example(CIFAR)) == 0
    said = program(CIFAR, folder, "--sync-bn", words, tmp_path / "two")
    assert "--lr 0.01 for batches of 12 is 0.005 for 6; lr grows from 0.0005 to 0.005 in 1 epoch" in said
    program(CIFAR, folder, words, tmp_path / "local")
    losses = {name: float(read_log(tmp_path / name / "log.csv")[0]["train_loss"]) for name in ("one", "two", "local")}
    assert losses["two"] == pytest.approx(losses["one"], rel=1e-4)
    assert losses["local"] != pytest.approx(losses["one"], rel=1e-3)
    one, two = last(tmp_path / "one"), last(tmp_path / "two")
    assert one["model"].keys() == two["model"].keys() and two["settings"]["sync_bn"] is True
    assert (one["warmup"], one["position"]) == (two["warmup"], two["position"])
    resume = "--epochs 2 --resume", tmp_path / "two" / "checkpoint_last.npz"
    assert run(*resume, program=load_example(CIFAR)) == 0
    assert json.loads((tmp_path / "two" / "summary.json").read_text())["epochs"] == 2
    ended = mpi.run(3, CIFAR, *arguments([folder, words, tmp_path / "no", "-b 3 --image-size 4 --shorter-side 4"]))
    assert ended.code == 2 and "--sync-bn" in ended.err[0] and ended.err[1:] == ["", ""]
    assert not (tmp_path / "no").exists()

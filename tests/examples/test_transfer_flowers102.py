"""examples/transfer_flowers102.py: both options and what they are compared with, the advice, weights of every kind."""

from argparse import Namespace

import numpy as np
import pytest
from paths import EXAMPLES
from programs import arguments, load_example

from minicnn import manual_seed, models
from minicnn.data.published import PublishedSet
from minicnn.runlog import read_log
from minicnn.train import Trainer, exit_code, load_checkpoint

example = load_example(EXAMPLES / "transfer_flowers102.py")
cifar = load_example(EXAMPLES / "resnet_cifar10.py")
SMALL = "--arch resnet20 --image-size 8 --shorter-side 8 -b 4 -j 0 -p 100 --epochs 3"


def transfer(*words):
    return exit_code(example.transfer, arguments(words))


@pytest.fixture(scope="module")
def weights(folder, tmp_path_factory):
    """A checkpoint of examples/resnet_cifar10.py, trained on three classes."""
    out = tmp_path_factory.mktemp("weights") / "run"
    words = "--image-size 8 --shorter-side 8 -b 4 -j 0 -p 100 --epochs 5 --lr 0.01 --seed 7 --output-dir"
    assert exit_code(cifar.main, arguments([folder, words, out])) == 0
    return out / "checkpoint_last.npz"


@pytest.fixture(scope="module")
def compared(folder, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("transfer") / "out"
    words = "--classes dark light --scratch --probes"
    assert transfer(folder, SMALL, words, "--weights", weights, "--output-dir", out) == 0
    return out


def state(folder):
    return load_checkpoint(folder / "checkpoint_last.npz")["model"]


def test_everything_is_run_and_drawn(compared):
    names = {"option1", "option2", "scratch", "probe-layer1", "probe-layer2", "probe-layer3"}
    assert {path.name for path in compared.iterdir()} == names | {"comparison.png"}
    for name in names:
        assert len(read_log(compared / name / "log.csv")) == 3
        assert load_checkpoint(compared / name / "checkpoint_last.npz")["classes"] == ["dark", "light"]


def test_option_1_leaves_the_weights_bit_for_bit(compared, weights):
    before, after = load_checkpoint(weights)["model"], state(compared / "option1")
    assert before.keys() == after.keys() and after["fc.weight"].shape == (2, 64)
    assert all(after[key].tobytes() == before[key].tobytes() for key in before if not key.startswith("fc."))


def test_option_2_moves_everything_or_by_its_factor_nothing(compared, folder, weights, tmp_path):
    words = "--classes dark light --option 2 --factor 0"
    assert transfer(folder, SMALL, words, "--weights", weights, "--output-dir", tmp_path / "out") == 0
    before, moved, still = load_checkpoint(weights)["model"], state(compared / "option2"), state(tmp_path / "out")
    convs = [key for key in before if "conv" in key]
    assert all((moved[key] != before[key]).any() and (still[key] == before[key]).all() for key in convs)


def test_option_2_frozen_up_to_a_stage(folder, weights, tmp_path):
    words = "--option 2 --freeze-to layer2 --output-dir"
    assert transfer(folder, SMALL, "--weights", weights, words, tmp_path / "out") == 0
    before, after = load_checkpoint(weights)["model"], state(tmp_path / "out")
    same = {key.partition(".")[0] for key in before if after[key].tobytes() == before[key].tobytes()}
    assert same == {"conv1", "bn1", "layer1", "layer2"}


def test_scratch_knows_nothing_of_the_weights(compared, weights):
    before, after = load_checkpoint(weights)["model"], state(compared / "scratch")
    assert np.corrcoef(before["conv1.weight"].ravel(), after["conv1.weight"].ravel())[0, 1] < 0.5


def test_cached_features_lead_where_pictures_do(folder, weights, tmp_path):
    """Without augmentation, the head learns the same from features as it does from pictures."""
    for name, words in (("cached", ""), ("pictures", "--augment-features --no-augment")):
        out = tmp_path / name
        assert transfer(folder, SMALL, words, "--option 1 --weights", weights, "--output-dir", out) == 0
    for key, value in state(tmp_path / "cached").items():
        np.testing.assert_allclose(state(tmp_path / "pictures")[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["option1", "option2", "probe-layer2"])
def test_a_run_is_tested_and_goes_on_without_the_weights(compared, weights, name, capsys, tmp_path):
    """On pictures, although option 1 and the probes were trained on features."""
    last = read_log(compared / name / "log.csv")[-1]
    assert transfer("-e --resume", compared / name / "checkpoint_last.npz", "--output-dir", tmp_path / "test") == 0
    assert f"top-1 {float(last['val_top1']):.1f} %" in capsys.readouterr().out
    hidden = weights.rename(weights.with_suffix(".hidden"))
    try:
        words = "--epochs 4 --output-dir"
        assert transfer("--resume", compared / name / "checkpoint_last.npz", words, tmp_path / "more") == 0
    finally:
        hidden.rename(weights)
    assert load_checkpoint(tmp_path / "more" / "checkpoint_last.npz")["position"]["epoch"] == 4


@pytest.mark.parametrize("option", ["1", "2", "probe --stage layer2"])
def test_a_run_that_is_interrupted_ends_in_the_same_bits(folder, weights, tmp_path, option, monkeypatch):
    words = f"{SMALL} --option {option} --checkpoint-every 1 --output-dir"
    assert transfer(folder, "--weights", weights, words, tmp_path / "whole") == 0
    done, train_batch = [], Trainer.train_batch

    def until_the_sixth(self, batch):
        done.append(batch)
        if len(done) == 6:
            raise KeyboardInterrupt
        return train_batch(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_batch", until_the_sixth)
        assert transfer(folder, "--weights", weights, words, tmp_path / "cut") == 130
    last = tmp_path / "cut" / "checkpoint_last.npz"
    assert load_checkpoint(last)["position"]["epoch"] < 3
    assert transfer("--resume", last) == 0
    parts = [load_checkpoint(tmp_path / name / "checkpoint_last.npz") for name in ("whole", "cut")]
    for part in ("model", "position", "scores", "best"):
        assert str(parts[0][part]) == str(parts[1][part])
    assert all(parts[0]["model"][key].tobytes() == value.tobytes() for key, value in parts[1]["model"].items())


def test_a_plain_network_stays_one(folder, tmp_path):
    """Its keys are those of the network with shortcuts; that it has none stands in the checkpoint alone."""
    words = "--image-size 8 --shorter-side 8 -b 4 -j 0 -p 100 --epochs 1 --lr 0.01 --plain --output-dir"
    assert exit_code(cifar.main, arguments([folder, words, tmp_path / "plain"])) == 0
    plain = (tmp_path / "plain" / "checkpoint_last.npz").rename(tmp_path / "plain.ckpt")  # its name says nothing
    assert transfer(folder, SMALL, "--option 1 --weights", plain, "--output-dir", tmp_path / "out") == 0
    found = load_checkpoint(tmp_path / "out" / "checkpoint_last.npz")
    assert found["settings"]["network"] == {"plain": True, "shortcut": "A", "zero_padding": "behind"}
    assert found["normalize"]["mean"].tobytes() == load_checkpoint(plain)["normalize"]["mean"].tobytes()
    model = example.new_model(Namespace(arch="resnet20", weights="", network=found["settings"]["network"]), 3)
    assert not model.layer1[0].residual


def test_without_validation_pictures(folder, weights, tmp_path, capsys):
    words = "--val-fraction 0 --weights"
    assert transfer(folder / "train", SMALL, words, weights, "--output-dir", tmp_path / "out") == 0
    assert "train_top1 after 3 epochs" in capsys.readouterr().out


def test_another_normaliser_is_fitted_on_request(folder, weights, tmp_path):
    words = "--option 1 --preprocess channel_mean --weights"
    assert transfer(folder, SMALL, words, weights, "--output-dir", tmp_path / "out") == 0
    assert load_checkpoint(tmp_path / "out" / "checkpoint_last.npz")["normalize"]["kind"] == "ChannelMean"


def test_the_normaliser_is_that_of_the_weights(compared, weights):
    theirs = load_checkpoint(weights)["normalize"]["mean"]
    for name in ("option1", "option2", "scratch"):
        mine = load_checkpoint(compared / name / "checkpoint_last.npz")["normalize"]
        assert mine["mean"].tobytes() == theirs.tobytes()


def test_torchs_weights_of_another_number_of_classes(folder, tmp_path, torch):
    manual_seed(0)
    model = models.resnet18(num_classes=7)
    file = tmp_path / "resnet18.pth"
    torch.save({key: torch.from_numpy(value.numpy()) for key, value in model.state_dict().items()}, file)
    words = "--arch resnet18 --image-size 33 --shorter-side 33 -b 8 -j 0 -p 100 --epochs 1 --option 1"
    assert transfer(folder, words, "--weights", file, "--output-dir", tmp_path / "out") == 0
    after = state(tmp_path / "out")
    assert after["layer3.0.conv1.weight"].tobytes() == model.layer3[0].conv1.weight.numpy().tobytes()
    assert load_checkpoint(tmp_path / "out" / "checkpoint_last.npz")["normalize"]["kind"] == "ChannelMeanStd"


@pytest.mark.parametrize(
    "per_class, amount, advice", [(5, "very little data", "option 1"), (100, "quite a lot of data", "few layers")]
)
def test_the_advice_of_the_lectures(per_class, amount, advice):
    text = example.advice(PublishedSet(None, "train", [0, 1] * per_class, "ab"))
    similar, different = (line.partition(":")[2] for line in text.splitlines()[1:])
    assert (advice in similar, "--probes" in different or "--scratch" in different) == (True, True)
    assert f"{2 * per_class} training pictures, {per_class} of each class: {amount}" in text and advice in text


def fails(capsys, *words):
    assert transfer(*words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_weights_that_do_not_fit(folder, weights, tmp_path, capsys):
    out = tmp_path / "out"
    err = fails(capsys, folder, SMALL, "--arch resnet32 --weights", weights, "--output-dir", out)
    assert str(weights) in err and "missing" in err
    (tmp_path / "text.pth").write_text("<html>")
    assert "text.pth" in fails(capsys, folder, SMALL, "--weights", tmp_path / "text.pth", "--output-dir", out)
    err = fails(capsys, folder, SMALL, "--output-dir", out)
    assert "resnet20" in err and "--weights FILE" in err
    assert "no class" in fails(capsys, folder, SMALL, "--classes x y --weights", weights, "--output-dir", out)
    err = fails(capsys, folder, SMALL, "--option 2 --freeze-to fc --output-dir", out, "--weights", weights)
    assert "'fc'" in err and "layer3" in err
    err = fails(capsys, folder, SMALL, "--freeze-to layer9 --output-dir", out, "--weights", weights)
    assert "'layer9'" in err
    err = fails(capsys, folder, SMALL, "--option probe --stage no --output-dir", out, "--weights", weights)
    assert "'no'" in err
    assert not out.exists()


def test_a_probe_needs_a_stage(folder, weights, capsys):
    with pytest.raises(SystemExit):
        transfer(folder, SMALL, "--option probe --weights", weights)
    assert "--stage" in capsys.readouterr().err

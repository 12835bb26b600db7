"""What goes with larger batches: the linear scaling rule, warm-up by batches under a schedule by epochs, --sync-bn."""

import re
from argparse import Namespace

import pytest
import thread_ranks
from paths import EXAMPLES, ROOT
from programs import SMALL, fails, load_example, run

from minicnn import models, nn, optim
from minicnn.cli import for_training, make_parser, scaled_lr, warmup
from minicnn.cli.scaling import describe_lr
from minicnn.data import DataLoader
from minicnn.optim.lr_scheduler import CosineAnnealingLR
from minicnn.runlog import read_log
from minicnn.train import Trainer, load_checkpoint, save_checkpoint
from minicnn.train.warmup import Warmup

CIFAR = load_example(EXAMPLES / "resnet_cifar10.py")
TINY = "--image-size 8 --shorter-side 8 -b 4 -j 0 -p 100 --epochs 2"  # four batches of 15 pictures an epoch


def given(lr=0.1, batch_size=32, lr_for_batch=None, warmup=0.0):
    return Namespace(lr=lr, batch_size=batch_size, lr_for_batch=lr_for_batch, warmup=warmup)


def rates(folder):
    return [float(row["lr"]) for row in read_log(folder / "log.csv")]


def state(folder):
    return load_checkpoint(folder / "checkpoint_last.npz")


def same_bits(one, other):
    return one.keys() == other.keys() and all(one[key].tobytes() == other[key].tobytes() for key in one)


def test_the_rate_is_in_proportion_to_the_batch():
    assert scaled_lr(given()) == 0.1 and describe_lr(given()) == ""
    assert scaled_lr(given(batch_size=8192, lr_for_batch=256)) == pytest.approx(3.2)  # Goyal et al.
    assert scaled_lr(given(batch_size=64, lr_for_batch=256)) == pytest.approx(0.025)
    said = describe_lr(given(batch_size=8192, lr_for_batch=256, warmup=5.0))
    assert said == "--lr 0.1 for batches of 256 is 3.2 for 8192; lr grows from 0.1 to 3.2 in 5 epochs"


@pytest.mark.parametrize(
    "batch_size, lr_for_batch, first", [(32, None, 0.01), (64, 16, 0.1), (16, 64, 0.0025), (16, 16, 0.01)]
)
def test_it_grows_from_what_it_is_for_small_batches_or_from_a_tenth(batch_size, lr_for_batch, first):
    args = given(batch_size=batch_size, lr_for_batch=lr_for_batch, warmup=1.5)
    optimizer = optim.SGD([nn.Parameter([1.0])], scaled_lr(args))
    schedule = warmup(args, optimizer, DataLoader(range(7), 2))
    assert schedule.periods == 6 and optimizer.param_groups[0]["lr"] == pytest.approx(first)
    for _ in range(9):
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(scaled_lr(args))


def test_a_short_warmup_is_one_batch_and_none_is_none():
    optimizer = optim.SGD([nn.Parameter([1.0])], 0.1)
    assert warmup(given(), optimizer, DataLoader(range(4))) is None
    assert warmup(given(warmup=0.01), optimizer, DataLoader(range(4))).periods == 1


def test_a_warmup_goes_on_as_it_has_begun():
    """With as many batches as it was to have, whatever an epoch has by now."""

    def begun(periods):
        optimizer = optim.SGD([nn.Parameter([1.0])], 1.0)
        return Warmup(optim.lr_scheduler.LinearWarmup(optimizer, periods, 0.5)), optimizer

    first, _ = begun(4)
    first.step()
    second, optimizer = begun(40)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        second.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="periods"):
        second.load_state_dict({**first.state_dict(), "periods": 0})


def test_a_program_scales_once_and_warms_up_by_batches(folder, tmp_path, capsys):
    """The last row is of a run that was resumed; a plateau's schedule is stepped by epochs besides."""
    words = "--dropout 0 --lr 0.001 --lr-for-batch 2 --warmup 2"
    assert run(folder, SMALL, words, "--output-dir", tmp_path / "run") == 0
    said = "--lr 0.001 for batches of 2 is 0.002 for 4; lr grows from 0.001 to 0.002 in 2 epochs"
    assert said in capsys.readouterr().out
    last = tmp_path / "run" / "checkpoint_last.npz"
    assert run("--epochs 2 --resume", last) == 0
    assert rates(tmp_path / "run") == pytest.approx([0.0015, 0.002])
    saved = state(tmp_path / "run")
    assert (saved["settings"]["lr"], saved["warmup"]["count"], saved["schedule"]["count"]) == (0.001, 8, 2)
    capsys.readouterr()
    assert "leave --lr-for-batch out" in fails(capsys, "--lr-for-batch 4 --epochs 4 --resume", last)
    assert "leave --warmup out" in fails(capsys, "--warmup 1 --epochs 4 --resume", last)


def test_checkpoints_from_before_have_no_warmup(ours):
    saved = state(ours)
    assert saved.pop("warmup") == {}
    for name in ("warmup", "lr_for_batch", "sync_bn"):
        del saved["settings"][name]
    save_checkpoint(ours / "checkpoint_last.npz", saved)
    assert run("--epochs 3 --resume", ours / "checkpoint_last.npz") == 0
    assert state(ours)["settings"]["warmup"] == 0 and len(rates(ours)) == 3


def test_what_counts_steps_was_once_called_warmup(folder, tmp_path, capsys):
    """A ResNet's checkpoint from before goes on with the steps that it had, to the same bits."""
    assert run(folder, TINY, "--warmup-steps 6 --output-dir", tmp_path / "whole", program=CIFAR) == 0
    assert run(folder, TINY, "--warmup-steps 6 --epochs 1 --output-dir", tmp_path / "cut", program=CIFAR) == 0
    last = tmp_path / "cut" / "checkpoint_last.npz"
    saved = load_checkpoint(last)
    saved["settings"]["warmup"] = saved["settings"].pop("warmup_steps")
    del saved["warmup"]
    save_checkpoint(last, saved)
    assert run("--epochs 2 --resume", last, program=CIFAR) == 0
    assert same_bits(state(tmp_path / "cut")["model"], state(tmp_path / "whole")["model"])
    settings = state(tmp_path / "cut")["settings"]
    assert (settings["warmup_steps"], settings["warmup"]) == (6, 0)
    assert run(folder, TINY, "--warmup 1 --warmup-steps 1", "--output-dir", tmp_path / "both", program=CIFAR) == 2
    assert "--warmup and --warmup-steps both" in capsys.readouterr().err


def test_a_run_that_stops_within_its_warmup_ends_in_the_same_bits(folder, tmp_path, monkeypatch):
    words = f"{TINY} --warmup 1.5 --lr-for-batch 1 --checkpoint-every 1 --output-dir"
    assert run(folder, words, tmp_path / "whole", program=CIFAR) == 0
    left, train_batch = [3], Trainer.train_batch

    def stopping(self, batch):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return train_batch(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_batch", stopping)
        assert run(folder, words, tmp_path / "cut", program=CIFAR) == 130
    last = tmp_path / "cut" / "checkpoint_last.npz"
    saved = load_checkpoint(last)
    assert (saved["warmup"]["count"], saved["warmup"]["periods"]) == (3, 6)
    assert run("--resume", last, program=CIFAR) == 0
    whole, cut = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert same_bits(cut["model"], whole["model"])
    assert cut["warmup"] == whole["warmup"] and rates(tmp_path / "cut") == rates(tmp_path / "whole")


def test_a_schedule_by_epochs_is_multiplied():
    optimizer = optim.SGD([nn.Parameter([1.0])], 0.4)
    cosine = CosineAnnealingLR(optimizer, 2)
    growing = Warmup(warmup(given(warmup=1.0, lr_for_batch=16), optimizer, DataLoader(range(4))))
    for epoch in range(2):
        for _ in range(4):
            growing.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx([0.4, 0.2][epoch])
        cosine.step()


def test_batch_norm_of_ranks_is_synchronised_and_one_process_keeps_its_own():
    def kinds(sync_bn=True):
        model = models.create("resnet20", 3, {})
        names = set(model.state_dict())
        assert for_training(Namespace(sync_bn=sync_bn, device="cpu"), model) is model
        assert set(model.state_dict()) == names
        return {type(layer) for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)}

    assert kinds() == {nn.BatchNorm2d}
    assert thread_ranks.run(2, lambda world: kinds()) == [{nn.SyncBatchNorm}] * 2
    assert thread_ranks.run(2, lambda world: kinds(sync_bn=False)) == [{nn.BatchNorm2d}] * 2


def test_flags_that_contradict_each_other(folder, capsys):
    with pytest.raises(SystemExit):
        run(folder, SMALL, "--sync-bn --shards 2")
    assert "--sync-bn depends on how many processes there are, and --shards must not" in capsys.readouterr().err


def test_the_page_has_all_flags():
    """Those of several processes, and those that go with large batches."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(--[\w-]+)", page, re.M))
    (group,) = (
        group for group in make_parser("", ["one"])._action_groups if "several processes" in (group.title or "")
    )
    flags = {action.option_strings[-1] for action in group._group_actions}
    assert listed == flags | {"--lr-for-batch", "--warmup"}

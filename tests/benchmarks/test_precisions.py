"""benchmarks/precisions.py: its commands are those that the programs take, its logs, its verdict and its figure."""

import json
import sys

import pytest
from paths import BENCHMARKS, EXAMPLES
from programs import load_example

HEADER = "epoch,lr,train_loss,train_top1,train_top5,val_loss,val_top1,val_top5,seconds,data_seconds,images_per_second"


@pytest.fixture
def precisions(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import precisions

    return precisions


@pytest.fixture
def called(precisions, monkeypatch):
    """The words of each program that ran; each leaves a log that ends at 90 + seed %, or `worse` in bfloat16."""
    calls, worse = [], {"by": 0.5}

    def run(command, check):
        _, program, *words = command
        args = load_example(EXAMPLES / program).arguments().parse_args(words)  # SystemExit for words that it refuses
        calls.append((program.rpartition("/")[2], args))
        folder = precisions.Path(args.output_dir)
        folder.mkdir(parents=True)
        end = 90 + args.seed - (worse["by"] if args.precision == "bfloat16" else 0)
        rows = [f"{epoch},0.1,1,50,90,1,{top1},99,2.5,0,10" for epoch, top1 in ((1, 20), (2, end))]
        (folder / "log.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        (folder / "args.json").write_text(json.dumps({"environment": {"unit": "avx2"}}))
        (folder / "checkpoint_last.npz").touch()

    monkeypatch.setattr(precisions.subprocess, "run", run)
    return calls, worse


def main(precisions, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["precisions.py", *map(str, words)])
    precisions.main()


def test_every_run_in_both_precisions_from_every_seed(precisions, called, monkeypatch, tmp_path, capsys):
    calls, _ = called
    main(precisions, monkeypatch, tmp_path / "cifar", "--seeds", 0, 1, "--out", tmp_path / "out")
    assert [args.precision for _, args in calls if args.seed == 1] == 3 * ["float32", "bfloat16"]
    assert len(calls) == 3 * 2 * 2 + 1  # once weights are made for the transfer
    pretraining, *transfers = [args for program, args in calls[8:]]
    assert pretraining.precision == "float32" and len(pretraining.classes) == 8
    for args in transfers:
        assert args.weights == str(precisions.Path(pretraining.output_dir) / "checkpoint_last.npz")
        assert args.classes == ["cat", "truck"] and args.option == "2"
    logs = sorted(path.name for path in (tmp_path / "out").glob("resnet20*.csv"))
    assert logs == [f"resnet20_cifar_{p}_seed{s}.csv" for p in ("bfloat16", "float32") for s in (0, 1)]
    entry = json.loads((tmp_path / "out" / "transfer_cifar.json").read_text())["runs"]["bfloat16 seed 1"]
    assert (entry["val_top1"], entry["epochs"], entry["seconds"]) == (90.5, 2, 5.0)
    assert entry["environment"] == {"unit": "avx2"} and "DIR --arch resnet20 --weights WEIGHTS" in entry["command"]
    line = "resnet20_cifar: float32 90.0 to 91.0 %, mean 90.5; bfloat16 89.5 to 90.5 %, mean 90.0: bfloat16's mean ends"
    assert line in capsys.readouterr().out
    assert (tmp_path / "out" / "curves.png").stat().st_size > 10_000


def test_what_is_there_is_not_run_again(precisions, called, monkeypatch, tmp_path):
    calls, _ = called
    for _ in range(2):
        main(precisions, monkeypatch, "--seeds", 0, 1, "--out", tmp_path)
    assert len(calls) == 4
    (tmp_path / "alexnet_sample_bfloat16_seed1.csv").unlink()
    main(precisions, monkeypatch, "--seeds", 0, 1, "--out", tmp_path)
    assert len(calls) == 5 and calls[-1][1].precision == "bfloat16"


@pytest.mark.parametrize(("worse", "where"), [(2.0, "BELOW"), (0.5, "within"), (-2.0, "above")])
def test_where_bfloat16_ends_is_said(precisions, called, monkeypatch, tmp_path, capsys, worse, where):
    called[1]["by"] = worse
    main(precisions, monkeypatch, "--seeds", 0, 1, 2, "--out", tmp_path)
    assert f"bfloat16's mean ends {where} float32's spread" in capsys.readouterr().out


def test_pictures_are_asked_for(precisions, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(precisions, monkeypatch, "--runs", "transfer_cifar", "--out", tmp_path)
    assert "need DIR" in capsys.readouterr().err

"""Training on several ranks from beginning to end: the run of one process to the last digits, or to the bit."""

import os
import signal
import subprocess
import sys
import time

import mpi
import pytest
from kill_and_resume import repeated_part
from training_of_ranks import PROGRAM, apart, arrays, figures, make, results, run, train

from minicnn import Tensor
from minicnn import functional as F
from minicnn.storage.lock import locked
from minicnn.train import load_checkpoint
from minicnn.train.trainer import LAST

CLOSE = 1e-12  # float64: nothing but the order of additions differs


def folders(root, *names):
    for name in names:
        (root / name).mkdir()
    return [root / name for name in names]


def on_ranks(size, *runs, timeout=120, **environment):
    """What became of these runs; the same on all ranks, which is checked."""
    printed = [results(out) for out in mpi.succeed(size, PROGRAM, *runs, timeout=timeout, **environment)]
    assert printed == printed[:1] * size and len(printed[0]) == len(runs)
    return printed[0]


def alone(*runs, **environment):
    """The same of one process that nobody has told of others."""
    command = [sys.executable, "-c", PROGRAM, *runs]
    environment = {**os.environ, **mpi.ENVIRONMENT, **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return results(done.stdout)


def fails(size, *runs, timeout=60, **environment):
    """(exit code, the one line that all ranks said together, what mpiexec said) of a job that ends soon, and whole."""
    job = mpi.start(size, PROGRAM, *runs, **environment)
    end = job.end(timeout)
    deadline = time.monotonic() + 2  # mpiexec does not wait for the last of them
    while job.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    said = "".join(end.err)
    assert job.alive() == [] and end.code != 0 and said.count("\n") == 1 and end.seconds < 30, str(end)
    assert not any(results(out) for out in end.out), str(end)
    return end.code, said


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# One process


@pytest.mark.parametrize("net", ["dropout", "resnet8"])
def test_one_process_trains_as_a_plain_loop_does(tmp_path, net):
    trainer = make(tmp_path, net, bits=32, count=21)
    trainer.fit()
    by_trainer = arrays(trainer.state_dict())

    again = make(tmp_path, net, bits=32, count=21)
    model, optimizer, loader, normalize = again.model, again.optimizer, again.train_loader, again.normalize
    for epoch in range(2):
        model.train()
        total, row = 0.0, figures(tmp_path)[epoch]
        for batch in loader.epoch(epoch):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(Tensor(normalize(batch.images))), batch.labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch.labels)
        again.schedule.step(100 - float(row["val_top1"]))
        assert float(row["train_loss"]) == pytest.approx(total / 21, abs=1e-5)
    by_hand = arrays(again.state_dict())
    assert by_hand.keys() == by_trainer.keys() and len(by_hand) > 8
    assert [name for name in by_hand if by_hand[name].tobytes() != by_trainer[name].tobytes()] == []


# Several


@mpi.skip_without_mpi
def test_two_ranks_end_where_one_process_does(tmp_path):
    """All that matters in one run of each: dropout, a last batch of one row, unreadable pictures; and shards, by LARS,
    with clipped gradients and an average of the weights."""
    uneven = {"bad": [1, 2, 9], "val_bad": [5], "tier": "plain"}
    shards = {"net": "batch_norm", "bits": 32, "shards": 4, "mix": True, "bad": [4], "epochs": 1, "tier": "plain"}
    shards |= {"lars": True, "lr": 1.0, "clip_grad_norm": 0.5, "ema": True}
    two, sharded, one, one_sharded = folders(tmp_path, "two", "sharded", "one", "one sharded")
    found = on_ranks(2, run(two, **uneven), run(sharded, **shards))
    expected = alone(run(one, **uneven), run(one_sharded, **shards))
    assert apart(two / LAST, one / LAST) <= CLOSE and figures(two) == figures(one)
    assert found[1]["state"] == expected[1]["state"] and figures(sharded) == figures(one_sharded)
    assert [result["mpi"] for result in found + expected] == [True, True, False, False]
    assert [sorted(bad) for bad in found[0]["bad"]] == [sorted(bad) for bad in expected[0]["bad"]]
    assert load_checkpoint(two / LAST)["random"] == load_checkpoint(one / LAST)["random"]
    assert len(found[0]["bad"][0]) == 3 and len(found[0]["bad"][1]) == 1


pytestmark = pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")

CASES = {
    "dropout": {},
    "batch norm of all ranks": {"net": "sync_resnet8"},
    "auxiliary heads": {"net": "head", "schedule_each": "batch"},
    "without validation": {"val": 0},
    "the last batch is left out": {"drop_last": True},
    "LARS, clipped gradients, an average": {"lars": True, "lr": 1.0, "clip_grad_norm": 0.5, "ema": True},
    "in parts": {"accumulate": 2, "checkpoint_every": 2},
    "written to be read": {"tier": "plain", "epochs": 1},
    "most cannot be read": {"bad": [*range(12), 20, 21, 22, 24], "schedule_each": "batch", "epochs": 3},
    "a batch is as large as the ranks are many": {"batch_size": 4, "count": 10, "bad": [5]},
}


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize("size", [2, 4])
def test_any_run_ends_where_one_process_does(tmp_path, size):
    folders(tmp_path, *CASES)
    found = on_ranks(size, *(run(folders(tmp_path / name, "ranks")[0], **options) for name, options in CASES.items()))
    for result, (name, options) in zip(found, CASES.items(), strict=True):
        (own,) = folders(tmp_path / name, "one")
        expected = train(str(own), **options)
        assert apart(tmp_path / name / "ranks" / LAST, own / LAST) <= CLOSE, name
        assert figures(tmp_path / name / "ranks") == figures(own), name
        assert result["lr"] == expected["lr"], name
        assert [sorted(bad) for bad in result["bad"]] == [sorted(bad) for bad in expected["bad"]], name


@pytest.mark.slow
@mpi.skip_without_mpi
def test_shards_have_the_same_bits_on_any_number_of_ranks(tmp_path):
    cases = {
        "dropout": {"net": "dropout", "bits": 32, "bad": [2, 3, 17]},
        "batch norm": {"net": "resnet8", "bits": 32, "bad": [2, 3, 17]},
        "heads": {"net": "head", "bits": 32, "batch_size": 5, "schedule_each": "batch"},
    }
    found = []
    for size in (1, 2, 4):
        runs = [run(folders(tmp_path, f"{name} {size}")[0], shards=4, **case) for name, case in cases.items()]
        found.append([result["state"] for result in (alone(*runs) if size == 1 else on_ranks(size, *runs))])
    assert found[1:] == found[:1] * 2
    for name in cases:
        logs = [figures(tmp_path / f"{name} {size}") for size in (1, 2, 4)]
        assert logs[1:] == logs[:1] * 2

    (changing,) = folders(tmp_path, "changing")  # the number of ranks, within epochs
    for size, stop in ((2, 1), (4, 3), (1, 0)):
        part = run(changing, shards=4, stop=stop, **cases["batch norm"])
        (result,) = alone(part) if size == 1 else on_ranks(size, part)
    assert result["state"] == found[0][1] and figures(changing) == figures(tmp_path / "batch norm 1")


@pytest.mark.slow
@mpi.skip_without_mpi
def test_on_emulated_gpus(tmp_path):
    folder, own = folders(tmp_path, "ranks", "one")
    options = {"epochs": 1, "count": 17, "bad": [3]}
    on_ranks(2, run(folder, device="cuda", **options), MINICNN_EMULATE_GPU="1", timeout=300)
    train(str(own), **options)
    assert apart(folder / LAST, own / LAST) <= CLOSE and figures(folder) == figures(own)


# A run that is stopped, and goes on


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize("net", ["dropout", "sync_resnet8"])
def test_a_run_goes_on_with_any_number_of_ranks(tmp_path, net):
    options = {"net": net, "epochs": 4, "bad": [1, 20], "val_bad": [2]}  # of four batches each
    folder, whole = folders(tmp_path, "parts", "whole")
    train(str(whole), **options)
    places = []
    for size, stop in ((2, 1), (1, 4), (4, 3), (2, 0)):
        part = run(folder, stop=stop, **options)
        (result,) = alone(part) if size == 1 else on_ranks(size, part)
        places.append((result["epoch"], load_checkpoint(folder / LAST)["position"]["batch"]))
    assert places == [(0, 2), (1, 2), (2, 2), (4, 0)]  # within an epoch each time
    assert apart(folder / LAST, whole / LAST) <= CLOSE and figures(folder) == figures(whole)
    states = [load_checkpoint(each / LAST) for each in (folder, whole)]
    assert sorted(states[0]["bad_pictures"]) == sorted(states[1]["bad_pictures"])
    assert states[0]["random"] == states[1]["random"] and states[0]["best"] == states[1]["best"]


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize("who", ["Ctrl-C", "mpiexec", "all", "one"])
def test_a_signal_stops_all_ranks_and_the_run_goes_on_to_the_same_bits(tmp_path, who):
    options = {"net": "batch_norm", "bits": 32, "bad": [1, 20], "tier": "plain"}
    folder, whole = folders(tmp_path, "parts", "whole")
    job = mpi.start(2, PROGRAM, run(folder, epochs=10_000, **options))
    while not job.said(0).count("\nepoch "):
        time.sleep(0.01)
    if who == "Ctrl-C":
        os.killpg(job.process.pid, signal.SIGINT)
    elif who == "mpiexec":  # which sends it on
        job.process.terminate()
    else:
        for rank in (0, 1) if who == "all" else (1,):
            os.kill(job.pid(rank), signal.SIGTERM)
    began = time.monotonic()
    end = job.end()
    assert time.monotonic() - began < 15 and job.alive() == []
    assert end.code == (130 if who == "Ctrl-C" else 143), str(end)
    assert end.out[0].count("stopped; to go on: ") == 1 and end.out[1] == end.err[1] == ""
    (result,) = on_ranks(
        2, run(folder, epochs=(epochs := load_checkpoint(folder / LAST)["position"]["epoch"] + 2), **options)
    )
    (expected,) = on_ranks(2, run(whole, epochs=epochs, **options))
    assert result == expected and repeated_part(folder) == repeated_part(whole)


@pytest.mark.slow
@mpi.skip_without_mpi
def test_one_rank_that_is_asked_to_stop_in_validation_stops_all(tmp_path):
    folder, whole = folders(tmp_path, "parts", "whole")
    options = {"net": "batch_norm", "bits": 32, "tier": "plain"}
    (stopped,) = on_ranks(2, run(folder, stop=-1, **options))
    position = load_checkpoint(folder / LAST)["position"]
    assert stopped["epoch"] == 0 and (position["epoch"], position["batch"]) == (0, 4)
    found, expected = on_ranks(2, run(folder, **options), run(whole, **options))
    assert found == expected and repeated_part(folder) == repeated_part(whole)


# What cannot go on: one message, soon, nothing overwritten, nobody left


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize(
    "size, options, code, words",
    [
        (2, {"white": True}, 1, "rank 1 of 2, at lr 0.05: the normalised pictures are not finite. The rank's"),
        (4, {"batch_size": 3}, 2, "a batch of 3 cannot be shared out to 4 ranks"),
        (2, {"shards": 6}, 2, "--shards must be a power of two, not 6"),
        (4, {"shards": 2}, 2, "--shards 2 cannot be shared out to 4 ranks"),
        (2, {"others": {"lr": 0.1}}, 2, "the run is not the same on all ranks: lr is 0.1 on rank 1, 0.05 on rank 0"),
        (2, {"others": {"net": "batch_norm"}}, 2, "the model is not the same on all ranks: "),
        (2, {"others": {"count": 26}}, 2, "pictures is 26 on rank 1, 25 on rank 0"),
        (2, {"others": {"val": 0}}, 2, "validation pictures is 0 on rank 1, 13 on rank 0"),
        (2, {"others": {"epochs": 3}}, 2, "epochs is 3 on rank 1, 2 on rank 0"),
        (2, {"others": {"bits": 32}}, 2, "the model is not the same on all ranks: "),
        (4, {"others": {"batch_size": 9}}, 2, "batch_size is 9 on rank 1, 8 on rank 0"),
        (2, {"bad": [*range(1, 15)], "max_bad": 0.4}, 2, "11 of 25 pictures are unreadable and max_bad_fraction=0.4"),
        (2, {"val_bad": [4, 5, 6, 7], "max_bad": 0.2}, 2, "4 of 13 pictures are unreadable"),
        (2, {"val_bad": [0, 1, 4, 5], "max_bad": 0.2}, 2, "4 of 13 pictures are unreadable"),
        (2, {"room": 20_000, "bits": 32}, 2, "No space left"),
        (2, {"room": 0}, 2, "No space left"),
    ],
)
def test_what_cannot_go_on(tmp_path, size, options, code, words):
    (folder,) = folders(tmp_path, "run")
    ended, said = fails(size, run(folder, tier="plain", **options))
    assert ended == code and words in said, said
    assert not (folder / LAST).exists()


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize(
    "options, words",
    [
        ({"white": True, "epochs": 3}, "The checkpoints in {folder} are those of before; try a smaller --lr."),
        ({"room": 20_000, "epochs": 3}, "No space left"),
        ({"others": {"epochs": 4}, "epochs": 3}, "epochs is 4 on rank 1, 3 on rank 0"),
        ({"others": {"below": "/not there"}, "epochs": 3}, "epoch is 0 on rank 1, 1 on rank 0"),
    ],
)
def test_what_cannot_go_on_leaves_the_checkpoints_as_they_were(tmp_path, options, words):
    train(str(tmp_path), tier="plain", epochs=1, count=24)
    before = content(tmp_path)
    _, said = fails(2, run(tmp_path, tier="plain", count=24, **options))
    assert words.format(folder=tmp_path) in said, said
    after = content(tmp_path)
    if "room" in options:  # the row of an epoch comes before its checkpoint, and is taken back by resuming
        after["log.csv"] = after["log.csv"][: len(before["log.csv"])]
    assert after == before


@pytest.mark.slow
@mpi.skip_without_mpi
def test_a_folder_that_is_in_use_or_is_not_there(tmp_path):
    with locked(tmp_path):
        code, said = fails(2, run(tmp_path, tier="plain"))
    assert code == 2 and "another run is using the folder" in said and content(tmp_path) == {}
    code, said = fails(2, run(tmp_path / "none", tier="plain"))
    assert code == 2 and "nothing can be written to the folder" in said

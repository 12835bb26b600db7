"""Programs on several ranks: what only rank 0 can see, and what the ranks must have in common."""

import mpi
import pytest
import thread_ranks
from programs import SMALL, arguments, draw
from training_of_ranks import digest, figures

from minicnn.cli.known import check_seen_by_all
from minicnn.data import DataError
from minicnn.train import load_checkpoint
from minicnn.train.trainer import LAST

PROGRAM = """
import os, sys
from minicnn.distributed import world
from minicnn.train import exit_code
from programs import example

def main():
    pass  # CASE
    return example.main()

sys.exit(exit_code(main))
"""


class Files:
    def __init__(self, *paths):
        self.root, self.samples = "/", [(path, 0) for path in paths]

    def __len__(self):
        return len(self.samples)


def test_pictures_that_some_ranks_do_not_see():
    here, nowhere = Files(__file__, "/none/2"), Files("/none/1")
    thread_ranks.run(2, lambda world: check_seen_by_all(here, Files(), here))
    message = r"/none/1, which rank 0 sees on host \S+, is not there for ranks 1 and 2 of 3 \(host \S+\); put the pict"
    with pytest.raises(DataError, match=message) as caught:
        thread_ranks.run(3, lambda world: check_seen_by_all(here, here if world.is_main else nowhere))
    assert caught.value.on_all_ranks
    check_seen_by_all(nowhere)  # one process: what has gone since is an unreadable picture, later


@pytest.fixture
def in_its_folder(tmp_path, pictures):
    """run(size, *words, case=) in a folder where there are pictures; all ranks but rank 0 are elsewhere."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir(), elsewhere.mkdir()
    (home / "data").symlink_to(pictures)

    def run(size, *words, case="pass"):
        move = f"os.chdir({str(home)!r} if world().is_main else {str(elsewhere)!r})"
        program = PROGRAM.replace("pass  # CASE", f"{move}\n    {case}")
        end = mpi.run(size, program, *arguments([SMALL, *words]), cwd="/")
        assert end.out[1:] == [""] * (size - 1) and list(elsewhere.iterdir()) == [], str(end)
        return end, "".join(end.err)

    return home, pictures, run


@pytest.mark.slow
@mpi.skip_without_mpi
def test_only_rank_0_need_see_the_output_and_the_checkpoint(in_its_folder):
    home, pictures, run = in_its_folder
    end, said = run(2, pictures, "--output-dir out")
    assert (end.code, said) == (0, ""), str(end)
    written = {path.name for path in (home / "out").iterdir()}
    assert {"log.csv", "summary.json", "checkpoint_last.npz", "curves.png"} <= written
    end, said = run(2, pictures, "--resume out/checkpoint_last.npz --epochs 2")
    assert (end.code, said) == (0, "") and (home / "out" / "log.csv").read_text().count("\n") == 3, str(end)
    end, said = run(2, pictures, "--evaluate --resume out/checkpoint_best.npz --output-dir tested")
    assert (end.code, said) == (0, "") and (home / "tested" / "summary.json").exists(), str(end)
    assert end.out[0].count("validation, 6 pictures, 1 network") == 1


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize(
    "words, case, expected",
    [
        ("data --output-dir out", "pass", "which rank 0 sees on host"),
        ("--output-dir out", "if world().rank: sys.argv += ['--lr', '.2']", "lr is 0.2 on rank 1, 0.01 on rank 0"),
        ("--output-dir out", "if world().rank: sys.argv += ['--lr', 'x']", "rank 1 of 2 (host "),
        ("--output-dir out", "if world().rank: sys.argv += ['--evaluate']", "the command line is not the same on all"),
        ("--output-dir out --shards 3", "pass", "--shards must be a power of two, not 3"),
        ("--output-dir out -b 1", "pass", "a batch of 1 cannot be shared out to 2 ranks; "),
        ("none --output-dir out", "pass", "none"),
        ("--output-dir data", "pass", "data is not empty"),
        ("--output-dir data/train/dark/0.JPEG", "pass", "cannot be made"),
        ("--resume nothing.npz", "pass", "nothing.npz"),
    ],
)
def test_what_is_refused(in_its_folder, words, case, expected):
    home, pictures, run = in_its_folder
    folder = [] if words.startswith(("data ", "none ")) else [pictures]
    end, said = run(2, *folder, words, case=case)
    assert end.code == 2 and said.count("\n") == 1 and expected in said, str(end)
    assert end.seconds < 30 and {path.name for path in home.iterdir()} <= {"data", "out"}
    assert not (home / "out").exists() or list((home / "out").iterdir()) == []


@pytest.mark.slow
@mpi.skip_without_mpi
def test_shards_give_the_same_checkpoint_and_log_whoever_works_on_them(tmp_path):
    for name, count in (("train", 9), ("val", 5)):
        draw(tmp_path / "data" / name, ["dark", "light"], count)
    damaged = [tmp_path / "data" / path for path in ("train/dark/3.JPEG", "train/light/7.JPEG", "val/dark/1.JPEG")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:50])
    words = [SMALL, "-b 5 -j 2 --epochs 2 --lr .05 --max-bad-fraction .5 --shards 4"]
    found = []
    for size in (1, 2, 4):
        folder = tmp_path / str(size)
        said = mpi.succeed(size, PROGRAM, *arguments([tmp_path / "data", *words, "--output-dir", folder]))
        assert said[1:] == [""] * (size - 1)
        assert [said[0].count(f"skipped an unreadable picture: {path}") for path in damaged] == [1, 1, 1]
        found.append((digest(load_checkpoint(folder / LAST)), figures(folder)))
    assert found[1:] == found[:1] * 2

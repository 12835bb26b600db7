"""Train on a disk that gets full, wherever it may get full; make room; go on to the same end as on a large disk.

    sudo python tests/support/full_disk.py --step 4096

Each run has a file system of its own in memory (tmpfs; mounting one is what root is needed for), of 0, 4096, 8192, ...
bytes, up to the size on which the run comes to its end. A run that finds no room must end with one line and exit code
2, everything it had written before must be whole, and once there is room, it must go on to the same bytes.
"""

import argparse
import contextlib
import io
import subprocess
import tempfile
from pathlib import Path

from kill_and_resume import repeated_part, resumed, small_trainer

from minicnn.runlog import COLUMNS, read_log
from minicnn.train import exit_code, load_checkpoint

EPOCHS = 2


def train(folder):
    """(exit code, what was said on stderr) of a run that goes on from its last checkpoint, if there is one."""
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
        code = exit_code(lambda: resumed(small_trainer(folder, epochs=EPOCHS)).fit())
    return code, err.getvalue()


def large_disk():
    """What a run ends with that is never short of room."""
    with tempfile.TemporaryDirectory() as folder:
        assert train(Path(folder)) == (0, "")
        return repeated_part(Path(folder))


def check_full(folder, code, err):
    """AssertionError unless a run that found no room left everything in order."""
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1, (code, err)
    assert "No space left" in err and str(folder) in err, err
    assert not list(folder.glob(".*")), list(folder.iterdir())
    for path in folder.glob("*.npz"):
        load_checkpoint(path)
    read_log(folder / "log.csv", COLUMNS)


def mounted(size, expected):
    """Whether a run was short of room on a disk of so many bytes."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(size, 1)}", "tmpfs", name], check=True)
        try:
            folder = Path(name)
            code, err = train(folder)
            if code != 0:
                check_full(folder, code, err)
                subprocess.run(["mount", "-o", "remount,size=64m", name], check=True)
                assert train(folder) == (0, "")
            assert repeated_part(folder) == expected, f"another end after a disk of {size} bytes was full"
            return code != 0
        finally:
            subprocess.run(["umount", name], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=4096, help="bytes from one disk to the next")
    arguments = parser.parse_args()
    size, expected = 0, large_disk()
    while mounted(size, expected):
        size += arguments.step
    print(f"{size // arguments.step} disks, of fewer than {size} bytes, were full: each run went on to the same end")

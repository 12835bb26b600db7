"""What a page is made of: report.npz, which the run has left, or, without it, what its checkpoint says.

So the page can be made again without the pictures, and without knowing how the network is built.
"""

from pathlib import Path
from typing import Any

from ..runlog import COLUMNS, LogError, read_log
from ..storage.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from ..storage.files import atomic_write
from ..train.trainer import BEST, LAST
from .look import first_filters
from .page import page

FOUND, PAGE = "report.npz", "report.html"


def write_report(folder: Path | str, found: dict[str, Any] | None = None) -> Path:
    """Write report.html of the run in `folder`, whole or not at all; its path.

    found: what ``Report`` has gathered; None: what stands in report.npz, or else in the checkpoints. LogError without a
    log of at least one epoch, CheckpointError without any of these files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LogError(f"there is no folder {folder}; give the folder of a run")
    rows = read_log(folder / "log.csv", COLUMNS)
    if not rows:
        raise LogError(f"{folder / 'log.csv'} has no epoch yet; wait until the first one is over")
    if found is None:
        found = load_checkpoint(folder / FOUND) if (folder / FOUND).exists() else of_checkpoint(folder)
    try:
        text = page(folder.resolve().name, rows, found)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:  # anybody may have written the file
        what = f"what {folder} has of its run cannot be shown, {type(error).__name__}: {error}"
        raise CheckpointError(f"{what}; remove {FOUND}, and let the run go on") from error
    with atomic_write(folder / PAGE) as file:
        file.write(text.encode())
    return folder / PAGE


def save_found(folder: Path, found: dict[str, Any]) -> None:
    """report.npz."""
    save_checkpoint(folder / FOUND, found)


def of_checkpoint(folder: Path) -> dict[str, Any]:
    """What can be said of a run by its checkpoints alone: its settings, and the first filters."""
    path = next((folder / name for name in (BEST, LAST) if (folder / name).exists()), None)
    if path is None:
        raise CheckpointError(f"{folder} has neither {FOUND} nor a checkpoint; give the folder of a run")
    state = load_checkpoint(path)
    try:
        filters = first_filters(state["model"])
        known = {name: state[name] for name in ("settings", "classes", "environment", "best")}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} holds no training run; give the folder of one") from error
    missing = f"the run has left no {FOUND}: it has not come to its end yet"
    return {**known, "filters": list(filters) if filters else None, "missing": missing}

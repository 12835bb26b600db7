"""A file of events, as TensorBoard reads it, written by parts of the package tensorboardX.

Its ``SummaryWriter`` hands events to a thread, and a process that is killed loses some of them: a checkpoint might
say that an epoch is over of which TensorBoard knows nothing. Here an event is in the file when ``add`` returns.
"""

import time
from pathlib import Path
from typing import Any

from ..errors import SettingError


def event_package() -> Any:
    """tensorboardX, which need not be there; SettingError without it."""
    try:
        import tensorboardX.event_file_writer
        import tensorboardX.proto.event_pb2
        import tensorboardX.summary
    except ImportError:
        advice = "pip install 'minicnn[tensorboard]', or go without it: --no-tensorboard"
        raise SettingError(f"--tensorboard needs the package tensorboardX; {advice}") from None
    return tensorboardX


class EventFile:
    """A new file in `folder`. What earlier ones there hold of `step` and of later steps counts no more, so that a run
    which goes on from before their end has each step once. `is_first`: there were none."""

    def __init__(self, folder: Path | str, step: int) -> None:
        package = event_package()
        # in their names, so that files of one second are read in their order, too
        number = len(list(Path(folder).glob("events.out.tfevents*")))
        self.is_first = number == 0
        self._event = package.proto.event_pb2.Event
        self._file = package.event_file_writer.EventsWriter(str(Path(folder) / "events"), f".{number:05d}")
        log = package.proto.event_pb2.SessionLog
        self._write(step, session_log=log(status=log.START))

    def add(self, summary: Any, step: int) -> None:
        """A ``Summary`` of this step."""
        self._write(step, summary=summary)

    def add_graph(self, graph: bytes) -> None:
        """A serialised ``GraphDef``."""
        self._write(0, graph_def=graph)

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()

    def _write(self, step, **content):
        self._file.write_event(self._event(step=step, wall_time=time.time(), **content))
        self._file.flush()

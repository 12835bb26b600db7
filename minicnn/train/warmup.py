"""The warm-up of the learning rate: it counts batches, beside a schedule that counts epochs.

Both multiply the present rate (optim/lr_scheduler.py), so neither need know of the other: within the first epochs the
rate is the schedule's times a factor that grows from batch to batch, and is 1 from the end of the warm-up on. Epochs
of warm-up are epochs of the schedule, too (Goyal et al., arXiv 1706.02677, section 2.2).
"""

from typing import Any

from ..optim.lr_scheduler import LinearWarmup
from ..settings import whole


class Warmup:
    """A LinearWarmup that is stepped after each batch, or none."""

    def __init__(self, schedule: LinearWarmup | None) -> None:
        self.schedule = schedule

    def step(self) -> None:
        """A batch is over."""
        if self.schedule is not None:
            self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """{} if there is none. It knows how long it takes: a run that goes on with more pictures, and so with more
        batches in an epoch, ends its warm-up as it has begun it."""
        return {} if self.schedule is None else {"periods": self.schedule.periods, **self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``; it must be of a warm-up if this is one."""
        if self.schedule is not None:
            state = dict(state)
            periods = whole("Warmup.load_state_dict", "periods", state.pop("periods"))
            self.schedule.load_state_dict(state)
            self.schedule.periods = periods

"""How the learning rate changes while a network trains.

``step()`` is called once a period, an epoch or an iteration as the user likes, and multiplies the *present* rate of
each parameter group by a factor. So a rate that is set by hand stays in force, and schedules that are stepped together
multiply; this is PyTorch's "chainable form". Every schedule can be saved and restored.

    StepLR              gamma after every step_size periods
    MultiStepLR         gamma at each milestone     ResNet: at given iterations
    ReduceLROnPlateau   `factor` after `patience` periods without improvement     AlexNet: "divided by 10 when the
                        validation error rate stopped improving" (Krizhevsky et al., NIPS 2012, section 5)
    CosineAnnealingLR   half a cosine from 1 to eta_min/lr (Loshchilov and Hutter, ICLR 2017, eq. 5)
    OneCycleLR          up to a large rate, and down to nearly nothing (Smith and Topin, arXiv 1708.07120, 2017)
    OneCycleLR          up to a large rate, and down to nearly nothing (Smith and Topin, arXiv 1708.07120, 2017)
    LinearWarmup        from a small factor up to 1, then another schedule (Goyal et al., arXiv 1706.02677, section 2.2)
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..absent import absent
from ..settings import flag, one_of, real, whole


class Schedule:
    """What the schedules share: the count of periods, the rates, saving and restoring."""

    def __init__(self, optimizer: Any) -> None:
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(f"{type(self).__name__}: optimizer is a {type(optimizer).__name__}, and no optimiser")
        self.optimizer = optimizer  # its groups hold the rates
        self.count = 0  # periods that are over

    def step(self, metric: Any = None) -> None:
        """One period is over. metric: what ReduceLROnPlateau watches; the others need none."""
        self.count += 1
        self._change()  # the rates of the period that begins now

    def next_lr(self, lr: float) -> float:
        """The rate after period `self.count` of a group that has had the rate `lr`."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its next lr is")

    def get_last_lr(self) -> list[float]:
        """The present rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _change(self):
        for group in self.optimizer.param_groups:
            group["lr"] = self.next_lr(group["lr"])  # from the present one: a rate set by hand stays

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, the optimiser's rates too, as plain numbers."""
        return {"count": self.count, "lrs": self.get_last_lr()}

    def load_state_dict(self, state: Any) -> None:
        """Continue from ``state_dict``; the optimiser's rates are set to what they were. ValueError or TypeError, and
        nothing is changed, for the state of another schedule, of other groups or of an older version."""
        count, lrs = self._checked(state)  # raises before anything changes
        self.count = count
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr

    def _checked(self, state):
        """(count, rates) of a state that is built like this schedule's."""
        who, own = f"{type(self).__name__}.load_state_dict", self.state_dict()
        if not isinstance(state, Mapping) or state.keys() != own.keys():  # another schedule keeps other things
            has = ", ".join(map(str, state)) if isinstance(state, Mapping) else f"a {type(state).__name__}"
            why = "it is of another schedule, or was saved by another version of minicnn"
            raise ValueError(f"{who}: the state must have {', '.join(own)}, but has {has or 'nothing'}: {why}")
        if not isinstance(state["lrs"], (list, tuple)) or len(state["lrs"]) != len(own["lrs"]):
            raise ValueError(f"{who}: the state has other groups than the optimiser's {len(own['lrs'])}")
        return whole(who, "count", state["count"], 0), [real(who, "lrs", lr, at_least=0) for lr in state["lrs"]]


class StepLR(Schedule):
    """lr * gamma after every `step_size` periods."""

    def __init__(self, optimizer: Any, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(optimizer)
        self.step_size, self.gamma = whole("StepLR", "step_size", step_size), real("StepLR", "gamma", gamma, above=0)

    def next_lr(self, lr: float) -> float:
        return lr if self.count % self.step_size else lr * self.gamma  # falls where count is a multiple


class MultiStepLR(Schedule):
    """lr * gamma at each milestone: periods in ascending order; one that stands there twice counts twice."""

    def __init__(self, optimizer: Any, milestones: Iterable[int], gamma: float = 0.1) -> None:
        super().__init__(optimizer)
        if isinstance(milestones, str) or not isinstance(milestones, Iterable):
            raise TypeError(f"MultiStepLR: milestones must be a list of whole numbers, got {milestones!r}")
        self.milestones = [whole("MultiStepLR", "milestones", milestone) for milestone in milestones]  # periods
        if self.milestones != sorted(self.milestones):
            raise ValueError(f"MultiStepLR: milestones must ascend, got {self.milestones}")
        self.gamma = real("MultiStepLR", "gamma", gamma, above=0)

    def next_lr(self, lr: float) -> float:
        return lr * self.gamma ** self.milestones.count(self.count)  # gamma^0 = 1 between milestones


class CosineAnnealingLR(Schedule):
    """Half a cosine from lr down to eta_min over T_max periods; from then on the rate is left alone."""

    def __init__(self, optimizer: Any, T_max: int, eta_min: float = 0.0) -> None:
        super().__init__(optimizer)
        self.T_max = whole("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = real("CosineAnnealingLR", "eta_min", eta_min, at_least=0)

    def next_lr(self, lr: float) -> float:
        if self.count > self.T_max:  # beyond the end `before` would be 0
            return lr
        # lr(t) - eta_min is proportional to 1 + cos(pi t / T_max): a step multiplies it by the quotient of two of them
        before, now = (1 + math.cos(math.pi * count / self.T_max) for count in (self.count - 1, self.count))
        return now / before * (lr - self.eta_min) + self.eta_min  # multiplied is what is above eta_min


class OneCycleLR(Schedule):
    """From max_lr / div_factor up to max_lr, and down to the beginning's part 1 / final_div_factor, in `total_steps`
    steps, each way along half a cosine; beyond the last of them the rate is left alone.

    max_lr           a number, or one for each group
    pct_start        the part of the steps in which the rate rises
    cycle_momentum   the momentum, beta1 of Adam, falls meanwhile from MAX_MOMENTUM to BASE_MOMENTUM, and rises again
    """

    BASE_MOMENTUM, MAX_MOMENTUM = 0.85, 0.95

    def __init__(
        self,
        optimizer: Any,
        max_lr: float | Iterable[float],
        total_steps: int,
        pct_start: float = 0.3,
        cycle_momentum: bool = True,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        super().__init__(optimizer)
        self.total_steps = whole("OneCycleLR", "total_steps", total_steps)
        pct_start = real("OneCycleLR", "pct_start", pct_start, at_least=0, at_most=1)
        self.top = pct_start * self.total_steps - 1  # the step with the largest rate; it need not be a whole number
        self.first = 1 / real("OneCycleLR", "div_factor", div_factor, above=0)  # of max_lr
        self.last = self.first / real("OneCycleLR", "final_div_factor", final_div_factor, above=0)
        self.cycle_momentum = flag("OneCycleLR", "cycle_momentum", cycle_momentum)
        groups = optimizer.param_groups
        if self.cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise ValueError("OneCycleLR: the optimiser has no momentum; cycle_momentum=False leaves it alone")
        rates = list(max_lr) if isinstance(max_lr, Iterable) else [max_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(f"OneCycleLR: max_lr has {len(rates)} numbers for {len(groups)} groups")
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = real("OneCycleLR", "max_lr", rate, above=0) * self._between(self.first, 1, self.last)
        self._set_momentum()

    def next_lr(self, lr: float) -> float:
        if self.count >= self.total_steps:
            return lr
        now = self._between(self.first, 1, self.last)
        return lr * (now / self._between(self.first, 1, self.last, self.count - 1))

    def _change(self):
        super()._change()
        self._set_momentum()

    def _set_momentum(self):
        if not self.cycle_momentum:
            return
        momentum = self._between(self.MAX_MOMENTUM, self.BASE_MOMENTUM, self.MAX_MOMENTUM)
        for group in self.optimizer.param_groups:
            changed = {"betas": (momentum, group["betas"][1])} if "betas" in group else {"momentum": momentum}
            group.update(changed)

    def _between(self, first, top, last, count=None):
        """What goes from `first` to `top` to `last`, after `count` steps, or those so far."""
        count = min(self.count if count is None else count, self.total_steps - 1)
        if count <= self.top:
            return _along_cosine(first, top, count / self.top if self.top else 0.0)
        return _along_cosine(top, last, (count - self.top) / (self.total_steps - 1 - self.top))

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        self._set_momentum()


def _along_cosine(start, end, part):
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


class ReduceLROnPlateau(Schedule):
    """lr * factor whenever the metric has not improved for more than `patience` periods.

    mode: "min" if less is better (an error rate), "max" if more is (an accuracy). An improvement is one by more than
    `threshold`, relative to the best so far; a metric that is infinite or NaN is none. The rate does not fall below
    min_lr, and one that is below stays there.
    """

    def __init__(
        self,
        optimizer: Any,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(optimizer)
        self.mode = one_of("ReduceLROnPlateau", "mode", mode, ("min", "max"))
        self.factor = real("ReduceLROnPlateau", "factor", factor, above=0, below=1)
        self.patience = whole("ReduceLROnPlateau", "patience", patience, 0)
        self.threshold = real("ReduceLROnPlateau", "threshold", threshold, at_least=0)
        self.min_lr = real("ReduceLROnPlateau", "min_lr", min_lr, at_least=0)
        self.best: float | None = None  # the best metric so far
        self.bad_periods = 0  # since the best one, or since the rate fell

    def step(self, metric: Any = None) -> None:
        """One period is over, with this metric: a number, or a Tensor of one."""
        if metric is None:
            raise ValueError("ReduceLROnPlateau.step: it needs the metric that it watches")
        if isinstance(metric, str):
            raise TypeError(f"ReduceLROnPlateau.step: the metric must be a number, got {metric!r}")
        metric = float(metric)  # a Tensor, too
        self.count += 1
        if self._improves(metric):  # by more than the threshold
            self.best, self.bad_periods = metric, 0  # count anew
        else:
            self.bad_periods += 1
        if self.bad_periods > self.patience:  # patience + 1 of them in a row
            self.bad_periods = 0
            self._change()

    def next_lr(self, lr: float) -> float:
        return min(lr, max(self.min_lr, lr * self.factor))  # a rate below min_lr already must not rise

    def _improves(self, metric):
        if self.best is None or not math.isfinite(metric):  # the first finite metric is the best so far
            return math.isfinite(metric)
        margin = self.threshold * abs(self.best)  # a metric wavers: so little better counts as no better
        return metric < self.best - margin if self.mode == "min" else metric > self.best + margin

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best": self.best, "bad_periods": self.bad_periods}

    def _checked(self, state):
        count_and_lrs = super()._checked(state)
        who = "ReduceLROnPlateau.load_state_dict"
        whole(who, "bad_periods", state["bad_periods"], 0)  # only looked at: it is taken over below
        if state["best"] is not None:
            real(who, "best", state["best"])
        return count_and_lrs

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        self.best, self.bad_periods = state["best"], state["bad_periods"]


class LinearWarmup(Schedule):
    """From lr * start_factor up to lr over `periods`, in equal steps; then the schedule `after` (None: constant)."""

    def __init__(self, optimizer: Any, periods: int, start_factor: float = 0.1, after: Schedule | None = None) -> None:
        super().__init__(optimizer)
        self.periods = whole("LinearWarmup", "periods", periods)
        self.start_factor = real("LinearWarmup", "start_factor", start_factor, above=0, at_most=1)
        if after is not None and not (isinstance(after, Schedule) and after.optimizer is optimizer):
            raise TypeError("LinearWarmup: after must be a schedule of the same optimiser, or None")
        self.after = after  # gets its first step when the warm-up is over
        for group in optimizer.param_groups:
            group["lr"] *= self.start_factor  # now: the first period begins low

    def step(self, metric: Any = None) -> None:
        """One period is over. metric: what `after` watches, if it watches one."""
        self.count += 1
        if self.count <= self.periods:  # at the last of them the factor is 1
            self._change()
        elif self.after is not None:
            self.after.step(metric)  # which counts from the end of the warm-up

    def next_lr(self, lr: float) -> float:
        first = self.start_factor
        before, now = (first + (1 - first) * count / self.periods for count in (self.count - 1, self.count))
        return lr * (now / before)  # what lr was times `before` becomes times `now`

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "after": None if self.after is None else self.after.state_dict()}

    def _checked(self, state):
        count_and_lrs = super()._checked(state)
        if (self.after is None) != (state["after"] is None):
            raise ValueError("LinearWarmup.load_state_dict: one has a schedule behind the warm-up, the other has not")
        if self.after is not None:
            self.after._checked(state["after"])  # an error before anything changes
        return count_and_lrs

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        if self.after is not None:
            self.after.load_state_dict(state["after"])


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("lr_scheduler", name)

"""How the learning rate changes while a network trains.

A schedule multiplies the lr that each parameter group started with by a factor. ``step()`` is called once a period, an
epoch or an iteration as the user likes; every schedule can be saved and restored.

    StepLR              factor gamma^floor(t / step_size)
    MultiStepLR         factor gamma^(number of milestones <= t)     ResNet: at given iterations
    ReduceLROnPlateau   times `factor` after `patience` periods without improvement     AlexNet: "divided by 10 when the
                        validation error rate stopped improving" (Krizhevsky et al., NIPS 2012, section 5)
    CosineAnnealingLR   half a cosine from 1 to eta_min/lr (Loshchilov and Hutter, ICLR 2017, eq. 5)
    LinearWarmup        from a small factor up to 1, then another schedule (Goyal et al., arXiv 1706.02677, section 2.2)
"""

import math


class Schedule:
    """What the schedules share: the starting rates, the count of periods, saving and restoring."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.count = 0

    def step(self, metric=None):
        """One period is over. metric: what ReduceLROnPlateau watches; the others need none."""
        self.count += 1
        self._apply()

    def lr(self, base_lr):
        """The rate now in force for a group that started with `base_lr`."""
        raise TypeError(f"{type(self).__name__} does not say what its lr is")

    def _apply(self):
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.lr(base_lr)

    def state_dict(self):
        """Everything that changes, as plain numbers."""
        return {"base_lrs": list(self.base_lrs), "count": self.count}

    def load_state_dict(self, state):
        """Continue from ``state_dict``; the optimiser's rates are set to what they were."""
        self.base_lrs, self.count = list(state["base_lrs"]), state["count"]
        self._apply()


class StepLR(Schedule):
    """lr * gamma^floor(t / step_size)."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        super().__init__(optimizer)
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1 period, got {step_size}")
        self.step_size, self.gamma = step_size, gamma

    def lr(self, base_lr):
        return base_lr * self.gamma ** (self.count // self.step_size)


class MultiStepLR(Schedule):
    """lr * gamma^(number of milestones that have been reached)."""

    def __init__(self, optimizer, milestones, gamma=0.1):
        super().__init__(optimizer)
        self.milestones, self.gamma = sorted(milestones), gamma

    def lr(self, base_lr):
        return base_lr * self.gamma ** sum(milestone <= self.count for milestone in self.milestones)


class CosineAnnealingLR(Schedule):
    """Half a cosine from lr down to eta_min over T_max periods, and eta_min from then on."""

    def __init__(self, optimizer, T_max, eta_min=0.0):
        super().__init__(optimizer)
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be at least 1 period, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min

    def lr(self, base_lr):
        progress = min(self.count, self.T_max) / self.T_max
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * progress)) / 2


class ReduceLROnPlateau(Schedule):
    """lr times `factor` whenever the metric has not improved for more than `patience` periods.

    mode: "min" if less is better (an error rate), "max" if more is (an accuracy). An improvement is one by more than
    `threshold`, relative to the best so far. The rate does not fall below min_lr.
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, min_lr=0.0):
        super().__init__(optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f'ReduceLROnPlateau: mode must be "min" or "max", got {mode!r}')
        if not 0 < factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be between 0 and 1, got {factor}")
        self.mode, self.factor, self.patience, self.threshold, self.min_lr = mode, factor, patience, threshold, min_lr
        self.best, self.bad_periods, self.reductions = None, 0, 0

    def step(self, metric=None):
        if metric is None:
            raise ValueError("ReduceLROnPlateau.step: it needs the metric that it watches")
        if self._improves(metric):
            self.best, self.bad_periods = metric, 0
        else:
            self.bad_periods += 1
        if self.bad_periods > self.patience:
            self.reductions, self.bad_periods = self.reductions + 1, 0
        super().step()

    def lr(self, base_lr):
        return max(self.min_lr, base_lr * self.factor**self.reductions)

    def _improves(self, metric):
        if self.best is None:
            return not math.isnan(metric)
        margin = self.threshold * abs(self.best)
        return metric < self.best - margin if self.mode == "min" else metric > self.best + margin

    def state_dict(self):
        own = {"best": self.best, "bad_periods": self.bad_periods, "reductions": self.reductions}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state):
        self.best, self.bad_periods, self.reductions = state["best"], state["bad_periods"], state["reductions"]
        super().load_state_dict(state)


class LinearWarmup(Schedule):
    """From lr * start_factor up to lr over `periods`, in equal steps; then the schedule `after` (None: constant)."""

    def __init__(self, optimizer, periods, start_factor=0.1, after=None):
        super().__init__(optimizer)
        if periods < 1:
            raise ValueError(f"LinearWarmup: periods must be at least 1, got {periods}")
        self.periods, self.start_factor, self.after = periods, start_factor, after
        self._apply()

    def step(self, metric=None):
        self.count += 1
        if self.count > self.periods and self.after is not None:
            self.after.step(metric)
        else:
            self._apply()

    def lr(self, base_lr):
        progress = min(self.count, self.periods) / self.periods
        return base_lr * (self.start_factor + (1 - self.start_factor) * progress)

    def state_dict(self):
        return {**super().state_dict(), "after": None if self.after is None else self.after.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        if self.after is not None:
            self.after.load_state_dict(state["after"])
            if self.count <= self.periods:
                self._apply()

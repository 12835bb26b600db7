"""Gradients in buckets: a few long arrays that travel well, sent while backward goes on.

The sum of an array over all ranks takes a fixed time and a time for each byte; one sum for each of 161 parameters would
pay the first 161 times, and one sum for them all could not begin before the first layer's gradient, the last to be
worked out. So gradients are laid one behind the other, in the order in which backward finds them, and cut into buckets:

    backward   fc ───► conv5 ──► conv4 ──► conv3 ──► conv2 ──► conv1
    buckets    [ fc.bias fc.weight conv5.bias ][ conv5.weight conv4.bias ... ][ ... conv1.weight ]
                                sent here ─────►            sent here ───────►               ───►

A gradient *lives* in its bucket: ``parameter.grad`` is a view of it, so that nothing is copied back after the sum.

Source    Li et al., "PyTorch distributed: experiences on accelerating data parallel training", VLDB 2020, section 4.2
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..device import device_of, full
from ..types import Array
from ..variable import Variable
from .ranks import Sending

BYTES = 25 << 20  # of a bucket, at least; PyTorch's 25 MB


class Place(NamedTuple):
    """Where the gradient of a parameter lives."""

    bucket: "Bucket"
    view: Array  # of the bucket, in the parameter's shape


class Bucket:
    """Parameters that are neighbours, of one dtype and device, and one array for their gradients."""

    def __init__(self, parameters: Sequence[Variable]) -> None:
        self.parameters = parameters
        self.array = full(parameters[0].data, (sum(p.data.size for p in parameters),), 0)
        self.waiting: set[Variable] = set()  # whose gradients are not complete yet
        self.sending: Sending | None = None

    def places(self) -> dict[Variable, Place]:
        """{parameter: where its gradient lives}."""
        found, start = {}, 0
        for parameter in self.parameters:
            stop = start + parameter.data.size
            found[parameter] = Place(self, self.array[start:stop].reshape(parameter.data.shape))
            start = stop
        return found


class Buckets:
    """The gradients of these parameters; start_sum(array) begins the sum of one bucket over all ranks."""

    def __init__(
        self, parameters: Sequence[Variable], start_sum: Callable[[Array], Sending], size: int = BYTES
    ) -> None:
        self.start_sum = start_sum
        self.buckets = [Bucket(group) for group in in_buckets(parameters, size)]
        self.places = {parameter: place for bucket in self.buckets for parameter, place in bucket.places().items()}
        self.hooks = [p.register_post_accumulate_grad_hook(self.complete) for p in self.places]
        self.last = False  # whether the next gradient of a parameter is the last that is added to it in this step

    def begin(self) -> None:
        """A step begins."""
        for bucket in self.buckets:
            if bucket.sending is not None:  # an error has ended the step before
                bucket.sending.wait()
            bucket.waiting, bucket.sending = set(bucket.parameters), None

    def begin_part(self, last: bool) -> None:
        """A part of the step begins. last: what gets its gradient in this one is complete, and can be sent."""
        self.last = last

    def end_part(self) -> None:
        """Its backward is over."""
        self.last = False

    def complete(self, parameter: Any) -> None:
        """The engine's hook: a backward pass has added all it has to this parameter's gradient."""
        bucket = self.places[parameter].bucket
        if bucket.sending is not None:
            what = "backward() twice in one part of a step: the first one's gradients are on their way"
            raise RuntimeError(f"{what}; add the losses, and call it once")
        self._move_in(parameter)
        if self.last:
            bucket.waiting.discard(parameter)
            self._send_what_is_complete()

    def _move_in(self, parameter):
        """The gradient's memory is the bucket's from now on."""
        view = self.places[parameter].view
        if parameter.grad is None:
            view[...] = 0
        elif parameter.grad.data is not view:
            view[...] = parameter.grad.data
            parameter.grad = parameter.like(view)

    def _send_what_is_complete(self):
        """Buckets go in their order alone: every rank's calls must match."""
        for bucket in self.buckets:
            if bucket.sending is None:
                if bucket.waiting:
                    return
                bucket.sending = self.start_sum(bucket.array)

    def finish(self) -> None:
        """Send what has not been sent, and wait: now each gradient is the sum over all ranks.

        A parameter without a gradient sends zeros, and has none afterwards either."""
        for parameter, (bucket, view) in self.places.items():
            if bucket.sending is None:
                self._move_in(parameter)
            elif parameter.grad is None or parameter.grad.data is not view:
                what = "a .grad was replaced or removed within the step, after it had been sent to the other ranks"
                raise RuntimeError(f"DataParallel: {what}; change gradients after the step")
        for bucket in self.buckets:
            if bucket.sending is None:
                bucket.sending = self.start_sum(bucket.array)
        for bucket in self.buckets:
            bucket.sending.wait()  # type: ignore[union-attr]  # all are sent now
            bucket.sending = None

    def remove(self) -> None:
        """The hooks are gone, and the parameters' gradients their own affair again."""
        for hook in self.hooks:
            hook.remove()


def in_buckets(parameters: Sequence[Variable], size: int) -> list[list[Variable]]:
    """The parameters, last first, in groups of `size` bytes or somewhat more; a group has one dtype and device."""
    groups: list[list[Variable]] = []
    filled, kind = size, None
    for parameter in reversed(parameters):
        own = device_of(parameter.data), parameter.data.dtype
        if filled >= size or own != kind:
            groups.append([])
            filled, kind = 0, own
        groups[-1].append(parameter)
        filled += parameter.data.nbytes
    return groups

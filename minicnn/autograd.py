"""Reverse-mode automatic differentiation: the graph node, and the walk backwards.

Every op is a subclass of ``Function``. Applying it computes the result at once and, if some input asks for a
gradient, leaves the *instance* behind as a node of the graph: it knows its inputs and whatever it saved.

    x ──► Conv2d ──► ReLU ──► Add ──► loss             forward: nodes are linked as they run
          └────────────────────┘
    x.grad ◄── Conv2d ◄── ReLU ◄── Add ◄── 1.0         backward: the same nodes, consumers before producers

Why the order matters: the output of Conv2d is used twice above. Its gradient is the *sum* over both uses, so
Conv2d may go backwards only after ReLU and Add have both done so. ``topological_order`` guarantees that; a plain
recursion from the loss would visit Conv2d twice, once with each half. The walk keeps the running sums to itself
(``gradparts.py``), so a gradient is left behind on leaves only (and on results that were asked to keep theirs,
``retain_grad``), and it uses no recursion, so a graph may be as deep as memory allows.

Gradients are first-order: ``backward`` methods work on arrays and build no graph of their own. What is not on this
page: ``no_grad`` (``gradmode.py``), changes in place (``versions.py``), what an op must return (``contract.py``).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .absent import absent
from .contract import check_inputs, check_methods, check_saved, checked_result, gradients_of
from .device import current_tier, device_of, implementation, naming_memory_errors, share_memory
from .gradhooks import arrived, awaited, call_hooks
from .gradmode import is_grad_enabled
from .gradparts import Parts
from .listening import listener
from .precision import BFLOAT16, narrow, wide, widened
from .types import Array
from .variable import Variable, is_float
from .versions import Memory, Saved


class Edge:
    """What a node remembers of an input: the node it came out of (None for a leaf), the leaf, the kind of array.

    Not the Variable itself: that would keep every intermediate array alive until backward, and a later in-place op may
    make the Variable stand for another node.
    """

    __slots__ = ("device", "dtype", "leaf", "node", "shape")

    def __init__(self, variable: Variable) -> None:
        node, array = variable.node, variable.data
        self.node, self.leaf = node, variable if node is None else None
        self.shape, self.dtype, self.device = array.shape, array.dtype, device_of(array)


class Function(Memory):
    """An op and, once applied, a node of the graph.

    A subclass writes ``forward(self, *arrays, **options) -> array``, which may call ``save_for_backward``, and
    ``backward(self, grad_out) -> gradient(s)``: one array per input, or None where ``needs_input_grad`` is False.

        class Square(Function):
            def forward(self, x):
                self.save_for_backward(x)
                return x * x

            def backward(self, grad_out):
                (x,) = self.saved
                return 2 * x * grad_out

        y = Square.apply(x)
    """

    takes_bfloat16 = False  # whether forward and backward are written for bfloat16 arrays; else they get float32 ones
    float32_result = False  # whether of bfloat16 inputs the result is float32: a loss
    float32_weights = False  # whether weights beside a bfloat16 input are float32, and their gradients, too

    inputs: Sequence[Any] = ()  # Edges, or None. Of the class, as a subclass may have an __init__ of its own
    needs_input_grad: Sequence[bool] = ()
    retaining: Any = None  # a weak reference to its result, if that shall keep its gradient
    parts: Parts | None = None  # in `backward`: what other ops have given of its inputs' gradients (gradparts.py)
    freed = False
    device: str  # of the result, and so of the gradient that comes back
    tier: str

    def __init_subclass__(cls) -> None:
        check_methods(cls)

    def forward(self, *arrays: Any, **options: Any) -> Any:
        """The op itself: the array that it makes of its inputs' arrays."""
        raise NotImplementedError(f"{type(self).__name__}: write forward(self, *arrays, **options), to return an array")

    def backward(self, grad_out: Array) -> Any:
        """Its gradients, each of its input's shape and dtype; grad_out has those of what ``forward`` returned."""
        raise NotImplementedError(f"{type(self).__name__}: write backward(self, grad_out), which returns the gradients")

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run the op on Variables (None for one that is absent) and link the result into the graph."""
        node = cls()
        check_inputs(cls, inputs)
        node._given = given = [v for v in inputs if v is not None]  # whose arrays forward gets: versions.py asks
        recording = is_grad_enabled()  # asked now: when backward runs, a no_grad block may be over
        node.needs_input_grad = [recording and v is not None and v._requires_grad for v in inputs]
        node.device, node.tier = device_of(given[0].data), current_tier()  # by which `run` chooses

        with naming_memory_errors(cls.__name__), np.errstate(under="ignore"):  # too small a number is 0, as it should
            array = node.forward(*[None if v is None else node.array_of(v) for v in inputs], **options)
        if given[0].data.dtype == BFLOAT16 and not (cls.takes_bfloat16 or cls.float32_result):
            array = narrow(array)
        needs_grad = True in node.needs_input_grad  # some input asks for a gradient: so does the result
        array = checked_result(cls.__name__, array, needs_grad)
        node.device = device_of(array)  # x.to("cuda"): its gradient will come from there
        result = node.result_of(array, needs_grad)  # a new Variable; the input itself if it was overwritten

        if needs_grad:  # the instance stays, as a node; else nobody holds it and it is gone
            check_saved(cls.__name__, node._saved)
            variables = [*given, result]  # in whose memory a saved array may lie, and be changed
            node._saved = tuple(Saved(array, variables) for array in node._saved)  # with counts of changes
            node.inputs = [None if v is None else Edge(v) for v in inputs]
            result.stand_for(node)  # last: after an in-place op `result` is one of the inputs
        if hear := listener():
            hear(node, inputs, options, result)
        return result

    def save_for_backward(self, *arrays: Array) -> None:
        """Keep arrays for ``backward``, where ``self.saved`` gives them back. Call it once, in ``forward``."""
        self._saved = arrays

    @property
    def saved(self) -> tuple[Any, ...]:
        """The saved arrays."""
        return tuple(entry.array for entry in self._saved)

    def array_of(self, variable: Variable) -> Array:
        """What ``forward`` gets of an input: its array, or a float32 copy of a bfloat16 one."""
        return variable.data if self.takes_bfloat16 else wide(variable.data)

    def run(self, reference: Callable[..., Any], *args: Any) -> Any:
        """Call `reference`, or its mirror for the device and the tier this node was applied on.

        Its first argument is the input, or the gradient: TypeError unless that is of floats. A function that is not
        written for bfloat16 arrays gets float32 ones (precision.py).
        """
        dtype = args[0].dtype
        if dtype.kind != "f" and not is_float(dtype):
            what = f"{reference.__name__}: the input is {dtype}"
            raise TypeError(f"{what}, not float32 or float64; convert it with .astype(...)")
        function = implementation(reference, self.device, self.tier)  # the table at the top of device.py
        if dtype == BFLOAT16 and not hasattr(function, "takes_bfloat16"):
            return widened(function, reference, args)
        return function(*args)

    def free(self) -> None:
        """Let go of everything the node holds, as the backward walk passes it."""
        self.inputs = self._saved = self._constants = ()
        self.freed = True


def backward(root: Variable, grad: Any, retain_graph: bool, add: Any) -> None:
    """Add to ``leaf.grad`` the gradient of sum(root * grad), for every leaf that `root` depends on.

    The graph is freed on the way, unless `retain_graph`; going through it again is then a RuntimeError.
    add: the op (its reference) for the sum of the gradients of an array that was used more than once.
    """
    if root.node is None:
        _accumulate(root, grad, owned=False)  # backward() of a leaf: d root / d root = 1. grad is the caller's: copied
        call_hooks(root)
        return
    order = topological_order(root.node)
    parts = Parts(order, add)  # of the gradient of each node's result, from those uses that are passed
    parts.put(root.node, grad)
    hooked = awaited(order)  # of leaves with hooks (gradhooks.py), which are few: how many uses are still to come
    while order:
        node = order.pop()  # the last that is left: every use of its result is passed, so its sum is complete
        if node.freed:
            what = f"backward() came to a {type(node).__name__} whose saved arrays an earlier backward() has freed"
            raise RuntimeError(f"{what}; run the forward pass again, or pass retain_graph=True to the earlier call")
        grad_out = parts.take(node)
        node.check_unchanged()  # what forward saved is still what it was
        result = node.retaining and node.retaining()
        if result is not None and result.node is node:  # else it has become another op's result, in place
            _accumulate(result, grad_out, owned=False)
        with naming_memory_errors(f"{type(node).__name__}.backward"), parts.shown_to(node):
            grads = gradients_of(node, grad_out)  # node.backward(grad_out), looked at (contract.py)
        for i, (edge, grad) in enumerate(zip(node.inputs, grads, strict=True)):
            if grad is None:  # an input that is absent, or that requires no gradient
                continue
            if edge.node is None:  # a leaf: here the gradient stays; `others` may hold its array, too
                others = [grad_out, *(entry.array for entry in node._saved), *grads[:i], *grads[i + 1 :]]
                _accumulate(edge.leaf, grad, owned=_is_alone(grad, others))
                if edge.leaf in hooked:
                    arrived(edge.leaf, hooked)
            else:
                parts.put(edge.node, grad)
        parts.passed(node)
        if not retain_graph:
            node.free()  # its arrays go now, before the next node asks for memory


def topological_order(root: Any) -> list[Any]:
    """The nodes that `root` depends on, itself last: each one stands after every node it takes an input from."""
    order, seen, stack = [], set(), [(root, False)]  # a stack of our own: Python's would end at 1000 nodes
    while stack:
        node, inputs_are_done = stack.pop()
        if inputs_are_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)  # once: a node with two uses is reached twice
            stack.append((node, True))  # comes off the stack again after all that is put on top of it now
            # the first input on top, with all that is behind it: so it comes last in the walk backwards
            edges = [edge for edge in reversed(node.inputs) if edge is not None and edge.node is not None]
            stack.extend((edge.node, False) for edge in edges)
    return order


def _is_alone(array, others):
    """Whether `array` is all there is in its memory and shares it with none of the others (None is skipped).

    Only then may it become ``leaf.grad`` itself: backward of + gives one array for both of its inputs.
    """
    owner = array if array.base is None else array.base  # of a view: the array that it looks into
    is_whole = getattr(owner, "nbytes", array.nbytes) == array.nbytes  # else it would keep a larger array alive
    return is_whole and not any(share_memory(array, other) for other in others if other is not None)


def _accumulate(leaf, grad, owned):
    """Add `grad` to ``leaf.grad``; an array that somebody else may hold too (not `owned`) is copied first."""
    former = leaf.grad
    if former is None:
        leaf.grad = leaf.like(grad if owned else grad.copy())
    elif former.data.shape != grad.shape:  # the leaf has been given another array since
        raise RuntimeError(f"backward(): a gradient of shape {grad.shape} cannot add to a .grad of {former.data.shape}")
    else:
        former.data += grad  # in place: nobody else holds a .grad's array


if not TYPE_CHECKING:

    def __getattr__(name):  # torch.autograd.grad, for instance
        raise absent("autograd", name)

"""Reverse-mode automatic differentiation: the graph node, ``no_grad``, and the walk backwards.

Every op is a subclass of ``Function``. Applying it computes the result at once and, if some input asks for a
gradient, leaves the *instance* behind as a node of the graph: it knows its inputs and whatever it saved.

    x ──► Conv2d ──► ReLU ──► Add ──► loss             forward: nodes are linked as they run
          └────────────────────┘
    x.grad ◄── Conv2d ◄── ReLU ◄── Add ◄── 1.0         backward: the same nodes, consumers before producers

Why the order matters: the output of Conv2d is used twice above. Its gradient is the *sum* over both uses, so
Conv2d may go backwards only after ReLU and Add have both done so. ``topological_order`` guarantees that; a plain
recursion from the loss would visit Conv2d twice, once with each half. The walk keeps the running sums in a
local dictionary, so a gradient is left behind on leaves only, and it uses no recursion, so a graph may be as
deep as memory allows.

Gradients are first-order: ``backward`` methods work on arrays and build no graph of their own.
"""

import contextlib
import threading

from .device import DeviceError, array_module, as_array, current_tier, device_of, implementation, naming_memory_errors


class _GradMode(threading.local):
    enabled = True


_grad_mode = _GradMode()


@contextlib.contextmanager
def no_grad():
    """``with no_grad(): ...`` (or as a decorator): ops inside leave no graph behind and save nothing."""
    before, _grad_mode.enabled = _grad_mode.enabled, False
    try:
        yield
    finally:
        _grad_mode.enabled = before


class Version:
    """Counts in-place changes of one piece of memory; a tensor and its views share one counter."""

    __slots__ = ("count", "has_views")

    def __init__(self):
        self.count = 0
        self.has_views = False  # whether several tensors of a graph lie in this memory


class Variable:
    """An array in a graph: what this file needs to know of a tensor (``Tensor`` adds the operators).

    data           the array
    requires_grad  whether ``backward`` shall work out a gradient for it
    grad           that gradient, on leaves only: None, or a Variable that further backward passes add to
    node           the Function it came out of; None for a leaf
    """

    def __init__(self, data, requires_grad=False):
        self._data = data
        self.version = Version()
        self.requires_grad = requires_grad
        self.grad = None
        self.node = None

    @property
    def data(self):
        return self._data

    @data.setter
    def data(self, array):
        self._data = array
        self.version.count += 1

    def like(self, array):
        """A new variable of this family around `array`."""
        return Variable(array)


class Edge:
    """What a node remembers of an input: the node it came out of (None for a leaf), the leaf, the kind of array.

    Not the Variable itself: that would keep every intermediate array alive until backward, and a later in-place op may
    make the Variable stand for another node.
    """

    __slots__ = ("dtype", "leaf", "node", "shape")

    def __init__(self, variable):
        self.node = variable.node
        self.leaf = variable if variable.node is None else None
        self.shape, self.dtype = variable.data.shape, variable.data.dtype


class Function:
    """An op and, once applied, a node of the graph.

    A subclass writes ``forward(self, *arrays, **options) -> array``, which may call ``save_for_backward``, and
    ``backward(self, grad_out) -> gradient(s)``: one array per input, or None where ``needs_input_grad`` is False.
    """

    def __init__(self):
        self.inputs = ()
        self.needs_input_grad = ()
        self.freed = False
        self._saved = ()
        self._overwritten = None

    @classmethod
    def apply(cls, *inputs, **options):
        """Run the op on Variables (None for one that is absent) and link the result into the graph."""
        node = cls()
        variables = [v for v in inputs if v is not None]
        _check_inputs(cls, inputs)
        node.device, node.tier = device_of(variables[0].data), current_tier()
        node.needs_input_grad = tuple(_grad_mode.enabled and v is not None and v.requires_grad for v in inputs)

        node.inputs = inputs
        with naming_memory_errors(cls.__name__):
            array = node.forward(*(None if v is None else v.data for v in inputs), **options)
        array = as_array(array)
        result = variables[0].like(array) if node._overwritten is None else node._overwritten
        node._overwritten = None  # a node that held its own result would be a cycle
        for v in variables:
            if v is not result and array_module(array).may_share_memory(array, v.data):
                result.version = v.version
                result.version.has_views |= any(node.needs_input_grad)
        if any(node.needs_input_grad):
            node._saved = tuple(_Saved(array, [*variables, result]) for array in node._saved)
            node.inputs = tuple(None if v is None else Edge(v) for v in inputs)
            result.requires_grad, result.node = True, node
        return result

    def save_for_backward(self, *arrays):
        """Keep arrays for ``backward``, where ``self.saved`` gives them back. Call it once, in ``forward``."""
        self._saved = arrays

    def overwrite(self, array):
        """Announce, in ``forward``, that it is about to write its result into this input: ``inplace=True``.

        The tensor then *becomes* the result. RuntimeError for a leaf that requires a gradient (the value it would be
        taken at is lost), and where a view shares the memory (its values would no longer be what the graph says).
        """
        variable = next(v for v in self.inputs if v is not None and v.data is array)
        if variable.requires_grad and variable.node is None and _grad_mode.enabled:
            raise RuntimeError(
                f"{type(self).__name__}: inplace=True would overwrite a leaf of shape {array.shape} that requires a "
                "gradient; use inplace=False"
            )
        if variable.version.has_views and _grad_mode.enabled:
            raise RuntimeError(
                f"{type(self).__name__}: inplace=True would overwrite memory of shape {array.shape} that a view shares "
                "(made by reshape, flatten, permute or indexing); use inplace=False"
            )
        self._overwritten = variable
        variable.version.count += 1

    @property
    def saved(self):
        """The saved arrays; RuntimeError if one was changed in place since."""
        for entry in self._saved:
            entry.check(type(self).__name__)
        return tuple(entry.array for entry in self._saved)

    def run(self, reference, *args):
        """Call `reference`, or its mirror for the device and the tier this node was applied on.

        Its first argument is the input, or the gradient: TypeError unless that is float32 or float64.
        """
        if args[0].dtype.kind != "f":
            what = f"{reference.__name__}: the input is {args[0].dtype}"
            raise TypeError(f"{what}, not float32 or float64; convert it with .astype(...)")
        return implementation(reference, self.device, self.tier)(*args)

    def free(self):
        """Let go of everything the node holds, as the backward walk passes it."""
        self.inputs = self._saved = ()
        self.freed = True


class _Saved:
    """A saved array, with the in-place counts it had then of the tensors that it shares memory with."""

    def __init__(self, array, variables):
        self.array = array
        shares = array_module(array).may_share_memory
        self.counts = [(v.version, v.version.count) for v in variables if shares(v.data, array)]

    def check(self, op):
        for version, count in self.counts:
            if version.count != count:
                raise RuntimeError(
                    f"{op}: a tensor of shape {self.array.shape} that backward() needs was changed in place after the "
                    "forward pass; change a copy, or change it after backward()"
                )


def backward(root, grad, retain_graph, add):
    """Add to ``leaf.grad`` the gradient of sum(root * grad), for every leaf that `root` depends on.

    The graph is freed on the way, unless `retain_graph`; going through it again is then a RuntimeError.
    add: the op (its reference) for the sum of the gradients of an array that was used more than once.
    """
    if root.node is None:
        _accumulate(root, grad, owned=False)
        return
    pending = {root.node: grad}
    order = topological_order(root.node)
    while order:
        node = order.pop()
        if node.freed:
            raise RuntimeError(
                f"backward() came to a {type(node).__name__} whose saved arrays an earlier backward() has freed; run "
                "the forward pass again, or pass retain_graph=True to the earlier call"
            )
        grad_out = pending.pop(node, None)
        if grad_out is not None:
            grads = _gradients(node, grad_out)
            for i, (edge, grad) in enumerate(zip(node.inputs, grads, strict=True)):
                if grad is None:
                    continue
                if edge.node is None:
                    others = [grad_out, *(entry.array for entry in node._saved), *grads[:i], *grads[i + 1 :]]
                    _accumulate(edge.leaf, grad, owned=_is_alone(grad, others))
                elif edge.node in pending:
                    pending[edge.node] = edge.node.run(add, pending[edge.node], grad)  # not in place: it may be shared
                else:
                    pending[edge.node] = grad
        if not retain_graph:
            node.free()


def topological_order(root):
    """The nodes that `root` depends on, itself last: each one stands after every node it takes an input from."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, inputs_are_done = stack.pop()
        if inputs_are_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((edge.node, False) for edge in node.inputs if edge is not None and edge.node is not None)
    return order


def _gradients(node, grad_out):
    """What ``node.backward`` returns, one entry per input, checked."""
    op = type(node).__name__
    with naming_memory_errors(f"{op}.backward"):
        grads = node.backward(grad_out)
    grads = tuple(None if g is None else as_array(g) for g in (grads if isinstance(grads, tuple) else (grads,)))
    if len(grads) != len(node.inputs):
        raise RuntimeError(f"{op}.backward returned {len(grads)} gradients for {len(node.inputs)} inputs")
    for i, (edge, needed, grad) in enumerate(zip(node.inputs, node.needs_input_grad, grads, strict=True)):
        if not needed:
            continue
        if grad is None:
            raise RuntimeError(f"{op}.backward returned no gradient for input {i}, which requires one")
        if grad.shape != edge.shape or grad.dtype != edge.dtype:
            raise RuntimeError(
                f"{op}.backward returned a gradient of shape {grad.shape}, {grad.dtype}, for input {i}, "
                f"which has shape {edge.shape}, {edge.dtype}"
            )
    return tuple(grad if needed else None for grad, needed in zip(grads, node.needs_input_grad, strict=True))


def _is_alone(array, others):
    """Whether `array` is all there is in its memory and shares it with none of the others (None is skipped)."""
    shares, owner = array_module(array).may_share_memory, array if array.base is None else array.base
    is_whole = getattr(owner, "nbytes", array.nbytes) == array.nbytes
    return is_whole and not any(shares(array, other) for other in others if other is not None)


def _accumulate(leaf, grad, owned):
    """Add `grad` to ``leaf.grad``; an array that somebody else may hold too (not `owned`) is copied first."""
    if leaf.grad is None:
        leaf.grad = leaf.like(grad if owned else grad.copy())
    else:
        leaf.grad.data += grad


def _check_inputs(function, inputs):
    """Variables of one dtype on one device, or None; what is not is named as ``forward`` names it."""
    op, code = function.__name__, function.forward.__code__
    names = code.co_varnames[1 : code.co_argcount] or [f"input {i}" for i in range(len(inputs))]  # (self, *arrays)
    named = [(name, v) for name, v in zip(names, inputs, strict=False) if v is not None]
    if not named:
        raise TypeError(f"{op}: {names[0]} is None, not a Tensor")
    for name, v in named:
        if not isinstance(v, Variable):
            raise TypeError(f"{op}: {name} is a {type(v).__name__}, not a Tensor; wrap it in Tensor(...)")
    if len({v.data.dtype for _, v in named}) > 1:
        dtypes = ", ".join(f"{name}: {v.data.dtype}" for name, v in named)
        raise TypeError(f"{op}: the inputs differ in dtype ({dtypes}); convert one with .astype(...)")
    if len({device_of(v.data) for _, v in named}) > 1:
        devices = ", ".join(f"{name}: {device_of(v.data)}" for name, v in named)
        raise DeviceError(f"{op}: the inputs are on different devices ({devices}); move one with .to(...)")

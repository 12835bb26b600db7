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

import numpy as np

from .contract import check_inputs, check_saved, check_writeable, checked_gradients, checked_result, gradients_of
from .device import current_tier, device_of, implementation, naming_memory_errors, share_memory
from .gradmode import is_grad_enabled
from .variable import Variable
from .versions import Constant, Saved


class Edge:
    """What a node remembers of an input: the node it came out of (None for a leaf), the leaf, the kind of array.

    Not the Variable itself: that would keep every intermediate array alive until backward, and a later in-place op may
    make the Variable stand for another node.
    """

    __slots__ = ("device", "dtype", "leaf", "node", "shape")

    def __init__(self, variable):
        self.node = variable.node
        self.leaf = variable if variable.node is None else None
        self.shape, self.dtype, self.device = variable.data.shape, variable.data.dtype, device_of(variable.data)


class Function:
    """An op and, once applied, a node of the graph.

    A subclass writes ``forward(self, *arrays, **options) -> array``, which may call ``save_for_backward``, and
    ``backward(self, grad_out) -> gradient(s)``: one array per input, or None where ``needs_input_grad`` is False.
    """

    inputs = needs_input_grad = ()  # of the class: a subclass may have an __init__ of its own
    freed = False
    _saved = _constants = ()
    _overwritten = None

    def forward(self, *arrays, **options):
        raise NotImplementedError(
            f"{type(self).__name__}: write forward(self, *arrays, **options), which returns an array"
        )

    def backward(self, grad_out):
        raise NotImplementedError(f"{type(self).__name__}: write backward(self, grad_out), which returns the gradients")

    @classmethod
    def apply(cls, *inputs, **options):
        """Run the op on Variables (None for one that is absent) and link the result into the graph."""
        node = cls()
        variables = [v for v in inputs if v is not None]
        check_inputs(cls, inputs)
        node.device, node.tier = device_of(variables[0].data), current_tier()
        node.needs_input_grad = tuple(is_grad_enabled() and v is not None and v._requires_grad for v in inputs)

        node.inputs = inputs
        with naming_memory_errors(cls.__name__), np.errstate(under="ignore"):  # too small a number is 0, as it should
            array = node.forward(*(None if v is None else v.data for v in inputs), **options)
        needs_grad = True in node.needs_input_grad
        array = checked_result(cls.__name__, array, needs_grad)
        node.device = device_of(array)  # where the gradient will come from, too
        result = variables[0].like(array) if node._overwritten is None else node._overwritten
        node._overwritten = None  # a node that held its own result would be a cycle
        for v in variables:
            if v is not result and share_memory(array, v.data):
                result.version = v.version
                result.version.has_views |= needs_grad
        if needs_grad:
            check_saved(cls.__name__, node._saved)
            node._saved = tuple(Saved(array, [*variables, result]) for array in node._saved)
            node.inputs = tuple(None if v is None else Edge(v) for v in inputs)
            result._requires_grad, result.node = True, node
        return result

    def save_for_backward(self, *arrays):
        """Keep arrays for ``backward``, where ``self.saved`` gives them back. Call it once, in ``forward``."""
        self._saved = arrays

    def constant(self, value):
        """The array of `value` (an array or a Tensor), which is no input: labels, weights of classes, an index.

        If there will be a backward pass, it is a copy, and one that ``backward`` may read too: RuntimeError there if
        the owner has changed `value` in between (``versions.py``).
        """
        array, version = (value.data, value.version) if isinstance(value, Variable) else (value, None)
        if not any(self.needs_input_grad):
            return array
        constant = Constant(array, version)
        self._constants += (constant,)
        return constant.array

    def overwrite(self, array):
        """Announce, in ``forward``, that it is about to write its result into this input: ``inplace=True``.

        The tensor then *becomes* the result. RuntimeError for a leaf that requires a gradient (the value it would be
        taken at is lost), and where a view shares the memory (its values would no longer be what the graph says).
        """
        variable = next(v for v in self.inputs if v is not None and v.data is array)
        if variable.requires_grad and variable.node is None and is_grad_enabled():
            raise RuntimeError(
                f"{type(self).__name__}: inplace=True would overwrite a leaf of shape {array.shape} that requires a "
                "gradient; use inplace=False"
            )
        if variable.version.has_views and is_grad_enabled():
            raise RuntimeError(
                f"{type(self).__name__}: inplace=True would overwrite memory of shape {array.shape} that a view shares "
                "(made by reshape, flatten, permute or indexing); use inplace=False"
            )
        check_writeable(f"{type(self).__name__}: inplace=True", array)
        self._overwritten = variable
        variable.version.count += 1

    @property
    def saved(self):
        """The saved arrays."""
        return tuple(entry.array for entry in self._saved)

    def check_unchanged(self):
        """RuntimeError if something that ``backward`` reads was changed since ``forward``."""
        for entry in (*self._saved, *self._constants):
            entry.check(type(self).__name__)

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
        self.inputs = self._saved = self._constants = ()
        self.freed = True


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
            op = type(node).__name__
            node.check_unchanged()
            with naming_memory_errors(f"{op}.backward"):
                grads = gradients_of(node, grad_out)
            grads = checked_gradients(op, grads, node.inputs, node.needs_input_grad)
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


def _is_alone(array, others):
    """Whether `array` is all there is in its memory and shares it with none of the others (None is skipped)."""
    owner = array if array.base is None else array.base
    is_whole = getattr(owner, "nbytes", array.nbytes) == array.nbytes
    return is_whole and not any(share_memory(array, other) for other in others if other is not None)


def _accumulate(leaf, grad, owned):
    """Add `grad` to ``leaf.grad``; an array that somebody else may hold too (not `owned`) is copied first."""
    if leaf.grad is None:
        leaf.grad = leaf.like(grad if owned else grad.copy())
    elif leaf.grad.data.shape != grad.shape:  # the leaf has been given another array since
        raise RuntimeError(
            f"backward(): a gradient of shape {grad.shape} does not add to a .grad of {leaf.grad.data.shape}"
        )
    else:
        leaf.grad.data += grad

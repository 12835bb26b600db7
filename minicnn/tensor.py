"""Tensor: an array that remembers how it was computed, with the operators one expects.

    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    x.grad                      # 2 x

Every method that computes is one op of ``minicnn/ops/``, called by its name; the engine that walks backwards is
``minicnn/autograd.py``.
"""

import numpy as np

from .autograd import backward
from .comparisons import Comparisons
from .device import device_of, naming_memory_errors, to_device
from .graph import to_dot
from .idioms import TorchIdioms
from .ops import arithmetic, inplace, linear, reduction, shape
from .protocols import ArrayProtocols, tensor_data
from .variable import Variable


class Tensor(TorchIdioms, Comparisons, ArrayProtocols):
    """An array of float32 or float64 (or integers or booleans, without gradients) in the graph.

    data           a NumPy or CuPy array, shared, not copied; or anything ``np.asarray`` takes: floats from Python
                   numbers become float32. TypeError for other dtypes, masked arrays, and Tensors that need a gradient
    requires_grad  True: ``backward()`` leaves the gradient in ``.grad``, a Tensor, and adds to what stands there
    """

    def __init__(self, data, requires_grad=False):
        super().__init__(tensor_data(data), requires_grad)

    def like(self, array):
        return Tensor(array)

    # What it holds

    @property
    def shape(self):
        return self.data.shape

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def device(self):
        """Where the array lives: "cpu" or "cuda"."""
        return device_of(self.data)

    # The graph

    def requires_grad_(self, requires_grad=True):
        """Set ``requires_grad`` of a leaf, and return it."""
        self.requires_grad = requires_grad
        return self

    def backward(self, grad=None, retain_graph=False):
        """Work out the gradients of this tensor, and add them to ``.grad`` of every leaf that requires one.

        grad: the upstream gradient, of this tensor's shape; 1 if left out, which only a single number allows.
        First-order only. The graph is freed on the way unless `retain_graph`: a second call is a RuntimeError.
        """
        if not self.requires_grad:
            raise RuntimeError("backward() of a tensor that depends on nothing with requires_grad=True")
        if grad is None:
            if self.size != 1:
                raise ValueError(
                    f"backward() of a tensor of shape {self.shape} needs the upstream gradient, of that shape"
                )
            grad = Tensor(np.ones_like(self.data))
        grad = grad.data if isinstance(grad, Variable) else to_device(np.asarray(grad, self.dtype), self.device)
        if grad.shape != self.shape or grad.dtype != self.dtype or device_of(grad) != self.device:
            raise ValueError(
                f"backward(): the upstream gradient has shape {grad.shape}, {grad.dtype}, on {device_of(grad)!r}; "
                f"the tensor has {self.shape}, {self.dtype}, on {self.device!r}"
            )
        # `add` sums the gradients of a result that was used twice: an op of two equal shapes that has a kernel on each
        # device, as the residual add is. It is handed over because autograd.py stands below the ops.
        with naming_memory_errors("backward"), np.errstate(under="ignore"):
            backward(self, grad, retain_graph, add=arithmetic.residual_add_forward)

    def detach(self):
        """The same memory, outside the graph."""
        result = Tensor(self.data)
        result.version = self.version
        return result

    def graph(self, names=None):
        """The graph behind this tensor as DOT text (``minicnn/graph.py``)."""
        return to_dot(self, names)

    def to(self, device):
        """This tensor on `device`; itself where it is there already. Its gradient comes back to where it is."""
        return self if self.device == device else shape.to(self, device)

    def astype(self, dtype):
        """A copy in another dtype; integers and booleans are outside the graph."""
        return arithmetic.astype(self, dtype) if np.dtype(dtype).kind == "f" else Tensor(self.data.astype(dtype))

    def clone(self):
        """A copy, whose gradient comes back here."""
        return self.astype(self.dtype)

    # Arithmetic

    def __add__(self, other):
        return arithmetic.add(self, other)

    def __radd__(self, other):
        return arithmetic.add(other, self)

    def __sub__(self, other):
        return arithmetic.sub(self, other)

    def __rsub__(self, other):
        return arithmetic.sub(other, self)

    def __mul__(self, other):
        return arithmetic.mul(self, other)

    def __rmul__(self, other):
        return arithmetic.mul(other, self)

    def __truediv__(self, other):
        return arithmetic.div(self, other)

    def __rtruediv__(self, other):
        return arithmetic.div(other, self)

    def __pow__(self, exponent):
        return arithmetic.pow(self, exponent)

    def __rpow__(self, base):
        return arithmetic.power_of(base, self)

    def __neg__(self):
        return arithmetic.neg(self)

    def __matmul__(self, other):
        return linear.matmul(self, other)

    def __rmatmul__(self, other):
        return linear.matmul(other, self)

    def __abs__(self):
        return arithmetic.abs(self)

    def exp(self):
        return arithmetic.exp(self)

    def log(self):
        return arithmetic.log(self)

    def abs(self):
        return arithmetic.abs(self)

    def clamp(self, min=None, max=None):
        return arithmetic.clamp(self, min, max)

    # In place: what the values are in the graph afterwards is said in ops/inplace.py

    def __iadd__(self, other):
        return inplace.inplace("add", arithmetic.add, self, other)

    def __isub__(self, other):
        return inplace.inplace("sub", arithmetic.sub, self, other)

    def __imul__(self, other):
        return inplace.inplace("mul", arithmetic.mul, self, other)

    def __itruediv__(self, other):
        return inplace.inplace("div", arithmetic.div, self, other)

    def __ipow__(self, exponent):
        return inplace.become("pow", self, self**exponent)

    def __iand__(self, other):
        return inplace.become("and", self, self & other)

    def __ior__(self, other):
        return inplace.become("or", self, self | other)

    def __ixor__(self, other):
        return inplace.become("xor", self, self ^ other)

    # Reductions

    def sum(self, dim=None, keepdim=False):
        return reduction.sum(self, dim, keepdim)

    def mean(self, dim=None, keepdim=False):
        return reduction.mean(self, dim, keepdim)

    def max(self, dim=None, keepdim=False):
        """The largest; along an axis `dim`, a pair: the largest `values`, and the `indices` at which they stand."""
        return reduction.max(self, dim, keepdim)

    def min(self, dim=None, keepdim=False):
        """The smallest, as ``max``."""
        return reduction.min(self, dim, keepdim)

    def argmax(self, dim=None, keepdim=False):
        """Where the (first) largest stands, as integers outside the graph."""
        return Tensor(self.data.argmax(axis=dim, keepdims=keepdim))

    def argmin(self, dim=None, keepdim=False):
        """Where the (first) smallest stands, as integers outside the graph."""
        return Tensor(self.data.argmin(axis=dim, keepdims=keepdim))

    def any(self, dim=None, keepdim=False):
        """Whether any of them is true, outside the graph."""
        return Tensor(self.data.any(axis=dim, keepdims=keepdim))

    def all(self, dim=None, keepdim=False):
        """Whether all of them are true, outside the graph."""
        return Tensor(self.data.all(axis=dim, keepdims=keepdim))

    # Shape

    def reshape(self, *shape_):
        return shape.reshape(self, _spread(shape_))

    def flatten(self, start_dim=0, end_dim=-1):
        return shape.flatten(self, start_dim, end_dim)

    def permute(self, *dims):
        return shape.permute(self, _spread(dims))

    def transpose(self, dim0, dim1):
        return shape.transpose(self, dim0, dim1)

    def unsqueeze(self, dim):
        return shape.unsqueeze(self, dim)

    def squeeze(self, dim=None):
        return shape.squeeze(self, dim)

    def __getitem__(self, index):
        return shape.getitem(self, index)

    def __setitem__(self, index, value):
        """Overwrite values in place, which the graph does not record."""
        inplace.setitem(self, index, value)


def cat(tensors, dim=0):
    """Tensors one after the other along the axis `dim`."""
    return shape.cat(tensors, dim)


def stack(tensors, dim=0):
    """Tensors of one shape side by side along a new axis `dim`."""
    return shape.stack(tensors, dim)


def _spread(args):
    """(2, 3) from reshape(2, 3) and from reshape((2, 3)) alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args

"""Tensor: an array that remembers how it was computed, with the operators one expects.

    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    x.grad                      # 2 x

Every method that computes is one op of ``minicnn/ops/``, called by its name; the engine that walks backwards is
``minicnn/autograd.py``.
"""

import numpy as np

from .autograd import Variable, backward
from .device import device_of, naming_memory_errors, to_device
from .graph import to_dot
from .ops import arithmetic, linear, reduction, shape


class Tensor(Variable):
    """An array of float32 or float64 (or integers or booleans, without gradients) in the graph.

    data           a NumPy or CuPy array, shared, not copied; or anything ``np.asarray`` takes: a copy, and floats from
                   Python numbers become float32
    requires_grad  True: ``backward()`` leaves the gradient in ``.grad``, a Tensor, and adds to what stands there
    """

    __array_ufunc__ = None  # np_array * tensor: NumPy leaves it to the Tensor; np.exp(tensor) is an error

    def __init__(self, data, requires_grad=False):
        super().__init__(_as_data(data))
        self.requires_grad_(requires_grad)

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
    def size(self):
        return self.data.size

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def device(self):
        """Where the array lives: "cpu" or "cuda"."""
        return device_of(self.data)

    def item(self):
        """The one number it holds, as a Python number."""
        return self.numpy().item()

    def numpy(self):
        """The values as a NumPy array: the tensor's own memory on the processor, a copy from the GPU."""
        return to_device(self.data, "cpu")

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("a Tensor without axes has no length")
        return self.shape[0]

    def __bool__(self):
        if self.size != 1:
            raise ValueError(
                f"a Tensor of shape {self.shape} is neither true nor false; only one with a single value is"
            )
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __repr__(self):
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=100)
        origin = f", node={type(self.node).__name__}" if self.node else ""
        grad = ", requires_grad=True" if self.requires_grad and not self.node else origin
        place = "" if self.device == "cpu" else f", device={self.device!r}"
        return f"Tensor({values}, dtype={self.dtype}{place}{grad})"

    # The graph

    def requires_grad_(self, requires_grad=True):
        """Set ``requires_grad`` of a leaf, and return it."""
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(f"a Tensor of dtype {self.dtype} cannot require a gradient; only float32 and float64 can")
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad of a result cannot be taken back; use .detach()")
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
        if grad.shape != self.shape or grad.dtype != self.dtype:
            raise ValueError(
                f"backward(): the upstream gradient has shape {grad.shape}, {grad.dtype}; "
                f"the tensor has {self.shape}, {self.dtype}"
            )
        with naming_memory_errors("backward"):
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
        """A leaf tensor on `device`; itself where it is there already."""
        if self.device == device:
            return self
        return Tensor(to_device(self.data, device), self.requires_grad)

    def astype(self, dtype):
        return arithmetic.astype(self, dtype) if np.dtype(dtype).kind == "f" else Tensor(self.data.astype(dtype))

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

    def __neg__(self):
        return arithmetic.neg(self)

    def __matmul__(self, other):
        return linear.matmul(self, other)

    def exp(self):
        return arithmetic.exp(self)

    def log(self):
        return arithmetic.log(self)

    # Comparisons: boolean Tensors, outside the graph

    def __lt__(self, other):
        return Tensor(self.data < _values(other))

    def __le__(self, other):
        return Tensor(self.data <= _values(other))

    def __gt__(self, other):
        return Tensor(self.data > _values(other))

    def __ge__(self, other):
        return Tensor(self.data >= _values(other))

    def __eq__(self, other):
        return Tensor(self.data == _values(other))

    def __ne__(self, other):
        return Tensor(self.data != _values(other))

    __hash__ = object.__hash__

    # Reductions

    def sum(self, dim=None, keepdim=False):
        return reduction.sum(self, dim, keepdim)

    def mean(self, dim=None, keepdim=False):
        return reduction.mean(self, dim, keepdim)

    def max(self, dim=None, keepdim=False):
        return reduction.max(self, dim, keepdim)

    def argmax(self, dim=None):
        """Where the (first) largest stands, as integers outside the graph."""
        return Tensor(self.data.argmax(axis=dim))

    # Shape

    def reshape(self, *shape_):
        return shape.reshape(self, _spread(shape_))

    def flatten(self, start_dim=0, end_dim=-1):
        return shape.flatten(self, start_dim, end_dim)

    def permute(self, *dims):
        return shape.permute(self, _spread(dims))

    def transpose(self, dim0, dim1):
        return shape.transpose(self, dim0, dim1)

    def __getitem__(self, index):
        return shape.getitem(self, index)

    def __setitem__(self, index, value):
        """Overwrite values in place: of a leaf, or of a result that no graph needs any more."""
        if self.requires_grad:
            raise RuntimeError("a tensor that requires a gradient cannot be written into; write into .detach()")
        self.data[index] = _values(value)
        self.version.count += 1


def cat(tensors, dim=0):
    """Tensors one after the other along the axis `dim`."""
    return shape.cat(tensors, dim)


def _as_data(data):
    if isinstance(data, Variable):
        raise TypeError("Tensor(...) of a Tensor; use .detach() for the same memory outside the graph")
    if isinstance(data, np.generic) or not hasattr(data, "dtype"):
        keeps_dtype = isinstance(data, np.generic)
        data = np.asarray(data)
        data = data if keeps_dtype or data.dtype.kind != "f" else data.astype(np.float32)
    if data.dtype.kind not in "iub" and data.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"a Tensor holds float32, float64, integers or booleans, not {data.dtype}; convert the array first"
        )
    return data


def _values(other):
    return other.data if isinstance(other, Variable) else other


def _spread(args):
    """(2, 3) from reshape(2, 3) and from reshape((2, 3)) alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args

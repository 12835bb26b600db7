"""ReLU, leaky ReLU, ReLU6, sigmoid and tanh, forward and backward; mirrors minicnn/ops/activation.py.

Element by element, so all kernels have one shape:

Threads   thread i takes element i, i + threads of the grid, and so on: a grid-stride loop, right for any grid
Memory    neighbouring threads touch neighbouring elements: every access is coalesced; no shared memory, no barrier
Launch    thread blocks of THREADS, ceil(size / THREADS) of them
Bound by  memory: forward 1 read and 1 write an element, backward 2 reads and 1 write, for a few tens of operations

y may be x itself (inplace=True): a thread reads its element before it writes it.
"""

from .launch import T, cuda, elementwise, exp, kernel, tanh


def relu_forward(x, out):
    """y = max(x, 0), written into `out` if that is not None."""
    return elementwise(relu_forward_kernel, x, out=out)


def relu_backward(grad_out, y):
    """grad_x = grad_out where y > 0, else 0."""
    return elementwise(relu_backward_kernel, grad_out, y)


def leaky_relu_forward(x, slope, out):
    """y = x where x > 0, else slope * x; written into `out` if that is not None."""
    return elementwise(leaky_relu_forward_kernel, x, out=out, numbers=(slope,))


def leaky_relu_backward(grad_out, y, slope):
    """grad_x = grad_out where y > 0, else slope * grad_out."""
    return elementwise(leaky_relu_backward_kernel, grad_out, y, numbers=(slope,))


def relu6_forward(x, out):
    """y = min(max(x, 0), 6), written into `out` if that is not None."""
    return elementwise(relu6_forward_kernel, x, out=out)


def relu6_backward(grad_out, y):
    """grad_x = grad_out where 0 < y < 6, else 0."""
    return elementwise(relu6_backward_kernel, grad_out, y)


def sigmoid_forward(x):
    """y = 1 / (1 + e^-x)."""
    return elementwise(sigmoid_forward_kernel, x)


def sigmoid_backward(grad_out, y):
    """grad_x = grad_out * y * (1 - y)."""
    return elementwise(sigmoid_backward_kernel, grad_out, y)


def tanh_forward(x):
    """y = tanh(x)."""
    return elementwise(tanh_forward_kernel, x)


def tanh_backward(grad_out, y):
    """grad_x = grad_out * (1 - y^2)."""
    return elementwise(tanh_backward_kernel, grad_out, y)


@kernel
def relu_forward_kernel(x: T[:], y: T[:]):
    """y = max(x, 0). Not max(), which would drop a NaN."""
    zero = x.dtype.type(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        value = x[i]
        y[i] = zero if value <= zero else value


@kernel
def relu_backward_kernel(grad_out: T[:], y: T[:], grad_x: T[:]):
    """grad_x = grad_out where y > 0 or NaN. A choice and not a product: 0 times an infinite gradient would be NaN."""
    zero = y.dtype.type(0)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, size)
        grad_x[i] = zero if y[i] <= zero else grad_out[i]


@kernel
def leaky_relu_forward_kernel(x: T[:], y: T[:], slope: T):
    """y = x where x > 0, else slope * x."""
    zero = x.dtype.type(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        value = x[i]
        y[i] = value if value > zero else slope * value


@kernel
def leaky_relu_backward_kernel(grad_out: T[:], y: T[:], grad_x: T[:], slope: T):
    """grad_x = grad_out where y > 0, else slope * grad_out."""
    zero = y.dtype.type(0)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, size)
        grad_x[i] = grad_out[i] if y[i] > zero else slope * grad_out[i]


@kernel
def relu6_forward_kernel(x: T[:], y: T[:]):
    """y = min(max(x, 0), 6). Not min() and max(), which would drop a NaN."""
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        value = x[i]
        y[i] = zero if value <= zero else (six if value >= six else value)


@kernel
def relu6_backward_kernel(grad_out: T[:], y: T[:], grad_x: T[:]):
    """grad_x = grad_out where 0 < y < 6 or NaN."""
    zero, six = y.dtype.type(0), y.dtype.type(6)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, size)
        grad_x[i] = zero if y[i] <= zero or y[i] >= six else grad_out[i]


@kernel
def sigmoid_forward_kernel(x: T[:], y: T[:]):
    """y = 1 / (1 + e^-x), in the form whose exponential cannot overflow."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        e = exp(-abs(x[i]))
        y[i] = (one if x[i] >= zero else e) / (one + e)


@kernel
def sigmoid_backward_kernel(grad_out: T[:], y: T[:], grad_x: T[:]):
    """grad_x = grad_out * y * (1 - y)."""
    one = y.dtype.type(1)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, size)
        grad_x[i] = grad_out[i] * y[i] * (one - y[i])


@kernel
def tanh_forward_kernel(x: T[:], y: T[:]):
    """y = tanh(x)."""
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        y[i] = tanh(x[i])


@kernel
def tanh_backward_kernel(grad_out: T[:], y: T[:], grad_x: T[:]):
    """grad_x = grad_out * (1 - y^2)."""
    one = y.dtype.type(1)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, size)
        grad_x[i] = grad_out[i] * (one - y[i] * y[i])

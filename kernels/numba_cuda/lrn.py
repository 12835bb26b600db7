"""Local response normalisation of x (N, C, inner); mirrors minicnn/ops/lrn.py.

    y[c] = x[c] * s[c]^-beta,   s[c] = k + alpha_each * sum of x^2 over the window of c, the channels c - before to
                                c + after that exist (alpha_each = alpha / size)

With groups, each group of channels is a picture of its own: x (N * groups, C / groups, inner).

Threads   one for each element, in a grid-stride loop
Memory    neighbouring threads have neighbouring positions of one channel: coalesced; the `size` channels of a window
          are read by as many threads, mostly from a cache; no shared memory, no barrier
Launch    thread blocks of THREADS, ceil(size / THREADS) of them
Bound by  memory: forward 1 read and 1 write an element, and `size` multiply-adds and a power
"""

from .launch import THREADS, T, blocks, cuda, device, empty, folded, int64, kernel

T3 = T[:, :, :]  # (N, C, inner)


def local_response_norm_forward(x, size, alpha, beta, k, groups):
    """y = x * s^-beta."""
    y = empty(x, x.shape)
    numbers = *_window(size), alpha / size, beta, k
    local_response_norm_forward_kernel[blocks(x.size), THREADS](_apart(x, groups), _apart(y, groups), *numbers)
    return y


def local_response_norm_backward(grad_out, x, size, alpha, beta, k, groups):
    """grad_x: what passes straight through, minus x times what it did to its neighbours."""
    launch, window, grad_x = (blocks(x.size), THREADS), _window(size), empty(x, x.shape)
    grad_out, images, s = (_apart(a, groups) for a in (grad_out, x, empty(x, x.shape)))
    local_response_norm_scale_kernel[launch](images, s, *window, alpha / size, k)
    arrays = grad_out, images, s, _apart(grad_x, groups)
    local_response_norm_backward_kernel[launch](*arrays, *window, alpha / size, beta)
    return grad_x


def _window(size):
    """(channels before, channels after)."""
    return size // 2, (size - 1) // 2


def _apart(array, groups):
    """(N, C, ...) as (N * groups, C / groups, inner), C-contiguous."""
    images = folded(array, 3)
    n, channels, inner = images.shape
    return images.reshape(n * groups, channels // groups, inner)


@kernel
def local_response_norm_scale_kernel(x: T3, s: T3, before: int64, after: int64, alpha_each: T, k: T):
    """s, which backward needs at every channel of a window."""
    C, inner = x.shape[1], x.shape[2]
    for index in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, N * C * inner)
        n, c, i = index // inner // C, index // inner % C, index % inner
        s[n, c, i] = scale(x, n, c, i, before, after, alpha_each, k)


@kernel
def local_response_norm_forward_kernel(x: T3, y: T3, before: int64, after: int64, alpha_each: T, beta: T, k: T):
    """y = x * s^-beta; s is not kept."""
    C, inner = x.shape[1], x.shape[2]
    for index in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, N * C * inner)
        n, c, i = index // inner // C, index // inner % C, index % inner
        y[n, c, i] = x[n, c, i] * scale(x, n, c, i, before, after, alpha_each, k) ** -beta


@kernel
def local_response_norm_backward_kernel(
    grad_out: T3, x: T3, s: T3, grad_x: T3, before: int64, after: int64, alpha_each: T, beta: T
):
    """grad_x[c] = grad_out[c] * s[c]^-beta - 2 * alpha_each * beta * x[c] * sum of grad_out[j] * x[j] * s[j]^(-beta-1),
    over the channels j whose windows hold c: the mirrored window, c - after to c + before."""
    real, C, inner = x.dtype.type, x.shape[1], x.shape[2]
    for index in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, N * C * inner)
        n, c, i = index // inner // C, index // inner % C, index % inner
        across = real(0)  # what x[c] did to s[j], and so to y[j]
        for j in range(max(0, c - after), min(C, c + before + 1)):  # the channels that see c
            across += grad_out[n, j, i] * s[n, j, i] ** -beta * x[n, j, i] / s[n, j, i]
        straight = grad_out[n, c, i] * s[n, c, i] ** -beta
        grad_x[n, c, i] = straight - real(2) * alpha_each * beta * x[n, c, i] * across


@device
def scale(x, n, c, i, before, after, alpha_each, k):
    """s[n, c, i]."""
    total = x.dtype.type(0)
    for j in range(max(0, c - before), min(x.shape[1], c + after + 1)):  # the window of c
        total += x[n, j, i] * x[n, j, i]
    return k + alpha_each * total

"""2-D convolution; mirrors minicnn/ops/conv.py. Its three products in tiles, as in matmul.py, where the matrix of the
windows, im2col(x), is nowhere in memory: a thread block fetches the tile that it is about to multiply from the images.

Sizes     x (N, C, H, W), weight (OC, CG, KH, KW) with CG = C / groups, y (N, OC, OH, OW), OG = OC / groups.
          Output (oh, ow) sees with tap (u, v) the pixel (oh * SH - PT + u * DH, ow * SW - PL + v * DW), or 0 outside
Threads   block (TILE, TILE), one thread for each result: threadIdx.y and blockIdx.y count the rows of the product,
          threadIdx.x and blockIdx.x its columns (which are many: positions, pixels), blockIdx.z the groups
Shared    a tile of each factor, read by TILE threads each number. Two barriers as in matmul_shared; every loop runs
          as often for all threads of a block, and what is outside counts 0, so that every thread reaches them
Order     of every sum is fixed: no atomics, results repeat bit for bit
Bound by  shared memory: two numbers read for each multiply-add (kernels/cuda/conv.cu goes on from here)
"""

import math

from minicnn.ops.geometry import output_size

from .launch import THREADS, TILE, Pair, Pairs, T, contiguous, cuda, empty, folded, kernel, optional
from .matmul import PITCH
from .reduction import add, block_sum

T4 = T[:, :, :, :]  # images, filters
BLOCK = TILE, TILE  # threads of a thread block, along x and y


def conv2d_forward(x, weight, bias, stride, padding, dilation, groups):
    """y (N, OC, OH, OW) = weight @ im2col(x) + bias, where im2col(x) is nowhere in memory."""
    out_size = output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y = empty(x, (len(x), len(weight), *out_size))
    grid = _grid(len(weight) // groups, len(x) * math.prod(out_size), groups)
    conv2d_forward_kernel[grid, BLOCK](*map(contiguous, (x, weight, bias)), y, stride, padding, dilation)
    return y


def conv2d_grad_x(grad_out, x_shape, weight, stride, padding, dilation, groups):
    """grad_x (N, C, H, W): each pixel collects from the outputs that saw it."""
    grad_x = empty(grad_out, x_shape)
    grid = _grid(x_shape[1] // groups, x_shape[0] * math.prod(x_shape[2:]), groups)
    conv2d_grad_x_kernel[grid, BLOCK](contiguous(grad_out), contiguous(weight), grad_x, stride, padding, dilation)
    return grad_x


def conv2d_grad_weight(grad_out, x, weight_shape, stride, padding, dilation, groups):
    """grad_weight (OC, C/groups, KH, KW) = grad_out @ im2col(x)^T, summed over the images."""
    grad_weight = empty(x, weight_shape)
    grid = _grid(weight_shape[0] // groups, math.prod(weight_shape[1:]), groups)
    arrays = contiguous(grad_out), contiguous(x), grad_weight
    conv2d_grad_weight_kernel[grid, BLOCK](*arrays, stride, padding, dilation)
    return grad_weight


def conv2d_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over images and positions."""
    grad_bias = empty(grad_out, (grad_out.shape[1],))
    conv2d_grad_bias_kernel[len(grad_bias), THREADS](folded(grad_out, 3), grad_bias)
    return grad_bias


def _grid(rows, columns, groups):
    return math.ceil(columns / TILE), math.ceil(rows / TILE), groups


@kernel
def conv2d_forward_kernel(x: T4, weight: T4, bias: optional(T[:]), y: T4, stride: Pair, padding: Pairs, dilation: Pair):
    """Rows are a group's OG filters, columns the N * OH * OW positions. A product for each tap of the window, over the
    CG channels, rather than one over taps and channels: where a thread's position looks is then worked out once a tap.

    Memory    neighbouring threads fetch pixels SW apart, and write neighbouring outputs; weights come KH * KW apart,
              but there are few of them
    """
    (SH, SW), ((PT, _), (PL, _)), (DH, DW) = stride, padding, dilation
    N, _, H, W = x.shape
    OC, CG, KH, KW = weight.shape
    OH, OW = y.shape[2], y.shape[3]
    zero = x.dtype.type(0)
    weight_tile = cuda.shared.array((TILE, TILE), x.dtype)
    x_tile = cuda.shared.array((TILE, TILE), x.dtype)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y  # [0, TILE)
    group, OG = cuda.blockIdx.z, OC // cuda.gridDim.z  # [0, groups)
    position = cuda.blockIdx.x * TILE + column  # [0, N * OH * OW), and beyond the edge
    n, oh, ow = position // OW // OH, position // OW % OH, position % OW  # the position's digits: image, row, column
    filter = cuda.blockIdx.y * TILE + row  # [0, OG), and beyond the edge
    o = group * OG + filter  # [0, OC)
    total = zero
    for u in range(KH):
        for v in range(KW):
            h, w = oh * SH - PT + u * DH, ow * SW - PL + v * DW
            sees = n < N and 0 <= h < H and 0 <= w < W  # else padding, or beyond the edge
            for c0 in range(0, CG, TILE):
                of_weight, of_x = c0 + column, c0 + row  # the channel that this thread fetches of each, [0, CG)
                weight_tile[row, column] = weight[o, of_weight, u, v] if filter < OG and of_weight < CG else zero
                x_tile[row, column] = x[n, group * CG + of_x, h, w] if sees and of_x < CG else zero
                cuda.syncthreads()
                for c in range(TILE):
                    total += weight_tile[row, c] * x_tile[c, column]
                cuda.syncthreads()
    if filter < OG and n < N:  # no barrier follows: threads beyond the edge may end
        if bias is not None:
            total += bias[o]
        y[n, o, oh, ow] = total


@kernel
def conv2d_grad_x_kernel(grad_out: T4, weight: T4, grad_x: T4, stride: Pair, padding: Pairs, dilation: Pair):
    """Rows are a group's CG channels, columns the N * H * W pixels. A product for each tap, over the OG filters: which
    output saw this pixel with this tap? With a stride, one pixel in SH * SW finds one; the others multiply zeros.

    Memory    neighbouring threads fetch neighbouring gradients (where the stride is 1) and write neighbouring pixels
    """
    (SH, SW), ((PT, _), (PL, _)), (DH, DW) = stride, padding, dilation
    N, _, H, W = grad_x.shape
    OC, CG, KH, KW = weight.shape
    OH, OW = grad_out.shape[2], grad_out.shape[3]
    zero = grad_out.dtype.type(0)
    weight_tile = cuda.shared.array((TILE, TILE), grad_out.dtype)
    grad_tile = cuda.shared.array((TILE, TILE), grad_out.dtype)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y  # [0, TILE)
    group, OG = cuda.blockIdx.z, OC // cuda.gridDim.z  # [0, groups)
    pixel = cuda.blockIdx.x * TILE + column  # [0, N * H * W), and beyond the edge
    n, h, w = pixel // W // H, pixel // W % H, pixel % W  # the pixel's digits: image, row, column
    c = cuda.blockIdx.y * TILE + row  # [0, CG), and beyond the edge
    total = zero
    for u in range(KH):
        for v in range(KW):
            below, right = h + PT - u * DH, w + PL - v * DW  # of where the window of output (0, 0) has this tap
            oh, ow = below // SH, right // SW  # that output, if it is `aligned`
            aligned = below >= 0 and right >= 0 and below % SH == 0 and right % SW == 0
            # a pixel between the strides was seen through another tap
            seen = n < N and aligned and oh < OH and ow < OW
            for o0 in range(0, OG, TILE):
                of_weight, of_grad = o0 + column, o0 + row  # the filter that this thread fetches of each, [0, OG)
                inside = c < CG and of_weight < OG
                weight_tile[row, column] = weight[group * OG + of_weight, c, u, v] if inside else zero
                grad_tile[row, column] = grad_out[n, group * OG + of_grad, oh, ow] if seen and of_grad < OG else zero
                cuda.syncthreads()
                for o in range(TILE):
                    total += weight_tile[row, o] * grad_tile[o, column]
                cuda.syncthreads()
    if c < CG and n < N:  # else beyond an edge
        grad_x[n, group * CG + c, h, w] = total


@kernel
def conv2d_grad_weight_kernel(grad_out: T4, x: T4, grad_weight: T4, stride: Pair, padding: Pairs, dilation: Pair):
    """Rows are a group's OG filters, columns the CG * KH * KW weights of each. A product for each image, over the
    OH * OW positions.

    Memory    neighbouring threads fetch neighbouring positions, of gradients and of pixels, and write neighbouring
              weights. To fetch so, a thread works for the column of another: x_tile holds a column in each row, and
              is read along its columns, whose numbers PITCH puts into different banks
    """
    (SH, SW), ((PT, _), (PL, _)), (DH, DW) = stride, padding, dilation
    N, _, H, W = x.shape
    OC, CG, KH, KW = grad_weight.shape
    OH, OW = grad_out.shape[2], grad_out.shape[3]
    zero = x.dtype.type(0)
    grad_tile = cuda.shared.array((TILE, TILE), x.dtype)
    x_tile = cuda.shared.array((TILE, PITCH), x.dtype)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y  # [0, TILE)
    group, OG = cuda.blockIdx.z, OC // cuda.gridDim.z  # [0, groups)
    filter = cuda.blockIdx.y * TILE + row  # [0, OG), and beyond the edge
    fetched = cuda.blockIdx.x * TILE + row  # [0, CG * KH * KW), and beyond the edge
    c, u, v = fetched // KW // KH, fetched // KW % KH, fetched % KW  # the weight's digits: channel, tap
    total = zero
    for n in range(N):  # image by image: positions of two would not lie side by side
        for start in range(0, OH * OW, TILE):
            position = start + column  # [0, OH * OW), and beyond the edge
            oh, ow = position // OW, position % OW  # the position's digits: row, column
            h, w = oh * SH - PT + u * DH, ow * SW - PL + v * DW
            sees = oh < OH and c < CG and 0 <= h < H and 0 <= w < W
            inside = oh < OH and filter < OG
            grad_tile[row, column] = grad_out[n, group * OG + filter, oh, ow] if inside else zero
            x_tile[row, column] = x[n, group * CG + c, h, w] if sees else zero
            cuda.syncthreads()
            for k in range(TILE):
                total += grad_tile[row, k] * x_tile[column, k]
            cuda.syncthreads()
    # the sum is that of row `row` of grad_tile and row `column` of x_tile: not of the column that was fetched
    own = cuda.blockIdx.x * TILE + column  # [0, CG * KH * KW), and beyond the edge
    c, u, v = own // KW // KH, own // KW % KH, own % KW
    if filter < OG and c < CG:  # else beyond an edge
        grad_weight[group * OG + filter, c, u, v] = total


@kernel
def conv2d_grad_bias_kernel(grad_out: T[:, :, :], grad_bias: T[:]):
    """The sum of each channel of grad_out (N, OC, area): a thread block for each, whose threads take values t,
    t + THREADS, ..., coalesced. Launch: grid OC, block THREADS. Bound by global memory: 1 addition for each number."""
    N, _, area = grad_out.shape
    partial = cuda.shared.array(THREADS, grad_out.dtype)
    o = cuda.blockIdx.x  # [0, OC)
    total, lost = grad_out.dtype.type(0), grad_out.dtype.type(0)
    for m in range(cuda.threadIdx.x, N * area, THREADS):  # [0, N * area)
        total, lost = add(total, lost, grad_out[m // area, o, m % area])
    total = block_sum(total, partial)
    if cuda.threadIdx.x == 0:
        grad_bias[o] = total

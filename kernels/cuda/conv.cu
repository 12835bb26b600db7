// 2-D convolution (cross-correlation), forward and its gradients, as a ladder:
//
//   conv2d_direct    one thread for each output, the sum as the formula has it
//   im2col           explicit: the windows as the columns of a matrix in memory, then a product (matmul.cu)
//   conv2d_implicit  implicit: the products of minicnn/ops/conv.py, but the matrix is nowhere: a thread block gathers
//                    the tile of it that it is about to multiply straight into shared memory
//   conv2d_forward, conv2d_grad_x, conv2d_grad_weight
//                    the same without divisions, from larger tiles. These are the ones that training runs, each in
//                    three sizes of tiles. tensor_conv.cu has them once more with fewer digits, and winograd.cu 3 x 3
//                    filters with a quarter of the multiplications.
//
// Instructions that a thread takes for a pair of tiles, of which multiply-adds (sm_90, float, as nvdisasm shows them):
//
//   conv2d_forward_128x128      742, 512        64x128   382, 256
//   conv2d_grad_x_128x128       767, 512
//   conv2d_grad_weight_128x128  822, 512
//
// With 64 x 64 results, digits in each number's address and no phases it was 542, 256, and 731 and 583 backward. What
// a warp touches, counted in the emulator for 64 channels, 64 filters and 28 x 28 pixels, before and now:
//
//   sectors for each read of the weights in grad_x     3 x 3  32, 8.2      3 x 3, stride 2  32, 17      1 x 1  4, 4
//   reads of shared memory in grad_x, in thousands     3 x 3  120, 120     3 x 3, stride 2  120, 37     1 x 1  13, 13
//   sectors for each write of y                        15.1, 4.0
//   turns of the banks for each write of a tile        2 along k, else 1; now 1
//
// Sizes: x (N, C, H, W), weight (OC, CG, KH, KW) with CG = C / groups, y (N, OC, OH, OW), OG = OC / groups. Output (oh,
// ow) sees with tap (u, v) the pixel (oh * SH - PT + u * DH, ow * SW - PL + v * DW), or 0 outside the image.

#include "grid_stride.cuh"
#include "sum.cuh"
#include "tiles.cuh"
#include "arrivals.cuh"
#include "product.cuh"
#include "conv.cuh"

#define SIZES N, C, H, W, OC, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW, groups
#define GEOMETRY                                                                                                \
    int N, int C, int H, int W, int OC, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, \
        int DW, int groups

// 1. Threads one for each output, in a grid-stride loop; neighbours have neighbouring ow. Every operand comes from
//    global memory (or a cache): 2 numbers fetched for 2 operations.    Launch: thread blocks of 256
template <typename T>
__global__ void conv2d_direct(const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias,
                              T *__restrict__ y, GEOMETRY) {
    int CG = C / groups, OG = OC / groups;
    long long count = (long long)N * OC * OH * OW;
    GRID_STRIDE_LOOP(i, count) {  // [0, count)
        int ow = i % OW, oh = i / OW % OH, o = i / OW / OH % OC, n = i / OW / OH / OC;
        T sum = bias ? bias[o] : T(0);
        for (int c = 0; c < CG; c++)
            for (int u = 0; u < KH; u++)
                for (int v = 0; v < KW; v++) {
                    int h = oh * SH - PT + u * DH, w = ow * SW - PL + v * DW;
                    if (h < 0 || h >= H || w < 0 || w >= W) continue;  // padding
                    long long channel = (long long)n * C + o / OG * CG + c;
                    sum += x[(channel * H + h) * W + w] * weight[((o * CG + c) * KH + u) * KW + v];
                }
        y[i] = sum;
    }
}

// 2. What changed: the windows of image `image` are written out as the columns of col (C * KH * KW, OH * OW), one
//    thread for each number, coalesced; matmul.cu does the rest. What it bought: the product's reuse of every number
//    TILE times. What it costs: a matrix KH * KW times as large as the image, written and read again.
//    Launch: thread blocks of 256
template <typename T>
__global__ void im2col(const T *__restrict__ x, T *__restrict__ col, int image, GEOMETRY) {
    long long count = (long long)C * KH * KW * OH * OW;
    GRID_STRIDE_LOOP(i, count) {  // [0, count)
        int ow = i % OW, oh = i / OW % OH, v = i / OW / OH % KW, u = i / OW / OH / KW % KH;
        long long channel = (long long)image * C + i / OW / OH / KW / KH;
        int h = oh * SH - PT + u * DH, w = ow * SW - PL + v * DW;
        col[i] = h >= 0 && h < H && w >= 0 && w < W ? x[(channel * H + h) * W + w] : T(0);
    }
}

// 3. What changed: col(k, j) is worked out where it is needed, by a thread block that multiplies 64 x 64 results from
//    tiles in shared memory, as matmul_register does (matmul.cu). What it bought: the matrix is neither written nor
//    read, only x. What it costs: the pixel of each k and j must be found, by five divisions of some 20 instructions.
//    Rows are a group's OG filters, columns the N * OH * OW positions, k counts (c, u, v); blockIdx.z is the group.
//    Barriers: as in matmul_shared; beyond an edge zeros are fetched, nothing is skipped.
//    Launch: grid (ceil(N * OH * OW / TILE), ceil(OG / TILE), groups), block (BLOCK_SIDE, BLOCK_SIDE)
template <typename T>
__global__ void conv2d_implicit(const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias,
                                T *__restrict__ y, GEOMETRY) {
    __shared__ T filters[DEPTH][TILE + 2];  // + 2: a warp writes 16 numbers of 2 columns, into 32 banks
    __shared__ T windows[DEPTH][TILE + 2];
    int group = blockIdx.z, CG = C / groups, OG = OC / groups, area = OH * OW, K = CG * KH * KW;
    int thread = threadIdx.y * BLOCK_SIDE + threadIdx.x, i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE;
    T sum[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += DEPTH) {
        for (int e = thread; e < DEPTH * TILE; e += THREADS) {  // [0, DEPTH * TILE)
            int i = i0 + e / DEPTH, k = k0 + e % DEPTH;  // of the filters: neighbouring threads, neighbouring k
            filters[e % DEPTH][e / DEPTH] = i < OG && k < K ? weight[(long long)(group * OG + i) * K + k] : T(0);
            int j = j0 + e % TILE, c = (k0 + e / TILE) / (KH * KW), tap = (k0 + e / TILE) % (KH * KW);
            int h = j / OW % OH * SH - PT + tap / KW * DH, w = j % OW * SW - PL + tap % KW * DW, n = j / area;
            bool inside = n < N && c < CG && h >= 0 && h < H && w >= 0 && w < W;
            windows[e / TILE][e % TILE] = inside ? x[(((long long)n * C + group * CG + c) * H + h) * W + w] : T(0);
        }
        __syncthreads();
        for (int k = 0; k < DEPTH; k++)
            for (int r = 0; r < 4; r++)
                for (int s = 0; s < 4; s++)
                    sum[r][s] += filters[k][threadIdx.y + r * BLOCK_SIDE] * windows[k][threadIdx.x + s * BLOCK_SIDE];
        __syncthreads();
    }
    for (int r = 0; r < 4; r++)
        for (int s = 0; s < 4; s++) {
            int i = i0 + threadIdx.y + r * BLOCK_SIDE, j = j0 + threadIdx.x + s * BLOCK_SIDE;
            int channel = group * OG + i;
            if (i < OG && j < N * area)
                y[((long long)(j / area) * OC + channel) * area + j % area] = sum[r][s] + (bias ? bias[channel] : T(0));
        }
}

// 4. What changed: each thread has one k of a tile and several columns, whose windows it looks up once, before the
//    loop; in the loop (c, u, v) is counted up, digit by digit (conv.cuh). And the product is that of matmul_large: two
//    buffers, 8 x 8 results of a thread. What it bought: no division in the loop, a quarter of the other work for each
//    multiply-add, half of the bytes. What it costs: fewer thread blocks, so that small layers take the smaller tiles.
//    Columns are as in rung 3; a warp fetches 32 neighbouring windows, and of the filters 4 rows of 8 neighbours.
//    Launch: grid (ceil(N * OH * OW / tile's columns), ceil(OG / tile's rows), groups), block (BLOCK_SIDE, BLOCK_SIDE)
//    Operations 2 OG K N OH OW for each group; bound by arithmetic where OG and K are large
template <int R, int S, typename T>
__device__ void forward(const T *x, const T *weight, const T *bias, T *y, GEOMETRY) {
    int group = blockIdx.z, CG = C / groups, OG = OC / groups, area = OH * OW, K = CG * KH * KW;
    int i0 = blockIdx.y * R * 64, j0 = blockIdx.x * S * 64;  // the first row and column of the thread block's results
    int thread = threadIdx.y * BLOCK_SIDE + threadIdx.x;
    T sum[R * 4][S * 4] = {};
    Matrix<T, DEEP, R * 64> filters(thread, weight + (long long)group * OG * K, i0, OG, K, 0, K, 1);
    Seen seen = {OH, OW, -PT, -PL, SH, SW, DH, DW, H, W, KH, KW, K};
    Windows<T, S * 64> windows(thread, x + (long long)group * CG * H * W, j0, N * area, (long long)C * H * W, seen);
    multiply_tiles<DEEP, UNROLLED<R, S>>(sum, filters, windows, (K + DEEP - 1) / DEEP);
    auto place = [=](int column) {
        int position = j0 + column, n = position / area;
        return position < N * area ? (long long)n * OC * area + position % area : -1;
    };
    auto store = [=](int row, long long at, T result) {
        int channel = group * OG + i0 + row;
        if (i0 + row < OG && at >= 0) y[at + (long long)channel * area] = result + (bias ? bias[channel] : T(0));
    };
    store_tile(sum, place, store);
}

// grad_x: rows are a group's CG channels, columns pixels, k counts (o, u, v): which output saw this pixel with this
// tap? With a stride, only one tap in SH * SW finds one, but which ones these are is the same for every SH-th row and
// SW-th column of pixels. So there is a product for each of these phases, with its own pixels and its own taps, and no zero
// is multiplied but those at the edges. In a phase, output and tap go as in a forward pass with stride 1 (Phase).
//    Filters   a warp fetches weights of 8 k for 4 channels, which for 3 x 3 taps are 144 neighbouring bytes; of a
//              single tap, 32 neighbouring channels
//    Launch    grid (phases * tiles along the pixels of the largest one, tiles along CG, groups), block as above
template <int R, int S, typename T>
__device__ void grad_x_of(const T *grad_out, const T *weight, T *grad_x, GEOMETRY) {
    int wide = min(SW, W), phases = min(SH, H) * wide, phase = blockIdx.x % phases, group = blockIdx.z;
    int CG = C / groups, OG = OC / groups, taps = KH * KW;
    Phase rows(phase / wide, H, KH, SH, PT, DH), columns(phase % wide, W, KW, SW, PL, DW);
    int area = rows.pixels * columns.pixels, K = OG * rows.taps * columns.taps;
    int i0 = blockIdx.y * R * 64, j0 = blockIdx.x / phases * S * 64, thread = threadIdx.y * BLOCK_SIDE + threadIdx.x;
    if (j0 >= N * area) return;  // a phase with fewer pixels: the whole thread block leaves
    T sum[R * 4][S * 4] = {};
    Seen seen = {rows.pixels, columns.pixels, rows.output, columns.output, 1, 1, -rows.down, -columns.down,
                 OH, OW, max(rows.taps, 1), max(columns.taps, 1), K};  // at least 1: they divide
    Windows<T, S * 64> outputs(thread, grad_out + (long long)group * OG * OH * OW, j0, N * area,
                               (long long)OC * OH * OW, seen);
    const T *first = weight + (long long)group * OG * CG * taps + rows.tap * KW + columns.tap;
    Filters<T, R * 64> filters(thread, first, i0, CG, taps, rows.apart * KW, columns.apart, seen);
    multiply_tiles<DEEP, UNROLLED<R, S>>(sum, filters, outputs, (K + DEEP - 1) / DEEP);
    auto place = [=](int column) {
        int pixel = j0 + column, n = pixel / area, w = pixel % columns.pixels * SW + columns.pixel;
        int h = pixel / columns.pixels % rows.pixels * SH + rows.pixel;
        return pixel < N * area ? ((long long)n * C * H + h) * W + w : -1;
    };
    auto store = [=](int row, long long at, T result) {
        if (i0 + row < CG && at >= 0) grad_x[at + (long long)(group * CG + i0 + row) * H * W] = result;
    };
    store_tile(sum, place, store);
}

// grad_weight: rows are a group's OG filters, columns their CG * KH * KW weights, k counts the N * OH * OW positions:
// few results, each a very long sum. One block for each tile of them would leave a GPU idle, so the positions are cut
// into `splits` of `length` each (split-K), and the last block to arrive adds up what they give (add_splits).
//    Factors   of both, a warp fetches 8 neighbouring positions of 4 rows or columns: whole sectors, where SW is 1
//    Launch    grid (tiles along the weights, tiles along OG, groups * splits), block as above
template <int R, int S, typename T>
__device__ void grad_weight_of(const T *grad_out, const T *x, T *grad_weight, T *parts, unsigned *arrived, int splits,
                               int length, GEOMETRY) {
    int group = blockIdx.z % groups, split = blockIdx.z / groups;  // [0, groups), [0, splits)
    int CG = C / groups, OG = OC / groups, area = OH * OW, J = CG * KH * KW;
    int first = split * length, last = min(first + length, N * area);  // positions of this split
    int i0 = blockIdx.y * R * 64, j0 = blockIdx.x * S * 64, thread = threadIdx.y * BLOCK_SIDE + threadIdx.x;
    T sum[R * 4][S * 4] = {};
    Positions<T, R * 64> gradients(thread, grad_out + (long long)group * OG * area, i0, OG, area, (long long)OC * area,
                                   first, last);
    Seen seen = {OH, OW, -PT, -PL, SH, SW, DH, DW, H, W, KH, KW, last};
    Taps<T, S * 64> windows(thread, x + (long long)group * CG * H * W, j0, J, (long long)C * H * W, first, seen);
    multiply_tiles<DEEP, UNROLLED<R, S>>(sum, gradients, windows, (last - first + DEEP - 1) / DEEP);
    int tile = (group * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    T *of_tile = parts + (long long)tile * splits * (R * 64 * S * 64);
    if (!add_splits(sum, of_tile, arrived + tile * splits, split, splits)) return;
    auto place = [=](int column) { return j0 + column < J ? (long long)j0 + column : -1; };
    auto store = [=](int row, long long at, T result) {
        if (i0 + row < OG && at >= 0) grad_weight[(long long)(group * OG + i0 + row) * J + at] = result;
    };
    store_tile(sum, place, store);
}

// The three sizes of tiles

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_forward_128x128(
    const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias, T *__restrict__ y, GEOMETRY) {
    forward<2, 2>(x, weight, bias, y, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_grad_x_128x128(
    const T *__restrict__ grad_out, const T *__restrict__ weight, T *__restrict__ grad_x, GEOMETRY) {
    grad_x_of<2, 2>(grad_out, weight, grad_x, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_grad_weight_128x128(
    const T *__restrict__ grad_out, const T *__restrict__ x, T *__restrict__ grad_weight, T *parts, unsigned *arrived,
    int splits, int length, GEOMETRY) {
    grad_weight_of<2, 2>(grad_out, x, grad_weight, parts, arrived, splits, length, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_forward_64x128(
    const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias, T *__restrict__ y, GEOMETRY) {
    forward<1, 2>(x, weight, bias, y, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_grad_x_64x128(
    const T *__restrict__ grad_out, const T *__restrict__ weight, T *__restrict__ grad_x, GEOMETRY) {
    grad_x_of<1, 2>(grad_out, weight, grad_x, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_grad_weight_64x128(
    const T *__restrict__ grad_out, const T *__restrict__ x, T *__restrict__ grad_weight, T *parts, unsigned *arrived,
    int splits, int length, GEOMETRY) {
    grad_weight_of<1, 2>(grad_out, x, grad_weight, parts, arrived, splits, length, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_forward_64x64(
    const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias, T *__restrict__ y, GEOMETRY) {
    forward<1, 1>(x, weight, bias, y, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_grad_x_64x64(
    const T *__restrict__ grad_out, const T *__restrict__ weight, T *__restrict__ grad_x, GEOMETRY) {
    grad_x_of<1, 1>(grad_out, weight, grad_x, SIZES);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) conv2d_grad_weight_64x64(
    const T *__restrict__ grad_out, const T *__restrict__ x, T *__restrict__ grad_weight, T *parts, unsigned *arrived,
    int splits, int length, GEOMETRY) {
    grad_weight_of<1, 1>(grad_out, x, grad_weight, parts, arrived, splits, length, SIZES);
}

// grad_bias: the sum of each channel of grad_out (N, OC, area), a thread block for each, in a fixed order.
//    Shared: one number a thread, halved with a barrier after each step, which all threads reach.
//    Launch: grid OC, block 256
template <typename T>
__global__ void conv2d_grad_bias(const T *__restrict__ grad_out, T *__restrict__ grad_bias, int N, int OC, int area) {
    __shared__ T partial[THREADS];
    Sum<T> sum;
    Radices of_place = {1, area};
    Digits step = of_place.of(THREADS);
    for (Digits at = of_place.of(threadIdx.x); at.a < N; of_place.add(at, step))  // a: the image, c: the place in it
        sum.add(grad_out[((long long)at.a * OC + blockIdx.x) * area + at.c]);
    partial[threadIdx.x] = sum.total;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) grad_bias[blockIdx.x] = partial[0];
}

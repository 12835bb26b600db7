// Convolutions and linear layers on tensor cores in bfloat16, as implicit matrix products: activations and their
// gradients are channels-last, (N, H, W, channels), and are read as they lie; a linear layer is a convolution of images
// of one pixel. Sums are float; a result is rounded once, with its bias. Operations: as in conv.cu.
//
// T: bfloat16
//
// Filters are rounded and turned (pack_filters) for each pass. Where the channels of a group are no whole number of
// vectors of 16 bytes, the first layer's 3, images are first copied with zeros between the groups (pad_channels).
//
//   what changed                                          what it bought
//   activations in bfloat16, channels-last                no copy of each activation and gradient before a product
//   ldmatrix (tensor_pipeline.cuh)                        16 reads of shared memory for 64 multiply-adds, not 64
//   where a window lies is worked out once, by one        forward, 198 instructions for 64 multiply-adds, where
//   thread for all; digits are counted on with carries    there were 970 (sm_90, read in the machine code)
//   grad_x by phases (tensor_windows.cuh)                 with stride S, 1 / S^2 of the multiplications
//   64 KiB of shared memory, 4 tiles in it                copies have the time of 3 tiles to arrive, not of 2
//   results go through shared memory                      16 bytes a thread in one store, whole sectors
//   64 columns where there are no more                    up to half of the multiplications
//   splits added up by the last block (arrivals.cuh)      no second launch

#include "arrivals.cuh"
#include "bfloat16.cuh"
#include "divide.cuh"
#include "grid_stride.cuh"
#include "sum.cuh"
#include "tensor_cores.cuh"
#include "tensor_pipeline.cuh"
#include "tensor_windows.cuh"

// A Geometry (tensor_windows.cuh), and its numbers.
#define GEOMETRY                                                                                           \
    int N, int groups, int OG, int CG, int channels, int filters, int x_pitch, int grad_pitch, int H, int W, \
        int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW
#define SIZES N, groups, OG, CG, channels, filters, x_pitch, grad_pitch, H, W, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW

// y (filters, taps, channels) in T = weight (filters, CG, taps) rounded, with zeros for channels from CG on.
//    Threads   a thread block for a filter, a thread for each number in turn. Writes are coalesced; what is read, lanes
//              find `taps` numbers apart, but the block reads all of the filter, the first time from global memory
//    Launch    grid: filters, block 256.    Bound by memory: 4 + 2 bytes for each number
template <typename T>
__global__ void pack_filters(const float *__restrict__ weight, T *__restrict__ y, int CG, int taps, Divisor channels) {
    int count = taps * channels.number;
    const float *from = weight + (long long)blockIdx.x * CG * taps;
    T *to = y + (long long)blockIdx.x * count;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {  // [0, count)
        int c = i % channels, tap = i / channels;
        to[i] = T(c < CG ? from[c * taps + tap] : 0.0f);
    }
}

// y (pixels, groups, channels) = x (pixels, groups, CG), with zeros for channels from CG on.
//    Threads   one for each number of y, in a grid-stride loop, coalesced.    Launch: thread blocks of 256
//    Bound by  memory: 2 bytes for each number of either
template <typename T>
__global__ void pad_channels(const T *__restrict__ x, T *__restrict__ y, long long size, int CG, Divisor channels) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        long long part = i / channels.number;  // a group of a pixel
        int c = int(i - part * channels.number);
        y[i] = c < CG ? x[part * CG + c] : T(0.0f);
    }
}

// This thread's results, rows of positions by columns of channels, rounded and stored to y (images, area, pitch), whose
// first column is y's; columns: how many there are from there on. They go through shared memory, so that a warp
// stores whole sectors: 8 numbers a thread where `columns` is a multiple of 8 for all of them, else one by one.
//    Barriers  before: everybody has multiplied the last tile; between: all results are there
template <typename T, int COLUMNS>
__device__ void store_channels_last(const Sums<COLUMNS> &sum, const int4 *positions, const float *bias, T *y,
                                    int area, int pitch, int columns, bool in_vectors) {
    constexpr int VECTORS = COLUMNS / PER_VECTOR<T>;  // of a row
    unsigned *shared = shared_memory();
    __syncthreads();
#pragma unroll  // here and below: an array whose index is not known while compiling is not in registers
    for (int n = 0; n < Sums<COLUMNS>::FRAGMENTS; n++) {
        int j = sum.column(n);
        float first = bias && j < columns ? bias[j] : 0.0f, second = bias && j + 1 < columns ? bias[j + 1] : 0.0f;
#pragma unroll
        for (int m = 0; m < 4; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int i = sum.row(m) + 8 * half, vector = j / PER_VECTOR<T> ^ i % 8;  // for the banks' sake, as ever
                shared[(i * VECTORS + vector) * 4 + j % PER_VECTOR<T> / 2] =
                    two_bfloat16(sum.at[m][n][2 * half] + first, sum.at[m][n][2 * half + 1] + second);
            }
    }
    __syncthreads();
    for (int e = threadIdx.x; e < ROWS * VECTORS; e += THREADS) {
        int i = e / VECTORS, j = e % VECTORS * PER_VECTOR<T>;
        Position p = Position::at(positions, i);
        if (p.image < 0 || j >= columns) continue;
        const unsigned *from = shared + (i * VECTORS + (e % VECTORS ^ i % 8)) * 4;
        T *to = y + ((long long)p.image * area + p.result) * pitch + j;
        if (in_vectors)
            *reinterpret_cast<uint4 *>(to) = *reinterpret_cast<const uint4 *>(from);
        else
            for (int c = 0; c < min(PER_VECTOR<T>, columns - j); c++) to[c] = reinterpret_cast<const T *>(from)[c];
    }
}

// Each of the three (tensor_windows.cuh) for 128 columns, and for 64: for layers of up to 64 channels, the wide ones would be
// half empty.
template <typename T, int COLUMNS>
__device__ void forward(const T *x, const T *weight, const float *bias, T *y, Splits splits, Geometry g) {
    forward<T, COLUMNS>(x, weight, g, splits, [=](const Sums<COLUMNS> &sum, Place place, const int4 *positions) {
        int channel = place.group * g.OG + place.column;
        store_channels_last(sum, positions, bias ? bias + channel : nullptr, y + channel, g.OH * g.OW, g.groups * g.OG,
                            g.OG - place.column, g.OG % PER_VECTOR<T> == 0);
    });
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    conv2d_forward(const T *__restrict__ x, const T *__restrict__ weight, const float *__restrict__ bias,
                   T *__restrict__ y, float *parts, unsigned *arrivals, int length, int splits, GEOMETRY) {
    forward<T, 128>(x, weight, bias, y, {parts, arrivals, length, splits}, {SIZES});
}
template <typename T>
__global__ void __launch_bounds__(THREADS, 3)
    conv2d_forward_narrow(const T *__restrict__ x, const T *__restrict__ weight, const float *__restrict__ bias,
                          T *__restrict__ y, float *parts, unsigned *arrivals, int length, int splits, GEOMETRY) {
    forward<T, 64>(x, weight, bias, y, {parts, arrivals, length, splits}, {SIZES});
}

template <typename T, int COLUMNS>
__device__ void grad_of_images(const T *grad_out, const T *weight, const float *bias, T *grad_x, Splits splits,
                               int every_u, int every_v, Geometry g) {
    auto store = [=](const Sums<COLUMNS> &sum, Place place, const int4 *positions) {
        int channel = place.group * g.CG + place.column;
        store_channels_last(sum, positions, bias ? bias + channel : nullptr, grad_x + channel, g.H * g.W, g.groups * g.CG,
                            g.CG - place.column, g.CG % PER_VECTOR<T> == 0);
    };
    grad_of_images<T, COLUMNS>(grad_out, weight, g, splits, every_u, every_v, store);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    conv2d_grad_x(const T *__restrict__ grad_out, const T *__restrict__ weight, const float *__restrict__ bias,
                  T *__restrict__ grad_x, float *parts, unsigned *arrivals, int length, int splits, int every_u,
                  int every_v, GEOMETRY) {
    Splits of_k = {parts, arrivals, length, splits};
    grad_of_images<T, 128>(grad_out, weight, bias, grad_x, of_k, every_u, every_v, {SIZES});
}
template <typename T>
__global__ void __launch_bounds__(THREADS, 3)
    conv2d_grad_x_narrow(const T *__restrict__ grad_out, const T *__restrict__ weight, const float *__restrict__ bias,
                         T *__restrict__ grad_x, float *parts, unsigned *arrivals, int length, int splits, int every_u,
                         int every_v, GEOMETRY) {
    Splits of_k = {parts, arrivals, length, splits};
    grad_of_images<T, 64>(grad_out, weight, bias, grad_x, of_k, every_u, every_v, {SIZES});
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    conv2d_grad_weight(const T *__restrict__ grad_out, const T *__restrict__ x, float *__restrict__ grad_weight,
                       float *parts, unsigned *arrivals, int length, int splits, GEOMETRY) {
    grad_of_filters<T, 128>(grad_out, x, grad_weight, {SIZES}, {parts, arrivals, length, splits});
}
template <typename T>
__global__ void __launch_bounds__(THREADS, 3)
    conv2d_grad_weight_narrow(const T *__restrict__ grad_out, const T *__restrict__ x, float *__restrict__ grad_weight,
                              float *parts, unsigned *arrivals, int length, int splits, GEOMETRY) {
    grad_of_filters<T, 64>(grad_out, x, grad_weight, {SIZES}, {parts, arrivals, length, splits});
}

// grad_bias (C,) = the sum of each column of x (rows, C), in float; of rows [split * length, + length) into row `split`
// of parts (splits, C), which the last block to arrive adds up.
//    Threads   block (32, 8): 8 rows of 32 columns at a time, coalesced.    Shared: one number a thread
//    Launch    grid (ceil(C / 32), splits).    Bound by memory: an addition for 2 bytes
template <typename T>
__global__ void column_sums(const T *__restrict__ x, float *__restrict__ sums, float *parts, unsigned *arrivals,
                            int rows, int C, int length) {
    __shared__ float partial[8][32];
    int column = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * length, last = min(first + length, rows);
    Sum<float> sum;
    if (column < C)
        for (int row = first + threadIdx.y; row < last; row += 8) sum.add(float(x[(long long)row * C + column]));
    partial[threadIdx.y][threadIdx.x] = sum.total;
    __syncthreads();
    float total = 0.0f;
    for (int y = 0; y < 8; y++) total += partial[y][threadIdx.x];
    bool mine = threadIdx.y == 0 && column < C;
    if (mine) parts[(long long)blockIdx.y * C + column] = total;
    if (!last_to_arrive(arrivals + blockIdx.x, gridDim.y) || !mine) return;
    Sum<float> all;
    for (int split = 0; split < gridDim.y; split++) all.add(parts[(long long)split * C + column]);
    sums[column] = all.total;
}

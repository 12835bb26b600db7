// Max-pooling of `planes` = N * C images, forward and backward.
//
// Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel,
//           which collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
// Memory    neighbouring threads write neighbouring numbers and read them `stride` apart; windows overlap, and what
//           they share comes from the cache; no shared memory, no barrier
// Launch    blocks of 256, ceil(count / 256) of them
// Bound by  memory: KH * KW comparisons for each number written
//
// Output (i, j) sees rows i * SH - PT + u * DH, u in [0, KH), and columns likewise; what lies outside is skipped.

#include "windows.cuh"

// The first of equals wins, but the last NaN
template <typename T>
__device__ bool better(T value, T best) {
    return value > best || value != value;
}

template <typename T>
__global__ void max_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, long long count, int H, int W, int OH,
                                   int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW) {
    long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {  // [0, count)
        Place out = place(i, OH, OW);
        T best = T(__int_as_float(0xff800000));
        for (int u = 0; u < KH; u++)
            for (int v = 0; v < KW; v++) {
                int h = out.row * SH - PT + u * DH, w = out.column * SW - PL + v * DW;
                if (h < 0 || h >= H || w < 0 || w >= W) continue;
                T value = x[(out.plane * H + h) * W + w];
                if (better(value, best)) best = value;
            }
        y[i] = best;
    }
}

// Which tap u * KW + v of an output's window won; where all is -infinity, the first tap behind the padding
template <typename T>
__device__ int winner(const T *x, Place out, int H, int W, int KH, int KW, int SH, int SW, int PT, int PL, int DH,
                      int DW) {
    T best = T(__int_as_float(0xff800000));
    int before_h = max(0, PT - out.row * SH), before_w = max(0, PL - out.column * SW);
    int first = (before_h + DH - 1) / DH * KW + (before_w + DW - 1) / DW;
    for (int u = 0; u < KH; u++)
        for (int v = 0; v < KW; v++) {
            int h = out.row * SH - PT + u * DH, w = out.column * SW - PL + v * DW;
            if (h < 0 || h >= H || w < 0 || w >= W) continue;
            T value = x[(out.plane * H + h) * W + w];
            if (better(value, best)) {
                best = value;
                first = u * KW + v;
            }
        }
    return first;
}

#define WINDOWS \
    long long count, int H, int W, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW

// One byte for each window, a quarter of what an int would cost to write and to read again; `_wide` is for windows of
// more than 256 taps
template <typename T>
__global__ void max_pool2d_winners(const T *__restrict__ x, unsigned char *__restrict__ winners, WINDOWS) {
    long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)  // [0, count)
        winners[i] = winner(x, place(i, OH, OW), H, W, KH, KW, SH, SW, PT, PL, DH, DW);
}

template <typename T>
__global__ void max_pool2d_winners_wide(const T *__restrict__ x, int *__restrict__ winners, WINDOWS) {
    long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)  // [0, count)
        winners[i] = winner(x, place(i, OH, OW), H, W, KH, KW, SH, SW, PT, PL, DH, DW);
}

// What a pixel collects from the windows that it won
template <typename T, typename Index>
__device__ T won(const T *grad_out, const Index *winners, Place pixel, int OH, int OW, int KH, int KW, int SH, int SW,
                 int PT, int PL, int DH, int DW) {
    T sum = T(0);
    for (int u = 0; u < KH; u++)
        for (int v = 0; v < KW; v++) {
            int row = output_of(pixel.row, u, SH, PT, DH, OH), column = output_of(pixel.column, v, SW, PL, DW, OW);
            if (row < 0 || column < 0) continue;
            long long out = (pixel.plane * OH + row) * OW + column;
            if (winners[out] == u * KW + v) sum += grad_out[out];
        }
    return sum;
}

template <typename T>
__global__ void max_pool2d_backward(const T *__restrict__ grad_out, const unsigned char *__restrict__ winners,
                                    T *__restrict__ grad_x, WINDOWS) {
    long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)  // [0, planes * H * W)
        grad_x[i] = won(grad_out, winners, place(i, H, W), OH, OW, KH, KW, SH, SW, PT, PL, DH, DW);
}

template <typename T>
__global__ void max_pool2d_backward_wide(const T *__restrict__ grad_out, const int *__restrict__ winners,
                                         T *__restrict__ grad_x, WINDOWS) {
    long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step)  // [0, planes * H * W)
        grad_x[i] = won(grad_out, winners, place(i, H, W), OH, OW, KH, KW, SH, SW, PT, PL, DH, DW);
}

// Max-pooling of N * C planes (images of one channel), forward and backward.
//
// Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel,
//           which collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
// Memory    neighbouring threads write neighbouring numbers (coalesced) and read them SW apart; windows overlap, and
//           what several of them read comes from the cache; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(count / 256) of them
// Bound by  memory: KH * KW comparisons for each number written
//
// Output (i, j) sees rows i * SH - PT + u * DH, u in [0, KH), and columns likewise; what lies outside is skipped.
// A winner, the tap u * KW + v, is one byte, a quarter of what an int would cost to write and to read again; the
// kernels called `_wide` are for windows of more than 256 taps.

#include "grid_stride.cuh"
#include "windows.cuh"

#define WINDOWS \
    long long count, int H, int W, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW
#define THESE_WINDOWS count, H, W, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW

// The first of equals wins, but the last NaN
template <typename T>
__device__ bool better(T value, T best) {
    return value > best || value != value;
}

// The maxima and, unless `winners` is null, which taps they are
template <typename T, typename Winner>
__device__ void max_of_windows(const T *x, T *y, Winner *winners, WINDOWS) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * OH * OW)
        Place out = place(i, OH, OW);
        int top = out.row * SH - PT, left = out.column * SW - PL;  // of the first tap; in the padding where below 0
        T best = T(__int_as_float(0xff800000));                     // -infinity
        // where no pixel is larger than that, the first tap behind the padding wins
        int winner = (max(0, -top) + DH - 1) / DH * KW + (max(0, -left) + DW - 1) / DW;
        for (int u = 0; u < KH; u++)
            for (int v = 0; v < KW; v++) {
                int h = top + u * DH, w = left + v * DW;
                if (h < 0 || h >= H || w < 0 || w >= W) continue;
                T value = x[(out.plane * H + h) * W + w];
                if (better(value, best)) {
                    best = value;
                    winner = u * KW + v;
                }
            }
        y[i] = best;
        if (winners) winners[i] = winner;
    }
}

template <typename T>
__global__ void max_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, WINDOWS) {
    max_of_windows(x, y, (int *)nullptr, THESE_WINDOWS);  // known when compiling: nothing is left of winners
}

template <typename T>
__global__ void max_pool2d_forward_and_winners(const T *__restrict__ x, T *__restrict__ y,
                                               unsigned char *__restrict__ winners, WINDOWS) {
    max_of_windows(x, y, winners, THESE_WINDOWS);
}

template <typename T>
__global__ void max_pool2d_forward_and_winners_wide(const T *__restrict__ x, T *__restrict__ y,
                                                    int *__restrict__ winners, WINDOWS) {
    max_of_windows(x, y, winners, THESE_WINDOWS);
}

// What each pixel collects from the windows that it won
template <typename T, typename Winner>
__device__ void collect(const T *grad_out, const Winner *winners, T *grad_x, WINDOWS) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * H * W)
        Place pixel = place(i, H, W);
        T sum = T(0);
        for (int u = 0; u < KH; u++)
            for (int v = 0; v < KW; v++) {
                int row = output_of(pixel.row, u, SH, PT, DH, OH), column = output_of(pixel.column, v, SW, PL, DW, OW);
                if (row < 0 || column < 0) continue;
                long long out = (pixel.plane * OH + row) * OW + column;
                if (winners[out] == u * KW + v) sum += grad_out[out];
            }
        grad_x[i] = sum;
    }
}

template <typename T>
__global__ void max_pool2d_backward(const T *__restrict__ grad_out, const unsigned char *__restrict__ winners,
                                    T *__restrict__ grad_x, WINDOWS) {
    collect(grad_out, winners, grad_x, THESE_WINDOWS);
}

template <typename T>
__global__ void max_pool2d_backward_wide(const T *__restrict__ grad_out, const int *__restrict__ winners,
                                         T *__restrict__ grad_x, WINDOWS) {
    collect(grad_out, winners, grad_x, THESE_WINDOWS);
}

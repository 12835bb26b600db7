// Average-pooling of N * C planes (images of one channel), forward and backward.
//
// Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel,
//           which collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
// Memory    neighbouring threads write neighbouring numbers (coalesced) and read them SW apart; windows overlap, and
//           what several of them read comes from the cache; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(count / 256) of them
// Bound by  memory: KH * KW additions for each number written
//
// Output (i, j) sees rows i * SH - PT + u, u in [0, KH), and columns likewise; what lies outside is skipped.

#include "grid_stride.cuh"
#include "sum.cuh"
#include "windows.cuh"

#define WINDOWS                                                                                                    \
    long long count, int H, int W, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int PB, int PR, \
        bool count_padding, T divisor

// How many rows the window of output i counts; never those that hang over the padding behind (ceil_mode)
__device__ inline int extent(int i, int size, int kernel, int stride, int before, int behind, bool count_padding) {
    int start = i * stride - before, end = min(start + kernel, size + behind);
    return count_padding ? end - start : min(end, size) - max(start, 0);
}

// y = the sum of each window / divisor; divisor 0: the number of pixels counted
template <typename T>
__global__ void avg_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, WINDOWS) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * OH * OW)
        Place out = place(i, OH, OW);
        int top = out.row * SH - PT, left = out.column * SW - PL;
        Sum<T> sum;  // a window may be large
        for (int h = max(top, 0); h < min(top + KH, H); h++)
            for (int w = max(left, 0); w < min(left + KW, W); w++) sum.add(x[(out.plane * H + h) * W + w]);
        T pixels =
            T(extent(out.row, H, KH, SH, PT, PB, count_padding)) * extent(out.column, W, KW, SW, PL, PR, count_padding);
        y[i] = sum.total / (divisor == T(0) ? pixels : divisor);
    }
}

// Each pixel sums grad_out / divisor over the windows that it is in
template <typename T>
__global__ void avg_pool2d_backward(const T *__restrict__ grad_out, T *__restrict__ grad_x, WINDOWS) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * H * W)
        Place pixel = place(i, H, W);
        T sum = T(0);
        for (int u = 0; u < KH; u++)
            for (int v = 0; v < KW; v++) {
                int row = output_of(pixel.row, u, SH, PT, 1, OH), column = output_of(pixel.column, v, SW, PL, 1, OW);
                if (row < 0 || column < 0) continue;
                T pixels =
                    T(extent(row, H, KH, SH, PT, PB, count_padding)) * extent(column, W, KW, SW, PL, PR, count_padding);
                sum += grad_out[(pixel.plane * OH + row) * OW + column] / (divisor == T(0) ? pixels : divisor);
            }
        grad_x[i] = sum;
    }
}

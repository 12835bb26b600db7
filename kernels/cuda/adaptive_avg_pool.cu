// Adaptive average-pooling of N * C planes (images of one channel), forward and backward.
//
// Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel,
//           which collects from the windows that it lies in (a gather: nobody else writes there, so no atomics)
// Memory    neighbouring threads write neighbouring numbers (coalesced) and read them W / OW apart; what several
//           windows read comes from the cache; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(count / 256) of them
// Bound by  memory: an addition for each pixel of a window

#include "grid_stride.cuh"
#include "sum.cuh"
#include "windows.cuh"

// Output i averages rows floor(i * H / OH) to ceil((i + 1) * H / OH) - 1
__device__ inline int first_row(int i, int size, int outputs) { return int((long long)i * size / outputs); }
__device__ inline int end_row(int i, int size, int outputs) {
    return int(((long long)(i + 1) * size + outputs - 1) / outputs);
}

template <typename T>
__global__ void adaptive_avg_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, long long count, int H, int W,
                                            int OH, int OW) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * OH * OW)
        Place out = place(i, OH, OW);
        int top = first_row(out.row, H, OH), bottom = end_row(out.row, H, OH);
        int left = first_row(out.column, W, OW), right = end_row(out.column, W, OW);
        Sum<T> sum;  // a window may be large
        for (int h = top; h < bottom; h++)
            for (int w = left; w < right; w++) sum.add(x[(out.plane * H + h) * W + w]);
        y[i] = sum.total / (T(bottom - top) * (right - left));
    }
}

// Each pixel sums grad_out / (the number of pixels) over the windows that it is in. Those that hold row h are
// floor(h * OH / H) to ceil((h + 1) * OH / H) - 1: the formula turned round, so the same functions say it.
template <typename T>
__global__ void adaptive_avg_pool2d_backward(const T *__restrict__ grad_out, T *__restrict__ grad_x, long long count,
                                             int H, int W, int OH, int OW) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * H * W)
        Place pixel = place(i, H, W);
        T sum = T(0);
        for (int row = first_row(pixel.row, OH, H); row < end_row(pixel.row, OH, H); row++)
            for (int column = first_row(pixel.column, OW, W); column < end_row(pixel.column, OW, W); column++) {
                int height = end_row(row, H, OH) - first_row(row, H, OH);
                int width = end_row(column, W, OW) - first_row(column, W, OW);
                sum += grad_out[(pixel.plane * OH + row) * OW + column] / (T(height) * width);
            }
        grad_x[i] = sum;
    }
}

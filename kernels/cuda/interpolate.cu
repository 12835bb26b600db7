// Interpolation of N * C planes (images of one channel), forward and backward.
//
// Threads   one for each number that is written, in a grid-stride loop: forward an output, backward an input pixel,
//           which collects from the outputs that looked at it (a gather: nobody else writes there, so no atomics)
// Memory    neighbouring threads write neighbouring numbers (coalesced) and read them W / OW apart; what several
//           outputs read comes from the cache, and so do the places and shares of both axes; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(count / 256) of them
// Bound by  memory: at most 4 reads and a write an output

#include "grid_stride.cuh"

struct Place {
    long long plane;  // of N * C
    int row, column;
};

__device__ inline Place place(long long i, int height, int width) {
    return {i / width / height, int(i / width % height), int(i % width)};
}

// (1 - share) of a pixel and `share` of the one to its right, which is not looked at where that is 0
template <typename T>
__device__ T mixed(const T *pixel, T share) {
    return share == T(0) ? pixel[0] : (T(1) - share) * pixel[0] + share * pixel[1];
}

// The pixel's share of an output that looks at `source` and the next one
template <typename T>
__device__ T share_of(int pixel, int source, T share) {
    return source == pixel ? T(1) - share : share;
}

template <typename T>
__global__ void interpolate_forward(const T *__restrict__ x, T *__restrict__ y, const int *__restrict__ row_source,
                                    const T *__restrict__ row_share, const int *__restrict__ column_source,
                                    const T *__restrict__ column_share, long long count, int H, int W, int OH, int OW) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * OH * OW)
        Place out = place(i, OH, OW);
        T a = column_share[out.column], b = row_share[out.row];
        const T *pixel = x + (out.plane * H + row_source[out.row]) * W + column_source[out.column];
        T value = mixed<T>(pixel, a);
        if (b > T(0)) value = (T(1) - b) * value + b * mixed<T>(pixel + W, a);
        y[i] = value;
    }
}

template <typename T>
__global__ void interpolate_backward(const T *__restrict__ grad_out, T *__restrict__ grad_x,
                                     const int *__restrict__ row_source, const T *__restrict__ row_share,
                                     const int *__restrict__ row_first, const int *__restrict__ row_end,
                                     const int *__restrict__ column_source, const T *__restrict__ column_share,
                                     const int *__restrict__ column_first, const int *__restrict__ column_end,
                                     long long count, int H, int W, int OH, int OW) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * H * W)
        Place pixel = place(i, H, W);
        T sum = T(0);
        for (int oh = row_first[pixel.row]; oh < row_end[pixel.row]; oh++) {
            T b = share_of<T>(pixel.row, row_source[oh], row_share[oh]);
            for (int ow = column_first[pixel.column]; ow < column_end[pixel.column]; ow++) {
                T a = share_of<T>(pixel.column, column_source[ow], column_share[ow]);
                sum += a * b * grad_out[(pixel.plane * OH + oh) * OW + ow];
            }
        }
        grad_x[i] = sum;
    }
}

// Average-pooling of images (outer, H, W, inner), forward and backward: windows.cuh says what that is.
//
// Threads   one for V neighbouring numbers that are written, in a grid-stride loop: forward outputs, backward input
//           pixels, which collect from the windows that they lie in (a gather: nobody else writes there: no atomics)
// Memory    channels-last: 16 bytes of each tap, coalesced; in C order neighbouring threads write neighbouring numbers and
//           read them SW apart. Windows overlap, and what several see comes from the cache; no shared memory, no barrier
// Launch    thread blocks of 256, a thread for each V numbers
// Bound by  memory: KH * KW additions for each number written
//
// Output (i, j) sees rows i * SH - PT + u, u in [0, KH), and columns likewise; what lies outside is skipped.
// Divisors instead of divisions, and backward only the windows that see a pixel: as in max_pool.cu.
//
// T: float, double, bfloat16

#include "sum.cuh"
#include "windows.cuh"

template <typename Wide>
struct Windows {
    int count, inner;  // of the numbers that are written
    Divisor numbers, vectors, H, W, OH, OW;
    int KH, KW;
    Divisor SH, SW;
    int PT, PL, PB, PR;
    bool count_padding;
    Wide divisor;  // 0: the number of pixels counted

    // What the sum of the window of output (i, j) is divided by
    __device__ Wide divided_by(int i, int j) const {
        if (divisor != Wide(0)) return divisor;
        return Wide(extent(i, H.number, KH, SH.number, PT, PB)) * extent(j, W.number, KW, SW.number, PL, PR);
    }

    // How many rows the window of output i counts; never those that hang over the padding behind (ceil_mode)
    __device__ int extent(int i, int size, int taps, int stride, int before, int behind) const {
        int start = i * stride - before, end = min(start + taps, size + behind);
        return count_padding ? end - start : min(end, size) - max(start, 0);
    }
};

#define WINDOWS                                                                                                    \
    int count, int inner, Divisor numbers, Divisor vectors, Divisor H, Divisor W, Divisor OH, Divisor OW, int KH,  \
        int KW, Divisor SH, Divisor SW, int PT, int PL, int PB, int PR, bool count_padding, wide<T> divisor
#define THESE_WINDOWS                                                                                           \
    Windows<wide<T>> {                                                                                          \
        count, inner, numbers, vectors, H, W, OH, OW, KH, KW, SH, SW, PT, PL, PB, PR, count_padding, divisor    \
    }

template <int V, typename T>
__device__ void average(const T *x, T *y, const Windows<wide<T>> &windows, const Divisor &steps) {
    const int H = windows.H.number, W = windows.W.number;
    long long image = (long long)H * W * windows.inner;
    GRID_STRIDE_LOOP(i, windows.count / V) {  // [0, outer * OH * OW * inner / V)
        Place out = place<V>(int(i), windows.OH, windows.OW, steps);
        int top = out.row * windows.SH.number - windows.PT, left = out.column * windows.SW.number - windows.PL;
        const T *from = x + out.outer * image + out.inner;
        Sum<wide<T>> sums[V];  // a window may be large
        for (int h = max(top, 0); h < min(top + windows.KH, H); h++)
            for (int w = max(left, 0); w < min(left + windows.KW, W); w++) {
                wide<T> values[V];
                load(from + (long long)(h * W + w) * windows.inner, values);
#pragma unroll
                for (int e = 0; e < V; e++) sums[e].add(values[e]);
            }
        wide<T> by = windows.divided_by(out.row, out.column), averages[V];
#pragma unroll
        for (int e = 0; e < V; e++) averages[e] = sums[e].total / by;
        store(y + i * V, averages);
    }
}

// y = the sum of each window / divisor
template <typename T>
__global__ void avg_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, WINDOWS) {
    Windows<wide<T>> windows = THESE_WINDOWS;
    if (inner % VECTOR<T> == 0 && aligned(x, y))
        average<VECTOR<T>>(x, y, windows, vectors);
    else
        average<1>(x, y, windows, numbers);
}

template <int V, typename T>
__device__ void collect(const T *grad_out, T *grad_x, const Windows<wide<T>> &windows, const Divisor &steps) {
    const int OH = windows.OH.number, OW = windows.OW.number;
    GRID_STRIDE_LOOP(i, windows.count / V) {  // [0, outer * H * W * inner / V)
        Place pixel = place<V>(int(i), windows.H, windows.W, steps);
        Outputs rows = outputs_of(pixel.row, windows.KH, windows.SH, windows.PT, 1, OH);
        Outputs columns = outputs_of(pixel.column, windows.KW, windows.SW, windows.PL, 1, OW);
        wide<T> sums[V] = {};
        for (int row = rows.last; row >= rows.first; row--)  // the first tap sees the last output
            for (int column = columns.last; column >= columns.first; column--) {
                wide<T> grads[V], share = 1 / windows.divided_by(row, column);
                load(grad_out + ((long long)(pixel.outer * OH + row) * OW + column) * windows.inner + pixel.inner,
                     grads);
#pragma unroll
                for (int e = 0; e < V; e++) sums[e] += grads[e] * share;
            }
        store(grad_x + i * V, sums);
    }
}

// Each pixel sums grad_out / divisor over the windows that it is in
template <typename T>
__global__ void avg_pool2d_backward(const T *__restrict__ grad_out, T *__restrict__ grad_x, WINDOWS) {
    Windows<wide<T>> windows = THESE_WINDOWS;
    if (inner % VECTOR<T> == 0 && aligned(grad_out, grad_x))
        collect<VECTOR<T>>(grad_out, grad_x, windows, vectors);
    else
        collect<1>(grad_out, grad_x, windows, numbers);
}

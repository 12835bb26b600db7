// Adaptive average-pooling of images (outer, H, W, inner), forward and backward: windows.cuh says what that is.
//
// Threads   one for V neighbouring numbers that are written, in a grid-stride loop: forward outputs, backward input
//           pixels, which collect from the windows that they lie in (a gather: nobody else writes there: no atomics).
//           Whole images in C order (OH = OW = 1) have a warp for each channel, whose lanes take pixels lane, lane + 32,
//           ..., and shuffles add up
// Memory    coalesced; in C order with several outputs neighbouring threads write neighbouring numbers and read them
//           W / OW apart. No shared memory, no barrier
// Launch    thread blocks of 256, a thread for each V numbers, or a warp for each channel
// Bound by  memory: an addition for each pixel of a window
//
// A thread for each whole 7 x 7 image in C order read 49 numbers that lay side by side, its neighbours' 196 bytes away:
// 32 sectors a request where now 4 or 5 are (tests/kernels/cuda/test_traffic.py).
//
// T: float, double, bfloat16

#include "rows.cuh"
#include "windows.cuh"

// Output i averages rows floor(i * H / OH) to ceil((i + 1) * H / OH) - 1
__device__ inline int first_row(int i, int size, const Divisor &outputs) { return i * size / outputs; }
__device__ inline int end_row(int i, int size, const Divisor &outputs) {
    return ((i + 1) * size + outputs.number - 1) / outputs;
}

#define SIZES int count, int inner, Divisor numbers, Divisor vectors, Divisor H, Divisor W, Divisor OH, Divisor OW

// The averages of whole images, each of `pixels` numbers side by side
template <typename T>
__device__ void average_images(const T *x, T *y, int images, int pixels) {
    ROWS_LOOP(32, image, images) {  // [0, images)
        Sum<wide<T>> sum;
        CLASSES_LOOP(32, pixel, pixels) sum.add(x[image * pixels + pixel]);
        wide<T> total = warp_sum(sum.total);
        if (threadIdx.x % 32 == 0) y[image] = T(total / wide<T>(pixels));
    }
}

template <int V, typename T>
__device__ void average(const T *x, T *y, int count, int inner, const Divisor &steps, const Divisor &H,
                        const Divisor &W, const Divisor &OH, const Divisor &OW) {
    GRID_STRIDE_LOOP(i, count / V) {  // [0, outer * OH * OW * inner / V)
        Place out = place<V>(int(i), OH, OW, steps);
        int top = first_row(out.row, H.number, OH), bottom = end_row(out.row, H.number, OH);
        int left = first_row(out.column, W.number, OW), right = end_row(out.column, W.number, OW);
        const T *from = x + (long long)out.outer * H.number * W.number * inner + out.inner;
        Sum<wide<T>> sums[V];  // a window may be large
        for (int h = top; h < bottom; h++)
            for (int w = left; w < right; w++) {
                wide<T> values[V];
                load(from + (long long)(h * W.number + w) * inner, values);
#pragma unroll
                for (int e = 0; e < V; e++) sums[e].add(values[e]);
            }
        wide<T> pixels = wide<T>(bottom - top) * (right - left), averages[V];
#pragma unroll
        for (int e = 0; e < V; e++) averages[e] = sums[e].total / pixels;
        store(y + i * V, averages);
    }
}

template <typename T>
__global__ void adaptive_avg_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, SIZES) {
    if (inner == 1 && OH.number == 1 && OW.number == 1)
        average_images(x, y, count, H.number * W.number);
    else if (inner % VECTOR<T> == 0 && aligned(x, y))
        average<VECTOR<T>>(x, y, count, inner, vectors, H, W, OH, OW);
    else
        average<1>(x, y, count, inner, numbers, H, W, OH, OW);
}

// Each pixel sums grad_out / (the number of pixels) over the windows that it is in. Those that hold row h are
// floor(h * OH / H) to ceil((h + 1) * OH / H) - 1: the formula turned round, so the same functions say it.
template <int V, typename T>
__device__ void collect(const T *grad_out, T *grad_x, int count, int inner, const Divisor &steps, const Divisor &H,
                        const Divisor &W, const Divisor &OH, const Divisor &OW) {
    GRID_STRIDE_LOOP(i, count / V) {  // [0, outer * H * W * inner / V)
        Place pixel = place<V>(int(i), H, W, steps);
        int last_row = end_row(pixel.row, OH.number, H), last_column = end_row(pixel.column, OW.number, W);
        wide<T> sums[V] = {};
        for (int row = first_row(pixel.row, OH.number, H); row < last_row; row++)
            for (int column = first_row(pixel.column, OW.number, W); column < last_column; column++) {
                int height = end_row(row, H.number, OH) - first_row(row, H.number, OH);
                int width = end_row(column, W.number, OW) - first_row(column, W.number, OW);
                wide<T> grads[V], share = 1 / (wide<T>(height) * width);
                long long at = ((long long)(pixel.outer * OH.number + row) * OW.number + column) * inner + pixel.inner;
                load(grad_out + at, grads);
#pragma unroll
                for (int e = 0; e < V; e++) sums[e] += grads[e] * share;
            }
        store(grad_x + i * V, sums);
    }
}

template <typename T>
__global__ void adaptive_avg_pool2d_backward(const T *__restrict__ grad_out, T *__restrict__ grad_x, SIZES) {
    if (inner % VECTOR<T> == 0 && aligned(grad_out, grad_x))
        collect<VECTOR<T>>(grad_out, grad_x, count, inner, vectors, H, W, OH, OW);
    else
        collect<1>(grad_out, grad_x, count, inner, numbers, H, W, OH, OW);
}

// Softmax and its logarithm over the middle axis of x (outer, C, inner): scores into probabilities.
//
// Threads   a warp for each of the outer * inner rows of C scores; its lanes take scores lane, lane + 32, ..., and
//           shuffles put their maximum and their sum together, register to register: no shared memory, no barrier
// Memory    coalesced where inner = 1, the scores of a classifier; otherwise neighbouring lanes read `inner` apart
// Launch    thread blocks of 256, ceil(rows / 8) of them; a warp without a row leaves as a whole
// Bound by  memory: the scores are read two or three times (the second time from a cache) and written once
//
// The maximum is subtracted first, so that nothing overflows. It ignores NaN, but the sum does not.

#include "sum.cuh"

// The largest of every lane's values, for every lane of the warp
template <typename T>
__device__ T warp_max(T value) {
    for (int lanes = 16; lanes > 0; lanes /= 2) value = max(value, __shfl_xor_sync(0xffffffffu, value, lanes));
    return value;
}

__device__ inline long long row_of_warp() { return ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32; }

// The largest score of the row that begins at x[first], and the sum of e^(score - largest), for every lane
template <typename T>
__device__ T largest_and_sum(const T *x, long long first, int C, long long inner, T &largest) {
    largest = T(__int_as_float(0xff800000));  // -infinity
    for (int c = threadIdx.x % 32; c < C; c += 32) largest = max(largest, x[first + c * inner]);
    largest = warp_max(largest);
    Sum<T> sum;
    for (int c = threadIdx.x % 32; c < C; c += 32) sum.add(exp(x[first + c * inner] - largest));
    return warp_sum(sum.total);
}

// y = e^(x - largest) / sum of e^(x - largest)
template <typename T>
__global__ void softmax_forward(const T *__restrict__ x, T *__restrict__ y, long long rows, int C, long long inner) {
    long long row = row_of_warp(), first = row / inner * C * inner + row % inner;  // [0, rows); its first score
    if (row >= rows) return;
    T largest, total = largest_and_sum(x, first, C, inner, largest);
    for (int c = threadIdx.x % 32; c < C; c += 32) y[first + c * inner] = exp(x[first + c * inner] - largest) / total;
}

// y = x - largest - log sum of e^(x - largest)
template <typename T>
__global__ void log_softmax_forward(const T *__restrict__ x, T *__restrict__ y, long long rows, int C,
                                    long long inner) {
    long long row = row_of_warp(), first = row / inner * C * inner + row % inner;  // [0, rows); its first score
    if (row >= rows) return;
    T largest, log_sum = log(largest_and_sum(x, first, C, inner, largest));
    for (int c = threadIdx.x % 32; c < C; c += 32) y[first + c * inner] = x[first + c * inner] - largest - log_sum;
}

// grad_x = y * (grad_out - sum of grad_out * y)
template <typename T>
__global__ void softmax_backward(const T *__restrict__ grad_out, const T *__restrict__ y, T *__restrict__ grad_x,
                                 long long rows, int C, long long inner) {
    long long row = row_of_warp(), first = row / inner * C * inner + row % inner;  // [0, rows)
    int lane = threadIdx.x % 32;
    if (row >= rows) return;
    Sum<T> sum;
    for (int c = lane; c < C; c += 32) sum.add(grad_out[first + c * inner] * y[first + c * inner]);
    T total = warp_sum(sum.total);
    for (int c = lane; c < C; c += 32) {
        long long i = first + c * inner;
        grad_x[i] = y[i] * (grad_out[i] - total);
    }
}

// grad_x = grad_out - e^y * sum of grad_out
template <typename T>
__global__ void log_softmax_backward(const T *__restrict__ grad_out, const T *__restrict__ y, T *__restrict__ grad_x,
                                     long long rows, int C, long long inner) {
    long long row = row_of_warp(), first = row / inner * C * inner + row % inner;  // [0, rows)
    int lane = threadIdx.x % 32;
    if (row >= rows) return;
    Sum<T> sum;
    for (int c = lane; c < C; c += 32) sum.add(grad_out[first + c * inner]);
    T total = warp_sum(sum.total);
    for (int c = lane; c < C; c += 32) {
        long long i = first + c * inner;
        grad_x[i] = grad_out[i] - exp(y[i]) * total;
    }
}

// Softmax and its logarithm over the middle axis of x (outer, C, inner): scores into probabilities.
//
// Threads   a warp for each of the outer * inner rows of C scores where inner = 1, the scores of a classifier, and a
//           thread for each where rows lie side by side (rows.cuh): no shared memory, no barrier
// Memory    coalesced
// Launch    thread blocks of 256, as many as rows need
// Bound by  memory: the scores are read two or three times (the second time from a cache) and written once

#include "rows.cuh"

// y = e^(x - largest) / sum of e^(x - largest)
template <int LANES, typename T>
__device__ void softmax(const T *x, T *y, long long rows, int C, long long inner) {
    ROWS_LOOP(LANES, row, rows) {  // [0, outer * inner)
        long long first = first_of(row, C, inner);
        T largest, total = largest_and_sum<LANES>(x, first, C, inner, largest);
        CLASSES_LOOP(LANES, c, C) y[first + c * inner] = exp(x[first + c * inner] - largest) / total;
    }
}

// y = x - largest - log sum of e^(x - largest)
template <int LANES, typename T>
__device__ void log_softmax(const T *x, T *y, long long rows, int C, long long inner) {
    ROWS_LOOP(LANES, row, rows) {
        long long first = first_of(row, C, inner);
        T largest, log_sum = log(largest_and_sum<LANES>(x, first, C, inner, largest));
        CLASSES_LOOP(LANES, c, C) y[first + c * inner] = x[first + c * inner] - largest - log_sum;
    }
}

// grad_x = y * (grad_out - sum of grad_out * y)
template <int LANES, typename T>
__device__ void softmax_gradient(const T *grad_out, const T *y, T *grad_x, long long rows, int C, long long inner) {
    ROWS_LOOP(LANES, row, rows) {
        long long first = first_of(row, C, inner);
        Sum<T> sum;
        CLASSES_LOOP(LANES, c, C) sum.add(grad_out[first + c * inner] * y[first + c * inner]);
        T total = sum_of_lanes<LANES>(sum.total);
        CLASSES_LOOP(LANES, c, C) {
            long long i = first + c * inner;
            grad_x[i] = y[i] * (grad_out[i] - total);
        }
    }
}

// grad_x = grad_out - e^y * sum of grad_out
template <int LANES, typename T>
__device__ void log_softmax_gradient(const T *grad_out, const T *y, T *grad_x, long long rows, int C, long long inner) {
    ROWS_LOOP(LANES, row, rows) {
        long long first = first_of(row, C, inner);
        Sum<T> sum;
        CLASSES_LOOP(LANES, c, C) sum.add(grad_out[first + c * inner]);
        T total = sum_of_lanes<LANES>(sum.total);
        CLASSES_LOOP(LANES, c, C) {
            long long i = first + c * inner;
            grad_x[i] = grad_out[i] - exp(y[i]) * total;
        }
    }
}

template <typename T>
__global__ void softmax_forward(const T *__restrict__ x, T *__restrict__ y, long long rows, int C, long long inner) {
    if (inner == 1) softmax<32>(x, y, rows, C, inner);
    else softmax<1>(x, y, rows, C, inner);
}

template <typename T>
__global__ void log_softmax_forward(const T *__restrict__ x, T *__restrict__ y, long long rows, int C,
                                    long long inner) {
    if (inner == 1) log_softmax<32>(x, y, rows, C, inner);
    else log_softmax<1>(x, y, rows, C, inner);
}

template <typename T>
__global__ void softmax_backward(const T *__restrict__ grad_out, const T *__restrict__ y, T *__restrict__ grad_x,
                                 long long rows, int C, long long inner) {
    if (inner == 1) softmax_gradient<32>(grad_out, y, grad_x, rows, C, inner);
    else softmax_gradient<1>(grad_out, y, grad_x, rows, C, inner);
}

template <typename T>
__global__ void log_softmax_backward(const T *__restrict__ grad_out, const T *__restrict__ y, T *__restrict__ grad_x,
                                     long long rows, int C, long long inner) {
    if (inner == 1) log_softmax_gradient<32>(grad_out, y, grad_x, rows, C, inner);
    else log_softmax_gradient<1>(grad_out, y, grad_x, rows, C, inner);
}

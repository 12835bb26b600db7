// ReLU, leaky ReLU, ReLU6, sigmoid and tanh, forward and backward: element by element, so all kernels have one shape.
//
// Threads   one for every element, in a grid-stride loop: thread i takes i, i + threads of the grid, and so on
// Memory    neighbouring threads touch neighbouring elements: every access is coalesced; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(size / 256) of them
// Bound by  memory: forward 1 read and 1 write an element, backward 2 reads and 1 write, for a few tens of operations
//
// y may be x itself (inplace=True), so neither is __restrict__: a thread reads its element before it writes it.

#include "grid_stride.cuh"

// y = max(x, 0). Not fmax, which would drop a NaN.
template <typename T>
__global__ void relu_forward(const T *x, T *y, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T value = x[i];
        y[i] = value <= T(0) ? T(0) : value;
    }
}

// grad_x = grad_out where y > 0 or NaN. A choice and not a product: 0 times an infinite gradient would be NaN.
template <typename T>
__global__ void relu_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        grad_x[i] = y[i] <= T(0) ? T(0) : grad_out[i];
}

// y = x where x > 0, else slope * x
template <typename T>
__global__ void leaky_relu_forward(const T *x, T *y, long long size, T slope) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T value = x[i];
        y[i] = value > T(0) ? value : slope * value;
    }
}

// grad_x = grad_out where y > 0, else slope * grad_out
template <typename T>
__global__ void leaky_relu_backward(const T *grad_out, const T *y, T *grad_x, long long size, T slope) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        grad_x[i] = y[i] > T(0) ? grad_out[i] : slope * grad_out[i];
}

// y = min(max(x, 0), 6). Not fmin and fmax, which would drop a NaN.
template <typename T>
__global__ void relu6_forward(const T *x, T *y, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T value = x[i];
        y[i] = value <= T(0) ? T(0) : value >= T(6) ? T(6) : value;
    }
}

// grad_x = grad_out where 0 < y < 6 or NaN
template <typename T>
__global__ void relu6_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        grad_x[i] = y[i] <= T(0) || y[i] >= T(6) ? T(0) : grad_out[i];
}

// y = 1 / (1 + e^-x), in the form whose exponential cannot overflow
template <typename T>
__global__ void sigmoid_forward(const T *x, T *y, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T e = exp(-fabs(x[i]));
        y[i] = (x[i] >= T(0) ? T(1) : e) / (T(1) + e);
    }
}

// grad_x = grad_out * y * (1 - y)
template <typename T>
__global__ void sigmoid_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        grad_x[i] = grad_out[i] * y[i] * (T(1) - y[i]);
}

template <typename T>
__global__ void tanh_forward(const T *x, T *y, long long size) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        y[i] = tanh(x[i]);
}

// grad_x = grad_out * (1 - y^2)
template <typename T>
__global__ void tanh_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        grad_x[i] = grad_out[i] * (T(1) - y[i] * y[i]);
}

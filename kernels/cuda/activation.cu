// ReLU, leaky ReLU, ReLU6, sigmoid and tanh, forward and backward: element by element, so all kernels have one shape.
//
// Threads   one for 16 bytes, a vector, in a grid-stride loop (elementwise.cuh)
// Memory    neighbouring threads touch neighbouring vectors: every access is coalesced; no shared memory, no barrier
// Launch    thread blocks of 256, one thread for each vector
// Bound by  memory: forward 1 read and 1 write an element, backward 2 reads and 1 write, for a few tens of operations
//
// Vectors instead of single numbers left the bytes as they were, and took a quarter of the requests: for 20,000 floats a
// warp asks 157 times for 16 sectors, where it asked 625 times for 4 (tests/kernels/cuda/test_traffic.py).
//
// y may be x itself (inplace=True), so neither is __restrict__.
//
// T: float, double, bfloat16

#include "elementwise.cuh"

// y = max(x, 0). Not fmax, which would drop a NaN.
template <typename T>
__global__ void relu_forward(const T *x, T *y, long long size) {
    using W = wide<T>;
    elementwise(x, y, size, [](W value) { return value <= W(0) ? W(0) : value; });
}

// grad_x = grad_out where y > 0 or NaN. A choice and not a product: 0 times an infinite gradient would be NaN.
template <typename T>
__global__ void relu_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    using W = wide<T>;
    elementwise(grad_out, y, grad_x, size, [](W grad, W result) { return result <= W(0) ? W(0) : grad; });
}

// y = x where x > 0, else slope * x
template <typename T>
__global__ void leaky_relu_forward(const T *x, T *y, long long size, wide<T> slope) {
    using W = wide<T>;
    elementwise(x, y, size, [=](W value) { return value > W(0) ? value : slope * value; });
}

// grad_x = grad_out where y > 0, else slope * grad_out
template <typename T>
__global__ void leaky_relu_backward(const T *grad_out, const T *y, T *grad_x, long long size, wide<T> slope) {
    using W = wide<T>;
    elementwise(grad_out, y, grad_x, size, [=](W grad, W result) { return result > W(0) ? grad : slope * grad; });
}

// y = min(max(x, 0), 6). Not fmin and fmax, which would drop a NaN.
template <typename T>
__global__ void relu6_forward(const T *x, T *y, long long size) {
    using W = wide<T>;
    elementwise(x, y, size, [](W value) { return value <= W(0) ? W(0) : value >= W(6) ? W(6) : value; });
}

// grad_x = grad_out where 0 < y < 6 or NaN
template <typename T>
__global__ void relu6_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    using W = wide<T>;
    elementwise(grad_out, y, grad_x, size,
                [](W grad, W result) { return result <= W(0) || result >= W(6) ? W(0) : grad; });
}

// y = 1 / (1 + e^-x), in the form whose exponential cannot overflow
template <typename T>
__global__ void sigmoid_forward(const T *x, T *y, long long size) {
    using W = wide<T>;
    elementwise(x, y, size, [](W value) {
        W e = exp(-fabs(value));
        return (value >= W(0) ? W(1) : e) / (W(1) + e);
    });
}

// grad_x = grad_out * y * (1 - y)
template <typename T>
__global__ void sigmoid_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    using W = wide<T>;
    elementwise(grad_out, y, grad_x, size, [](W grad, W result) { return grad * result * (W(1) - result); });
}

template <typename T>
__global__ void tanh_forward(const T *x, T *y, long long size) {
    elementwise(x, y, size, [](wide<T> value) { return tanh(value); });
}

// grad_x = grad_out * (1 - y^2)
template <typename T>
__global__ void tanh_backward(const T *grad_out, const T *y, T *grad_x, long long size) {
    using W = wide<T>;
    elementwise(grad_out, y, grad_x, size, [](W grad, W result) { return grad * (W(1) - result * result); });
}

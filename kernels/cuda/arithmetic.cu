// The residual add, y = a + b of one shape, and the sum of two gradients; broadcasting arithmetic is the array library's.
//
// Threads   one for 16 bytes, a vector, in a grid-stride loop (elementwise.cuh)
// Memory    2 reads and 1 write an element, all coalesced; no shared memory, no barrier
// Launch    thread blocks of 256, one thread for each vector
// Bound by  memory: 1 operation for 3 * sizeof(T) bytes
//
// T: float, double, bfloat16

#include "elementwise.cuh"

template <typename T>
__global__ void residual_add_forward(const T *__restrict__ a, const T *__restrict__ b, T *__restrict__ y,
                                     long long size) {
    elementwise(a, b, y, size, [](wide<T> value, wide<T> other) { return value + other; });
}

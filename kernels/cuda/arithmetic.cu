// The residual add, y = a + b of one shape; broadcasting arithmetic is the array library's.
//
// Threads   one for every element, in a grid-stride loop
// Memory    2 reads and 1 write an element, all coalesced; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(size / 256) of them
// Bound by  memory: 1 operation for 3 * sizeof(T) bytes

#include "grid_stride.cuh"

template <typename T>
__global__ void residual_add_forward(const T *__restrict__ a, const T *__restrict__ b, T *__restrict__ y,
                                     long long size) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        y[i] = a[i] + b[i];
}

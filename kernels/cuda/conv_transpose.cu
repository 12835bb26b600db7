// The bias of a transposed convolution, whose sums conv.cu makes: they are conv2d's gradient with respect to x.
//
// Threads   one for every number, in a grid-stride loop: thread i takes i, i + threads of the grid, and so on
// Memory    neighbouring threads touch neighbouring numbers: every access is coalesced; the biases come from the cache;
//           no shared memory, no barrier
// Launch    thread blocks of 256, ceil(size / 256) of them
// Bound by  memory: 1 read and 1 write a number, for 1 addition

#include "grid_stride.cuh"

// y (N, OC, area) += bias (OC,)
template <typename T>
__global__ void add_bias(const T *__restrict__ bias, T *__restrict__ y, long long size, int OC, int area) {
    GRID_STRIDE_LOOP(i, size)  // [0, N * OC * area)
        y[i] += bias[i / area % OC];
}

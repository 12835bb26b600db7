// The end of a product whose sums were cut into splits, each of which is an array of its own (split.py).
//
// Threads   one for each element, in a grid-stride loop; it adds the splits always in the same order
// Memory    coalesced; no shared memory, no barrier
// Launch    thread blocks of 256
// Bound by  memory: an addition for sizeof(T) bytes

#include "grid_stride.cuh"

// y (size,) = sums (splits, size) summed over the splits
template <typename T>
__global__ void sum_splits(const T *__restrict__ sums, T *__restrict__ y, int splits, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T sum = sums[i];
        for (int split = 1; split < splits; split++) sum += sums[split * size + i];
        y[i] = sum;
    }
}

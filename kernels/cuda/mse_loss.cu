// Mean squared error, forward (each square, or their sum) and backward.
//
// Threads   for the squares one for 16 bytes (elementwise.cuh), else one for every element, in grid-stride loops
// Memory    neighbouring threads touch neighbouring elements: every access is coalesced; no shared memory, no barrier
// Launch    thread blocks of 256; for the sum at most 1024
// Bound by  memory: 2 or 3 reads and at most 1 write an element, for 3 operations
//
// The sum: each thread adds up its squares, and shuffles add up those of a warp, which leaves one number for the array
// library to add to the other warps'.

#include "elementwise.cuh"
#include "sum.cuh"

// y = (x - target)^2
template <typename T>
__global__ void mse_loss_forward(const T *__restrict__ x, const T *__restrict__ target, T *__restrict__ y,
                                 long long size) {
    elementwise(x, target, y, size, [](T value, T wanted) { return (value - wanted) * (value - wanted); });
}

// sums[warp] = the sum of the squares that the warp's lanes have seen; a warp is 32 threads of the grid
template <typename T>
__global__ void mse_loss_sum(const T *__restrict__ x, const T *__restrict__ target, T *__restrict__ sums,
                             long long size) {
    Sum<T> squares;
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T difference = x[i] - target[i];
        squares.add(difference * difference);
    }
    T sum = warp_sum(squares.total);  // every lane is here, with elements or without
    long long warp = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (threadIdx.x % 32 == 0) sums[warp] = sum;
}

// grad_x = 2 * (x - target) * grad_loss, which has one number for each element, or one for all (grad_stride 0)
template <typename T>
__global__ void mse_loss_backward(const T *__restrict__ grad_loss, long long grad_stride, const T *__restrict__ x,
                                  const T *__restrict__ target, T *__restrict__ grad_x, long long size) {
    GRID_STRIDE_LOOP(i, size)  // [0, size)
        grad_x[i] = T(2) * (x[i] - target[i]) * grad_loss[i * grad_stride];
}

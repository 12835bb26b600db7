// Arrays in another order of memory.
//
// T: float, double, bfloat16

#include "bfloat16.cuh"

// y (N, B, A) = x (N, A, B): the last two axes exchanged. Of images (N, C, H * W) it makes channels-last ones.
//    Threads   a thread block of 32 x 8 has 32 x 32 numbers, which go through shared memory: it reads along B and writes
//              along A, both coalesced. A row there has one number more than it needs, so that the 32 numbers of a
//              column lie in different banks
//    Barriers  two for each n; the loop runs as often for every thread
//    Launch    grid (ceil(B / 32), ceil(A / 32), N or fewer), block (32, 8)
//    Bound by  memory: 2 * sizeof(T) bytes for each number
template <typename T>
__global__ void swap_axes(const T *__restrict__ x, T *__restrict__ y, int N, int A, int B) {
    __shared__ T tile[32][33];
    int first_a = blockIdx.y * 32, first_b = blockIdx.x * 32;
    for (int n = blockIdx.z; n < N; n += gridDim.z) {  // [0, N)
        long long image = (long long)n * A * B;
        for (int row = threadIdx.y; row < 32; row += 8) {  // [0, 32)
            int a = first_a + row, b = first_b + threadIdx.x;
            if (a < A && b < B) tile[row][threadIdx.x] = x[image + (long long)a * B + b];
        }
        __syncthreads();
        for (int row = threadIdx.y; row < 32; row += 8) {
            int a = first_a + threadIdx.x, b = first_b + row;
            if (a < A && b < B) y[image + (long long)b * A + a] = tile[threadIdx.x][row];
        }
        __syncthreads();
    }
}

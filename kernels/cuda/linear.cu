// The gradient of a linear layer's bias, column sums: y (columns,) = x (rows, columns) summed over the rows.
// (The layer's other three functions are products: matmul.cu.)
//
// Threads   a thread block of 32 x 8 has 32 neighbouring columns; thread (x, y) sums rows y, y + 8, ... of column x,
//           and then thread (x, 0) the 8 partial sums, always in the same order: the result repeats bit for bit
// Memory    a warp is one y: it reads 32 neighbouring numbers of a row, coalesced
// Shared    the 8 x 32 partial sums, with one barrier that every thread reaches (a column beyond the edge counts 0)
// Launch    grid ceil(columns / 32), block (32, 8)
// Bound by  memory: 1 addition for sizeof(T) bytes

#include "sum.cuh"

template <typename T>
__global__ void column_sums(const T *__restrict__ x, T *__restrict__ y, int rows, int columns) {
    __shared__ T partial[8][32];
    int column = blockIdx.x * 32 + threadIdx.x;  // [0, columns)
    Sum<T> sum;
    if (column < columns)
        for (int row = threadIdx.y; row < rows; row += 8) sum.add(x[(long long)row * columns + column]);  // [0, rows)
    partial[threadIdx.y][threadIdx.x] = sum.total;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        T total = T(0);
        for (int down = 0; down < 8; down++) total += partial[down][threadIdx.x];
        y[column] = total;
    }
}

// Kernels that test_profiler.py finds faults in, and where it finds none.

#include "profiled.cuh"

template <typename T>
__global__ void axpy(const T *x, T *y, T a, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) y[i] = a * x[i] + y[i];
}

template <typename T>
__global__ void reversed(const T *x, T *y) {
    __shared__ T tile[32][33];
    tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * 32 + threadIdx.x];
    __syncthreads();
    y[threadIdx.y * 32 + threadIdx.x] = turned(tile);
}

struct Three {
    float a, b, c;
};

template <typename T>
__global__ void of_threes(const T *x, T *y) {
    __shared__ Three tile[64];
    Three three = {float(x[threadIdx.x]), 1, 2};
    tile[threadIdx.x] = three;
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x].a;
}

template <typename T>
__global__ void two_ways(const T *x, T *y) {
    T sum = x[threadIdx.x];
    if (threadIdx.x % 4 == 0)
        sum = sum * T(3) + T(1);
    for (int i = 0; i < threadIdx.x % 2; i++)
        sum += T(2);
    y[threadIdx.x] = sum;
}

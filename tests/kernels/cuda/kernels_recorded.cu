// Kernels that test_recording.py counts in.

#include "tensor_cores.cuh"

template <typename T>
__global__ void gather(const T *x, T *y, int stride, int first) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[first + i * stride];
}

template <typename T>
__global__ void through_shared(const T *x, T *y, int pitch, int again) {
    __shared__ T tile[1056];
    int t = threadIdx.x;
    for (int i = t; i < 1056; i += blockDim.x) tile[i] = x[i];
    __syncthreads();
    T sum = T(0);
    for (int time = 0; time < again; time++) sum += tile[t * pitch];
    __syncthreads();
    y[t] = sum + tile[t * pitch];
}

template <typename T>
__global__ void sum_up(const T *x, T *y) {
    atomicAdd(y, x[threadIdx.x]);
}

template <typename T>
__global__ void copied_ahead(const T *x, T *y) {
    __shared__ alignas(16) T tile[32 * 4];
    copy_async(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, true);
    close_group();
    wait_for_groups<0>();
    y[threadIdx.x] = tile[4 * threadIdx.x];
}

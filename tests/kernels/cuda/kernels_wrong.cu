// Kernels that test_emulator.py must catch: each one has one mistake that people make. `// here` marks the line of the
// report.

#include "tensor_cores.cuh"

template <typename T>
__global__ void read_past_the_end(const T *x, T *y, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) y[i] = x[i + 1];  // here
}

template <typename T>
__global__ void read_before_the_start(const T *x, T *y, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) y[i] = x[i - 1];  // here
}

template <typename T>
__global__ void write_past_the_end(const T *x, T *y, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= size) y[i] = T(1);  // here
}

template <typename T>
__global__ void past_a_shared_array(T *y) {
    __shared__ T first[32];
    __shared__ T second[32];
    second[threadIdx.x] = T(2);
    first[threadIdx.x + 1] = T(1);  // here
    __syncthreads();
    y[threadIdx.x] = first[threadIdx.x] + second[threadIdx.x];
}

template <typename T>
__global__ void past_the_dynamic_array(T *y) {
    extern __shared__ unsigned char raw[];
    T *buffer = reinterpret_cast<T *>(raw);
    buffer[threadIdx.x] = T(1);  // here
    y[threadIdx.x] = buffer[threadIdx.x];
}

template <typename T>
__global__ void a_null_array(const T *x, const T *bias, T *y) {
    y[threadIdx.x] = x[threadIdx.x] + bias[threadIdx.x];  // here
}

template <typename T>
__global__ void missing_barrier(const T *x, T *y) {
    __shared__ T tile[64];
    tile[threadIdx.x] = x[threadIdx.x];  // here
    y[threadIdx.x] = tile[63 - threadIdx.x];
}

template <typename T>
__global__ void missing_second_barrier(const T *x, T *y) {
    __shared__ T tile[64];
    for (int turn = 0; turn < 2; turn++) {
        tile[threadIdx.x] = x[threadIdx.x] + turn;
        __syncthreads();
        y[threadIdx.x] = tile[63 - threadIdx.x];  // here
    }
}

template <typename T>
__global__ void everybody_writes(T *y) {
    __shared__ T sum;
    sum = T(threadIdx.x);  // here
    __syncthreads();
    y[threadIdx.x] = sum;
}

template <typename T>
__global__ void barrier_under_a_guard(const T *x, T *y, int size) {
    __shared__ T tile[64];
    if (threadIdx.x < size) {
        tile[threadIdx.x] = x[threadIdx.x];
        __syncthreads();  // here
        y[threadIdx.x] = tile[size - 1 - threadIdx.x];
    }
}

template <typename T>
__global__ void early_return(const T *x, T *y, int size) {
    __shared__ T tile[64];
    if (threadIdx.x >= size) return;
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();  // here
    y[threadIdx.x] = tile[size - 1 - threadIdx.x];
}

template <typename T>
__global__ void two_barriers(T *y) {
    y[threadIdx.x] = T(threadIdx.x);
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();  // here
    }
}

template <typename T>
__global__ void race_within_a_warp(const T *x, T *y) {
    __shared__ T ring[32];
    ring[threadIdx.x] = x[threadIdx.x];  // here
    y[threadIdx.x] = ring[(threadIdx.x + 1) % 32];
}

template <typename T>
__global__ void half_a_warp_in_order(const T *x, T *y) {
    __shared__ T ring[32];
    ring[threadIdx.x] = x[threadIdx.x];  // here
    __syncwarp(threadIdx.x < 16 ? 0xffffu : 0xffff0000u);
    y[threadIdx.x] = ring[31 - threadIdx.x];
}

template <typename T>
__global__ void race_between_blocks(const T *x, T *y) {
    y[threadIdx.x] += x[blockIdx.x * blockDim.x + threadIdx.x];  // here
}

template <typename T>
__global__ void neighbour_of_another_block(T *y, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    T left = i > 0 ? y[i - 1] : T(0);  // here
    __syncthreads();
    y[i] = left;
}

template <typename T>
__global__ void atomic_beside_plain(T *y) {
    if (threadIdx.x == 0)
        y[0] = T(1);
    else
        atomicAdd(&y[0], T(1));  // here
}

template <typename T>
__global__ void uninitialised_shared(T *y) {
    __shared__ T sum[32];
    sum[threadIdx.x] += T(1);
    y[threadIdx.x] = sum[threadIdx.x];
}

template <typename T>
__global__ void absent_lane(const T *x, T *y) {
    y[threadIdx.x] = __shfl_sync(0xffffu, x[threadIdx.x], 20);
}

template <typename T>
__global__ void not_in_the_mask(const T *x, T *y) {
    y[threadIdx.x] = __shfl_sync(0x1u, x[threadIdx.x], 0);  // here
}

template <typename T>
__global__ void warp_at_odds(const T *x, T *y) {
    if (threadIdx.x == 0) __syncthreads();
    y[threadIdx.x] = __shfl_sync(0xffffffffu, x[threadIdx.x], 0);  // here
}

template <typename T>
__global__ void misaligned(const float *x, T *y) {
    float4 four = *reinterpret_cast<const float4 *>(x + 1);  // here
    y[0] = four.x;
}

template <typename T>
__global__ void fours_past_the_end(const float *x, T *y) {
    float4 four = reinterpret_cast<const float4 *>(x)[threadIdx.x];  // here
    y[threadIdx.x] = four.x + four.w;
}

template <typename T>
__global__ void false_assertion(const T *x, T *y) {
    assert(x[threadIdx.x] < T(3));  // here
    y[threadIdx.x] = x[threadIdx.x];
}

template <typename T>
__global__ void too_much_shared(T *y) {
    __shared__ double big[6145];  // here
    big[threadIdx.x] = 1;
    y[threadIdx.x] = T(big[threadIdx.x]);
}

template <typename T>
__global__ void copies_without_a_barrier(const T *x, T *y) {
    __shared__ alignas(16) float tile[32][4];
    copy_async(tile[threadIdx.x], x, true);  // here
    close_group();
    wait_for_groups<0>();
    y[threadIdx.x] = tile[31 - threadIdx.x][0];
}

template <typename T>
__global__ void copy_over_what_is_read(const T *x, T *y) {
    __shared__ alignas(16) float tile[32][4];
    tile[threadIdx.x][0] = 1;
    __syncthreads();
    y[threadIdx.x] = tile[(threadIdx.x + 1) % 32][0];
    copy_async(tile[threadIdx.x], x, true);  // here
    close_group();
    wait_for_groups<0>();
}

template <typename T>
__global__ void copies_without_a_wait(const T *x, T *y) {
    __shared__ alignas(16) T tile[32 * 16 / sizeof(T)];
    copy_async(&tile[threadIdx.x * (16 / sizeof(T))], x, true);
    close_group();
    wait_for_groups<1>();
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x * (16 / sizeof(T))];
}

template <typename T>
__global__ void a_copy_past_the_end(const float *x, T *y) {
    __shared__ alignas(16) float tile[32][4];
    copy_async(tile[threadIdx.x], x + 4 * threadIdx.x, true);  // here
    y[threadIdx.x] = T(0);
}

template <typename T>
__global__ void a_misaligned_copy(const float *x, T *y) {
    __shared__ alignas(16) float tile[32][4];
    copy_async(tile[threadIdx.x], x + 1, true);  // here
    y[threadIdx.x] = T(0);
}

template <typename T>
__global__ void half_a_warp_multiplies(T *y) {
    float sum[4] = {};
    unsigned a[4] = {}, b[2] = {};
    if (threadIdx.x < 16) return;
    multiply_add<tf32>(sum, a, b);  // here
    y[threadIdx.x] = T(sum[0]);
}

// Blocks that hand over to the last one to arrive, each with one step left out: the fence before the arrival, the
// fence after it, the barrier before it
template <typename T>
__global__ void arrival_without_a_fence(T *part, T *y, unsigned *arrived) {
    part[blockIdx.x] = T(1);
    if (atomicInc(arrived, gridDim.x - 1) < gridDim.x - 1) return;
    __threadfence();
    for (int k = 0; k < gridDim.x; k++) y[0] += part[k];  // here
}

template <typename T>
__global__ void no_fence_after_the_arrival(T *part, T *y, unsigned *arrived) {
    part[blockIdx.x] = T(1);
    __threadfence();
    if (atomicInc(arrived, gridDim.x - 1) < gridDim.x - 1) return;
    for (int k = 0; k < gridDim.x; k++) y[0] += part[k];  // here
}

template <typename T>
__global__ void written_after_the_fence(T *part, T *y, unsigned *arrived) {
    __threadfence();
    part[blockIdx.x] = T(1);
    if (atomicInc(arrived, gridDim.x - 1) < gridDim.x - 1) return;
    __threadfence();
    for (int k = 0; k < gridDim.x; k++) y[0] += part[k];  // here
}

template <typename T>
__global__ void arrival_without_a_barrier(T *part, T *y, unsigned *arrived) {
    part[blockIdx.x * 64 + threadIdx.x] = T(1);
    if (threadIdx.x > 0) return;
    __threadfence();
    if (atomicInc(arrived, gridDim.x - 1) < gridDim.x - 1) return;
    __threadfence();
    for (int k = 0; k < gridDim.x * 64; k++) y[0] += part[k];  // here
}

template <typename T>
__global__ void another_counter(T *part, T *y, unsigned *arrived) {
    part[blockIdx.x] = T(1);
    __threadfence();
    atomicInc(arrived + blockIdx.x, 1);
    __threadfence();
    if (blockIdx.x == gridDim.x - 1) y[0] = part[0];  // here
}

// Kernels that test_emulator.py runs: each one uses what a GPU has, rightly.

#include "arrivals.cuh"
#include "tensor_cores.cuh"

// Which thread of which block wrote element i; a grid and a block of up to three dimensions
template <typename T>
__global__ void where_am_i(T *like, int *thread, int *block) {
    int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int threads = blockDim.x * blockDim.y * blockDim.z;
    thread[b * threads + t] = t;
    block[b * threads + t] = b;
    like[b * threads + t] = T(warpSize);
}

// y = x backwards, block by block, through static shared memory
template <typename T>
__global__ void reverse_blocks(const T *x, T *y) {
    __shared__ T tile[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = x[i];
    __syncthreads();
    y[i] = tile[blockDim.x - 1 - threadIdx.x];
}

// y[b] = the sum of block b's part of x, by halves: a barrier in a loop, dynamic shared memory
template <typename T>
__global__ void sum_blocks(const T *x, T *y, int size) {
    extern __shared__ unsigned char raw[];
    T *partial = reinterpret_cast<T *>(raw);
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    partial[threadIdx.x] = i < size ? x[i] : T(0);
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) y[blockIdx.x] = partial[0];
}

// Two shared arrays, one of them two-dimensional, and a helper with its own
template <typename T>
__device__ T first_of(T value) {
    __shared__ T first;
    if (threadIdx.x == 0) first = value;
    __syncthreads();
    return first;
}

template <typename T>
__global__ void __launch_bounds__(32) transpose_tile(const T *__restrict__ x, T *__restrict__ y) {
    __shared__ T tile[4][4 + 1];
    __shared__ T doubled[16];
    int row = threadIdx.x / 4, column = threadIdx.x % 4;
    tile[row][column] = x[threadIdx.x];
    doubled[threadIdx.x] = 2 * x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[column][row] + doubled[15 - threadIdx.x] + first_of(x[threadIdx.x]);
}

// Every shuffle: y (5, 32), one warp; and the votes: votes (4,)
template <typename T>
__global__ void warp_words(const T *x, T *y, unsigned int *votes) {
    int lane = threadIdx.x;
    T value = x[lane];
    y[lane] = __shfl_sync(0xffffffffu, value, 3);
    y[32 + lane] = __shfl_up_sync(0xffffffffu, value, 2);
    y[64 + lane] = __shfl_down_sync(0xffffffffu, value, 2, 8);
    y[96 + lane] = __shfl_xor_sync(0xffffffffu, value, 5);
    if (lane < 16)
        y[128 + lane] = __shfl_xor_sync(0x0000ffffu, value, 1);
    else
        y[128 + lane] = __shfl_down_sync(0xffff0000u, value, 16);
    unsigned odd = __ballot_sync(0xffffffffu, lane % 2);
    bool any = __any_sync(0xffffffffu, lane == 31), all = __all_sync(0xffffffffu, lane < 31);
    if (lane == 0) {
        votes[0] = odd;
        votes[1] = any;
        votes[2] = all;
        votes[3] = __popc(__activemask());
    }
}

// Lanes that have returned are not waited for
template <typename T>
__global__ void sum_of_a_half_warp(const T *x, T *y) {
    if (threadIdx.x >= 16) return;
    T sum = x[threadIdx.x];
    for (int step = 8; step > 0; step /= 2) sum += __shfl_down_sync(0xffffu, sum, step);
    if (threadIdx.x == 0) y[0] = sum;
}

// A warp that shares memory, with __syncwarp: as good as a barrier for these 32
template <typename T>
__global__ void rotate_warps(const T *x, T *y) {
    __shared__ T ring[64];
    int warp = threadIdx.x / 32 * 32, lane = threadIdx.x % 32;
    for (int turn = 0; turn < 3; turn++) {
        ring[threadIdx.x] = turn == 0 ? x[threadIdx.x] : y[threadIdx.x];
        __syncwarp();
        y[threadIdx.x] = ring[warp + (lane + 1) % 32];
        __syncwarp();
    }
}

// What many blocks do to one number
template <typename T>
__global__ void count(const T *x, int *counts, T *sum, unsigned char *flags, long long size) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    atomicAdd(&counts[x[i] > T(0)], 1);
    atomicAdd(sum, T(1));
    atomicMax(&counts[4], (int)i);
    atomicCAS(&counts[2], 0, 7);
    atomicExch(&counts[3], 9);
    flags[i] = x[i] > T(0);
}

// y = x by the wrong thread: neighbours touch addresses far apart. Slow on a GPU, but right
template <typename T>
__global__ void uncoalesced_copy(const T *x, T *y, int rows, int columns) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * columns) y[i % rows * columns + i / rows] = x[i % rows * columns + i / rows];
}

// Four numbers at a time
template <typename T>
__global__ void double_in_fours(const float *x, float *y, T *like, int fours) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= fours) return;
    float4 v = reinterpret_cast<const float4 *>(x)[i];
    reinterpret_cast<float4 *>(y)[i] = make_float4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w);
}

// The words of arithmetic: y (9,)
template <typename T>
__global__ void arithmetic_words(const T *x, float *y, T *like) {
    y[0] = rsqrt(4.0f);
    y[1] = fmaf(2.0f, 3.0f, 1.0f);
    y[2] = max(3, 5) + min(2, 7);
    y[3] = __int_as_float(__float_as_int(1.5f));
    y[4] = __expf(0.0f);
    y[5] = __ldg(&x[0]);
    y[6] = __umulhi(0x80000000u, 6u);
    y[7] = max(2.0f, nanf(""));
    y[8] = __longlong_as_double(__double_as_longlong(2.5));
}

// Arrays that the kernel is told of by address and size: row t of the grid has array t
template <typename T>
__global__ void add_one_to_each(const T *one, const unsigned long long *tables) {
    T *array = reinterpret_cast<T *>(tables[2 * blockIdx.y]);
    if (threadIdx.x < tables[2 * blockIdx.y + 1]) array[threadIdx.x] += one[0];
}

// y = x backwards, 16 bytes at a time, by copies that arrive while the thread goes on; beyond `count` fours zeros
template <typename T>
__global__ void reverse_by_copies(const T *x, T *y, int count) {
    __shared__ alignas(16) unsigned char tile[64][16];
    int four = threadIdx.x;  // [0, 64)
    copy_async(tile[four], reinterpret_cast<const unsigned char *>(x) + 16 * four, four < count);
    close_group();
    close_group();  // an empty one
    wait_for_groups<1>();
    __syncthreads();
    for (int n = 0; n < 16 / int(sizeof(T)); n++)
        y[four * 16 / sizeof(T) + n] = reinterpret_cast<const T *>(tile[63 - four])[n];
}

// y[sum] = the sum of x (sums, splits, 64): the last of a sum's blocks to arrive adds up what the others have written.
// Twice, with counters of their own: no block waits for the others' first turn. Grid (splits, sums)
template <typename T>
__global__ void sum_by_the_last_block(const T *x, T *part, T *y, unsigned *arrived) {
    int splits = gridDim.x, split = blockIdx.x, sum = blockIdx.y;
    T *parts = part + sum * splits * 64, total = T(0);
    for (int turn = 0; turn < 2; turn++) {
        parts[split * 64 + threadIdx.x] = x[(sum * splits + split) * 64 + threadIdx.x];
        if (last_to_arrive(arrived + turn * gridDim.y + sum, splits))
            for (int k = 0; k < splits; k++) total += parts[k * 64 + 63 - threadIdx.x];
        parts += gridDim.y * splits * 64;
    }
    if (total != T(0)) y[sum * 64 + threadIdx.x] = total;
}

// The same of one thread's number: no barrier is needed where the thread that writes is the one that fences and arrives
template <typename T>
__global__ void sum_by_the_last_thread(const T *x, T *part, T *y, unsigned *arrived) {
    if (threadIdx.x > 0) return;
    part[blockIdx.x] = x[blockIdx.x];
    __threadfence();
    if (atomicInc(arrived, gridDim.x - 1) < gridDim.x - 1) return;
    __threadfence();
    T total = T(0);
    for (int k = 0; k < gridDim.x; k++) total += part[k];
    y[0] = total;
}

// Batch normalisation of x (N, C, inner): two kernels that sum over a channel, two that work element by element.
//
// The sums
//   Threads   a thread block of 256 for each channel; its threads take values t, t + 256, ... of the N * inner
//   Memory    neighbouring threads read neighbouring values, coalesced where inner is 32 or more
//   Shared    one partial sum for each warp; block_sum has two barriers, which every thread reaches, with values or not
//   Launch    grid C, block 256
//   Order     fixed, so that results repeat bit for bit: no atomics
// Element by element
//   Threads   one for every element, in a grid-stride loop; launch as in activation.cu
// Bound by    memory: 1 or 2 reads (statistics: x twice) and at most 1 write an element, for 2 to 8 operations

#include "grid_stride.cuh"
#include "sum.cuh"

constexpr int THREADS = 256;

// The sum of every thread's value, for every thread: first within a warp, register to register, then over the warps.
template <typename T>
__device__ T block_sum(T value) {
    __shared__ T of_warp[THREADS / 32];
    value = warp_sum(value);
    __syncthreads();  // a sum before this one may still be being read
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    T sum = T(0);
    for (int warp = 0; warp < THREADS / 32; warp++) sum += of_warp[warp];
    return sum;
}

// Where value `m` of channel c lies, m in [0, N * inner)
__device__ inline long long at(long long m, int c, int C, long long inner) {
    return (m / inner * C + c) * inner + m % inner;
}

// mean and biased variance of each channel, in two passes: a large mean costs no digits
template <typename T>
__global__ void batch_norm_statistics(const T *__restrict__ x, T *__restrict__ mean, T *__restrict__ var, int N, int C,
                                      long long inner) {
    int c = blockIdx.x;  // [0, C)
    long long count = N * inner;
    Sum<T> sum, squares;
    for (long long m = threadIdx.x; m < count; m += THREADS) sum.add(x[at(m, c, C, inner)]);  // [0, N * inner)
    T middle = block_sum(sum.total) / count;  // the mean, known to every thread
    for (long long m = threadIdx.x; m < count; m += THREADS) {
        T centred = x[at(m, c, C, inner)] - middle;
        squares.add(centred * centred);
    }
    T spread = block_sum(squares.total) / count;
    if (threadIdx.x == 0) {
        mean[c] = middle;
        var[c] = spread;
    }
}

// y = weight * (x - mean) * inv_std + bias; weight and bias may be null pointers
template <typename T>
__global__ void batch_norm_forward(const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias,
                                   const T *__restrict__ mean, const T *__restrict__ inv_std, T *__restrict__ y, int C,
                                   long long inner, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        int c = i / inner % C;  // [0, C)
        T scale = weight ? inv_std[c] * weight[c] : inv_std[c];
        y[i] = (x[i] - mean[c]) * scale + (bias ? bias[c] : T(0));
    }
}

// grad_weight = sum of grad_out * x_hat, grad_bias = sum of grad_out, for each channel
template <typename T>
__global__ void batch_norm_grad_weight_bias(const T *__restrict__ grad_out, const T *__restrict__ x,
                                            const T *__restrict__ mean, const T *__restrict__ inv_std,
                                            T *__restrict__ grad_weight, T *__restrict__ grad_bias, int N, int C,
                                            long long inner) {
    int c = blockIdx.x;  // [0, C)
    Sum<T> along, sum;
    for (long long m = threadIdx.x; m < N * inner; m += THREADS) {  // [0, N * inner)
        long long i = at(m, c, C, inner);
        along.add(grad_out[i] * (x[i] - mean[c]));
        sum.add(grad_out[i]);
    }
    T of_products = block_sum(along.total), plain = block_sum(sum.total);
    if (threadIdx.x == 0) {
        grad_weight[c] = of_products * inv_std[c];
        grad_bias[c] = plain;
    }
}

// grad_x = weight * inv_std * (grad_out - grad_bias / count - x_hat * grad_weight / count); evaluation, where mean and
// variance are constants, gives null pointers for grad_weight and grad_bias
template <typename T>
__global__ void batch_norm_grad_x(const T *__restrict__ grad_out, const T *__restrict__ x, const T *__restrict__ weight,
                                  const T *__restrict__ mean, const T *__restrict__ inv_std,
                                  const T *__restrict__ grad_weight, const T *__restrict__ grad_bias,
                                  T *__restrict__ grad_x, int C, long long inner, long long count, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        int c = i / inner % C;
        T grad = grad_out[i];
        if (grad_weight) grad -= grad_bias[c] / count + (x[i] - mean[c]) * (inv_std[c] * grad_weight[c] / count);
        grad_x[i] = (weight ? inv_std[c] * weight[c] : inv_std[c]) * grad;
    }
}

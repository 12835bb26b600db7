// Rows of C scores, along the middle axis of arrays (outer, C, inner), and the threads that share one.
//
// Where inner = 1 a row lies in one piece, and the 32 lanes of a warp share it: its scores lane, lane + 32, ... are each
// lane's, and shuffles put together what they find, register to register. Otherwise the scores of a row lie `inner`
// apart, but rows lie side by side: a thread takes a row of its own, and its neighbours take the next ones. Either way
// neighbours read neighbours. LANES, 32 or 1, is how many share a row.

#include "bfloat16.cuh"
#include "sum.cuh"

// for (every row in [0, rows) that is this thread's): all lanes of a row are there together
#define ROWS_LOOP(LANES, row, rows)                                                                    \
    for (long long row = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / LANES; row < rows;       \
         row += (long long)gridDim.x * blockDim.x / LANES)

// for (every class c in [0, C) that is this lane's)
#define CLASSES_LOOP(LANES, c, C) for (int c = threadIdx.x % LANES; c < C; c += LANES)

// Where class 0 of a row lies; class c lies c * inner behind it
__device__ inline long long first_of(long long row, int C, long long inner) {
    return inner == 1 ? row * C : row / inner * C * inner + row % inner;
}

// The sum of the values of all lanes of a row, for each of them
template <int LANES, typename T>
__device__ T sum_of_lanes(T value) {
    if constexpr (LANES == 32) return warp_sum(value);
    return value;
}

// The largest of them
template <int LANES, typename T>
__device__ T max_of_lanes(T value) {
    for (int lanes = LANES / 2; lanes > 0; lanes /= 2) value = max(value, __shfl_xor_sync(0xffffffffu, value, lanes));
    return value;
}

// The largest score of the row that begins at x[first], and the sum of e^(score - largest): subtracting the largest
// keeps the exponentials from overflowing. It ignores NaN, but the sum does not
template <int LANES, typename T>
__device__ wide<T> largest_and_sum(const T *x, long long first, int C, long long inner, wide<T> &largest) {
    largest = __int_as_float(0xff800000);  // -infinity
    CLASSES_LOOP(LANES, c, C) largest = max(largest, wide<T>(x[first + c * inner]));
    largest = max_of_lanes<LANES>(largest);
    Sum<wide<T>> sum;
    CLASSES_LOOP(LANES, c, C) sum.add(exp(x[first + c * inner] - largest));
    return sum_of_lanes<LANES>(sum.total);
}

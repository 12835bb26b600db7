// Numbers of another dtype: float32 to bfloat16, and back.
//
// T: bfloat16
//
// Threads   narrow, widen: a vector of 8 numbers each, in a grid-stride loop, and a thread alone for what is left over;
//           narrow_images: a pixel each, whose channels it writes side by side
// Memory    coalesced; narrow_images reads each channel coalesced, and what a warp writes is one long run
// Launch    blocks of 256
// Bound by  memory: 6 bytes a number

#include "bfloat16.cuh"
#include "divide.cuh"
#include "grid_stride.cuh"

// y = x, each rounded to the nearest
template <typename T>
__global__ void narrow(const wide<T> *__restrict__ x, T *__restrict__ y, long long size) {
    constexpr int V = VECTOR<T>;  // 8
    bool whole = aligned(x, y);
    GRID_STRIDE_LOOP(i, (size + V - 1) / V) {  // [0, vectors), the last of which may be shorter
        long long first = i * V;
        if (whole && first + V <= size) {
            float low[4], high[4], values[V];
            load(x + first, low);
            load(x + first + 4, high);
#pragma unroll
            for (int k = 0; k < 4; k++) values[k] = low[k], values[4 + k] = high[k];
            store(y + first, values);
        } else {
            for (long long k = first; k < size && k < first + V; k++) y[k] = T(x[k]);
        }
    }
}

// y (N, P, C) = x (N, C, P), P pixels: of an image of few channels, rounded and made channels-last in one go
template <typename T>
__global__ void narrow_images(const wide<T> *__restrict__ x, T *__restrict__ y, int C, Divisor pixels, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, N * P)
        int image = int(i) / pixels, pixel = int(i) % pixels;  // [0, N), [0, P)
        const wide<T> *from = x + (long long)image * C * pixels.number + pixel;
        for (int c = 0; c < C; c++) {  // [0, C)
            y[i * C + c] = T(from[(long long)c * pixels.number]);
        }
    }
}

// y = x
template <typename T>
__global__ void widen(const T *__restrict__ x, wide<T> *__restrict__ y, long long size) {
    constexpr int V = VECTOR<T>;
    bool whole = aligned(x, y);
    GRID_STRIDE_LOOP(i, (size + V - 1) / V) {
        long long first = i * V;
        if (whole && first + V <= size) {
            float values[V], low[4], high[4];
            load(x + first, values);
#pragma unroll
            for (int k = 0; k < 4; k++) low[k] = values[k], high[k] = values[4 + k];
            store(y + first, low);
            store(y + first + 4, high);
        } else {
            for (long long k = first; k < size && k < first + V; k++) y[k] = x[k];
        }
    }
}

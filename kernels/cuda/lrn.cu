// Local response normalisation of x (outer, C, inner): y[c] = x[c] * s[c]^-beta, s[c] = k + alpha_each * sum of x^2 over
// the window of c, channels c - before to c + after that exist (alpha_each = alpha / size). With groups, each group of
// channels is a picture of its own. Images in C order have outer = N * groups and inner = H * W, channels-last ones
// outer = N * H * W * groups and inner = 1; C is the channels of a group.
//
//                  windows of up to 5 channels (the 2012 network's)      longer ones: _long
// Threads          one for 8 neighbouring channels at one position       one for each element, in a grid-stride loop
// Memory           these and 2 beside them (backward 4) are in           neighbouring threads have neighbouring
//                  registers; coalesced: C order along positions,        positions; the channels of a window are read by
//                  channels-last by 16 bytes                             as many threads, mostly from a cache
// Launch           thread blocks of 256                                  the same
// Bound by         memory: each element read once or twice               memory, and the powers
//
// One element in a thread read each of its window's channels anew, and backward two powers for each of them, of an
// array s that another kernel had written before. For 2 images of 32 channels, 13 x 13, warps asked 2,306 times forward
// and 8,212 times backward; with 8 channels in registers it is 818 and 1,422 times, in one launch instead of two, with
// 1.5 powers an element instead of 6 (tests/kernels/cuda/test_traffic.py). And the usual power, -0.75, is two roots.
//
// T: float, double, bfloat16

#include "bfloat16.cuh"
#include "divide.cuh"
#include "grid_stride.cuh"

constexpr int CHANNELS = 8, REACH = 2;  // of a thread; how far a window reaches on either side, at most

// s^-beta
template <typename W>
__device__ W power(W s, W beta) {
    if (beta != W(0.75)) return pow(s, -beta);
    W root = rsqrt(s);  // s^-0.5
    return root * sqrt(root);
}

// The channels of one thread and BESIDE more on either side: at(c) is that of its channel c in [-BESIDE, CHANNELS + BESIDE),
// 0 where the picture has none
template <typename T, int BESIDE>
struct Column {
    static constexpr int HALO = (BESIDE + VECTOR<T> - 1) / VECTOR<T> * VECTOR<T>;  // whole vectors
    wide<T> values[HALO + CHANNELS + HALO];

    // x points at channel 0 of the picture; `first` is the thread's first channel
    __device__ Column(const T *x, int first, int C, int inner, bool by_vectors) {
        if (by_vectors) {
#pragma unroll
            for (int at = 0; at < HALO + CHANNELS + HALO; at += VECTOR<T>) {
                wide<T> vector[VECTOR<T>] = {};
                int c = first - HALO + at;
                if (c >= 0 && c < C) load(x + c, vector);  // C is a multiple: a vector is within or without
#pragma unroll
                for (int e = 0; e < VECTOR<T>; e++) values[at + e] = vector[e];
            }
        } else {
#pragma unroll
            for (int at = HALO - BESIDE; at < HALO + CHANNELS + BESIDE; at++) {
                int c = first - HALO + at;
                values[at] = c >= 0 && c < C ? wide<T>(x[(long long)c * inner]) : wide<T>(0);
            }
        }
    }

    __device__ wide<T> at(int c) const { return values[HALO + c]; }

    // s of channel c
    __device__ wide<T> scale(int c, int before, int after, wide<T> alpha_each, wide<T> k) const {
        wide<T> sum = wide<T>(0);
#pragma unroll
        for (int d = -REACH; d <= REACH; d++)
            if (d >= -before && d <= after) sum += at(c + d) * at(c + d);
        return k + alpha_each * sum;
    }
};

// A thread's results, those of them that there are
template <typename T>
__device__ void store_channels(T *y, const wide<T> (&results)[CHANNELS], int first, int C, int inner, bool by_vectors) {
    if (by_vectors) {
#pragma unroll
        for (int at = 0; at < CHANNELS; at += VECTOR<T>) {
            wide<T> vector[VECTOR<T>];
#pragma unroll
            for (int e = 0; e < VECTOR<T>; e++) vector[e] = results[at + e];
            if (first + at < C) store(y + first + at, vector);
        }
    } else {
#pragma unroll
        for (int at = 0; at < CHANNELS; at++)
            if (first + at < C) y[(long long)(first + at) * inner] = T(results[at]);
    }
}

// Which channels are a thread's: those from `first` on of the picture at `picture`, at one position
struct Chunk {
    long long picture;
    int first;

    __device__ Chunk(int i, int C, const Divisor &inner, const Divisor &chunks) {
        int line = i / inner, outer = line / chunks;
        picture = (long long)outer * C * inner.number + (i - line * inner.number);
        first = (line - outer * chunks.number) * CHANNELS;
    }
};

// y = x * s^-beta
template <typename T>
__global__ void local_response_norm_forward(const T *__restrict__ x, T *__restrict__ y, int count, int C,
                                            Divisor inner, Divisor chunks, int before, int after, wide<T> alpha_each,
                                            wide<T> beta, wide<T> k) {
    bool by_vectors = inner.number == 1 && C % VECTOR<T> == 0 && aligned(x, y);
    GRID_STRIDE_LOOP(i, count) {  // [0, outer * chunks * inner), chunks = ceil(C / CHANNELS)
        Chunk chunk(int(i), C, inner, chunks);
        Column<T, REACH> column(x + chunk.picture, chunk.first, C, inner.number, by_vectors);
        wide<T> results[CHANNELS];
#pragma unroll
        for (int c = 0; c < CHANNELS; c++)
            results[c] = column.at(c) * power(column.scale(c, before, after, alpha_each, k), beta);
        store_channels(y + chunk.picture, results, chunk.first, C, inner.number, by_vectors);
    }
}

// grad_x[c] = grad_out[c] * s[c]^-beta - 2 * alpha_each * beta * x[c] * sum of grad_out[j] * x[j] * s[j]^(-beta - 1),
// over the channels j whose windows hold c: the mirrored window, c - after to c + before
template <typename T>
__global__ void local_response_norm_backward(const T *__restrict__ grad_out, const T *__restrict__ x,
                                             T *__restrict__ grad_x, int count, int C, Divisor inner, Divisor chunks,
                                             int before, int after, wide<T> alpha_each, wide<T> beta, wide<T> k) {
    using W = wide<T>;
    bool by_vectors = inner.number == 1 && C % VECTOR<T> == 0 && aligned(grad_out, x, grad_x);
    GRID_STRIDE_LOOP(i, count) {  // [0, outer * chunks * inner)
        Chunk chunk(int(i), C, inner, chunks);
        Column<T, 2 * REACH> column(x + chunk.picture, chunk.first, C, inner.number, by_vectors);
        Column<T, REACH> grads(grad_out + chunk.picture, chunk.first, C, inner.number, by_vectors);
        W straight[CHANNELS], did[REACH + CHANNELS + REACH];  // what passes; what each x[j] did to y[j] by its s[j]
#pragma unroll
        for (int j = -REACH; j < CHANNELS + REACH; j++) {
            W s = column.scale(j, before, after, alpha_each, k), passed = grads.at(j) * power(s, beta);
            bool there = chunk.first + j >= 0 && chunk.first + j < C;
            did[REACH + j] = there ? passed * column.at(j) / s : W(0);
            if (j >= 0 && j < CHANNELS) straight[j] = passed;
        }
        W results[CHANNELS];
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) {
            W across = W(0);  // what x[c] did to s[j], and so to y[j]
#pragma unroll
            for (int d = -REACH; d <= REACH; d++)
                if (d >= -after && d <= before) across += did[REACH + c + d];
            results[c] = straight[c] - 2 * alpha_each * beta * column.at(c) * across;
        }
        store_channels(grad_x + chunk.picture, results, chunk.first, C, inner.number, by_vectors);
    }
}

// s at number i, of channel c, by reading its window
template <typename T>
__device__ wide<T> scale(const T *x, long long i, int c, int C, long long inner, int before, int after,
                         wide<T> alpha_each, wide<T> k) {
    wide<T> sum = wide<T>(0);
    for (int j = max(0, c - before); j <= min(C - 1, c + after); j++) {  // the window of c
        wide<T> value = x[i + (j - c) * inner];
        sum += value * value;
    }
    return k + alpha_each * sum;
}

// s, which backward needs at every channel of a window
template <typename T>
__global__ void local_response_norm_scale_long(const T *__restrict__ x, wide<T> *__restrict__ s, long long count,
                                               int C, long long inner, int before, int after, wide<T> alpha_each,
                                               wide<T> k) {
    GRID_STRIDE_LOOP(i, count)  // [0, outer * C * inner)
        s[i] = scale(x, i, int(i / inner % C), C, inner, before, after, alpha_each, k);
}

// y = x * s^-beta; s is not kept
template <typename T>
__global__ void local_response_norm_forward_long(const T *__restrict__ x, T *__restrict__ y, long long count, int C,
                                                 long long inner, int before, int after, wide<T> alpha_each,
                                                 wide<T> beta, wide<T> k) {
    GRID_STRIDE_LOOP(i, count)  // [0, outer * C * inner)
        y[i] = T(x[i] * power(scale(x, i, int(i / inner % C), C, inner, before, after, alpha_each, k), beta));
}

template <typename T>
__global__ void local_response_norm_backward_long(const T *__restrict__ grad_out, const T *__restrict__ x,
                                                  const wide<T> *__restrict__ s, T *__restrict__ grad_x,
                                                  long long count, int C, long long inner, int before, int after,
                                                  wide<T> alpha_each, wide<T> beta) {
    using W = wide<T>;
    GRID_STRIDE_LOOP(i, count) {  // [0, outer * C * inner)
        int c = int(i / inner % C);
        W across = W(0);
        for (int j = max(0, c - after); j <= min(C - 1, c + before); j++) {  // the channels that see c
            long long at = i + (j - c) * inner;                              // the same position in channel j
            across += W(grad_out[at]) * power(s[at], beta) * W(x[at]) / s[at];
        }
        grad_x[i] = T(W(grad_out[i]) * power(s[i], beta) - 2 * alpha_each * beta * W(x[i]) * across);
    }
}

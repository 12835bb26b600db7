// Local response normalisation of x (N, C, inner): y[c] = x[c] * s[c]^-beta, s[c] = k + alpha_each * sum of x^2 over
// the window of c, channels c - before to c + after that exist (alpha_each = alpha / size). With groups, each group of
// channels is a picture of its own: N and C are N * groups and C / groups.
//
// Threads   one for each element, in a grid-stride loop
// Memory    neighbouring threads have neighbouring positions of one channel: coalesced; the `size` channels of a window
//           are read by as many threads, mostly from a cache; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(count / 256) of them
// Bound by  memory: forward 1 read and 1 write an element, and `size` multiply-adds and a power

#include "grid_stride.cuh"

// s at position i of channel c
template <typename T>
__device__ T scale(const T *x, long long i, int c, int C, long long inner, int before, int after, T alpha_each, T k) {
    T sum = T(0);
    for (int j = max(0, c - before); j <= min(C - 1, c + after); j++)  // the window of c
        sum += x[i + (j - c) * inner] * x[i + (j - c) * inner];
    return k + alpha_each * sum;
}

// s, which backward needs at every channel of a window
template <typename T>
__global__ void local_response_norm_scale(const T *__restrict__ x, T *__restrict__ s, long long count, int C,
                                          long long inner, int before, int after, T alpha_each, T k) {
    GRID_STRIDE_LOOP(i, count)  // [0, N * C * inner)
        s[i] = scale(x, i, i / inner % C, C, inner, before, after, alpha_each, k);
}

// y = x * s^-beta; s is not kept
template <typename T>
__global__ void local_response_norm_forward(const T *__restrict__ x, T *__restrict__ y, long long count, int C,
                                            long long inner, int before, int after, T alpha_each, T beta, T k) {
    GRID_STRIDE_LOOP(i, count)  // [0, N * C * inner)
        y[i] = x[i] * pow(scale(x, i, i / inner % C, C, inner, before, after, alpha_each, k), -beta);
}

// grad_x[c] = grad_out[c] * s[c]^-beta - 2 * alpha_each * beta * x[c] * sum of grad_out[j] * x[j] * s[j]^(-beta - 1),
// over the channels j whose windows hold c: the mirrored window, c - after to c + before
template <typename T>
__global__ void local_response_norm_backward(const T *__restrict__ grad_out, const T *__restrict__ x,
                                             const T *__restrict__ s, T *__restrict__ grad_x, long long count, int C,
                                             long long inner, int before, int after, T alpha_each, T beta) {
    GRID_STRIDE_LOOP(i, count) {  // [0, N * C * inner)
        int c = i / inner % C;
        T across = T(0);  // what x[c] did to s[j], and so to y[j]
        for (int j = max(0, c - after); j <= min(C - 1, c + before); j++) {  // the channels that see c
            long long at = i + (j - c) * inner;                              // the same position in channel j
            across += grad_out[at] * pow(s[at], -beta) * x[at] / s[at];
        }
        grad_x[i] = grad_out[i] * pow(s[i], -beta) - 2 * alpha_each * beta * x[i] * across;
    }
}

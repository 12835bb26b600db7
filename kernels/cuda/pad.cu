// Padding of x (XA, XB, XC, XD): y (A, B, C, D) is x, moved by before_a to before_d, and `value` where there is no x.
//
// Threads   one for each number of the result, in a grid-stride loop: thread i takes i, i + threads of the grid, and so on
// Memory    every write is coalesced; the reads of a row of x are, too; no shared memory, no barrier
// Launch    thread blocks of 256, ceil(size / 256) of them
// Bound by  memory: at most 1 read and 1 write a number. A division of 64 bits takes several times as long as one of 32,
//           and three of them longer than the memory: so places are counted in 32 bits where these are enough

#include "grid_stride.cuh"

// Whether `place` on an axis of y is one of x's; `place` becomes that
template <typename Count>
__device__ bool moved(Count &place, long long before, long long length) {
    long long of_x = place - before;
    place = Count(of_x);
    return of_x >= 0 && of_x < length;
}

template <typename Count, typename T>
__device__ T padded(const T *x, Count i, long long XA, long long XB, long long XC, long long XD, Count B, Count C,
                    Count D, long long before_a, long long before_b, long long before_c, long long before_d, T value) {
    Count row = i / D, plane = row / C, a = plane / B;        // [0, A * B * C), [0, A * B), [0, A)
    Count b = plane - a * B, c = row - plane * C, d = i - row * D;  // [0, B), [0, C), [0, D)
    if (!moved(a, before_a, XA) || !moved(b, before_b, XB) || !moved(c, before_c, XC) || !moved(d, before_d, XD))
        return value;
    return x[((a * XB + b) * XC + c) * XD + d];
}

template <typename T>
__global__ void pad_forward(const T *__restrict__ x, T *__restrict__ y, long long XA, long long XB, long long XC,
                            long long XD, long long B, long long C, long long D, long long before_a,
                            long long before_b, long long before_c, long long before_d, long long size, T value) {
    bool few = size < (1ll << 31);  // and so is each of A to D
    GRID_STRIDE_LOOP(i, size)       // [0, A * B * C * D)
        y[i] = few ? padded<int, T>(x, int(i), XA, XB, XC, XD, int(B), int(C), int(D), before_a, before_b, before_c,
                                    before_d, value)
                   : padded<long long, T>(x, i, XA, XB, XC, XD, B, C, D, before_a, before_b, before_c, before_d, value);
}

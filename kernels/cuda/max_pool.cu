// Max-pooling of images (outer, H, W, inner), forward and backward: windows.cuh says what that is.
//
// Threads   one for V neighbouring numbers that are written, in a grid-stride loop: forward outputs, backward input
//           pixels, which collect from the windows that they lie in (a gather: nobody else writes there: no atomics)
// Memory    channels-last: 16 bytes of each tap, coalesced; in C order neighbouring threads write neighbouring numbers and
//           read them SW apart. Windows overlap, and what several see comes from the cache; no shared memory, no barrier
// Launch    thread blocks of 256, a thread for each V numbers
// Bound by  memory: KH * KW comparisons for each number written
//
// Output (i, j) sees rows i * SH - PT + u * DH, u in [0, KH), and columns likewise; what lies outside is skipped.
// A winner, the tap u * KW + v, is one byte, a quarter of what an int would cost to write and to read again; the
// kernels called `_wide` are for windows of more than 256 taps.
//
// Rungs     Divisors: where a number lies took divisions of 64 bits; of 13 calls of a routine in the machine code for
//           compute capability 9.0 (max_pool2d_forward_and_winners<float>) none is left. Windows of 2 x 2 and 3 x 3 (K)
//           have loops that the compiler knows the ends of: all loads of a window are under way at once, where each had
//           to wait for the comparison with the one before. Backward only looks at the windows that see a pixel, 4 at
//           most for 3 x 3 with stride 2, where it asked all 9 taps.
//
// T: float, double, bfloat16

#include "windows.cuh"

struct Windows {
    int count, inner;  // of the numbers that are written
    Divisor numbers, vectors, H, W, OH, OW;
    int KH, KW;
    Divisor SH, SW;
    int PT, PL;
    Divisor DH, DW;
};

#define WINDOWS                                                                                                    \
    int count, int inner, Divisor numbers, Divisor vectors, Divisor H, Divisor W, Divisor OH, Divisor OW, int KH,  \
        int KW, Divisor SH, Divisor SW, int PT, int PL, Divisor DH, Divisor DW
#define THESE_WINDOWS Windows{count, inner, numbers, vectors, H, W, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW}

// The first of equals wins, but the last NaN
template <typename W>
__device__ bool better(W value, W best) {
    return value > best || value != value;
}

// Four winners in a word, the first in its lowest byte
__device__ inline unsigned as_word(const int *winners) {
    return winners[0] | winners[1] << 8 | winners[2] << 16 | unsigned(winners[3]) << 24;
}

template <int V>
__device__ void store_winners(unsigned char *to, const int (&winners)[V]) {
    if constexpr (V == 8)
        *reinterpret_cast<uint2 *>(to) = make_uint2(as_word(winners), as_word(winners + 4));
    else if constexpr (V == 4)
        *reinterpret_cast<unsigned *>(to) = as_word(winners);
    else
        for (int e = 0; e < V; e++) to[e] = winners[e];
}

template <int V>
__device__ void store_winners(int *to, const int (&winners)[V]) {
    for (int e = 0; e < V; e++) to[e] = winners[e];
}

template <int V>
__device__ void load_winners(const unsigned char *from, int (&winners)[V]) {
    if constexpr (V == 8) {
        uint2 words = *reinterpret_cast<const uint2 *>(from);
#pragma unroll
        for (int e = 0; e < 4; e++) winners[e] = words.x >> 8 * e & 255, winners[4 + e] = words.y >> 8 * e & 255;
    } else if constexpr (V == 4) {
        unsigned word = *reinterpret_cast<const unsigned *>(from);
#pragma unroll
        for (int e = 0; e < 4; e++) winners[e] = word >> 8 * e & 255;
    } else
        for (int e = 0; e < V; e++) winners[e] = from[e];
}

template <int V>
__device__ void load_winners(const int *from, int (&winners)[V]) {
    for (int e = 0; e < V; e++) winners[e] = from[e];
}

// The maxima and, unless `winners` is null, which taps they are. K: KH and KW where they are equal and known, else 0
template <int K, int V, typename T, typename Winner>
__device__ void max_of_windows(const T *x, T *y, Winner *winners, const Windows &windows, const Divisor &steps) {
    const int rows = K ? K : windows.KH, columns = K ? K : windows.KW;
    const int H = windows.H.number, W = windows.W.number, DH = windows.DH.number, DW = windows.DW.number;
    long long image = (long long)H * W * windows.inner;
    GRID_STRIDE_LOOP(i, windows.count / V) {  // [0, outer * OH * OW * inner / V)
        Place out = place<V>(int(i), windows.OH, windows.OW, steps);
        int top = out.row * windows.SH.number - windows.PT;  // of the first tap; in the padding where below 0
        int left = out.column * windows.SW.number - windows.PL;
        // where no pixel is larger than -infinity, the first tap behind the padding wins
        int first = (max(0, -top) + DH - 1) / windows.DH * columns + (max(0, -left) + DW - 1) / windows.DW;
        const T *from = x + out.outer * image + out.inner;
        wide<T> best[V];
        int winner[V];
#pragma unroll
        for (int e = 0; e < V; e++) best[e] = __int_as_float(0xff800000), winner[e] = first;
#pragma unroll
        for (int u = 0; u < rows; u++)
#pragma unroll
            for (int v = 0; v < columns; v++) {
                int h = top + u * DH, w = left + v * DW;
                if (h < 0 || h >= H || w < 0 || w >= W) continue;
                wide<T> values[V];
                load(from + (long long)(h * W + w) * windows.inner, values);
#pragma unroll
                for (int e = 0; e < V; e++)
                    if (better(values[e], best[e])) best[e] = values[e], winner[e] = u * columns + v;
            }
        store(y + i * V, best);
        if (winners) store_winners(winners + i * V, winner);
    }
}

template <int K, typename T, typename Winner>
__device__ void max_of_windows(const T *x, T *y, Winner *winners, const Windows &windows) {
    if (windows.inner % VECTOR<T> == 0 && aligned(x, y))
        max_of_windows<K, VECTOR<T>>(x, y, winners, windows, windows.vectors);
    else
        max_of_windows<K, 1>(x, y, winners, windows, windows.numbers);
}

template <typename T, typename Winner>
__device__ void max_of_usual_windows(const T *x, T *y, Winner *winners, const Windows &windows) {
    if (windows.KH == 3 && windows.KW == 3)
        max_of_windows<3>(x, y, winners, windows);
    else if (windows.KH == 2 && windows.KW == 2)
        max_of_windows<2>(x, y, winners, windows);
    else
        max_of_windows<0>(x, y, winners, windows);
}

template <typename T>
__global__ void max_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, WINDOWS) {
    max_of_usual_windows(x, y, (int *)nullptr, THESE_WINDOWS);  // known when compiling: nothing is left of winners
}

template <typename T>
__global__ void max_pool2d_forward_and_winners(const T *__restrict__ x, T *__restrict__ y,
                                               unsigned char *__restrict__ winners, WINDOWS) {
    max_of_usual_windows(x, y, winners, THESE_WINDOWS);
}

template <typename T>
__global__ void max_pool2d_forward_and_winners_wide(const T *__restrict__ x, T *__restrict__ y,
                                                    int *__restrict__ winners, WINDOWS) {
    max_of_windows<0>(x, y, winners, THESE_WINDOWS);
}

// What V pixels collect from the windows that they won
template <int V, typename T, typename Winner>
__device__ void collect(const T *grad_out, const Winner *winners, T *grad_x, const Windows &windows,
                        const Divisor &steps) {
    const int OH = windows.OH.number, OW = windows.OW.number, KH = windows.KH, KW = windows.KW;
    GRID_STRIDE_LOOP(i, windows.count / V) {  // [0, outer * H * W * inner / V)
        Place pixel = place<V>(int(i), windows.H, windows.W, steps);
        Outputs rows = outputs_of(pixel.row, KH, windows.SH, windows.PT, windows.DH.number, OH);
        Outputs columns = outputs_of(pixel.column, KW, windows.SW, windows.PL, windows.DW.number, OW);
        wide<T> sums[V] = {};
        for (int row = rows.last; row >= rows.first; row--) {  // the first tap sees the last output
            int below = pixel.row + windows.PT - row * windows.SH.number, u = below / windows.DH;
            for (int column = columns.last; column >= columns.first; column--) {
                int right = pixel.column + windows.PL - column * windows.SW.number, v = right / windows.DW;
                if (u * windows.DH.number != below || v * windows.DW.number != right) continue;  // between two taps
                long long at = ((long long)(pixel.outer * OH + row) * OW + column) * windows.inner + pixel.inner;
                wide<T> grads[V];
                int winner[V];
                load(grad_out + at, grads);
                load_winners(winners + at, winner);
#pragma unroll
                for (int e = 0; e < V; e++)
                    if (winner[e] == u * KW + v) sums[e] += grads[e];
            }
        }
        store(grad_x + i * V, sums);
    }
}

template <typename T, typename Winner>
__device__ void collect(const T *grad_out, const Winner *winners, T *grad_x, const Windows &windows) {
    if (windows.inner % VECTOR<T> == 0 && aligned(grad_out, grad_x))
        collect<VECTOR<T>>(grad_out, winners, grad_x, windows, windows.vectors);
    else
        collect<1>(grad_out, winners, grad_x, windows, windows.numbers);
}

template <typename T>
__global__ void max_pool2d_backward(const T *__restrict__ grad_out, const unsigned char *__restrict__ winners,
                                    T *__restrict__ grad_x, WINDOWS) {
    collect(grad_out, winners, grad_x, THESE_WINDOWS);
}

template <typename T>
__global__ void max_pool2d_backward_wide(const T *__restrict__ grad_out, const int *__restrict__ winners,
                                         T *__restrict__ grad_x, WINDOWS) {
    collect(grad_out, winners, grad_x, THESE_WINDOWS);
}

// y[i] = f(x[i]) or f(a[i], b[i]) for every i in [0, size), which is right for any grid. f takes and gives numbers of
// wide<T>; what it gives is rounded once.
//
// Numbers go by vectors, 16 bytes at a time: a thread takes vector i, then i + threads of the grid, and so on, so that
// neighbouring threads always have neighbouring vectors. A quarter of the instructions, for float, move the same bytes.
// The last few numbers, and all of arrays that do not begin at a multiple of 16, go one by one.
//
// y may be x itself: a thread has read what it writes over.

#include "bfloat16.cuh"
#include "grid_stride.cuh"

// How many vectors there are in `size` numbers of these arrays
template <typename T, typename... P>
__device__ long long vectors(long long size, const T *first, const P *...others) {
    return aligned(first, others...) ? size / VECTOR<T> : 0;
}

template <typename T, typename F>
__device__ void elementwise(const T *x, T *y, long long size, F f) {
    long long whole = vectors(size, x, y), begun = whole * VECTOR<T>;
    GRID_STRIDE_LOOP(v, whole) {  // [0, whole)
        wide<T> values[VECTOR<T>];
        load(x + v * VECTOR<T>, values);
#pragma unroll
        for (int e = 0; e < VECTOR<T>; e++) values[e] = f(values[e]);
        store(y + v * VECTOR<T>, values);
    }
    GRID_STRIDE_LOOP(i, size - begun) y[begun + i] = T(f(x[begun + i]));
}

template <typename T, typename F>
__device__ void elementwise(const T *a, const T *b, T *y, long long size, F f) {
    long long whole = vectors(size, a, b, y), begun = whole * VECTOR<T>;
    GRID_STRIDE_LOOP(v, whole) {  // [0, whole)
        wide<T> values[VECTOR<T>], others[VECTOR<T>];
        load(a + v * VECTOR<T>, values);
        load(b + v * VECTOR<T>, others);
#pragma unroll
        for (int e = 0; e < VECTOR<T>; e++) values[e] = f(values[e], others[e]);
        store(y + v * VECTOR<T>, values);
    }
    GRID_STRIDE_LOOP(i, size - begun) y[begun + i] = T(f(a[begun + i], b[begun + i]));
}

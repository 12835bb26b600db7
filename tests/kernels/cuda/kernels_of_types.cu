// What test_types.py launches: numbers of every type that T may be, structs, and shared memory above 48 KiB.
//
// T: float, double, bfloat16

#include "bfloat16.cuh"
#include "divide.cuh"

// y = x, rounded; back = y, as it is read again
template <typename T>
__global__ void narrow(const wide<T> *x, T *y, wide<T> *back, int size) {
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        y[i] = T(x[i]);
        back[i] = y[i];
    }
}

// y = scale * x, vector by vector; unaligned is set to whether the addresses are no multiples of 16
template <typename T>
__global__ void scale_vectors(const T *x, T *y, wide<T> scale, bool *unaligned, int size) {
    if (threadIdx.x == 0) unaligned[0] = !aligned(x, y);
    if (!aligned(x, y)) return;
    for (int i = VECTOR<T> * threadIdx.x; i < size; i += VECTOR<T> * blockDim.x) {
        wide<T> values[VECTOR<T>];
        load(x + i, values);
        for (int k = 0; k < VECTOR<T>; k++) values[k] *= scale;
        store(y + i, values);
    }
}

template <typename T>
__global__ void divide(const T *type, const int *n, int *quotient, int *rest, const __grid_constant__ Divisor divisor,
                       int size) {
    for (int i = threadIdx.x; i < size; i += blockDim.x) quotient[i] = n[i] / divisor, rest[i] = n[i] % divisor;
}

// y = x, backwards, through all the shared memory that the launch gives
template <typename T>
__global__ void through_shared(const T *x, T *y, int size) {
    extern __shared__ uint4 dynamic[];  // of one type for all T, or NVRTC takes them for different ones of one name
    T *all = reinterpret_cast<T *>(dynamic);
    __shared__ T one[1];
    for (int i = threadIdx.x; i < size; i += blockDim.x) all[i] = x[i];
    if (threadIdx.x == 0) one[0] = x[0];
    __syncthreads();
    for (int i = threadIdx.x; i < size; i += blockDim.x) y[i] = i == size - 1 ? one[0] : all[size - 1 - i];
}

// A part of kernels_profiled.cu.

template <typename T>
__device__ T turned(T (&tile)[32][33]) {
    return tile[threadIdx.x][threadIdx.y];
}

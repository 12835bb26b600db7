// What the emulator's TMA, mbarriers and wgmma do, and what they must report: one mistake for each number.
//
// T: bfloat16
// arch: sm_90a

#include "hopper.cuh"

enum Mistake {
    NONE,
    NO_START,
    NO_FENCE_OF_BARRIER,
    FENCE_AFTER_BARRIER,
    TOO_FEW_BYTES,
    TOO_MANY_BYTES,
    ONE_ARRIVAL_MORE,
    NO_WAIT,
    WRITE_INTO_COPY,
    NO_FENCE_OF_WRITE,
    FENCE_BEFORE_WRITE,
    TWO_COPIES,
    MISALIGNED,
    NOBODY_WAITS,
    WRITE_WHILE_STORED,
    NO_WAIT_FOR_STORE,
};

// y (count,) = what TMA brings to shared memory, as it lies there; store: and from there to `to`, at the same place.
template <typename T>
__global__ void copy_box(const __grid_constant__ TensorMap map, const __grid_constant__ TensorMap to, T *y, int count,
                         int x, int row, int plane, bool store, int mistake) {
    extern __shared__ unsigned char memory[];
    __shared__ Barrier full[2];
    unsigned char *box = memory + (-shared_address(memory) & 1023);
    int thread = threadIdx.x, bytes = count * int(sizeof(T));
    if (mistake == FENCE_BEFORE_WRITE && thread == 1) fence_async();
    if ((mistake == NO_FENCE_OF_WRITE || mistake == FENCE_BEFORE_WRITE) && thread == 1) box[5] = 0;
    if (thread == 0 && mistake != NO_START) {
        start(full[0], 1);
        if (mistake != NO_FENCE_OF_BARRIER && mistake != FENCE_AFTER_BARRIER) fence_async();
    }
    __syncthreads();
    if (mistake == FENCE_AFTER_BARRIER && thread == 0) fence_async();
    if (thread == 1) {
        arrive_expecting(full[0], bytes - (mistake == TOO_FEW_BYTES ? 128 : 0) + (mistake == TOO_MANY_BYTES ? 128 : 0));
        if (plane < 0) load_box(box + (mistake == MISALIGNED ? 64 : 0), map, full[0], x, row);
        else load_box(box, map, full[0], x, row, plane);
        if (mistake == TWO_COPIES) load_box(box, map, full[0], x, row);
        if (mistake == ONE_ARRIVAL_MORE) arrive(full[0]);
    }
    if (mistake == NOBODY_WAITS) return;
    __syncthreads();
    if (mistake == WRITE_INTO_COPY) box[thread] = 0;
    if (mistake != NO_WAIT) wait(full[0], 0);
    for (int i = thread; i < count; i += blockDim.x) y[i] = reinterpret_cast<T *>(box)[i];
    if (store && thread == 0) {
        store_box(to, box, x, row);
        if (mistake == WRITE_WHILE_STORED) box[0] = 0;
        if (mistake != NO_WAIT_FOR_STORE) wait_for_stores();
    }
}

// y (count,) = what TMA brings of windows
template <typename T>
__global__ void copy_windows(const __grid_constant__ TensorMap map, T *y, int count, int channel, int w, int h, int n,
                             int tap_w, int tap_h) {
    extern __shared__ unsigned char memory[];
    __shared__ Barrier full[1];
    unsigned char *box = memory + (-shared_address(memory) & 1023);
    if (threadIdx.x == 0) {
        start(full[0], 1);
        fence_async();
        arrive_expecting(full[0], count * int(sizeof(T)));
        load_windows(box, map, full[0], channel, w, h, n, tap_w, tap_h);
    }
    __syncthreads();
    wait(full[0], 0);
    for (int i = threadIdx.x; i < count; i += blockDim.x) y[i] = reinterpret_cast<T *>(box)[i];
}

enum WrongProduct {
    RIGHT,
    NO_FENCE_OF_SUMS,
    NO_FENCE_OF_TILES,
    CHANGED_SUM,
    CHANGED_TILE,
    OTHER_TILES,
    BEYOND_SHARED_MEMORY,
    ONE_THREAD_ABSENT,
    NOT_CLOSED,
    NOT_WAITED_FOR,
};

// y (64, 128) = a (64, 16) @ b (128, 16)^T by one warpgroup, tiles that threads have written: rows of 128 bytes, swizzled.
template <typename T>
__global__ void multiply_tiles(const T *a, const T *b, float *y, int mistake) {
    extern __shared__ unsigned char memory[];
    unsigned char *tiles = memory + (-shared_address(memory) & 1023);
    int thread = threadIdx.x;
    for (int e = thread; e < (64 + 128) * 16; e += blockDim.x) {
        int row = e / 16, k = e % 16, place = row * 128 + (k / 8 ^ row % 8) * 16 + k % 8 * 2;
        *reinterpret_cast<T *>(tiles + place) = row < 64 ? a[e] : b[e - 64 * 16];
    }
    if (mistake != NO_FENCE_OF_TILES) fence_async();
    __syncthreads();
    unsigned long long layout = 1ull << 16 | 1024ull / 16 << 32 | 1ull << 62, first = shared_address(tiles) >> 4;
    unsigned long long tile_a = layout | first, tile_b = layout | (first + 64 * 128 / 16);
    if (mistake == OTHER_TILES && thread == 70) tile_a += 2;
    if (mistake == BEYOND_SHARED_MEMORY) tile_b += 1 << 10;
    float sum[64] = {};
    if (mistake != NO_FENCE_OF_SUMS) fence_sums();
    if (mistake != ONE_THREAD_ABSENT || thread != 127) {
        multiply_add<false, false>(sum, tile_a, tile_b);
        if (mistake != NOT_CLOSED) close_products();
        if (mistake == CHANGED_SUM && thread == 3) sum[5] = 1;
        if (mistake == CHANGED_TILE && thread == 127) tiles[0] = 1;
        if (mistake != NOT_WAITED_FOR) wait_for_products<0>();
    }
    for (int i = 0; i < 64; i++) {
        int row = thread / 32 * 16 + thread % 32 / 4 + i % 4 / 2 * 8, column = i / 4 * 8 + thread % 4 * 2 + i % 2;
        y[row * 128 + column] = sum[i];
    }
}

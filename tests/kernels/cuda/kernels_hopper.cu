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

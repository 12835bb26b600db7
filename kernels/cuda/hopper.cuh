// The instructions of Hopper (compute capability 9.0), each in a small function. emulator/hopper.cuh has the same
// functions for the processor. Three engines work while threads go on, or sleep:
//
//   TMA           copies a box of an array to shared memory, or back: one thread asks, with a tensor map that says
//                 where the array lies, its sizes, and the box's. What lies outside is read as 0, and not written
//   wgmma         multiplies matrices that lie in shared memory; the sums are in the registers of a warpgroup, 4 warps
//   mbarrier      8 bytes of shared memory: a phase ends when as many threads have arrived as were said at the start
//                 and all bytes that were announced are there. Phases count 0, 1, 0, 1, ...: their parity
//
// TMA and wgmma reach shared memory by another way than threads do, the "asynchronous proxy". Between a thread's own
// write (the start of an mbarrier, too) and their reading it there must be fence_async() and then a barrier.

#include "bfloat16.cuh"

// How an array lies in memory: 128 bytes that only the driver's cuTensorMapEncode... can write (hopper.py), and which
// must be the kernel's own parameter: const __grid_constant__ TensorMap.
struct alignas(64) TensorMap {
    unsigned long long opaque[16];
};

using Barrier = unsigned long long;

__device__ inline unsigned shared_address(const void *shared) { return unsigned(__cvta_generic_to_shared(shared)); }

// ---- mbarriers

// Begin phase 0, which ends after `arrivals`.
__device__ inline void start(Barrier &barrier, unsigned arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(arrivals) : "memory");
}

__device__ inline void arrive(Barrier &barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
}

// Arrive, and announce bytes that TMA will bring in this phase.
__device__ inline void arrive_expecting(Barrier &barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)), "r"(bytes)
                 : "memory");
}

// Whether the phase of this parity has ended; waits a little for it. Of a barrier that has just been started, phase "1"
// has.
__device__ inline bool is_over(Barrier &barrier, unsigned parity) {
    unsigned over;
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}"
        : "=r"(over)
        : "r"(shared_address(&barrier)), "r"(parity)
        : "memory");
    return over;
}

// Wait until it has. After far more tries than a copy can take the kernel is given up: an error, and no GPU that hangs.
__device__ inline void wait(Barrier &barrier, unsigned parity) {
    for (int tries = 0; !is_over(barrier, parity); tries++)
        if (tries == 1 << 22) __trap();
}

// What this thread has written to shared memory may now be read by TMA and wgmma, after a barrier.
__device__ inline void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---- TMA

// Bring the box that begins at element x of row y, [of plane z], to `shared`, a multiple of 1024; `barrier` counts its
// bytes, those outside of the array too.
__device__ inline void load_box(void *shared, const TensorMap &map, Barrier &barrier, int x, int y) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
        "[%2];" ::"r"(shared_address(shared)),
        "l"(&map), "r"(shared_address(&barrier)), "r"(x), "r"(y)
        : "memory");
}

__device__ inline void load_box(void *shared, const TensorMap &map, Barrier &barrier, int x, int y, int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
        "[%2];" ::"r"(shared_address(shared)),
        "l"(&map), "r"(shared_address(&barrier)), "r"(x), "r"(y), "r"(z)
        : "memory");
}

// Of images (N, H, W, C), bring what a tap sees from the output positions that follow one another, that of (w, h) in
// image n being the first: a row of channels for each, from `channel` on. w and h are where its window begins, which
// may be outside; tap_w and tap_h, [0, 255], how far the tap is from there. The map has the steps from one window to
// the next, and the corners where they begin and end: the engine counts w, h and n on with carries.
__device__ inline void load_windows(void *shared, const TensorMap &map, Barrier &barrier, int channel, int w, int h,
                                    int n, int tap_w, int tap_h) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, "
        "%6}], [%2], {%7, %8};" ::"r"(shared_address(shared)),
        "l"(&map), "r"(shared_address(&barrier)), "r"(channel), "r"(w), "r"(h), "r"(n), "h"(short(tap_w)),
        "h"(short(tap_h))
        : "memory");
}

// Write a box from shared memory to the array, but what is outside.
__device__ inline void store_box(const TensorMap &map, const void *shared, int x, int y) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map),
                 "r"(shared_address(shared)), "r"(x), "r"(y)
                 : "memory");
}

// Wait until the boxes that this thread has had stored have left shared memory, which the block may not give up before.
__device__ inline void wait_for_stores() {
    asm volatile("cp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;" ::: "memory");
}

// ---- wgmma

// Before the first multiplication, and between a thread's own changes of the sums and the next one.
__device__ inline void fence_sums() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// The multiplications that were begun since the last call are a group.
__device__ inline void close_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Wait until all groups but the last PENDING are done; before that neither sums nor tiles may be touched.
template <int PENDING>
__device__ void wait_for_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

#define FOUR(sum, i) "+f"(sum[i]), "+f"(sum[i + 1]), "+f"(sum[i + 2]), "+f"(sum[i + 3])
#define SIXTEEN(sum, i) FOUR(sum, i), FOUR(sum, i + 4), FOUR(sum, i + 8), FOUR(sum, i + 12)

// Begin sum (64, 128) += a (64, 16) @ b (16, 128), a and b being tiles of bfloat16 (tile_at), by a warpgroup. A_SLOW,
// B_SLOW: k is that tile's slow axis. With warp and lane counted in the warpgroup, row = warp * 16 + lane / 4 and
// column = lane % 4 * 2, a thread has for i in [0, 16)
//    sum[4 * i], sum[4 * i + 1]       columns 8 * i + column and the next, of `row`
//    sum[4 * i + 2], sum[4 * i + 3]   of row + 8
template <bool A_SLOW, bool B_SLOW>
__device__ void multiply_add(float (&sum)[64], unsigned long long a, unsigned long long b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, 1, 1, 1, %66, %67;"
        : SIXTEEN(sum, 0), SIXTEEN(sum, 16), SIXTEEN(sum, 32), SIXTEEN(sum, 48)
        : "l"(a), "l"(b), "n"(int(A_SLOW)), "n"(int(B_SLOW)));
}

// ../hopper.cuh for the processor: the same functions, explained there; asynchronous.cpp, tma.cpp and wgmma.cpp do it.

#include "bfloat16.cuh"
#include "tensor_map.cuh"

using Barrier = uint64_t;

namespace emulator {

unsigned shared_address(const void *shared);
void start_barrier(uint64_t *barrier, unsigned arrivals, const void *code);
void arrive(uint64_t *barrier, unsigned bytes, const void *code);
void wait_for_phase(const uint64_t *barrier, unsigned parity, const void *code);
void fence_async();
void load_box(void *shared, const TensorMap &map, uint64_t *barrier, const int *at, int axes, const void *code);
void load_windows(void *shared, const TensorMap &map, uint64_t *barrier, const int *at, const int *tap,
                  const void *code);
void store_box(const TensorMap &map, const void *shared, const int *at, int axes, const void *code);
void wait_for_stores();
void fence_sums();
void multiply_add(float *sums, uint64_t a, uint64_t b, bool a_slow, bool b_slow, const void *code);
void close_products();
void wait_for_products(unsigned pending, const void *code);

}  // namespace emulator

#define HERE __builtin_return_address(0)

inline unsigned shared_address(const void *shared) { return emulator::shared_address(shared); }

EMULATOR_UNSEEN inline void start(Barrier &barrier, unsigned arrivals) {
    emulator::start_barrier(&barrier, arrivals, HERE);
}
EMULATOR_UNSEEN inline void arrive(Barrier &barrier) { emulator::arrive(&barrier, 0, HERE); }
EMULATOR_UNSEEN inline void arrive_expecting(Barrier &barrier, unsigned bytes) {
    emulator::arrive(&barrier, bytes, HERE);
}
EMULATOR_UNSEEN inline void wait(Barrier &barrier, unsigned parity) {
    emulator::wait_for_phase(&barrier, parity, HERE);
}
inline void fence_async() { emulator::fence_async(); }

EMULATOR_UNSEEN inline void load_box(void *shared, const TensorMap &map, Barrier &barrier, int x, int y) {
    const int at[] = {x, y};
    emulator::load_box(shared, map, &barrier, at, 2, HERE);
}
EMULATOR_UNSEEN inline void load_box(void *shared, const TensorMap &map, Barrier &barrier, int x, int y, int z) {
    const int at[] = {x, y, z};
    emulator::load_box(shared, map, &barrier, at, 3, HERE);
}
EMULATOR_UNSEEN inline void load_windows(void *shared, const TensorMap &map, Barrier &barrier, int channel, int w,
                                         int h, int n, int tap_w, int tap_h) {
    const int at[] = {channel, w, h, n}, tap[] = {tap_w, tap_h};
    emulator::load_windows(shared, map, &barrier, at, tap, HERE);
}
EMULATOR_UNSEEN inline void store_box(const TensorMap &map, const void *shared, int x, int y) {
    const int at[] = {x, y};
    emulator::store_box(map, shared, at, 2, HERE);
}
inline void wait_for_stores() { emulator::wait_for_stores(); }

inline void fence_sums() { emulator::fence_sums(); }
inline void close_products() { emulator::close_products(); }
template <int PENDING>
EMULATOR_UNSEEN void wait_for_products() {
    emulator::wait_for_products(PENDING, HERE);
}
template <bool A_SLOW, bool B_SLOW>
EMULATOR_UNSEEN void multiply_add(float (&sum)[64], unsigned long long a, unsigned long long b) {
    emulator::count_tensor_operations(64 * 16, HERE);  // of each of its sums, k being 16
    emulator::multiply_add(sum, a, b, A_SLOW, B_SLOW, HERE);
}

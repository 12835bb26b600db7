// CUDA's words for the host's C++ compiler: what a .cu file may say, as the emulator understands it.
//
// Kernels are compiled with this file in front. The scheduler behind it is fibers.cpp, the checks are memory.cpp.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <concepts>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __grid_constant__
#define __launch_bounds__(...)
#define EMULATOR_UNSEEN __attribute__((noinline, no_sanitize("thread")))  // its accesses are reported by other means

#define EMULATOR_HERE __attribute__((always_inline)) inline  // its accesses belong to the kernel's line

struct uint3 {
    unsigned x, y, z;
};
extern const uint3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {

void block_barrier(unsigned line);
uint64_t warp_exchange(unsigned line, unsigned mask, unsigned source, uint64_t value, unsigned *ballot);
unsigned lanes_running();
void *shared_array(unsigned number, const char *name, size_t bytes, size_t itemsize, size_t alignment, unsigned line);
const unsigned (*warp_collect(unsigned line, const unsigned (&mine)[6]))[6];
void copy_async(void *shared, const void *global, bool inside, const void *code);
void close_group();
void fence();
void hand_over(const void *word);
void wait_for_groups(unsigned pending);
void count_tensor_operations(unsigned multiply_adds, const void *code);
void check_access(void *where, size_t bytes, bool write, bool atomic, const void *code);
[[noreturn]] void assertion_failed(const char *condition, unsigned line);

// __shared__ T name[2][3]; is rewritten to auto &name = shared<T [2][3], alignof(T)>(its number, "name", its line);
template <typename Array, size_t alignment>
Array &shared(unsigned number, const char *name, unsigned line) {
    using Item = std::remove_all_extents_t<Array>;
    return *static_cast<Array *>(shared_array(number, name, sizeof(Array), sizeof(Item), alignment, line));
}

// extern __shared__ T name[]; to T *name = dynamic_shared<T>(its number, "name", its line);
template <typename T>
T *dynamic_shared(unsigned number, const char *name, unsigned line) {
    return static_cast<T *>(shared_array(number, name, 0, sizeof(T), 16, line));
}

template <typename... Parameters, size_t... I>
EMULATOR_UNSEEN void call(void (*kernel)(Parameters...), void **arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<Parameters> *>(arguments[I])...);
}

// Call a kernel for one thread; arguments[i] is where the value of parameter i lies.
template <typename... Parameters>
EMULATOR_UNSEEN void call(void (*kernel)(Parameters...), void **arguments) {
    call(kernel, arguments, std::index_sequence_for<Parameters...>());
}

template <typename T>
T exchange(unsigned line, unsigned mask, unsigned source, T value) {
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    unsigned ballot;
    memcpy(&bits, &value, sizeof value);
    bits = warp_exchange(line, mask, source, bits, &ballot);
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32; }

inline unsigned vote(unsigned line, unsigned mask, bool predicate) {
    unsigned ballot;
    warp_exchange(line, mask, lane(), predicate, &ballot);
    return ballot;
}

// old = *address; *address = update(old); seen as one atomic access
template <typename T, typename Update>
EMULATOR_UNSEEN T atomic(T *address, Update update) {
    check_access(address, sizeof(T), true, true, __builtin_return_address(0));
    hand_over(address);
    T old = *address;
    *address = update(old);
    return old;
}

EMULATOR_UNSEEN inline void vector_access(const void *where, size_t bytes, bool write) {
    check_access(const_cast<void *>(where), bytes, write, false, __builtin_return_address(0));
}

// A vector's numbers, of which vector_access has told already
EMULATOR_UNSEEN inline void copy_unseen(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }

}  // namespace emulator

#define assert(condition) ((condition) ? (void)0 : emulator::assertion_failed(#condition, __LINE__))

// ---- Barriers and warps. Lanes beyond the width or outside the mask answer as CUDA says, or are reported.

inline void __syncthreads(unsigned line = __builtin_LINE()) { emulator::block_barrier(line); }

inline void __syncwarp(unsigned mask = 0xffffffffu, unsigned line = __builtin_LINE()) {
    emulator::vote(line, mask, false);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, unsigned line = __builtin_LINE()) {
    unsigned first = emulator::lane() & ~(width - 1u);
    return emulator::exchange(line, mask, first + (source & (width - 1)), value);
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, unsigned line = __builtin_LINE()) {
    unsigned lane = emulator::lane();
    return emulator::exchange(line, mask, (lane & (width - 1u)) < delta ? lane : lane - delta, value);
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, unsigned line = __builtin_LINE()) {
    unsigned lane = emulator::lane();
    return emulator::exchange(line, mask, (lane & (width - 1u)) + delta < unsigned(width) ? lane + delta : lane, value);
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, unsigned line = __builtin_LINE()) {
    unsigned lane = emulator::lane(), source = lane ^ unsigned(lanes);
    return emulator::exchange(line, mask, source / width > lane / width ? lane : source, value);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, unsigned line = __builtin_LINE()) {
    return emulator::vote(line, mask, predicate);
}

inline int __any_sync(unsigned mask, int predicate, unsigned line = __builtin_LINE()) {
    return emulator::vote(line, mask, predicate) != 0;
}

inline int __all_sync(unsigned mask, int predicate, unsigned line = __builtin_LINE()) {
    return emulator::vote(line, mask, !predicate) == 0;
}

inline unsigned __activemask() { return emulator::lanes_running(); }

// ---- Atomics, of the types that CUDA has them for, and what puts blocks in order through them

inline void __threadfence() { emulator::fence(); }

template <typename T, typename... Types>
concept one_of = (std::same_as<T, Types> || ...);
template <typename T>
concept word = one_of<T, int, unsigned, unsigned long long>;

#define EMULATOR_ATOMIC(name, condition, updated)                      \
    template <typename T>                                              \
        requires(condition)                                            \
    T name(T *p, std::type_identity_t<T> v) {                          \
        return emulator::atomic(p, [=](T old) { return T(updated); }); \
    }
EMULATOR_ATOMIC(atomicAdd, (word<T> || one_of<T, float, double>), old + v)
EMULATOR_ATOMIC(atomicSub, (one_of<T, int, unsigned>), old - v)
EMULATOR_ATOMIC(atomicExch, (word<T> || one_of<T, float>), (old, v))
EMULATOR_ATOMIC(atomicMax, (word<T> || one_of<T, long long>), old < v ? v : old)
EMULATOR_ATOMIC(atomicMin, (word<T> || one_of<T, long long>), v < old ? v : old)
EMULATOR_ATOMIC(atomicAnd, word<T>, old &v)
EMULATOR_ATOMIC(atomicOr, word<T>, old | v)
EMULATOR_ATOMIC(atomicXor, word<T>, old ^ v)
EMULATOR_ATOMIC(atomicInc, (one_of<T, unsigned>), old >= v ? 0 : old + 1)
template <word T>
T atomicCAS(T *p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
    return emulator::atomic(p, [=](T old) { return old == expected ? v : old; });
}

// ---- Vectors, aligned as on the GPU. Copying one is one access, however few of its numbers are used afterwards.

#define EMULATOR_VECTOR(name, alignment, ...)                     \
    struct alignas(alignment) name {                              \
        __VA_ARGS__;                                              \
        name() = default;                                         \
        EMULATOR_HERE name(const name &other) { *this = other; }  \
        EMULATOR_HERE name &operator=(const name &other) {        \
            emulator::vector_access(&other, sizeof other, false); \
            emulator::vector_access(this, sizeof other, true);    \
            emulator::copy_unseen(this, &other, sizeof other);    \
            return *this;                                         \
        }                                                         \
    };
#define EMULATOR_VECTORS(T, name)                                                       \
    EMULATOR_VECTOR(name##2, 2 * sizeof(T), T x, y)                                     \
    EMULATOR_VECTOR(name##4, (sizeof(T) == 8 ? 16 : 4 * sizeof(T)), T x, y, z, w)       \
    inline name##2 make_##name##2(T x, T y) {                                           \
        name##2 v;                                                                      \
        v.x = x, v.y = y;                                                               \
        return v;                                                                       \
    }                                                                                   \
    inline name##4 make_##name##4(T x, T y, T z, T w) {                                 \
        name##4 v;                                                                      \
        v.x = x, v.y = y, v.z = z, v.w = w;                                             \
        return v;                                                                       \
    }
EMULATOR_VECTORS(float, float)
EMULATOR_VECTORS(double, double)
EMULATOR_VECTORS(int, int)
EMULATOR_VECTORS(unsigned, uint)
EMULATOR_VECTORS(unsigned char, uchar)

// ---- Arithmetic that C++ has by another name, or not

template <typename T>
const T __ldg(const T *p) {
    return *p;
}

template <std::integral A, std::integral B>
constexpr std::common_type_t<A, B> min(A a, B b) {
    return b < a ? b : a;
}
template <std::integral A, std::integral B>
constexpr std::common_type_t<A, B> max(A a, B b) {
    return a < b ? b : a;
}
inline float min(float a, float b) { return fminf(a, b); }  // as CUDA's: a NaN loses
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }

template <typename To, typename From>
To emulator_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float x) { return emulator_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator_bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulator_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulator_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator_bits<double>(x); }

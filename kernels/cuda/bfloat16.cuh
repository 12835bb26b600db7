// bfloat16: the upper half of a float, with its range and 8 binary digits: 1 bit of sign, 8 of exponent, 7 of fraction.
// It is what memory holds. Arithmetic is done in float, and a result is rounded once:
//
//    wide<T> value = x[i];         // float for bfloat16, else T itself: what a kernel computes, sums and keeps in
//    y[i] = T(value * scale);      // to the nearest, of two as near the even one; NaN stays NaN
//
// load and store move a vector: as many numbers of T as 16 bytes hold, by one instruction of a thread.

struct bfloat16 {
    unsigned short bits;

    bfloat16() = default;
    __device__ explicit bfloat16(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else  // older GPUs, and the processor
        unsigned given = __float_as_uint(x);  // half of the last digit kept is added, a little less if that one is even
        bits = x == x ? (given + 0x7fffu + (given >> 16 & 1u)) >> 16 : 0x7fffu;
#endif
    }
    __device__ operator float() const { return __uint_as_float(unsigned(bits) << 16); }
};

template <typename T>
struct Wide {
    using type = T;
};
template <>
struct Wide<bfloat16> {
    using type = float;
};
template <typename T>
using wide = typename Wide<T>::type;

// How many numbers a vector holds: 8, 4 or 2.
template <typename T>
constexpr int VECTOR = 16 / sizeof(T);

// Whether vectors may be moved to and from all these addresses: each is a multiple of 16.
template <typename... P>
__device__ bool aligned(const P *...pointers) {
    return ((reinterpret_cast<unsigned long long>(pointers) | ...) & 15) == 0;
}

// One number, where vectors may not be moved.
template <typename T>
__device__ void load(const T *from, wide<T> (&values)[1]) {
    values[0] = *from;
}

template <typename T>
__device__ void store(T *to, const wide<T> (&values)[1]) {
    *to = T(values[0]);
}

__device__ inline void load(const float *from, float (&values)[4]) {
    float4 v = *reinterpret_cast<const float4 *>(from);
    values[0] = v.x, values[1] = v.y, values[2] = v.z, values[3] = v.w;
}

__device__ inline void load(const double *from, double (&values)[2]) {
    double2 v = *reinterpret_cast<const double2 *>(from);
    values[0] = v.x, values[1] = v.y;
}

__device__ inline void load(const bfloat16 *from, float (&values)[8]) {
    uint4 v = *reinterpret_cast<const uint4 *>(from);
    const unsigned words[4] = {v.x, v.y, v.z, v.w};  // the number of the lower address in the lower half of each
#pragma unroll
    for (int i = 0; i < 4; i++) {
        values[2 * i] = __uint_as_float(words[i] << 16);
        values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}

__device__ inline void store(float *to, const float (&values)[4]) {
    *reinterpret_cast<float4 *>(to) = make_float4(values[0], values[1], values[2], values[3]);
}

__device__ inline void store(double *to, const double (&values)[2]) {
    *reinterpret_cast<double2 *>(to) = make_double2(values[0], values[1]);
}

// Two numbers rounded, as one word: the first in the lower half.
__device__ inline unsigned two_bfloat16(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
    return word;
#else
    return unsigned(bfloat16(second).bits) << 16 | bfloat16(first).bits;
#endif
}

__device__ inline void store(bfloat16 *to, const float (&values)[8]) {
    unsigned words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) words[i] = two_bfloat16(values[2 * i], values[2 * i + 1]);
    *reinterpret_cast<uint4 *>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}

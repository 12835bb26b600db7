// ../tensor_cores.cuh for the processor: the same functions, explained there, in plain C++.

#include "bfloat16.cuh"

struct tf32 {
    unsigned bits;
};
struct float16 {
    unsigned short bits;
};

inline float as_float(tf32 x) { return __uint_as_float(x.bits & 0xffffe000u); }  // whatever lies below is ignored
inline float as_float(bfloat16 x) { return x; }
inline float as_float(float16 x) {
    unsigned exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
    float size = exponent == 31   ? (fraction ? NAN : INFINITY)
                 : exponent == 0  ? ldexpf(fraction, -24)
                                  : ldexpf(1024 + fraction, int(exponent) - 25);
    return x.bits >> 15 ? -size : size;
}

template <typename T>
T rounded(float x);

template <>
inline tf32 rounded<tf32>(float x) {  // ties away from zero
    return {isnan(x) ? 0x7fffffffu : isinf(x) ? __float_as_uint(x) : (__float_as_uint(x) + 0x1000u) & 0xffffe000u};
}

template <>
inline bfloat16 rounded<bfloat16>(float x) {
    return bfloat16(x);
}

template <>
inline float16 rounded<float16>(float x) {  // ties to even
    unsigned short sign = __float_as_uint(x) >> 31 << 15;
    float size = fabsf(x);
    if (isnan(x)) return {0x7fff};
    if (size >= 65520) return {static_cast<unsigned short>(sign | 0x7c00)};
    int exponent = size < 0x1p-14f ? -14 : ilogbf(size);  // below it the steps grow no finer
    unsigned steps = unsigned(nearbyintf(ldexpf(size, 10 - exponent)));
    return {static_cast<unsigned short>(sign | (((exponent + 14) << 10) + steps))};
}

// Number k of the row (or column) that lies in the two registers of a lane: words 0 to 3 are the first registers of
// four neighbouring lanes, words 4 to 7 the second.
template <typename T>
EMULATOR_UNSEEN float number(const unsigned (*lanes)[6], unsigned first_lane, unsigned first, unsigned second,
                             unsigned k) {
    constexpr unsigned per_word = 4 / sizeof(T);
    unsigned word = k / per_word, register_ = word < 4 ? first : second;
    T value;
    memcpy(&value, reinterpret_cast<const char *>(&lanes[first_lane + word % 4][register_]) + k % per_word * sizeof(T),
           sizeof(T));
    return as_float(value);
}

template <typename T>
EMULATOR_UNSEEN void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                                  unsigned line = __builtin_LINE()) {
    const unsigned mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]}, (*lanes)[6] = emulator::warp_collect(line, mine);
    unsigned row = emulator::lane() / 4, word = emulator::lane() % 4;
    emulator::count_tensor_operations(4 * 32 / sizeof(T), __builtin_return_address(0));  // the warp's share of this lane
    for (unsigned r = 0; r < 4; r++) {
        unsigned column = 2 * word + r % 2, half = r / 2;
        for (unsigned k = 0; k < 32 / sizeof(T); k++)
            c[r] += number<T>(lanes, 4 * row, half, half + 2, k) * number<T>(lanes, 4 * column, 4, 5, k);
    }
}

template <bool TRANSPOSED>
EMULATOR_UNSEEN void load_matrices(unsigned (&to)[4], const unsigned *row, unsigned line = __builtin_LINE()) {
    emulator::check_access(const_cast<unsigned *>(row), 16, false, false, __builtin_return_address(0));
    const unsigned mine[6] = {row[0], row[1], row[2], row[3]}, (*rows)[6] = emulator::warp_collect(line, mine);
    unsigned lane = emulator::lane(), row_or_column = lane / 4, word = lane % 4;
    for (unsigned m = 0; m < 4; m++) {
        if (!TRANSPOSED) {
            to[m] = rows[8 * m + row_or_column][word];
            continue;
        }
        unsigned halves[2];
        for (unsigned h = 0; h < 2; h++)  // of rows 2 * word and 2 * word + 1: the number in this lane's column
            halves[h] = rows[8 * m + 2 * word + h][row_or_column / 2] >> row_or_column % 2 * 16 & 0xffff;
        to[m] = halves[0] | halves[1] << 16;
    }
}

EMULATOR_UNSEEN inline void copy_async(void *shared, const void *global, bool inside) {
    emulator::copy_async(shared, global, inside, __builtin_return_address(0));
}
inline void close_group() { emulator::close_group(); }
template <int PENDING>
void wait_for_groups() {
    emulator::wait_for_groups(PENDING);
}

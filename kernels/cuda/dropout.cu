// Dropout: y = x * mask / (1 - p), with the mask worked out where it is needed and never stored. It is its own
// gradient.
//
//    number    Element i is number n = start + i of the stream (in C order) and takes word n % 4 of the cipher's block
//              n / 4, upper 24 bits: the very numbers of philox_uniform in minicnn/random.py
//
// Threads   one for 16 bytes, a vector, in a grid-stride loop: of floats that is one block of the cipher, of bfloat16
//           numbers two, of doubles half of one. Where vectors and blocks do not begin together (start is no multiple of
//           4, or arrays do not begin at one of 16), one for each element, which encrypts a block for itself
// Memory    neighbouring threads touch neighbouring vectors; no shared memory, no barrier
// Launch    thread blocks of 256, one thread for each vector
// Bound by  memory: 1 read and 1 write an element; 10 rounds of 2 multiplications for every 4 elements
//
// One number at a time and four of them in a thread, as it was before, neighbouring threads touched addresses 16 bytes
// apart: a warp's request for 32 floats fetched 16 sectors where 4 hold them. Now it fetches each sector once.
//
// calls_before, if it is not null, is added to `call` here: a step captured into a CUDA graph repeats its arguments, but
// what lies in memory may have changed, and so each replay draws new numbers.
//
// y may be x itself (inplace=True), so neither is __restrict__.
//
// T: float, double, bfloat16

#include "elementwise.cuh"

struct Words {
    unsigned int at[4];
};

// Philox4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): encrypts the
// counter (block number, call) with the key
__device__ inline Words philox(unsigned long long key, unsigned long long call, unsigned long long block) {
    unsigned int c0 = block, c1 = block >> 32, c2 = call, c3 = call >> 32, k0 = key, k1 = key >> 32;
    for (int round = 0; round < 10; round++) {
        unsigned int high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        unsigned int high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

__device__ inline bool is_kept(unsigned int word, float p) {
    return (word >> 8) * 5.9604644775390625e-08f >= p;  // 2^-24: u in [0, 1)
}

// Word n % 4 of a block, without an index that only the running kernel knows: registers have none
__device__ inline unsigned int drawn(const Words &words, unsigned long long n) {
    return n & 2 ? (n & 1 ? words.at[3] : words.at[2]) : (n & 1 ? words.at[1] : words.at[0]);
}

// `scale` is 1 / (1 - p), or 0 for p = 1
template <typename T>
__global__ void dropout_forward(const T *x, T *y, long long size, float p, wide<T> scale, unsigned long long key,
                                unsigned long long call, const unsigned long long *calls_before,
                                unsigned long long start) {
    using W = wide<T>;
    if (calls_before) call += calls_before[0];
    long long whole = start % 4 == 0 ? vectors(size, x, y) : 0, begun = whole * VECTOR<T>;
    GRID_STRIDE_LOOP(v, whole) {  // [0, whole)
        unsigned long long first = start + v * VECTOR<T>;  // the vector's first number
        W values[VECTOR<T>];
        load(x + v * VECTOR<T>, values);
        Words words;
#pragma unroll
        for (int e = 0; e < VECTOR<T>; e++) {
            if (e % 4 == 0) words = philox(key, call, (first + e) / 4);
            values[e] *= is_kept(drawn(words, first + e), p) ? scale : W(0);
        }
        store(y + v * VECTOR<T>, values);
    }
    GRID_STRIDE_LOOP(rest, size - begun) {  // [0, size - begun)
        long long i = begun + rest;
        unsigned int word = drawn(philox(key, call, (start + i) / 4), start + i);
        y[i] = T(W(x[i]) * (is_kept(word, p) ? scale : W(0)));
    }
}

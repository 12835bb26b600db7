// Dropout: y = x * mask / (1 - p), with the mask worked out where it is needed and never stored. It is its own
// gradient.
//
// Threads   one for every block of the cipher, which gives 4 words, in a grid-stride loop: element i is number n =
//           start + i of the stream and takes word n % 4 of block n / 4, upper 24 bits: the very numbers of
//           philox_uniform in minicnn/random.py. The first and the last block may have words that nobody takes
// Memory    a thread's 4 elements are neighbours, its neighbours' the next ones; no shared memory, no barrier
// Launch    thread blocks of 256, ceil((start % 4 + size) / 4 / 256) of them
// Bound by  memory: 1 read and 1 write an element; 10 rounds of 2 multiplications for every 4 elements
//
// y may be x itself (inplace=True), so neither is __restrict__.

#include "grid_stride.cuh"

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

// `scale` is 1 / (1 - p), or 0 for p = 1
template <typename T>
__global__ void dropout_forward(const T *x, T *y, long long size, float p, T scale, unsigned long long key,
                                unsigned long long call, long long start) {
    int skip = start % 4;  // words of the first block that are before element 0
    long long quads = (skip + size + 3) / 4;
    GRID_STRIDE_LOOP(q, quads) {  // [0, ceil((skip + size) / 4))
        Words words = philox(key, call, start / 4 + q);
        for (int e = 0; e < 4; e++) {
            long long i = q * 4 + e - skip;
            if (i < 0 || i >= size) continue;
            bool kept = (words.at[e] >> 8) * 5.9604644775390625e-08f >= p;  // 2^-24: u in [0, 1)
            y[i] = x[i] * (kept ? scale : T(0));
        }
    }
}

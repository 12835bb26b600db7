// A pipeline of TMA copies that feeds wgmma: what hopper_product.cu and hopper_conv.cu have in common.
//
// A thread block works out TILE x TILE results. One thread, the producer, has TMA bring tiles of both factors; two
// warpgroups, the consumers, multiply them. Nobody else moves a number, and no barrier stops all threads while there is
// work. For each stage, a place for a tile of each factor, two mbarriers pass it to and fro:
//
//   full[stage]    the producer announces the bytes, TMA counts them as they arrive: the phase ends, consumers may read
//   empty[stage]   each consumer warp arrives when its products of the stage are done: the producer may fill it again
//
// Each turn through the stages is a phase of them, so that the parity to wait for changes with each turn.
//
// Shared memory is written and read by TMA and wgmma alone, up to the end: then the results, rounded, take the place of
// the tiles, and TMA writes them to the array. That is when fence_async() is needed.

#include "hopper.cuh"

constexpr int TILE = 128;                      // TILE x TILE results of a thread block, 64 x TILE of each warpgroup
constexpr int DEPTH = 64;                      // of k in a tile: 128 bytes
constexpr int STAGES = 3;                      // 96 KiB: two blocks are on a multiprocessor, and while one begins or
                                               // ends, the other one multiplies
constexpr int CONSUMERS = 256, PRODUCER = 256;  // threads that multiply; the thread that has tiles brought
constexpr int THREADS = 288;
constexpr int HALF_BYTES = 64 * DEPTH * 2, TILE_BYTES = 2 * HALF_BYTES;  // a warpgroup multiplies half a tile of a

// Where a factor's tile lies, as wgmma wants to know it. A tile in shared memory has rows of 128 bytes, the 8 vectors of
// each in another order ("swizzled", by TMA): vector v of row r is at v ^ r % 8, so that no 8 rows that are read at once
// meet in a bank. 8 rows, 1024 bytes, are a unit, which begins at a multiple of 1024.
//    K is the fast axis   a row has 64 k of one row (or column) of the factor; units follow one another
//    K is the slow axis   a row has 64 rows of the factor, of one k; beside the units of all k, HALF_BYTES on, there is
//                         the next tile with the next 64 rows
// bits 0-13 address, 16-29 from 64 rows to the next (1 where that is no question), 32-45 from a unit to the next (all
// / 16), 62-63 1: 128 bytes
template <bool K_IS_SLOW>
__device__ unsigned long long tile_at(const void *shared) {
    constexpr unsigned long long UNIT_BYTES = 8 * 128, NEXT_64 = K_IS_SLOW ? HALF_BYTES / 16 : 1;
    return shared_address(shared) >> 4 | NEXT_64 << 16 | UNIT_BYTES / 16 << 32 | 1ull << 62;
}

// What the producer fills.
struct Stage {
    unsigned char *a, *b;
    Barrier &full;
};

// sum: becomes a consumer's results (multiply_add) of the thread block's product over `tiles` tiles of k. load(stage,
// tile) has 2 * TILE_BYTES brought. A_SLOW, B_SLOW: k is that tile's slow axis.
//    Shared    STAGES * 2 * TILE_BYTES, and 1024 bytes for the sake of alignment
//    Barriers  at the end, the tiles are nobody's any more: their memory is returned
//    Launch    block THREADS
template <bool A_SLOW, bool B_SLOW, typename Load>
__device__ unsigned char *pipeline(float (&sum)[64], int tiles, Load load) {
    extern __shared__ unsigned char memory[];
    __shared__ Barrier full[STAGES];
    __shared__ Barrier empty[STAGES];
    unsigned char *stages = memory + (-shared_address(memory) & 1023);
    int thread = threadIdx.x, half = thread / 128;  // half: the warpgroup, of consumers 0 or 1
    if (thread == 0) {
        for (int stage = 0; stage < STAGES; stage++) {
            start(full[stage], 1);
            start(empty[stage], CONSUMERS / 32);
        }
        fence_async();
    }
    __syncthreads();
    if (thread == PRODUCER) {
        for (int tile = 0, stage = 0, parity = 1; tile < tiles; tile++) {
            wait(empty[stage], parity);  // at first they are
            arrive_expecting(full[stage], 2 * TILE_BYTES);
            unsigned char *a = stages + stage * 2 * TILE_BYTES;
            load(Stage{a, a + TILE_BYTES, full[stage]}, tile);
            if (++stage == STAGES) stage = 0, parity ^= 1;
        }
    } else if (thread < CONSUMERS) {
        constexpr int STEP_A = (A_SLOW ? 16 * 128 : 32) / 16, STEP_B = (B_SLOW ? 16 * 128 : 32) / 16;  // as in tile_at
        for (float &each : sum) each = 0;  // here, or the producer would have to keep them as well
        for (int tile = 0, stage = 0, parity = 0, last = STAGES - 1; tile < tiles; tile++) {
            wait(full[stage], parity);
            unsigned long long a = tile_at<A_SLOW>(stages + stage * 2 * TILE_BYTES + half * HALF_BYTES);
            unsigned long long b = tile_at<B_SLOW>(stages + stage * 2 * TILE_BYTES + TILE_BYTES);
            fence_sums();
            for (int step = 0; step < DEPTH / 16; step++)
                multiply_add<A_SLOW, B_SLOW>(sum, a + step * STEP_A, b + step * STEP_B);
            close_products();
            wait_for_products<1>();  // those of the tile before; these go on during the next wait
            if (tile > 0 && thread % 32 == 0) arrive(empty[last]);
            last = stage;
            if (++stage == STAGES) stage = 0, parity ^= 1;
        }
        wait_for_products<0>();
    }
    __syncthreads();  // all tiles are multiplied: their place is free
    return stages;
}

// The results of the thread block, which begin at (row, column) of c, and bias[column], rounded and stored by TMA.
// c: the map of boxes of TILE rows and 64 columns; bias is of `columns`, or null; stages: what pipeline has returned.
//    Shared    two boxes of rows of 128 bytes, swizzled as TMA reads them: a warp's words of 8 rows are in 32 banks
//    Barriers  one: all is written before TMA reads it
__device__ inline void store_rounded(const float (&sum)[64], unsigned char *stages, const TensorMap &c,
                                     const float *bias, int row, int column, int columns) {
    int thread = threadIdx.x, lane = thread % 32;
    if (thread < CONSUMERS) {
        int r = thread / 32 * 16 + lane / 4;  // [0, TILE), the upper of two rows; r % 8 is lane / 4
        for (int i = 0; i < 16; i++) {
            int j = column + 8 * i + lane % 4 * 2;  // [0, columns), and beyond the edge
            float first = bias && j < columns ? bias[j] : 0.0f, second = bias && j + 1 < columns ? bias[j + 1] : 0.0f;
            unsigned char *to = stages + i / 8 * TILE_BYTES + r * 128 + (i % 8 ^ lane / 4) * 16 + lane % 4 * 4;
            *reinterpret_cast<unsigned *>(to) = two_bfloat16(sum[4 * i] + first, sum[4 * i + 1] + second);
            *reinterpret_cast<unsigned *>(to + 8 * 128) = two_bfloat16(sum[4 * i + 2] + first, sum[4 * i + 3] + second);
        }
        fence_async();
    }
    __syncthreads();
    if (thread == PRODUCER) {
        store_box(c, stages, column, row);
        if (column + 64 < columns) store_box(c, stages + TILE_BYTES, column + 64, row);
        wait_for_stores();
    }
}

// The results as they are, to c (rows, columns) from (row, column) on: two stores of a warp fill 8 sectors of 32 bytes.
__device__ inline void store_sums(const float (&sum)[64], float *c, int row, int column, int rows, int columns) {
    if (threadIdx.x >= CONSUMERS) return;
    int lane = threadIdx.x % 32, first_row = row + threadIdx.x / 32 * 16 + lane / 4;
    for (int i = 0; i < 16; i++)
        for (int r = 0; r < 4; r++) {
            int y = first_row + r / 2 * 8, x = column + 8 * i + lane % 4 * 2 + r % 2;  // [0, rows), [0, columns), beyond
            if (y < rows && x < columns) c[(long long)y * columns + x] = sum[4 * i + r];
        }
}

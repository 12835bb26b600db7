// Matrix products, c (I, J) = a (I, K) @ b (K, J) + bias (J,), as a ladder: each kernel is the last with one idea more.
//
// A factor may be stored transposed: element (i, k) of a is a[i * a_row + k * a_column], that of b likewise, where one
// of the two strides is 1. bias may be a null pointer. I, J, K may be anything: beyond an edge zeros are loaded,
// nothing is skipped, so that every thread reaches every barrier.
//
// Operations: 2 I J K in each of them. What changes is how many bytes are fetched for them, in sectors of 32 bytes,
// counted for 4-byte numbers by tests/kernels/cuda/test_recording.py (of a + of b, where they differ):
//
//   kernel             fetched from global memory      read from shared memory    of one multiply-add
//   matmul_naive       16 + 1 bytes                    -
//   matmul_coalesced   1 + 4 bytes                     -
//   matmul_shared      8/16 bytes                      8 bytes
//   matmul_register    8/64 bytes                      8/4 bytes
//   matmul_vector      8/64 bytes                      8/4 bytes, in a quarter of the instructions
//   matmul_double      8/64 bytes, fetched ahead       8/4 bytes, half of the barriers
//   matmul_large       8/128 bytes, fetched ahead      8/8 bytes
//   matmul_split       8/128 bytes, fetched ahead      8/8 bytes, and parts of long sums side by side
//
// The ladder goes on in tensor_cores.cu, with fewer digits.

#include "tiles.cuh"
#include "arrivals.cuh"
#include "product.cuh"

#define PRODUCT                                                                                             \
    const T *__restrict__ a, const T *__restrict__ b, const T *__restrict__ bias, T *__restrict__ c, int I, \
        int J, int K, long long a_row, long long a_column, long long b_row, long long b_column

// 1. One thread for each result. Neighbouring threads have neighbouring rows i: at each k, a warp touches 16 rows of a,
//    each in another sector, of which it uses 4 bytes.
//    Launch: grid (ceil(I / 16), ceil(J / 16)), block (16, 16)
template <typename T>
__global__ void matmul_naive(PRODUCT) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;  // [0, I)
    int j = blockIdx.y * blockDim.y + threadIdx.y;  // [0, J)
    if (i >= I || j >= J) return;
    T sum = bias ? bias[j] : T(0);
    for (int k = 0; k < K; k++) sum += a[i * a_row + k * a_column] * b[k * b_row + j * b_column];
    c[(long long)i * J + j] = sum;
}

// 2. What changed: x and y, so that neighbouring threads have neighbouring columns j. At each k a warp reads
//    neighbouring numbers of b, and one number of a for all its threads. What it bought: of b, whole sectors are used,
//    one sector of a is enough for a warp, and the results are written next to one another.
//    Launch: grid (ceil(J / 32), ceil(I / 8)), block (32, 8)
template <typename T>
__global__ void matmul_coalesced(PRODUCT) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;  // [0, J)
    int i = blockIdx.y * blockDim.y + threadIdx.y;  // [0, I)
    if (i >= I || j >= J) return;
    T sum = bias ? bias[j] : T(0);
    for (int k = 0; k < K; k++) sum += a[i * a_row + k * a_column] * b[k * b_row + j * b_column];
    c[(long long)i * J + j] = sum;
}

// 3. What changed: a thread block fetches a BLOCK_SIDE x BLOCK_SIDE tile of a and one of b into shared memory, once,
//    and each number is then read by BLOCK_SIDE threads. What it bought: 1/BLOCK_SIDE of the bytes from global memory.
//    Barriers: the first, so that the tiles are whole before they are read; the second, so that they are read before
//    the next ones overwrite them. The loop runs as often for every thread.
//    Launch: grid (ceil(J / BLOCK_SIDE), ceil(I / BLOCK_SIDE)), block (BLOCK_SIDE, BLOCK_SIDE)
template <typename T>
__global__ void matmul_shared(PRODUCT) {
    __shared__ T a_tile[BLOCK_SIDE][BLOCK_SIDE];  // a warp writes, and reads, two rows, or two numbers: no bank twice
    __shared__ T b_tile[BLOCK_SIDE][BLOCK_SIDE];
    int x = threadIdx.x, y = threadIdx.y;  // [0, BLOCK_SIDE)
    int j = blockIdx.x * BLOCK_SIDE + x, i = blockIdx.y * BLOCK_SIDE + y;  // [0, J), [0, I), and beyond the edges
    T sum = T(0);
    for (int k0 = 0; k0 < K; k0 += BLOCK_SIDE) {  // one tile of each factor after the other
        a_tile[y][x] = i < I && k0 + x < K ? a[i * a_row + (k0 + x) * a_column] : T(0);
        b_tile[y][x] = j < J && k0 + y < K ? b[(k0 + y) * b_row + j * b_column] : T(0);
        __syncthreads();
        for (int k = 0; k < BLOCK_SIDE; k++) sum += a_tile[y][k] * b_tile[k][x];
        __syncthreads();
    }
    if (i < I && j < J) c[(long long)i * J + j] = sum + (bias ? bias[j] : T(0));
}

// Fetch the tile from (k0, first) on: tile[k][n] = matrix[(first + n) * stride_n + (k0 + k) * stride_k], or 0 beyond
// `count` and K. Neighbouring threads go along the axis whose stride is 1: every fetch is coalesced.
template <typename T, int PITCH>
__device__ void fetch(T (&tile)[DEPTH][PITCH], const T *matrix, int first, int count, long long stride_n, int k0, int K,
                      long long stride_k, int thread) {
    for (int e = thread; e < DEPTH * TILE; e += THREADS) {  // [0, DEPTH * TILE)
        int k = stride_k == 1 ? e % DEPTH : e / TILE;           // [0, DEPTH)
        int n = stride_k == 1 ? e / DEPTH : e % TILE;           // [0, TILE)
        bool inside = first + n < count && k0 + k < K;
        tile[k][n] = inside ? matrix[(first + n) * stride_n + (k0 + k) * stride_k] : T(0);
    }
}

// 4. What changed: a thread has a register tile of 4 x 4 results instead of one result. For each k it reads 4 numbers
//    of a and 4 of b from shared memory and makes 16 multiply-adds of them. What it bought: 1/4 of the reads of shared
//    memory, which bounded the kernel before, and with larger tiles there, 1/4 of the bytes from global memory. A
//    thread's rows are BLOCK_SIDE apart, and its columns too: neighbouring threads read neighbouring banks.
//    Launch: grid (ceil(I / TILE), ceil(J / TILE)), block (BLOCK_SIDE, BLOCK_SIDE)
template <typename T>
__global__ void matmul_register(PRODUCT) {
    __shared__ T a_tile[DEPTH][TILE + 2];  // + 2: a warp writes 16 numbers of 2 columns, into 32 banks
    __shared__ T b_tile[DEPTH][TILE + 2];
    int x = threadIdx.x, y = threadIdx.y, thread = y * BLOCK_SIDE + x;  // x, y: [0, BLOCK_SIDE)
    int i0 = blockIdx.x * TILE, j0 = blockIdx.y * TILE;  // the first row and column of the thread block's results
    T sum[4][4] = {};  // the register tile
    for (int k0 = 0; k0 < K; k0 += DEPTH) {
        fetch(a_tile, a, i0, I, a_row, k0, K, a_column, thread);
        fetch(b_tile, b, j0, J, b_column, k0, K, b_row, thread);
        __syncthreads();
        for (int k = 0; k < DEPTH; k++)  // 8 numbers from shared memory, 16 multiply-adds
            for (int r = 0; r < 4; r++)
                for (int s = 0; s < 4; s++)
                    sum[r][s] += a_tile[k][y + r * BLOCK_SIDE] * b_tile[k][x + s * BLOCK_SIDE];
        __syncthreads();
    }
    for (int r = 0; r < 4; r++)
        for (int s = 0; s < 4; s++) {
            int i = i0 + y + r * BLOCK_SIDE, j = j0 + x + s * BLOCK_SIDE;
            if (i < I && j < J) c[(long long)i * J + j] = sum[r][s] + (bias ? bias[j] : T(0));
        }
}

// Write the first `count` of four neighbouring numbers. Neighbouring threads' fours are neighbours, too: if they are
// written at once, a warp fills 16 whole sectors, while one number of each would touch all 16, four times.
template <typename T>
__device__ void write_four(T *to, const Four<T> &four, int count, bool aligned) {
    if (aligned && count >= 4)
        *reinterpret_cast<Four<T> *>(to) = four;
    else
        for (int s = 0; s < 4 && s < count; s++) to[s] = four.at[s];
}

// 5. What changed: a thread's rows are neighbours, and its columns too, so that it reads its 4 numbers of a (and of
//    b) from shared memory in one instruction of 16 bytes. What it bought: a quarter of the instructions that are no
//    multiply-adds; and results are written 16 bytes at a time, if J is a multiple of 4. The tiles begin at, and
//    their rows are, a multiple of 16 bytes: else such a read is an error.
//    Launch: as matmul_register
template <typename T>
__global__ void matmul_vector(PRODUCT) {
    __shared__ alignas(16) T a_tile[DEPTH][TILE + 4];
    __shared__ alignas(16) T b_tile[DEPTH][TILE + 4];
    int x = threadIdx.x, y = threadIdx.y, thread = y * BLOCK_SIDE + x;  // x, y: [0, BLOCK_SIDE)
    int i0 = blockIdx.x * TILE, j0 = blockIdx.y * TILE;  // the first row and column of the thread block's results
    T sum[4][4] = {};  // the register tile
    for (int k0 = 0; k0 < K; k0 += DEPTH) {
        fetch(a_tile, a, i0, I, a_row, k0, K, a_column, thread);
        fetch(b_tile, b, j0, J, b_column, k0, K, b_row, thread);
        __syncthreads();
        for (int k = 0; k < DEPTH; k++) {
            // 2 reads instead of 8
            Four<T> of_a = *reinterpret_cast<const Four<T> *>(&a_tile[k][y * 4]);
            Four<T> of_b = *reinterpret_cast<const Four<T> *>(&b_tile[k][x * 4]);
            for (int r = 0; r < 4; r++)
                for (int s = 0; s < 4; s++) sum[r][s] += of_a.at[r] * of_b.at[s];
        }
        __syncthreads();
    }
    for (int r = 0; r < 4; r++) {
        int i = i0 + y * 4 + r, j = j0 + x * 4;
        Four<T> four;
        for (int s = 0; s < 4; s++) four.at[s] = sum[r][s] + (bias && j + s < J ? bias[j + s] : T(0));
        if (i < I) write_four(&c[(long long)i * J + j], four, J - j, J % 4 == 0);
    }
}

// Rungs 6, 7 and 8: the tiles, their two buffers and the loop over them are those of product.cuh.
template <int DEEP, int R, int S, int UNROLLED, typename T>
__device__ void tile_of_product(T (&sum)[R * 4][S * 4], const T *a, const T *b, int i0, int j0, int I, int J, int first,
                                int last, long long a_row, long long a_column, long long b_row, long long b_column) {
    int thread = threadIdx.y * BLOCK_SIDE + threadIdx.x;
    Matrix<T, DEEP, R * 64> of_a(thread, a, i0, I, a_row, first, last, a_column);
    Matrix<T, DEEP, S * 64> of_b(thread, b, j0, J, b_column, first, last, b_row);
    multiply_tiles<DEEP, UNROLLED>(sum, of_a, of_b, (last - first + DEEP - 1) / DEEP);
}

// c = sum + bias. Where the rows of c begin at multiples of 16 bytes, a thread writes four columns at once.
template <typename T, int ROWS, int COLUMNS>
__device__ void write_tile(const T (&sum)[ROWS][COLUMNS], const T *bias, T *c, int i0, int j0, int I, int J) {
#pragma unroll
    for (int f = 0; f < COLUMNS; f += 4) {
        int j = j0 + tile_column(f);
        T extra[4];
        for (int s = 0; s < 4; s++) extra[s] = bias && j + s < J ? bias[j + s] : T(0);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            int i = i0 + tile_row(r);
            Four<T> four;
            for (int s = 0; s < 4; s++) four.at[s] = sum[r][f + s] + extra[s];
            if (i < I) write_four(&c[(long long)i * J + j], four, J - j, J % 4 == 0);
        }
    }
}

// 6. What changed: there are two buffers for the tiles, and the next tiles are fetched into registers before the
//    present ones are multiplied. A thread fetches numbers of one k, so that the next tile's addresses are one addition
//    away. What it bought: one barrier for each pair of tiles instead of two, and a fetch, which takes hundreds of
//    cycles, has DEPTH * 16 multiply-adds of every thread to hide behind. What it costs: twice the shared memory, and
//    2 * FETCHES registers.
//    Launch: as matmul_register
template <typename T>
__global__ void matmul_double(PRODUCT) {
    T sum[4][4] = {};
    int i0 = blockIdx.x * 64, j0 = blockIdx.y * 64;  // the first row and column of the thread block's results
    tile_of_product<DEPTH, 1, 1, DEPTH>(sum, a, b, i0, j0, I, J, 0, K, a_row, a_column, b_row, b_column);
    write_tile(sum, bias, c, i0, j0, I, J);
}

// 7. What changed: 8 x 8 results of a thread, 128 x 128 of a thread block, from tiles half as deep. What it bought:
//    half of the bytes again, from shared memory (16 numbers for 64 multiply-adds instead of 8 for 16) and from global
//    memory. What it costs: a quarter of the thread blocks, so that it takes a large product to keep a whole GPU busy.
//    Launch: grid (ceil(I / 128), ceil(J / 128)), block (BLOCK_SIDE, BLOCK_SIDE)
template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) matmul_large(PRODUCT) {
    T sum[8][8] = {};
    int i0 = blockIdx.x * 128, j0 = blockIdx.y * 128;
    tile_of_product<DEPTH / 2, 2, 2, DEPTH / 2>(sum, a, b, i0, j0, I, J, 0, K, a_row, a_column, b_row, b_column);
    write_tile(sum, bias, c, i0, j0, I, J);
}

// 8. What changed: K is cut into `splits` parts of `length`, each with thread blocks of its own, the last of which to
//    arrive adds up what the others have written (split-K; add_splits in product.cuh). What it bought: a product of few
//    results and long sums, such as a linear layer's, has enough thread blocks with large tiles, too. What it costs:
//    each part of the results is written and read once.
//    parts (tiles, splits, 128 * 128) and arrived (tiles * splits) are scratch and counters, null where splits is 1.
//    Launch: grid (ceil(I / 128), ceil(J / 128), splits), block (BLOCK_SIDE, BLOCK_SIDE)
template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) matmul_split(PRODUCT, T *parts, unsigned *arrived, int length) {
    T sum[8][8] = {};
    int i0 = blockIdx.x * 128, j0 = blockIdx.y * 128, tile = blockIdx.y * gridDim.x + blockIdx.x;
    int first = blockIdx.z * length, last = min(first + length, K);  // of this part
    tile_of_product<DEPTH / 2, 2, 2, 1>(sum, a, b, i0, j0, I, J, first, last, a_row, a_column, b_row, b_column);
    T *of_tile = parts + (long long)tile * gridDim.z * (128 * 128);
    if (add_splits(sum, of_tile, arrived + tile * gridDim.z, blockIdx.z, gridDim.z))
        write_tile(sum, bias, c, i0, j0, I, J);
}

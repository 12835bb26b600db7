// A pipeline of asynchronous copies that feeds tensor cores: what the products of tensor_cores.cu and the convolutions
// of tensor_conv.cu have in common.

constexpr int TILE = 128;     // TILE x TILE results of a thread block, 64 x 64 of each of its 4 warps
constexpr int THREADS = 128;  // of a thread block
constexpr int WORDS = 16;     // words of 4 bytes of k in a tile in shared memory: 4 vectors of 16 bytes in each row
constexpr int STAGES = 3;     // tiles that are on their way or being multiplied: 48 KiB of shared memory, all there is
constexpr int COPIES = 4;     // vectors that a thread copies of each tile of a factor: one of each of COPIES rows

// Where vector `vector`, [0, 4), of row `row` lies in a tile, in words. Vectors of a row change places with the row:
// the 32 words that a warp reads at once, one vector of each of 8 rows, are then in 32 different banks.
__device__ int slot(int row, int vector) { return row * WORDS + (vector ^ row / 2 % 4) * 4; }

// The same where k is the slow axis: the place of number (k, row), in numbers, in a tile that has TILE numbers of each
// k. Vectors change places with k, for the banks' sake again.
template <typename T>
__device__ int slow_slot(int k, int row) {
    constexpr int PER_VECTOR = 16 / int(sizeof(T));         // numbers
    int turn = sizeof(T) == 4 ? k % 4 * 2 : k / 2 % 4;
    return k * TILE + (row / PER_VECTOR ^ turn) * PER_VECTOR + row % PER_VECTOR;
}

// Word `word`, [0, WORDS), of row `row` of a tile: one tf32, or two of the 16-bit numbers, of neighbouring k.
template <typename T, bool SLOW_K>
__device__ unsigned word_of(const unsigned *tile, int row, int word) {
    if (!SLOW_K) return tile[slot(row, word / 4) + word % 4];
    if (sizeof(T) == 4) return tile[slow_slot<T>(word, row)];
    const unsigned short *numbers = reinterpret_cast<const unsigned short *>(tile);
    return numbers[slow_slot<T>(2 * word, row)] | unsigned(numbers[slow_slot<T>(2 * word + 1, row)]) << 16;
}

// A thread's copies from a packed matrix (count, pitch), from row `first` on: of each tile vector thread % 4 of rows
// thread / 4, + 32, + 64 and + 96; k in [first_k, last_k).
template <typename T>
struct Matrix {
    const T *row[COPIES];
    bool inside[COPIES];
    int thread, k, last_k;  // k: what it copies next, in numbers

    __device__ Matrix(const T *numbers, int first, int count, int pitch, int first_k, int last_k)
        : thread(threadIdx.x), k(first_k + threadIdx.x % 4 * 16 / int(sizeof(T))), last_k(last_k) {
        for (int r = 0; r < COPIES; r++) {
            int n = first + thread / 4 + r * (THREADS / 4);
            inside[r] = n < count;
            row[r] = numbers + (inside[r] ? (long long)n * pitch : 0);
        }
    }
    __device__ void copy(unsigned *tile) {
        for (int r = 0; r < COPIES; r++) {
            bool there = inside[r] && k < last_k;
            copy_async(tile + slot(thread / 4 + r * (THREADS / 4), thread % 4), row[r] + (there ? k : 0), there);
        }
        k += WORDS * 4 / int(sizeof(T));
    }
};

// result(i, j) = the sum over `words` of k of row i of a times row j of b: TILE x TILE results, of which this thread
// stores those of rows [0, I) and columns [0, J) to column(j)[i * row_stride], or nowhere if that is null.
// a and b: copy what this thread copies of the next tile to shared memory. SLOW_K: k is the tiles' slow axis
//    Shared    STAGES tiles of each factor
//    Barriers  one for each tile. Before it, each thread has waited for its own copies of the tile; after it, all
//              copies are there, and everybody is done with the tile before, whose place the next copies take
template <typename T, bool SLOW_K, typename A, typename B, typename Column>
__device__ void pipeline(A a, B b, int words, int I, int J, long long row_stride, const float *row_bias,
                         const float *column_bias, Column column) {
    __shared__ alignas(16) unsigned a_tiles[STAGES][TILE * WORDS];
    __shared__ alignas(16) unsigned b_tiles[STAGES][TILE * WORDS];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = lane / 4, word = lane % 4;
    int i0 = warp / 2 * 64, j0 = warp % 2 * 64;  // of this warp's 64 x 64 results, among the thread block's
    int tiles = (words + WORDS - 1) / WORDS;     // along k
    float sum[4][8][4] = {};                     // the register tile: 4 x 8 results of instructions, 4 numbers of each
    // The first tiles are on their way before anything is multiplied
    for (int stage = 0; stage < STAGES - 1; stage++) {
        if (stage < tiles) a.copy(a_tiles[stage]), b.copy(b_tiles[stage]);
        close_group();
    }
    for (int tile = 0; tile < tiles; tile++) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        int next = (tile + STAGES - 1) % STAGES;  // the buffer of the tile that was multiplied last
        if (tile + STAGES - 1 < tiles) a.copy(a_tiles[next]), b.copy(b_tiles[next]);
        close_group();  // an empty one at the end, so that the number of groups to wait for stays the same
        const unsigned *of_a = a_tiles[tile % STAGES], *of_b = b_tiles[tile % STAGES];
        for (int step = 0; step < WORDS; step += 8) {  // an instruction takes 8 words of k
            int first = step + word;                   // of this lane's, [0, WORDS)
            unsigned fragment_a[4][4], fragment_b[8][2];
            for (int m = 0; m < 4; m++)
                for (int r = 0; r < 4; r++)
                    fragment_a[m][r] = word_of<T, SLOW_K>(of_a, i0 + m * 16 + r % 2 * 8 + row, first + r / 2 * 4);
            for (int n = 0; n < 8; n++)
                for (int r = 0; r < 2; r++)
                    fragment_b[n][r] = word_of<T, SLOW_K>(of_b, j0 + n * 8 + row, first + r * 4);
            // Each fragment that was read is multiplied with 8, or 4, others
            for (int m = 0; m < 4; m++)
                for (int n = 0; n < 8; n++) multiply_add<T>(sum[m][n], fragment_a[m], fragment_b[n]);
        }
    }
    // The epilogue: each lane adds the bias to its 128 sums and stores them
#pragma unroll  // here and below: an array whose index is not known while compiling is not in registers
    for (int n = 0; n < 8; n++)
#pragma unroll
        for (int side = 0; side < 2; side++) {
            int j = blockIdx.x * TILE + j0 + n * 8 + 2 * word + side;  // [0, J), and beyond the edge
            if (j >= J) continue;
            float *results = column(j);
            if (!results) continue;
            float extra = column_bias ? column_bias[j] : 0.0f;
#pragma unroll
            for (int m = 0; m < 4; m++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    int i = blockIdx.y * TILE + i0 + m * 16 + half * 8 + row;  // [0, I), and beyond the edge
                    if (i >= I) continue;
                    results[i * row_stride] = sum[m][n][2 * half + side] + extra + (row_bias ? row_bias[i] : 0.0f);
                }
        }
}

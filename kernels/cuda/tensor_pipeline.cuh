// A pipeline of asynchronous copies that feeds tensor cores: what the products of tensor_cores.cu and the convolutions
// of tensor_conv.cu have in common.

constexpr int WORDS = 16;    // of k in a piece: 64 bytes of each row, 4 chunks of 16 bytes
constexpr int SIDE = 128;    // SIDE x SIDE results of a block of THREADS threads, 64 x 64 of each of its 4 warps
constexpr int THREADS = 128;
constexpr int STAGES = 3;    // pieces that are on their way or being multiplied: 48 KiB of shared memory, all there is
constexpr int ROWS = 4;      // of each factor, and of each piece, a thread copies one chunk of ROWS rows

// Where chunk `chunk`, [0, 4), of row `row` lies in a piece, in words. The chunks of a row change places with the row:
// the 32 words that a warp reads at once, one chunk of each of 8 rows, are then in 32 different banks.
__device__ int slot(int row, int chunk) { return row * WORDS + (chunk ^ row / 2 % 4) * 4; }

// The same where k is the slow axis: the place of number (k, row), in numbers, in a piece that has SIDE numbers of each
// k. Chunks change places with k, for the banks' sake again.
template <typename T>
__device__ int slow_slot(int k, int row) {
    constexpr int PER_CHUNK = 16 / int(sizeof(T));
    int turn = sizeof(T) == 4 ? k % 4 * 2 : k / 2 % 4;
    return k * SIDE + (row / PER_CHUNK ^ turn) * PER_CHUNK + row % PER_CHUNK;
}

// Word `word`, [0, WORDS), of row `row` of a piece: one tf32, or two of the 16-bit numbers, of neighbouring k.
template <typename T, bool SLOW_K>
__device__ unsigned word_of(const unsigned *piece, int row, int word) {
    if (!SLOW_K) return piece[slot(row, word / 4) + word % 4];
    if (sizeof(T) == 4) return piece[slow_slot<T>(word, row)];
    const unsigned short *numbers = reinterpret_cast<const unsigned short *>(piece);
    return numbers[slow_slot<T>(2 * word, row)] | unsigned(numbers[slow_slot<T>(2 * word + 1, row)]) << 16;
}

// A thread's copies from a packed matrix (count, pitch), from row `first` on: of each piece chunk thread % 4 of rows
// thread / 4, + 32, + 64 and + 96; k in [first_k, last_k).
template <typename T>
struct Matrix {
    const T *row[ROWS];
    bool inside[ROWS];
    int thread, k, last_k;  // k: in numbers

    __device__ Matrix(const T *numbers, int first, int count, int pitch, int first_k, int last_k)
        : thread(threadIdx.x), k(first_k + threadIdx.x % 4 * 16 / int(sizeof(T))), last_k(last_k) {
        for (int r = 0; r < ROWS; r++) {
            int n = first + thread / 4 + r * (THREADS / 4);
            inside[r] = n < count;
            row[r] = numbers + (inside[r] ? (long long)n * pitch : 0);
        }
    }
    __device__ void copy(unsigned *piece) {
        for (int r = 0; r < ROWS; r++) {
            bool there = inside[r] && k < last_k;
            copy_async(piece + slot(thread / 4 + r * (THREADS / 4), thread % 4), row[r] + (there ? k : 0), there);
        }
        k += WORDS * 4 / int(sizeof(T));
    }
};

// result(i, j) = the sum over `words` of k of row i of a times row j of b: SIDE x SIDE results, of which this thread
// stores those of rows [0, I) and columns [0, J) to column(j)[i * row_stride], or nowhere if that is null.
// a and b: what copies a thread's share of the next piece to shared memory. SLOW_K: k is the pieces' slow axis
//    Shared    STAGES pieces of each factor
//    Barriers  one for each piece. Before it, each thread has waited for its own copies of the piece; after it, all
//              copies are there, and everybody is done with the piece before, whose place the next copies take
template <typename T, bool SLOW_K, typename A, typename B, typename Column>
__device__ void pipeline(A a, B b, int words, int I, int J, long long row_stride, const float *row_bias,
                         const float *column_bias, Column column) {
    __shared__ alignas(16) unsigned a_pieces[STAGES][SIDE * WORDS];
    __shared__ alignas(16) unsigned b_pieces[STAGES][SIDE * WORDS];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = lane / 4, word = lane % 4;
    int i0 = warp / 2 * 64, j0 = warp % 2 * 64;  // of this warp's results, in the block's
    int pieces = (words + WORDS - 1) / WORDS;
    float sum[4][8][4] = {};
    for (int stage = 0; stage < STAGES - 1; stage++) {
        if (stage < pieces) a.copy(a_pieces[stage]), b.copy(b_pieces[stage]);
        close_group();
    }
    for (int piece = 0; piece < pieces; piece++) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        int next = (piece + STAGES - 1) % STAGES;
        if (piece + STAGES - 1 < pieces) a.copy(a_pieces[next]), b.copy(b_pieces[next]);
        close_group();  // an empty one at the end, so that the number of groups to wait for stays the same
        const unsigned *of_a = a_pieces[piece % STAGES], *of_b = b_pieces[piece % STAGES];
        for (int step = 0; step < WORDS; step += 8) {  // of an instruction
            int first = step + word;
            unsigned part_a[4][4], part_b[8][2];
            for (int m = 0; m < 4; m++)
                for (int r = 0; r < 4; r++)
                    part_a[m][r] = word_of<T, SLOW_K>(of_a, i0 + m * 16 + r % 2 * 8 + row, first + r / 2 * 4);
            for (int n = 0; n < 8; n++)
                for (int r = 0; r < 2; r++)
                    part_b[n][r] = word_of<T, SLOW_K>(of_b, j0 + n * 8 + row, first + r * 4);
            for (int m = 0; m < 4; m++)
                for (int n = 0; n < 8; n++) multiply_add<T>(sum[m][n], part_a[m], part_b[n]);
        }
    }
#pragma unroll  // here and below: an array whose index is not known while compiling is not in registers
    for (int n = 0; n < 8; n++)
#pragma unroll
        for (int side = 0; side < 2; side++) {
            int j = blockIdx.x * SIDE + j0 + n * 8 + 2 * word + side;
            if (j >= J) continue;
            float *results = column(j);
            if (!results) continue;
            float extra = column_bias ? column_bias[j] : 0.0f;
#pragma unroll
            for (int m = 0; m < 4; m++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    int i = blockIdx.y * SIDE + i0 + m * 16 + half * 8 + row;
                    if (i >= I) continue;
                    results[i * row_stride] = sum[m][n][2 * half + side] + extra + (row_bias ? row_bias[i] : 0.0f);
                }
        }
}

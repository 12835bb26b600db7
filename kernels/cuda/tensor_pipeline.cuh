// A pipeline of asynchronous copies that feeds tensor cores: what the products of tensor_cores.cu and the convolutions
// of tensor_conv.cu have in common.
//
// A thread block of 4 warps makes ROWS x COLUMNS results, each warp a quarter of them. A tile in shared memory holds
// the 64 bytes of k that come next, of all rows (or columns) of a factor: 32 numbers of 16 bits, or 16 of 32. It lies in
// one of two ways, whichever the factor's numbers have in global memory, since what is copied is 16 bytes, a vector:
//
//    k along the rows     [row][k]: 4 vectors of k for each row; slot
//    k across them        [k][row]: the vectors hold neighbouring rows of one k; slot_across
//
// In both, vectors change places so that the 8 that ldmatrix reads at once lie in 32 different banks.

constexpr int THREADS = 128;  // of a thread block: 2 x 2 warps
constexpr int ROWS = 128;     // of a thread block's results; it has 128 or 64 COLUMNS
constexpr int WORDS = 16;     // of 4 bytes: of k in a tile
constexpr int STAGES = 4;     // tiles that are on their way or being multiplied: 64 KiB of shared memory for 128 columns

template <typename T>
constexpr int PER_VECTOR = 16 / int(sizeof(T));  // numbers
template <typename T>
constexpr int PER_TILE = WORDS * 4 / int(sizeof(T));  // numbers of k

// A thread block's tiles, and behind them what else it keeps in shared memory: all of it is asked for at the launch.
template <int COLUMNS>
constexpr int STAGE_WORDS = (ROWS + COLUMNS) * WORDS;
__device__ unsigned *shared_memory() {
    extern __shared__ uint4 shared[];  // of 16 bytes, for the alignment's sake
    return reinterpret_cast<unsigned *>(shared);
}

// Where vector `vector`, [0, 4), of row `row` begins in a tile with k along the rows, in words. 8 rows are 512 bytes,
// which would be 4 turns of the banks; the vectors of a row change places with every second row.
__device__ int slot(int row, int vector) { return row * WORDS + (vector ^ row / 2 % 4) * 4; }

// The same with k across the rows: where the vector of rows [vector * PER_VECTOR, ...) of number k begins, in words. Each k
// takes a whole number of turns, so that without the exchange all 8 would lie in the same 4 banks.
template <typename T, int SIDE>
__device__ int slot_across(int k, int vector) {
    int turn = sizeof(T) == 4 ? k % 4 * 2 : k % 8;  // tf32 is read word by word, from 4 k and 8 rows
    return k * (SIDE * int(sizeof(T)) / 4) + (vector ^ turn) * 4;
}

// How a lane reads fragments of a factor: COUNT of them, of 16 rows (columns) each from `first` on, by 8 words of k. What is
// read of one is what multiply_add wants as its a; of the other, as b for two times 8 columns: [0], [1] and [2], [3].
// A tile is 2 steps of 8 words. Places in it are worked out once; in the loop there are additions of constants alone,
// which the instruction has room for.
template <typename T, bool ACROSS, bool IS_B, int SIDE, int COUNT>
struct Fragments {
    static constexpr int PLACES = ACROSS ? COUNT : 2;
    int place[PLACES];  // in words

    __device__ explicit Fragments(int first) {
        int lane = threadIdx.x % 32, low = lane / 8 % 2, high = lane / 16;  // of the 4 matrices, the lane has row lane % 8
        int lower_rows = IS_B ? high : low, later_k = IS_B ? low : high;    // [0, 2): which one
        if (!ACROSS) {
            place[0] = slot(first + lower_rows * 8 + lane % 8, later_k);
            place[1] = place[0] ^ 8;  // of the second step: 2 vectors on
        } else if (sizeof(T) == 2) {
            place[0] = slot_across<T, SIDE>(later_k * 8 + lane % 8, first / 8 + lower_rows);
            for (int f = 1; f < COUNT; f++) place[f] = place[0] ^ f * 8;  // 2 vectors on, for 16 rows
        } else {
            place[0] = first;
        }
    }

    __device__ void load(unsigned (&to)[4], const unsigned *tile, int f, int step) const {
        if constexpr (!ACROSS) {
            load_matrices<false>(to, tile + place[step] + f * 16 * WORDS);
        } else if constexpr (sizeof(T) == 2) {
            load_matrices<true>(to, tile + place[f] + step * 16 * (SIDE / 2));
        } else {  // ldmatrix exchanges numbers of 16 bits only
            int lane = threadIdx.x % 32;
            for (int r = 0; r < 4; r++) {
                int lower_rows = IS_B ? r / 2 : r % 2, later_k = IS_B ? r % 2 : r / 2;
                int k = step * 8 + later_k * 4 + lane % 4, row = place[0] + f * 16 + lower_rows * 8 + lane / 4;
                to[r] = tile[slot_across<T, SIDE>(k, row / 4) + row % 4];
            }
        }
    }
};

// This warp's results: 64 x COLUMNS / 2 of them, as 4 x COLUMNS / 16 results of instructions, 4 numbers of each lane.
template <int COLUMNS>
struct Sums {
    static constexpr int FRAGMENTS = COLUMNS / 16;  // of 8 columns
    float at[4][FRAGMENTS][4];

    // The first of this lane's 4 numbers of instruction (m, n) is result (row(m), column(n)) of the thread block; then
    // come the next column, and the same of row(m) + 8.
    __device__ static int row(int m) { return threadIdx.x / 64 * 64 + m * 16 + threadIdx.x % 32 / 4; }
    __device__ static int column(int n) {
        return threadIdx.x / 32 % 2 * (COLUMNS / 2) + n * 8 + threadIdx.x % 4 * 2;
    }

    // Store each: store(row, column, sum, the sum of the next column).
    template <typename Store>
    __device__ void each(Store store) const {
#pragma unroll  // an array whose index is not known while compiling is not in registers
        for (int m = 0; m < 4; m++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int n = 0; n < FRAGMENTS; n++)
                    store(row(m) + half * 8, column(n), at[m][n][2 * half], at[m][n][2 * half + 1]);
    }
};

template <typename T>
__device__ int tiles_of(int numbers) {  // of k; one that is partly filled is filled up with zeros
    return (numbers + PER_TILE<T> - 1) / PER_TILE<T>;
}

// sum(i, j) = the sum over the k of `tiles` tiles of row i of a times column j of b.
// a and b: copy what this thread copies of the next tile to shared memory. A_ACROSS, B_ACROSS: k lies across the rows
//    Barriers  one for each tile. Before it, each thread has waited for its own copies of the tile; after it, all
//              copies are there, and everybody is done with the tile before, whose place the next copies take. Who
//              wants the shared memory afterwards needs another
template <typename T, int COLUMNS, bool A_ACROSS, bool B_ACROSS, typename A, typename B>
__device__ void pipeline(Sums<COLUMNS> &sum, A &a, B &b, int tiles) {
    unsigned *shared = shared_memory();
    constexpr int FRAGMENTS = Sums<COLUMNS>::FRAGMENTS;
    Fragments<T, A_ACROSS, false, ROWS, 4> of_a(threadIdx.x / 64 * 64);  // of this warp's results
    Fragments<T, B_ACROSS, true, COLUMNS, FRAGMENTS / 2> of_b(threadIdx.x / 32 % 2 * (COLUMNS / 2));
    for (int m = 0; m < 4; m++)
        for (int n = 0; n < FRAGMENTS; n++)
            for (int r = 0; r < 4; r++) sum.at[m][n][r] = 0.0f;
    // The first tiles are on their way before anything is multiplied
    for (int stage = 0; stage < STAGES - 1; stage++) {
        unsigned *to = shared + stage * STAGE_WORDS<COLUMNS>;
        if (stage < tiles) a.copy(to), b.copy(to + ROWS * WORDS);
        close_group();
    }
    for (int tile = 0; tile < tiles; tile++) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        int next = (tile + STAGES - 1) % STAGES;  // where the tile lies that was multiplied last
        unsigned *to = shared + next * STAGE_WORDS<COLUMNS>;
        if (tile + STAGES - 1 < tiles) a.copy(to), b.copy(to + ROWS * WORDS);
        close_group();  // an empty one at the end, so that the number of groups to wait for stays the same
        const unsigned *from = shared + tile % STAGES * STAGE_WORDS<COLUMNS>;
#pragma unroll
        for (int step = 0; step < 2; step++) {  // an instruction takes 8 words of k
            unsigned fragment_a[4][4], fragment_b[FRAGMENTS / 2][4];
            for (int m = 0; m < 4; m++) of_a.load(fragment_a[m], from, m, step);
            for (int n = 0; n < FRAGMENTS / 2; n++) of_b.load(fragment_b[n], from + ROWS * WORDS, n, step);
            // Each fragment that was read is multiplied with 8, or 4, others
            for (int m = 0; m < 4; m++)
                for (int n = 0; n < FRAGMENTS; n++) {
                    const unsigned b[2] = {fragment_b[n / 2][n % 2 * 2], fragment_b[n / 2][n % 2 * 2 + 1]};
                    multiply_add<T>(sum.at[m][n], fragment_a[m], b);
                }
        }
    }
}

constexpr int FAN = 16;  // parts of a sum that one thread block adds up, as in product.cuh

// Where a product is cut into splits along k, a thread block for each: true for the one that comes last (arrivals.cuh),
// with the sum of all of them; the others have nothing left to do. With more than FAN splits this happens twice, for FAN
// of them and then for those sums. The order of the additions is always the same.
//    parts     of this tile: (splits, numbers of a thread, threads), the numbers in vectors: coalesced
//    arrived   of this tile: (splits) counters; the second time begins at counter 1, free as splits <= FAN * FAN
template <int COLUMNS>
__device__ bool add_splits(Sums<COLUMNS> &sum, float *parts, unsigned *arrived, int split, int splits) {
    constexpr int COUNT = 4 * Sums<COLUMNS>::FRAGMENTS;  // vectors of a thread
    float4 *vectors = reinterpret_cast<float4 *>(parts) + threadIdx.x;
    for (int apart = 1, level = 0; apart < splits; apart *= FAN, level++) {
        int first = split / (apart * FAN) * (apart * FAN);  // of those that are added up now, `apart` from each other
        int members = min(FAN, (splits - first + apart - 1) / apart);
#pragma unroll
        for (int e = 0; e < COUNT; e++) {
            const float(&from)[4] = sum.at[e / (COUNT / 4)][e % (COUNT / 4)];
            vectors[(split * COUNT + e) * THREADS] = make_float4(from[0], from[1], from[2], from[3]);
        }
        if (!last_to_arrive(arrived + first + level, members)) return false;
#pragma unroll 1
        for (int member = 0; member < members; member++)  // a member's vectors are all fetched at once
#pragma unroll
            for (int e = 0; e < COUNT; e++) {
                float4 part = vectors[((first + member * apart) * COUNT + e) * THREADS];
                float(&to)[4] = sum.at[e / (COUNT / 4)][e % (COUNT / 4)];
                to[0] = part.x + (member ? to[0] : 0.0f), to[1] = part.y + (member ? to[1] : 0.0f);
                to[2] = part.z + (member ? to[2] : 0.0f), to[3] = part.w + (member ? to[3] : 0.0f);
            }
        split = first;
    }
    return true;
}

// A thread's copies of a matrix (count, pitch) in global memory that has k along its rows, of SIDE rows from `first` on:
// of each tile vector thread % 4 of rows thread / 4, + 32, ...; numbers k in [first_k, last_k) of each row.
template <typename T, int SIDE>
struct Matrix {
    static constexpr int COPIES = SIDE * 4 / THREADS, STEP = THREADS / 4;  // STEP: rows from one copy to the next
    const T *next;
    int place, pitch, left, k_left;  // left, k_left: how many rows and how many numbers of a row there are from `next` on

    __device__ Matrix(const T *numbers, int first, int count, int pitch, int first_k, int last_k)
        : place(slot(threadIdx.x / 4, threadIdx.x % 4)), pitch(pitch) {
        int row = first + threadIdx.x / 4, k = first_k + threadIdx.x % 4 * PER_VECTOR<T>;
        next = numbers + (long long)row * pitch + k;
        left = count - row, k_left = last_k - k;
    }
    __device__ void copy(unsigned *tile) {
        for (int r = 0; r < COPIES; r++)
            copy_async(tile + place + r * STEP * WORDS, next + (long long)r * STEP * pitch,
                       k_left > 0 && left > r * STEP);
        next += PER_TILE<T>, k_left -= PER_TILE<T>;
    }
};

// A tile of a product, from shared memory by way of registers: what the upper rungs of matmul.cu and conv.cu
// have in common. A thread block of 16 x 16 threads works out 64 R x 64 S results, each thread R x S times
// 4 x 4 of them; its fours are 64 apart, so that neighbouring threads read neighbouring Fours.
//
// Where a factor comes from is its own affair. It is a struct that is made in every thread and has
//    fetch(numbers)        this thread's numbers of the next tile (DEEP, WIDTH), from global memory into registers
//    put(tile, numbers)    later, from there into shared memory
// k, the index that is summed over, counts a tile's rows.

// How many thread blocks a multiprocessor should hold of the larger tiles: the compiler keeps to so few registers
template <typename T>
constexpr int RESIDENT = sizeof(T) == 4 ? 2 : 1;

// Which numbers of a tile one thread fetches: COUNT of one k, APART from each other. So whatever belongs to k is worked
// out once for all of them. along_k: neighbouring threads have neighbouring k, else they have neighbouring n.
template <int DEEP, int WIDTH>
struct Share {
    static constexpr int COUNT = DEEP * WIDTH / THREADS, APART = THREADS / DEEP;
    int row, column;  // of the tile: [0, DEEP), [0, APART)

    __device__ Share(int thread, bool along_k)
        : row(along_k ? thread % DEEP : thread / APART), column(along_k ? thread / DEEP : thread % APART) {}

    template <typename T>
    __device__ void put(T (&tile)[DEEP][WIDTH + 4], const T (&numbers)[COUNT]) const {
        for (int p = 0; p < COUNT; p++) tile[row][column + p * APART] = numbers[p];
    }
};

// A factor that lies in memory: number (k, n) is matrix[n * stride_n + k * stride_k], or 0 beyond `count` and `last`.
// Neighbouring threads go along the axis whose stride is 1. In the loop, an address is one addition.
template <typename T, int DEEP, int WIDTH>
struct Matrix : Share<DEEP, WIDTH> {
    using Share<DEEP, WIDTH>::COUNT, Share<DEEP, WIDTH>::APART;
    const T *at;  // the thread's first number of the next tile
    long long apart, next;  // from there to its second one, and to the tile after it
    int n, count, k, last;

    __device__ Matrix(int thread, const T *matrix, int first_n, int count, long long stride_n, int first_k, int last,
                      long long stride_k)
        : Share<DEEP, WIDTH>(thread, stride_k == 1), apart(APART * stride_n), next(DEEP * stride_k), count(count),
          last(last) {
        n = first_n + this->column, k = first_k + this->row;
        at = matrix + n * stride_n + k * stride_k;
    }

    __device__ void fetch(T (&numbers)[COUNT]) {
        for (int p = 0; p < COUNT; p++) numbers[p] = k < last && n + p * APART < count ? at[p * apart] : T(0);
        k += DEEP, at += next;
    }
};

// sum += a tile of the product, from `steps` pairs of tiles. So many rows of a tile are UNROLLED: more take fewer
// instructions, but more registers, which a convolution has not left.
//    Shared    two buffers of a tile of each factor: 17 KB, in float
//    Barriers  one for each pair of tiles. Between two of them the thread block reads one buffer and writes the other
//              one, which all have finished reading before the barrier that came last.
template <int DEEP, int UNROLLED, typename T, int ROWS, int COLUMNS, typename A, typename B>
__device__ void multiply_tiles(T (&sum)[ROWS][COLUMNS], A a, B b, int steps) {
    constexpr int R = ROWS / 4, S = COLUMNS / 4;
    __shared__ alignas(16) T a_tile[2][DEEP][R * 64 + 4];
    __shared__ alignas(16) T b_tile[2][DEEP][S * 64 + 4];
    int x = threadIdx.x, y = threadIdx.y;  // [0, BLOCK_SIDE)
    T of_a[A::COUNT], of_b[B::COUNT];
    a.fetch(of_a), b.fetch(of_b);
    a.put(a_tile[0], of_a), b.put(b_tile[0], of_b);  // the first tiles, for which everybody waits
    __syncthreads();
    for (int step = 0, now = 0; step < steps; step++, now ^= 1) {  // now: the buffer that is read, [0, 2)
        a.fetch(of_a), b.fetch(of_b);  // the next tiles begin to come, while the present ones are multiplied
#pragma unroll UNROLLED
        for (int k = 0; k < DEEP; k++) {
            Four<T> four_a[R], four_b[S];
            for (int f = 0; f < R; f++) four_a[f] = *reinterpret_cast<const Four<T> *>(&a_tile[now][k][f * 64 + y * 4]);
            for (int f = 0; f < S; f++) four_b[f] = *reinterpret_cast<const Four<T> *>(&b_tile[now][k][f * 64 + x * 4]);
            for (int r = 0; r < ROWS; r++)
                for (int s = 0; s < COLUMNS; s++) sum[r][s] += four_a[r / 4].at[r % 4] * four_b[s / 4].at[s % 4];
        }
        a.put(a_tile[now ^ 1], of_a), b.put(b_tile[now ^ 1], of_b);
        __syncthreads();
    }
}

// Row and column of the tile where results r and s of this thread belong
__device__ inline int tile_row(int r) { return r / 4 * 64 + threadIdx.y * 4 + r % 4; }
__device__ inline int tile_column(int s) { return s / 4 * 64 + threadIdx.x * 4 + s % 4; }

// Write the results: store(row of the tile, place(column of the tile), result). A thread's four columns lie side by
// side, so written from there each store of a warp would touch 16 sectors and fill an eighth of each. On the way
// through shared memory threads exchange them within their warp, and neighbours get neighbouring columns: 4 sectors.
template <typename T, int ROWS, int COLUMNS, typename Place, typename Store>
__device__ void store_tile(const T (&sum)[ROWS][COLUMNS], Place place, Store store) {
    // a line for the 16 threads of one y, and so two for each warp: + 16 puts the second one into the other banks
    __shared__ alignas(16) T line_tile[BLOCK_SIDE][64 + 16];
    T(&line)[64 + 16] = line_tile[threadIdx.y];
#pragma unroll
    for (int f = 0; f < COLUMNS / 4; f++) {
        long long at[4];
        for (int s = 0; s < 4; s++) at[s] = place(f * 64 + s * BLOCK_SIDE + threadIdx.x);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            Four<T> four;
            for (int s = 0; s < 4; s++) four.at[s] = sum[r][f * 4 + s];
            *reinterpret_cast<Four<T> *>(&line[threadIdx.x * 4]) = four;
            __syncwarp();
            for (int s = 0; s < 4; s++) store(tile_row(r), at[s], line[s * BLOCK_SIDE + threadIdx.x]);
            __syncwarp();  // all have read before the line is written again
        }
    }
}

constexpr int FAN = 16;  // parts of a sum that one thread block adds up

// Split-K: the sum over k is cut into splits, and each of these thread blocks has one part of the results in `sum`.
// The last one to arrive (arrivals.cuh) gets the whole sum, and true; the others have nothing left to do. With more
// than FAN parts this happens twice, for FAN of them and then for those sums. The order of the additions is always
// the same.
//    parts     (splits, numbers of a thread, threads), the numbers in fours: coalesced, 16 bytes for each thread
//    arrived   (splits) counters; the second time begins at counter 1, which is free as splits <= FAN * FAN
template <typename T, int ROWS, int COLUMNS>
__device__ bool add_splits(T (&sum)[ROWS][COLUMNS], T *parts, unsigned *arrived, int split, int splits) {
    constexpr int FOURS = ROWS * COLUMNS / 4;
    int thread = threadIdx.y * BLOCK_SIDE + threadIdx.x;
    for (int apart = 1, level = 0; apart < splits; apart *= FAN, level++) {
        int first = split / (apart * FAN) * (apart * FAN);  // of those that are added up now, `apart` from each other
        int members = min(FAN, (splits - first + apart - 1) / apart);
        Four<T> *mine = reinterpret_cast<Four<T> *>(parts) + (long long)split * FOURS * THREADS + thread;
#pragma unroll
        for (int q = 0; q < FOURS; q++) {
            Four<T> four;
            for (int s = 0; s < 4; s++) four.at[s] = sum[q / (COLUMNS / 4)][q % (COLUMNS / 4) * 4 + s];
            mine[q * THREADS] = four;
        }
        if (!last_to_arrive(arrived + first + level, members)) return false;
#pragma unroll
        for (int q = 0; q < FOURS; q++) {
            Four<T> total = {};
            for (int member = 0; member < members; member++) {
                long long part = ((long long)(first + member * apart) * FOURS + q) * THREADS + thread;
                Four<T> four = reinterpret_cast<Four<T> *>(parts)[part];
                for (int s = 0; s < 4; s++) total.at[s] = member ? total.at[s] + four.at[s] : four.at[s];
            }
            for (int s = 0; s < 4; s++) sum[q / (COLUMNS / 4)][q % (COLUMNS / 4) * 4 + s] = total.at[s];
        }
        split = first;
    }
    return true;
}

// 2-D convolution (cross-correlation), forward and its gradients, as a ladder:
//
//   conv2d_direct   one thread for each output, the sum as the formula has it
//   im2col          explicit: the windows as the columns of a matrix in memory, then a product (matmul.cu)
//   conv2d_forward, conv2d_grad_x, conv2d_grad_weight with sum_splits
//                   implicit: the products of minicnn/ops/conv.py, but the matrix is nowhere: a thread block gathers
//                   the tile of it that it is about to multiply straight into shared memory. These are the ones that
//                   training runs, and tensor_conv.cu has them once more with fewer digits.
//
// Sizes: x (N, C, H, W), weight (OC, CG, KH, KW) with CG = C / groups, y (N, OC, OH, OW), OG = OC / groups. Output (oh,
// ow) sees with tap (u, v) the pixel (oh * SH - PT + u * DH, ow * SW - PL + v * DW), or 0 outside the image.

#include "grid_stride.cuh"
#include "sum.cuh"
#include "tiles.cuh"

#define GEOMETRY                                                                                                \
    int N, int C, int H, int W, int OC, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, \
        int DW, int groups

// 1. Threads one for each output, in a grid-stride loop; neighbours have neighbouring ow. Every operand comes from
//    global memory (or a cache): 2 numbers fetched for 2 operations.    Launch: thread blocks of 256
template <typename T>
__global__ void conv2d_direct(const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias,
                              T *__restrict__ y, GEOMETRY) {
    int CG = C / groups, OG = OC / groups;
    long long count = (long long)N * OC * OH * OW;
    GRID_STRIDE_LOOP(i, count) {  // [0, count)
        int ow = i % OW, oh = i / OW % OH, o = i / OW / OH % OC, n = i / OW / OH / OC;
        T sum = bias ? bias[o] : T(0);
        for (int c = 0; c < CG; c++)
            for (int u = 0; u < KH; u++)
                for (int v = 0; v < KW; v++) {
                    int h = oh * SH - PT + u * DH, w = ow * SW - PL + v * DW;
                    if (h < 0 || h >= H || w < 0 || w >= W) continue;  // padding
                    long long channel = (long long)n * C + o / OG * CG + c;
                    sum += x[(channel * H + h) * W + w] * weight[((o * CG + c) * KH + u) * KW + v];
                }
        y[i] = sum;
    }
}

// 2. What changed: the windows of image `image` are written out as the columns of col (C * KH * KW, OH * OW), one
//    thread for each number, coalesced; matmul.cu does the rest. What it bought: the product's reuse of every number
//    TILE times. What it costs: a matrix KH * KW times as large as the image, written and read again.
//    Launch: thread blocks of 256
template <typename T>
__global__ void im2col(const T *__restrict__ x, T *__restrict__ col, int image, GEOMETRY) {
    long long count = (long long)C * KH * KW * OH * OW;
    GRID_STRIDE_LOOP(i, count) {  // [0, count)
        int ow = i % OW, oh = i / OW % OH, v = i / OW / OH % KW, u = i / OW / OH / KW % KH;
        long long channel = (long long)image * C + i / OW / OH / KW / KH;
        int h = oh * SH - PT + u * DH, w = ow * SW - PL + v * DW;
        col[i] = h >= 0 && h < H && w >= 0 && w < W ? x[(channel * H + h) * W + w] : T(0);
    }
}

// A number as three digits, n = (a * B + b) * C + c. Divisions, some 20 instructions each on a GPU, find the digits
// once; from then on a step is added digit by digit, with a carry: additions alone.
struct Digits {
    int a, b, c;  // of a tap: channel (or filter), u, v; of a position or pixel: image, row, column
};

struct Radices {
    int B, C;
    __device__ Digits of(int n) const { return {n / C / B, n / C % B, n % C}; }
    __device__ void add(Digits &to, Digits step) const {
        to.c += step.c;  // each digit is below its radix before and after: at most one carry
        if (to.c >= C) to.c -= C, to.b++;
        to.b += step.b;
        if (to.b >= B) to.b -= B, to.a++;
        to.a += step.a;
    }
};

// What one thread fetches of a factor: FETCHES numbers of each tile, into registers, later put into shared memory.
// Columns are n, in [0, count). ALONG_K: the numbers are of one k and of FETCHES columns, so that neighbouring threads
// fetch neighbouring k; otherwise of one column and FETCHES k, and neighbouring threads have neighbouring columns.
template <typename T, bool ALONG_K>
struct Fetch {
    static constexpr int COUNT = ALONG_K ? FETCHES : 1, STEP = ALONG_K ? DEPTH : DEPTH / FETCHES;
    int thread, k, n[COUNT];  // k, n: of the number that it fetches next
    Digits digits_of_k, step, digits_of_n[COUNT];

    __device__ Fetch(int thread, int first_n, int first_k, Radices of_n, Radices of_k) : thread(thread) {
        k = first_k + (ALONG_K ? thread % DEPTH : thread / TILE);
        digits_of_k = of_k.of(k);
        step = of_k.of(STEP);
        for (int q = 0; q < COUNT; q++) {
            n[q] = first_n + (ALONG_K ? thread / DEPTH + q * (THREADS / DEPTH) : thread % TILE);
            digits_of_n[q] = of_n.of(n[q]);
        }
    }

    // The next tile's numbers: number(k, its digits, n, its digits) or, beyond an edge, 0
    template <typename Number>
    __device__ void fetch(T (&fetched)[FETCHES], int count, int last_k, Radices of_k, Number number) {
        for (int p = 0; p < FETCHES; p++) {
            int q = ALONG_K ? p : 0;
            fetched[p] = n[q] < count && k < last_k ? number(k, digits_of_k, n[q], digits_of_n[q]) : T(0);
            if (ALONG_K && p < FETCHES - 1) continue;  // the other columns have the same k
            k += STEP;
            of_k.add(digits_of_k, step);
        }
    }

    __device__ void put(T (&tile)[DEPTH][TILE + 4], const T (&fetched)[FETCHES]) const {
        for (int p = 0; p < FETCHES; p++)
            if (ALONG_K)
                tile[thread % DEPTH][thread / DEPTH + p * (THREADS / DEPTH)] = fetched[p];
            else
                tile[thread / TILE + p * (DEPTH / FETCHES)][thread % TILE] = fetched[p];
    }
};

// result(i, j) = the sum over k in [first, last) of a(i, k) * b(k, j), i in [0, I), j in [0, J), where a and b are not
// matrices but functions that find one number, from k, the digits of k, i or j, and its digits.
//    Threads   block (BLOCK_SIDE, BLOCK_SIDE); blockIdx.x counts tiles along the columns (pixels: many), blockIdx.y
//              along the rows
//    Shared    two buffers, as in matmul_double of matmul.cu, which explains them
//    Barriers  one for each pair of tiles; the loop runs as often for all threads, and beyond an edge zeros are fetched
template <typename T, bool A_ALONG_K, bool B_ALONG_K, typename A, typename B, typename Store>
__device__ void product(int I, int J, int first, int last, Radices of_j, Radices of_k, A a, B b, Store store) {
    __shared__ alignas(16) T a_tile[2][DEPTH][TILE + 4];
    __shared__ alignas(16) T b_tile[2][DEPTH][TILE + 4];
    int x = threadIdx.x, y = threadIdx.y, thread = y * BLOCK_SIDE + x;  // x, y: [0, BLOCK_SIDE)
    int i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE;  // first row and column of the thread block's results
    Fetch<T, A_ALONG_K> of_a(thread, i0, first, {1, 1}, of_k);
    Fetch<T, B_ALONG_K> of_b(thread, j0, first, of_j, of_k);
    T sum[4][4] = {}, a_fetched[FETCHES], b_fetched[FETCHES];  // sum: the register tile
    of_a.fetch(a_fetched, I, last, of_k, a);
    of_b.fetch(b_fetched, J, last, of_k, b);
    of_a.put(a_tile[0], a_fetched);
    of_b.put(b_tile[0], b_fetched);  // the first tiles, for which everybody waits
    __syncthreads();
    for (int k0 = first, now = 0; k0 < last; k0 += DEPTH, now ^= 1) {  // now: [0, 2)
        of_a.fetch(a_fetched, I, last, of_k, a);
        of_b.fetch(b_fetched, J, last, of_k, b);
        for (int k = 0; k < DEPTH; k++) {
            Four<T> four_a = *reinterpret_cast<const Four<T> *>(&a_tile[now][k][y * 4]);  // 2 reads, 16 multiply-adds
            Four<T> four_b = *reinterpret_cast<const Four<T> *>(&b_tile[now][k][x * 4]);
            for (int r = 0; r < 4; r++)
                for (int s = 0; s < 4; s++) sum[r][s] += four_a.at[r] * four_b.at[s];
        }
        of_a.put(a_tile[now ^ 1], a_fetched);
        of_b.put(b_tile[now ^ 1], b_fetched);
        __syncthreads();
    }
    for (int r = 0; r < 4; r++)
        for (int s = 0; s < 4; s++) {
            int i = i0 + y * 4 + r, j = j0 + x * 4 + s;
            if (i < I && j < J) store(i, j, sum[r][s]);
        }
}

// 3. What changed: col(k, j) is worked out where it is needed. What it bought: the matrix is neither written nor read,
//    only x. What it costs: the pixel of each k and j must be found, which takes some ten additions and comparisons.
//    Rows are a group's OG filters, columns the N * OH * OW positions, k counts (c, u, v); blockIdx.z is the group.
//    Operations 2 OG K N OH OW for each group; bound by arithmetic where OG and K are large
template <typename T>
__global__ void conv2d_forward(const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias,
                               T *__restrict__ y, GEOMETRY) {
    int group = blockIdx.z, CG = C / groups, OG = OC / groups, area = OH * OW, K = CG * KH * KW;
    auto filter = [=](int k, Digits, int o, Digits) { return weight[(long long)(group * OG + o) * K + k]; };
    auto window = [=](int, Digits tap, int, Digits position) {
        int c = group * CG + tap.a, h = position.b * SH - PT + tap.b * DH, w = position.c * SW - PL + tap.c * DW;
        bool inside = h >= 0 && h < H && w >= 0 && w < W;
        return inside ? x[(((long long)position.a * C + c) * H + h) * W + w] : T(0);
    };
    auto store = [=](int o, int position, T sum) {
        int n = position / area, channel = group * OG + o;
        y[((long long)n * OC + channel) * area + position % area] = sum + (bias ? bias[channel] : T(0));
    };
    product<T, true, false>(OG, N * area, 0, K, {OH, OW}, {KH, KW}, filter, window, store);
}

// Division of n >= 0 by a number that is known before: one multiplication. n * divisor must be below 2^32.
struct Divider {
    int divisor;
    unsigned long long magic;  // 2^32 / divisor, rounded up
    __device__ explicit Divider(int divisor) : divisor(divisor), magic(0xffffffffu / divisor + 1ull) {}
    __device__ int quotient(int n) const { return int(n * magic >> 32); }
};

// grad_x: rows are a group's CG channels, columns the N * H * W pixels, k counts (o, u, v): which output saw this pixel
// with this tap? With a stride, only one k in SH * SW finds one; the others multiply zeros.
template <typename T>
__global__ void conv2d_grad_x(const T *__restrict__ grad_out, const T *__restrict__ weight, T *__restrict__ grad_x,
                              GEOMETRY) {
    int group = blockIdx.z, CG = C / groups, OG = OC / groups, taps = KH * KW, area = H * W;
    Divider by_SH(SH), by_SW(SW);
    auto filter = [=](int, Digits tap, int c, Digits) {
        return weight[((long long)(group * OG + tap.a) * CG + c) * taps + tap.b * KW + tap.c];
    };
    auto seen_by = [=](int, Digits tap, int, Digits pixel) {
        int top = pixel.b + PT - tap.b * DH, left = pixel.c + PL - tap.c * DW;  // oh * SH, ow * SW of who saw it
        if (top < 0 || left < 0) return T(0);  // above or left of all outputs
        int oh = by_SH.quotient(top), ow = by_SW.quotient(left), o = group * OG + tap.a;
        bool saw = oh * SH == top && ow * SW == left && oh < OH && ow < OW;
        return saw ? grad_out[(((long long)pixel.a * OC + o) * OH + oh) * OW + ow] : T(0);
    };
    auto store = [=](int c, int pixel, T sum) {
        grad_x[((long long)(pixel / area) * C + group * CG + c) * area + pixel % area] = sum;
    };
    product<T, false, false>(CG, N * area, 0, OG * taps, {H, W}, {KH, KW}, filter, seen_by, store);
}

// grad_weight: rows are a group's OG filters, columns their CG * KH * KW weights, k counts the N * OH * OW positions:
// few results, each a very long sum. One block for every 64 x 64 of them would leave a GPU idle, so the positions are
// cut into `splits` of `length` each (split-K): sums (splits, OC, CG, KH, KW) is what each of them gives, and
// sum_splits adds that up.    blockIdx.z: [0, groups * splits)
template <typename T>
__global__ void conv2d_grad_weight(const T *__restrict__ grad_out, const T *__restrict__ x, T *__restrict__ sums,
                                   int length, GEOMETRY) {
    int group = blockIdx.z % groups, split = blockIdx.z / groups;  // [0, groups), [0, splits)
    int CG = C / groups, OG = OC / groups, area = OH * OW, J = CG * KH * KW;
    int first = split * length, last = min(first + length, N * area);  // positions of this split
    auto gradient = [=](int, Digits position, int o, Digits) {
        long long channel = (long long)position.a * OC + group * OG + o;
        return grad_out[channel * area + position.b * OW + position.c];
    };
    auto window = [=](int, Digits position, int, Digits tap) {
        int c = group * CG + tap.a, h = position.b * SH - PT + tap.b * DH, w = position.c * SW - PL + tap.c * DW;
        bool inside = h >= 0 && h < H && w >= 0 && w < W;
        return inside ? x[(((long long)position.a * C + c) * H + h) * W + w] : T(0);
    };
    auto store = [=](int o, int j, T sum) { sums[((long long)split * OC + group * OG + o) * J + j] = sum; };
    product<T, true, true>(OG, J, first, last, {KH, KW}, {OH, OW}, gradient, window, store);
}

// y (size,) = sums (splits, size) summed over the splits, one thread for each element, always in the same order.
//    Launch: thread blocks of 256, in a grid-stride loop. Bound by memory: an addition for sizeof(T) bytes, coalesced
template <typename T>
__global__ void sum_splits(const T *__restrict__ sums, T *__restrict__ y, int splits, long long size) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T sum = sums[i];
        for (int split = 1; split < splits; split++) sum += sums[split * size + i];
        y[i] = sum;
    }
}

// grad_bias: the sum of each channel of grad_out (N, OC, area), a thread block for each, in a fixed order.
//    Shared: one number a thread, halved with a barrier after each step, which all threads reach.
//    Launch: grid OC, block 256
template <typename T>
__global__ void conv2d_grad_bias(const T *__restrict__ grad_out, T *__restrict__ grad_bias, int N, int OC, int area) {
    __shared__ T partial[THREADS];
    Sum<T> sum;
    for (long long m = threadIdx.x; m < (long long)N * area; m += THREADS)  // [0, N * area)
        sum.add(grad_out[(m / area * OC + blockIdx.x) * area + m % area]);
    partial[threadIdx.x] = sum.total;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) grad_bias[blockIdx.x] = partial[0];
}

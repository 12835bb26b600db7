// 2-D convolution (cross-correlation), forward and its gradients, as a ladder:
//
//   conv2d_direct   one thread for each output, the sum as the formula has it
//   im2col          explicit: the windows as the columns of a matrix in memory, then a product (matmul.cu)
//   conv2d_forward, conv2d_grad_x, conv2d_grad_weight
//                   implicit: the products of minicnn/ops/conv.py, but the matrix is nowhere: a block gathers the piece
//                   of it that it is about to multiply straight into shared memory. These are the shipped ones.
//
// Sizes: x (N, C, H, W), weight (OC, CG, KH, KW) with CG = C / groups, y (N, OC, OH, OW), OG = OC / groups. Output (oh,
// ow) sees with tap (u, v) the pixel (oh * SH - PT + u * DH, ow * SW - PL + v * DW), or 0 outside the image.

#define GEOMETRY                                                                                                \
    int N, int C, int H, int W, int OC, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, \
        int DW, int groups

constexpr int THREADS = 256;
constexpr int ROWS = 64;     // ROWS x COLUMNS results of a block, EACH x EACH of each thread, from pieces DEPTH deep:
constexpr int COLUMNS = 64;  // as matmul_vector in matmul.cu
constexpr int DEPTH = 16;
constexpr int EACH = 4;
constexpr int SIDE = ROWS / EACH;

// 1. Threads one for each output, in a grid-stride loop; neighbours have neighbouring ow. Every operand comes from
//    global memory (or a cache): 2 numbers fetched for 2 operations.    Launch: blocks of 256
template <typename T>
__global__ void conv2d_direct(const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias,
                              T *__restrict__ y, GEOMETRY) {
    int CG = C / groups, OG = OC / groups;
    long long count = (long long)N * OC * OH * OW, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {  // [0, count)
        int ow = i % OW, oh = i / OW % OH, o = i / OW / OH % OC, n = i / OW / OH / OC;
        T sum = bias ? bias[o] : T(0);
        for (int c = 0; c < CG; c++)
            for (int u = 0; u < KH; u++)
                for (int v = 0; v < KW; v++) {
                    int h = oh * SH - PT + u * DH, w = ow * SW - PL + v * DW;
                    if (h < 0 || h >= H || w < 0 || w >= W) continue;
                    long long channel = (long long)n * C + o / OG * CG + c;
                    sum += x[(channel * H + h) * W + w] * weight[((o * CG + c) * KH + u) * KW + v];
                }
        y[i] = sum;
    }
}

// 2. What changed: the windows of image `image` are written out as the columns of col (C * KH * KW, OH * OW), one
//    thread for each number, coalesced; matmul.cu does the rest. What it bought: the product's reuse of every number
//    ROWS times. What it costs: a matrix KH * KW times as large as the image, written and read again.
//    Launch: blocks of 256
template <typename T>
__global__ void im2col(const T *__restrict__ x, T *__restrict__ col, int image, GEOMETRY) {
    long long count = (long long)C * KH * KW * OH * OW, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {  // [0, count)
        int ow = i % OW, oh = i / OW % OH, v = i / OW / OH % KW, u = i / OW / OH / KW % KH;
        long long channel = (long long)image * C + i / OW / OH / KW / KH;
        int h = oh * SH - PT + u * DH, w = ow * SW - PL + v * DW;
        col[i] = h >= 0 && h < H && w >= 0 && w < W ? x[(channel * H + h) * W + w] : T(0);
    }
}

template <typename T>
struct alignas(16) Four {
    T at[EACH];
};

// result(i, j) = the sum over k of a(i, k) * b(k, j), i in [0, I), j in [0, J), k in [0, K), where a and b are not
// matrices but functions that fetch one number. matmul_vector of matmul.cu, which explains it; A_ALONG_K, B_ALONG_K:
// whether neighbouring threads shall fetch neighbouring k, because that is how the numbers lie in memory.
//    Threads   block (SIDE, SIDE); blockIdx.x counts pieces of columns (pixels: many), blockIdx.y pieces of rows
//    Barriers  two for each piece; the loop runs as often for every thread, and beyond an edge zeros are fetched
template <typename T, bool A_ALONG_K, bool B_ALONG_K, typename A, typename B, typename Store>
__device__ void product(int I, int J, int K, A a, B b, Store store) {
    __shared__ alignas(16) T a_tile[DEPTH][ROWS + 4];
    __shared__ alignas(16) T b_tile[DEPTH][COLUMNS + 4];
    int x = threadIdx.x, y = threadIdx.y;  // [0, SIDE)
    int i0 = blockIdx.y * ROWS, j0 = blockIdx.x * COLUMNS;
    T sum[EACH][EACH] = {};
    for (int k0 = 0; k0 < K; k0 += DEPTH) {
        for (int e = y * SIDE + x; e < DEPTH * ROWS; e += THREADS) {
            int k = A_ALONG_K ? e % DEPTH : e / ROWS, i = A_ALONG_K ? e / DEPTH : e % ROWS;
            a_tile[k][i] = i0 + i < I && k0 + k < K ? a(i0 + i, k0 + k) : T(0);
        }
        for (int e = y * SIDE + x; e < DEPTH * COLUMNS; e += THREADS) {
            int k = B_ALONG_K ? e % DEPTH : e / COLUMNS, j = B_ALONG_K ? e / DEPTH : e % COLUMNS;
            b_tile[k][j] = j0 + j < J && k0 + k < K ? b(k0 + k, j0 + j) : T(0);
        }
        __syncthreads();
        for (int k = 0; k < DEPTH; k++) {
            Four<T> of_a = *reinterpret_cast<const Four<T> *>(&a_tile[k][y * EACH]);
            Four<T> of_b = *reinterpret_cast<const Four<T> *>(&b_tile[k][x * EACH]);
            for (int r = 0; r < EACH; r++)
                for (int s = 0; s < EACH; s++) sum[r][s] += of_a.at[r] * of_b.at[s];
        }
        __syncthreads();
    }
    for (int r = 0; r < EACH; r++)
        for (int s = 0; s < EACH; s++)
            if (i0 + y * EACH + r < I && j0 + x * EACH + s < J) store(i0 + y * EACH + r, j0 + x * EACH + s, sum[r][s]);
}

// 3. What changed: col(k, j) is worked out where it is needed. What it bought: the matrix is neither written nor read,
//    only x. What it costs: divisions to find the pixel of each k and j.
//    Rows are a group's OG filters, columns the N * OH * OW positions, k counts (c, u, v); blockIdx.z is the group.
//    Operations 2 OG K N OH OW for each group; bound by arithmetic where OG and K are large
template <typename T>
__global__ void conv2d_forward(const T *__restrict__ x, const T *__restrict__ weight, const T *__restrict__ bias,
                               T *__restrict__ y, GEOMETRY) {
    int group = blockIdx.z, CG = C / groups, OG = OC / groups, taps = KH * KW, area = OH * OW, K = CG * taps;
    auto filter = [=](int o, int k) { return weight[(long long)(group * OG + o) * K + k]; };
    auto window = [=](int k, int position) {
        int n = position / area, oh = position % area / OW, ow = position % OW;
        int c = group * CG + k / taps, h = oh * SH - PT + k % taps / KW * DH, w = ow * SW - PL + k % KW * DW;
        bool inside = h >= 0 && h < H && w >= 0 && w < W;
        return inside ? x[(((long long)n * C + c) * H + h) * W + w] : T(0);
    };
    auto store = [=](int o, int position, T sum) {
        int n = position / area, channel = group * OG + o;
        y[((long long)n * OC + channel) * area + position % area] = sum + (bias ? bias[channel] : T(0));
    };
    product<T, true, false>(OG, N * area, K, filter, window, store);
}

// grad_x: rows are a group's CG channels, columns the N * H * W pixels, k counts (o, u, v): which output saw this pixel
// with this tap? With a stride, only one k in SH * SW finds one; the others multiply zeros.
template <typename T>
__global__ void conv2d_grad_x(const T *__restrict__ grad_out, const T *__restrict__ weight, T *__restrict__ grad_x,
                              GEOMETRY) {
    int group = blockIdx.z, CG = C / groups, OG = OC / groups, taps = KH * KW, area = H * W, K = OG * taps;
    auto filter = [=](int c, int k) { return weight[((long long)(group * OG + k / taps) * CG + c) * taps + k % taps]; };
    auto seen_by = [=](int k, int pixel) {
        int n = pixel / area, o = group * OG + k / taps;
        int top = pixel % area / W + PT - k % taps / KW * DH, left = pixel % W + PL - k % KW * DW;
        int oh = top / SH, ow = left / SW;
        bool saw = top >= 0 && left >= 0 && top % SH == 0 && left % SW == 0 && oh < OH && ow < OW;
        return saw ? grad_out[(((long long)n * OC + o) * OH + oh) * OW + ow] : T(0);
    };
    auto store = [=](int c, int pixel, T sum) {
        grad_x[((long long)(pixel / area) * C + group * CG + c) * area + pixel % area] = sum;
    };
    product<T, false, false>(CG, N * area, K, filter, seen_by, store);
}

// grad_weight: rows are a group's OG filters, columns their CG * KH * KW weights, k counts the N * OH * OW positions
template <typename T>
__global__ void conv2d_grad_weight(const T *__restrict__ grad_out, const T *__restrict__ x, T *__restrict__ grad_weight,
                                   GEOMETRY) {
    int group = blockIdx.z, CG = C / groups, OG = OC / groups, taps = KH * KW, area = OH * OW, J = CG * taps;
    auto gradient = [=](int o, int position) {
        return grad_out[((long long)(position / area) * OC + group * OG + o) * area + position % area];
    };
    auto window = [=](int position, int j) {
        int n = position / area, oh = position % area / OW, ow = position % OW;
        int c = group * CG + j / taps, h = oh * SH - PT + j % taps / KW * DH, w = ow * SW - PL + j % KW * DW;
        bool inside = h >= 0 && h < H && w >= 0 && w < W;
        return inside ? x[(((long long)n * C + c) * H + h) * W + w] : T(0);
    };
    auto store = [=](int o, int j, T sum) { grad_weight[(long long)(group * OG + o) * J + j] = sum; };
    product<T, true, true>(OG, J, N * area, gradient, window, store);
}

// grad_bias: the sum of each channel of grad_out (N, OC, area). A block for each channel, partial sums in a fixed order.
//    Shared: one number a thread, halved with a barrier after each step, which all threads reach.
//    Launch: grid OC, block 256
template <typename T>
__global__ void conv2d_grad_bias(const T *__restrict__ grad_out, T *__restrict__ grad_bias, int N, int OC, int area) {
    __shared__ T partial[THREADS];
    T sum = T(0);
    for (long long m = threadIdx.x; m < (long long)N * area; m += THREADS)  // [0, N * area)
        sum += grad_out[(m / area * OC + blockIdx.x) * area + m % area];
    partial[threadIdx.x] = sum;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) grad_bias[blockIdx.x] = partial[0];
}

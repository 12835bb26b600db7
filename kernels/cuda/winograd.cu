// 3 x 3 convolutions of stride 1 with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3). What it is and why
// it works: kernels/cpu/convolution/winograd.py, cook_toom.py; points and matrices are the same here. A tile is 4 x 4
// results, from 6 x 6 pixels. A pass is two launches:
//
//   spread     V (36, D, tiles) = B^T d B of each tile of each image, and U (36, D, I) = G g G^T of each filter
//   multiply   at each of the 36 places M = U^T V, a product over the D channels in tiles as those of product.cuh; the
//              last thread block of the 36 to arrive makes the results of their sums: y = A^T M A
//
// D is what is summed over, I the channels of the result: C and OC forward; OC and C for grad_x, whose filters are
// turned by 180 degrees.
//
// Operations  2 * 36 * I * D * tiles, beside 2 * 9 * 16 * I * D * tiles of conv.cu
// Bound by    arithmetic where D and I are large; V and M, 36 numbers for 16 pixels each, are written and read once
// Rounding    errors are of a tile's largest number. Unlike on the processor, an image in which a number stands out is
//             not worked out another way, and a NaN or an infinity reaches all results of the tiles that see it.

#include "tiles.cuh"
#include "divide.cuh"
#include "arrivals.cuh"
#include "product.cuh"

constexpr int PLACES = 36, DEEP = 8;

// The three small matrices times six, three and six numbers that lie `step` apart (cook_toom.py 4 3)
template <typename T>
__device__ void b_transposed(T *v, const T *d, int step) {
    const T d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    v[0] = d0 - T(1.5) * d1 - 2 * d2 + T(1.5) * d3 + d4;
    v[step] = -d1 + T(0.5) * d2 + T(2.5) * d3 + d4;
    v[2 * step] = -d1 + T(2.5) * d2 - T(0.5) * d3 - d4;
    v[3 * step] = 2 * d1 + d2 - 2 * d3 - d4;
    v[4 * step] = T(0.5) * d1 - d2 - T(0.5) * d3 + d4;
    v[5 * step] = d1 - T(1.5) * d2 - 2 * d3 + T(1.5) * d4 + d5;
}

template <typename T>
__device__ void g_matrix(T *u, const T *g, int step) {
    const T g0 = g[0], g1 = g[step], g2 = g[2 * step];
    u[0] = g0;
    u[step] = (g0 + g1 + g2) / 3;
    u[2 * step] = (g0 - g1 + g2) / 3;
    u[3 * step] = (16 * g0 + 8 * g1 + 4 * g2) / 15;
    u[4 * step] = (g0 - 2 * g1 + 4 * g2) / 15;
    u[5 * step] = g2;
}

template <typename T>
__device__ void a_transposed(T *y, const T *m, int step) {
    const T m1 = m[step], m2 = m[2 * step], m3 = m[3 * step], m4 = m[4 * step];
    y[0] = m[0] + m1 + m2 + m3 + m4;
    y[step] = m1 - m2 + T(0.5) * m3 - 2 * m4;
    y[2 * step] = m1 + m2 + T(0.25) * m3 + 4 * m4;
    y[3 * step] = m1 - m2 + T(0.125) * m3 - 8 * m4 + m[5 * step];
}

// Threads   one for each channel of each tile, and after those one for each channel of each filter; neighbours have
//           neighbouring tiles, or neighbouring results' channels
// Memory    what is written is coalesced. Pixels are read 16 bytes apart, six times from the same sectors, which the
//           first cache holds; so are weights, which are few. No shared memory, no barrier
// Launch    ceil(D * tiles / 256) thread blocks for images, then ceil(D * I / 256) for filters, or none if U is there
// x (N, D, H, W), weight (OC, CG, 3, 3); tiles = N * down * across; top, left: padding. turned: for grad_x
template <typename T>
__global__ void winograd_spread(const T *__restrict__ x, const T *__restrict__ weight, T *__restrict__ v,
                                T *__restrict__ u, int D, int I, int H, int W, Divisor tiles, Divisor of_image,
                                Divisor across, int top, int left, int image_blocks, bool turned) {
    T d[6][6], *to;
    long long apart;  // from one place's matrix to the next one's
    if (blockIdx.x < image_blocks) {
        int i = blockIdx.x * THREADS + threadIdx.x;  // [0, D * tiles)
        if (i >= D * tiles.number) return;
        int c = i / tiles, tile = i % tiles, n = tile / of_image, place = tile % of_image;
        int h = place / across * 4 - top, w = place % across * 4 - left;  // the tile's first pixel, maybe outside
        const T *channel = x + ((long long)n * D + c) * H * W;
#pragma unroll
        for (int r = 0; r < 6; r++)
#pragma unroll
            for (int s = 0; s < 6; s++) {
                bool inside = unsigned(h + r) < unsigned(H) && unsigned(w + s) < unsigned(W);
                d[r][s] = inside ? channel[(h + r) * W + w + s] : T(0);
            }
#pragma unroll
        for (int s = 0; s < 6; s++) b_transposed(&d[0][s], &d[0][s], 6);
#pragma unroll
        for (int r = 0; r < 6; r++) b_transposed(d[r], d[r], 1);
        to = v + i, apart = (long long)D * tiles.number;
    } else {
        int i = (blockIdx.x - image_blocks) * THREADS + threadIdx.x;  // [0, D * I)
        if (i >= D * I) return;
        int depth = i / I, column = i % I;
        const T *filter = weight + (turned ? (long long)depth * I + column : (long long)column * D + depth) * 9;
        T g[3][3], half[6][3];
#pragma unroll
        for (int e = 0; e < 9; e++) g[e / 3][e % 3] = filter[turned ? 8 - e : e];
#pragma unroll
        for (int s = 0; s < 3; s++) g_matrix(&half[0][s], &g[0][s], 3);
#pragma unroll
        for (int r = 0; r < 6; r++) g_matrix(d[r], half[r], 1);
        to = u + i, apart = (long long)D * I;
    }
#pragma unroll
    for (int place = 0; place < PLACES; place++) to[place * apart] = d[place / 6][place % 6];
}

// The product at one place, and perhaps the results.
//    Threads   block (16, 16), results as in product.cuh: rows are the result's channels, columns tiles
//    Memory    a warp fetches 32 neighbouring numbers of U and of V, and writes M 16 bytes a thread. Whoever makes the
//              results has one tile after the other, neighbours neighbouring tiles: M is read coalesced, 36 times,
//              mostly from the second cache, as the 36 thread blocks start together; y is written 16 bytes at a time
//    Launch    grid (36, tiles of the product along the columns, along the rows)
//    sums      M (tiles of the product, 36, rows, columns); arrived: a counter for each tile of the product
template <int R, int S, typename T>
__device__ void multiply(const T *u, const T *v, const T *bias, T *y, T *sums, unsigned *arrived, int D, int I, int OH,
                         int OW, Divisor tiles, Divisor of_image, Divisor across) {
    constexpr int ROWS = R * 64, COLUMNS = S * 64;
    int place = blockIdx.x, j0 = blockIdx.y * COLUMNS, i0 = blockIdx.z * ROWS;
    int thread = threadIdx.y * BLOCK_SIDE + threadIdx.x, J = tiles.number;
    T sum[R * 4][S * 4] = {};
    Matrix<T, DEEP, ROWS> filters(thread, u + (long long)place * D * I, i0, I, 1, 0, D, I);
    Matrix<T, DEEP, COLUMNS> images(thread, v + (long long)place * D * J, j0, J, 1, 0, D, J);
    multiply_tiles<DEEP, 1>(sum, filters, images, (D + DEEP - 1) / DEEP);
    int product = blockIdx.z * gridDim.y + blockIdx.y;
    T *m = sums + (long long)product * PLACES * (ROWS * COLUMNS);  // (36, ROWS, COLUMNS)
#pragma unroll
    for (int r = 0; r < R * 4; r++)
#pragma unroll
        for (int f = 0; f < S * 4; f += 4) {
            Four<T> four;
            for (int s = 0; s < 4; s++) four.at[s] = sum[r][f + s];
            *reinterpret_cast<Four<T> *>(&m[(place * ROWS + tile_row(r)) * COLUMNS + tile_column(f)]) = four;
        }
    if (!last_to_arrive(arrived + product, PLACES)) return;
    for (int e = thread; e < ROWS * COLUMNS; e += THREADS) {
        int i = i0 + e / COLUMNS, tile = j0 + e % COLUMNS;
        if (i >= I || tile >= J) continue;
        T half[4][6], of_tile[4][4];
#pragma unroll
        for (int s = 0; s < 6; s++) {
            T column[6], down[4];
#pragma unroll
            for (int r = 0; r < 6; r++) column[r] = m[(r * 6 + s) * (ROWS * COLUMNS) + e];
            a_transposed(down, column, 1);
#pragma unroll
            for (int r = 0; r < 4; r++) half[r][s] = down[r];
        }
        int n = tile / of_image, corner = tile % of_image, oh = corner / across * 4, ow = corner % across * 4;
        T extra = bias ? bias[i] : T(0), *to = y + (((long long)n * I + i) * OH + oh) * OW + ow;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            a_transposed(of_tile[r], half[r], 1);
            Four<T> four;
            for (int s = 0; s < 4; s++) four.at[s] = of_tile[r][s] + extra;
            if (oh + r >= OH) continue;
            if (OW % 4 == 0)  // rows of y begin at multiples of 16 bytes, and no tile reaches beyond their end
                *reinterpret_cast<Four<T> *>(&to[r * OW]) = four;
            else
#pragma unroll
                for (int s = 0; s < 4; s++)
                    if (ow + s < OW) to[r * OW + s] = four.at[s];
        }
    }
}

#define PRODUCT                                                                                                   \
    const T *__restrict__ u, const T *__restrict__ v, const T *__restrict__ bias, T *__restrict__ y, T *sums,      \
        unsigned *arrived, int D, int I, int OH, int OW, Divisor tiles, Divisor of_image, Divisor across

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) winograd_128x128(PRODUCT) {
    multiply<2, 2>(u, v, bias, y, sums, arrived, D, I, OH, OW, tiles, of_image, across);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) winograd_64x128(PRODUCT) {
    multiply<1, 2>(u, v, bias, y, sums, arrived, D, I, OH, OW, tiles, of_image, across);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT<T>) winograd_64x64(PRODUCT) {
    multiply<1, 1>(u, v, bias, y, sums, arrived, D, I, OH, OW, tiles, of_image, across);
}

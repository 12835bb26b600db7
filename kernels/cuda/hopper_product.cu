// Matrix products by the tensor cores of Hopper: the last rung of the ladder of tensor_cores.cu. bfloat16 in and out,
// sums in float, rounded once.
//
// T: bfloat16
// arch: sm_90a
//
// What changed: tiles are copied by TMA and multiplied by wgmma, straight from shared memory (hopper_pipeline.cuh). What
// it bought: no thread works out an address in the loop, and no factor passes through registers. Of the instructions of
// a consumer, for 64 of k: 4 wgmma, each 64 x 128 x 16 multiply-adds by 128 threads, where mma.sync needs 1/64 of that
// at a time and 6 registers of factors for each.
//
//    Memory    each tile is read once by its thread block: 2 * 16 KiB for 128 * 128 * 64 multiply-adds
//    Launch    grid ceil(I / TILE) * ceil(J / TILE), block THREADS, shared as in hopper.py. Neighbouring blocks have the
//              same rows of a, which they find in the cache
//    Bound by  arithmetic, where all three sizes are large; small ones leave most multiprocessors idle, for k is cut
//              into parts for sums only
//
// A tensor map has k as its fast axis if the factor lies in memory as (I, K), or (J, K), and as its slow axis if it is
// (K, I), or (K, J). What is multiplied beyond an edge is 0, which is what TMA brings from there.

#include "hopper_pipeline.cuh"

// A factor's tile: its 128 rows from `row` on, 64 of k from `k` on.
template <bool K_IS_SLOW>
__device__ void load_tile(unsigned char *shared, const TensorMap &map, Barrier &full, int row, int k) {
    if (K_IS_SLOW) {
        load_box(shared, map, full, row, k);
        load_box(shared + HALF_BYTES, map, full, row + 64, k);
    } else {
        load_box(shared, map, full, k, row);
    }
}

// The sums of the results from (row, column) on, over `tiles` of k from `first` on
template <bool A_SLOW, bool B_SLOW>
__device__ unsigned char *product(float (&sum)[64], const TensorMap &a, const TensorMap &b, int row, int column,
                                  int first, int tiles) {
    auto load = [&](const Stage &to, int tile) {
        load_tile<A_SLOW>(to.a, a, to.full, row, (first + tile) * DEPTH);
        load_tile<B_SLOW>(to.b, b, to.full, column, (first + tile) * DEPTH);
    };
    return pipeline<A_SLOW, B_SLOW>(sum, tiles, load);
}

// c (I, J) = a (I, K) @ b (J, K)^T + bias (J,): a layer's forward pass.
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    product_hopper(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                   const __grid_constant__ TensorMap c, const float *__restrict__ bias, int J, int K) {
    int across = (J + TILE - 1) / TILE;  // thread blocks
    int row = blockIdx.x / across * TILE, column = blockIdx.x % across * TILE;
    float sum[64];
    unsigned char *stages = product<false, false>(sum, a, b, row, column, 0, (K + DEPTH - 1) / DEPTH);
    store_rounded(sum, stages, c, bias, row, column, J);
}

// c (I, J) = a (I, K) @ b (K, J) + bias (J,): the gradient of its x.
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    product_hopper_b(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                     const __grid_constant__ TensorMap c, const float *__restrict__ bias, int J, int K) {
    int across = (J + TILE - 1) / TILE;
    int row = blockIdx.x / across * TILE, column = blockIdx.x % across * TILE;
    float sum[64];
    unsigned char *stages = product<false, true>(sum, a, b, row, column, 0, (K + DEPTH - 1) / DEPTH);
    store_rounded(sum, stages, c, bias, row, column, J);
}

// sums (splits, I, J) = a (K, I)^T @ b (K, J), not rounded, of `tiles` tiles of k each: the gradient of its weight, when
// they are added up (add_up of split.py).
//    Launch: grid (ceil(I / TILE) * ceil(J / TILE), splits)
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    product_hopper_sums(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                        float *__restrict__ sums, int I, int J, int K, int tiles) {
    int across = (J + TILE - 1) / TILE, first = blockIdx.y * tiles;
    int row = blockIdx.x / across * TILE, column = blockIdx.x % across * TILE;
    float sum[64];
    product<true, true>(sum, a, b, row, column, first, min(tiles, (K + DEPTH - 1) / DEPTH - first));
    store_sums(sum, sums + (long long)blockIdx.y * I * J, row, column, I, J);
}

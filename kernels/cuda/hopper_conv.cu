// Convolutions by the tensor cores of Hopper, as implicit matrix products over channels-last images: the pipeline of
// hopper_product.cu, with TMA's other mode, "im2col", for one of the two tiles. bfloat16 in and out, sums in float.
//
// T: bfloat16
// arch: sm_90a
//
// What changed against tensor_conv.cu: no thread knows where a window lies. TMA is told once, in the tensor map, where
// windows begin and end in an image and how far one is from the next; then a copy needs the first window's place and the
// tap, and brings the 64 channels which that tap sees in each of TILE consecutive windows, over the ends of rows and
// images, and zeros from the padding. It does for filters as well what the packing of channels did before: beyond the
// last one are zeros.
//
//    Memory    as a product whose k are (tap, channel), each tap's channels in tiles of 64: with few channels most of a
//              tile is zeros, and the time is that of 64
//    Launch    grid (tiles of the result, splits or 1), block THREADS, shared as in hopper.py
//    Bound by  arithmetic, where there are 64 channels and more

#include "divide.cuh"
#include "hopper_pipeline.cuh"

// Windows: step_h, step_w from one to the next, the first at (first_h, first_w); apart_h, apart_w between taps
#define WINDOWS int KW, Divisor OH_OW, Divisor OW, int step_h, int step_w, int first_h, int first_w, int apart_h, int apart_w

// y (N * OH * OW, OC) = the windows of x (N, H, W, C) @ weight (OC, KH * KW, C)^T + bias (OC,): the forward pass. And
// grad_x, where x is grad_out, weight has its two channel axes exchanged and its taps reversed (hopper_conv.py).
//    Launch: grid ceil(N * OH * OW / TILE) * ceil(OC / TILE); tiles = KH * KW * ceil(C / 64)
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    conv2d_hopper(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap weight,
                  const __grid_constant__ TensorMap y, const float *__restrict__ bias, int OC, int C, int tiles,
                  WINDOWS) {
    int across = (OC + TILE - 1) / TILE;  // thread blocks
    int row = blockIdx.x / across * TILE, column = blockIdx.x % across * TILE;
    int n = row / OH_OW, position = row % OH_OW;
    int h = first_h + position / OW * step_h, w = first_w + position % OW * step_w;
    int channel = 0, u = 0, v = 0;  // of the next tile: counted on with carries
    auto load = [&](const Stage &to, int) {
        load_windows(to.a, x, to.full, channel, w, h, n, v * apart_w, u * apart_h);
        load_box(to.b, weight, to.full, channel, u * KW + v, column);
        channel += DEPTH;
        if (channel < C) return;
        channel = 0;
        if (++v == KW) v = 0, u++;
    };
    float sum[64];
    unsigned char *stages = pipeline<false, false>(sum, tiles, load);
    store_rounded(sum, stages, y, bias, row, column, OC);
}

// sums (splits, OC, blocks * 64) = grad_out (N * OH * OW, OC)^T @ the windows of x, `tiles` of 64 positions in each
// split: grad_weight, when they are added up. A block of 64 columns has the channels from c * 64 on of a tap: blocks count
// (tap, c), with C_BLOCKS for each tap. k, the positions, is the slow axis of both factors.
//    Launch: grid (ceil(OC / TILE) * ceil(blocks / 2), splits)
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    conv2d_hopper_sums(const __grid_constant__ TensorMap grad_out, const __grid_constant__ TensorMap x,
                       float *__restrict__ sums, int OC, int blocks, int positions, int tiles, Divisor C_BLOCKS,
                       WINDOWS) {
    int across = (blocks + 1) / 2, first = blockIdx.y * tiles;
    int row = blockIdx.x / across * TILE, block = blockIdx.x % across * 2;  // block: the first of two
    auto load = [&](const Stage &to, int tile) {
        int place = (first + tile) * DEPTH, n = place / OH_OW, position = place % OH_OW;
        int h = first_h + position / OW * step_h, w = first_w + position % OW * step_w;
        for (int half = 0; half < 2; half++) {
            load_box(to.a + half * HALF_BYTES, grad_out, to.full, row + half * 64, place);
            int wanted = min(block + half, blocks - 1);  // beyond the last one nothing is stored
            int tap = wanted / C_BLOCKS, channel = wanted % C_BLOCKS * 64;
            load_windows(to.b + half * HALF_BYTES, x, to.full, channel, w, h, n, tap % KW * apart_w,
                         tap / KW * apart_h);
        }
    };
    float sum[64];
    pipeline<true, true>(sum, min(tiles, (positions + DEPTH - 1) / DEPTH - first), load);
    int columns = blocks * 64;
    store_sums(sum, sums + (long long)blockIdx.y * OC * columns, row, block * 64, OC, columns);
}

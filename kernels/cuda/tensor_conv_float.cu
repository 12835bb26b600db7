// The convolutions of tensor_conv.cu for float arrays whose factors are rounded on the way in: images (N, C, H, W) and
// filters are packed first (pack of tensor_cores.cu), channels-last and rounded to T. Results are float, in the usual
// order.
//
// T: tf32, float16

#include "arrivals.cuh"
#include "tensor_cores.cuh"
#include "tensor_pipeline.cuh"
#include "tensor_windows.cuh"

// A Geometry (tensor_windows.cuh), and its numbers.
#define GEOMETRY                                                                                           \
    int N, int groups, int OG, int CG, int channels, int filters, int x_pitch, int grad_pitch, int H, int W, \
        int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW
#define SIZES N, groups, OG, CG, channels, filters, x_pitch, grad_pitch, H, W, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW

// Results of a tile to y (N, groups * C, area), + bias: 8 lanes have neighbouring positions, whole sectors.
__device__ void store_planes(const Sums<128> &sum, Place place, const int4 *positions, const float *bias, float *y,
                             int groups, int C, int area) {
    sum.each([=](int row, int column, float first, float second) {
        Position p = Position::at(positions, row);
        int channel = place.column + column;  // [0, C), and beyond the edge
        float *to = y + (((long long)p.image * groups + place.group) * C + channel) * area + p.result;
        const float *of_channel = bias ? bias + place.group * C + channel : nullptr;
        if (p.image >= 0 && channel < C) to[0] = first + (bias ? of_channel[0] : 0.0f);
        if (p.image >= 0 && channel + 1 < C) to[area] = second + (bias ? of_channel[1] : 0.0f);
    });
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 1)
    conv2d_forward(const T *__restrict__ x, const T *__restrict__ weight, const float *__restrict__ bias,
                   float *__restrict__ y, float *parts, unsigned *arrivals, int length, int splits, GEOMETRY) {
    auto store = [=](const Sums<128> &sum, Place place, const int4 *positions) {
        store_planes(sum, place, positions, bias, y, groups, OG, OH * OW);
    };
    forward<T, 128>(x, weight, {SIZES}, {parts, arrivals, length, splits}, store);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 1)
    conv2d_grad_x(const T *__restrict__ grad_out, const T *__restrict__ weight, const float *__restrict__ bias,
                  float *__restrict__ grad_x, float *parts, unsigned *arrivals, int length, int splits, int every_u,
                  int every_v, GEOMETRY) {
    auto store = [=](const Sums<128> &sum, Place place, const int4 *positions) {
        store_planes(sum, place, positions, bias, grad_x, groups, CG, H * W);
    };
    Splits of_k = {parts, arrivals, length, splits};
    grad_of_images<T, 128>(grad_out, weight, {SIZES}, of_k, every_u, every_v, store);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 1)
    conv2d_grad_weight(const T *__restrict__ grad_out, const T *__restrict__ x, float *__restrict__ grad_weight,
                       float *parts, unsigned *arrivals, int length, int splits, GEOMETRY) {
    grad_of_filters<T, 128>(grad_out, x, grad_weight, {SIZES}, {parts, arrivals, length, splits});
}

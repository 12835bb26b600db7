// What pooling's kernels share: images in either order of memory, and which windows see a pixel.
//
// Images (N, C, H, W) are arrays (outer, H, W, inner): those in C order have outer = N * C and inner = 1, channels-last
// ones outer = N and inner = C. A thread works on V neighbours along the inner axis, which share their windows: on as many
// numbers as 16 bytes hold where these are whole vectors, else on one.

#include "bfloat16.cuh"
#include "divide.cuh"
#include "grid_stride.cuh"

struct Place {
    int outer, row, column, inner;
};

// Where the V numbers with number i lie in an array (outer, height, width, inner); `steps` is inner / V
template <int V>
__device__ Place place(int i, const Divisor &height, const Divisor &width, const Divisor &steps) {
    int pixel = i / steps, line = pixel / width, outer = line / height;
    return {outer, line - outer * height.number, pixel - line * width.number, (i - pixel * steps.number) * V};
}

// Outputs whose windows may see row h: o * stride - before <= h <= o * stride - before + (taps - 1) * dilation
struct Outputs {
    int first, last;
};

__device__ inline Outputs outputs_of(int h, int taps, const Divisor &stride, int before, int dilation, int outputs) {
    int from = h + before - (taps - 1) * dilation;  // where the last tap sees h
    return {from <= 0 ? 0 : (from + stride.number - 1) / stride, min(outputs - 1, (h + before) / stride)};
}

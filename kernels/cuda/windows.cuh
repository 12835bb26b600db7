// What pooling's kernels share: where a number lies, and which window sees it.

struct Place {
    long long plane;  // of N * C
    int row, column;
};

__device__ inline Place place(long long i, int height, int width) {
    return {i / width / height, int(i / width % height), int(i % width)};
}

// Tap u of which output sees row h? output(h, u) * S - P + u * D = h, or -1: none.
__device__ inline int output_of(int h, int u, int stride, int padding, int dilation, int outputs) {
    int start = h + padding - u * dilation;
    return start >= 0 && start % stride == 0 && start / stride < outputs ? start / stride : -1;
}

// Convolutions on tensor cores, as implicit matrix products over channels-last images: the pipeline of tensor_cores.cu,
// which explains it, with other copies.
//
// T: tf32, float16, bfloat16
//
// Images and filters are packed first (pack of tensor_cores.cu): rounded to T, channels the fastest axis, filled up
// with zeros to whole vectors of 16 bytes. Results are float, in the usual order. Operations: as in conv.cu.

#include "tensor_cores.cuh"
#include "tensor_pipeline.cuh"

// A thread's copies from packed images (N, groups, H, W, channels), as Matrix: the rows are output positions, and k
// counts (u, v, channel), the channels in vectors. Position p sees with tap u what lies at
// (p * stride + offset + u * step) / divide, if that is a whole number inside the image, or zeros.
template <typename T>
struct Windows {
    const T *images, *image[COPIES];  // image: of this thread's r-th position
    int top[COPIES], left[COPIES];    // (p * stride + offset) of it
    bool inside[COPIES];              // whether there is such a position
    int thread, u, v, channel;        // what it copies next: the tap, [0, KH) and [0, KW), and the first channel
    int channels, H, W, KH, KW, step_h, step_w, divide_h, divide_w;

    __device__ void copy(unsigned *tile) {
        for (int r = 0; r < COPIES; r++) {
            int h = top[r] + u * step_h, w = left[r] + v * step_w;
            bool there = inside[r] && u < KH && h >= 0 && w >= 0;  // u = KH: beyond the last tap
            if (divide_h > 1) there = there && h % divide_h == 0, h /= divide_h;
            if (divide_w > 1) there = there && w % divide_w == 0, w /= divide_w;
            there = there && h < H && w < W;
            const T *pixel = there ? image[r] + ((long long)h * W + w) * channels + channel : images;
            copy_async(tile + slot(thread / 4 + r * (THREADS / 4), thread % 4), pixel, there);
        }
        advance(4);
    }

    // On by so many vectors: the vector, v and u are three digits, counted on with carries.
    __device__ void advance(int vectors) {
        channel += vectors * 16 / int(sizeof(T));
        while (channel >= channels) {
            channel -= channels;
            if (++v == KW) v = 0, u++;
        }
    }
};

// y (N, groups * I, OH, OW) = weight (groups, I, KH, KW, channels) over the windows of x (N, groups, H, W, channels),
//    + bias: an implicit matrix product, rows the I filters of a group, columns the N * OH * OW positions.
//    The forward pass: stride = SH, SW, offset = -PT, -PL, step = DH, DW, divide = 1. And grad_x, where x is grad_out,
//    weight has its two channel axes exchanged, and y is grad_x: stride = 1, offset = PT, PL, step = -DH, -DW,
//    divide = SH, SW.
//    Launch: grid (ceil(N * OH * OW / TILE), ceil(I / TILE), groups), block THREADS
template <typename T>
__global__ void __launch_bounds__(THREADS, 1)
    conv2d(const T *__restrict__ x, const T *__restrict__ weight, const float *__restrict__ bias, float *__restrict__ y,
           int N, int I, int H, int W, int channels, int OH, int OW, int KH, int KW, int stride_h, int stride_w,
           int offset_h, int offset_w, int step_h, int step_w, int divide_h, int divide_w) {
    int group = blockIdx.z, groups = gridDim.z, area = OH * OW, K = KH * KW * channels;  // group: [0, groups)
    Matrix<T> filters(weight + (long long)group * I * K, blockIdx.y * TILE, I, K, 0, K);
    Windows<T> windows;
    windows.images = x;
    windows.thread = threadIdx.x;
    windows.u = windows.v = windows.channel = 0;
    windows.channels = channels, windows.H = H, windows.W = W, windows.KH = KH, windows.KW = KW;
    windows.step_h = step_h, windows.step_w = step_w, windows.divide_h = divide_h, windows.divide_w = divide_w;
    for (int r = 0; r < COPIES; r++) {
        // [0, N * area), and beyond the edge
        int position = blockIdx.x * TILE + threadIdx.x / 4 + r * (THREADS / 4), n = position / area;
        windows.inside[r] = n < N;
        windows.image[r] = x + (long long)(n * groups + group) * H * W * channels;
        windows.top[r] = position % area / OW * stride_h + offset_h;
        windows.left[r] = position % OW * stride_w + offset_w;
    }
    windows.advance(threadIdx.x % 4);  // 4 threads copy the 4 vectors of a row
    auto column = [=](int position) {
        return y + ((long long)(position / area) * groups + group) * I * area + position % area;
    };
    pipeline<T, false>(filters, windows, K * int(sizeof(T)) / 4, I, N * area, area, bias ? bias + group * I : nullptr,
                       nullptr, column);
}

// A thread's copies for grad_weight, whose k are the positions (n, oh, ow): of each tile, for each of COPIES positions,
// one vector of the channels of grad_out there, or of those that one tap sees from there.
template <typename T>
struct Positions {
    static constexpr int VECTORS = TILE * int(sizeof(T)) / 16, STEP = THREADS / VECTORS;
    const T *numbers;  // images (N, groups, H, W, channels)
    int channels, channel, first_image, groups, H, W, top, left, stride_h, stride_w, thread;
    int k, last_k, n, oh, ow, OH, OW;  // k: the position that it copies next, with its digits n, oh, ow
    bool inside;  // whether `channel` is in the factor

    __device__ void start(int first_k, int last) {
        thread = threadIdx.x;
        k = first_k + thread / VECTORS, last_k = last;
        n = k / (OH * OW), oh = k / OW % OH, ow = k % OW;
    }
    __device__ void copy(unsigned *tile) {
        for (int r = 0; r < COPIES; r++) {
            int h = top + oh * stride_h, w = left + ow * stride_w, row = thread / VECTORS + r * STEP;
            bool there = inside && k < last_k && h >= 0 && h < H && w >= 0 && w < W;
            long long pixel = ((long long)(n * groups + first_image) * H + h) * W + w;
            copy_async(reinterpret_cast<T *>(tile) + slow_slot<T>(row, thread % VECTORS * (TILE / VECTORS)),
                       numbers + (there ? pixel * channels + channel : 0), there);
            k += STEP, ow += STEP;  // on by STEP positions, with carries
            while (ow >= OW) {
                ow -= OW;
                if (++oh == OH) oh = 0, n++;
            }
        }
    }
};

// grad_weight: rows are a group's I filters, columns its weights (u, v, channel), k counts the N * OH * OW positions,
// cut into `splits` of `length`: sums (splits, groups * I, CG, KH, KW) is to be summed (sum_splits of conv.cu).
// Neighbouring numbers are of neighbouring channels here, in both factors, so k is the slow axis in shared memory too,
// and the 16-bit numbers are put together in twos when they are read.
//    Launch: grid (ceil(KH * KW * channels / TILE), ceil(I / TILE), groups * splits), block THREADS
template <typename T>
__global__ void __launch_bounds__(THREADS, 1)
    conv2d_grad_weight(const T *__restrict__ grad_out, const T *__restrict__ x, float *__restrict__ sums, int length,
                       int groups, int N, int I, int filters, int CG, int channels, int H, int W, int OH, int OW,
                       int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW) {
    int group = blockIdx.z % groups, split = blockIdx.z / groups, taps = KH * KW, J = taps * channels;
    int first = split * length, last = min(first + length, N * OH * OW);
    Positions<T> gradients, windows;
    int vector = threadIdx.x % gradients.VECTORS * (TILE / gradients.VECTORS);
    int o = blockIdx.y * TILE + vector, j = blockIdx.x * TILE + vector, tap = j / channels;
    gradients.numbers = grad_out, gradients.channels = filters, gradients.channel = o, gradients.inside = o < filters;
    gradients.H = OH, gradients.W = OW, gradients.top = gradients.left = 0;
    gradients.stride_h = gradients.stride_w = 1;
    windows.numbers = x, windows.channels = channels, windows.channel = j % channels, windows.inside = j < J;
    windows.H = H, windows.W = W, windows.top = tap / KW * DH - PT, windows.left = tap % KW * DW - PL;
    windows.stride_h = SH, windows.stride_w = SW;
    for (Positions<T> *each : {&gradients, &windows}) {
        each->groups = groups, each->first_image = group, each->OH = OH, each->OW = OW;
        each->start(first, last);
    }
    auto column = [=](int j) -> float * {
        int c = j % channels;
        if (c >= CG) return nullptr;  // a channel that only fills up the last vector
        return sums + ((long long)(split * groups + group) * I * CG + c) * taps + j / channels;
    };
    int words = ((last - first) * int(sizeof(T)) + 3) / 4;  // of 4 bytes, the last one perhaps half full
    pipeline<T, true>(gradients, windows, words, I, J, CG * taps, nullptr, nullptr, column);
}

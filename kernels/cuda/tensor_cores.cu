// Matrix products on tensor cores: factors of 11 or 8 binary digits, sums in float.
//
// T: tf32, float16, bfloat16
//
// A warp's instruction (tensor_cores.cuh) multiplies a 16 x 8 by an 8 x 8 fragment, counted in words of 4 bytes along
// k: 8 tf32 or 16 of the 16-bit numbers. So all three have the same kernels. What is left to do is to feed them:
//
//   kernel               fetched from global memory       read from shared memory   of one multiply-add, 2-byte numbers
//   product_naive        2/8 + 2/16 bytes, by the warp    -
//   product_pipelined    4/128 bytes, fetched ahead       4/64 bytes
//
// The factors are packed first: rounded to T, k the fastest axis, its rows filled up with zeros to whole vectors.

#include "arrivals.cuh"
#include "tensor_cores.cuh"
#include "tensor_pipeline.cuh"

// y (batches, rows, parts, pitch) in T, from numbers in any order: y[batch, row, part, column] = x[batch * batch_stride +
// row * row_stride + (part * columns + column) * column_stride], 0 for columns <= column < pitch. row_stride or
// column_stride is 1. The parts are the groups of an image's channels.
//    Threads   a thread block of 32 x 8 has 32 x 32 numbers, which go through shared memory: it reads along the axis
//              whose stride is 1 and writes along the columns, both coalesced
//    Barriers  two for each batch; the loop runs as often for every thread
//    Launch    grid (ceil(rows / 32), ceil(pitch / 32), batches * parts or fewer), block (32, 8)
//    Bound by  memory: 4 + sizeof(T) bytes for each number
template <typename T>
__global__ void pack(const float *__restrict__ x, T *__restrict__ y, int batches, int rows, int parts, int columns,
                     int pitch, long long batch_stride, long long row_stride, long long column_stride) {
    __shared__ float tile[32][32 + 1];
    int first_row = blockIdx.x * 32, first_column = blockIdx.y * 32;
    for (int piece = blockIdx.z; piece < batches * parts; piece += gridDim.z) {  // [0, batches * parts)
        int batch = piece / parts, part = piece % parts;
        const float *from = x + batch * batch_stride + part * columns * column_stride;
        for (int e = threadIdx.y; e < 32; e += 8) {                      // [0, 32)
            int r = column_stride == 1 ? e : threadIdx.x, c = column_stride == 1 ? threadIdx.x : e;
            int row = first_row + r, column = first_column + c;
            bool inside = row < rows && column < columns;
            tile[r][c] = inside ? from[row * row_stride + column * column_stride] : 0.0f;
        }
        __syncthreads();
        for (int e = threadIdx.y; e < 32; e += 8) {
            int row = first_row + e, column = first_column + threadIdx.x;
            if (row < rows && column < pitch)
                y[(((long long)batch * rows + row) * parts + part) * pitch + column] = rounded<T>(tile[e][threadIdx.x]);
        }
        __syncthreads();
    }
}

// 1. c (I, J) = a (I, pitch) @ b (J, pitch)^T + bias (J,). One warp for 16 x 8 results, its fragments straight from
//    global memory: each instruction waits for 6 fetches of 4 bytes a lane. pitch: a multiple of 8 words
//    Launch: grid (ceil(J / 8), ceil(I / 16)), block 32
template <typename T>
__global__ void product_naive(const T *__restrict__ a, const T *__restrict__ b, const float *__restrict__ bias,
                              float *__restrict__ c, int I, int J, int pitch) {
    int row = threadIdx.x / 4, word = threadIdx.x % 4;  // [0, 8), [0, 4)
    int i0 = blockIdx.y * 16 + row, j0 = blockIdx.x * 8 + row, words = pitch * int(sizeof(T)) / 4;
    const unsigned *words_a = reinterpret_cast<const unsigned *>(a), *words_b = reinterpret_cast<const unsigned *>(b);
    auto of_a = [=](int i, int k) { return i < I ? words_a[(long long)i * words + k] : 0; };
    auto of_b = [=](int j, int k) { return j < J ? words_b[(long long)j * words + k] : 0; };
    float sum[4] = {};
    for (int k0 = 0; k0 < words; k0 += 8) {  // an instruction takes 8 words
        int k = k0 + word;                   // of this lane's first column of fragments, [0, words)
        unsigned fragment_a[4] = {of_a(i0, k), of_a(i0 + 8, k), of_a(i0, k + 4), of_a(i0 + 8, k + 4)};
        unsigned fragment_b[2] = {of_b(j0, k), of_b(j0, k + 4)};
        multiply_add<T>(sum, fragment_a, fragment_b);
    }
    for (int r = 0; r < 4; r++) {
        int i = i0 + r / 2 * 8, j = blockIdx.x * 8 + 2 * word + r % 2;  // which of the results this lane holds
        if (i < I && j < J) c[(long long)i * J + j] = sum[r] + (bias ? bias[j] : 0.0f);
    }
}

// 2. What changed: a thread block's tiles go to shared memory by asynchronous copies of 16 bytes, STAGES tiles in
//    flight or in use, and a warp makes 32 instructions of 8 reads of ldmatrix, 4 words a lane each. What it bought: 1/12
//    of the bytes from global memory, in copies that no thread waits for: they have STAGES - 1 tiles' time to arrive.
//    k is cut into gridDim.z splits of `length`, which the last block to arrive adds up.
//    Launch: grid (ceil(J / 128), ceil(I / ROWS), splits), block THREADS, shared STAGES tiles
template <typename T>
__global__ void __launch_bounds__(THREADS, 1)
    product_pipelined(const T *__restrict__ a, const T *__restrict__ b, const float *__restrict__ bias,
                      float *__restrict__ c, float *parts, unsigned *arrivals, int I, int J, int pitch, int length) {
    int i0 = blockIdx.y * ROWS, j0 = blockIdx.x * 128, first = blockIdx.z * length, last = min(first + length, pitch);
    Matrix<T, ROWS> rows(a, i0, I, pitch, first, last);
    Matrix<T, 128> columns(b, j0, J, pitch, first, last);
    Sums<128> sum;
    pipeline<T, 128, false, false>(sum, rows, columns, tiles_of<T>(last - first));
    int before = (blockIdx.y * gridDim.x + blockIdx.x) * gridDim.z;  // splits of other tiles
    if (!add_splits(sum, parts + (long long)before * ROWS * 128, arrivals + before, blockIdx.z, gridDim.z)) return;
    sum.each([=](int row, int column, float first, float second) {
        int i = i0 + row, j = j0 + column;
        if (i >= I) return;
        float *to = c + (long long)i * J + j;
        if (j < J) to[0] = first + (bias ? bias[j] : 0.0f);
        if (j + 1 < J) to[1] = second + (bias ? bias[j + 1] : 0.0f);
    });
}

// Batch normalisation of x (N, C, inner), or of channels-last x: two kernels that sum over a channel, and two that work
// element by element. The ReLU behind it, and the sum with a residual, are done on the way (minicnn/ops/batchnorm.py).
//
// Threads   blocks of 256; block (i, part) has a part of channel i, or of some channels where x is channels-last
// Memory    vectors of 16 bytes where the addresses allow it; neighbouring threads have neighbouring ones. How often each
//           array crosses the bus (e: the bytes of one; in brackets, what a residual adds):
//                                    reads              writes             sum
//               statistics           x                                     1e
//               forward              x [residual]       y                  2e [3e]
//               grad_weight_bias     grad_out x [y]     [behind]           2e [4e]
//               grad_x               grad_out x         grad_x             3e
//           `behind` is the gradient behind the ReLU, which is the residual's: the third kernel leaves it for the fourth.
//           Without a residual both work out the sign of y again, from x
// Shared    of the two sums, what the threads of a block have come to: merging.cuh
// Order     fixed: parts are merged by the last block to arrive (arrivals.cuh), so that results repeat bit for bit
// Launch    grid (channels or groups of them, parts); a thread sees up to 32 vectors in a sum, up to 8 element by element
// Bound by  memory: 3 to 10 operations a number
//
// Statistics in one pass: a thread adds up the distances d from the first number that it sees, and d^2. So it knows the
// mean and the squared distances from it, of its own numbers, and these are merged, in float64. A large mean costs no
// digits, as it would in E[x^2] - E[x]^2, and neither does a number that is far from all others.
//
// T: float, double, bfloat16

#include "arrivals.cuh"
#include "bfloat16.cuh"
#include "divide.cuh"
#include "merging.cuh"
#include "running.cuh"
#include "sum.cuh"
#include "batchnorm.cuh"

// How x lies in memory (batchnorm.py):  channels  C;  count  the numbers of a channel;  inner  H * W, for planes
//    each     how many numbers of a channel a block takes: those from blockIdx.y * each on
//    columns  how many sums a block has side by side: 1 for planes
//    rows     whether x is channels-last;  vectors  whether all addresses are multiples of 16 bytes
#define PLACES int channels, int count, Divisor inner, int each, int columns, bool rows, bool vectors

// body(a Planes, or a Rows): the kernel for this memory
template <typename T, typename Body>
__device__ void in_places(PLACES, Body body) {
    constexpr int V = VECTOR<T>;
    if (rows && vectors)
        body(Rows<V>(channels, count, inner, each, columns));
    else if (rows)
        body(Rows<1>(channels, count, inner, each, columns));
    else if (vectors)
        body(Planes<V>(channels, count, inner, each, columns));
    else
        body(Planes<1>(channels, count, inner, each, columns));
}

// Mean and biased variance of the channels that a thread sees; true in those threads that have them.
template <typename T, typename At>
__device__ bool mean_and_variance(const T *x, At at, int count, int columns, wide<T> *parts, unsigned *arrivals,
                                  wide<T> (&mean)[At::CHANNELS], wide<T> (&var)[At::CHANNELS]) {
    using W = wide<T>;
    constexpr int V = At::WIDTH, K = At::CHANNELS;
    W pivot[V], sum[V] = {}, squares[V] = {}, values[V];
    int seen = 0;
    if (at.more()) {
        load(x + at.where(), pivot);
        for (at.next(), seen = 1; at.more(); at.next(), seen++) {
            load(x + at.where(), values);
            for (int v = 0; v < V; v++) {
                W d = values[v] - pivot[v];
                sum[v] += d;
                squares[v] += d * d;
            }
        }
    }
    Moments<double> found[K] = {};  // few are merged, so that float64 costs little: no digit is lost between them
    if (seen)
        for (int v = 0; v < V; v++) {
            double all = sum[v], rest = all / seen;  // the mean is that far from the pivot
            found[v % K].merge({double(seen), pivot[v] + rest, squares[v] - all * rest});
        }
    if (!merge_blocks(found, columns, reinterpret_cast<Moments<double> *>(parts), arrivals) || threadIdx.x >= columns)
        return false;
    for (int k = 0; k < K; k++) {
        mean[k] = W(found[k].mean);
        var[k] = count ? W(found[k].squares / count) : W(0);
    }
    return true;
}

// mean and inv_std of each channel; keep: 1 - momentum
template <typename T>
__global__ void batch_norm_statistics(const T *__restrict__ x, wide<T> *parts, unsigned *arrivals, wide<T> *mean,
                                      wide<T> *inv_std, wide<T> *running_mean, wide<T> *running_var, wide<T> momentum,
                                      wide<T> keep, wide<T> eps, PLACES) {
    in_places<T>(channels, count, inner, each, columns, rows, vectors, [&](auto at) {
        constexpr int K = decltype(at)::CHANNELS;
        wide<T> means[K], variances[K];
        if (!mean_and_variance(x, at, count, columns, parts, arrivals, means, variances)) return;
        for (int k = 0; k < K; k++)
            if (int c = at.channel + k; at.has(c))
                finish(c, means[k], variances[k], wide<T>(count), mean, inv_std, running_mean, running_var, momentum,
                       keep, eps);
    });
}

// moments (3, C): count, mean and biased variance of each channel
template <typename T>
__global__ void batch_norm_moments(const T *__restrict__ x, wide<T> *parts, unsigned *arrivals, wide<T> *moments,
                                   PLACES) {
    in_places<T>(channels, count, inner, each, columns, rows, vectors, [&](auto at) {
        constexpr int K = decltype(at)::CHANNELS;
        wide<T> means[K], variances[K];
        if (!mean_and_variance(x, at, count, columns, parts, arrivals, means, variances)) return;
        for (int k = 0; k < K; k++)
            if (int c = at.channel + k; at.has(c)) {
                moments[c] = count;
                moments[channels + c] = means[k];
                moments[2 * channels + c] = variances[k];
            }
    });
}

// y = weight * (x - mean) * inv_std + bias + residual, or max(that, 0); weight, bias, residual may be null pointers
template <typename T>
__global__ void batch_norm_forward(const T *__restrict__ x, const wide<T> *__restrict__ weight,
                                   const wide<T> *__restrict__ bias, const wide<T> *__restrict__ mean,
                                   const wide<T> *__restrict__ inv_std, const T *__restrict__ residual,
                                   T *__restrict__ y, bool relu, PLACES) {
    in_places<T>(channels, count, inner, each, columns, rows, vectors, [&](auto at) {
        constexpr int V = decltype(at)::WIDTH, K = decltype(at)::CHANNELS;
        Channel<wide<T>> of[K];
        for (int k = 0; k < K; k++)
            if (at.has(at.channel + k)) of[k].fetch(at.channel + k, mean, inv_std, weight, bias);
        for (; at.more(); at.next()) {
            wide<T> values[V], added[V] = {};
            load(x + at.where(), values);
            if (residual) load(residual + at.where(), added);
            for (int v = 0; v < V; v++) {
                wide<T> result = of[v % K].y(values[v]) + added[v];
                values[v] = relu && result < wide<T>(0) ? wide<T>(0) : result;  // NaN stays
            }
            store(y + at.where(), values);
        }
    });
}

// g, the gradient behind the ReLU, where there is one: grad_out where y > 0. `shown` are y's numbers or, without them, x's
template <typename W, int V, int K>
__device__ void behind_relu(W (&g)[V], const W (&x)[V], const W (&y)[V], bool has_y, bool relu, Channel<W> (&of)[K]) {
    for (int v = 0; v < V; v++)
        if (relu && (has_y ? y[v] : of[v % K].y(x[v])) <= W(0)) g[v] = W(0);
}

// grad_weight = sum of g * x_hat, grad_bias = sum of g, for each channel, where g is grad_out or, with relu, that behind
// the ReLU. With y, its sign is read, and g is left in `behind`; else it is worked out from x again
template <typename T>
__global__ void batch_norm_grad_weight_bias(const T *__restrict__ grad_out, const T *__restrict__ x,
                                            const T *__restrict__ y, const wide<T> *__restrict__ weight,
                                            const wide<T> *__restrict__ bias, const wide<T> *__restrict__ mean,
                                            const wide<T> *__restrict__ inv_std, T *__restrict__ behind, wide<T> *parts,
                                            unsigned *arrivals, wide<T> *grad_weight, wide<T> *grad_bias, bool relu,
                                            PLACES) {
    in_places<T>(channels, count, inner, each, columns, rows, vectors, [&](auto at) {
        using W = wide<T>;
        constexpr int V = decltype(at)::WIDTH, K = decltype(at)::CHANNELS;
        Channel<W> of[K];
        for (int k = 0; k < K; k++)
            if (at.has(at.channel + k)) of[k].fetch(at.channel + k, mean, inv_std, weight, bias);
        Sum<W> along[K], plain[K];
        for (; at.more(); at.next()) {
            W g[V], values[V], results[V];
            load(grad_out + at.where(), g);
            load(x + at.where(), values);
            if (y) load(y + at.where(), results);
            behind_relu(g, values, results, y, relu, of);
            if (behind) store(behind + at.where(), g);
            for (int v = 0; v < V; v++) {
                along[v % K].add(g[v] * (values[v] - of[v % K].mean));
                plain[v % K].add(g[v]);
            }
        }
        Sums<W> sums[K];
        for (int k = 0; k < K; k++) sums[k] = {along[k].total, plain[k].total};
        if (!merge_blocks(sums, columns, reinterpret_cast<Sums<W> *>(parts), arrivals) || threadIdx.x >= columns)
            return;
        for (int k = 0; k < K; k++)
            if (int c = at.channel + k; at.has(c)) {
                grad_weight[c] = sums[k].along * inv_std[c];
                grad_bias[c] = sums[k].plain;
            }
    });
}

// grad_x = weight * inv_std * (g - grad_bias / count - x_hat * grad_weight / count); evaluation, where mean and variance
// are constants, gives null pointers for grad_weight and grad_bias. g: as above; with relu, y's sign is worked out again
template <typename T>
__global__ void batch_norm_grad_x(const T *__restrict__ grad_out, const T *__restrict__ x,
                                  const wide<T> *__restrict__ weight, const wide<T> *__restrict__ bias,
                                  const wide<T> *__restrict__ mean, const wide<T> *__restrict__ inv_std,
                                  const wide<T> *__restrict__ grad_weight, const wide<T> *__restrict__ grad_bias,
                                  T *__restrict__ grad_x, bool relu, PLACES) {
    in_places<T>(channels, count, inner, each, columns, rows, vectors, [&](auto at) {
        using W = wide<T>;
        constexpr int V = decltype(at)::WIDTH, K = decltype(at)::CHANNELS;
        Channel<W> of[K];
        W along[K] = {}, plain[K] = {};
        for (int k = 0; k < K; k++)
            if (int c = at.channel + k; at.has(c)) {
                of[k].fetch(c, mean, inv_std, weight, bias);
                if (grad_weight) along[k] = inv_std[c] * grad_weight[c] / W(count), plain[k] = grad_bias[c] / W(count);
            }
        for (; at.more(); at.next()) {
            W g[V], values[V] = {};
            load(grad_out + at.where(), g);
            if (grad_weight || relu) load(x + at.where(), values);
            behind_relu(g, values, values, false, relu, of);
            for (int v = 0; v < V; v++) {
                if (grad_weight) g[v] -= plain[v % K] + (values[v] - of[v % K].mean) * along[v % K];
                g[v] *= of[v % K].scale;
            }
            store(grad_x + at.where(), g);
        }
    });
}

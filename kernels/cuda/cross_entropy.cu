// Cross-entropy of scores x (N, C, inner) and target (N, inner).
//
//    logp[c] = x[c] - log sum of e^x                                   as in softmax.cu
//    p[c] = (1 - smoothing) * w_t * [c = t] + smoothing / C * w_c      the weight of class c's -logp, 0 for an ignored
//                                                                      target
//    forward   loss = -sum of p[c] * logp[c],  counted = w_t, 0 for an ignored target
//    backward  grad_x[c] = grad_loss / divisor * (sum of p * e^logp[c] - p[c])
//
// A label t out of range makes its loss NaN, and the lowest of them is left in `wrong` for the host to find.
//
// Threads   a warp for each of the N * inner targets where inner = 1, else a thread for each (rows.cuh). The losses, and
//           what they count, are summed: by a lane over its targets, by shuffles over a warp, over the warps of a block
//           in shared memory, over blocks by the last one to arrive (arrivals.cuh). Always in the same order
// Memory    coalesced
// Launch    thread blocks of 256, as many as targets need, forward at most 1024
// Bound by  memory: forward x is read and logp written once (the maximum and the sum read x from a cache), backward
//           logp is read and grad_x written once, for about 10 operations
//
// T: float, double, bfloat16

#include "arrivals.cuh"
#include "rows.cuh"

// What is asked of one target: p[c] is `each`, `at_label` more for the label, times the class's weight
template <typename T>
struct Wanted {
    long long label;
    bool ignored, known;
    T each, at_label;

    __device__ Wanted(long long label, long long ignore_index, int C, T smoothing)
        : label(label), ignored(label == ignore_index), known(label >= 0 && label < C),
          each(ignored ? T(0) : smoothing / C), at_label(ignored ? T(0) : T(1) - smoothing) {}

    __device__ T of_class(int c, const T *weight) const {
        return (c == label ? each + at_label : each) * (weight ? weight[c] : T(1));
    }

    __device__ T counted(const T *weight) const {
        return ignored || !known ? T(0) : weight ? weight[label] : T(1);
    }
};

// The sum of every thread's value, for thread 0; `of_warp` has a place for each warp
template <typename T>
__device__ T block_total(T value, T *of_warp) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    T total = T(0);
    for (int warp = 0; warp < blockDim.x / 32; warp++) total += of_warp[warp];
    return total;
}

// sums: the losses of a thread's targets, and what they count; of a target that lanes share, the first one has them
template <int LANES, typename T>
__device__ void losses(const T *x, const long long *target, const wide<T> *weight, wide<T> *logp, wide<T> *loss,
                       long long *wrong, long long targets, int C, long long inner, long long ignore_index,
                       wide<T> smoothing, Sum<wide<T>> *sums) {
    using W = wide<T>;
    ROWS_LOOP(LANES, n, targets) {  // [0, N * inner)
        long long first = first_of(n, C, inner);
        Wanted<W> wanted(target[n], ignore_index, C, smoothing);
        W largest, log_sum = log(largest_and_sum<LANES>(x, first, C, inner, largest));
        Sum<W> of_target;
        CLASSES_LOOP(LANES, c, C) {
            W value = x[first + c * inner] - largest - log_sum, p = wanted.of_class(c, weight);
            logp[first + c * inner] = value;
            if (p != W(0)) of_target.add(-p * value);  // 0 times minus infinity would be NaN
        }
        W sum = sum_of_lanes<LANES>(of_target.total);
        if (threadIdx.x % LANES != 0) continue;  // the first lane writes for its target
        if (!wanted.ignored && !wanted.known) {
            atomicMin(wrong, wanted.label);
            sum = W(__int_as_float(0x7fc00000));
        }
        if (loss) loss[n] = sum;
        sums[0].add(sum);
        sums[1].add(wanted.counted(weight));
    }
}

// total = the sum of all losses / divisor; divisor = count, or where that is 0 what all targets count. `loss` of each
// target: or null. partial (2, blocks of the grid): each block's losses, and what they count
template <typename T>
__global__ void cross_entropy_forward(const T *__restrict__ x, const long long *__restrict__ target,
                                      const wide<T> *__restrict__ weight, wide<T> *__restrict__ logp,
                                      wide<T> *__restrict__ loss, wide<T> *partial, unsigned *arrivals,
                                      wide<T> *__restrict__ total, wide<T> *__restrict__ divisor,
                                      long long *__restrict__ wrong, long long targets, int C, long long inner,
                                      long long ignore_index, wide<T> smoothing, wide<T> count) {
    using W = wide<T>;
    __shared__ W of_warp[2][32];
    Sum<W> sums[2];
    if (inner == 1)
        losses<32>(x, target, weight, logp, loss, wrong, targets, C, inner, ignore_index, smoothing, sums);
    else
        losses<1>(x, target, weight, logp, loss, wrong, targets, C, inner, ignore_index, smoothing, sums);
    for (int i = 0; i < 2; i++) {  // every thread is here, with targets or without
        W of_block = block_total(sums[i].total, of_warp[i]);
        if (threadIdx.x == 0) partial[i * gridDim.x + blockIdx.x] = of_block;
    }
    if (!last_to_arrive(arrivals, gridDim.x)) return;
    W totals[2];
    for (int i = 0; i < 2; i++) {
        Sum<W> sum;
        for (int part = threadIdx.x; part < gridDim.x; part += blockDim.x) sum.add(partial[i * gridDim.x + part]);
        totals[i] = block_total(sum.total, of_warp[i]);
    }
    if (threadIdx.x != 0) return;
    divisor[0] = count > W(0) ? count : totals[1];
    total[0] = totals[0] / divisor[0];
}

template <int LANES, typename T>
__device__ void gradients(const wide<T> *grad_loss, long long grad_stride, wide<T> divisor, const wide<T> *logp,
                          const long long *target, const wide<T> *weight, T *grad_x, long long targets, int C, long long inner,
                          long long ignore_index, wide<T> smoothing) {
    using W = wide<T>;
    ROWS_LOOP(LANES, n, targets) {
        long long first = first_of(n, C, inner);
        Wanted<W> wanted(target[n], ignore_index, C, smoothing);
        Sum<W> weights;
        CLASSES_LOOP(LANES, c, C) weights.add(wanted.of_class(c, weight));
        W total = sum_of_lanes<LANES>(weights.total), upstream = grad_loss[n * grad_stride] / divisor;
        CLASSES_LOOP(LANES, c, C) {
            long long i = first + c * inner;
            grad_x[i] = T(upstream * (total * exp(logp[i]) - wanted.of_class(c, weight)));
        }
    }
}

// grad_loss has one number for each target, or one for all (grad_stride 0); divisor is one, or null: 1
template <typename T>
__global__ void cross_entropy_backward(const wide<T> *__restrict__ grad_loss, long long grad_stride,
                                       const wide<T> *__restrict__ divisor, const wide<T> *__restrict__ logp,
                                       const long long *__restrict__ target, const wide<T> *__restrict__ weight,
                                       T *__restrict__ grad_x, long long targets, int C, long long inner,
                                       long long ignore_index, wide<T> smoothing) {
    using W = wide<T>;
    W by = divisor ? divisor[0] : W(1);
    if (inner == 1)
        gradients<32>(grad_loss, grad_stride, by, logp, target, weight, grad_x, targets, C, inner, ignore_index,
                      smoothing);
    else
        gradients<1>(grad_loss, grad_stride, by, logp, target, weight, grad_x, targets, C, inner, ignore_index,
                     smoothing);
}

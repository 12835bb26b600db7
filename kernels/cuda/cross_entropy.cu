// Cross-entropy of logp (N, C, inner), the logarithms of the probabilities (softmax.cu), and target (N, inner).
//
//    p[c] = (1 - smoothing) * w_t * [c = t] + smoothing / C * w_c      the weight of class c's -logp, 0 for an ignored
//                                                                      target
//    forward   loss = -sum of p[c] * logp[c],  counted = w_t, 0 for an ignored target
//    backward  grad_x[c] = grad_loss * (sum of p * e^logp[c] - p[c])
//
// A label t out of range makes its loss NaN, and the lowest of them is left in `wrong` for the host to find.
//
// Threads   a warp for each of the N * inner targets; its lanes take classes lane, lane + 32, ..., and shuffles add up:
//           no shared memory, no barrier
// Memory    coalesced where inner = 1; otherwise neighbouring lanes read `inner` apart
// Launch    thread blocks of 256, ceil(targets / 8) of them; a warp without a target leaves as a whole
// Bound by  memory: logp is read once and grad_x written once, for about 5 operations

#include "sum.cuh"

// p[c]
template <typename T>
__device__ T class_weight(int c, long long target, const T *weight, int C, bool ignored, T smoothing) {
    if (ignored) return T(0);
    T p = smoothing / C * (weight ? weight[c] : T(1));
    if (c == target) p += (T(1) - smoothing) * (weight ? weight[c] : T(1));
    return p;
}

template <typename T>
__global__ void cross_entropy_forward(const T *__restrict__ logp, const long long *__restrict__ target,
                                      const T *__restrict__ weight, T *__restrict__ loss, T *__restrict__ counted,
                                      long long *__restrict__ wrong, long long targets, int C, long long inner,
                                      long long ignore_index, T smoothing) {
    long long n = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;  // [0, targets)
    if (n >= targets) return;
    long long first = n / inner * C * inner + n % inner, label = target[n];  // first: where the target's class 0 lies
    bool ignored = label == ignore_index, known = label >= 0 && label < C;
    Sum<T> losses;
    for (int c = threadIdx.x % 32; c < C; c += 32) {  // [0, C)
        T p = class_weight(c, label, weight, C, ignored, smoothing);
        if (p != T(0)) losses.add(-p * logp[first + c * inner]);  // 0 times minus infinity would be NaN
    }
    T sum = warp_sum(losses.total);
    if (threadIdx.x % 32 != 0) return;  // the first lane writes for its warp
    if (!ignored && !known) atomicMin(wrong, label);
    loss[n] = ignored || known ? sum : T(__int_as_float(0x7fc00000));
    counted[n] = ignored || !known ? T(0) : weight ? weight[label] : T(1);
}

// grad_loss has one number for each target, or one for all (grad_stride 0)
template <typename T>
__global__ void cross_entropy_backward(const T *__restrict__ grad_loss, long long grad_stride,
                                       const T *__restrict__ logp, const long long *__restrict__ target,
                                       const T *__restrict__ weight, T *__restrict__ grad_x, long long targets, int C,
                                       long long inner, long long ignore_index, T smoothing) {
    long long n = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;  // [0, targets)
    if (n >= targets) return;
    long long first = n / inner * C * inner + n % inner, label = target[n];
    bool ignored = label == ignore_index;
    Sum<T> weights;
    for (int c = threadIdx.x % 32; c < C; c += 32) weights.add(class_weight(c, label, weight, C, ignored, smoothing));
    T total = warp_sum(weights.total);
    for (int c = threadIdx.x % 32; c < C; c += 32) {
        long long i = first + c * inner;
        T p = class_weight(c, label, weight, C, ignored, smoothing);
        grad_x[i] = grad_loss[n * grad_stride] * (total * exp(logp[i]) - p);
    }
}

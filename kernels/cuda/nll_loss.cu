// Negative log-likelihood of x (N, C, inner), logarithms of probabilities, and target (N, inner).
//
//    forward   loss = -w_t * x[t],  counted = w_t, 0 for an ignored target
//    backward  grad_x[c] = -grad_loss * w_t where c is the label t, else 0
//
// A label t out of range makes its loss NaN, and the lowest of them is left in `wrong` for the host to find.
//
// Threads   forward one for each target, backward one for each of x's elements, in grid-stride loops
// Memory    forward: of x, one number for each target, somewhere; backward: every write is coalesced, and neighbours read
//           the same label, or neighbouring ones
// Launch    thread blocks of 256, as many as there are elements / 256
// Bound by  memory: backward writes grad_x once

#include "grid_stride.cuh"

template <typename T>
__global__ void nll_loss_forward(const T *__restrict__ x, const long long *__restrict__ target,
                                 const T *__restrict__ weight, T *__restrict__ loss, T *__restrict__ counted,
                                 long long *__restrict__ wrong, long long targets, int C, long long inner,
                                 long long ignore_index) {
    GRID_STRIDE_LOOP(t, targets) {  // [0, N * inner)
        long long label = target[t];
        T value = T(0), w = T(0);
        if (label != ignore_index) {
            if (label >= 0 && label < C) {
                w = weight ? weight[label] : T(1);
                if (w != T(0)) value = -w * x[(t / inner * C + label) * inner + t % inner];  // 0 times -inf would be NaN
            } else {
                value = T(__int_as_float(0x7fc00000));
                atomicMin(wrong, label);
            }
        }
        loss[t] = value;
        counted[t] = w;
    }
}

// grad_loss has one number for each target, or one for all (grad_stride 0)
template <typename T>
__global__ void nll_loss_backward(const T *__restrict__ grad_loss, long long grad_stride,
                                  const long long *__restrict__ target, const T *__restrict__ weight,
                                  T *__restrict__ grad_x, int C, long long inner, long long size,
                                  long long ignore_index) {
    GRID_STRIDE_LOOP(i, size) {  // [0, N * C * inner)
        long long row = i / inner, c = row % C, t = row / C * inner + i % inner;  // [0, N * C), [0, C), [0, N * inner)
        T grad = T(0);
        if (c == target[t] && c != ignore_index) {
            T w = weight ? weight[c] : T(1);
            if (w != T(0)) grad = -grad_loss[t * grad_stride] * w;
        }
        grad_x[i] = grad;
    }
}

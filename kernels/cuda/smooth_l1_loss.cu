// Smooth L1 loss, forward and backward: element by element.
//
// Threads   forward one for 16 bytes (elementwise.cuh), backward one for every element, in grid-stride loops
// Memory    neighbouring threads touch neighbouring elements: every access is coalesced; no shared memory, no barrier
// Launch    thread blocks of 256
// Bound by  memory: 2 or 3 reads and a write an element, for a few operations

#include "elementwise.cuh"

// l = d^2 / (2 * beta) near the target, |d| - beta / 2 beyond
template <typename T>
__global__ void smooth_l1_loss_forward(const T *__restrict__ x, const T *__restrict__ target, T *__restrict__ y,
                                       long long size, T beta) {
    elementwise(x, target, y, size, [=](T value, T wanted) {
        T difference = value - wanted, distance = difference < T(0) ? -difference : difference;
        return distance < beta ? T(0.5) * distance * distance / beta : distance - T(0.5) * beta;
    });
}

// grad_x; grad_loss has one number for each element, or one for all (grad_stride 0)
template <typename T>
__global__ void smooth_l1_loss_backward(const T *__restrict__ grad_loss, long long grad_stride,
                                        const T *__restrict__ x, const T *__restrict__ target, T *__restrict__ grad_x,
                                        long long size, T beta) {
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T slope = x[i] - target[i];  // which it stays where that is 0 or NaN
        if (slope < beta && slope > -beta)
            slope /= beta;
        else if (slope > T(0))
            slope = T(1);
        else if (slope < T(0))
            slope = T(-1);
        grad_x[i] = slope * grad_loss[i * grad_stride];
    }
}

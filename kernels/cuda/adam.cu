// Adam and AdamW: one launch for all parameters, one pass over each, from a table of addresses (table.py; sgd.cu says
// why).
//
//    tensors[t] = addresses of w, grad, exp_avg, exp_avg_sq, max_exp_avg_sq (0: no amsgrad), number of weights
//    loss = null, or the loss: where it is not finite, nothing is changed
//    numbers[t] = decay, remains, beta1, new1, beta2, new2, rate, eps (kernels/adam_numbers.py)
//
// Threads   row t of the grid has parameter t: one thread for each weight, in a grid-stride loop
// Memory    coalesced: 4 reads (w, grad, exp_avg, exp_avg_sq) and 3 writes a weight, one more of each with amsgrad; no
//           shared memory, no barrier
// Launch    thread blocks of 256; as many in a row as the largest parameter asks for, but no more than keep a GPU busy
// Bound by  memory: about 14 operations for 7 * sizeof(T) bytes
//
//    g = grad + decay * w;   m = beta1 * m + new1 * g;   v = beta2 * v + new2 * g * g
//    w = remains * w - rate * m / (sqrt(v) + eps)

#include "grid_stride.cuh"

template <typename T>
__global__ void adam_update(const unsigned long long *__restrict__ tensors, const T *__restrict__ numbers,
                            const T *__restrict__ loss) {
    if (loss && !isfinite(*loss)) return;  // the gradients are worth nothing; the host will learn of it
    int t = blockIdx.y;  // [0, parameters)
    T *w = reinterpret_cast<T *>(tensors[6 * t]);
    const T *grad = reinterpret_cast<const T *>(tensors[6 * t + 1]);
    T *exp_avg = reinterpret_cast<T *>(tensors[6 * t + 2]);
    T *exp_avg_sq = reinterpret_cast<T *>(tensors[6 * t + 3]);
    T *largest = reinterpret_cast<T *>(tensors[6 * t + 4]);
    long long size = tensors[6 * t + 5];
    T decay = numbers[8 * t], remains = numbers[8 * t + 1];
    T beta1 = numbers[8 * t + 2], new1 = numbers[8 * t + 3], beta2 = numbers[8 * t + 4], new2 = numbers[8 * t + 5];
    T rate = numbers[8 * t + 6], eps = numbers[8 * t + 7];
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T g = decay == T(0) ? grad[i] : grad[i] + decay * w[i];
        T m = beta1 * exp_avg[i] + new1 * g;
        T v = beta2 * exp_avg_sq[i] + new2 * g * g;
        exp_avg[i] = m;
        exp_avg_sq[i] = v;
        if (largest) {
            if (!(v <= largest[i])) largest[i] = v;  // NaN goes into it, too
            v = largest[i];
        }
        w[i] = remains * w[i] - rate * m / (sqrt(v) + eps);
    }
}

// Stochastic gradient descent with momentum: one launch for all parameters, one pass over each.
//
// A network has hundreds of parameters, most of them small: a launch for each would take longer than the work. So the
// kernel is given no arrays but a table of their addresses.
//
//    tensors[t] = addresses of w, grad, velocity (0: no momentum), number of weights
//    loss = null, or the loss: where it is not finite, nothing is changed
//    settings[t] = lr, momentum, dampening, weight_decay, nesterov (0 or 1)
//
// Threads   row t of the grid has parameter t: one thread for each weight, in a grid-stride loop
// Memory    coalesced: 3 reads (w, grad, velocity) and 2 writes (w, velocity) a weight; no shared memory, no barrier
// Launch    thread blocks of 256; as many in a row as the largest parameter asks for, but no more than keep a GPU busy:
//           the rows of small parameters are mostly thread blocks that leave at once
// Bound by  memory: about 8 operations for 5 * sizeof(T) bytes
//
//    d = grad + weight_decay * w;   v = momentum * v + (1 - dampening) * d;   w -= lr * v, or lr * (d + momentum * v)

#include "grid_stride.cuh"

template <typename T>
__global__ void sgd_update(const unsigned long long *__restrict__ tensors, const T *__restrict__ settings,
                           const T *__restrict__ loss) {
    if (loss && !isfinite(*loss)) return;  // the gradients are worth nothing; the host will learn of it
    int t = blockIdx.y;  // [0, parameters)
    T *w = reinterpret_cast<T *>(tensors[4 * t]);
    const T *grad = reinterpret_cast<const T *>(tensors[4 * t + 1]);
    T *velocity = reinterpret_cast<T *>(tensors[4 * t + 2]);
    long long size = tensors[4 * t + 3];
    T lr = settings[5 * t], momentum = settings[5 * t + 1], dampening = settings[5 * t + 2];
    T weight_decay = settings[5 * t + 3];
    bool nesterov = settings[5 * t + 4] != T(0);
    GRID_STRIDE_LOOP(i, size) {  // [0, size)
        T d = weight_decay == T(0) ? grad[i] : grad[i] + weight_decay * w[i];
        if (velocity) {
            T v = momentum * velocity[i] + (T(1) - dampening) * d;
            velocity[i] = v;
            d = nesterov ? d + momentum * v : v;
        }
        w[i] -= lr * d;
    }
}

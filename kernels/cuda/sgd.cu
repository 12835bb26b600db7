// Stochastic gradient descent with momentum: one pass over a parameter does the whole update.
//
// Threads   one for each weight, in a grid-stride loop
// Memory    coalesced: 3 reads (w, grad, velocity) and 2 writes (w, velocity) a weight; no shared memory, no barrier
// Launch    blocks of 256, ceil(size / 256) of them
// Bound by  memory: about 8 operations for 5 * sizeof(T) bytes
//
//    d = grad + weight_decay * w;   v = momentum * v + (1 - dampening) * d;   w -= lr * v, or lr * (d + momentum * v)
// velocity is a null pointer where there is no momentum: w -= lr * d
template <typename T>
__global__ void sgd_update(T *__restrict__ w, const T *__restrict__ grad, T *__restrict__ velocity, long long size,
                           T lr, T momentum, T dampening, T weight_decay, bool nesterov) {
    long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {  // [0, size)
        T d = weight_decay == T(0) ? grad[i] : grad[i] + weight_decay * w[i];
        if (velocity) {
            T v = momentum * velocity[i] + (T(1) - dampening) * d;
            velocity[i] = v;
            d = nesterov ? d + momentum * v : v;
        }
        w[i] -= lr * d;
    }
}

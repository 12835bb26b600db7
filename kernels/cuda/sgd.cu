// Stochastic gradient descent with momentum: one launch for all parameters, one pass over each, from tables (chunks.cuh).
//
//    tensors[t] = addresses of w, grad, velocity (0: no momentum), number of weights
//    loss = null, or the loss: where it is not finite, nothing is changed
//    settings[t] = lr, momentum, dampening, weight_decay, nesterov (0 or 1)
//
// Threads   a thread block for each chunk of 8192 weights of a parameter; a thread takes 16 bytes of each array at a time
// Memory    coalesced: 3 reads (w, grad, velocity) and 2 writes (w, velocity) a weight; no shared memory, no barrier
// Launch    as many thread blocks of 256 as there are chunks
// Bound by  memory: about 8 operations for 5 * sizeof(T) bytes
//
//    d = grad + weight_decay * w;   v = momentum * v + (1 - dampening) * d;   w -= lr * v, or lr * (d + momentum * v)

#include "bfloat16.cuh"
#include "chunks.cuh"

template <typename T>
__global__ void sgd_update(const unsigned long long *__restrict__ tensors, const unsigned *__restrict__ chunks,
                           const T *__restrict__ settings, const T *__restrict__ loss) {
    if (loss && !isfinite(*loss)) return;  // the gradients are worth nothing; the host will learn of it
    Chunk chunk(chunks, tensors, 4);
    T *ws = chunk.of<T>(tensors, 4, 0), *grads = chunk.of<T>(tensors, 4, 1), *velocities = chunk.of<T>(tensors, 4, 2);
    int t = chunk.t;
    T lr = settings[5 * t], momentum = settings[5 * t + 1], dampening = settings[5 * t + 2];
    T weight_decay = settings[5 * t + 3];
    bool nesterov = settings[5 * t + 4] != T(0);
    over_chunk<T>(chunk.count, aligned(ws, grads, velocities), [&](int i, auto width) {
        constexpr int V = decltype(width)::value;
        T w[V], grad[V], velocity[V];
        load(ws + i, w);
        load(grads + i, grad);
        if (velocities) load(velocities + i, velocity);
        for (int v = 0; v < V; v++) {
            T d = weight_decay == T(0) ? grad[v] : grad[v] + weight_decay * w[v];
            if (velocities) {
                velocity[v] = momentum * velocity[v] + (T(1) - dampening) * d;
                d = nesterov ? d + momentum * velocity[v] : velocity[v];
            }
            w[v] -= lr * d;
        }
        if (velocities) store(velocities + i, velocity);
        store(ws + i, w);
    });
}

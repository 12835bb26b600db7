// Adam and AdamW: one launch for all parameters, one pass over each, from tables (chunks.cuh).
//
//    tensors[t] = addresses of w, grad, exp_avg, exp_avg_sq, max_exp_avg_sq (0: no amsgrad), number of weights
//    loss = null, or the loss: where it is not finite, nothing is changed
//    numbers[t] = decay, remains, beta1, new1, beta2, new2, rate, eps (kernels/adam_numbers.py)
//
// Threads   a thread block for each chunk of 8192 weights of a parameter; a thread takes 16 bytes of each array at a time
// Memory    coalesced: 4 reads (w, grad, exp_avg, exp_avg_sq) and 3 writes a weight, one more of each with amsgrad; no
//           shared memory, no barrier
// Launch    as many thread blocks of 256 as there are chunks
// Bound by  memory: about 14 operations for 7 * sizeof(T) bytes
//
//    g = grad + decay * w;   m = beta1 * m + new1 * g;   v = beta2 * v + new2 * g * g
//    w = remains * w - rate * m / (sqrt(v) + eps)

#include "bfloat16.cuh"
#include "chunks.cuh"

template <typename T>
__global__ void adam_update(const unsigned long long *__restrict__ tensors, const unsigned *__restrict__ chunks,
                            const T *__restrict__ numbers, const T *__restrict__ loss) {
    if (loss && !isfinite(*loss)) return;  // the gradients are worth nothing; the host will learn of it
    Chunk chunk(chunks, tensors, 6);
    T *ws = chunk.of<T>(tensors, 6, 0), *grads = chunk.of<T>(tensors, 6, 1), *exp_avgs = chunk.of<T>(tensors, 6, 2);
    T *exp_avg_sqs = chunk.of<T>(tensors, 6, 3), *largests = chunk.of<T>(tensors, 6, 4);
    const T *own = numbers + 8 * chunk.t;
    T decay = own[0], remains = own[1], beta1 = own[2], new1 = own[3], beta2 = own[4], new2 = own[5];
    T rate = own[6], eps = own[7];
    over_chunk<T>(chunk.count, aligned(ws, grads, exp_avgs, exp_avg_sqs, largests), [&](int i, auto width) {
        constexpr int V = decltype(width)::value;
        T w[V], grad[V], m[V], squares[V], largest[V];
        load(ws + i, w);
        load(grads + i, grad);
        load(exp_avgs + i, m);
        load(exp_avg_sqs + i, squares);
        if (largests) load(largests + i, largest);
        for (int v = 0; v < V; v++) {
            T g = decay == T(0) ? grad[v] : grad[v] + decay * w[v];
            m[v] = beta1 * m[v] + new1 * g;
            squares[v] = beta2 * squares[v] + new2 * g * g;
            T square = squares[v];
            if (largests) {
                if (square <= largest[v]) square = largest[v];  // a NaN goes into it, too
                largest[v] = square;
            }
            w[v] = remains * w[v] - rate * m[v] / (sqrt(square) + eps);
        }
        store(exp_avgs + i, m);
        store(exp_avg_sqs + i, squares);
        if (largests) store(largests + i, largest);
        store(ws + i, w);
    });
}

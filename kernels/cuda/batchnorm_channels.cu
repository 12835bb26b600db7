// Batch norm's work on arrays (C,): what evaluation normalises by, and the statistics of several ranks together.
//
// Threads   one for each channel
// Memory    coalesced
// Launch    grid ceil(C / 256), block 256
// Bound by  the launch itself

#include "running.cuh"

// What evaluation normalises by: the running statistics as they are now
template <typename T>
__global__ void batch_norm_running_statistics(const T *__restrict__ running_mean, const T *__restrict__ running_var,
                                              T *mean, T *inv_std, T eps, int channels) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c < channels)  // [0, C)
        finish(c, running_mean[c], running_var[c], T(0), mean, inv_std, static_cast<T *>(nullptr),
               static_cast<T *>(nullptr), T(0), T(0), eps);
}

// Of moments (ranks, 3, C), each rank's count, mean and variance: mean and inv_std of all together, and the share of this
// rank, which has `own` of all their numbers. The formulas are on the page, minicnn/ops/sync_batchnorm.py
template <typename T>
__global__ void sync_batch_norm_statistics(const T *__restrict__ moments, T *mean, T *inv_std, T *share,
                                           T *running_mean, T *running_var, T momentum, T keep, T eps, T own, int ranks,
                                           int channels) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;  // else [0, C)
    T total = T(0), middle = T(0), var = T(0);
    for (int rank = 0; rank < ranks; rank++) total += moments[3 * rank * channels + c];
    T all = total > T(0) ? total : T(1);
    for (int rank = 0; rank < ranks; rank++) {
        const T *its = moments + 3 * rank * channels + c;  // count, and `channels` further on the mean, the variance
        middle += its[0] / all * its[channels];
    }
    for (int rank = 0; rank < ranks; rank++) {
        const T *its = moments + 3 * rank * channels + c;
        T apart = its[channels] - middle;
        if (its[0] > T(0)) var += its[0] / all * (its[2 * channels] + apart * apart);  // none is at no distance
    }
    finish(c, middle, var, total, mean, inv_std, running_mean, running_var, momentum, keep, eps);
    share[c] = own / all;
}

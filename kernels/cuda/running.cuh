// The end of batch norm's statistics.

// inv_std[c] of a channel of that mean and variance, towards which the running ones move: null pointers, or both
template <typename W>
__device__ void finish(int c, W its_mean, W var, W count, W *mean, W *inv_std, W *running_mean, W *running_var,
                       W momentum, W keep, W eps) {
    mean[c] = its_mean;
    inv_std[c] = W(1) / sqrt(var + eps);
    if (running_mean && count > W(0)) {  // an empty batch says nothing
        running_mean[c] = keep * running_mean[c] + momentum * its_mean;
        running_var[c] = keep * running_var[c] + momentum * (var * (count / (count - W(1))));  // unbiased
    }
}

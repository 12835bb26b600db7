// A sum that loses no digits. A thread may add up thousands of numbers; their sum is soon so large that most of a small
// one falls off its end. What fell off is kept, and added next time (Kahan, 1965): three more operations, in a kernel
// that waits for memory.
template <typename T>
struct Sum {
    T total = T(0), lost = T(0);  // lost: by how much total is too large

    __device__ void add(T value) {
        value -= lost;
        T larger = total + value, too_large = (larger - total) - value;
        if (too_large == too_large) lost = too_large;  // NaN where there is an infinity
        total = larger;
    }
};

// The sum of every lane's value, for every lane of the warp: shuffles, register to register, in 5 steps.
template <typename T>
__device__ T warp_sum(T value) {
    for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(0xffffffffu, value, lanes);
    return value;
}

// Division by a number that the host knows: a multiplication and a shift. GPUs have no instruction that divides whole
// numbers; n / d is some 20 others, n % d as many again. A kernel's parameter `Divisor width` is given a positive int:
//
//    int row = i / width, column = i % width;   // i in [0, 2^31)
//
// Why it is right: with s = ceil(log2 d), the multiplier m = ceil(2^(31+s) / d) has 32 bits, and m * d exceeds 2^(31+s)
// by e < d <= 2^s. So n * m / 2^(31+s) exceeds n / d by n * e / (d * 2^(31+s)) < 1 / d, too little to reach the next whole
// number. Source: Granlund and Montgomery, "Division by invariant integers using multiplication", PLDI 1994
struct Divisor {
    unsigned multiplier, shift;  // m and s: launch.py works them out
    int number;                  // d itself
};

// The quotient of any other type would be cut to 32 bits unseen.
template <typename N>
__device__ int operator/(N n, const Divisor &d) {
    static_assert(sizeof(N) == 4, "a Divisor divides an int");
    return __umulhi(2u * unsigned(n), d.multiplier) >> d.shift;
}

template <typename N>
__device__ int operator%(N n, const Divisor &d) {
    return int(n) - n / d * d.number;
}

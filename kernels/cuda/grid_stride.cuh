// for (every i in [0, count) that is this thread's): its number in the grid, then that + the number of threads in the
// grid, and so on. Right for any grid; neighbouring threads always have neighbouring i. Mostly a thread has one: several
// rounds at once would only cost registers, and a division to know how many there are.
#define GRID_STRIDE_LOOP(i, count)                                                         \
    _Pragma("unroll 1") for (long long grid_threads = (long long)gridDim.x * blockDim.x,   \
                                       i = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
                             i < count; i += grid_threads)

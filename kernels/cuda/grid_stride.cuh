// for (every i in [0, count) that is this thread's): its number in the grid, then that + the number of threads in the
// grid, and so on. Right for any grid; neighbouring threads always have neighbouring i.
#define GRID_STRIDE_LOOP(i, count)                                       \
    for (long long grid_threads = (long long)gridDim.x * blockDim.x,     \
                   i = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
         i < count; i += grid_threads)

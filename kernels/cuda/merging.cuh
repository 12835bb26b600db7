// What many numbers come to (a sum, a mean with a variance), made of what parts of them come to.
//
// A Part is a struct with `void merge(const Part &other)`, after which it stands for the numbers of both, and Part{}
// stands for no numbers. Parts are merged in a fixed order, so that results repeat bit for bit: first those of a block's
// threads, then those of the blocks (gridDim.y of them for each blockIdx.x), by the last block to arrive.
//
// A block has `columns` sums (a power of two) of V Parts each: thread t works on sum t % columns. Needs arrivals.cuh
// before it.

constexpr int THREADS = 256;

// Merges the Parts of all threads of a column into those of the first one, t < columns. Every thread must come here.
//    Shared    half of the threads leave theirs there, the other half merges: 256, 128, ... threads, down to `columns`
template <typename Part, int V>
__device__ void merge_threads(Part (&mine)[V], int columns) {
    __shared__ Part theirs[V][THREADS / 2];
    int t = threadIdx.x;  // [0, THREADS)
    for (int half = THREADS / 2; half >= columns; half /= 2) {
        if (t >= half && t < 2 * half)
            for (int v = 0; v < V; v++) theirs[v][t - half] = mine[v];
        __syncthreads();
        if (t < half)
            for (int v = 0; v < V; v++) mine[v].merge(theirs[v][t]);
        __syncthreads();  // they have been read before the next step, or the next call, overwrites them
    }
}

// Likewise over all blocks of one blockIdx.x. True in the block that has the result, in its threads t < columns; the
// others may leave.
//    parts     room for gridDim.x * gridDim.y * V * columns Parts
//    arrivals  a counter for each blockIdx.x
template <typename Part, int V>
__device__ bool merge_blocks(Part (&mine)[V], int columns, Part *parts, unsigned *arrivals) {
    merge_threads(mine, columns);
    if (gridDim.y == 1) return true;
    int t = threadIdx.x, column = t % columns;
    parts += static_cast<long long>(blockIdx.x) * gridDim.y * V * columns;
    if (t < columns)
        for (int v = 0; v < V; v++) parts[(blockIdx.y * V + v) * columns + column] = mine[v];
    if (!last_to_arrive(arrivals + blockIdx.x, gridDim.y)) return false;
    for (int v = 0; v < V; v++) mine[v] = Part{};
    for (int block = t / columns; block < gridDim.y; block += THREADS / columns)  // [0, gridDim.y)
        for (int v = 0; v < V; v++) mine[v].merge(parts[(block * V + v) * columns + column]);
    merge_threads(mine, columns);
    return true;
}

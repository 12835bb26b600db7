// Every parameter of a network in one launch: its numbers in chunks, a thread block for each.
//
// A network has hundreds of parameters, most of them small: a launch for each would take longer than the work, and a row
// of blocks for each would be mostly blocks with nothing to do. So a kernel is given no arrays but tables (table.py):
//
//    tensors[t]     addresses of parameter t and of what belongs to it, and last how many numbers it has
//    chunks[block]  which parameter, and which of its chunks of CHUNK numbers
//
// A number is always changed by the same few operations, so that results do not depend on how it is cut. Needs
// bfloat16.cuh before it.

constexpr int CHUNK = 8192;  // numbers; table.py has it, too

// The chunk of this block: of parameter t, `count` numbers from `first` on
struct Chunk {
    int t, count;
    long long first;

    __device__ Chunk(const unsigned *chunks, const unsigned long long *tensors, int columns)
        : t(chunks[2 * blockIdx.x]), first(static_cast<long long>(chunks[2 * blockIdx.x + 1]) * CHUNK) {
        long long size = tensors[columns * t + columns - 1];
        count = size - first < CHUNK ? int(size - first) : CHUNK;
    }
    // where this chunk of an array begins, whose address is in that column; a null pointer stays one
    template <typename T>
    __device__ T *of(const unsigned long long *tensors, int columns, int column) const {
        T *array = reinterpret_cast<T *>(tensors[columns * t + column]);
        return array ? array + first : array;
    }
};

template <int V>
struct Width {
    static constexpr int value = V;
};

// body(i, Width<V>()) for each vector of V numbers, from i in [0, count) on; and, of what is left or not aligned,
// body(i, Width<1>()) for each number
template <typename T, typename Body>
__device__ void over_chunk(int count, bool vectors, Body body) {
    constexpr int V = VECTOR<T>;
    int whole = vectors ? count / V * V : 0;
    for (int i = threadIdx.x * V; i < whole; i += blockDim.x * V) body(i, Width<V>());
    for (int i = whole + threadIdx.x; i < count; i += blockDim.x) body(i, Width<1>());
}

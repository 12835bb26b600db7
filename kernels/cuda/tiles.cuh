// The tiles of a product in shared memory and in registers: what matmul.cu and conv.cu have in common.

constexpr int BLOCK_SIDE = 16;                    // a thread block is BLOCK_SIDE x BLOCK_SIDE threads
constexpr int THREADS = BLOCK_SIDE * BLOCK_SIDE;  // of a thread block
constexpr int TILE = 4 * BLOCK_SIDE;              // TILE x TILE results of a thread block, 4 x 4 of each thread,
constexpr int DEPTH = 16;                         // from DEPTH columns of a and DEPTH rows of b at a time
constexpr int FETCHES = DEPTH * TILE / THREADS;   // numbers of such a tile of a (and of b) that one thread fetches

// Neighbouring numbers that are read from shared memory at once: 16 bytes in one instruction, if T is float
template <typename T>
struct alignas(16) Four {
    T at[4];
};

// The instructions of tensor cores and of asynchronous copies, each in a small function, and the numbers they work on.
// They need compute capability 8.0. emulator/tensor_cores.cuh has the same functions for the processor.

#include "bfloat16.cuh"

struct tf32 {  // a float of which the 13 lowest bits are ignored: 1 sign, 8 exponent, 10 fraction
    unsigned bits;
};
struct float16 {  // 1 sign, 5 exponent, 10 fraction: up to 65504
    unsigned short bits;
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define INSTRUCTION(...) __trap()  // compiled for older GPUs too; tensor_cores.py refuses to launch there
#else
#define INSTRUCTION(...) asm volatile(__VA_ARGS__)
#endif

// The T nearest to x.
template <typename T>
__device__ T rounded(float x);

template <>
__device__ tf32 rounded<tf32>(float x) {
    tf32 y = {0};
    INSTRUCTION("cvt.rna.tf32.f32 %0, %1;" : "=r"(y.bits) : "f"(x));
    return y;
}

template <>
__device__ float16 rounded<float16>(float x) {
    float16 y = {0};
    INSTRUCTION("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

template <>
__device__ bfloat16 rounded<bfloat16>(float x) {
    return bfloat16(x);
}

// c (16, 8) += a (16, k) @ b (k, 8) by one warp, k being 8 words of 4 bytes: 8 tf32 or 16 of the 16-bit numbers. With
// row = lane / 4 and word = lane % 4, [0, 8) and [0, 4), a lane gives
//    a[0], a[1]   word `word` of rows `row` and `row + 8`;   a[2], a[3]   word `word + 4` of them
//    b[0], b[1]   words `word` and `word + 4` of column `row`
//    c[0], c[1]   columns 2 * word and 2 * word + 1 of row `row`;   c[2], c[3]   of row `row + 8`
template <typename T>
__device__ void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

#define MULTIPLY_ADD(T, name)                                                                                     \
    template <>                                                                                                   \
    __device__ void multiply_add<T>(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {              \
        INSTRUCTION("mma.sync.aligned." name " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"   \
                    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                              \
                    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                          \
    }
MULTIPLY_ADD(tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")
MULTIPLY_ADD(float16, "m16n8k16.row.col.f32.f16.f16.f32")
MULTIPLY_ADD(bfloat16, "m16n8k16.row.col.f32.bf16.bf16.f32")

// Four matrices of 8 rows of 16 bytes from shared memory to registers, by one warp: `row` is the address of row lane % 8 of
// matrix lane / 8, a multiple of 16. The lane gets, of matrix m, to[m] = word lane % 4 of row lane / 4: what multiply_add
// wants where k runs along the rows. TRANSPOSED: where k runs across them, in numbers of 16 bits: the two numbers of rows
// 2 * (lane % 4) and 2 * (lane % 4) + 1 in column lane / 4.
template <bool TRANSPOSED>
__device__ void load_matrices(unsigned (&to)[4], const unsigned *row) {
    unsigned address = unsigned(__cvta_generic_to_shared(row));
    if (TRANSPOSED)
        INSTRUCTION("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                    : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                    : "r"(address)
                    : "memory");
    else
        INSTRUCTION("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                    : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                    : "r"(address)
                    : "memory");
}

// Begin to copy 16 bytes from global to shared memory, past the registers, while the thread goes on; zeros if not
// `inside` (then nothing is read). Both addresses are multiples of 16.
__device__ void copy_async(void *shared, const void *global, bool inside) {
    INSTRUCTION("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(unsigned(__cvta_generic_to_shared(shared))),
                "l"(global), "r"(inside ? 16 : 0)
                : "memory");
}

// The copies that this thread has begun since the last call are a group.
__device__ void close_group() { INSTRUCTION("cp.async.commit_group;" ::: "memory"); }

// Wait until all groups of this thread but the last PENDING are in shared memory. The other threads' copies are seen
// after a barrier only.
template <int PENDING>
__device__ void wait_for_groups() {
    INSTRUCTION("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// The last thread block to arrive: how a sum over blocks is finished in the same launch, without atomics on floats.
//
// Each block writes its part to global memory and arrives. Whoever finds that all others have arrived before it adds
// the parts up, in their order and not in that of the arrivals: the result repeats bit for bit. Nobody waits.
//
//     part[split] = ...;                                      // every block of this sum, with all its threads
//     if (!last_to_arrive(arrivals + sum, splits)) return;    // all but one block leave
//     for (split ...) total += part[split];
//
// The parts are read through the pointer that they were written by, never through one that is const __restrict__: that
// would let the compiler take them from a cache that does not know of other multiprocessors' writes.

// Whether `expected` blocks have arrived at this counter, this one being the last; the same answer for all threads of
// the block, all of which must come here. The counter is 0 before, and 0 again after the last one (arrivals.py).
//    Order     The barrier: the whole block has written before its thread 0 arrives. The first fence: what was written
//              is there for all multiprocessors before the arrival is. The second: nothing that comes after it is read
//              before all have arrived.
__device__ inline bool last_to_arrive(unsigned *arrivals, unsigned expected) {
    __shared__ bool is_last;
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) {
        __threadfence();
        is_last = atomicInc(arrivals, expected - 1) == expected - 1;  // the last one sets it back to 0
        __threadfence();
    }
    __syncthreads();
    bool last = is_last;
    __syncthreads();  // all have read the answer before the next call writes another
    return last;
}

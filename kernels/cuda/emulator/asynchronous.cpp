// Engines work while threads run: TMA (tma.cpp) and tensor cores (wgmma.cpp). Who may touch shared memory meanwhile, and
// the mbarriers by which threads and engines wait for one another.
//
// Each vector of 16 bytes knows that an engine writes it, or reads it; whoever else touches it is reported. So is an
// engine that reads, or writes, what a thread has written without fence_async() and a barrier after it.
//
// mbarriers put engines in order with threads, not threads with one another: what one thread writes and another one
// reads is reported as a race though an mbarrier lies between. Not seen: a missing fence_async() between a thread's
// reading and an engine's writing.

#include "runtime.h"

#include <cstring>
#include <vector>

namespace emulator {

unsigned busy_vectors;

namespace {

constexpr unsigned VECTOR = 16, ARRIVING = 0x80;
unsigned char busy[sizeof shared_memory / VECTOR];  // ARRIVING, or how many engines read the vector

struct Fence {
    uint32_t epoch, clock;
};
std::vector<Fence> async_fences[MAX_THREADS];  // of the running block

struct Started {
    const uint64_t *barrier;
    Access by;
};
std::vector<Started> barriers;  // of the running block

struct Wait {
    const uint64_t *barrier;
    unsigned parity;
    const void *code;
} waits[MAX_THREADS];

// "full[1]"
Text shared_place(const char *address) {
    Text name{"shared memory"};
    for (const SharedArray &array : shared_arrays)
        if (array.base && holds(array, address, 1))
            snprintf(name.text, sizeof name.text, "%.60s[%zu]", array.name, (address - array.base) / array.itemsize);
    return name;
}

unsigned vector_of(const char *address) { return (address - shared_memory) / VECTOR; }

bool fenced(const Access &write) {
    for (const Fence &fence : async_fences[write.thread])
        if (fence.clock >= write.clock && fence.epoch >= write.epoch)
            return fence.epoch < epoch || write.thread == current_thread;
    return false;
}

// An engine is about to read, or write, a vector of shared memory on behalf of the current thread
void check_vector(char *address, bool write, const void *code) {
    const SharedArray *array = nullptr;
    for (const SharedArray &each : shared_arrays)
        if (each.base && holds(each, address, VECTOR)) array = &each;
    if (!array) report_nowhere(address, VECTOR, write, code);
    const char *does = write ? "has TMA write" : "has an engine read";
    unsigned char state = busy[vector_of(address)];
    if (state & ARRIVING)
        fail(code, "%s %s %s, which TMA still writes: wait for its mbarrier", full_name().text, does,
             shared_place(address).text);
    if (write && state)
        fail(code, "%s %s %s, which an engine still reads: wait for it", full_name().text, does,
             shared_place(address).text);
    for (size_t word = 0; word < VECTOR / WORD; word++) {
        const Cell &cell = shared_cells[(address - shared_memory) / WORD + word];
        size_t offset = address + word * WORD - array->base;
        if (!in_order(cell.writer, false)) report_race(cell.writer, true, write, *array, offset, code);
        for (const Access &reader : cell.readers)
            if (write && !in_order(reader, false)) report_race(reader, false, write, *array, offset, code);
        if (cell.writer.epoch >= first_epoch && !fenced(cell.writer))
            fail(code, "%s %s %s, which thread %s has written with no fence_async and a barrier after it",
                 full_name().text, does, shared_place(address).text, thread_name(cell.writer.thread).text);
    }
}

}  // namespace

unsigned shared_address(const void *shared) {
    auto offset = static_cast<const char *>(shared) - shared_memory;
    return static_cast<size_t>(offset) < sizeof shared_memory ? unsigned(offset) : 0;
}

// `address` with its vectors exchanged within 128 bytes, by so many bits of the number of the 128 bytes.
unsigned swizzled(unsigned address, unsigned bits) { return address ^ (address >> 7 & ((1u << bits) - 1)) << 4; }

void begin_reading(char *vector, const void *code) {
    check_vector(vector, false, code);
    busy_vectors += !busy[vector_of(vector)]++;
}

void end_reading(char *vector) { busy_vectors -= !--busy[vector_of(vector)]; }

// A thread's own access to shared memory
void check_engines(char *address, size_t bytes, bool write, const void *code) {
    for (unsigned vector = vector_of(address); vector <= vector_of(address + bytes - 1); vector++)
        if (busy[vector] & ARRIVING || (busy[vector] && write))
            fail(code, "%s %s %s, which %s", full_name().text, write ? "writes" : "reads", shared_place(address).text,
                 busy[vector] & ARRIVING ? "TMA still writes: wait for its mbarrier" : "an engine still reads");
}

void fence_async() {
    clocks_have_run = true;
    async_fences[current_thread].push_back({epoch, warp_clock[current_thread][current_thread % WARP]++});
}

// ---- mbarriers: 8 bytes of shared memory, as on a GPU nobody's to look into

namespace {

struct Phase {
    unsigned pending, arrivals;  // how many still have to arrive, of how many
    int bytes;                   // that were announced and are not there yet
    unsigned parity;
};

constexpr uint64_t NONE = uint64_t{1} << 63;  // as NaN has it
constexpr int COUNT_BITS = 20, BYTE_BITS = 22;

Phase phase_of(const uint64_t *barrier, const void *code) {
    uint64_t bits;
    memcpy(&bits, barrier, sizeof bits);
    if (bits & NONE)
        fail(code, "%s uses %s as an mbarrier, which has not been started", full_name().text,
             shared_place(reinterpret_cast<const char *>(barrier)).text);
    unsigned count = (1u << COUNT_BITS) - 1;
    int bytes = int(bits >> 2 * COUNT_BITS << (32 - BYTE_BITS)) >> (32 - BYTE_BITS);  // with its sign
    return {unsigned(bits) & count, unsigned(bits >> COUNT_BITS) & count, bytes, unsigned(bits >> 62)};
}

void set_phase(uint64_t *barrier, Phase phase) {
    if (phase.pending == 0 && phase.bytes == 0) phase.pending = phase.arrivals, phase.parity ^= 1;
    uint64_t bytes = unsigned(phase.bytes) & ((1u << BYTE_BITS) - 1);
    uint64_t bits = phase.pending | uint64_t{phase.arrivals} << COUNT_BITS | bytes << 2 * COUNT_BITS;
    bits |= uint64_t{phase.parity} << 62;
    memcpy(barrier, &bits, sizeof bits);
}

bool phase_is_over(unsigned thread) {
    return phase_of(waits[thread].barrier, waits[thread].code).parity != waits[thread].parity;
}

void complain_of_phase(unsigned thread) {
    const Wait &wait = waits[thread];
    Phase phase = phase_of(wait.barrier, wait.code);
    fail(wait.code, "%s waits for the end of phase %u of %s, for which %u of %u arrivals and %d bytes are missing; "
         "nobody can go on", full_name(thread).text, wait.parity,
         shared_place(reinterpret_cast<const char *>(wait.barrier)).text, phase.pending, phase.arrivals, phase.bytes);
}

}  // namespace

void start_barrier(uint64_t *barrier, unsigned arrivals, const void *code) {
    if (!arrivals || arrivals >= 1u << COUNT_BITS)
        fail(code, "%s starts an mbarrier of %u arrivals", full_name().text, arrivals);
    check_access(barrier, sizeof *barrier, true, false, code);
    barriers.push_back({barrier, shared_cells[shared_address(barrier) / WORD].writer});
    uint64_t zero = 0;
    memcpy(barrier, &zero, sizeof zero);
    set_phase(barrier, {arrivals, arrivals, 0, 0});
}

void arrive(uint64_t *barrier, unsigned bytes, const void *code) {
    check_access(barrier, sizeof *barrier, true, true, code);
    Phase phase = phase_of(barrier, code);
    if (!phase.pending)
        fail(code, "%s arrives at %s, at which all %u of this phase have arrived", full_name().text,
             shared_place(reinterpret_cast<const char *>(barrier)).text, phase.arrivals);
    if (phase.bytes + int64_t{bytes} >= 1 << COUNT_BITS)
        fail(code, "%s announces %u bytes; an mbarrier counts to %u", full_name().text, bytes, (1u << COUNT_BITS) - 1);
    phase.pending--, phase.bytes += int(bytes);
    set_phase(barrier, phase);
}

void wait_for_phase(const uint64_t *barrier, unsigned parity, const void *code) {
    check_access(const_cast<uint64_t *>(barrier), sizeof *barrier, true, true, code);  // in order with those who arrive
    waits[current_thread] = {barrier, parity, code};
    wait_until(phase_is_over, complain_of_phase);
}

void begin_asynchronous() {
    if (busy_vectors) memset(busy, 0, sizeof busy);  // of a launch that was given up
    busy_vectors = 0;
    barriers.clear();
    for (unsigned t = 0; t < threads_in_block; t++) async_fences[t].clear();
}

}  // namespace emulator

// What copies on while threads run: TMA, the mbarriers that count its bytes, and who may touch shared memory meanwhile.
//
// A copy is made as late as can be: when no thread can go on without it. From its beginning until then its destination
// holds NaN, and each vector of 16 bytes knows that it is being written, or read; whoever touches it is reported. So is
// a copy that reads what a thread has written without fence_async() and a barrier after it.
//
// mbarriers put engines in order with threads, not threads with one another: what one thread writes and another one
// reads is reported as a race though an mbarrier lies between. Not seen: a missing fence_async() between a thread's
// reading and an engine's writing.

#include "runtime.h"
#include "tensor_map.cuh"

#include <cstring>
#include <deque>
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

struct BoxCopy {  // begun by `thread`
    TensorMap map;
    int at[5], tap[2];
    char *shared;
    uint64_t *barrier;  // nullptr of a store
    unsigned thread;
    const void *code;
};
std::deque<BoxCopy> box_copies;

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
    phase.pending--, phase.bytes += int(bytes);
    set_phase(barrier, phase);
}

void wait_for_phase(const uint64_t *barrier, unsigned parity, const void *code) {
    check_access(const_cast<uint64_t *>(barrier), sizeof *barrier, true, true, code);  // in order with those who arrive
    waits[current_thread] = {barrier, parity, code};
    wait_until(phase_is_over, complain_of_phase);
}

// ---- TMA

namespace {

size_t box_rows(const TensorMap &map) {
    size_t rows = 1;
    for (int axis = 1; axis < (map.windows ? 2 : map.axes); axis++) rows *= map.box[axis];
    return rows;
}

size_t row_bytes(const TensorMap &map) { return map.box[0] * map.itemsize; }

char *vector_in_box(const BoxCopy &copy, size_t offset) {
    return shared_memory + swizzled(shared_address(copy.shared) + unsigned(offset), copy.map.swizzle);
}

template <typename Use>
void each_vector(const BoxCopy &copy, Use use) {
    for (size_t offset = 0; offset < box_rows(copy.map) * row_bytes(copy.map); offset += VECTOR)
        use(vector_in_box(copy, offset), offset);
}

// use(where the row lies in the array, its first element inside, and the first one beyond) for each row of the box
template <typename Use>
void each_row(const BoxCopy &copy, Use use) {
    const TensorMap &map = copy.map;
    int at[5];
    memcpy(at, copy.at, sizeof at);
    for (size_t row = 0; row < box_rows(map); row++) {
        bool inside = true;
        int64_t place = int64_t{at[0]} * map.itemsize;
        for (int axis = 1; axis < map.axes; axis++) {
            int64_t i = at[axis] + (map.windows && axis < 3 ? copy.tap[axis - 1] : 0);
            inside = inside && i >= 0 && i < map.sizes[axis];
            place += i * int64_t(map.strides[axis - 1]);
        }
        int first = at[0] < 0 ? -at[0] : 0, last = int(map.sizes[0]) - at[0];
        last = !inside || last < first ? first : last < map.box[0] ? last : map.box[0];
        use(reinterpret_cast<char *>(map.address + place), row, first, last);
        for (int axis = 1; axis < map.axes; axis++) {  // on to the next row, with carries
            if (map.windows) {
                bool beyond = axis < 3 && (at[axis] += map.steps[axis]) >= int(map.sizes[axis]) + map.upper[axis - 1];
                if (axis == 3) at[axis]++;
                if (!beyond) break;
                at[axis] = map.lower[axis - 1];
            } else {
                if (++at[axis] < copy.at[axis] + map.box[axis]) break;
                at[axis] = copy.at[axis];
            }
        }
    }
}

void make_load(const BoxCopy &copy) {
    std::vector<char> row_of(row_bytes(copy.map));
    std::vector<char> box;
    each_row(copy, [&](char *place, size_t, int first, int last) {
        memset(row_of.data(), 0, row_of.size());
        size_t from = size_t(first) * copy.map.itemsize, bytes = size_t(last - first) * copy.map.itemsize;
        if (bytes) {
            count_engine(access_global(place + from, bytes, false, false, copy.code), place + from, bytes, false,
                         copy.code);
            memcpy(row_of.data() + from, place + from, bytes);
        }
        box.insert(box.end(), row_of.begin(), row_of.end());
    });
    each_vector(copy, [&](char *vector, size_t offset) {
        memcpy(vector, box.data() + offset, VECTOR);
        busy[vector_of(vector)] = 0, busy_vectors--;
        for (size_t word = 0; word < VECTOR / WORD; word++) shared_cells[(vector - shared_memory) / WORD + word] = {};
    });
    Phase phase = phase_of(copy.barrier, copy.code);
    phase.bytes -= int(box.size());
    if (phase.bytes < 0 && !phase.pending)
        fail(copy.code, "%s has TMA bring %d bytes more than %s was told to expect", full_name().text, -phase.bytes,
             shared_place(reinterpret_cast<char *>(copy.barrier)).text);
    set_phase(copy.barrier, phase);
}

void make_store(const BoxCopy &copy) {
    std::vector<char> box(box_rows(copy.map) * row_bytes(copy.map));
    each_vector(copy, [&](char *vector, size_t offset) {
        memcpy(box.data() + offset, vector, VECTOR);
        end_reading(vector);
    });
    each_row(copy, [&](char *place, size_t row, int first, int last) {
        size_t from = size_t(first) * copy.map.itemsize, bytes = size_t(last - first) * copy.map.itemsize;
        if (!bytes) return;
        count_engine(access_global(place + from, bytes, true, false, copy.code), place + from, bytes, true, copy.code);
        memcpy(place + from, box.data() + row * row_bytes(copy.map) + from, bytes);
    });
}

BoxCopy begin_copy(const TensorMap &map, const void *shared, const int *at, int axes, const void *code) {
    if (map.axes != axes)
        fail(code, "%s gives %d coordinates, and the tensor map has %d axes", full_name().text, axes, map.axes);
    if (shared_address(shared) % 128 || !shared_address(shared))
        fail(code, "misaligned: %s copies a box to or from an address that is no multiple of 128 of shared memory",
             full_name().text);
    BoxCopy copy{map, {}, {}, static_cast<char *>(const_cast<void *>(shared)), nullptr, current_thread, code};
    memcpy(copy.at, at, axes * sizeof *at);
    return copy;
}

void begin_load(BoxCopy copy, uint64_t *barrier) {
    copy.barrier = barrier;
    phase_of(barrier, copy.code);
    for (const Started &each : barriers)
        if (each.barrier == barrier && (!in_order(each.by, false) || !fenced(each.by)))
            fail(copy.code, "%s gives TMA %s, which thread %s has started with no fence_async and a barrier after it",
                 full_name().text, shared_place(reinterpret_cast<char *>(barrier)).text, thread_name(each.by.thread).text);
    each_vector(copy, [&](char *vector, size_t) {
        check_vector(vector, true, copy.code);
        memset(vector, 0xff, VECTOR);
        busy[vector_of(vector)] = ARRIVING, busy_vectors++;
    });
    box_copies.push_back(copy);
}

bool stores_are_made(unsigned thread) {
    for (const BoxCopy &copy : box_copies)
        if (copy.thread == thread && !copy.barrier) return false;
    return true;
}

}  // namespace

void load_box(void *shared, const TensorMap &map, uint64_t *barrier, const int *at, int axes, const void *code) {
    begin_load(begin_copy(map, shared, at, axes, code), barrier);
}

void load_windows(void *shared, const TensorMap &map, uint64_t *barrier, const int *at, const int *tap,
                  const void *code) {
    BoxCopy copy = begin_copy(map, shared, at, 4, code);
    for (int axis = 0; axis < 2; axis++)
        if ((copy.tap[axis] = tap[axis]) < 0 || tap[axis] > 255)
            fail(code, "%s asks for a tap %d away; 0 to 255 is what TMA can", full_name().text, tap[axis]);
    begin_load(copy, barrier);
}

void store_box(const TensorMap &map, const void *shared, const int *at, int axes, const void *code) {
    BoxCopy copy = begin_copy(map, shared, at, axes, code);
    each_vector(copy, [&](char *vector, size_t) { begin_reading(vector, code); });
    box_copies.push_back(copy);
}

void wait_for_stores() { wait_until(stores_are_made, nullptr); }

namespace {

void begin_asynchronous() {
    if (busy_vectors) memset(busy, 0, sizeof busy);  // of a launch that was given up
    busy_vectors = 0;
    barriers.clear(), box_copies.clear();
    for (unsigned t = 0; t < threads_in_block; t++) async_fences[t].clear();
}

// Whether there was a copy to be made: the oldest one.
bool copies_go_on() {
    if (box_copies.empty()) return false;
    BoxCopy copy = box_copies.front();
    box_copies.pop_front();
    become(copy.thread);
    copy.barrier ? make_load(copy) : make_store(copy);
    return true;
}

void end_asynchronous() {
    if (!box_copies.empty())
        fail(box_copies.front().code, "block %s ends while a copy that %s has begun goes on", block_name(blocks_done).text,
             full_name(box_copies.front().thread).text);
}

}  // namespace
}  // namespace emulator

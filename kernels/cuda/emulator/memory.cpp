// The emulator's eyes: every memory access of a kernel comes by here, is it within an array, is it a race?
//
// Kernels are compiled with -fsanitize=thread,alignment, which makes the compiler call __tsan_read4(address) and the
// like before each access. These calls are answered here, and not by the sanitizers' own library: it knows the
// operating system's threads, while here all are one, and what orders two accesses is CUDA's barriers.
//
// Each word (4 bytes) of shared memory, and of each global array that the launch may write, remembers who wrote it last
// and two of those who read it since (in an array of bytes: whoever wrote one of the four). Two accesses to a word, one
// of them a write, are in order if
//   the same thread made them,
//   or two threads of a block, with a __syncthreads between them (the epoch has grown),
//   or two threads of a warp, with a __syncwarp or a shuffle between them (the warp's clocks know),
//   or two threads of different blocks, and the first block handed over to the second: after the access a __threadfence
//      and an atomic on some word; there, later, an atomic on that word and a __threadfence before the other access (in
//      the first block, and in the second, a __syncthreads lies between the fence and accesses of other threads),
//   or both are atomic;
// else blocks are never in order. Anything else is a race, even if this once the result came out right.

#include "runtime.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <unordered_map>
#include <vector>

namespace emulator {
namespace {

constexpr size_t WORD = 4, GAP = 256;  // bytes between shared arrays that belong to nobody
constexpr unsigned MAX_SHARED_ARRAYS = 64;

struct Access {
    uint32_t epoch;                                           // 0: nobody
    uint32_t thread : 10, atomic : 1, bytes : 4, clock : 17;  // which of the word's bytes; of the thread's warp
};

struct Cell {
    Access writer, readers[2];
};

using SharedArray = Parameter;  // it has a name, a place and sizes, too

Cell **cells;  // of each parameter; nullptr where the kernel may only read
const Parameter *latest;
alignas(1024) char shared_memory[SHARED_BYTES + 2 * (MAX_SHARED_ARRAYS + 1) * GAP];
Cell shared_cells[sizeof shared_memory / WORD];
SharedArray shared_arrays[MAX_SHARED_ARRAYS];  // by the number of the declaration; base is nullptr before it is reached
size_t shared_end, shared_static, shared_dynamic;  // the end of those reached; their bytes, of both kinds

struct Copy {  // begun, and not yet waited for
    char *to, bytes[16];
    unsigned group;
    const void *code;
};

std::vector<Copy> copies[MAX_THREADS];
unsigned groups[MAX_THREADS];  // that the thread has closed

// What a block has handed over by an atomic on a word: its accesses up to a __threadfence of one of its threads
struct Handed {
    uint32_t first, fence;  // the block's first epoch, and that of the fence: earlier ones are covered
    uint32_t thread, clock;  // of the fence's own epoch, what its thread did before this time
};

// What a thread of the running block has taken over: what was handed over by one word up to then
struct Taken {
    const std::vector<Handed> *by_word;
    size_t count;
    uint32_t fence;  // the epoch in which the thread has fenced it; 0: not yet, and it is of no use before
    uint32_t thread;
};

std::unordered_map<const void *, std::vector<Handed>> handed;  // by word, in the order of the blocks
std::vector<Taken> taken;
Handed fences[MAX_THREADS];  // the last fence of each thread of the running block; first is 0 before there is one

// Whether an access of another block was handed over to the current thread
bool handed_over(const Access &then) {
    for (const Taken &each : taken) {
        if (!each.fence || (each.thread != current_thread && each.fence >= epoch)) continue;
        auto begin = each.by_word->begin(), by = begin + each.count;  // in the order of time: the block is near its end
        by = std::upper_bound(begin, by, then.epoch, [](uint32_t time, const Handed &h) { return time < h.first; });
        for (uint32_t first = by == begin ? 0 : by[-1].first; by != begin && by[-1].first == first; by--) {
            const Handed &last = by[-1];
            bool own = then.epoch == last.fence && then.thread == last.thread && then.clock < last.clock;
            if (own || then.epoch < last.fence) return true;
        }
    }
    return false;
}

// Whether what `then` did is certain to have happened before what the current thread does now.
bool in_order(const Access &then, bool global) {
    if (!then.epoch) return true;
    if (then.epoch < first_epoch) return !global || handed_over(then);  // another block, with shared memory of its own
    if (then.epoch < epoch || then.thread == current_thread) return true;
    return then.thread / WARP == current_thread / WARP && warp_clock[current_thread][then.thread % WARP] >= then.clock;
}

[[noreturn]] void report_race(const Access &then, bool it_wrote, bool write, const Parameter &array, size_t offset,
                              const void *code) {
    const char *does = write ? "writes" : "reads", *did = it_wrote ? "has written" : "has read";
    size_t index = offset / array.itemsize;
    if (then.epoch < first_epoch)
        fail(code, "race between blocks: %s %s %s[%zu], which another block of this launch %s", full_name().text, does,
             array.name, index, did);
    bool one_warp = then.thread / WARP == current_thread / WARP;
    fail(code, "race%s: %s %s %s[%zu], which thread %s %s with no %s in between", one_warp ? " within a warp" : "",
         full_name().text, does, array.name, index, thread_name(then.thread).text, did,
         one_warp ? "__syncwarp or __syncthreads" : "__syncthreads");
}

// Which two readers to remember: the last, and if possible one of another block or of another warp.
void remember_reader(Cell &cell, const Access &self) {
    Access &last = cell.readers[0], &other = cell.readers[1];
    bool other_block = other.epoch && other.epoch < first_epoch;
    bool other_warp = other.epoch == epoch && other.thread / WARP != self.thread / WARP;
    if (last.epoch && (last.epoch != epoch || last.thread != self.thread)) {
        if ((last.epoch < first_epoch) || !(other_block || other_warp)) other = last;
    }
    last = self;
}

// An access to bytes of an array whose first word's cell is `first`
void check_race(Cell *first, const Parameter &array, const char *address, size_t bytes, bool write, bool atomic,
                bool global, const void *code) {
    size_t offset = address - array.base;
    Access self{epoch, current_thread, atomic, 0, warp_clock[current_thread][current_thread % WARP]};
    for (size_t word = offset / WORD; word * WORD < offset + bytes; word++) {
        size_t low = word * WORD < offset ? offset - word * WORD : 0, high = offset + bytes - word * WORD;
        self.bytes = (0xf << low) & (high < WORD ? (1 << high) - 1 : 0xf);
        Cell &cell = first[word];
        if (cell.writer.bytes & self.bytes && !(atomic && cell.writer.atomic) && !in_order(cell.writer, global))
            report_race(cell.writer, true, write, array, offset, code);
        if (!write) {
            remember_reader(cell, self);
            continue;
        }
        for (const Access &reader : cell.readers)
            if (reader.bytes & self.bytes && !in_order(reader, global))
                report_race(reader, false, write, array, offset, code);
        cell = {self, {}};
    }
}

bool holds(const Parameter &array, const char *address, size_t bytes) {
    return address >= array.base && address + bytes <= array.base + array.bytes;
}

size_t distance(const char *address, const Parameter &array) {
    const char *end = array.base + array.bytes;
    return address < array.base ? array.base - address : address >= end ? address - end + 1 : 0;
}

const Parameter *nearer(const char *address, const Parameter *one, const Parameter *other) {
    return !one || distance(address, *other) < distance(address, *one) ? other : one;
}

[[noreturn]] void report_outside(const char *address, size_t bytes, bool write, const Parameter &array,
                                 const void *code) {
    long long offset = address - array.base, item = array.itemsize;
    long long index = offset >= 0 ? offset / item : -((-offset + item - 1) / item);
    fail(code, "out of bounds: %s %s %zu bytes at %s[%lld], which has %zu elements", full_name().text,
         write ? "writes" : "reads", bytes, array.name, index, static_cast<size_t>(array.bytes / array.itemsize));
}

[[noreturn]] void report_nowhere(const char *address, size_t bytes, bool write, const void *code) {
    const Parameter *nearest = nullptr;
    for (size_t i = 0; i < launch->parameter_count; i++) nearest = nearer(address, nearest, launch->parameters + i);
    if (!nearest)
        fail(code, "out of bounds: %s %s %zu bytes that belong to no array", full_name().text,
             write ? "writes" : "reads", bytes);
    report_outside(address, bytes, write, *nearest, code);
}

const SharedArray &access_shared(char *address, size_t bytes, bool write, bool atomic, const void *code) {
    const SharedArray *nearest = nullptr;
    for (const SharedArray &array : shared_arrays) {
        if (!array.base) continue;
        if (holds(array, address, bytes)) {
            if (busy_vectors) check_engines(address, bytes, write, code);
            Cell *first = shared_cells + (array.base - shared_memory) / WORD;
            check_race(first, array, address, bytes, write, atomic, false, code);
            return array;
        }
        nearest = nearer(address, nearest, &array);
    }
    if (!nearest) report_nowhere(address, bytes, write, code);
    report_outside(address, bytes, write, *nearest, code);
}

// The parameter, or nullptr of an index such as threadIdx
const Parameter *access_global(char *address, size_t bytes, bool write, bool atomic, const void *code) {
    const Parameter *p = latest, *end = launch->parameters + launch->parameter_count;
    if (!p || !holds(*p, address, bytes))
        for (p = launch->parameters; p < end && !holds(*p, address, bytes);) p++;
    if (p == end) {
        for (const Index *known : {&threadIdx, &blockIdx, &blockDim, &gridDim})
            if (address >= reinterpret_cast<const char *>(known) && address < reinterpret_cast<const char *>(known + 1))
                return nullptr;
        report_nowhere(address, bytes, write, code);
    }
    latest = p;
    Cell *of_parameter = cells[p - launch->parameters];
    if (of_parameter) check_race(of_parameter, *p, address, bytes, write, atomic, true, code);
    return p;
}

}  // namespace

// `bytes` at `address` are about to be read, or written, by the current thread; `code` is where.
void check_access(void *where, size_t bytes, bool write, bool atomic, const void *code) {
    char *address = static_cast<char *>(where);
    if (static_cast<size_t>(address - stacks) < MAX_THREADS * STACK_BYTES) return;  // a thread's own variables
    bool shared = address >= shared_memory && address < shared_memory + sizeof shared_memory;
    const Parameter *array = shared ? &access_shared(address, bytes, write, atomic, code)
                                    : access_global(address, bytes, write, atomic, code);
    if (!array || !(launch->record_limit || launch->counting)) return;
    auto number = static_cast<uint16_t>(array - (shared ? shared_arrays : launch->parameters));
    auto instruction = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(code));
    auto offset = static_cast<uint64_t>(address - array->base);
    if (launch->counting) count_access(number, shared, offset, bytes, write, code);
    if (!launch->record_limit) return;
    auto thread = static_cast<uint16_t>(current_thread);
    record({offset, blocks_done, instruction, static_cast<uint32_t>(bytes), epoch, thread, number, write, shared},
           code);
}

const char *shared_name(unsigned number) { return number < MAX_SHARED_ARRAYS ? shared_arrays[number].name : nullptr; }

// A __threadfence of the current thread. The clock ticks, so that what it does from here on is later.
void fence() {
    uint32_t &clock = warp_clock[current_thread][current_thread % WARP];
    fences[current_thread] = {first_epoch, epoch, current_thread, ++clock};
    clocks_have_run = true;
    for (Taken &each : taken)
        if (each.thread == current_thread && !each.fence) each.fence = epoch;
}

// An atomic of the current thread on a word: it takes over what others have left there, and leaves what it has fenced.
void hand_over(const void *word) {
    std::vector<Handed> &here = handed[word];  // which stays where it is when others are added
    if (!here.empty()) taken.push_back({&here, here.size(), 0, current_thread});
    if (fences[current_thread].first) here.push_back(fences[current_thread]);
}

void begin_launch() {
    if (epoch > UINT32_MAX / 2) {  // long before it starts again from 0, which means nobody
        memset(shared_cells, 0, sizeof shared_cells);
        epoch = 0;
    }
    begin_records();
    if (launch->counting) begin_counting();
    latest = nullptr;
    cells = static_cast<Cell **>(calloc(launch->parameter_count + 1, sizeof(Cell *)));
    for (size_t i = 0; i < launch->parameter_count; i++)
        if (launch->parameters[i].writable)
            cells[i] = static_cast<Cell *>(calloc(launch->parameters[i].bytes / WORD + 1, sizeof(Cell)));
    memset(shared_arrays, 0, sizeof shared_arrays);
    handed.clear();
    shared_end = GAP;
    shared_static = shared_dynamic = 0;
}

void end_launch() {
    for (size_t i = 0; i < launch->parameter_count; i++) free(cells[i]);
    free(cells);
}

// What a block finds in shared memory is whatever the last one left there: here it is NaN, in float and in double.
void begin_block() {
    memset(shared_memory, 0xff, shared_end);
    begin_engines();
    for (unsigned t = 0; t < threads_in_block; t++) copies[t].clear(), groups[t] = 0, fences[t].first = 0;
    taken.clear();
}

// An asynchronous copy arrives at some time between here and the wait. So this counts as a write, and so does the
// arrival, which is as late as it can be; what lies there in the meantime is NaN.
void copy_async(void *shared, const void *global, bool inside, const void *code) {
    Copy copy{static_cast<char *>(shared), {}, groups[current_thread], code};
    if ((reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(global)) % sizeof copy.bytes)
        fail(code, "misaligned: %s copies 16 bytes from or to an address that is no multiple of 16", full_name().text);
    if (inside) {
        check_access(const_cast<void *>(global), sizeof copy.bytes, false, false, code);
        memcpy(copy.bytes, global, sizeof copy.bytes);
    }
    check_access(shared, sizeof copy.bytes, true, false, code);
    memset(shared, 0xff, sizeof copy.bytes);
    copies[current_thread].push_back(copy);
}

void close_group() { groups[current_thread]++; }

void wait_for_groups(unsigned pending) {
    std::vector<Copy> &mine = copies[current_thread];
    size_t arrived = 0;
    for (; arrived < mine.size() && mine[arrived].group + pending < groups[current_thread]; arrived++) {
        access_shared(mine[arrived].to, sizeof mine[arrived].bytes, true, false, mine[arrived].code);
        memcpy(mine[arrived].to, mine[arrived].bytes, sizeof mine[arrived].bytes);
    }
    mine.erase(mine.begin(), mine.begin() + arrived);
}

// The shared array of declaration number `number`, the same for every thread of a block (cuda.h). It lies at a multiple
// of `alignment`, and of nothing larger: a GPU promises no more.
void *shared_array(unsigned number, const char *name, size_t bytes, size_t itemsize, size_t alignment, unsigned line) {
    bool dynamic = bytes == 0;
    if (dynamic) bytes = launch->dynamic_shared;
    if (number >= MAX_SHARED_ARRAYS) fail(nullptr, "line %u: more than %u shared arrays", line, MAX_SHARED_ARRAYS);
    SharedArray &array = shared_arrays[number];
    if (!array.base) {
        (dynamic ? shared_dynamic : shared_static) += bytes;
        const char *has_bytes = "line %u: with %s, the block has %zu bytes of %sshared memory; %zu is the most";
        if (shared_static > STATIC_SHARED_BYTES)
            fail(nullptr, has_bytes, line, name, shared_static, "static ", STATIC_SHARED_BYTES);
        if (shared_static + shared_dynamic > SHARED_BYTES)
            fail(nullptr, has_bytes, line, name, shared_static + shared_dynamic, "", SHARED_BYTES);
        array = {name, shared_memory + shared_end + alignment, bytes, static_cast<uint32_t>(itemsize), true};
        memset(array.base, 0xff, bytes);
        shared_end += (alignment + bytes + 2 * GAP - 1) / GAP * GAP;
    }
    return array.base;
}

}  // namespace emulator

// ---- What the compiler calls before each access

#define SEEN(address, bytes, write) emulator::check_access(address, bytes, write, false, __builtin_return_address(0))
#define ACCESS(bytes)                                                     \
    void __tsan_read##bytes(void *p) { SEEN(p, bytes, false); }           \
    void __tsan_write##bytes(void *p) { SEEN(p, bytes, true); }           \
    void __tsan_volatile_read##bytes(void *p) { SEEN(p, bytes, false); }  \
    void __tsan_volatile_write##bytes(void *p) { SEEN(p, bytes, true); }  \
    void __tsan_unaligned_read##bytes(void *p) { SEEN(p, bytes, false); } \
    void __tsan_unaligned_write##bytes(void *p) { SEEN(p, bytes, true); }

extern "C" {
ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)
void __tsan_read_range(void *p, size_t n) { SEEN(p, n, false); }
void __tsan_write_range(void *p, size_t n) { SEEN(p, n, true); }
void *__tsan_memcpy(void *to, void *from, size_t n) {  // by name in clang
    SEEN(from, n, false);
    SEEN(to, n, true);
    return memcpy(to, from, n);
}
void *__tsan_memset(void *p, int byte, size_t n) {
    SEEN(p, n, true);
    return memset(p, byte, n);
}
void __ubsan_handle_type_mismatch_v1(const void *, const void *) {
    emulator::fail(__builtin_return_address(0), "misaligned: %s takes an address for a wider number than may lie there",
                   emulator::full_name().text);
}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}

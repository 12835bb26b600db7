// What a GPU's memory and warps would make of a launch, counted for each instruction while it runs (counting.py).
//
// A GPU runs the 32 lanes of a warp in step; here they run one after the other. So lanes are put together afterwards:
// between two barriers, the k-th time that a lane comes to an instruction belongs to the k-th time of its warp's other
// lanes. (Where lanes take different ways through a loop, that joins what a GPU might run one after the other.)
//
// The host's compiler loads again what a GPU's keeps in a register. A load is taken for such a one if it is among the
// last REGISTERS different accesses of its thread since the last barrier; a request counts if it is new to a lane.

#include "runtime.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <unordered_map>
#include <vector>

namespace emulator {
namespace counting {

constexpr unsigned SECTOR = 32, LINE = 128, BANKS = 32, BANK = 4, REGISTERS = 32;  // bytes; banks; accesses
constexpr unsigned ARRAY_BIT = 40, BYTES_BIT = 52;  // of a place: offset in the array, which array, bytes

struct Request {  // an instruction of one warp, once
    uint32_t lanes, bytes;
    bool is_new;
    uint64_t place[WARP];
};

struct Instruction {  // one that reads or writes memory
    AccessCounts counts;
    bool touched;
    uint32_t times[MAX_THREADS];  // that each thread has come to it since the last barrier
    std::vector<Request> requests[MAX_THREADS / WARP];
};

struct Straight {  // a basic block: instructions that run one after the other, and its first is the only way in
    StraightCounts counts;
    bool touched;
    uint32_t times[MAX_THREADS];
};

struct Recent {  // what a thread has in registers
    uint64_t places[REGISTERS];
    uint32_t since;
    unsigned next;
};

// Of instructions, by address
template <typename T>
struct Table {
    std::deque<T> all;
    std::unordered_map<uint64_t, T *> known;
    std::vector<T *> touched;  // since the last barrier
    uint64_t cached_key[1024];
    T *cached[1024];  // most look-ups end here

    T &at(uint64_t key, const void *code) {
        size_t slot = key / 2 % 1024;
        if (!cached[slot] || cached_key[slot] != key) {
            T *&found = known[key];
            if (!found) {
                all.emplace_back();
                found = &all.back();
                found->counts.code = reinterpret_cast<uint64_t>(code);
            }
            cached_key[slot] = key, cached[slot] = found;
        }
        T &value = *cached[slot];
        if (!value.touched) value.touched = true, touched.push_back(&value);
        return value;
    }
    void clear() {
        all.clear(), known.clear(), touched.clear();
        memset(cached, 0, sizeof cached);
    }
};

Table<Instruction> instructions;
Table<Straight> straights;
std::unordered_map<uint64_t, uint64_t> tensor_operations;
struct Touched {
    std::vector<bool> sectors[2];  // which were read, and which written
};
std::vector<Touched> arrays;  // of each parameter
Recent recent[MAX_THREADS];

// Whether the current thread made this access lately; it is remembered in any case.
bool made_lately(uint64_t place) {
    Recent &mine = recent[current_thread];
    if (mine.since != epoch) {
        memset(mine.places, 0xff, sizeof mine.places);
        mine.since = epoch, mine.next = 0;
    }
    bool found = false;
    for (uint64_t other : mine.places) found |= other == place;
    if (!found) mine.places[mine.next++ % REGISTERS] = place;
    return found;
}

// How many different pieces of `size` bytes the lanes touch. `pieces`: which, in order.
unsigned pieces_of(const Request &request, unsigned first_lane, unsigned last_lane, unsigned size, uint64_t *pieces) {
    unsigned count = 0;
    for (unsigned lane = first_lane; lane < last_lane; lane++) {
        if (!(request.lanes >> lane & 1)) continue;
        uint64_t last = (request.place[lane] + request.bytes - 1) / size;
        for (uint64_t piece = request.place[lane] / size; piece <= last; piece++) pieces[count++] = piece;
    }
    std::sort(pieces, pieces + count);
    return std::unique(pieces, pieces + count) - pieces;
}

// Of global memory: the sectors that are fetched, as few as would do for so many different bytes, and the lines.
void count_global(AccessCounts &counts, const Request &request) {
    uint64_t pieces[WARP * 16];
    unsigned smallest = request.bytes % 4 ? 1 : 4;
    unsigned wanted = pieces_of(request, 0, WARP, smallest, pieces) * smallest;
    unsigned sectors = pieces_of(request, 0, WARP, SECTOR, pieces), lines = 0;
    for (unsigned i = 0; i < sectors; i++) {
        lines += i == 0 || pieces[i] / (LINE / SECTOR) != pieces[i - 1] / (LINE / SECTOR);
        uint64_t first = pieces[i] * SECTOR, array = first >> ARRAY_BIT;
        std::vector<bool> &seen = arrays[array].sectors[counts.write];
        uint64_t sector = (first & ((uint64_t{1} << ARRAY_BIT) - 1)) / SECTOR;
        if (sector >= seen.size()) seen.resize(sector + 1);
        seen[sector] = true;
    }
    counts.pieces += sectors;
    counts.least += (wanted + SECTOR - 1) / SECTOR;
    counts.turns += lines;
    counts.worst = std::max<uint64_t>(counts.worst, sectors);
}

// Of shared memory: the wavefronts, in which each bank gives one word, to as many lanes as want it; 32 words at most,
// so that 16 bytes for each lane take four, of eight lanes each.
void count_shared(AccessCounts &counts, const Request &request) {
    unsigned together = WARP * BANK / std::clamp(request.bytes, BANK, 16u), turns = 0, least = 0;
    for (unsigned first = 0; first < WARP; first += together) {
        uint64_t words[WARP * 16];
        unsigned count = pieces_of(request, first, first + together, BANK, words), of_bank[BANKS] = {}, most = 0;
        for (unsigned i = 0; i < count; i++) most = std::max(most, ++of_bank[words[i] % BANKS]);
        turns += most, least += most > 0;
    }
    counts.pieces += turns;
    counts.least += least;
    counts.turns += turns;
    counts.worst = std::max<uint64_t>(counts.worst, turns);
}

void count_request(AccessCounts &counts, const Request &request) {
    if (!request.is_new && !counts.write) return void(counts.kept++);
    unsigned lanes = __builtin_popcount(request.lanes);
    counts.requests++;
    counts.lanes += lanes;
    counts.bytes += uint64_t{lanes} * request.bytes;
    counts.shared ? count_shared(counts, request) : count_global(counts, request);
}

}  // namespace counting

using namespace counting;

void count_access(unsigned array, bool shared, uint64_t offset, size_t bytes, bool write, const void *code) {
    // A struct of 12 bytes is copied by three instructions of 4: a GPU has them of 1, 2, 4, 8 and 16 bytes
    size_t at_once = std::min<size_t>(bytes & -bytes, 16);
    for (; bytes > at_once; offset += at_once, bytes -= at_once)
        count_access(array, shared, offset, at_once, write, code);
    uint64_t key = reinterpret_cast<uint64_t>(code) << 2 | uint64_t{write} << 1 | uint64_t{shared};
    Instruction &instruction = instructions.at(key, code);
    instruction.counts.write = write, instruction.counts.shared = shared;
    std::vector<Request> &requests = instruction.requests[current_thread / WARP];
    uint32_t time = instruction.times[current_thread]++;
    if (time >= requests.size()) requests.resize(time + 1);
    Request &request = requests[time];
    uint64_t place = offset | uint64_t{array} << ARRAY_BIT;
    request.lanes |= 1u << current_thread % WARP;
    request.bytes = static_cast<uint32_t>(bytes);
    request.is_new |= !made_lately(place | uint64_t{bytes} << BYTES_BIT | uint64_t{shared} << 63);
    request.place[current_thread % WARP] = place;
}

// A piece of at most 512 bytes that an engine copies from or to global memory, for no lane in particular
void count_engine(const Parameter *array, const char *address, size_t bytes, bool write, const void *code) {
    if (!launch->counting || !array) return;
    auto number = static_cast<uint64_t>(array - launch->parameters);
    AccessCounts &counts = instructions.at(reinterpret_cast<uint64_t>(code) << 2 | uint64_t{write} << 1, code).counts;
    counts.write = write;
    counts.requests++, counts.lanes += WARP, counts.bytes += bytes;
    Request request{0, 16, true, {}};
    for (unsigned lane = 0; lane * 16 < bytes && lane < WARP; lane++) {
        request.lanes |= 1u << lane;
        request.place[lane] = (address - array->base + lane * 16) | number << ARRAY_BIT;
    }
    count_global(counts, request);
}

void count_tensor_operations(unsigned multiply_adds, const void *code) {
    if (launch->counting) tensor_operations[reinterpret_cast<uint64_t>(code)] += multiply_adds;
}

// All threads have come to a barrier or to their end: what they did since the last one is put together.
void close_interval() {
    if (!launch->counting) return;
    unsigned warps = (threads_in_block + WARP - 1) / WARP;
    for (Instruction *instruction : instructions.touched) {
        for (unsigned warp = 0; warp < warps; warp++) {
            for (const Request &request : instruction->requests[warp]) count_request(instruction->counts, request);
            instruction->requests[warp].clear();
        }
        memset(instruction->times, 0, sizeof instruction->times);
        instruction->touched = false;
    }
    instructions.touched.clear();
    for (Straight *straight : straights.touched) {
        for (unsigned warp = 0; warp < warps; warp++) {
            const uint32_t *times = straight->times + warp * WARP;
            auto [least, most] = std::minmax_element(times, times + WARP);
            straight->counts.warps += *most, straight->counts.split += *most - *least;
            for (unsigned lane = 0; lane < WARP; lane++) straight->counts.threads += times[lane];
        }
        memset(straight->times, 0, sizeof straight->times);
        straight->touched = false;
    }
    straights.touched.clear();
}

void begin_counting() {
    instructions.clear(), straights.clear(), tensor_operations.clear();
    arrays.assign(launch->parameter_count, {});
    memset(recent, 0, sizeof recent);
}

}  // namespace emulator

// What the last launch counted, for recording.py: as many as there are if `to` is nullptr, else they are copied there.
// Code addresses become offsets in the library: of the byte before the one where the call would come back to.
namespace emulator {
uint64_t in_library(uint64_t code) {
    Dl_info library;
    bool found = dladdr(reinterpret_cast<void *>(code), &library);
    return found ? code - reinterpret_cast<uint64_t>(library.dli_fbase) - 1 : 0;
}

template <typename T, typename Counts>
uint64_t hand_over(Table<T> &table, Counts *to) {
    for (size_t i = 0; to && i < table.all.size(); i++) {
        to[i] = table.all[i].counts;
        to[i].code = in_library(to[i].code);
    }
    return table.all.size();
}
}  // namespace emulator

extern "C" uint64_t emulator_accesses(emulator::AccessCounts *to) {
    return emulator::hand_over(emulator::instructions, to);
}

extern "C" uint64_t emulator_straights(emulator::StraightCounts *to) {
    return emulator::hand_over(emulator::straights, to);
}

// pairs (code, multiply-adds)
extern "C" uint64_t emulator_tensor_operations(uint64_t *to) {
    for (auto [code, multiply_adds] : emulator::tensor_operations)
        if (to) *to++ = emulator::in_library(code), *to++ = multiply_adds;
    return emulator::tensor_operations.size();
}

// How many sectors of parameter `array` were touched by reading, or by writing
extern "C" uint64_t emulator_sectors(unsigned array, bool write) {
    const std::vector<bool> &seen = emulator::arrays[array].sectors[write];
    return std::count(seen.begin(), seen.end(), true);
}

// What the compiler calls at the beginning of each basic block, in a library that was made to be counted
extern "C" void __sanitizer_cov_trace_pc() {
    using namespace emulator;
    if (!launch || !launch->counting || current_thread >= MAX_THREADS) return;
    const void *code = __builtin_return_address(0);
    straights.at(reinterpret_cast<uint64_t>(code), code).times[current_thread]++;
}

// TMA: boxes of an array, or windows of images, copied to shared memory or back while threads run.
//
// A copy is made as late as can be: when no thread can go on without it. From its beginning until then its destination
// holds NaN.

#include "runtime.h"
#include "tensor_map.cuh"

#include <cstring>
#include <deque>
#include <vector>

namespace emulator {
namespace {

struct BoxCopy {  // begun by `thread`
    TensorMap map;
    int at[5], tap[2];
    char *shared;
    uint64_t *barrier;  // nullptr of a store
    unsigned thread;
    const void *code;
};
std::deque<BoxCopy> box_copies;

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
                 full_name().text, shared_place(reinterpret_cast<char *>(barrier)).text,
                 thread_name(each.by.thread).text);
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

// Whether there was a copy to be made: the oldest one.
bool copies_go_on() {
    if (box_copies.empty()) return false;
    BoxCopy copy = box_copies.front();
    box_copies.pop_front();
    become(copy.thread);
    copy.barrier ? make_load(copy) : make_store(copy);
    return true;
}

void begin_copies() { box_copies.clear(); }

void end_copies() {
    if (!box_copies.empty())
        fail(box_copies.front().code, "block %s ends while a copy that %s has begun goes on",
             block_name(blocks_done).text, full_name(box_copies.front().thread).text);
}

}  // namespace
}  // namespace emulator

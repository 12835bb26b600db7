// Products that a warpgroup, four warps, has tensor cores make of tiles in shared memory, while its threads go on.
//
// As with copies: a product is made as late as can be, when no thread can go on; until then the sums are NaN, and the
// tiles are being read. A descriptor is decoded as the hardware is documented to do it.

#include "runtime.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

namespace emulator {
namespace {

constexpr unsigned GROUP = 4 * WARP, ROWS = 64, COLUMNS = 128, DEPTH = 16, SUMS = ROWS * COLUMNS / GROUP;
constexpr uint32_t IN_FLIGHT = 0x7fffffff;  // the NaN that sums hold

struct Product {
    uint64_t a, b;
    bool a_slow, b_slow, done;
    const void *code;
    unsigned joined;  // of the warpgroup's threads
    float *sums[GROUP];
    bool begins[GROUP];           // with `start`; else with the result of the product before
    float start[GROUP][SUMS];
    std::vector<char *> vectors;  // of 8 numbers, of a, then of b
};

std::deque<std::unique_ptr<Product>> products[MAX_THREADS / GROUP];  // of each warpgroup, of the running block
size_t made[MAX_THREADS / GROUP];
struct Multiplier {
    size_t begun, wanted;
    std::vector<size_t> groups;  // how many had begun when each was closed
    bool fenced;
    const void *code;
} own[MAX_THREADS];

// The vectors of a tile of so many rows (or columns) and 16 k: 2 along k for each row, or, where k is the slow axis,
// rows / 8 along the rows for each k.
void add_vectors(std::vector<char *> &vectors, uint64_t tile, unsigned rows, bool slow, const void *code) {
    constexpr unsigned BITS_OF_MODE[] = {0, 3, 2, 1};
    unsigned bits = BITS_OF_MODE[tile >> 62], width = 16u << bits;  // of a row in shared memory, in bytes
    unsigned from = unsigned(tile & 0x3fff) << 4, leading = unsigned(tile >> 16 & 0x3fff) << 4;
    unsigned stride = unsigned(tile >> 32 & 0x3fff) << 4, along = slow ? rows / 8 : 2, across = slow ? DEPTH : rows;
    if (tile >> 49 & 7) fail(code, "%s gives a tile with a base offset, which is not emulated", full_name().text);
    for (unsigned i = 0; i < across; i++)
        for (unsigned v = 0; v < along; v++) {
            unsigned address = from + i / 8 * stride + i % 8 * width + v * 16 % width + v * 16 / width * leading;
            if (!bits && slow) address = from + i / 8 * leading + i % 8 * 16 + v * stride;  // exchanged there
            vectors.push_back(shared_memory + swizzled(address, bits));
        }
}

void read_tile(char *const *vectors, unsigned rows, bool slow, float *tile) {  // (rows, 16)
    unsigned along = slow ? rows / 8 : 2, across = slow ? DEPTH : rows;
    for (unsigned i = 0; i < across; i++)
        for (unsigned v = 0; v < along; v++) {
            uint16_t numbers[8];
            memcpy(numbers, vectors[i * along + v], sizeof numbers);
            for (unsigned e = 0; e < 8; e++) {
                uint32_t bits = uint32_t{numbers[e]} << 16;
                memcpy(slow ? &tile[(v * 8 + e) * DEPTH + i] : &tile[i * DEPTH + v * 8 + e], &bits, sizeof bits);
            }
        }
}

void make(Product &product, Product *next) {
    static float a[ROWS * DEPTH], b[COLUMNS * DEPTH], c[ROWS][COLUMNS];
    read_tile(product.vectors.data(), ROWS, product.a_slow, a);
    read_tile(product.vectors.data() + ROWS * DEPTH / 8, COLUMNS, product.b_slow, b);
    for (char *vector : product.vectors) end_reading(vector);
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned j = 0; j < COLUMNS; j++) {
            c[i][j] = 0;
            for (unsigned k = 0; k < DEPTH; k++) c[i][j] += a[i * DEPTH + k] * b[j * DEPTH + k];
        }
    for (unsigned t = 0; t < GROUP; t++) {
        for (unsigned s = 0; s < SUMS; s++) {
            unsigned row = t / WARP * 16 + t % WARP / 4 + s % 4 / 2 * 8, column = s / 4 * 8 + t % 4 * 2 + s % 2;
            product.start[t][s] += c[row][column];
            uint32_t now;
            memcpy(&now, &product.sums[t][s], sizeof now);
            if (now != IN_FLIGHT)
                fail(product.code, "%s changes a sum while a product goes on: wait for it", full_name().text);
        }
        bool goes_on = next && !next->begins[t];
        memcpy(goes_on ? next->start[t] : product.sums[t], product.start[t], sizeof product.start[t]);
    }
}

bool products_are_made(unsigned thread) { return made[thread / GROUP] >= own[thread].wanted; }

void complain_of_products(unsigned thread) {
    fail(own[thread].code, "%s waits for a product that not all 128 threads of its warpgroup have begun",
         full_name(thread).text);
}

}  // namespace

void fence_sums() { own[current_thread].fenced = true; }

void multiply_add(float *sums, uint64_t a, uint64_t b, bool a_slow, bool b_slow, const void *code) {
    unsigned group = current_thread / GROUP, thread = current_thread % GROUP;
    if ((group + 1) * GROUP > threads_in_block)
        fail(code, "%s multiplies, but is in no warpgroup of 128 threads", full_name().text);
    Multiplier &self = own[current_thread];
    if (!self.fenced) fail(code, "%s multiplies with no fence_sums before", full_name().text);
    if (self.begun == products[group].size()) {
        products[group].push_back(std::make_unique<Product>());
        Product &product = *products[group].back();
        memset(product.begins, true, sizeof product.begins);
        product.a = a, product.b = b, product.a_slow = a_slow, product.b_slow = b_slow, product.code = code;
        add_vectors(product.vectors, a, ROWS, a_slow, code);
        add_vectors(product.vectors, b, COLUMNS, b_slow, code);
        for (char *vector : product.vectors) begin_reading(vector, code);
    }
    size_t number = self.begun++;
    Product &product = *products[group][number];
    if (product.a != a || product.b != b || product.code != code)
        fail(code, "%s multiplies other tiles, or elsewhere, than other threads of its warpgroup", full_name().text);
    Product *before = number > made[group] ? products[group][number - 1].get() : nullptr;
    product.sums[thread] = sums;
    product.begins[thread] = !before || before->sums[thread] != sums;
    product.joined++;
    if (!product.begins[thread]) return;
    memcpy(product.start[thread], sums, sizeof product.start[thread]);
    for (unsigned s = 0; s < SUMS; s++) memcpy(&sums[s], &IN_FLIGHT, sizeof IN_FLIGHT);
}

void close_products() { own[current_thread].groups.push_back(own[current_thread].begun); }

void wait_for_products(unsigned pending, const void *code) {
    Multiplier &self = own[current_thread];
    self.wanted = self.groups.size() > pending ? self.groups[self.groups.size() - 1 - pending] : 0;
    self.code = code;
    self.fenced = false;
    wait_until(products_are_made, complain_of_products);
}

namespace {

// Whether there was a product to be made: one that a thread waits for.
bool products_go_on() {
    for (unsigned group = 0; group * GROUP + GROUP <= threads_in_block; group++) {
        size_t number = made[group];
        if (number == products[group].size() || products[group][number]->joined < GROUP) continue;
        bool wanted = false;
        for (unsigned t = group * GROUP; t < (group + 1) * GROUP; t++) wanted |= own[t].wanted > number;
        if (!wanted) continue;
        become(group * GROUP);
        made[group]++;
        Product *next = made[group] < products[group].size() ? products[group][made[group]].get() : nullptr;
        make(*products[group][number], next);
        products[group][number]->vectors.clear();
        return true;
    }
    return false;
}

void begin_products() {
    for (unsigned group = 0; group * GROUP < threads_in_block; group++) products[group].clear(), made[group] = 0;
    for (unsigned t = 0; t < threads_in_block; t++) own[t] = {};
}

void end_products() {
    for (unsigned group = 0; group * GROUP < threads_in_block; group++)
        if (made[group] < products[group].size())
            fail(products[group][made[group]]->code, "block %s ends while a product goes on: close and wait for it",
                 block_name(blocks_done).text);
}

}  // namespace

// ---- All engines: what the scheduler calls

void begin_engines() {
    begin_asynchronous();
    begin_copies();
    begin_products();
}

bool engines_go_on() { return copies_go_on() || products_go_on(); }

void end_engines() {
    end_copies();
    end_products();
}

}  // namespace emulator

// What the emulator's parts know of each other: who runs now, and how a launch is given up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace emulator {

constexpr unsigned WARP = 32, MAX_THREADS = 1024;
constexpr size_t STATIC_SHARED_BYTES = 48 << 10;  // what a block's declared arrays can have
constexpr size_t SHARED_BYTES = 227 << 10;        // with those of a size that the launch gives: the most of any GPU

struct Index {
    unsigned x, y, z;
};

}  // namespace emulator

extern emulator::Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

// An array handed to the launch. Python lists the arrays that the kernel may write first.
struct Parameter {
    const char *name;
    char *base;
    uint64_t bytes;
    uint32_t itemsize, writable;
};

struct Launch {
    void (*kernel)(void **arguments);
    void **arguments;
    Index grid, block;
    uint64_t dynamic_shared;
    const Parameter *parameters;
    uint64_t parameter_count;
    uint64_t record_limit;  // how many accesses to record at most; 0: none
    uint64_t counting;      // whether to count what each instruction does (counting.cpp)
};

// An access of a launch that records.
struct Record {
    uint64_t offset, block;  // bytes from the array's beginning; the thread's block, counted from 0
    uint32_t code, bytes;    // which instruction
    uint32_t epoch;          // between which two barriers
    uint16_t thread, array;  // the number of the parameter, or of the shared array's declaration
    bool write, shared;
};

// What an instruction that accesses memory did, of requests: the lanes of one warp, at one time.
struct AccessCounts {
    uint64_t code;              // where
    uint64_t requests, lanes;   // lanes: of all requests
    uint64_t pieces, least;     // sectors of global memory, or wavefronts of shared memory; and as few as would do
    uint64_t turns;             // that they keep a multiprocessor's memory pipeline: lines, or wavefronts
    uint64_t worst;             // pieces of one request
    uint64_t bytes;             // of all lanes
    uint64_t kept;              // further requests, for what a GPU has in registers
    uint64_t write, shared;
};

// How often a basic block ran: in all threads; in warps; and in warps of which some lanes were elsewhere.
struct StraightCounts {
    uint64_t code, threads, warps, split;
};

struct Report {
    char text[1000];
    uint64_t offset;  // of the code in its library, for the line number; 0 where the text has it already
};

extern const Launch *launch;  // the one that runs
extern char *stacks;          // of all fibers; nullptr before the first launch
constexpr size_t STACK_BYTES = 256 << 10;

// The thread that runs now, counted from 0 in its block, and the clocks of barriers (memory.cpp reads them).
extern unsigned current_thread, threads_in_block;
extern uint32_t epoch;                          // grows at each block's start and each __syncthreads
extern uint32_t first_epoch;                    // of this block
extern uint32_t warp_clock[MAX_THREADS][WARP];  // [t][l]: what thread t knows of lane l of its warp
extern bool clocks_have_run;                    // since they were last set back
extern uint64_t blocks_done;                    // blocks before this one

// Memory (memory.cpp)
void begin_launch();
void begin_block();
void end_launch();
const char *shared_name(unsigned number);  // nullptr of one that no thread has reached

// Engines, which work while threads run (asynchronous.cpp, tma.cpp, wgmma.cpp)
extern unsigned busy_vectors;  // of shared memory, 16 bytes each, that an engine reads or writes
void begin_engines();          // of a block
void end_engines();            // reports what still goes on
bool engines_go_on();          // whether there was something to be done
void check_engines(char *address, size_t bytes, bool write, const void *code);  // a thread's own access
void begin_reading(char *vector, const void *code);                             // by an engine
void end_reading(char *vector);
unsigned swizzled(unsigned address, unsigned bits);

// Let the current thread wait until holds() of it, or complain() where nobody can go on; run on as one (fibers.cpp)
void wait_until(bool (*holds)(unsigned thread), void (*complain)(unsigned thread));
void become(unsigned thread);

// Its record (record.cpp)
void begin_records();
void record(const Record &access, const void *code);

// Its counts (counting.cpp)
void begin_counting();
void count_access(unsigned array, bool shared, uint64_t offset, size_t bytes, bool write, const void *code);
void count_engine(const Parameter *array, const char *address, size_t bytes, bool write, const void *code);  // TMA
void close_interval();  // at each barrier and at each block's end

// Give the launch up with a report (fibers.cpp). `code`: an address in the kernel, or nullptr.
[[noreturn]] void fail(const void *code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// "(1, 0, 0)" for thread number `thread` of a block, or block number `block` of the grid
struct Text {
    char text[96];
};

inline Text place(uint64_t number, const Index &sizes) {
    Text name;
    unsigned x = number % sizes.x, y = number / sizes.x % sizes.y, z = number / sizes.x / sizes.y;
    snprintf(name.text, sizeof name.text, "(%u, %u, %u)", x, y, z);
    return name;
}

inline Text thread_name(unsigned thread) { return place(thread, blockDim); }

inline Text block_name(uint64_t block) { return place(block, gridDim); }

// "thread (1, 0, 0) of block (0, 0, 0)": one of the block that runs now
inline Text full_name(unsigned thread = current_thread) {
    Text name;
    snprintf(name.text, sizeof name.text, "thread %s of block %s", thread_name(thread).text,
             block_name(blocks_done).text);
    return name;
}

}  // namespace emulator

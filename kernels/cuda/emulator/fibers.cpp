// The emulator's scheduler: each CUDA thread of a block is a fiber, blocks run one after the other.
//
// A fiber runs one thread after the other for as long as none of them has to wait. Only a thread that waits at a
// barrier keeps its fiber, and another fiber goes on with the threads that have not begun. So a kernel without
// barriers needs one fiber and no switch at all, and one with barriers a switch for each thread and barrier.
//
// When nobody can run any more, either everybody is done or a barrier was not reached by all: a report.

#include "runtime.h"

#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>

emulator::Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

unsigned current_thread, threads_in_block;
uint32_t epoch, first_epoch, warp_clock[MAX_THREADS][WARP];
bool clocks_have_run;
uint64_t blocks_done;
const Launch *launch;
char *stacks;

namespace {

constexpr size_t GUARD_BYTES = 64 << 10;  // the guard is a multiple of any page size

struct Fiber {
    ucontext_t start;
    jmp_buf here;
    bool started;
};

enum State : char { NOT_BEGUN, RUNNING, AT_BARRIER, AT_WARP, AT_ENGINE, DONE };

struct Thread {
    State state;
    Fiber *fiber;
    unsigned line;    // where it waits
    unsigned mask;    // the lanes it waits for
    unsigned source;  // the lane whose value it asks for
    uint64_t value;   // what it offers to the others, and then what it got
    unsigned ballot;  // the lanes whose value was not 0
    bool (*holds)(unsigned thread);     // AT_ENGINE: what it waits for,
    void (*complain)(unsigned thread);  // and what is said if that never comes
};

Fiber fibers[MAX_THREADS], *current_fiber, *idle[MAX_THREADS];
unsigned idle_count;
Thread threads[MAX_THREADS];
unsigned ready[MAX_THREADS], ready_count;  // threads that may go on
unsigned next_thread, waiting_at_barrier;
unsigned collected[MAX_THREADS / WARP][2][WARP][6];  // of each warp, in turns: see warp_collect
unsigned char turn[MAX_THREADS];
Report *report;
jmp_buf scheduler, launcher;

void set_current(unsigned thread) {
    current_thread = thread;
    threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
}

// ---- Fibers. ucontext makes a stack; switching is by _setjmp and _longjmp, which make no system call.

__attribute__((noinline)) void pause_fiber() {
    if (!_setjmp(current_fiber->here)) _longjmp(scheduler, 1);
}

void fiber_main() {
    for (;;) {
        while (next_thread < threads_in_block) {
            unsigned thread = next_thread++;
            threads[thread] = {RUNNING, current_fiber, 0, 0, 0, 0, 0, nullptr, nullptr};
            set_current(thread);
            launch->kernel(launch->arguments);
            threads[current_thread].state = DONE;
        }
        idle[idle_count++] = current_fiber;
        pause_fiber();
    }
}

__attribute__((noinline)) void resume(Fiber *fiber) {
    current_fiber = fiber;
    if (_setjmp(scheduler)) return;
    if (fiber->started) _longjmp(fiber->here, 1);
    fiber->started = true;
    getcontext(&fiber->start);
    fiber->start.uc_stack.ss_sp = stacks + (fiber - fibers) * STACK_BYTES + GUARD_BYTES;
    fiber->start.uc_stack.ss_size = STACK_BYTES - GUARD_BYTES;
    fiber->start.uc_link = nullptr;
    makecontext(&fiber->start, fiber_main, 0);
    setcontext(&fiber->start);
}

void make_stacks() {
    size_t bytes = MAX_THREADS * STACK_BYTES;
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail(nullptr, "no memory for the stacks of %u threads", MAX_THREADS);
    stacks = static_cast<char *>(memory);
    for (unsigned i = 0; i < MAX_THREADS; i++) mprotect(stacks + i * STACK_BYTES, GUARD_BYTES, PROT_NONE);
}

// ---- Barriers

void wait(State state, unsigned line) {
    threads[current_thread].state = state;
    threads[current_thread].line = line;
    pause_fiber();
}

void let_go(unsigned thread) {
    threads[thread].state = RUNNING;
    if (thread != current_thread) ready[ready_count++] = thread;
}

bool waits_in_warp(unsigned thread) { return threads[thread].state == AT_WARP; }

// Whether everybody whom thread `thread` waits for in its warp is there; if so, hand out the values and let them go.
bool warp_meets(unsigned thread) {
    unsigned base = thread / WARP * WARP, mask = threads[thread].mask, present = 0, ballot = 0;
    for (unsigned lane = 0; lane < WARP && base + lane < threads_in_block; lane++) {
        const Thread &other = threads[base + lane];
        if (!(mask >> lane & 1) || other.state == DONE) continue;
        if (!waits_in_warp(base + lane) || other.mask != mask || other.line != threads[thread].line) return false;
        present |= 1u << lane;
        if (other.value) ballot |= 1u << lane;
    }
    uint64_t values[WARP];
    uint32_t latest[WARP] = {};
    for (unsigned lane = 0; lane < WARP; lane++) {
        if (!(present >> lane & 1)) continue;
        values[lane] = threads[base + lane].value;
        for (unsigned l = 0; l < WARP; l++)
            if (warp_clock[base + lane][l] > latest[l]) latest[l] = warp_clock[base + lane][l];
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
        if (!(present >> lane & 1)) continue;
        Thread &other = threads[base + lane];
        other.value = present >> other.source & 1 ? values[other.source] : ~uint64_t{0};  // undefined: NaN, or -1
        other.ballot = ballot;
        memcpy(warp_clock[base + lane], latest, sizeof latest);
        warp_clock[base + lane][lane]++;
        let_go(base + lane);
    }
    clocks_have_run = true;
    return true;
}

void report_deadlock() {
    for (unsigned t = 0; t < threads_in_block; t++)
        if (threads[t].state == AT_ENGINE) threads[t].complain(t);
    unsigned waiting = 0, absent = 0;
    while (threads[waiting].state != AT_BARRIER && threads[waiting].state != AT_WARP) waiting++;
    const Thread &stuck = threads[waiting];
    if (stuck.state == AT_BARRIER) {
        while (threads[absent].state == AT_BARRIER) absent++;
        if (threads[absent].state == DONE)
            fail(nullptr,
                 "%s waits at the barrier in line %u, but thread %s has returned: every thread of a block must reach "
                 "every barrier", full_name(waiting).text, stuck.line, thread_name(absent).text);
    } else {
        auto with_it = [&](const Thread &t) {
            return t.state == AT_WARP && t.mask == stuck.mask && t.line == stuck.line;
        };
        unsigned base = absent = waiting / WARP * WARP;
        while (!(stuck.mask >> (absent - base) & 1) || threads[absent].state == DONE || with_it(threads[absent]))
            absent++;
    }
    fail(nullptr, "%s waits in line %u and thread %s in line %u: neither can go on", full_name(waiting).text,
         stuck.line, thread_name(absent).text, threads[absent].line);
}

// Whether an exited lane was the last one that a warp waited for.
bool some_warp_meets() {
    for (unsigned t = 0; t < threads_in_block; t++)
        if (waits_in_warp(t) && warp_meets(t)) return true;
    return false;
}

// Whether an engine has done, or threads have, what others wait for.
bool some_wait_is_over() {
    for (unsigned t = threads_in_block; t-- > 0;)
        if (threads[t].state == AT_ENGINE && threads[t].holds(t)) let_go(t);
    return ready_count > 0;
}

bool all_are_done() {
    for (unsigned t = 0; t < threads_in_block; t++)
        if (threads[t].state != DONE) return false;
    return true;
}

void run_block() {
    epoch++;
    first_epoch = epoch;
    next_thread = waiting_at_barrier = ready_count = 0;
    if (clocks_have_run || blocks_done == 0) {
        memset(warp_clock, 0, threads_in_block * sizeof warp_clock[0]);
        for (unsigned t = 0; t < threads_in_block; t++) warp_clock[t][t % WARP] = 1;
        clocks_have_run = false;
    }
    for (unsigned t = 0; t < threads_in_block; t++) threads[t].state = NOT_BEGUN, turn[t] = 0;
    begin_block();
    for (;;) {
        current_thread = MAX_THREADS;  // none
        if (ready_count) {
            unsigned thread = ready[--ready_count];
            set_current(thread);
            resume(threads[thread].fiber);
        } else if (next_thread < threads_in_block) {
            resume(idle[--idle_count]);
        } else if (all_are_done()) {
            close_interval();
            return end_engines();
        } else if (!some_warp_meets() && !some_wait_is_over() && !engines_go_on()) {
            report_deadlock();
        }
    }
}

}  // namespace

void fail(const void *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->text, sizeof report->text, format, arguments);
    va_end(arguments);
    Dl_info library;
    bool found = code && dladdr(code, &library);
    report->offset = found ? static_cast<const char *>(code) - static_cast<const char *>(library.dli_fbase) - 1 : 0;
    _longjmp(launcher, 1);
}

void become(unsigned thread) { set_current(thread); }

void wait_until(bool (*holds)(unsigned thread), void (*complain)(unsigned thread)) {
    if (holds(current_thread)) return;
    threads[current_thread].holds = holds;
    threads[current_thread].complain = complain;
    wait(AT_ENGINE, 0);
}

// ---- What kernels call (cuda.h)

void block_barrier(unsigned line) {
    threads[current_thread].line = line;
    if (++waiting_at_barrier < threads_in_block) return wait(AT_BARRIER, line);
    for (unsigned t = 0; t < threads_in_block; t++)
        if (threads[t].line != line)
            fail(nullptr,
                 "the threads of block %s wait at different barriers: thread %s in line %u, thread %s in line %u",
                 block_name(blocks_done).text, thread_name(t).text, threads[t].line, thread_name(current_thread).text,
                 line);
    close_interval();
    epoch++;
    waiting_at_barrier = 0;
    for (unsigned t = threads_in_block; t-- > 0;) let_go(t);
}

uint64_t warp_exchange(unsigned line, unsigned mask, unsigned source, uint64_t value, unsigned *ballot) {
    Thread &self = threads[current_thread];
    if (!(mask >> current_thread % WARP & 1))
        fail(nullptr, "%s, line %u, is not in the mask 0x%08x that it gives", full_name().text, line, mask);
    self = {AT_WARP, self.fiber, line, mask, source, value, 0, nullptr, nullptr};
    if (!warp_meets(current_thread)) wait(AT_WARP, line);
    *ballot = self.ballot;
    return self.value;
}

// What every lane of this warp has brought. A lane that goes on to the next call does not overwrite what others still
// read: that is the other turn, and the one after it begins when all have come to it.
const unsigned (*warp_collect(unsigned line, const unsigned (&mine)[6]))[6] {
    unsigned ballot, (&to)[WARP][6] = collected[current_thread / WARP][turn[current_thread] ^= 1];
    memcpy(to[current_thread % WARP], mine, sizeof mine);
    warp_exchange(line, ~0u, current_thread % WARP, 1, &ballot);
    if (ballot != ~0u)
        fail(nullptr, "line %u: %s multiplies matrices, but the warp's lanes are not all there", line,
             full_name().text);
    return to;
}

unsigned lanes_running() {
    unsigned base = current_thread / WARP * WARP, mask = 0;
    for (unsigned lane = 0; lane < WARP && base + lane < threads_in_block; lane++)
        if (threads[base + lane].state != DONE) mask |= 1u << lane;
    return mask;
}

void assertion_failed(const char *condition, unsigned line) {
    fail(nullptr, "%s, line %u: assertion failed: %s", full_name().text, line, condition);
}

}  // namespace emulator

// Run every block of a launch; 0, or 1 with a report of what went wrong. One launch at a time.
extern "C" int emulator_launch(const emulator::Launch *given, emulator::Report *written) {
    using namespace emulator;
    launch = given;
    report = written;
    gridDim = given->grid;
    blockDim = given->block;
    threads_in_block = blockDim.x * blockDim.y * blockDim.z;
    int failed = _setjmp(launcher);
    if (!failed) {
        if (!stacks) make_stacks();
        idle_count = 0;
        for (unsigned i = MAX_THREADS; i-- > 0;) idle[idle_count++] = &fibers[i];
        begin_launch();
        uint64_t blocks = uint64_t{gridDim.x} * gridDim.y * gridDim.z;
        for (blocks_done = 0; blocks_done < blocks; blocks_done++) {
            blockIdx = {static_cast<unsigned>(blocks_done % gridDim.x),
                        static_cast<unsigned>(blocks_done / gridDim.x % gridDim.y),
                        static_cast<unsigned>(blocks_done / gridDim.x / gridDim.y)};
            run_block();
        }
    } else {
        for (Fiber &fiber : fibers) fiber.started = false;  // they stand in the middle of a kernel
    }
    end_launch();
    return failed;
}

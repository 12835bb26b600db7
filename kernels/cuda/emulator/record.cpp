// The emulator's memory: each access of a launch, one after the other, where the launch asks for that (recording.py).

#include "runtime.h"

#include <sys/mman.h>

namespace emulator {
namespace {

Record *records;
uint64_t count;

}  // namespace

void begin_records() {
    count = 0;
    if (!launch->record_limit) return;
    size_t bytes = launch->record_limit * sizeof(Record);  // addresses: only what is written takes memory
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail(nullptr, "no memory for a record of %zu bytes", bytes);
    records = static_cast<Record *>(memory);
}

void record(const Record &access, const void *code) {
    if (!launch->record_limit) return;
    if (count == launch->record_limit)
        fail(code, "more than %llu accesses to record: take smaller arrays",
             static_cast<unsigned long long>(launch->record_limit));
    records[count++] = access;
}

}  // namespace emulator

// The name of shared array number `number` of the last launch, or nullptr.
extern "C" const char *emulator_shared_name(unsigned number) { return emulator::shared_name(number); }

// What the last launch has recorded, `*found` of them, to be handed back by emulator_forget.
extern "C" const emulator::Record *emulator_records(uint64_t *found) {
    *found = emulator::count;
    return emulator::records;
}

extern "C" void emulator_forget(uint64_t limit) {
    using namespace emulator;
    if (records) munmap(records, limit * sizeof(Record));
    records = nullptr;
    count = 0;
}

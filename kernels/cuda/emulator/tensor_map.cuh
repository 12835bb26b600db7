// What a tensor map says, for the emulator; on a GPU it is the driver's secret. hopper.py writes both.

struct alignas(64) TensorMap {
    unsigned long long address, strides[4];  // strides: in bytes, of axes 1, 2, ...; axis 0 has no gaps
    unsigned sizes[5];                       // elements along each axis, the fastest axis first
    unsigned short box[5];                   // elements of a box, likewise; of windows: channels, and positions
    unsigned short steps[5];                 // of windows: from a position to the next, along each axis
    short lower[3], upper[3];                // where windows begin, from the first pixel, and end, from the last one
    unsigned char axes, windows, swizzle, itemsize;  // swizzle: how many bits of an address it changes
};
static_assert(sizeof(TensorMap) == 128);

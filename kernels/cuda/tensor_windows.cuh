// What the convolutions on tensor cores copy: windows of channels-last images, and filters, straight to where the
// pipeline multiplies them. im2col's matrix is nowhere in memory.
//
// Images (N, H, W, pitch) have the channels of a group side by side, from a vector's beginning on. Filters are packed:
// (groups * OG, taps, channels), `channels` being a group's CG with zeros up to a whole vector. Both directions of a
// convolution read them so: forward, k is (tap, channel) and lies along a filter; for grad_x, k is (tap, filter) and
// lies across the channels.

// One of the two directions of an image: result p sees with tap t what lies at p * stride + offset + t * step, and lies
// itself at first + p * spacing.
struct Axis {
    int results, size, taps, stride, offset, step;  // size: of the images that are seen
    int first = 0, spacing = 1;
};

// The results of one tile of rows, worked out by a thread each: all divisions are here, none in a loop. In shared memory
// they are vectors.
struct Position {
    int image, top, left, result;  // what tap (0, 0) sees; where in its image the result lies; image -1: there is none
    __device__ static Position at(const int4 *positions, int row) {
        int4 p = positions[row];
        return {p.x, p.y, p.z, p.w};
    }
};

// Of number `position` of the N images' results, which lie in images of that width.
__device__ int4 position_of(int position, int N, Axis down, Axis across, int width) {
    int area = down.results * across.results, image = area ? position / area : N;
    if (image >= N) return make_int4(-1, -(1 << 30), 0, 0);  // above all images: zeros are copied
    int row = position % area / across.results, column = position % across.results;
    return make_int4(image, row * down.stride + down.offset, column * across.stride + across.offset,
                     (down.first + row * down.spacing) * width + across.first + column * across.spacing);
}

// k as three digits: ((u * taps across) + v) * channels + channel. A step is added digit by digit, with carries.
struct Tap {
    int u, v, channel;

    __device__ static Tap of(int k, int channels, int across) {
        int tap = k / channels;
        return {tap / across, tap % across, k % channels};
    }
    __device__ void add(Tap step, int channels, int across) {
        channel += step.channel, v += step.v, u += step.u;
        if (channel >= channels) channel -= channels, v++;
        if (v >= across) v -= across, u++;
    }
};

// A thread's copies of windows, as Matrix: the rows are positions, k counts (u, v, channel).
template <typename T>
struct Windows {
    static constexpr int COPIES = ROWS * 4 / THREADS, STEP = THREADS / 4;
    const T *images;
    int pixel[COPIES], top[COPIES], left[COPIES];  // what tap (0, 0) of its rows sees: perhaps outside the image
    int place, channels, pitch, k_left;
    Axis down, across;
    Tap tap, step;

    __device__ Windows(const T *images, const int4 *positions, int channels, int pitch, Axis down, Axis across,
                       int first_k, int last_k)
        : images(images), place(slot(threadIdx.x / 4, threadIdx.x % 4)), channels(channels), pitch(pitch), down(down),
          across(across) {
        for (int r = 0; r < COPIES; r++) {
            Position p = Position::at(positions, threadIdx.x / 4 + r * STEP);
            top[r] = p.top, left[r] = p.left;
            pixel[r] = p.image < 0 ? 0 : (p.image * down.size + p.top) * across.size + p.left;
        }
        int k = first_k + threadIdx.x % 4 * PER_VECTOR<T>;
        tap = Tap::of(k, channels, across.taps), step = Tap::of(PER_TILE<T>, channels, across.taps);
        k_left = last_k - k;
    }
    __device__ void copy(unsigned *tile) {
        int below = tap.u * down.step, beside = tap.v * across.step, there = below * across.size + beside;
        const T *at_channel = images + tap.channel;
        for (int r = 0; r < COPIES; r++) {
            unsigned h = top[r] + below, w = left[r] + beside;  // above and left of the image: huge numbers
            bool inside = k_left > 0 && h < unsigned(down.size) && w < unsigned(across.size);
            copy_async(tile + place + r * STEP * WORDS, at_channel + (long long)(pixel[r] + there) * pitch, inside);
        }
        tap.add(step, channels, across.taps);
        k_left -= PER_TILE<T>;
    }
};

// grad_x with a stride, by phases: the pixels h = phase, phase + S, ... are seen by the same taps, every `every`-th from
// a first one on (or by none), from outputs that lie side by side: (h + P - u * D) / S. Each phase is a convolution of
// stride 1 with these taps, and nothing is multiplied by the zeros between two outputs. size: of x; outputs: of grad_out
__device__ Axis phase_of(int phase, int size, int outputs, int K, int S, int P, int D, int every, int &first_tap) {
    first_tap = 0;
    while (first_tap < K && (phase + P - first_tap * D) % S != 0) first_tap++;
    int taps = (K - first_tap + every - 1) / every;
    return {(size - phase + S - 1) / S, outputs, taps, 1, (phase + P - first_tap * D) / S, -every * D / S, phase, S};
}

// Which tap of a filter is tap (u, v) of those that a result of grad_x sees: first + u * down + v * across.
struct Taps {
    int first, down, across, all;  // all: how many a filter has
};

// A thread's copies of filters for grad_x: the columns are channels, k counts (u, v, filter), and lies across them. All
// are of one k, LANES vectors apart, so that it is found once. Of 8 threads that write at once, 4 have the next k: they
// begin with the vectors that the others take second, or two would want the same banks.
template <typename T, int SIDE>
struct Filters {
    static constexpr int LANES = THREADS / PER_TILE<T>, COPIES = SIDE / PER_VECTOR<T> / LANES;  // LANES: threads of a k
    const T *filters;  // the first of the group
    Tap tap, step;
    Taps taps;
    int count, padded, channel, channels, taps_across, place, k_left;  // count: of filters; padded: to whole vectors
    int turn;

    __device__ Filters(const T *weight, Taps taps, int first, int channels, int count, int padded, int taps_across,
                       int first_k, int last_k)
        : filters(weight), taps(taps), count(count), padded(padded), channels(channels), taps_across(taps_across) {
        int k = threadIdx.x / LANES, vector = threadIdx.x % LANES;  // [0, PER_TILE), [0, LANES)
        turn = LANES == 4 ? k % 2 : 0;
        channel = first + vector * PER_VECTOR<T>;
        place = slot_across<T, SIDE>(k, vector + turn * LANES);
        tap = Tap::of(first_k + k, padded, taps_across), step = Tap::of(PER_TILE<T>, padded, taps_across);
        k_left = last_k - first_k - k;
    }
    __device__ void copy(unsigned *tile) {
        int number = tap.channel * taps.all + taps.first + tap.u * taps.down + tap.v * taps.across;
        const T *from = filters + number * channels;
        bool there = k_left > 0 && tap.channel < count;
        for (int r = 0; r < COPIES; r++) {
            int c = channel + (r ^ turn) * LANES * PER_VECTOR<T>;
            copy_async(tile + (place ^ r * LANES * 4), from + c, there && c < channels);
        }
        tap.add(step, padded, taps_across);
        k_left -= PER_TILE<T>;
    }
};

// A thread's copies for grad_weight, whose k are the positions (n, oh, ow): one vector of each of COPIES positions, of
// the channels that one tap sees from there.
template <typename T, int SIDE>
struct Positions {
    static constexpr int VECTORS = SIDE / PER_VECTOR<T>;
    static constexpr int COPIES = PER_TILE<T> * VECTORS / THREADS, STEP = THREADS / VECTORS;  // STEP: in positions
    static constexpr int ROW_WORDS = SIDE * int(sizeof(T)) / 4;
    const T *numbers;  // at this thread's channel
    Tap at[COPIES], step;  // the positions as digits: u the image, v oh, channel ow
    Axis down, across;  // offset: with that of this thread's tap
    int pitch, place, k_left;
    bool inside;

    __device__ Positions(const T *numbers, bool inside, int pitch, Axis down, Axis across, int first_k, int last_k)
        : numbers(numbers), down(down), across(across), pitch(pitch),
          place(slot_across<T, SIDE>(threadIdx.x / VECTORS, threadIdx.x % VECTORS)), inside(inside) {
        int k = first_k + threadIdx.x / VECTORS;
        for (int r = 0; r < COPIES; r++) at[r] = Tap::of(k + r * STEP, across.results, down.results);
        step = Tap::of(PER_TILE<T>, across.results, down.results);
        k_left = last_k - k;
    }
    __device__ void copy(unsigned *tile) {
        for (int r = 0; r < COPIES; r++) {
            int h = at[r].v * down.stride + down.offset, w = at[r].channel * across.stride + across.offset;
            bool there = inside && k_left > r * STEP && unsigned(h) < unsigned(down.size) &&
                         unsigned(w) < unsigned(across.size);
            int pixel = (at[r].u * down.size + h) * across.size + w;
            copy_async(tile + place + r * STEP * ROW_WORDS,
                       numbers + (long long)pixel * pitch, there);
            at[r].add(step, across.results, down.results);
        }
        k_left -= PER_TILE<T>;
    }
};

// The same of a matrix (positions, pitch), grad_out: no windows, so that a pointer goes on from tile to tile.
template <typename T, int SIDE>
struct Rows {
    static constexpr int VECTORS = SIDE / PER_VECTOR<T>;
    static constexpr int COPIES = PER_TILE<T> * VECTORS / THREADS, STEP = THREADS / VECTORS;
    static constexpr int ROW_WORDS = SIDE * int(sizeof(T)) / 4;
    const T *next;
    int pitch, place, k_left;
    bool inside;

    __device__ Rows(const T *numbers, bool inside, int pitch, int first_k, int last_k) 
        : pitch(pitch), place(slot_across<T, SIDE>(threadIdx.x / VECTORS, threadIdx.x % VECTORS)), inside(inside) {
        int k = first_k + threadIdx.x / VECTORS;
        next = numbers + (long long)k * pitch;
        k_left = last_k - k;
    }
    __device__ void copy(unsigned *tile) {
        for (int r = 0; r < COPIES; r++)
            copy_async(tile + place + r * STEP * ROW_WORDS,
                       next + (long long)r * STEP * pitch, inside && k_left > r * STEP);
        next += (long long)PER_TILE<T> * pitch, k_left -= PER_TILE<T>;
    }
};

// ---- The three products, whatever becomes of the sums

struct Geometry {  // OC = groups * OG filters of CG channels. channels: CG, filled up to whole vectors; filters: OG, likewise
    int N, groups, OG, CG, channels, filters, x_pitch, grad_pitch, H, W, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW;
};

struct Splits {  // of k, of `length` each; where their sums go, and who counts them
    float *parts;
    unsigned *arrivals;
    int length, count;

    template <int COLUMNS>
    __device__ bool add(Sums<COLUMNS> &sum, int tile, int split) const {
        long long before = (long long)tile * count;  // the splits of other tiles
        return add_splits(sum, parts + before * ROWS * COLUMNS, arrivals + before, split, count);
    }
};

// Which of the results are this thread block's. blockIdx.x counts tiles, those of a row of tiles one after the other: they
// read the same windows.
struct Place {
    int group, row, column;
    __device__ Place(int columns, int width) : group(blockIdx.y) {
        int tiles = (columns + width - 1) / width;  // of a row of them
        row = blockIdx.x / tiles * ROWS, column = blockIdx.x % tiles * width;
    }
};

template <int COLUMNS>
__device__ int4 *shared_positions() {
    return reinterpret_cast<int4 *>(shared_memory() + STAGES * STAGE_WORDS<COLUMNS>);
}

// Forward: rows are the N * OH * OW positions, columns a group's filters, k counts (tap, channel).
//    store(sum, place, positions) for the block that has the sums
//    Launch    grid (tiles of rows * tiles of columns, groups, splits), block THREADS, shared STAGES tiles and a Position
//              for each row
template <typename T, int COLUMNS, typename Store>
__device__ void forward(const T *x, const T *weight, Geometry g, Splits splits, Store store) {
    Axis down = {g.OH, g.H, g.KH, g.SH, -g.PT, g.DH}, across = {g.OW, g.W, g.KW, g.SW, -g.PL, g.DW};
    Place place(g.OG, COLUMNS);
    int4 *positions = shared_positions<COLUMNS>();
    positions[threadIdx.x] = position_of(place.row + threadIdx.x, g.N, down, across, g.OW);
    __syncthreads();
    int K = g.KH * g.KW * g.channels, first_k = blockIdx.z * splits.length, last_k = min(first_k + splits.length, K);
    Windows<T> windows(x + place.group * g.channels, positions, g.channels, g.x_pitch, down, across, first_k, last_k);
    Matrix<T, COLUMNS> rows(weight + (long long)place.group * g.OG * K, place.column, g.OG, K, first_k, last_k);
    Sums<COLUMNS> sum;
    pipeline<T, COLUMNS, false, false>(sum, windows, rows, tiles_of<T>(last_k - first_k));
    int tile = blockIdx.y * gridDim.x + blockIdx.x;
    if (splits.add(sum, tile, blockIdx.z)) store(sum, place, positions);
}

// grad_x: rows are the pixels of a phase, columns a group's channels, k counts (tap of the phase, filter).
//    Launch    grid (tiles as above, for the largest phase; groups; SH * SW phases * splits), block and shared as above
template <typename T, int COLUMNS, typename Store>
__device__ void grad_of_images(const T *grad_out, const T *weight, Geometry g, Splits splits, int every_u, int every_v,
                               Store store) {
    int phase = blockIdx.z / splits.count, split = blockIdx.z % splits.count, u, v;
    Axis down = phase_of(phase / g.SW, g.H, g.OH, g.KH, g.SH, g.PT, g.DH, every_u, u);
    Axis across = phase_of(phase % g.SW, g.W, g.OW, g.KW, g.SW, g.PL, g.DW, every_v, v);
    Place place(g.CG, COLUMNS);
    if (place.row >= g.N * down.results * across.results) return;  // a phase with fewer pixels
    int4 *positions = shared_positions<COLUMNS>();
    positions[threadIdx.x] = position_of(place.row + threadIdx.x, g.N, down, across, g.W);
    __syncthreads();
    int K = down.taps * across.taps * g.filters;
    int first_k = split * splits.length, last_k = min(first_k + splits.length, K);
    across.taps = max(across.taps, 1);  // it is divided by; K is 0 where there are none
    Windows<T> windows(grad_out + place.group * g.filters, positions, g.filters, g.grad_pitch, down, across, first_k,
                       last_k);
    Taps taps = {u * g.KW + v, every_u * g.KW, every_v, g.KH * g.KW};
    Filters<T, COLUMNS> columns(weight + (long long)place.group * g.OG * taps.all * g.channels, taps, place.column,
                                g.channels, g.OG, g.filters, across.taps, first_k, last_k);
    Sums<COLUMNS> sum;
    pipeline<T, COLUMNS, false, true>(sum, windows, columns, tiles_of<T>(last_k - first_k));
    int tile = (phase * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    if (splits.add(sum, tile, split)) store(sum, place, positions);
}

// grad_weight (OC, CG, KH, KW), in float: rows are a filter's weights, as (tap, channel), columns a group's filters, k
// counts the N * OH * OW positions: few results, each a very long sum, so that k is cut into splits.
// Neighbouring numbers are of neighbouring channels in both factors, so k lies across the rows of both.
//    Launch    grid (tiles of rows * tiles of columns, groups, splits), block THREADS, shared STAGES tiles
template <typename T, int COLUMNS>
__device__ void grad_of_filters(const T *grad_out, const T *x, float *grad_weight, Geometry g, Splits splits) {
    using Seen = Positions<T, ROWS>;
    using Gradients = Rows<T, COLUMNS>;
    int taps = g.KH * g.KW, J = taps * g.channels;
    Place place(g.OG, COLUMNS);
    int first_k = blockIdx.z * splits.length, last_k = min(first_k + splits.length, g.N * g.OH * g.OW);
    int j = place.row + threadIdx.x % Seen::VECTORS * PER_VECTOR<T>, tap = j / g.channels, channel = j % g.channels;
    Axis down = {g.OH, g.H, 1, g.SH, tap / g.KW * g.DH - g.PT, 0};
    Axis across = {g.OW, g.W, 1, g.SW, tap % g.KW * g.DW - g.PL, 0};
    Seen seen(x + place.group * g.channels + channel, j < J, g.x_pitch, down, across, first_k, last_k);
    int o = place.column + threadIdx.x % Gradients::VECTORS * PER_VECTOR<T>;
    Gradients gradients(grad_out + place.group * g.filters + o, o < g.OG, g.grad_pitch, first_k, last_k);
    Sums<COLUMNS> sum;
    pipeline<T, COLUMNS, true, true>(sum, seen, gradients, tiles_of<T>(last_k - first_k));
    int tile = blockIdx.y * gridDim.x + blockIdx.x;
    if (!splits.add(sum, tile, blockIdx.z)) return;
    sum.each([=](int row, int column, float first, float second) {
        int j = place.row + row, c = j % g.channels, o = place.column + column;
        if (j >= J || c >= g.CG) return;  // a channel that only fills up the last vector
        float *to = grad_weight + (((long long)place.group * g.OG + o) * g.CG + c) * taps + j / g.channels;
        if (o < g.OG) to[0] = first;
        if (o + 1 < g.OG) to[(long long)g.CG * taps] = second;
    });
}

// What batch norm works out for a channel, and where a thread finds its numbers. Needs bfloat16.cuh, divide.cuh and
// merging.cuh before it.

// How many numbers there are, their mean, and the sum of their squared distances from it (Chan, Golub and LeVeque).
template <typename T>
struct Moments {
    T count, mean, squares;

    __device__ void merge(const Moments &other) {
        if (other.count == T(0)) return;  // lest 0/0 spread
        T both = count + other.count, share = other.count / both, apart = other.mean - mean;
        mean += apart * share;
        squares += other.squares + apart * (count * share) * apart;
        count = both;
    }
};

// The sums of g * (x - mean) and of g, the gradient for y.
template <typename T>
struct Sums {
    T along, plain;

    __device__ void merge(const Sums &other) {
        along += other.along;
        plain += other.plain;
    }
};

// y = (x - mean) * scale + shift; weight and bias may be null pointers
template <typename T>
struct Channel {
    T mean, scale, shift;

    __device__ void fetch(int c, const T *means, const T *inv_stds, const T *weights, const T *biases) {
        mean = means[c];
        scale = weights ? inv_stds[c] * weights[c] : inv_stds[c];
        shift = biases ? biases[c] : T(0);
    }
    __device__ T y(T x) const { return (x - mean) * scale + shift; }
};

// Where x is (N, C, inner): block (c, part) has a part of channel c, and neighbouring threads have neighbouring numbers,
// V each. A place is found by additions: nothing is divided in the loop
//     for (Planes<4> at(...); at.more(); at.next()) ... x[at.where()] ...
template <int V>
struct Planes {
    static constexpr int WIDTH = V, CHANNELS = 1;
    int channel, channels, image, place, images, places, inner;  // the last three: of a step, of a plane
    unsigned number, end;  // which of the channel's numbers is next, [0, N * inner); where the block's part ends

    __device__ Planes(int channels, int count, Divisor inner, int each, int columns)
        : channel(blockIdx.x), channels(channels), images(THREADS * V / inner), places(THREADS * V % inner),
          inner(inner.number), number(blockIdx.y * each + threadIdx.x * V),
          end(min(blockIdx.y * each + each, unsigned(count))) {
        image = int(number) / inner;
        place = int(number) % inner;
    }
    __device__ bool has(int c) const { return true; }
    __device__ bool more() const { return number < end; }
    __device__ long long where() const { return static_cast<long long>(image * channels + channel) * inner + place; }
    __device__ void next() {
        number += THREADS * V;
        image += images;
        place += places;
        if (place >= inner) place -= inner, image++;
    }
};

// Where x is channels-last, `count` rows of C numbers: neighbouring threads have neighbouring channels, V each. `columns`
// threads stand side by side along a row, the others of the block in the rows behind it.
template <int V>
struct Rows {
    static constexpr int WIDTH = V, CHANNELS = V;
    int channel, channels, rows;  // the last: of a step
    unsigned row, end;            // [0, count)

    __device__ Rows(int channels, int count, Divisor inner, int each, int columns)
        : channel((blockIdx.x * columns + threadIdx.x % columns) * V), channels(channels), rows(THREADS / columns),
          row(blockIdx.y * each + threadIdx.x / columns), end(min(blockIdx.y * each + each, unsigned(count))) {}
    __device__ bool has(int c) const { return c < channels; }
    __device__ bool more() const { return row < end && channel < channels; }
    __device__ long long where() const { return static_cast<long long>(row) * channels + channel; }
    __device__ void next() { row += rows; }
};

// How the factors of a convolution's products are gathered, without a division in the loop. Each thread has one k of a
// tile of product.cuh, and several columns; whatever belongs to a column is worked out before the loop. Within an image
// of one group numbers are counted by an int (conv.py looks whether they can): with 64 bits, an address takes ten
// instructions instead of one.

constexpr int DEEP = 8;  // of the tiles
template <int R, int S>
constexpr int UNROLLED = R * S < 4 ? DEEP : 1;  // rows of a tile: for the largest ones, no register is left

// A number as three digits, n = (a * B + b) * C + c. Divisions, some 20 instructions each on a GPU, find the digits
// once; from then on a step is added digit by digit, with a carry: additions alone.
struct Digits {
    int a, b, c;  // of a tap: channel (or filter), u, v; of a position or pixel: image, row, column
};

struct Radices {
    int B, C;
    __device__ Digits of(int n) const { return {n / C / B, n / C % B, n % C}; }
    __device__ void add(Digits &to, Digits step) const {
        to.c += step.c;  // each digit is below its radix before and after: at most one carry
        if (to.c >= C) to.c -= C, to.b++;
        to.b += step.b;
        if (to.b >= B) to.b -= B, to.a++;
        to.a += step.a;
    }
};

// What a position (row i, column j) sees with tap (u, v): the pixel (i * stride_h + top + u * down, j * stride_w + left
// + v * right) of an image (H, W), or 0 outside it
struct Seen {
    int rows, columns, top, left, stride_h, stride_w, down, right, H, W, KH, KW;
    int last;  // where k ends
};

// Columns are positions (n, i, j), k counts (c, u, v). Neighbouring threads have neighbouring positions.
template <typename T, int WIDTH>
struct Windows : Share<DEEP, WIDTH> {
    using Share<DEEP, WIDTH>::COUNT, Share<DEEP, WIDTH>::APART;
    const T *origin[COUNT];  // where tap (0, 0) of channel 0 lies, and in which row and column: maybe outside
    int h[COUNT], w[COUNT], k;
    Seen seen;
    Radices of_k;
    Digits tap, step;

    __device__ Windows(int thread, const T *x, int first, int count, long long image, const Seen &given)
        : Share<DEEP, WIDTH>(thread, false), k(this->row), seen(given), of_k{given.KH, given.KW} {
        tap = of_k.of(k), step = of_k.of(DEEP);
        for (int p = 0; p < COUNT; p++) {
            int column = first + this->column + p * APART;
            Digits position = Radices{seen.rows, seen.columns}.of(column);
            h[p] = column < count ? position.b * seen.stride_h + seen.top : -(1 << 30);  // beyond the last: all outside
            w[p] = position.c * seen.stride_w + seen.left;
            origin[p] = x + position.a * image + (long long)h[p] * seen.W + w[p];
        }
    }

    __device__ void fetch(T (&numbers)[COUNT]) {
        int u = tap.b * seen.down, v = tap.c * seen.right;  // in pixels
        int offset = (tap.a * seen.H + u) * seen.W + v;
        for (int p = 0; p < COUNT; p++) {
            bool inside = unsigned(h[p] + u) < unsigned(seen.H) && unsigned(w[p] + v) < unsigned(seen.W);
            numbers[p] = k < seen.last && inside ? origin[p][offset] : T(0);
        }
        k += DEEP;
        of_k.add(tap, step);
    }
};

// The other way round, for grad_weight: columns are (c, u, v), k counts the positions. Neighbouring threads have
// neighbouring positions.
template <typename T, int WIDTH>
struct Taps : Share<DEEP, WIDTH> {
    using Share<DEEP, WIDTH>::COUNT, Share<DEEP, WIDTH>::APART;
    const T *x;
    int offset[COUNT], u[COUNT], v[COUNT], k;  // of the tap, seen from tap (0, 0) of channel 0, in numbers and pixels
    long long image;
    Seen seen;
    Radices of_k;
    Digits position, step;

    __device__ Taps(int thread, const T *x, int first, int count, long long image, int first_k, const Seen &given)
        : Share<DEEP, WIDTH>(thread, true), x(x), k(first_k + this->row), image(image), seen(given),
          of_k{given.rows, given.columns} {
        position = of_k.of(k), step = of_k.of(DEEP);
        for (int p = 0; p < COUNT; p++) {
            int column = first + this->column + p * APART;
            Digits tap = Radices{seen.KH, seen.KW}.of(column);
            u[p] = column < count ? tap.b * seen.down : -(1 << 30), v[p] = tap.c * seen.right;
            offset[p] = (tap.a * seen.H + tap.b * seen.down) * seen.W + v[p];
        }
    }

    __device__ void fetch(T (&numbers)[COUNT]) {
        int h = position.b * seen.stride_h + seen.top, w = position.c * seen.stride_w + seen.left;
        const T *origin = x + position.a * image + (h * seen.W + w);
        for (int p = 0; p < COUNT; p++) {
            bool inside = unsigned(h + u[p]) < unsigned(seen.H) && unsigned(w + v[p]) < unsigned(seen.W);
            numbers[p] = k < seen.last && inside ? origin[offset[p]] : T(0);
        }
        k += DEEP;
        of_k.add(position, step);
    }
};

// Its other factor: rows are filters o, k counts the positions (n, place) of grad_out.
template <typename T, int WIDTH>
struct Positions : Share<DEEP, WIDTH> {
    using Share<DEEP, WIDTH>::COUNT, Share<DEEP, WIDTH>::APART;
    const T *row;
    int n, count, k, last, apart;
    long long image;
    Radices of_k;
    Digits position, step;

    __device__ Positions(int thread, const T *grad_out, int first, int count, int area, long long image, int first_k,
                         int last)
        : Share<DEEP, WIDTH>(thread, true), n(first + this->column), count(count),
          k(first_k + this->Share<DEEP, WIDTH>::row),
          last(last), apart(APART * area), image(image), of_k{1, area} {
        row = grad_out + (long long)n * area;
        position = of_k.of(k), step = of_k.of(DEEP);
    }

    __device__ void fetch(T (&numbers)[COUNT]) {
        const T *at = row + position.a * image + position.c;
        for (int p = 0; p < COUNT; p++) numbers[p] = k < last && n + p * APART < count ? at[p * apart] : T(0);
        k += DEEP;
        of_k.add(position, step);
    }
};

// The filters of grad_x: rows are channels c, k counts (o, u, v), of the taps of one phase. Neighbouring threads have
// neighbouring k, or, if there is only one tap, neighbouring channels.
template <typename T, int WIDTH>
struct Filters : Share<DEEP, WIDTH> {
    using Share<DEEP, WIDTH>::COUNT, Share<DEEP, WIDTH>::APART;
    const T *first;
    int n, count, k, last, down, right, filter, channel;  // filter, channel: how far they lie apart
    Radices of_k;
    Digits tap, step;

    __device__ Filters(int thread, const T *weight, int first_n, int count, int taps, int down, int right,
                       const Seen &seen)
        : Share<DEEP, WIDTH>(thread, taps > 1), n(first_n + this->column), count(count), k(this->row), last(seen.last),
          down(down), right(right), filter(count * taps), channel(taps), of_k{seen.KH, seen.KW} {
        first = weight + (long long)n * channel;
        tap = of_k.of(k), step = of_k.of(DEEP);
    }

    __device__ void fetch(T (&numbers)[COUNT]) {
        const T *at = first + tap.a * filter + (tap.b * down + tap.c * right);
        for (int p = 0; p < COUNT; p++)
            numbers[p] = k < last && n + p * APART < count ? at[p * APART * channel] : T(0);
        k += DEEP;
        of_k.add(tap, step);
    }
};

// One axis of a phase of grad_x, with stride S, padding P and dilation D: every S-th pixel h from `pixel` (below S) on.
// Its taps are those u with u * D % S == (pixel + P) % S, as output (h + P - u * D) / S saw pixel h with tap u.
struct Phase {
    int pixel, pixels;      // the first one; how many there are, S apart
    int tap, apart, taps;   // the first one, how far they lie apart, how many there are
    int output, down;       // which output saw the first pixel with the first tap, and how far up the next tap's is

    __device__ Phase(int pixel, int size, int taps_in_all, int S, int P, int D) : pixel(pixel) {
        int divisor = S;  // of S and D, the greatest one that they have in common
        for (int rest = D; rest;) {
            int next = divisor % rest;
            divisor = rest, rest = next;
        }
        apart = S / divisor, down = D / divisor;
        int candidates = min(apart, taps_in_all), remainder = (pixel + P) % S;
        for (tap = 0; tap < candidates && tap * D % S != remainder;) tap++;
        taps = tap < candidates ? (taps_in_all - 1 - tap) / apart + 1 : 0;
        pixels = (size - 1 - pixel) / S + 1;
        output = taps ? (pixel + P - tap * D) / S : 0;  // what is divided is a multiple of S, maybe negative
    }
};

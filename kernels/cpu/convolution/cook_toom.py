"""The small matrices of a Winograd convolution, from the points at which its polynomials are evaluated.

    y = A^T [ (G g) * (B^T d) ]          * number by number

y: `side` neighbouring results of a filter with r taps g; d: the n = side + r - 1 pixels that they depend on. That is n
multiplications instead of side * r. Why it works:

A polynomial with `side` coefficients c times one with r coefficients g has n coefficients, and is known if its values
at n points are: evaluate both there (A c and G g), multiply the values, and find the polynomial through the products
(B, Lagrange's formula): p = B [(G g) * (A c)]. For given g that is p = T c with a matrix whose T[i + u, i] is g[u], and
the results y[i] = sum over u of g[u] * d[i + u] are T^T d. So the formula, transposed, is the one above.

The row of a point a in A and G is 1, a, a^2, ...; its column in B is the polynomial that is 0 at all other points. That
should be 1 at its own: it is G that is divided by its value there, which leaves B with the simpler numbers (both change
their sign where that value is negative). One more point is infinity, where a polynomial's value is its last
coefficient. For 2 results and 3 taps, F(2, 3), the points are 0, 1, -1 and infinity:

          1  0 -1  0            1    0    0
    B^T = 0  1  1  0      G =  1/2  1/2  1/2      A^T = 1  1  1  0
          0 -1  1  0           1/2 -1/2  1/2            0  1 -1  1
          0 -1  0  1            0    0    1

`python -m minicnn.kernels.cpu.convolution.cook_toom 2 3` prints them, and others for other numbers.

Source    Toom 1963; Cook 1966; Winograd, "Arithmetic complexity of computations", 1980; Lavin, Gray 2016
"""

import math
import sys
from fractions import Fraction

from minicnn.console import say

POINTS = 0, 1, -1, Fraction(1, 2), -2, 2, -Fraction(1, 2)  # in this order (why these: winograd.py)


def cook_toom(side, taps, points=None):
    """(A^T (side, n), G (n, taps), B^T (n, n)) in fractions, for these n - 1 points (or POINTS) and infinity."""
    points = [Fraction(point) for point in points or POINTS[: side + taps - 2]]
    if len(points) != side + taps - 2:
        raise ValueError(f"cook_toom: {side} results of {taps} taps need {side + taps - 2} points, got {len(points)}")
    a = [[point**i for point in points] + [Fraction(i == side - 1)] for i in range(side)]  # row i: point^i
    g, b = [], []
    for point in points:  # a row of G and of B^T for each
        others = [other for other in points if other != point]
        value = math.prod(point - other for other in others)  # of the polynomial with zeros at the others
        sign = 1 if value > 0 else -1
        g.append([point**i / abs(value) for i in range(taps)])
        b.append([sign * coefficient for coefficient in _with_zeros_at(others)] + [Fraction(0)])
    return a, [*g, [Fraction(i == taps - 1) for i in range(taps)]], [*b, _with_zeros_at(points)]


def _with_zeros_at(points):
    """The coefficients of the product of all (x - point), from that of x**0 on."""
    product = [Fraction(1)]
    for point in points:
        shifted = [Fraction(0), *product]  # x times the product
        product = [high - point * low for high, low in zip(shifted, [*product, Fraction(0)], strict=True)]
    return product


def transposed(matrix):
    """Rows become columns."""
    return list(zip(*matrix, strict=True))


def main(side, taps):
    """Print the three matrices."""
    a, g, b = cook_toom(side, taps)
    for name, matrix in (("B^T", b), ("G", g), ("A^T", a)):
        rows = ["".join(f"{number!s:>8}" for number in row) for row in matrix]
        say("\n".join([f"{name} ({len(matrix)}, {len(matrix[0])})", *rows]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))

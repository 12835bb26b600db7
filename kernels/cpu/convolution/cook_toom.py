"""The small matrices of a Winograd convolution, from the points at which its polynomials are evaluated.

    y = A^T [ (G g) * (B^T d) ]          * number by number

y: SIDE neighbouring results of a filter with r taps g; d: the n = SIDE + r - 1 pixels that they depend on. That is n
multiplications instead of SIDE * r. Why it works:

A polynomial with SIDE coefficients c times one with r coefficients g has n coefficients, and is known if its values at
n points are: evaluate both there (A c and G g), multiply the values, and find the polynomial through the products
(B, Lagrange's formula): p = B [(G g) * (A c)]. For given g that is p = T c with a matrix whose T[i + u, i] is g[u], and
the results y[i] = sum over u of g[u] * d[i + u] are T^T d. So the formula, transposed, is the one above.

The row of a point a in A and G is 1, a, a^2, ...; its column in B is the polynomial that is 0 at all other points. That
should be 1 at its own: it is G that is divided by its value there, which leaves B with the simpler numbers. One more
point is infinity, where a polynomial's value is its last coefficient. For the points 0, 1, -1, 1/2, -2 and infinity:

          1  1  1   1   1  0
    A^T = 0  1 -1  1/2 -2  0
          0  1  1  1/4  4  0
          0  1 -1  1/8 -8  1

Source    Toom 1963; Cook 1966; Winograd, "Arithmetic complexity of computations", 1980; Lavin, Gray 2016
"""

import math
from fractions import Fraction

SIDE = 4  # results in each direction of a tile


def cook_toom(points, taps):
    """(A^T (SIDE, n), G (n, taps), B^T (n, n)) for these points and infinity, in fractions."""
    points = [Fraction(point) for point in points]
    a = [[point**i for point in points] + [Fraction(i == SIDE - 1)] for i in range(SIDE)]
    g, b = [], []
    for point in points:
        others = [other for other in points if other != point]
        g.append([point**i / math.prod(point - other for other in others) for i in range(taps)])
        b.append([*_with_zeros_at(others), Fraction(0)])
    return a, [*g, [Fraction(i == taps - 1) for i in range(taps)]], [*b, _with_zeros_at(points)]


def _with_zeros_at(points):
    """The coefficients of the product of all (x - point), from that of x**0 on."""
    product = [Fraction(1)]
    for point in points:
        shifted = [Fraction(0), *product]
        product = [high - point * low for high, low in zip(shifted, [*product, Fraction(0)], strict=True)]
    return product


def transposed(matrix):
    return list(zip(*matrix, strict=True))

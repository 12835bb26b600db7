"""The small matrices of a Winograd convolution, from the points at which its polynomials are evaluated.

A filter with r taps g and the n = SIDE + r - 1 pixels d that SIDE neighbouring results depend on: the results are

    y = A^T [ (G g) * (B^T d) ]          * number by number, n multiplications instead of SIDE * r

A column of A^T and a row of G hold the powers of a point, 1, a, a^2, ...: G g are the values of the polynomial with
coefficients g, and A^T is what evaluates SIDE coefficients, transposed. B^T is what finds the coefficients of a
polynomial from its values (Lagrange's formula), transposed: row a is the polynomial that is 0 at all other points, and
what that is at its own point, G is divided by. One more point is infinity, where a polynomial's value is its last
coefficient.

Source    Toom 1963; Cook 1966; Winograd, "Arithmetic complexity of computations", 1980; Lavin, Gray 2016
"""

import math
from fractions import Fraction

SIDE = 4


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

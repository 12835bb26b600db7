"""The sizes of a convolution, as every algorithm here is given them."""

from typing import NamedTuple


class Geometry(NamedTuple):
    """Output (i, j) sees pixel ``(i, j)*stride + (u, v)*dilation - before`` through tap (u, v), or 0 outside the image.

    The number of images is not in it: that is the length of the array. Compiled code is given ``tuple(geometry)``: of a
    named tuple Numba works out the type anew at each call from Python, which takes a microsecond and some memory.
    """

    size: tuple  # (H, W) of an image
    out_size: tuple  # (OH, OW)
    taps: tuple  # (KH, KW)
    stride: tuple  # (SH, SW)
    before: tuple  # rows of padding above an image, columns to the left of it; negative: that many are skipped
    dilation: tuple  # (DH, DW)
    channels: int  # C, of an image
    filters: int  # OC
    groups: int  # a filter sees channels // groups of them

    @property
    def after(self):
        """How many rows and columns the last window reaches beyond the image: the other padding, for stride 1."""
        axes = zip(self.size, self.out_size, self.taps, self.stride, self.before, self.dilation, strict=True)
        return tuple((out - 1) * s + (taps - 1) * d + 1 - before - size for size, out, taps, s, before, d in axes)

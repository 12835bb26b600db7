"""winograd.py for bfloat16 images: its transforms read them as float32, and round its results as they are written.

Where an instruction multiplies 16 x 32 numbers (amx.py), all products are done sooner than the transforms alone. With
none for bfloat16 a multiplication costs as much as in float32, and three of four are saved, of 5x5 filters five of six.
vdpbf16ps multiplies twice as many numbers as float32's instruction: that is not enough, either. On two cores of a
processor that has it (AMD EPYC, Zen 4), milliseconds for forward, grad_x and grad_weight of a batch together:

                                                 all products, vdpbf16ps     Winograd, float32
    ResNet-18's    64 x 56^2 ->  64, 3 x 3                          32.5     21.3
                  128 x 28^2 -> 128                                 29.1     17.8
                  256 x 14^2 -> 256                                 27.7     22.6
                  512 x  7^2 -> 512                                 32.1     26.1
    AlexNet's      64 x 27^2 -> 192, 5 x 5                         208.3     90.6

Rounding is that of winograd.py: 3e-6 of the largest result for 3x3 filters and 8e-6 for 5x5 ones, where products alone
are 3e-7 (bfloat16.py). Results are small differences of sums over the channels, which have rounded before. Nobody sees
it: the result itself is then rounded to 8 digits, by up to 2e-3 of it. Tiles of 2 x 2 results would round a tenth as
much, but take 64 multiplications for 16 results of a 3x3 filter where tiles of 4 x 4 take 36, and move as many more
numbers; other points, or sums cut shorter, do not come as far.
"""

from ..machine.unit import unit
from . import winograd
from .epilogue import NOTHING
from .in_float32 import rounded_factor


def pays(images, geometry):
    """Whether this is possible, and less work than multiplying every window."""
    every_place = geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1
    if unit() == "amx" or not (every_place and images and 0 not in geometry.size):
        return False
    return winograd.pays(images, geometry)


def conv2d_forward(x, weight, bias, geometry, look=None):
    """y (N, OH, OW, K) for x (N, H, W, C) and weight (K, C, R, R) float32, R 3 or 5; look: of epilogue.py, or None."""
    return winograd.conv2d_forward(x, rounded_factor(weight), bias, geometry, look=look)


def conv2d_grad_x(grad_out, weight, geometry, epilogue=NOTHING):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, K), with the epilogue; its bias (C,) is added before rounding."""
    return winograd.conv2d_grad_x(grad_out, rounded_factor(weight), geometry, epilogue)


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (K, C, R, R) float32."""
    return winograd.conv2d_grad_weight(grad_out, x, geometry)

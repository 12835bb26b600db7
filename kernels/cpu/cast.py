"""Between float32, or float64, and bfloat16, in one pass; mirrors minicnn/ops/cast.py."""

from minicnn.precision import takes_bfloat16

from .machine import threads
from .machine.bfloat16 import bits, convert
from .machine.layout import empty_like, flat


@takes_bfloat16
def cast_forward(x, dtype):
    """y = x in that dtype, laid out in memory as x."""
    y = empty_like(x, dtype)
    (given,), (out,) = flat(x), flat(y)
    given, out = bits(given), bits(out)
    threads.run_chunks(lambda start, stop: convert(given[start:stop], out[start:stop]), out.size, threads.LEAST)
    return y

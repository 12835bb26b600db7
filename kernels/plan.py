"""A launch on a GPU when nothing is wrong with it, which is nearly always: as much checked, and no words made.

A kernel's ``checked`` (arguments.py) says what is wrong and copies what has gaps; it takes tens of microseconds, some
thousand times in a training step. A plan is what it found for CuPy's arrays of one dtype, made once: what each place
must have. It answers with what the kernel is handed, or with None, and then ``checked`` has its say.
"""

import functools
import operator


class Whole(dict):
    """{int: what a kernel's parameter is handed for it}: sizes come again and again, and to make a number takes long.

    make  what makes it of an int; TypeError or ValueError, in which case nothing is kept
    """

    MOST = 4096  # numbers; then it starts anew

    def __init__(self, make):
        super().__init__()
        self.make = make

    def __missing__(self, number):
        if len(self) >= self.MOST:
            self.clear()
        return self.setdefault(number, self.make(number))


class Plan:
    """What the arguments of `kernel`, a CheckedKernel, must be, where T is `real` and arrays are of CuPy's `ndarray`.

    absent    what is handed over for an array that is None
    compiled  the kernel as it is launched
    """

    def __init__(self, kernel, real, ndarray, absent, compiled):
        from cupy.cuda.runtime import getDevice  # an optional package: whoever comes here has an array of it

        self.ndarray, self.real, self.absent, self.current_gpu = ndarray, real, absent, getDevice
        # CuPy makes an object of its flags each time; what it asks itself is quicker
        quick = "_c_contiguous" if hasattr(ndarray, "_c_contiguous") else "flags.c_contiguous"
        self.is_contiguous = operator.attrgetter(quick)
        self.compiled = compiled
        self.arrays, self.numbers = [], []
        for i, (p, what) in enumerate(kernel.named):
            if p.is_array:
                self.arrays.append((i, p.dtype(real), p.axes, p.is_optional))
            else:
                checked = functools.partial(kernel.value, what, p, real=real)
                quick = p.dtype(real).type if p.kind is float else Whole(checked).__getitem__
                self.numbers.append((i, p.kind, quick, checked))

    def values(self, arguments, reaches=()):
        """What the kernel is handed for so many arguments as it has; None if something is out of the ordinary."""
        values, ndarray, is_contiguous, gpu = list(arguments), self.ndarray, self.is_contiguous, self.current_gpu()
        for i, dtype, axes, is_optional in self.arrays:
            array = values[i]
            if array is None:
                if not is_optional:
                    return None
                values[i] = self.absent
            elif not (
                type(array) is ndarray
                and array.dtype is dtype
                and is_contiguous(array)
                and array.data.device_id == gpu
                and (axes is None or array.ndim == axes)
            ):
                return None
        for array in reaches:
            if not (
                type(array) is ndarray
                and array.dtype is self.real
                and is_contiguous(array)
                and array.data.device_id == gpu
            ):
                return None
        for i, kind, quick, checked in self.numbers:
            number = values[i]
            # True and 1.0 would be found as 1: what is of another type is looked at, and may be an error
            values[i] = quick(number) if type(number) is kind else checked(number)
        return values

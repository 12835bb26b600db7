"""Each way to multiply bfloat16 numbers (kernels/cpu/gemm/bfloat16.py), whatever the processor's unit is."""

import contextlib
import functools
import threading

import pytest
from tiles import Machine

from minicnn.kernels.cpu import conv
from minicnn.kernels.cpu.convolution import winograd16
from minicnn.kernels.cpu.gemm import amx, vdpbf16, widened
from minicnn.kernels.cpu.gemm import bfloat16 as page
from minicnn.kernels.cpu.machine.unit import why_not

WAYS = {"widened": widened, "vdpbf16": vdpbf16, "amx": amx}


def multiplied_by(unit, monkeypatch):
    """Whether bfloat16 has a unit of its own decides between algorithms; what multiplies is what this machine has."""
    monkeypatch.setattr(winograd16, "unit", lambda: unit)
    monkeypatch.setattr(conv, "_plan", functools.lru_cache(conv._plan.__wrapped__))  # what was decided before is not


@contextlib.contextmanager
def multiplying(name):
    """Products inside go that way. Where there is no vdpbf16ps, what it does is spelled out; where are no tiles, a
    machine in Python has them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(page, "way", WAYS[name])
        of_thread, machines = threading.local(), []  # each thread has tiles of its own

        def standing_for(name):
            def function(*arguments):
                if not hasattr(of_thread, "machine"):
                    of_thread.machine = Machine()
                    machines.append(of_thread.machine)
                return getattr(of_thread.machine, name)(*arguments)

            return function

        if name == "amx" and why_not("amx"):
            for function in ("_multiply", "_multiply_transposed", "_multiply_into"):
                # Python's own, which finds these by name:
                monkeypatch.setattr(amx, function, getattr(amx, function).py_func)
            for function in ("configure", "release", "multiply_tiles"):
                monkeypatch.setattr(amx, function, standing_for(function))
        yield
        assert all(machine.tiles is None for machine in machines), "tiles are not released"

"""Counts what a program asks of a GPU, without one: launches, waits, copies, memory.

    with counting(execute=False) as counts:
        network = models.resnet50().to("cuda")
        step(), step()        # what is only made once is made by now
        counts.reset()
        step()
    counts.all_launches, counts.waits, counts.array_bytes

With ``execute=False`` no kernel is run, and arrays hold whatever lies in memory: a step of ResNet-50 takes a second.
Programs that look at values (is the loss finite?) go wrong with it. What the array library does is counted as calls of
its functions; CuPy may launch two kernels where NumPy has one call, or the other way round. ``benchmarks/launches.py``
makes a table of networks.
"""

import numpy as np

from minicnn.device import DeviceError
from minicnn.emulated import emulating
from minicnn.switch import Block
from minicnn.tally import Tally, _tally


class counting(Block):
    """``with counting() as counts: ...`` counts in this thread (``Tally``); DeviceError on a GPU.

    execute  whether kernels are run
    """

    def __init__(self, execute: bool = True) -> None:
        super().__init__(_tally, Tally(execute))
        self._warnings = np.errstate(all="ignore" if not execute else None)

    def __enter__(self) -> Tally:
        if not emulating():
            raise DeviceError("counting: calls are counted on the emulated GPU alone; set MINICNN_EMULATE_GPU=1")
        super().__enter__()
        self._warnings.__enter__()
        return self._value

    def __exit__(self, *exc_info) -> None:
        self._warnings.__exit__(*exc_info)
        super().__exit__(*exc_info)

"""The launches of a training step: collected on the emulated GPU, where nothing is executed, and no memory touched."""

from typing import Any, NamedTuple

import numpy as np

NETWORKS = "alexnet", "resnet18", "resnet20", "resnet50"
CLASSES = {"resnet20": 10}  # else 1000
SIDES = {"resnet20": 32}  # of a picture; else 224
STEPS = 2  # before the one that is collected: what is only made once is made by then


class Launch(NamedTuple):
    """One launch of a kernel, or a call of the array library that would be one."""

    file: str  # "conv.cu"; "" of the array library
    kernel: str
    real: str  # what T is
    blocks: int  # of the grid
    arrays: dict[
        str, tuple[int, bool]
    ]  # {parameter: (bytes, may it be written)}; a table's arrays are "reaches[0]", ...
    numbers: dict[str, int]  # the whole numbers among the parameters
    phase: str  # "forward", "backward" or "update"

    @property
    def name(self) -> str:
        """As in kernels.json."""
        return f"{self.file} {self.kernel}<{self.real}>" if self.file else f"{self.kernel} (library)"


class Step(NamedTuple):
    """What one training step launches."""

    network: str
    batch: int
    precision: str
    launches: list[Launch]


def collect(network: str, batch: int, precision: str) -> Step:
    """The launches of a step: zero_grad, forward, cross-entropy, backward, SGD with momentum.

    At the full batch, whatever it is: arrays are asked of the operating system, and never written to.
    MINICNN_EMULATE_GPU has to be 1.
    """
    import minicnn
    from minicnn.kernels.cuda.counting import counting

    launches: list[Launch] = []
    with counting(execute=False) as counts, minicnn.precision(precision):
        parts = training_step(network, batch)
        for _ in range(STEPS):
            for part in parts.values():
                part()
        for phase, part in parts.items():
            counts.launched = lambda name, launch, phase=phase: launches.append(_of_kernel(*launch.args, phase))
            counts.computed = lambda name, again, of=None, phase=phase: launches.append(_of_library(name, of, phase))
            part()
    return Step(network, batch, precision, launches)


def training_step(network, batch):
    """{phase: a function}, which train one step, one after the other, on pictures that hold whatever lies in memory."""
    import minicnn
    from minicnn import functional as F
    from minicnn.emulated import on_device

    minicnn.manual_seed(0)
    classes, side = CLASSES.get(network, 1000), SIDES.get(network, 224)
    model = minicnn.models.create(network, classes).to("cuda").train()
    optimizer = minicnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    pictures = minicnn.Tensor(on_device(np.empty((batch, 3, side, side), np.float32)))
    labels = minicnn.Tensor(on_device(np.zeros(batch, np.int64)))
    losses = []

    def forward():
        optimizer.zero_grad()
        losses.append(F.cross_entropy(model(pictures), labels))

    return {"forward": forward, "backward": lambda: losses.pop().backward(), "update": optimizer.step}


def _of_kernel(kernel, real, grid, block, values, shared, reaches, phase):
    arrays, numbers = {}, {}
    for parameter, value in zip(kernel.parameters, values, strict=True):
        if value is None:
            continue
        if parameter.is_array:
            arrays[parameter.name] = value.nbytes, not parameter.is_const
        elif (dtype := np.asarray(value).dtype).names and "number" in dtype.names:  # a Divisor
            numbers[parameter.name] = int(value["number"])
        elif dtype.kind in "iu":
            numbers[parameter.name] = int(value)
    arrays |= {f"reaches[{i}]": (array.nbytes, True) for i, array in enumerate(reaches)}
    return Launch(kernel.path.name, kernel.name, real, int(np.prod(grid)), arrays, numbers, phase)


def _of_library(function: str, result: Any, phase: str):
    arrays = {"result": (result.nbytes, True)} if isinstance(result, np.ndarray) else {}
    return Launch("", function, "", 0, arrays, {}, phase)

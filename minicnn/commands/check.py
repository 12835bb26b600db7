"""Say what minicnn runs on here, and whether it works: a few gradients against finite differences, some training steps.

minicnn check
MINICNN_EMULATE_GPU=1 minicnn check --device cuda      the GPU's kernels on the processor, where there is no GPU
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from .. import __version__, nn, optim
from .. import functional as F
from ..cache import CacheError, cache_dir
from ..cli.arguments import Parser
from ..console import remark, say
from ..device import DEVICES, TIERS, DeviceError, check_available, current_tier, tier
from ..gradcheck import GradcheckError, gradcheck
from ..random import manual_seed
from ..tensor import Tensor
from ..train.environment import environment
from ..train.gpu import gpu_environment
from ..types import Array

OPTIONAL = {  # packages that some parts need, and the extra that brings them
    "onnx": "onnx", "safetensors": "safetensors", "tensorboardX": "tensorboard", "scipy": "datasets",
    "mpi4py": "mpi", "torch": "test",
}  # fmt: skip
STEPS = 20


def arguments() -> ArgumentParser:
    """What the command line may say."""
    what = "What minicnn runs on here, and whether it works. The first time, kernels are compiled: half a minute."
    parser = Parser(description=what, doc=__doc__, command="minicnn check")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="what is tried (default: cpu)")
    parser.add_argument("--tier", choices=TIERS, default=current_tier(), help="which implementation (default: fast)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 if it works, 1 if it computes something wrong, with a line that says what."""
    args = arguments().parse_args(argv)
    with tier(args.tier):
        for name, text in surroundings():
            say(f"{name:12}{text}")
        where = f"device {args.device}, tier {args.tier}"
        wrong = [*wrong_gradients(args.device)]
        found = "; ".join(wrong) or f"right: {', '.join(OPS)}"
        say(f"{'gradients':12}{found} ({where})")
        first, last = training(args.device)
        say(f"{'training':12}loss {first:.3f}, after {STEPS} steps {last:.3f} ({where})")
        if wrong or not last < first / 2:
            say("Something is wrong here: please report all of the above.")
            return 1
    say("minicnn works here.")
    return 0


def surroundings() -> Iterator[tuple[str, str]]:
    """(name, text) of what results depend on, and of what is there beside it."""
    yield "minicnn", __version__
    yield from ((name, text) for name, text in environment().items() if name != "device")
    yield "numba", version("numba")
    there, missing = [], []
    for package, extra in OPTIONAL.items():
        try:
            there.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(f"{package} (pip install 'minicnn[{extra}]')")
    yield "also there", ", ".join(there) or "nothing"
    yield "not there", ", ".join(missing) or "nothing"
    try:
        check_available("cuda")
        yield "GPU", ", ".join(f"{name} {text}" for name, text in gpu_environment().items())
    except DeviceError as error:
        yield "GPU", f"none: {error}"
    try:
        yield "cache", str(cache_dir())
    except CacheError as error:
        yield "cache", f"none: {error}"


def _distinct(rng: np.random.Generator, *shape: int) -> Array:
    """Values in a random order, none of them near another one or near 0: no kink and no tie."""
    count = int(np.prod(shape))
    return (rng.permutation(count) - count / 2 + 0.25).reshape(shape) / count


def _conv(rng):
    shapes = (2, 4, 6, 5), (6, 2, 3, 3), (6,)
    return lambda x, weight, bias: F.conv2d(x, weight, bias, 2, 1, groups=2), [rng.standard_normal(s) for s in shapes]


def _batch_norm(rng):
    x, weight, bias = rng.standard_normal((3, 2, 4, 3)), rng.standard_normal(2), rng.standard_normal(2)
    return lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [x, weight, bias]


def _cross_entropy(rng):
    return lambda scores: F.cross_entropy(scores, np.array([1, 4, 0])), [rng.standard_normal((3, 5))]


OPS: dict[str, Callable] = {
    "conv2d": _conv,
    "batch_norm": _batch_norm,
    "relu": lambda rng: (F.relu, [_distinct(rng, 3, 4)]),
    "max_pool2d": lambda rng: (lambda x: F.max_pool2d(x, 3, 2, 1), [_distinct(rng, 2, 2, 5, 6)]),
    "linear": lambda rng: (F.linear, [rng.standard_normal(shape) for shape in ((3, 4), (5, 4), (5,))]),
    "cross_entropy": _cross_entropy,
}


def wrong_gradients(device: str) -> Iterator[str]:
    """What is wrong with the gradient of an op, of each of OPS for which something is."""
    for name, case in OPS.items():
        remark(f"the gradient of {name}")
        function, arrays = case(np.random.default_rng(0))
        try:
            gradcheck(function, [Tensor(array).to(device) for array in arrays])
        except GradcheckError as error:
            yield f"WRONG: {name}: {error}"


def training(device: str) -> tuple[float, float]:
    """The loss of a small network before and after some steps on two kinds of pictures, which are easily told apart."""
    manual_seed(0)
    rng = np.random.default_rng(0)
    labels = np.arange(16) % 2
    images = rng.normal(labels[:, None, None, None], 1.0, (16, 3, 8, 8)).astype(np.float32)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 2)
    ).to(device)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, losses = Tensor(images).to(device), []
    for _ in range(STEPS + 1):
        loss = F.cross_entropy(model(x), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses[0], losses[-1]

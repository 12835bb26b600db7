"""Write a network for other programs: as an ONNX file, as a .safetensors file, as PyTorch's state dict (.pth).

minicnn export resnet18.onnx --arch resnet18                         published weights, downloaded once
minicnn export mine.onnx --weights runs/.../checkpoint_best.npz      of a run: its own network
minicnn export resnet50.safetensors --arch resnet50 --weights resnet50.pth
minicnn export weights.bin --format torch --arch resnet18            torch.load("weights.bin") reads it
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from .. import export, pretrained
from ..cli.arguments import Parser
from ..cli.feasible import as_setting_error
from ..console import tell
from ..data import ChannelMean, ChannelMeanStd, Normalize, ZeroToOne
from ..distributed import world
from ..errors import SettingError
from ..models import names
from ..nn import Module
from ..storage.files import atomic_write
from .networks import Chosen, check_arch, choose
from .summary import add_input

FORMATS = {".onnx": "onnx", ".safetensors": "safetensors", ".pth": "torch", ".pt": "torch"}


def arguments() -> ArgumentParser:
    """What the command line may say."""
    what = "Write a network for other programs, in evaluation mode."
    parser = Parser(description=what, doc=__doc__, command="minicnn export")
    ending = f"what is written; its ending, one of {', '.join(FORMATS)}, says how"
    parser.add_argument("file", metavar="FILE", type=Path, help=ending)
    parser.add_argument("--format", choices=tuple(dict.fromkeys(FORMATS.values())), help="how, whatever the ending is")
    archs = f"one of {', '.join(dict.fromkeys((*pretrained.ARCHS, *names.CIFAR)))}; a checkpoint knows its own"
    parser.add_argument("-a", "--arch", metavar="ARCH", help=archs)
    which = "IMAGENET1K_V1, IMAGENET1K_V2, a .pth, a .safetensors, an .npz or a checkpoint of minicnn"
    which += " (default: the arch's published weights)"
    parser.add_argument("--weights", "--checkpoint", metavar="NAME|FILE", default="DEFAULT", help=which)
    add_input(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file; a line on what it is."""
    world().on_rank_0(_export, arguments().parse_args(argv))


def _export(args):
    how = args.format or FORMATS.get(args.file.suffix.lower())
    if how is None:
        raise SettingError(f"{args.file}: the ending says no format; choose one of {', '.join(FORMATS)}, or --format")
    if not args.file.parent.is_dir():
        raise SettingError(f"there is no folder {args.file.parent} to write {args.file.name} into; make it first")
    if args.input and how != "onnx":
        raise SettingError(f"--input is of an ONNX file; weights as {how} fit any size: leave it out")
    network = _network(args)
    shape = tuple(args.input or (3, network.image_size, network.image_size))
    count = sum(parameter.size for parameter in network.model.parameters())
    with as_setting_error():
        try:
            _write(how, network.model, args.file, shape)
        except ImportError as error:  # of an optional package
            raise SettingError(str(error)) from error
    size = args.file.stat().st_size / 1e6
    tell(f"{args.file}: {network.arch}, {len(network.classes)} classes, {count:,} parameters, {size:.1f} MB")
    if how == "onnx":
        tell(f"it takes (batch, {', '.join(map(str, shape))}): {_described(network.classifier.normalize)}")


def _network(args) -> Chosen:
    """What is to be written; SettingError for flags that do not name it."""
    if not pretrained.is_checkpoint(args.weights):
        if args.arch is None:
            raise SettingError(_unnamed(args.weights))
        check_arch(args.arch)
    with as_setting_error():
        network = choose(args.arch, args.weights)
    if args.arch not in (None, network.arch):
        raise SettingError(f"{args.weights} is of a {network.arch}; leave --arch {args.arch} out")
    return network


def _unnamed(weights: str) -> str:
    """What is wrong without --arch."""
    if weights == "DEFAULT":
        return "which network? Name it by --arch, or give the checkpoint of a run to --weights"
    is_there = "is no checkpoint of minicnn" if Path(weights).is_file() else "is no file"
    return f"{weights} {is_there}; give one, or name the network of these weights by --arch"


def _write(how: str, model: Module, path: Path, shape: tuple[int, ...]) -> None:
    if how == "onnx":
        export.onnx(model, path, shape)
    elif how == "safetensors":
        export.safetensors(model, path)
    else:
        state = export.torch_state_dict(model)
        import torch  # an optional package: it is there, as it has made the state dict

        with atomic_write(path) as file:
            torch.save(state, file)


def _described(normalize: Normalize) -> str:
    """What happens to pixels before the network: whoever runs the file must do it."""
    pixels = "red, green and blue from 0 to 255"
    if isinstance(normalize, ZeroToOne):
        return f"{pixels}, divided by 255"
    if isinstance(normalize, ChannelMean):
        less = f"{pixels}, less {_listed(normalize.mean)}"
        return f"{less}, divided by {_listed(normalize.std)}" if isinstance(normalize, ChannelMeanStd) else less
    return f"{pixels}, then what minicnn.data.{type(normalize).__name__} of the checkpoint makes of them"


def _listed(numbers):
    return ", ".join(f"{number:.6g}" for number in numbers)

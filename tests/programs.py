"""Running examples/alexnet_imagenet.py on small pictures, for its tests."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = Path(__file__).parent.parent / "examples" / "alexnet_imagenet.py"
SMALL = "--image-size 64 --shorter-side 66 --width 8 -b 4 -j 1 -p 1 --epochs 1"


def load_example():
    spec = importlib.util.spec_from_file_location("alexnet_imagenet", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load_example()


def run(*words):
    """The program's exit code; the words may be texts of several arguments, or Paths."""
    argv = [arg for word in words for arg in (word.split() if isinstance(word, str) else [str(word)])]
    return example.main(example.arguments(), example.RECIPE, argv)


def draw(folder, classes, count):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            rng = np.random.default_rng([label, i])
            pixels = rng.integers(100 * label, 100 * label + 99, (70, 66 + 8 * i, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.JPEG")


def fails(capsys, *words, code=2):
    """The one line that the program ends with."""
    assert run(*words) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err

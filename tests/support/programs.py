"""Running the examples on small pictures, for their tests."""

import importlib.util

import numpy as np
from paths import EXAMPLES
from PIL import Image

from minicnn.train import exit_code

PROGRAM = EXAMPLES / "alexnet_imagenet.py"
SMALL = "--image-size 64 --shorter-side 66 --width 8 -b 4 -j 1 -p 1 --epochs 1"


def load_example(path=PROGRAM):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load_example()


def arguments(words):
    """The list of arguments; the words may be texts of several arguments, or Paths."""
    return [arg for word in words for arg in (word.split() if isinstance(word, str) else [str(word)])]


def run(*words, program=example):
    """The program's exit code."""
    return exit_code(program.main, arguments(words))


def draw(folder, classes, count):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            rng = np.random.default_rng([label, i])
            pixels = rng.integers(75 * label, 75 * label + 99, (70, 66 + 8 * i, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.JPEG")


def fails(capsys, *words, code=2):
    """The one line that the program ends with."""
    assert run(*words) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err

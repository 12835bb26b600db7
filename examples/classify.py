"""Name what is on pictures: the most probable classes, with their probabilities.

    python examples/classify.py photo.jpg more.jpg                      ResNet-50, downloaded once (98 MB)
    python examples/classify.py photo.jpg --arch resnet18               45 MB
    python examples/classify.py photo.jpg --weights runs/.../checkpoint_best.npz        with its own classes

It is the command `minicnn classify`: minicnn/commands/classify.py.
"""

import sys

from minicnn.commands.classify import main
from minicnn.train import exit_code

if __name__ == "__main__":
    sys.exit(exit_code(main))

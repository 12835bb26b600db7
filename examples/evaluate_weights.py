"""Test pretrained weights, one set or several together, on a folder of pictures such as ImageNet's validation set.

    python examples/evaluate_weights.py DIR resnet50                                  one crop, as the published figures
    python examples/evaluate_weights.py DIR resnet50 resnet152 --tta 10crop           the mean of their probabilities
    python examples/evaluate_weights.py DIR resnet18:mine.pth                         a file, with its number of classes
    python examples/evaluate_weights.py cifar-10-python.tar.gz resnet20:resnet20.th   a ResNet for CIFAR-10

It is the command `minicnn evaluate`: minicnn/commands/evaluate.py.
"""

import sys

from minicnn.commands.evaluate import main
from minicnn.train import exit_code

if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Train and test any of ImageNet's networks on folders of pictures, by AlexNet's recipe or by ResNet's.

    python examples/train_imagenet.py                                       ResNet-18 on the synthetic sample set
    python examples/train_imagenet.py DIR --arch resnet50 --device cuda     DIR/train/<class>/*, DIR/val/<class>/*
    python examples/train_imagenet.py DIR --arch plain34                    no shortcuts: what ResNet-34 is held against
    python examples/train_imagenet.py -e --resume runs/resnet18-imagenet-1/checkpoint_best.npz --tta 10crop

--help has the recipes. It is the command `minicnn train`, whose loop stands in minicnn/commands/train.py.
"""

import sys

from minicnn.commands.train import main
from minicnn.train import exit_code

if __name__ == "__main__":
    sys.exit(exit_code(main))

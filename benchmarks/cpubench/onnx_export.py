"""Write torchvision's network, with random weights, as an ONNX file.

    python onnx_export.py resnet18 1 3 224 224 resnet18.onnx       the shape of its input, the file

Needs PyTorch, torchvision and the package onnx. PyTorch's earlier exporter (dynamo=False) writes one file, not two, and
needs no package more; what onnxruntime makes of either is as fast.
"""

import sys

import torch
import torchvision


def main():
    name, *shape, path = sys.argv[1:]
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)().eval()
    torch.onnx.export(model, (torch.zeros(*map(int, shape)),), path, dynamo=False)


if __name__ == "__main__":
    main()

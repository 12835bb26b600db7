"""Faster implementations of the ops in ``minicnn/ops/``: one folder for each device and tier (``minicnn/device.py``).

Installed as ``minicnn.kernels``. A kernel file has the stem of the op's page, and a kernel function the name and the
arguments of the NumPy function that it mirrors.
"""

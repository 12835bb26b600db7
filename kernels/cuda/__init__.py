"""CUDA C++ kernels, one .cu file for each stem, and beside it the few lines that launch it.

On a GPU they are compiled by NVRTC, through CuPy; under ``MINICNN_EMULATE_GPU=1`` the same text is compiled for the
processor (``emulator/``).
"""

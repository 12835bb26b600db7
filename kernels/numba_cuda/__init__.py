"""GPU kernels in Numba CUDA, written to be read: each kernel beside the few lines that launch it."""

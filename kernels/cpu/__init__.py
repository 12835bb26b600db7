"""The processor's fast tier: Numba and BLAS, one file for each stem of ``minicnn/ops/``.

Images are channels-last in memory behind (N, C, H, W) shapes: the C values of a pixel lie side by side, so that every
loop over channels runs along memory and a 1x1 convolution is a matrix product as it stands. Every function takes any
layout, converts it at most once, on the way in, and returns channels-last (``machine/layout.py``).

    machine/       threads, memory, layouts, compiling
    gemm/          a matrix product of our own, from register tiles of vectors
    convolution/   the algorithms that conv.py chooses from: all but the depthwise one stand on gemm/
"""

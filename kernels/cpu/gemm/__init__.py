"""The matrix product (GEMM) of the convolutions: matmul.py, of register tiles (micro_kernel.py) of vectors (lanes.py).

sums.py adds up the columns of a matrix: the gradient of a bias.
"""

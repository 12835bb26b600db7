"""The matrix product (GEMM) of the convolutions: matmul.py, of register tiles (micro_kernel.py) of vectors (lanes.py).

bfloat16.py is the product of bfloat16 numbers; widened.py multiplies them where there is no instruction for it.
sums.py adds up the columns of a matrix: the gradient of a bias.
"""

"""The matrix product (GEMM) of the convolutions: matmul.py, of register tiles (micro_kernel.py) of vectors (lanes.py).
transposed.py multiplies by a transpose; shares.py says how threads share a product.

bfloat16.py is the product of bfloat16 numbers. Each unit of a processor has its own way: widened.py makes them float32,
vdpbf16.py has an instruction (dot.py) for pairs of them (pairs.py), amx.py has one for whole tiles of them (tiles.py).
sums.py adds up the columns of a matrix: the gradient of a bias.
"""

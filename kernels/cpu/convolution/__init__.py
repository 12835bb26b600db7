"""The algorithms that conv.py chooses from: pointwise.py, stem.py, im2col.py, depthwise.py, winograd.py; bfloat16.py.

winograd.py stands on winograd_tiles.py and cook_toom.py; outliers.py finds the images that it must leave to im2col.py.
geometry.py: the sizes of a convolution, as all of them are given them. windows.py: what im2col.py and bfloat16.py
copy together.
"""

"""The algorithms that conv.py chooses from: pointwise.py, stem.py, im2col.py, depthwise.py and winograd.py.

winograd.py stands on winograd_tiles.py and cook_toom.py; outliers.py finds the images that it must leave to im2col.py.
Of bfloat16 images: bfloat16.py with stem16.py, depthwise.py, and winograd16.py for winograd.py; in_float32.py has
float32's way for them, between two copies.
geometry.py: the sizes of a convolution, as all of them are given them. windows.py: what im2col.py and bfloat16.py copy
together.
"""

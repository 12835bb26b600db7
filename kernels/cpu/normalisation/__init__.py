"""The loops of batch norm, which batchnorm.py and conv_batchnorm.py share: statistics.py and gradient.py.

They see x as a matrix (M, C), one row for each pixel, or as a block of its rows.
"""

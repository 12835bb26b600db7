"""The processor's fast tier: Numba and BLAS, one file for each stem of ``minicnn/ops/``.

Images are channels-last in memory behind (N, C, H, W) shapes: the C values of a pixel lie side by side, so that every
loop over channels runs along memory and a 1x1 convolution is a matrix product as it stands. Every function takes any
layout, converts it at most once, on the way in, and returns channels-last (``layout.py``).

    threads.py   pieces of work on a few Python threads; the compiled code and BLAS let go of the interpreter's lock
    awake.py     no core falls asleep between two ops, for what it does then is keeper.py; how many there are, cores.py
    memory.py    arrays out of blocks that are used again, so that a training step asks for no fresh memory
    layout.py    channels-last and flat views of arrays
    jit.py       how functions are compiled

Convolution (conv.py chooses): pointwise.py, stem.py, im2col.py, depthwise.py, and winograd.py on winograd_tiles.py and
cook_toom.py. They stand on a matrix product of our own: matmul.py, from tiles (tile.py) of vectors (lanes.py).
"""

"""The parts of benchmarks/cpu.py.

worker.py    one side, in a process of its own: seconds of each step, peak memory
sides.py     a step of each side: minicnn's two tiers, PyTorch in both memory layouts, JAX, tinygrad, Chainer
nets.py      the three nets as a list of layers, for the libraries that have no torchvision
jax_nets.py, tinygrad_nets.py, chainer_nets.py  those layers, a training step and a prediction in each library
turns.py     processes in turns (A B A B ...), medians and ratios, tables, raw results
layers.py    each convolution alone, beside PyTorch's and beside a matrix product of as many operations
rounding.py  float32 beside float64 for each algorithm of convolution
scaling.py   speed and memory against batch size and depth, as a figure
"""

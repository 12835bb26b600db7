"""The parts of benchmarks/cpu.py.

sides.py      what the sides are, and what their steps share
minicnn_side.py, torch_side.py, onnxruntime_side.py, described_side.py    a step of each library, and its settings
nets.py       the three nets as a list of layers, for the libraries that have no torchvision
jax_nets.py, tinygrad_nets.py, chainer_nets.py  those layers, a training step and a prediction in each library
onnx_export.py  torchvision's nets as ONNX files
worker.py     one side, in a process of its own: seconds of each step, peak memory
turns.py      processes in turns (A B A B ...), raw results
figures.py    medians and ratios, what is printed
documents.py  the tables of docs/speed.md and README.md, from the raw results
arrays.py     random arrays for functions of the ops' pages, and these functions as the engine calls them
layers.py     each convolution alone, beside PyTorch's and beside a matrix product of as many operations
rounding.py   float32 and bfloat16 beside float64 for each algorithm of convolution
scaling.py    speed and memory against batch size and depth, as a figure
"""

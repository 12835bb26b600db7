"""The parts of benchmarks/gpu.py and benchmarks/first_gpu.py, one idea each.

case.py       an op with arguments;  cases.py: those of every family of ops;  sizes.py: the lists of sizes
checking.py   every kernel against the float64 reference
clock.py      times on the GPU, by CUDA events
timing.py     every kernel's time, and the copy's, and cuBLAS's and cuDNN's on the same sizes
steps.py      whole training steps, and PyTorch's
machine.py    what it all ran on
gate.py       every .cu file compiled for this GPU
tests.py      the project's tests on this GPU
sections.py   the parts of a run, in order of value, each in a process of its own with a share of the time
report.py     the table
run.py        a run: its time, and the files that it keeps
"""

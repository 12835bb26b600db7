"""The parts of benchmarks/two_gpus.py, one idea each.

sums.py       every way from GPU to GPU against NumPy, and how fast sums are
training.py   whole steps of data parallelism: are they one process's, how much slower than a GPU by itself
clock.py      times that all ranks take together
"""

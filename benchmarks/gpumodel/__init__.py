"""Predicted milliseconds of a training step on a GPU (``benchmarks/predict.py``), from what is counted without one.

launches.py   the launches of a step, collected and not executed
counts.py     what each kernel asks of memory (the profiler's emulated runs) and its machine code: kernels.json
work.py       a launch's multiply-adds, and the kind of kernel it is
model.py      from these to seconds
products.py   products with sums of two lengths, for counts.py
tables.py     a step's figures, printed and as JSON; document.py: the tables of docs/gpu.md and docs/gpu-kernels.md
"""

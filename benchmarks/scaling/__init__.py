"""The parts of benchmarks/scaling_model.py.

collectives.py  what a sum over all GPUs costs: a ring, a tree, on links with a latency and a bandwidth
networks.py     parameters and multiply-adds of each layer, counted in minicnn's networks
step.py         a training step: gradients in buckets that are summed while backward goes on; the slowest machine
sources.py      all that is not computed: links, clusters, speeds of one GPU, published results, each with its source
cases.py        which network on which cluster; the two numbers that are fitted
results.py      all numbers that the program has to say; tables.py  as tables, figure.py  as a figure
"""

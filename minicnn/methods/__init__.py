"""A Tensor's methods, by kind; ``tensor.py`` puts them together, and has what is about the graph, operators and shapes.

elementwise.py   x.exp(), x.clamp(0, 1)      reductions.py   x.sum(dim), x.sort()
comparisons.py   x > 0, x == y               protocols.py    len(x), float(x), np.asarray(x), text, copies
idioms.py        PyTorch's other names: x.view(...), x.size(0), x.add_(y)
"""

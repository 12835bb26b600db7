"""One page per op: the formula, its gradient, the NumPy reference and the graph node."""

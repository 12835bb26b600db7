"""A fully connected layer whose units cannot have large weights: "max-norm".

Source    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014
"""

import minicnn
from minicnn import nn

LARGEST = 2.0  # the paper's c for MNIST


class MaxNormLinear(nn.Linear):
    """Linear; the weights into each unit are scaled back to a norm of at most LARGEST before they are used."""

    def forward(self, x):
        with minicnn.no_grad():
            norm = (self.weight * self.weight).sum(axis=1, keepdims=True).sqrt()  # (out, 1)
            self.weight *= (LARGEST / (norm + 1e-7)).clip(max=1)
        return super().forward(x)

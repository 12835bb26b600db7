"""The "one weird trick": data parallelism for convolutions, model parallelism for fully connected layers.

In AlexNet the convolutions have 4 % of the parameters and nine tenths of the work, the fully connected layers the rest.
So the ranks share out the pictures for the former, whose few gradients are then added up; and for the latter, instead
of 59 million gradients, what goes from rank to rank is the features, 9,216 numbers a picture:

    rank 0   images 0 .. 63    - convolutions -+- rows 0 .. 2047 of fc6    -+- ... -+- scores of images 0 .. 63
    rank 1   images 64 .. 127  - convolutions -+- rows 2048 .. 4095 of fc6 -+- ... -+- scores of images 64 .. 127

A rank hands in its own pictures and gets their scores, as from the whole network, so that nothing else changes:

    model = models.split_classifier(models.alexnet())      # on every rank, after the same manual_seed
    parallel = distributed.DataParallel(model)              # which sums the convolutions' gradients alone

Source    Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997, 2014; this is
          its scheme (a), where every rank gathers the features of all
"""

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn, random
from ..device import full
from ..distributed import world
from ..ops.shape import cat
from ..tensor import Tensor


class SplitClassifier(nn.Sequential):
    """Layers that see the rows of all ranks, of which each gives some and gets these back; perhaps none.

    Dropout draws for all rows what it draws in one process. Every rank must call it, in evaluation, too.
    """

    def forward(self, x):
        ranks = world()
        told = ranks.gather(np.array([len(x), random.first_row()], np.int64))
        rows, first = told[:, 0], int(told[0, 1]) * ranks.size  # parts of a batch have masks of their own
        most, start = int(rows.max()), int(rows[: ranks.rank].sum())
        if most > len(x):  # arrays that travel are of one shape
            x = cat([x, Tensor(full(x.data, (most - len(x), *x.shape[1:]), 0))], 0)
        x = F.all_gather(x, 0)  # (ranks * most, features)
        if (rows < most).any():
            x = x[np.concatenate([np.arange(count) + rank * most for rank, count in enumerate(rows)])]
        with random.rows(first):
            scores = super().forward(x)
        return scores[start : start + int(rows[ranks.rank])]


def split_classifier(model: Any) -> Any:
    """Make the Sequential ``model.classifier`` of AlexNet or a VGG a SplitClassifier of SplitLinear layers, in place:
    each rank keeps its part of the weights that the model has. Returns the model.

    ValueError, and nothing is changed, if the ranks cannot share out a layer's outputs equally. By itself a process has
    the network that it had.
    """
    layers = getattr(model, "classifier", None)
    if type(layers) is not nn.Sequential:
        what = f"a {type(model).__name__} has no Sequential by the name of classifier"
        raise TypeError(f"split_classifier: {what}; the networks that have are AlexNet and VGG")
    linear = {name: layer for name, layer in layers.named_children() if isinstance(layer, nn.Linear)}
    for name, layer in linear.items():
        if layer.out_features % world().size:
            what = (
                f"classifier.{name} has {layer.out_features} outputs, which {world().size} ranks cannot share equally"
            )
            raise ValueError(f"split_classifier: {what}; their number must be a multiple of {world().size}")
    for layer in linear.values():
        nn.SplitLinear.convert(layer)
    model.classifier = SplitClassifier(*layers)
    return model

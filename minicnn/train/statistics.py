"""update_bn: the running statistics of batch norm, computed anew for the weights as they are now.

In training they follow the batches at a distance (momentum 0.1), and weights that were averaged, interpolated or
changed by hand have none that fit. Here they become the plain average over the batches that are given: batch k is
weighed by 1/k, the mean of all before it by 1 - 1/k.

Source    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018, section 3.2;
          the ResNets of He et al., CVPR 2016, were tested with such averages, too
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from .. import nn
from ..distributed import world
from ..gradmode import no_grad
from ..nn.evaluating import keeping_modes


@no_grad()
def update_bn(loader: Iterable[Any], model: nn.Module, device: str | None = None) -> None:
    """Set every running mean and variance of `model` to the average over the loader's batches, as
    ``torch.optim.swa_utils.update_bn`` does. Nothing else of the model changes, and its modes (training or not) are
    as before. Dropout drops meanwhile, and draws random numbers for it.

    loader: Tensors of pictures, or tuples or lists whose first is one, such as (images, labels). device: where the
    batches are moved to. Frozen layers keep what they have, and a network that has no others is left alone.
    ValueError if no picture came through one of the layers; after any error the statistics are those of before.
    """
    layers = {name: part for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)}
    layers = {name: layer for name, layer in layers.items() if not layer.frozen}
    if not layers:
        return
    with keeping_modes(model), _as_before(layers), _averaging(layers) as counts:
        model.train()  # batch norm uses, and adds up, the statistics of the batch
        for batch in loader:
            images = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(images if device is None else images.to(device))
        if missing := [name for name, layer in layers.items() if not counts[layer]]:
            advice = "give the loader pictures, or freeze a layer that has no part in the network"
            raise ValueError(f"update_bn: no picture came through {missing[0] or 'the layer'}; {advice}")


@contextlib.contextmanager
def _averaging(layers) -> Iterator[dict[nn.BatchNorm2d, int]]:
    """Within the block a layer's k-th call has momentum 1/k. Hands over how many calls each has had."""
    counts = dict.fromkeys(layers.values(), 0)

    def count(layer, inputs):
        rows = inputs[0].shape[0]
        if layer.same_on_all_ranks:  # where any of them has rows
            rows = sum(world().gather_values(rows))
        if rows:  # an empty batch leaves the statistics alone
            counts[layer] += 1
            layer.momentum = 1 / counts[layer]

    with contextlib.ExitStack() as stack:
        for layer in counts:
            layer.running_mean[...], layer.running_var[...] = 0.0, 1.0  # an old NaN times 0 would stay one
            stack.enter_context(layer.register_forward_pre_hook(count))
        yield counts


@contextlib.contextmanager
def _as_before(layers):
    """After the block the momenta are as before it; the statistics, too, if it ends by an error."""
    momenta = [(layer, layer.momentum) for layer in layers.values()]
    tensors = [t for layer in layers.values() for t in (layer.running_mean, layer.running_var)]
    old = [tensor.clone() for tensor in tensors]
    try:
        yield
    except BaseException:
        for tensor, values in zip(tensors, old, strict=True):
            tensor[...] = values
        raise
    finally:
        for layer, momentum in momenta:
            layer.momentum = momentum

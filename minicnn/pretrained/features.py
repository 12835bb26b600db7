"""Features that are computed once: what a frozen backbone makes of a picture does not change while the head learns.

With nothing augmented, an epoch over the features of N pictures costs N small matrix products instead of N passes
through the whole network. The rest of training does not notice: features are a set of "pictures" of their own, and
``HeadOnly`` is the network as far as the optimiser, checkpoints and logs are concerned.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..clock import Clock
from ..data import DataError, DataLoader
from ..data.errors import shown
from ..device import to_device
from ..gradmode import no_grad
from ..progress import Progress
from ..tensor import Tensor
from ..types import Array
from .transfer import head, head_name


class FeatureSet:
    """What the head of `model` gets to see of each picture of a loader: float32 (D, 1, 1), in the order of the set.

    Unreadable pictures are left out, as the loader does; it must not augment. Its `part` does not matter.
    """

    @no_grad()
    def __init__(
        self, model: nn.Module, normalize: Callable[[Array], Array], loader: DataLoader, device: str = "cpu"
    ) -> None:
        name = head_name(model)
        model.eval()
        features: list[Array] = []
        kept: list[int] = []
        in_order = copy.copy(loader)
        in_order.shuffle, in_order.drop_last, in_order.bad, in_order.part = False, False, {}, None
        clock = Clock()
        with Progress("features", len(in_order)) as progress:
            for batch in in_order.epoch(0):
                images = Tensor(normalize(to_device(batch.images, device)))
                features.append(nn.input_of(model, name, images).numpy())
                kept.extend(batch.indices)
                done = batch.position + 1
                clock.update(len(batch.indices))
                progress.update(done, *clock.texts(len(in_order) - done))
        self.bad = in_order.bad
        if not kept:
            path, reason = next(iter(self.bad.items()))
            first = f"{shown(path)}: {reason}"
            raise DataError(f"none of the {len(loader.dataset)} pictures could be read; the first: {first}")
        self.features = np.concatenate(features)[:, :, None, None]
        self.samples = [loader.dataset.samples[i] for i in kept]
        self.classes = loader.dataset.classes

    def __len__(self):
        return len(self.samples)

    def load(self, index: int) -> Array:
        """float32 (D, 1, 1)."""
        return self.features[index]


class HeadOnly(nn.Module):
    """A network that is fed features (N, D, 1, 1): only its head runs. Parameters and state are the whole network's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.network = model

    def forward(self, features: Tensor) -> Tensor:
        return head(self.network)(features.flatten(1))

    def named_modules(self, prefix="", remove_duplicate=True):
        return self.network.named_modules(prefix, remove_duplicate)


class Unchanged:
    """Features need no normalising; what is saved is the normaliser of the pictures, for those who test on pictures."""

    def __init__(self, normalize: Any) -> None:
        self.normalize = normalize

    def __call__(self, features):
        return features

    def state_dict(self) -> dict[str, Any]:
        """That of the pictures' normaliser."""
        return self.normalize.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Into the pictures' normaliser."""
        self.normalize.load_state_dict(state)


def on_features(model: nn.Module, normalize: Any, *loaders: DataLoader | None, device: str = "cpu") -> tuple[Any, ...]:
    """The same (model, normalize, loaders...) for a ``Trainer``, on features instead of pictures. A loader may be
    None."""
    return HeadOnly(model), Unchanged(normalize), *(_on_features(model, normalize, each, device) for each in loaders)


def _on_features(model, normalize, loader, device):
    if loader is None:
        return None
    features = FeatureSet(model, normalize, loader, device)
    as_before = {name: getattr(loader, name) for name in ("batch_size", "shuffle", "seed", "drop_last", "part")}
    again = DataLoader(features, **as_before)
    again.bad = features.bad
    return again

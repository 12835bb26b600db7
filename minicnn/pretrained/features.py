"""Features that are computed once: what a frozen backbone makes of a picture does not change while the head learns.

With nothing augmented, an epoch over the features of N pictures costs N small matrix products instead of N passes
through the whole network. The rest of training does not notice: features are a set of "pictures" of their own, and
``HeadOnly`` is the network as far as the optimiser, checkpoints and logs are concerned.
"""

import copy
import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from .. import nn
from ..clock import Clock
from ..data import DataError, DataLoader
from ..data.errors import shown
from ..device import to_device
from ..distributed import world
from ..distributed.ending import on_all_ranks
from ..gradmode import no_grad
from ..progress import Progress
from ..tensor import Tensor
from ..types import Array
from .transfer import head, head_name


class FeatureSet:
    """What the head of `model` gets to see of each picture of a loader: float32 (D, 1, 1), in the order of the set.

    Unreadable pictures are left out, as the loader does; it must not augment. Its `part` does not matter. Of several
    ranks, each works out every size-th batch, and all have all features, in the bits that one process would find.
    """

    @no_grad()
    def __init__(
        self, model: nn.Module, normalize: Callable[[Array], Array], loader: DataLoader, device: str = "cpu"
    ) -> None:
        name = head_name(model)
        model.eval()
        in_order = copy.copy(loader)
        in_order.shuffle, in_order.drop_last, in_order.bad, in_order.part = False, False, {}, None
        rank, size = world().part
        own: list[tuple[int, Array, Array]] = []  # position of a batch, indices and features of its pictures
        clock = Clock()
        with Progress("features", len(in_order)) as progress:
            for batch in in_order.epoch(0, min(rank, len(in_order)), size):
                images = Tensor(normalize(to_device(batch.images, device)))
                own.append((batch.position, batch.indices, nn.input_of(model, name, images).numpy()))
                done = min(batch.position - rank + size, len(in_order))  # of all ranks, taken to be as far as this one
                clock.update(len(batch.indices) * size)
                progress.update(done, *clock.texts(math.ceil((len(in_order) - done) / size)))
        batches, self.bad = _of_all_ranks(own, in_order)
        kept: list[int] = []
        for _, indices, _ in batches:
            kept.extend(indices)
        if not kept:
            path, reason = next(iter(self.bad.items()))
            first = f"{shown(path)}: {reason}"
            raise on_all_ranks(
                DataError(f"none of the {len(loader.dataset)} pictures could be read; the first: {first}")
            )
        self.features = np.concatenate([features for *_, features in batches])[:, :, None, None]
        self.samples = [loader.dataset.samples[i] for i in kept]
        self.classes = loader.dataset.classes

    def __len__(self):
        return len(self.samples)

    def load(self, index: int) -> Array:
        """float32 (D, 1, 1)."""
        return self.features[index]


def _of_all_ranks(own, loader):
    """(the batches of all ranks in the loader's order, what any rank could not read)."""
    found = world().gather_values((own, loader.bad))
    loader.bad = {}
    for _, bad in found:
        try:
            loader.add_bad(bad)
        except DataError as error:  # TooManyBadImages: each rank may have met fewer
            raise on_all_ranks(error) from None
    return sorted((batch for batches, _ in found for batch in batches), key=itemgetter(0)), loader.bad


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

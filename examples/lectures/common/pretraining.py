"""A network that has learnt five classes, as a beginning for others: the other five, or digits.

The classes are the ten textures, or the first ten of a folder's, in the order of their names: five that the network
learns, and five that are a similar task. All programs that begin with such a network make the same one.
"""

from typing import NamedTuple

import numpy as np

import minicnn
from minicnn import nn
from minicnn.data import ChannelMeanStd
from minicnn.models import cifar_resnet
from minicnn.pretrained.transfer import head_name

from .classes import classes
from .experiment import Run
from .tasks import Task, split
from .training import crop_and_flip, error, train


class Beginning(NamedTuple):
    """What has been learnt, and the similar task."""

    depth: int  # of the ResNet
    weights: dict[str, np.ndarray]  # its state, the head's left out
    normalize: ChannelMeanStd  # of its training pictures; whatever it sees goes through it
    error: float  # on test pictures of its own five classes, in %
    similar: Task

    def network(self, seed: int, pretrained: bool = True) -> nn.Module:
        """A network with a new head for five classes; the rest is what was learnt, or new as well. The seed decides
        whatever is new."""
        minicnn.manual_seed(seed)
        model = cifar_resnet(self.depth, num_classes=5)
        if pretrained:
            model.load_state_dict(self.weights, strict=False)
        return model


def learn(run: Run) -> Beginning:
    """Draw or read the pictures, and train the network that the others begin with. SettingError for a folder with too
    few classes or pictures."""
    side, depth = run.pick(16, 16, 32), run.pick(8, 8, 20)
    pictures = classes(run.folder, run.pick(24, 300, 1000), run.pick(12, 200, 100), side, first=10)
    own, others = (pictures.of_classes(five) for five in (tuple(range(5)), tuple(range(5, 10))))
    normalize = ChannelMeanStd().fit([own.train])
    minicnn.manual_seed(0)
    model = cifar_resnet(depth, num_classes=5)
    train(
        model,
        normalize(own.train),
        own.train_labels,
        epochs=run.pick(2, 12, 60),
        lr=0.1,
        options={"weight_decay": 5e-4, "augment": crop_and_flip(side // 8)},
    )
    wrong = error(model, normalize(own.test), own.test_labels)
    old_head = head_name(model) + "."
    weights = {name: value.numpy() for name, value in model.state_dict().items() if not name.startswith(old_head)}
    similar = split(
        normalize(others.train), others.train_labels, (normalize(others.test), others.test_labels), run.pick(4, 50)
    )
    return Beginning(depth, weights, normalize, wrong, similar)


def features(model: nn.Module, stage: str, sets: list[np.ndarray]) -> list[np.ndarray]:
    """What a stage of the network, a name such as "layer3", gives out for each set of pictures, averaged over
    positions: (N, channels), less the mean of the first set and in units of its spread."""
    model.eval()
    with minicnn.no_grad():
        given = [
            np.concatenate([nn.output_of(model, stage, minicnn.Tensor(x)).mean((2, 3)).numpy() for x in parts])
            for parts in (np.array_split(images, -(-len(images) // 256)) for images in sets)
        ]
    centre, scale = given[0].mean(0), given[0].std(0) + 1e-3  # a channel may be the same everywhere
    return [(values - centre) / scale for values in given]

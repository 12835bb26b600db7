"""Both AlexNets: their sizes and the gradient of the whole network; torchvision's numbers are in test_parity.py."""

import numpy as np
import pytest
from checks import check_network_gradients

from minicnn import Tensor, manual_seed, models, nn, no_grad, summary
from minicnn.nn import LocalResponseNorm, MaxPool2d


@pytest.mark.parametrize(
    "make, count",
    [
        (models.alexnet, 61_100_840),
        (models.alexnet_2012, 60_965_224),
        (lambda: models.alexnet_2012(groups=1), 62_378_344),
    ],
    ids=["torchvision", "2012", "2012 without groups"],
)
def test_number_of_parameters(make, count):
    assert sum(p.size for p in make().parameters()) == count


def test_the_volumes_of_2012(capsys):
    rows = summary(models.alexnet_2012(width=8), (3, 227, 227)).rows
    volumes = [row.output for row in rows if row.layer.split()[1] in ("Conv2d", "MaxPool2d")]
    assert volumes == [
        (96, 55, 55),
        (96, 27, 27),
        (256, 27, 27),
        (256, 13, 13),
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
        (256, 6, 6),
    ]


@pytest.mark.parametrize("pool_first", [False, True])
def test_the_order_of_pooling_and_normalising(pool_first):
    features = models.alexnet_2012(width=8, pool_before_norm=pool_first).features
    order = [type(m) for m in features if isinstance(m, (LocalResponseNorm, MaxPool2d))]
    pair = [MaxPool2d, LocalResponseNorm] if pool_first else [LocalResponseNorm, MaxPool2d]
    assert order == [*pair, *pair, MaxPool2d]


@pytest.mark.parametrize("across", [False, True])
def test_what_lrn_sees_of_the_other_half(across):
    """The first half's filters of conv1 are doubled: before conv3, the second half notices it through LRN alone."""
    manual_seed(0)
    model = models.alexnet_2012(width=8, norm_across_halves=across).astype(np.float64)
    before_conv3 = nn.Sequential(*list(model.features)[:8])
    images = Tensor(100 * np.random.default_rng(0).standard_normal((2, 3, 67, 67)))
    with no_grad():
        y = before_conv3(images).numpy()
        conv1 = model.features[0].weight.numpy()
        conv1[:48] *= 2
        model.features[0].weight.data[...] = conv1
        changed = np.abs(before_conv3(images).numpy() - y).max(axis=(0, 2, 3))  # of each channel
    assert changed[:128].max() > 0 and (changed[128:].max() > 0) == across


def test_halves_have_the_same_keys_and_one_group_no_halves():
    within, across = (models.alexnet_2012(width=8, norm_across_halves=each) for each in (False, True))
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (within, across)]
    assert shapes[0] == shapes[1]
    assert [m.groups for m in within.features if isinstance(m, LocalResponseNorm)] == [2, 2]
    whole = models.alexnet_2012(width=8, groups=1, norm_across_halves=False)
    for model in (across, whole):
        assert [m.groups for m in model.features if isinstance(m, LocalResponseNorm)] == [1, 1]
    assert [m.groups for m in models.alexnet_2012(width=8).features if isinstance(m, LocalResponseNorm)] == [2, 2]


def test_initial_weights_of_2012():
    manual_seed(0)
    model = models.alexnet_2012(width=64)
    parameters = list(model.parameters())
    for weight in parameters[::2]:
        assert abs(weight.numpy().std() / 0.01 - 1) < 0.05
    assert [float(bias.numpy()[0]) for bias in parameters[1::2]] == [0, 1, 0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("make", [models.alexnet, models.alexnet_2012])
def test_gradient_of_the_whole_network(make):
    manual_seed(1)
    model = make(num_classes=3, width=8).astype(np.float64)
    check_network_gradients(model, np.random.default_rng(0).standard_normal((2, 3, 67, 67)), [0, 2])


def test_a_layer_that_a_user_adds_is_no_stage():
    model = models.alexnet(width=8)
    stages = list(model.stages)
    model.aux = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert model.stages == stages and stages[-1] == "classifier.5"

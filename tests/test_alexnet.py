"""Both AlexNets: their sizes, torchvision's numbers, and the gradient of the whole network."""

import numpy as np
import pytest
from checks import check_close

import minicnn.functional as F
from minicnn import Tensor, gradcheck, manual_seed, models, no_grad, summary
from minicnn.nn import LocalResponseNorm, MaxPool2d
from minicnn.optim import SGD


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


def torchvision_alexnet(torch, torchvision, state, width=None, **options):
    """torchvision's network around the arrays of `state`; `width` neurons in its hidden layers."""
    with torch.device("meta"):
        model = torchvision.models.AlexNet(**options)
        if width is not None:
            classes = model.classifier[6].out_features
            for i, sizes in ((1, (9216, width)), (4, (width, width)), (6, (width, classes))):
                model.classifier[i] = torch.nn.Linear(*sizes)
    model.load_state_dict({key: torch.from_numpy(t.numpy()) for key, t in state.items()}, assign=True)
    return model


def test_torchvisions_keys_and_logits(torch, torchvision):
    model = models.alexnet().eval()
    images = np.random.default_rng(0).standard_normal((2, 3, 67, 95))
    for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 1e-9)):
        oracle = torchvision_alexnet(torch, torchvision, model.astype(dtype).state_dict()).eval()
        x = images.astype(dtype)
        with no_grad(), torch.no_grad():
            check_close(model(Tensor(x)).numpy(), oracle(torch.from_numpy(x)).numpy(), tolerance)


def test_two_steps_of_training_equal_torchvisions(torch, torchvision):
    size = {"num_classes": 5, "dropout": 0.0, "width": 16}
    manual_seed(0)
    model = models.alexnet(**size).astype(np.float64)
    copies = {key: Tensor(t.numpy().copy()) for key, t in model.state_dict().items()}
    oracle = torchvision_alexnet(torch, torchvision, copies, **size)
    settings = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    ours, theirs = SGD(model.parameters(), **settings), torch.optim.SGD(oracle.parameters(), **settings)
    rng = np.random.default_rng(0)
    for _ in range(2):
        x, target = rng.standard_normal((3, 3, 63, 70)), rng.integers(0, 5, 3)
        for optimizer in (ours, theirs):
            optimizer.zero_grad()
        F.cross_entropy(model(Tensor(x)), target).backward()
        torch.nn.functional.cross_entropy(oracle(torch.from_numpy(x)), torch.from_numpy(target)).backward()
        for our, their in zip(model.parameters(), oracle.parameters(), strict=True):
            check_close(our.grad.numpy(), their.grad.numpy(), 1e-9)
        ours.step()
        theirs.step()
    for our, their in zip(model.parameters(), oracle.parameters(), strict=True):
        check_close(our.numpy(), their.detach().numpy(), 1e-9)


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


def test_initial_weights_of_2012():
    manual_seed(0)
    model = models.alexnet_2012(width=64)
    parameters = list(model.parameters())
    for weight in parameters[::2]:
        assert abs(weight.numpy().std() / 0.01 - 1) < 0.05
    assert [float(bias.numpy()[0]) for bias in parameters[1::2]] == [0, 1, 0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("make", [models.alexnet, models.alexnet_2012])
def test_gradient_of_the_whole_network(make):
    """Along two random directions for each parameter and the image, with dropout that draws the same masks again."""
    manual_seed(1)
    model = make(num_classes=3, width=8).astype(np.float64)
    homes = [(m, name) for m in model.modules() for name in m._parameters]
    arrays = [getattr(*home).numpy() for home in homes]
    images = np.random.default_rng(0).standard_normal((2, 3, 67, 67))

    def loss(x, *parameters):
        for home, parameter in zip(homes, parameters, strict=True):
            setattr(*home, parameter)
        manual_seed(2)
        return F.cross_entropy(model(x), [0, 2])

    assert gradcheck(loss, [images, *arrays], directions=2, atol=1e-9)

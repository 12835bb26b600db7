"""Networks of which each rank holds a part do what the whole network does: AlexNet over ranks, and its layers."""

import json

import mpi
import numpy as np
import pytest
import thread_ranks
from checks import raises
from paths import SUPPORT

import minicnn.functional as F
from minicnn import Tensor, distributed, models, nn
from minicnn.data import DataLoader, ZeroToOne
from minicnn.models.alexnet_split import NormAcrossRanks
from minicnn.train.evaluate import Classifier, evaluate
from minicnn.train.step import check_whole

RNG = np.random.default_rng(0)


def trained(size, way):
    """What alexnet_of_ranks.py prints on rank 0."""
    first, *others = map(json.loads, mpi.succeed(size, SUPPORT / "alexnet_of_ranks.py", way, timeout=120))
    assert all(found["begins"] for each in (first, *others) for found in each)  # with the whole network's weights
    return first


@mpi.skip_without_mpi
@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_alexnet_of_2012_over_ranks_is_the_whole_one(size):
    within, across = trained(size, "halves")
    for found in (within, across):
        assert found["difference"]["losses"] < 1e-10 and found["difference"]["weights"] < 1e-10
        assert found["own"] == 1 / size
    assert abs(np.subtract(within["difference"]["are"], across["difference"]["are"])).max() > 1e-6  # it would show


@mpi.skip_without_mpi
@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_the_weird_trick_is_the_whole_network_on_the_whole_batch(size):
    (found,) = trained(size, "weird")
    assert found["difference"]["losses"] < 1e-12 and found["difference"]["weights"] < 1e-12
    assert np.ptp(found["difference"]["are"]) > 0.1


def check_against_whole(size, whole, parts, xs, axis):
    """parts(x) on each rank is, with its gradients, what `whole` is of the x of all of them, joined along `axis`."""
    x = Tensor(np.concatenate(xs, axis), requires_grad=True)
    y = whole(x)
    grad_out = RNG.standard_normal(y.shape)
    y.backward(grad_out)
    cuts = np.cumsum([part.shape[axis] for part in xs])[:-1]
    grads = np.split(grad_out, cuts, axis)

    def part(world):
        own = Tensor(xs[world.rank], requires_grad=True)
        out = parts(own)
        out.backward(grads[world.rank])
        return out.numpy(), own.grad.numpy()

    found = thread_ranks.run(size, part)
    for i, expected in enumerate((y.numpy(), x.grad.numpy())):
        np.testing.assert_allclose(np.concatenate([f[i] for f in found], axis), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size, channels, window", [(2, 3, 5), (3, 2, 5), (3, 4, 3), (1, 4, 5)])
def test_lrn_across_ranks(size, channels, window):
    xs = [RNG.standard_normal((2, channels, 2, 3)) for _ in range(size)]
    options = window, 1.0, 0.75, 2.0
    layer = NormAcrossRanks(*options)
    check_against_whole(size, lambda x: F.local_response_norm(x, *options), layer, xs, axis=1)


def classifier():
    """Of 5 features, in 12 neurons, in 12 classes."""
    return nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 12, bias=False)).astype(np.float64)


class Net(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.classifier = layers

    def forward(self, x):
        return self.classifier(x)


@pytest.mark.parametrize("rows", [(2, 2), (3, 1), (1, 0), (0, 0), (1, 3, 2), (0, 4, 1), (3,)])
def test_a_split_classifier(rows):
    whole = classifier()
    state = whole.state_dict()
    split = {}

    def parts(x):
        net = Net(classifier())
        net.classifier.load_state_dict(state)
        y = models.split_classifier(net)(x)
        split[distributed.world()] = net.classifier
        return y

    check_against_whole(len(rows), whole, parts, [RNG.standard_normal((n, 5)) for n in rows], axis=0)
    for world, layers in split.items():
        for name, own in layers.named_parameters():
            grad = dict(whole.named_parameters())[name].grad.numpy()
            np.testing.assert_allclose(own.grad.numpy(), np.split(grad, len(rows))[world.rank], rtol=1e-12, atol=1e-14)


def test_a_split_linear_layer_begins_as_the_whole_one_and_its_state_is_put_together():
    whole = nn.Linear(3, 4)

    def part(world):
        layer = nn.SplitLinear(3, 4)
        layer.load_state_dict(nn.split_state(layer, whole.state_dict()))
        assert layer.weight.shape == (2, 3) and layer.bias.shape == (2,)
        assert repr(layer) == "SplitLinear(3, 4, bias=True, own_rows=2)"
        with pytest.raises(ValueError, match=r"weight of shape \(2, 3\) is not the whole of 2 ranks' parts of"):
            nn.split_state(layer, layer.state_dict())
        return nn.gather_state(nn.Sequential(nn.Linear(3, 3), layer))

    for state in thread_ranks.run(2, part):
        assert list(state) == ["0.weight", "0.bias", "1.weight", "1.bias"] and state["0.weight"].shape == (3, 3)
        np.testing.assert_array_equal(state["1.weight"].numpy(), whole.weight.numpy())
        np.testing.assert_array_equal(state["1.bias"].numpy(), whole.bias.numpy())


def test_frozen_stays_frozen():
    layer = nn.Linear(3, 4).requires_grad_(False)
    assert not nn.SplitLinear.convert(layer).weight.requires_grad


@pytest.mark.parametrize(
    "size, arguments, error, message",
    [
        (1, {}, RuntimeError, "it lies on two ranks, and there is one process; start it as mpiexec -n 2 python .*, or"),
        (
            3,
            {},
            RuntimeError,
            "it lies on two ranks, and there are 3 ranks, which cannot share its filters equally",
        ),
        (2, {"num_classes": 5}, ValueError, "num_classes must be a multiple of the 2 ranks, got 5"),
        (4, {"width": 6}, ValueError, "width must be a multiple of the 4 ranks, got 6"),
    ],
)
def test_ranks_that_cannot_hold_alexnet(size, arguments, error, message):
    with pytest.raises(error, match=f"alexnet_2012_split: {message}"):
        thread_ranks.run(size, lambda world: models.alexnet_2012_split(**arguments))


def test_what_cannot_be_split_stays_whole():
    net = Net(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3)))
    with pytest.raises(ValueError, match=r"classifier.1 has 3 outputs, which 2 ranks cannot share equally"):
        thread_ranks.run(2, lambda world: models.split_classifier(net))
    assert [type(layer) for layer in net.classifier] == [nn.Linear, nn.Linear]
    with pytest.raises(TypeError, match="a ReLU has no Sequential by the name of classifier"):
        models.split_classifier(nn.ReLU())
    with pytest.raises(TypeError, match="it converts a Linear, not a ReLU"):
        nn.SplitLinear.convert(nn.ReLU())
    with pytest.raises(ValueError, match="SplitLinear: 3 outputs cannot be shared out to 2 ranks in equal parts"):
        thread_ranks.run(2, lambda world: nn.SplitLinear(4, 3))


def test_what_wants_the_whole_network_on_each_rank_refuses_parts_of_it():
    def refusals(world):
        model = nn.Sequential(nn.Flatten(), nn.SplitLinear(12, 2))
        loader = DataLoader((np.zeros((4, 3, 2, 2), np.uint8), np.zeros(4, np.int64)), 2)
        with raises(ValueError, "Trainer: each rank has a part of the network", "a loop of your own"):
            check_whole(model)
        with raises(ValueError, "evaluate: each rank has a part of the network", "part=(0, 1)"):
            evaluate([Classifier(model, ZeroToOne())], loader)
        return evaluate([Classifier(model, ZeroToOne())], loader, part=(0, 1)).count

    assert thread_ranks.run(2, refusals) == [4, 4]
    check_whole(nn.Sequential(nn.SplitLinear(12, 2)))  # of one process: all of it


def test_by_itself_a_process_has_the_network_that_it_had():
    net, x = Net(classifier()), Tensor(RNG.standard_normal((2, 5)))
    before = net(x).numpy()
    np.testing.assert_array_equal(models.split_classifier(net)(x).numpy(), before)
    assert nn.gather_state(net).keys() == net.state_dict().keys()

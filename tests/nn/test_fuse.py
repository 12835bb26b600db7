"""fuse: which batch norms it folds, which stay and why, and which models and pictures it does not take."""

import numpy as np
import pytest
from checks import raises
from fusion import PICTURE, check_same, noise, small
from networks import with_statistics

import minicnn
import minicnn.functional as F
from minicnn import Tensor, nn, no_grad


class Misleading(nn.Module):
    """Attributes in another order than they run in, and names that say nothing."""

    def __init__(self, forward):
        super().__init__()
        self.b = nn.BatchNorm2d(4)
        self.a = nn.BatchNorm2d(4, affine=False)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.third = nn.Conv2d(3, 4, 1)
        self.linear = nn.Linear(6, 4)
        self.relu = nn.ReLU(inplace=True)
        vars(self)["function"] = forward

    def forward(self, x):
        return self.function(self, x)


ALL = {"a": "first", "b": "second"}


def fused_of(forward, change=lambda model: None, shape=PICTURE):
    """(the model, its fused copy), which give the same."""
    minicnn.manual_seed(0)
    model = with_statistics(Misleading(forward))
    change(model)
    fused = minicnn.fuse(model, shape)
    check_same(model, fused, noise(2, *shape))
    return model, fused


FOLDED = {
    "one after the other": (lambda m, x: m.b(m.second(m.a(m.first(x)))), ALL),
    "ReLUs of either kind": (lambda m, x: F.relu(m.b(m.second(m.relu(m.a(m.first(x)))))), ALL),
    "the other way round": (lambda m, x: m.a(m.second(m.b(m.first(x)))), {"a": "second", "b": "first"}),
    "a sum of two": (lambda m, x: m.a(m.first(x)) + m.b(m.third(x)), {"a": "first", "b": "third"}),
    "several results": (lambda m, x: {"a": m.a(m.first(x)), "b": [m.b(m.third(x)), x]}, {"a": "first", "b": "third"}),
    "a fully connected layer": (lambda m, x: m.b(m.linear(x.mean(dim=(1, 2)))), {"b": "linear"}),
    "what is normalised is used twice": (lambda m, x: (lambda y: y * y)(m.a(m.first(x))), {"a": "first"}),
    "pictures are written over": (lambda m, x: m.a(m.first(F.relu(x, inplace=True))), {"a": "first"}),
}


@pytest.mark.parametrize("name", FOLDED)
def test_a_batch_norm_goes_into_the_layer_that_made_its_input(name):
    forward, expected = FOLDED[name]
    model, fused = fused_of(forward)
    assert fused.fusion_report.folded == expected
    for norm, layer in expected.items():
        assert type(getattr(fused, norm)) is nn.Identity and getattr(fused, layer).bias is not None
    assert type(model.a) is nn.BatchNorm2d and model.first.bias is None


def twice(layer):
    return lambda m, x: m.a(getattr(m, layer)(x)) + m.b(getattr(m, layer)(x))


LEFT = {  # what runs; what is said of `a`, or of `b`
    "convolution used twice": (twice("first"), "a", "first runs 2 times"),
    "its result used twice": (lambda m, x: (lambda y: m.a(y) + m.b(y))(m.first(x)), "a", "what first makes is used"),
    "its result returned": (lambda m, x: (lambda y: (y, m.a(y)))(m.first(x)), "a", "what first makes is used"),
    "its result added": (lambda m, x: (lambda y: m.a(y) + y)(m.first(x)), "a", "what first makes is used"),
    "two convolutions, one batch norm": (lambda m, x: m.a(m.first(x)) + m.a(m.third(x)), "a", "a runs 2 times"),
    "a sum of two convolutions": (lambda m, x: m.a(m.first(x) + m.third(x)), "a", "not what a Conv2d"),
    "batch norm first": (lambda m, x: m.second(m.a(F.pad(x, (0, 0, 0, 0, 0, 1)))), "a", "not what a Conv2d"),
    "two batch norms": (lambda m, x: m.b(m.a(m.first(x))), "b", "not what a Conv2d"),
    "a ReLU between": (lambda m, x: m.a(m.relu(m.first(x))), "a", "not what a Conv2d"),
    "rows of a linear layer": (lambda m, x: m.a(m.linear(x)[:, [0, 1, 2, 0]]), "a", "not what a Conv2d"),
    "another channel axis": (lambda m, x: m.b(m.linear(x.mean(dim=1)[:, :4])), "b", "for each of its channels"),
    "the weight is used, too": (lambda m, x: m.a(m.first(x)) * m.first.weight.sum(), "a", "parameters of first"),
    "its own weight is used, too": (lambda m, x: m.b(m.third(x)) * m.b.weight.sum(), "b", "parameters of b are"),
    "it is not run": (lambda m, x: m.first(x), "a", "a does not run in evaluation"),
    "its result is thrown away": (lambda m, x: (m.a(m.first(x)), m.third(x))[1], "a", "does not depend on what a"),
    "no gradient is recorded": (no_grad()(lambda m, x: m.a(m.first(x))), "a", "does not depend on what a"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_cannot_be_folded_stays_and_the_report_says_why(name):
    forward, norm, reason = LEFT[name]
    model, fused = fused_of(forward)
    assert reason in fused.fusion_report.left[norm] and norm not in fused.fusion_report.folded
    assert f"{norm}: left as it is, since" in str(fused.fusion_report)
    assert type(getattr(fused, norm)) is nn.BatchNorm2d
    if name != "two batch norms":  # of which the first is folded
        np.testing.assert_array_equal(fused.first.weight.numpy(), model.first.weight.numpy())


def of_another_class(layer, kind):
    layer.__class__ = kind


class Own(nn.Conv2d):
    pass


CHANGES = {
    "a hook of the convolution": (lambda m: m.first.register_forward_hook(lambda *args: None), "first has hooks"),
    "a hook of the batch norm": (lambda m: m.a.register_forward_pre_hook(lambda *args: None), "a has hooks"),
    "a hook that doubles": (lambda m: m.a.register_forward_hook(lambda layer, x, y: y * 2), "a has hooks"),
    "another forward": (
        lambda m: setattr(m.first, "forward", lambda x: F.conv2d(x, m.first.weight, None, 1, 1)),
        "own",
    ),
    "a class of one's own": (lambda m: of_another_class(m.first, Own), "first is a Own"),
    "synchronised batch norm": (lambda m: of_another_class(m.a, nn.SyncBatchNorm), "a is a SyncBatchNorm"),
    "batch statistics": (lambda m: setattr(m.a, "options", lambda: (None, None, None, None, True)), "of the batch"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_layers_that_do_something_of_their_own_stay(name):
    change, reason = CHANGES[name]
    _, fused = fused_of(lambda m, x: m.b(m.third(x)) + m.a(m.first(x)), change)
    assert fused.fusion_report.folded == {"b": "third"} and reason in fused.fusion_report.left["a"]


@pytest.mark.parametrize("name", ["0", "1"])
def test_hooks_of_a_block_may_see_what_a_convolution_makes(name):
    seen = []
    model = with_statistics(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1)), nn.Sequential(nn.BatchNorm2d(4))))
    model[int(name)].register_forward_hook(lambda layer, inputs, y: seen.append((inputs[0].numpy(), y.numpy())))
    fused = minicnn.fuse(model, PICTURE)
    assert fused.fusion_report.left == {"1.0": f"since {name} has hooks, which see what 0.0 makes"}
    seen.clear()
    for each in (model, fused):
        each(noise(1, *PICTURE))
    for expected, found in zip(*seen, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert minicnn.fuse(nn.Sequential(*model[0], *model[1]).eval(), PICTURE).fusion_report.folded == {"1": "0"}


def test_a_batch_norm_alone():
    model = with_statistics(nn.Sequential(nn.BatchNorm2d(3, affine=False)))
    assert "not what a Conv2d" in minicnn.fuse(model, PICTURE).fusion_report.left["0"]


def test_a_network_of_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.norm = nn.Conv2d(3, 4, 1), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x, y):
            return self.norm(self.two(y)) + self.one(x)

    model = with_statistics(Two())
    fused = minicnn.fuse(model, [(3, 4, 4), (2, 6, 6)])
    assert fused.fusion_report.folded == {"norm": "two"}
    check_same(model, fused, noise(2, 3, 4, 4), noise(2, 2, 6, 6))


# What is refused


def test_what_is_no_module():
    for wrong in (None, small().state_dict(), nn.Conv2d):
        with raises(TypeError, "fuse: takes a Module", type(wrong).__name__ if wrong is None else ""):
            minicnn.fuse(wrong)


@pytest.mark.parametrize(
    "shape, error, parts",
    [
        (None, ValueError, ["Sequential", "(3, 300, 300)", "128", "give input_shape"]),  # the Linear takes 128 features
        ((3, 7, 6), ValueError, ["(3, 7, 6)", "128"]),
        ((4, 6, 6), ValueError, ["(4, 6, 6)", "channels"]),
        ((3, 0, 6), ValueError, ["a size of input_shape", "0"]),
        (6, TypeError, ["input_shape", "(C, H, W)", "6"]),
        ([], TypeError, ["input_shape", "[]"]),
    ],
)
def test_pictures_that_the_model_does_not_take(shape, error, parts):
    with raises(error, "fuse", *parts):
        minicnn.fuse(small(), shape)


@pytest.mark.parametrize(
    "key, value, parts",
    [
        ("running_var", np.nan, ["1 cannot be folded into 0", "look at 1.running_var,", "NaN"]),
        ("running_var", -1.0, ["look at 1.running_var,", "negative"]),
        ("running_mean", np.inf, ["look at 1.running_mean,"]),
        ("bias", np.nan, ["look at 1.bias,"]),
    ],
)
def test_statistics_that_are_no_numbers(key, value, parts):
    model = small()
    getattr(model[1], key).detach()[2] = value
    with raises(ValueError, "fuse", *parts):
        minicnn.fuse(model, PICTURE)


def test_a_weight_that_float32_cannot_hold():
    model = small()
    model[1].weight.detach()[2] = 1e38
    model[1].running_var[2] = 1e-5
    with raises(ValueError, "fuse", "1 cannot be folded into 0", "overflows"):
        minicnn.fuse(model, PICTURE)


def test_an_infinite_variance_is_a_channel_that_says_nothing():
    model = small()
    model[1].running_var[2] = np.inf
    check_same(model, minicnn.fuse(model, PICTURE), noise(2, *PICTURE))


def test_what_the_graph_does_not_know_is_found_by_the_result():
    def hidden(model, x):
        y = model.first(x)
        return model.a(y) + Tensor(y.numpy())

    with raises(RuntimeError, "fuse", "does not give what the model gives", "detach()"):
        fused_of(hidden)
    with raises(RuntimeError, "fuse", "random"):
        fused_of(lambda m, x: F.dropout(m.a(m.first(x)), 0.5))
    with raises(RuntimeError, "fuse", "does not run any more", "running_var", "a batch norm's tensors"):
        fused_of(lambda m, x: m.a(m.first(x)) * m.a.running_var.sum())

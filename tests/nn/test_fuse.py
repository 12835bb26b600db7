"""fuse: which batch norms it folds, that results stay, that the model does; the networks of minicnn.models."""

import copy
import io
import pickle

import numpy as np
import pytest
from checks import raises
from networks import with_statistics

import minicnn
import minicnn.functional as F
from minicnn import Tensor, models, nn, no_grad, optim
from minicnn.autograd import topological_order
from minicnn.nn.fuse import Chain
from minicnn.nn.fused import chain
from minicnn.nn.watch import tensors_in
from minicnn.precision import BFLOAT16


def noise(*shape, dtype="f"):
    return Tensor(np.random.default_rng(1).standard_normal(shape).astype(dtype))


def check_same(model, fused, *pictures, tolerance=1e-5):
    with no_grad():
        results = zip(tensors_in(model(*pictures)), tensors_in(fused(*pictures)), strict=True)
    for expected, found in [(a.numpy(), b.numpy()) for a, b in results]:
        assert found.dtype == expected.dtype and np.isfinite(expected).all() and expected.any()
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
        if expected.ndim == 2:
            np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


def ops_of(y):
    return {type(node).__name__ for node in topological_order(y.node)}


# The networks of minicnn.models


def segmented(backbone):
    model = models.fcn(backbone, 3, stride=16)
    for score in model.scores:
        nn.init.normal_(score.weight)  # they begin as zeros
    return model


slow = pytest.mark.slow
NETWORKS = {  # a maker, the picture's side, how many batch norms stay as they are
    "resnet8": (lambda: models.cifar_resnet(8), 8, 0),
    "resnet8 B": (lambda: models.cifar_resnet(8, shortcut="B"), 8, 0),
    "plain8": (lambda: models.cifar_resnet(8, residual=False), 8, 0),
    "resnet20": (lambda: models.cifar_resnet(20), 8, 0),
    "mobilenet_v2": (lambda: models.mobilenet_v2(5), 32, 0),
    "shufflenet_v2": (lambda: models.shufflenet_v2_x1_0(5), 32, 0),
    "googlenet": (lambda: models.googlenet(5), 32, 2),  # of the auxiliary heads
    "alexnet": (lambda: models.alexnet(5, width=8), 63, 0),
    "resnet18": (lambda: models.resnet18(5), 32, 0),
    "resnet50": (lambda: models.resnet50(5), 32, 0),
    "resnet50 paper": (lambda: models.resnet50(5, shortcut="C", paper_stride=True), 32, 0),
    "vgg11_bn": (lambda: models.vgg11_bn(5, width=8), 32, 0),
    "vgg16_bn": (lambda: models.vgg16_bn(5, width=8), 32, 0),
    "vgg11": (lambda: models.vgg11(5, width=8), 32, 0),
    "alexnet_2012": (lambda: models.alexnet_2012(5, width=8), 67, 0),
    "inception_v3": (lambda: models.inception_v3(5), 75, 1 + 1),
    "fcn of resnet18": (lambda: segmented(models.resnet18()), 64, 0),
    "ssd of resnet18": (lambda: models.ssd(models.resnet18(), 3, ["layer2", "layer3"]), 64, 0),
    "dense resnet18": (lambda: models.fully_convolutional(models.resnet18(5)), 64, 0),
}
QUICK = {"resnet8", "resnet8 B", "mobilenet_v2", "shufflenet_v2", "googlenet"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [slow]) for n in NETWORKS])
def test_every_network_gives_what_it_gave(name):
    make, side, stay = NETWORKS[name]
    minicnn.manual_seed(0)
    model = with_statistics(make())
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    for dtype, tolerance in (("f", 1e-5), ("d", 1e-12)):
        model.astype(dtype)
        fused = minicnn.fuse(model)
        check_same(model, fused, noise(2, 3, side, side, dtype=dtype), tolerance=tolerance)
        report = fused.fusion_report
        assert len(report.left) == stay and sorted([*report.folded, *report.left]) == sorted(names)
        assert all("evaluation" in reason for reason in report.left.values())


def test_a_resnet_is_convolutions_with_everything_in_them():
    fused = minicnn.fuse(with_statistics(models.cifar_resnet(8, shortcut="B")))
    images = noise(1, 3, 8, 8).requires_grad_()
    assert ops_of(fused(images)) == {"Conv2d", "Conv2dReLU", "AdaptiveAvgPool2d", "Reshape", "Linear"}
    assert sorted(fused.fusion_report.folded.items())[:2] == [("bn1", "conv1"), ("layer1.0.bn1", "layer1.0.conv1")]
    assert fused.fusion_report.folded["layer2.0.downsample.1"] == "layer2.0.downsample.0"
    assert "bn1: folded into conv1\n" in str(fused.fusion_report)
    assert isinstance(fused.bn1, nn.Identity) and "bn1" in dict(fused.named_modules())


def test_without_batch_norm_nothing_is_run_and_convolutions_take_their_relus():
    def forward(x):
        raise AssertionError("it is run")

    model = models.alexnet(5, width=8)
    model.avgpool.forward = forward
    fused = minicnn.fuse(model)
    assert fused.fusion_report.folded == fused.fusion_report.left == {} and not fused.training
    assert str(fused.fusion_report) == "there is no batch norm"
    assert type(fused.features) is Chain and type(model.features) is nn.Sequential
    assert "ReLU" not in ops_of(fused.features(noise(1, 3, 63, 63)))


# What belongs to what


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


PICTURE = 3, 6, 6
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


# The copy, and the model


def small():
    minicnn.manual_seed(0)
    return with_statistics(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(128, 4),
        )
    )


def test_the_same_on_every_device_and_tier(place):
    model = small().to(place.device)
    fused = minicnn.fuse(model, PICTURE)
    assert {tensor.device for tensor in fused.state_dict().values()} == {place.device}
    check_same(model, fused, place.tensor(noise(2, *PICTURE).numpy()))


def test_in_bfloat16_it_is_as_near_as_bfloat16_is():
    model = small()
    fused, images = minicnn.fuse(model, PICTURE), noise(4, *PICTURE)
    with no_grad():
        exact = model(images).numpy()
        with minicnn.precision("bfloat16"):
            found = minicnn.fuse(model, PICTURE)(images), fused(images)
    for y in found:
        assert y.dtype == BFLOAT16
        assert np.abs(y.numpy().astype("f") - exact).max() < 2.0**-6 * np.abs(exact).max()
    assert {p.dtype for p in fused.parameters()} == {np.dtype("f")}


def test_the_model_stays_as_it_is_to_the_bit_whatever_becomes_of_the_copy():
    model = small().train()
    model[0].eval()
    model[3].freeze()
    F.cross_entropy(model(noise(2, *PICTURE)), [0, 1]).backward()
    before, grad = pickle.dumps(model), model[0].weight.grad.numpy().copy()
    minicnn.manual_seed(3)
    drawn = minicnn.rand(4).numpy()
    minicnn.manual_seed(3)
    fused = minicnn.fuse(model, PICTURE)
    np.testing.assert_array_equal(minicnn.rand(4).numpy(), drawn)  # nor are random numbers used up
    assert all(parameter.grad is None for parameter in fused.parameters())
    with no_grad():
        for tensor in fused.state_dict().values():
            tensor[...] = 7
    fused[0] = nn.Identity()
    fused.double().train().freeze()
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(model[0].weight.grad.numpy(), grad)
    assert [layer.training for layer in model][:2] == [False, True]


def test_saved_and_loaded_it_is_the_same(tmp_path):
    fused, images = minicnn.fuse(small(), PICTURE), noise(2, *PICTURE)
    assert list(fused.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias", "8.weight", "8.bias"]
    minicnn.save(fused.state_dict(), tmp_path / "fused.pt")
    other = minicnn.fuse(with_statistics(small(), seed=5), PICTURE)
    other.load_state_dict(minicnn.load(tmp_path / "fused.pt"))
    for each in (other, copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), minicnn.fuse(fused)):
        np.testing.assert_array_equal(each(images).numpy(), fused(images).numpy())
    assert copy.deepcopy(fused).fusion_report == fused.fusion_report
    with raises(KeyError, "another model", "0.bias"):
        fused.load_state_dict(small().state_dict())


def test_it_can_be_trained_without_statistics_of_the_batch():
    fused, images = minicnn.fuse(small(), PICTURE).train(), noise(4, *PICTURE)
    fused[6].p = 0.0
    together = fused(images).numpy()
    apart = np.concatenate([fused(images[i : i + 1]).numpy() for i in range(4)])
    np.testing.assert_allclose(together, apart, atol=1e-5)  # in training mode, too
    optimizer, losses = optim.SGD(fused.parameters(), lr=0.05), []
    for _ in range(5):
        losses.append(F.cross_entropy(fused(images), [0, 1, 2, 3]))
        optimizer.zero_grad()
        losses[-1].backward()
        assert fused[0].bias.grad is not None
        optimizer.step()
    assert losses[-1].item() < losses[0].item()


def test_of_a_sealed_network_and_sealed_itself():
    model = minicnn.seal(small())
    fused = minicnn.seal(minicnn.fuse(model, PICTURE))
    check_same(model, fused, noise(1, *PICTURE))
    assert fused.fusion_report.folded == {"1": "0", "4": "3"} and not any(p.requires_grad for p in fused.parameters())


def test_what_was_frozen_stays_so():
    model = small()
    model[:3].freeze()
    fused = minicnn.fuse(model, PICTURE)
    assert [parameter.requires_grad for parameter in fused.parameters()] == [False, False, True, True, True, True]
    assert fused[0].frozen and not fused[3].frozen


# The chain


@pytest.mark.parametrize(
    "behind", [[], [nn.Identity()], [nn.BatchNorm2d(3).eval()], [nn.BatchNorm2d(3).eval(), nn.ReLU()]]
)
def test_a_residual_comes_before_the_last_layer_of_a_chain(behind):
    conv, x, residual = nn.Conv2d(3, 3, 1), noise(2, 3, 4, 4), noise(2, 3, 4, 4) * 3
    for layers in (
        [conv, *behind, nn.ReLU()],
        [conv, nn.Identity(), *behind, nn.ReLU()],
        [nn.ReLU(), conv, nn.Identity()],
    ):
        y = x
        for layer in layers[:-1]:
            y = layer(y)
        expected = layers[-1](F.residual_add(y, residual))
        np.testing.assert_allclose(chain(x, *layers, residual=residual).numpy(), expected.numpy(), atol=1e-6)


def test_a_hook_of_a_fused_copy_is_called():
    fused, seen = minicnn.fuse(small(), PICTURE), []
    fused[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.numpy().min()))
    expected = minicnn.fuse(small(), PICTURE)(noise(1, *PICTURE)).numpy()
    np.testing.assert_allclose(fused(noise(1, *PICTURE)).numpy(), expected, atol=1e-6)
    assert seen and seen[0] < 0  # what is before the ReLU


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


def test_it_prints_as_what_it_is():
    text = io.StringIO()
    print(minicnn.fuse(small(), PICTURE), file=text)
    assert "Chain(" in text.getvalue() and "(1): Identity(" in text.getvalue() and "bias=True" in text.getvalue()

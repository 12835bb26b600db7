"""Transfer: the head, freezing (gradients, statistics, bits), smaller rates for earlier layers, probes, features."""

import numpy as np
import pytest
import thread_ranks
from checks import check_close, check_network_gradients, raises
from PIL import Image

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn, no_grad
from minicnn.data import BadImage, ChannelMean, DataError, DataLoader, TooManyBadImages
from minicnn.optim import SGD
from minicnn.pretrained.features import FeatureSet, on_features
from minicnn.pretrained.transfer import (
    LinearProbe,
    freeze_backbone,
    freeze_to,
    head,
    head_name,
    layer_groups,
    replace_head,
    stage_layers,
)


def images(count=4, size=12, dtype=np.float32):
    return np.random.default_rng(0).standard_normal((count, 3, size, size + 2)).astype(dtype)


def lived_in(model):
    """The model with running statistics and scales that are not those of the beginning."""
    rng = np.random.default_rng(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean[...] = rng.normal(0, 0.3, layer.running_mean.shape)
            layer.running_var[...] = rng.uniform(0.5, 2, layer.running_var.shape)
            layer.weight.detach()[...] = rng.uniform(0.5, 1.5, layer.weight.shape)
    return model


def copies(model):
    return {key: value.numpy().copy() for key, value in model.state_dict().items()}


def train(model, params, steps=3):
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=1e-2)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(images())), [0, 1, 2, 0]).backward()
        optimizer.step()


@pytest.mark.parametrize("make", [models.cifar_resnet, lambda depth, **kw: models.alexnet(width=8, **kw)])
def test_a_new_head(make):
    manual_seed(0)
    model = make(8, num_classes=10).astype(np.float64)
    before = copies(model)
    assert replace_head(model, 3) is model
    name = head_name(model)
    assert head(model).weight.shape[0] == 3 and head(model).weight.dtype == np.float64
    after = copies(model)
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key].shape != after[key].shape or (before[key] != after[key]).any()}
    assert changed == {f"{name}.weight", f"{name}.bias"}


@pytest.mark.parametrize("make", [models.cifar_resnet, lambda depth, **kw: models.alexnet(width=8, **kw)])
def test_a_layer_that_a_user_adds_is_not_the_head(make):
    manual_seed(0)
    model = make(8, num_classes=10)
    name = head_name(model)
    model.extra = nn.Linear(5, 5)
    assert head_name(model) == name
    replace_head(model, 3)
    assert head(model).out_features == 3 and model.extra.out_features == 5


class TwoNames(nn.Module):
    """A network whose head has two names, of which one lies deeper, and is neither ``fc`` nor ``classifier``."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.scores = nn.Linear(6, 5)
        self.again = nn.Sequential(nn.ReLU(), self.scores)

    def forward(self, x):
        return self.scores(self.body(x)) + self.again(self.body(x))


def test_a_head_of_two_names_is_replaced_in_both_places():
    manual_seed(0)
    model = replace_head(TwoNames(), 3)
    assert model.scores is model.again[1] and model.scores.out_features == 3
    assert model(Tensor(np.ones((2, 4), np.float32))).shape == (2, 3)
    freeze_backbone(model)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == {id(model.scores.weight), id(model.scores.bias)}


def test_a_network_without_a_head():
    with raises(ValueError, "Sequential", "Linear"):
        replace_head(nn.Sequential(nn.Conv2d(3, 4, 1)), 3)


def test_option_1_leaves_the_backbone_bit_for_bit():
    manual_seed(0)
    model = freeze_backbone(lived_in(models.cifar_resnet(8, num_classes=3)))
    before = copies(model)
    train(model, [p for p in model.parameters() if p.requires_grad])
    for key, value in copies(model).items():
        assert (value.tobytes() == before[key].tobytes()) != key.startswith("fc."), key


def test_even_an_optimizer_of_all_parameters_leaves_the_frozen_ones():
    manual_seed(0)
    model = freeze_backbone(lived_in(models.cifar_resnet(8, num_classes=3)))
    before = copies(model)
    train(model, model.parameters())
    assert all(value.tobytes() == before[key].tobytes() for key, value in copies(model).items() if key[:2] != "fc")


def test_a_frozen_network_computes_as_in_evaluation_whatever_its_mode():
    manual_seed(0)
    for model in (lived_in(models.cifar_resnet(8)), models.alexnet(num_classes=3, width=8)):
        x = Tensor(images(size=70))
        with no_grad():
            expected = model.eval()(x).numpy()
            check_close(model.freeze().train()(x).numpy(), expected, 0)


def test_gradients_of_a_network_with_frozen_batch_norm():
    """Its statistics are constants then: the gradient is another one than in training."""
    manual_seed(0)
    model = lived_in(models.cifar_resnet(8, shortcut="B", num_classes=3).astype(np.float64))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.freeze()
            for parameter in layer.parameters():
                parameter.requires_grad_(True)
    before = {key: buffer.numpy().copy() for key, buffer in model.named_buffers()}
    check_network_gradients(model.train(), images(2, 9, np.float64), [0, 2])
    for key, buffer in model.named_buffers():
        assert buffer.numpy().tobytes() == before[key].tobytes(), key


def test_stages_have_every_layer_once():
    for model in (
        models.resnet18(3),
        models.cifar_resnet(8),
        models.alexnet(3, width=8),
        models.alexnet_2012(3, width=8),
    ):
        parts = stage_layers(model)
        assert len(parts) == len(model.stages) + 1
        layers = [layer for part in parts for layer in part]
        assert layers == [m for m in model.modules() if not list(m.children())]
        assert head(model) in parts[-1]


def test_weights_beside_layers_have_no_place():
    model = models.cifar_resnet(8)
    model.layer2[0].gain = nn.Parameter(np.ones(3, np.float32))
    with raises(ValueError, "layer2.0", "weights beside layers"):
        layer_groups(model, 0.1, 0.5)


def test_each_stage_of_alexnet_ends_one_layer_of_weights():
    for model in (models.alexnet(3, width=8), models.alexnet_2012(3, width=8)):
        for part in stage_layers(model):
            assert sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in part) == 1


def test_earlier_layers_learn_more_slowly():
    model = models.cifar_resnet(8)
    groups = layer_groups(model, lr=0.1, factor=0.5)
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    names = {id(p): name for name, p in model.named_parameters()}
    stages = [{names[id(p)].partition(".")[0] for p in group["params"]} for group in groups]
    assert stages == [{"fc"}, {"layer3"}, {"layer2"}, {"conv1", "bn1", "layer1"}]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_freezing_up_to_a_stage():
    model = freeze_to(models.cifar_resnet(8), "layer2")
    trained = {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"layer3", "fc"}
    assert model.bn1.frozen and model.layer2[0].bn2.frozen and not model.layer3[0].bn1.frozen
    assert [group["lr"] for group in layer_groups(model, 1.0, 0.1)] == pytest.approx([1.0, 0.1])
    with raises(ValueError, "layer9", "layer1", "layer3"):
        freeze_to(model, "layer9")


def test_a_probe_sees_the_mean_of_its_stage():
    manual_seed(0)
    model = lived_in(models.cifar_resnet(8))
    probe = LinearProbe(model, "layer2", 32, 3)
    x = Tensor(images())
    with no_grad():
        stage = model.features(x, "layer2").mean(dim=(2, 3))
        check_close(probe.train()(x).numpy(), F.linear(stage, probe.head.weight, probe.head.bias).numpy(), 0)
    before = copies(model)
    train(probe, probe.parameters())
    assert all(value.tobytes() == before[key].tobytes() for key, value in copies(model).items())


# Features that are computed once


class Noise:
    """Pictures of noise; number 3 cannot be read."""

    classes = ("a", "b", "c")

    def __init__(self, count, bad=()):
        self.samples = [(f"noise {i}", i % 3) for i in range(count)]
        self.bad = bad

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        if index in self.bad:
            raise BadImage(f"noise {index}", "not a picture")
        pixels = np.random.default_rng(index).integers(0, 256, (10, 12, 3), np.uint8)
        return Image.fromarray(pixels)


def unchanged(image, rng=None):
    return image


def loader(pictures, shuffle=False):
    return DataLoader(pictures, 4, shuffle, transform=unchanged, seed=5, max_bad_fraction=1)


def frozen_network():
    """(A network whose head alone is trained, its normaliser.)"""
    manual_seed(0)
    model = freeze_backbone(lived_in(models.cifar_resnet(8, num_classes=3)))
    return model, ChannelMean().fit([np.stack([np.asarray(Noise(9).load(i)).transpose(2, 0, 1) for i in range(9)])])


def test_cached_features_train_the_same_head():
    model, normalize = frozen_network()
    model.train()
    pictures, first = loader(Noise(10), shuffle=True), copies(model)
    heads = []
    for cached in (False, True):
        model.load_state_dict(first)
        parts = on_features(model, normalize, pictures) if cached else (model, normalize, pictures)
        network, prepare, batches = parts
        network.train()
        optimizer = SGD(head(model).parameters(), lr=0.1, momentum=0.9)
        for epoch in range(2):
            for batch in batches.epoch(epoch):
                optimizer.zero_grad()
                F.cross_entropy(network(Tensor(prepare(batch.images))), batch.labels).backward()
                optimizer.step()
        heads.append(copies(model))
        assert (heads[-1]["fc.weight"] != first["fc.weight"]).all()
    for key in first:
        check_close(heads[0][key], heads[1][key], 1e-5)


def test_features_leave_out_what_cannot_be_read():
    pictures = Noise(7, bad=(3,))
    features = FeatureSet(*frozen_network(), loader(pictures, shuffle=True))
    assert [key for key, _ in features.samples] == [f"noise {i}" for i in (0, 1, 2, 4, 5, 6)]
    assert features.bad == {"noise 3": "not a picture"} and features.load(0).shape == (64, 1, 1)


def test_features_are_of_all_pictures_and_their_loader_takes_its_part():
    model, normalize = frozen_network()
    pictures = loader(Noise(7))
    whole = next(loader(FeatureSet(model, normalize, pictures)).epoch(0))
    pictures.part = 1, 2
    batches = on_features(model, normalize, pictures)[2]
    assert len(batches.dataset) == 7 and batches.part == (1, 2)
    assert np.array_equal(next(batches.epoch(0)).images, whole.images[2:])


def test_features_of_several_ranks_are_put_together():
    """A rank that has no batch, and a batch that nothing is left of; the bits are those of one process."""
    model, normalize = frozen_network()
    pictures = Noise(18, bad=(1, 4, 5, 6, 7))
    whole = FeatureSet(model, normalize, loader(pictures))
    for size in (2, 6):
        for features in thread_ranks.run(size, lambda world: FeatureSet(model, normalize, loader(pictures))):
            assert features.features.tobytes() == whole.features.tobytes() and features.samples == whole.samples
            assert features.bad == whole.bad and list(features.bad) == sorted(features.bad)
    few = loader(pictures)
    few.max_bad_fraction = 0.22  # each of two ranks would put up with what it meets
    with raises(TooManyBadImages, "5 of 18 pictures", "allows 4"):
        thread_ranks.run(2, lambda world: FeatureSet(model, normalize, few))
    with raises(DataError, "none of the 3"):
        thread_ranks.run(2, lambda world: FeatureSet(model, normalize, loader(Noise(3, bad=(0, 1, 2)))))


def test_features_of_pictures_none_of_which_can_be_read():
    with raises(DataError, "none of the 3", "noise 0", "not a picture"):
        FeatureSet(*frozen_network(), loader(Noise(3, bad=(0, 1, 2))))


def test_features_put_up_with_as_many_unreadable_pictures_as_the_loader():
    pictures = loader(Noise(6, bad=(3, 4)))
    *_, features = on_features(*frozen_network(), pictures)
    assert features.bad == {"noise 3": "not a picture", "noise 4": "not a picture"}
    pictures.max_bad_fraction = 0.1
    with raises(TooManyBadImages, "noise 3"):
        on_features(*frozen_network(), pictures)


def test_features_are_those_of_evaluation():
    """Of a network that is not frozen, too: running statistics are used and left alone."""
    manual_seed(0)
    model, normalize = lived_in(models.cifar_resnet(8, num_classes=3)), frozen_network()[1]
    before = copies(model)
    features = FeatureSet(model.train(), normalize, loader(Noise(4)))
    assert all(value.tobytes() == before[key].tobytes() for key, value in copies(model).items())
    batch = next(loader(Noise(4)).epoch(0))
    with no_grad():
        expected = model.eval().features(Tensor(normalize(batch.images)), "avgpool").numpy()
    check_close(features.features, expected, 1e-6)


def test_what_is_saved_on_features_is_the_network():
    model, normalize = frozen_network()
    network, prepare, none = on_features(model, normalize, None)
    assert none is None
    assert network.state_dict().keys() == model.state_dict().keys()
    assert [id(p) for p in network.parameters()] == [id(p) for p in model.parameters()]
    assert (prepare.state_dict()["mean"] == normalize.mean).all()

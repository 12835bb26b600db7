"""GoogLeNet and Inception v3 (their numbers: test_parity.py): auxiliary heads, the scale of the input, initial weights,
transfer, files with auxiliary heads and without."""

import numpy as np
import pytest
from checks import check_close, raises
from parity import CLASSES, check_same_numbers, images, twins, without_initial_weights

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn, no_grad, pretrained, summary
from minicnn.models.googlenet import from_minus_one_to_one
from minicnn.optim import SGD

NETS = {"googlenet": ("aux1", "aux2"), "inception_v3": ("AuxLogits",)}
both = pytest.mark.parametrize("name", NETS)


def count(model):
    return sum(p.size for p in model.parameters())


def batch(size):
    return Tensor(images(2, size, size).astype(np.float32))


def test_number_of_parameters():
    with without_initial_weights():
        counts = [
            count(make(aux_logits=on)) for make in (models.googlenet, models.inception_v3) for on in (True, False)
        ]
    assert counts == [13_004_888, 6_624_904, 27_161_264, 23_834_568]


@pytest.mark.parametrize(
    ("name", "size"), [("googlenet", 64), pytest.param("inception_v3", 299, marks=pytest.mark.slow)]
)
def test_auxiliary_scores_are_torchvisions(torch, torchvision, name, size):
    """In training, with batch norm as in evaluation, so that rounding is not magnified; and the pictures' scale."""
    options = {"dropout_aux": 0.0} if name == "googlenet" else {}
    ours, theirs = twins(torch, torchvision, name, transform_input=True, **options)
    ours.eval().training = theirs.eval().training = True  # of the network alone, not of its layers
    x = images(2, size, size).astype(np.float32)
    with no_grad(), torch.no_grad():
        found, expected = ours(Tensor(x)), theirs(torch.from_numpy(x))
    assert type(found).__name__ == type(expected).__name__ and found._fields == expected._fields
    for field, value, other in zip(found._fields, found, expected, strict=True):
        assert value.shape == (2, CLASSES)
        check_same_numbers(value.numpy(), other.numpy(), 1e-4, field)


@both
def test_without_auxiliary_heads_and_in_evaluation_there_are_only_scores(name):
    alone, model = getattr(models, name)(5, aux_logits=False), getattr(models, name)(5)
    with no_grad():
        assert alone.train()(batch(75)).shape == model.eval()(batch(75)).shape == (2, 5)


def test_the_scale_of_the_input():
    """Black and white of pictures that are normalised as ImageNet's are -1 and 1."""
    normalize = pretrained.get("googlenet").normalize()
    extremes = np.stack([np.zeros((3, 2, 2)), np.full((3, 2, 2), 255)]).astype(np.uint8)
    scaled = from_minus_one_to_one(Tensor(normalize(extremes)))
    check_close(scaled.numpy(), np.stack([np.full((3, 2, 2), -1.0), np.ones((3, 2, 2))]).astype(np.float32), 1e-6)
    with raises(ValueError, "transform_input", "(N, 3, H, W)", "(2, 1, 64, 64)"):
        models.create("googlenet", 3).eval()(Tensor(np.zeros((2, 1, 64, 64), np.float32)))
    assert models.create("googlenet", 3).transform_input and not models.googlenet(3).transform_input


def test_initial_weights():
    manual_seed(0)
    for model, std, others in (
        (models.googlenet(200), 0.01, {}),
        (models.inception_v3(200), 0.1, {"AuxLogits.fc": 0.001}),
    ):
        for name, layer in model.named_modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                assert abs(layer.weight.numpy().std() / others.get(name, std) - 1) < 0.05, name


@both
def test_transfer(name):
    """A new head in every place where there was one; auxiliary heads learn as the head does, behind the last stage."""
    with without_initial_weights():
        model = getattr(models, name)()
    pretrained.replace_head(model, 3)
    for head in ("fc", *(f"{part}.fc2" if name == "googlenet" else f"{part}.fc" for part in NETS[name])):
        assert dict(model.named_modules())[head].out_features == 3
    assert pretrained.head(model) is model.fc
    first, *others = pretrained.layer_groups(model, lr=1.0, factor=0.5)
    behind = [getattr(model, part) for part in (*NETS[name], "fc")]
    assert {id(p) for p in first["params"]} == {id(p) for part in behind for p in part.parameters()}
    assert len(others) == len(model.stages) == 4
    pretrained.freeze_to(model, "Mixed_6e" if name == "inception_v3" else "inception4e")
    assert all(p.requires_grad for part in behind for p in part.parameters())
    pretrained.freeze_backbone(model)
    assert [key for key, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]


@both
def test_files_have_auxiliary_heads_or_not(name, tmp_path):
    """Published files have; they are loaded into networks with such heads and without, and give the same scores."""
    manual_seed(1)
    model = getattr(models, name)(3, transform_input=True).eval()
    np.savez(tmp_path / "weights.npz", **{key: tensor.numpy() for key, tensor in model.state_dict().items()})
    with without_initial_weights():
        whole = pretrained.load_file(getattr(models, name)(3, transform_input=True), tmp_path / "weights.npz")
        alone = pretrained.load(name, file=tmp_path / "weights.npz")
    assert count(whole) == count(model) > count(alone)
    with no_grad():
        expected = model(batch(75)).numpy()
        for other in (whole, alone):
            check_close(other(batch(75)).numpy(), expected, 0)
    np.savez(tmp_path / "alone.npz", **{key: tensor.numpy() for key, tensor in alone.state_dict().items()})
    with pytest.raises(pretrained.WeightsError, match=rf"{NETS[name][0]}\.\w+.*same architecture"):
        pretrained.load_file(getattr(models, name)(3), tmp_path / "alone.npz")


@both
def test_layers_by_name(name, capsys):
    model = getattr(models, name)(5, aux_logits=False).eval()
    with no_grad():
        shapes = [model.features(batch(75), stage).shape[1] for stage in model.stages]
    assert shapes == ([192, 480, 832, 1024] if name == "googlenet" else [192, 288, 768, 2048])
    assert summary(model, (3, 75, 75)).parameters == count(model)


def test_training_lowers_the_loss_of_all_three_heads():
    manual_seed(0)
    model, x, labels = models.googlenet(2, dropout=0.0, dropout_aux=0.0), batch(32), [0, 1]
    with raises(TypeError, "cross_entropy", "GoogLeNetOutputs", "one of the Tensors in it"):
        F.cross_entropy(model(x), labels)
    optimizer, values = SGD(model.parameters(), lr=0.01, momentum=0.9), []
    for _ in range(4):
        optimizer.zero_grad()
        losses = [F.cross_entropy(scores, labels) for scores in model(x)]
        (losses[0] + 0.3 * (losses[1] + losses[2])).backward()
        optimizer.step()
        values.append([loss.item() for loss in losses])
    assert (np.array(values[-1]) < values[0]).all()

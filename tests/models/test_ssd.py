"""SSD: the paper's 8,732 boxes, torchvision's numbers, what is shared with the backbone, training and detecting."""

import numpy as np
import pytest
from checks import Place, raises

from minicnn import Tensor, models, nn, no_grad
from minicnn.detection import clip, decode, mean_average_precision, multibox_loss, targets, to_center_size
from minicnn.models.ssd import L2Norm
from minicnn.optim import Adam


def images(n=2, height=64, width=48, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 3, height, width)).astype(np.float32)


def small(num_classes=3, backbone=None, **options):
    """Two maps of an eighth and a sixteenth of the picture; with the last one, of 2 less."""
    backbone = backbone or models.shufflenet_v2_x1_0()
    return models.ssd(backbone, num_classes, ["stage2", "stage3"], [(16, 24, 1)], **options)


def test_ssd300():
    """Figure 2 of the paper."""
    model = models.ssd(models.vgg16(width=64), 20)
    boxes = model.default_boxes(300, 300)
    assert boxes.shape == (8732, 4)
    sides = np.unique((boxes[:, 2:] - boxes[:, :2]).round(2))
    assert sides[0] == np.float32(21.21) and sides[-1] == np.float32(381.84)  # 30 / sqrt 2; 270 * sqrt 2
    assert len(boxes[:5776]) == 38 * 38 * 4 and boxes[5775, 2:].max() == pytest.approx(300 * 37.5 / 38 + 21.21, abs=0.1)
    shapes = [tuple(head.weight.shape) for head in model.score_heads]
    assert [rows for rows, *_ in shapes] == [21 * k for k in (4, 6, 6, 6, 4, 4)]
    assert [channels for _, channels, *_ in shapes] == [512, 16, 512, 256, 256, 256]  # a quarter of 64: fc7


def test_every_part_of_the_classifier_is_cut_into_fc6_and_fc7():
    vgg = models.vgg11(width=64)
    fc6, fc7 = [layer for layer in models.ssd(vgg, 2).parts[1] if hasattr(layer, "weight")][-2:]
    weight = vgg.classifier[0].weight.numpy().reshape(64, 512, 7, 7)
    assert fc6.weight.shape == (16, 512, 3, 3) and fc6.dilation == (6, 6)
    assert fc6.weight.numpy()[3, 5, 1, 2] == weight[12, 5, 3, 6]
    assert fc7.weight.numpy()[2, 7, 0, 0] == vgg.classifier[3].weight.numpy()[8, 28]
    assert not vgg.features[10].ceil_mode and vgg.features[20].stride == 2  # the VGG is what it was


@pytest.mark.slow
def test_it_is_torchvisions(torch, torchvision):
    """Scores and offsets of SSD300 with the same weights; its default boxes are others."""
    theirs = torchvision.models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=5).eval()
    ours = models.ssd(models.vgg16(width=4096), 4)
    state = theirs.state_dict()
    norm = state.pop("backbone.scale_weight")
    assert len(state) == len(ours.state_dict()) - 1
    keys = [key for key in ours.state_dict() if key != "map_norm.weight"]
    ours.load_state_dict({"map_norm.weight": norm} | dict(zip(keys, state.values(), strict=True)))
    x = images(1, 300, 300)
    with no_grad(), torch.no_grad():
        scores, offsets = ours(Tensor(x))
        maps = list(theirs.backbone(torch.from_numpy(x)).values())
        expected = theirs.head(maps)
    for values, name in ((scores, "cls_logits"), (offsets, "bbox_regression")):
        assert values.shape == expected[name].shape
        np.testing.assert_allclose(
            values.numpy(), expected[name].numpy(), atol=1e-4 * float(expected[name].abs().max())
        )


def test_l2_norm(torch):
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 3))
    x[1, :, 2, 2] = 0  # a position without length
    norm = L2Norm(4, 20.0).astype(np.float64)
    expected = 20 * torch.nn.functional.normalize(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(norm(Tensor(x)).numpy(), expected, rtol=1e-12)


def test_scores_offsets_and_boxes_have_one_order():
    """A head whose bias names its box: map, position and number of every row of scores and offsets."""
    model = small(aspect_ratios=[(), (2,), ()])
    boxes = model.default_boxes(48, 64)
    counts = [8 * 6 * 2, 4 * 3 * 4, 2 * 1 * 2]
    assert len(boxes) == sum(counts)
    for number, (scores, offsets) in enumerate(zip(model.score_heads, model.offset_heads, strict=True)):
        for head, columns in ((scores, 4), (offsets, 4)):
            head.weight.detach()[...] = 0
            kinds, column = np.divmod(np.arange(len(head.bias)), columns)
            head.bias.detach()[...] = 100 * number + 10 * kinds + column
    scores, offsets = (y.numpy() for y in model(Tensor(images())))
    assert scores.shape == offsets.shape == (2, len(boxes), 4)
    numbers = [np.tile(np.arange(k), n // k) for n, k in zip(counts, (2, 4, 2), strict=True)]
    kinds = np.concatenate([100 * i + 10 * number for i, number in enumerate(numbers)])
    assert np.array_equal(scores[1], kinds[:, None] + np.arange(4))
    assert np.array_equal(offsets[1], kinds[:, None] + np.arange(4))


def test_a_row_belongs_to_the_position_of_its_default_box():
    """Maps that hold their own place, 100 * y + x, and heads that hand it on: with x and y exchanged, rows would lie
    elsewhere than their boxes."""
    parts = [nn.Conv2d(3, 1, 1, stride=8), nn.Conv2d(1, 1, 1, stride=2)]
    model = models.SSD(parts, 1, [(), ()], [0.2, 0.4, 0.8], nn.Identity())
    sizes = [(8, 6), (4, 3)]
    places = [np.add.outer(100 * np.arange(h), np.arange(w)).astype(np.float32)[None, None] for h, w in sizes]
    model.maps = lambda x: [Tensor(place[: len(x)]) for place in places]
    for head in (*model.score_heads, *model.offset_heads):
        head.weight.detach()[...] = 0
        head.weight.detach()[:, :, 1, 1] = 1
    scores, _ = model(Tensor(images(1)))
    del model.maps
    x, y = to_center_size(model.default_boxes(48, 64))[:, :2].T
    step = np.repeat([8, 16], [8 * 6 * 2, 4 * 3 * 2])  # pixels between positions
    assert np.array_equal(scores.numpy()[0, :, 0], 100 * (y // step) + x // step)


def test_the_first_map_is_normalised():
    parts = [nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, stride=2)]
    first, second = models.SSD(parts, 1, [(), ()], [0.2, 0.4, 0.8], L2Norm(4, 20.0)).maps(Tensor(images()))
    np.testing.assert_allclose(first.norm(dim=1).numpy(), 20, rtol=1e-5)
    assert np.array_equal(second.numpy(), parts[1](parts[0](Tensor(images()))).numpy())  # which sees it as it was


def test_the_backbones_layers_are_its_own():
    backbone = models.cifar_resnet(8).freeze()
    model = models.ssd(backbone, 3, ["layer2", "layer3"])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all("heads" in name for name in trained)
    assert model.parts[0][0] is backbone.conv1 and model.parts[1][0] is backbone.layer3
    assert len(model.parts) == 2


@pytest.mark.parametrize(
    ("make", "stages"),
    [
        (models.alexnet, ["features.5", "features.12"]),
        (models.mobilenet_v2, ["features.13", "features.18"]),
        (models.googlenet, ["inception3b", "inception4e"]),
    ],
)
def test_other_backbones(make, stages):
    """Every map is what the backbone's own stage gives."""
    backbone = make(width=16) if make is models.alexnet else make()
    model, x = models.ssd(backbone, 3, stages).eval(), Tensor(images(1, 96, 96))
    backbone.eval()
    with no_grad():
        for stage, y in zip(stages, model.maps(x), strict=True):
            assert np.array_equal(y.numpy(), nn.output_of(backbone, stage, x).numpy())
        assert model(x)[0].shape[1] == len(model.default_boxes(96, 96))


def test_float64():
    """New layers are of the backbone's dtype."""
    vgg = models.vgg11(width=16).astype(np.float64)
    assert {p.dtype for p in models.ssd(vgg, 2).parameters()} == {np.dtype(np.float64)}
    model = small(backbone=models.shufflenet_v2_x1_0().astype(np.float64))
    assert [y.dtype for y in model(Tensor(images().astype(np.float64)))] == [np.float64] * 2


@pytest.mark.gpu
@pytest.mark.parametrize("made_there", [True, False])
def test_on_a_gpu(made_there):
    """Of a backbone that is there, or moved as a whole, it is trained and finds."""
    with Place("cuda", "fast").active():
        backbone = models.cifar_resnet(8)
        model = models.ssd(backbone.to("cuda") if made_there else backbone, 2, ["layer3"], [(4, 4, 2)]).to("cuda")
        x = Tensor(images(1, 16, 16)).to("cuda")
        truth = targets([{"boxes": [[2, 2, 12, 12]], "labels": [1]}], model.default_boxes(16, 16), 2, (16, 16))
        multibox_loss(*model(x), *truth).backward()
        assert {p.device for p in model.parameters()} == {p.grad.device for p in model.parameters()} == {"cuda"}
        assert len(model.detect(x, score_threshold=0)) == 1


def test_it_learns_one_picture_by_heart():
    """And then finds what is in it: shifted boxes, swapped sides or another order of rows would not."""
    model = models.ssd(models.cifar_resnet(8), 3, ["layer3"], [(16, 32, 2)])
    x = images(1, 32, 48)
    sample = {"boxes": [[2, 3, 14, 12], [20, 10, 44, 30]], "labels": [2, 0]}
    truth = targets([sample], model.default_boxes(48, 32), 3, (48, 32))
    optimizer = Adam(model.parameters(), lr=0.003)
    for _ in range(60):
        optimizer.zero_grad()
        loss = multibox_loss(*model(Tensor(x)), *truth)
        loss.backward()
        optimizer.step()
    model.parts[0].train(False)
    modes = [module.training for module in model.modules()]
    found = model.detect(Tensor(x), score_threshold=0.3)
    assert [module.training for module in model.modules()] == modes and len(set(modes)) == 2
    assert mean_average_precision(found, [sample], 3, iou_threshold=0.7).mean == 1
    assert all(np.array_equal(f.boxes, clip(f.boxes, (48, 32))) for f in found)


def test_detections_are_the_decoded_rows():
    """A network that says of one row of the second picture: class 1, moved and larger."""
    model = small()
    boxes = model.default_boxes(48, 64)
    row = 37
    scores, offsets = np.zeros((2, len(boxes), 4), np.float32), np.zeros((2, len(boxes), 4), np.float32)
    scores[..., 0] = 9
    scores[1, row], offsets[1, row] = [0, 0, 9, 0], [1, -1, 0.5, 0.5]
    model.forward = lambda x: (Tensor(scores), Tensor(offsets))
    nothing, found = model.detect(Tensor(images()))
    assert len(nothing.labels) == 0 and found.labels.tolist() == [1] and found.scores[0] > 0.99
    expected = clip(decode(offsets[1, row], boxes[row]), (48, 64))
    assert np.array_equal(found.boxes[0], expected)


def test_settings_that_do_not_fit():
    resnet = models.cifar_resnet(8)
    with raises(ValueError, "ssd: only a VGG goes without stages", "ResNet", "layer2, layer3"):
        models.ssd(resnet, 3)
    for classifier in (nn.Linear(512 * 7 * 7, 3), nn.Sequential(nn.Linear(512 * 7 * 7, 8), nn.Linear(8, 3))):
        vgg = models.vgg11(width=4)
        vgg.classifier = classifier
        with raises(ValueError, "ssd: the paper's SSD300 needs", "fc6", "fully connected layers; give names of stages"):
            models.ssd(vgg, 3)
    with raises(ValueError, "ResNet has no stage 'layer4'", "layer3"):
        models.ssd(resnet, 3, ["layer4"])
    with raises(ValueError, "in the order of"):
        models.ssd(resnet, 3, ["layer3", "layer2"])
    with raises(ValueError, "'features.7', ReLU(inplace=True), overwrites", "'features.6'"):
        models.ssd(models.alexnet(width=4), 3, ["features.6", "features.12"])
    with raises(ValueError, "trunk_layers: takes an AlexNet", "not Linear"):
        models.ssd(nn.Linear(3, 4), 3, ["weight"])
    with raises(ValueError, "SSD: 1 maps need", "got 2 lists and 2 scales"):
        models.ssd(resnet, 3, ["layer3"], aspect_ratios=[(2,), (2,)])
    with raises(ValueError, "got 1 lists and 1 scales"):
        models.ssd(resnet, 3, ["layer3"], scales=[0.3])
    with raises(ValueError, "SSD: num_classes"):
        models.ssd(resnet, 0, ["layer3"])
    with raises(ValueError, "SSD: height"):
        models.ssd(resnet, 1, ["layer3"]).default_boxes(32, 0)

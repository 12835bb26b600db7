"""18_what_it_sees: receptive fields, strongest patches, Grad-CAM."""

import numpy as np
import pytest
from lecture_runs import lecture_module

import minicnn
from minicnn import nn

receptive_field = lecture_module("common.receptive_field")
grad_cam = lecture_module("common.grad_cam")
strongest = lecture_module("common.strongest")
pictures = lecture_module("common.pictures")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_receptive_fields_are_as_large_as_the_formula_says(quick):
    result = quick("18_what_it_sees")["result"]
    assert [computed for computed, *_ in result["fields"].values()] == [5, 10, 20, 40]
    for computed, measured, middle in result["fields"].values():
        assert measured == computed >= middle
    assert list(result["alexnet_fields"].values()) == [11, 19, 51, 67, 99, 131, 163, 195]


def test_a_unit_sees_its_field_where_the_formula_says(rng):
    net = nn.Sequential(nn.Conv2d(1, 2, 5, stride=2, padding=1), nn.ReLU(), nn.AvgPool2d(3, stride=2), nn.Flatten())
    images = rng.normal(size=(8, 1, 31, 37)).astype(np.float32)
    fields = receptive_field.computed(net, minicnn.Tensor(images))
    assert list(fields) == ["0", "1", "2"] and fields["1"] == (5, 2, -1) and fields["2"] == (9, 4, -1)
    gradient, unit = receptive_field.seen(net, "2", images)
    rows, columns = np.nonzero(gradient)
    assert (rows.min(), rows.max() + 1) == (fields["2"].slices(*unit)[0].start, fields["2"].slices(*unit)[0].stop)
    assert (columns.min(), columns.max() + 1) == (fields["2"].slices(*unit)[1].start, fields["2"].slices(*unit)[1].stop)


def test_the_middle_of_a_field_that_holds_a_share():
    gradient = np.zeros((9, 9))
    gradient[2:7, 2:7] = 1
    gradient[4, 4] = 75  # of 99
    field = receptive_field.Field(5, 1, 2)
    sides = [receptive_field.side_of_share(gradient, field, (0, 0), share) for share in (0.75, 0.8, 0.9, 1.0)]
    assert sides == [1, 3, 5, 5]
    gradient[0, 0] = 10
    with pytest.raises(ValueError, match="less than 100% of the gradient"):
        receptive_field.side_of_share(gradient, field, (0, 0), 1.0)


def test_windows_that_are_no_squares_are_refused():
    net = nn.Sequential(nn.Conv2d(1, 1, (3, 5)))
    with pytest.raises(ValueError, match="square windows without dilation"):
        receptive_field.computed(net, minicnn.zeros(1, 1, 9, 9))


def test_grad_cam_of_a_head_over_averages_is_the_heads_weighted_sum(rng):
    """Zhou et al., "Learning deep features for discriminative localization", 2016: there both are the same."""
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    images, labels = rng.normal(size=(4, 2, 5, 7)).astype(np.float32), np.array([2, 0, 1, 1])
    found = grad_cam.grad_cam(net, "1", images, labels)
    maps = nn.output_of(net, "1", minicnn.Tensor(images)).numpy()
    weighted = np.einsum("nkhw,nk->nhw", maps, net[4].weight.numpy()[labels]) / (5 * 7)
    assert found == pytest.approx(np.maximum(weighted, 0), abs=1e-6) and found.max() > 0.001
    assert all(parameter.grad is None for parameter in net.parameters())


def test_halves_are_asked_for_the_class_of_each(rng):
    """A net that scores the brightness of two channels, on images that have one of them."""
    net = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.load_state_dict({"0.weight": np.eye(2, dtype=np.float32)[:, :, None, None]})
    images, labels = np.zeros((10, 2, 4, 4), np.float32), np.arange(10) % 2
    images[np.arange(10), labels] = rng.uniform(1, 2, (10, 4, 4))
    shares, pairs, maps = grad_cam.on_halves(net, "0", images, labels, 0)
    assert (
        shares == pytest.approx(1)
        and len(shares) == 2 * len(pairs)
        and (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()
    )
    assert np.array_equal(maps[0][:, :, :2] > 0, np.ones((len(pairs), 4, 2), bool)) and not maps[0][:, :, 2:].any()


def test_the_strongest_place_of_each_channel(rng):
    images = rng.normal(size=(7, 3, 5, 6)).astype(np.float32)
    peaks, places = strongest.strongest(nn.Sequential(nn.Identity()), "0", images, batch=3)
    assert np.array_equal(peaks, images.max((2, 3)))
    assert all(images[n, k][tuple(places[n, k])] == peaks[n, k] for n in range(7) for k in range(3))
    labels = np.array([0, 0, 1, 1, 1, 2, 2])
    peaks = np.array([range(1, 8), [1, 2, 5, 6, 7, 3, 4], [0] * 7]).T  # the last channel is dead
    assert strongest.of_one_class(peaks, labels, top=3) == pytest.approx((2 / 3 + 3 / 3) / 2)


def test_pictures_survive_as_text_and_patches_end_at_the_border(rng):
    images = rng.integers(0, 256, (3, 3, 4, 5), dtype=np.uint8)
    sheet = pictures.grid(images, 2)
    assert sheet.shape == (9, 11, 3) and np.array_equal(pictures.from_text(pictures.as_text(sheet)), sheet)
    assert np.array_equal(sheet[5:9, 0:5], images[2].transpose(1, 2, 0)) and (sheet[4] == 255).all()
    cut = pictures.patch(images[0], slice(-1, 2), slice(3, 7))
    assert (
        np.array_equal(cut[:, 1:, :2], images[0][:, :2, 3:])
        and (cut[:, 0] == 128).all()
        and (cut[:, :, 2:] == 128).all()
    )


@pytest.mark.lectures
def test_late_layers_know_classes_and_grad_cam_finds_them(default):
    result = default("18_what_it_sees")["result"]
    assert min(result["one_class_percent_last"]) > max(result["one_class_percent_first"]) + 10
    assert min(result["cam_percent"]) > 60

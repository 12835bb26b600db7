"""Normalisers against plain float64 arithmetic, their state, and what they refuse."""

import numpy as np
import pytest

from minicnn.data import ChannelMean, ChannelMeanStd, MeanImage, Normalize, ZeroToOne
from minicnn.device import device_of, to_device

KINDS = [MeanImage, ChannelMean, ChannelMeanStd]
SHIFT = np.array([0, 90, 200])[:, None, None]


def pictures(count=30, seed=0):
    noise = np.random.default_rng(seed).integers(0, 56, (count, 3, 6, 5))
    return (noise + SHIFT).astype(np.uint8)


def in_batches(images, size=7):
    return [images[i : i + size] for i in range(0, len(images), size)]


def plain(kind, train, batch):
    train, batch = train.astype(np.float64), batch.astype(np.float64)
    if kind is MeanImage:
        return batch - train.mean(axis=0)
    channels = (1, 3, 1, 1)
    out = batch - train.mean(axis=(0, 2, 3)).reshape(channels)
    return out / train.std(axis=(0, 2, 3)).reshape(channels) if kind is ChannelMeanStd else out


@pytest.mark.parametrize("kind", KINDS)
def test_equals_plain_float64(kind):
    train, batch = pictures(), pictures(4, seed=1)
    out = kind().fit(in_batches(train))(batch)
    assert out.dtype == np.float32 and out.flags["C_CONTIGUOUS"]
    assert np.allclose(out, plain(kind, train, batch), rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_on_the_gpu_is_normalised_there(kind, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    train, batch = pictures(), pictures(4, seed=1)
    normalize = kind().fit(in_batches(train))
    for _ in range(2):
        there = normalize(to_device(batch, "cuda"))
        assert device_of(there) == "cuda" and np.array_equal(to_device(there, "cpu"), normalize(batch))
        normalize.fit([batch])  # what was moved before is not used again


def test_channel_mean_std_gives_zero_mean_and_unit_deviation():
    train = pictures(200)
    out = ChannelMeanStd().fit([train])(train).astype(np.float64)
    assert np.allclose(out.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    assert np.allclose(out.std(axis=(0, 2, 3)), 1, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_does_not_depend_on_batches_or_order(kind):
    train = pictures()
    one, other = kind().fit([train]), kind().fit(reversed(in_batches(train, 4)))
    for name in kind.fields:
        assert np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("kind", KINDS)
def test_ten_crops(kind):
    normalize = kind().fit([pictures()])
    crops = pictures(20, seed=2).reshape(2, 10, 3, 6, 5)
    assert np.array_equal(normalize(crops)[1, 3], normalize(crops[1])[3])


@pytest.mark.parametrize("kind", KINDS)
def test_non_contiguous_batches(kind):
    normalize = kind().fit([pictures()])
    channels_last = np.ascontiguousarray(pictures(4).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.array_equal(normalize(channels_last), normalize(pictures(4)))
    assert normalize(channels_last).flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("kind", [ChannelMean, ChannelMeanStd])
def test_channel_statistics_take_pictures_of_any_size(kind):
    small, large = pictures()[:, :, :3], pictures()
    normalize = kind().fit([small, large])
    values = np.concatenate([small.transpose(1, 0, 2, 3).reshape(3, -1), large.transpose(1, 0, 2, 3).reshape(3, -1)], 1)
    assert np.allclose(normalize.mean, values.mean(axis=1), rtol=1e-6)
    assert normalize(pictures(2)[..., :2]).shape == (2, 3, 6, 2)


def test_sums_are_exact_where_float32_sums_are_not():
    bright = np.full((3, 1, 256, 256), 251, dtype=np.uint8)
    batches = [bright] * 100
    assert np.cumsum(bright.ravel(), dtype=np.float32)[-1] / bright.size != 251
    assert ChannelMean().fit(batches).mean == 251

    many = [np.full((300_000, 1, 1, 2), 251, dtype=np.uint8)]
    assert (MeanImage().fit(many).mean == 251).all()


def test_known_values():
    normalize = ChannelMeanStd.imagenet()
    batch = np.array([0, 255], dtype=np.uint8).repeat(3).reshape(2, 3, 1, 1)
    expected = (batch[:, :, 0, 0] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.allclose(normalize(batch)[:, :, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_restores_the_right_kind(kind):
    fitted = kind().fit([pictures()])
    restored = Normalize.from_state_dict(fitted.state_dict())
    assert type(restored) is kind
    assert np.array_equal(restored(pictures(3)), fitted(pictures(3)))


def test_a_state_is_a_copy():
    fitted = ChannelMean().fit([pictures()])
    fitted.state_dict()["mean"][:] = -1
    assert (fitted.mean > 0).all()


def test_a_state_of_another_kind_is_refused():
    state = ChannelMean().fit([pictures()]).state_dict()
    with pytest.raises(ValueError, match=r"MeanImage\.load_state_dict: this state is of 'ChannelMean'"):
        MeanImage().load_state_dict(state)
    with pytest.raises(ValueError, match="kind 'Whitened' is none of"):
        Normalize.from_state_dict({"kind": "Whitened"})


@pytest.mark.parametrize("kind", KINDS)
def test_misuse_is_named(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__} is not fitted"):
        kind()(pictures())
    with pytest.raises(ValueError, match=f"{kind.__name__} is not fitted"):
        kind().state_dict()
    with pytest.raises(ValueError, match="no pictures to fit on"):
        kind().fit([])
    with pytest.raises(ValueError, match="no pictures to fit on"):
        kind().fit([pictures(0)])
    with pytest.raises(ValueError, match=r"expected a batch .*got \(3, 6, 5\)"):
        kind().fit(pictures())  # one batch instead of an iterable of them
    with pytest.raises(TypeError, match="expected a uint8 batch, got float32"):
        kind().fit([pictures().astype(np.float32)])
    fitted = kind().fit([pictures()])
    with pytest.raises(ValueError, match=r"expected a batch \(N, 3.*got \(30, 1, 6, 5\)"):
        fitted(pictures()[:, :1])
    with pytest.raises(ValueError, match="expected a batch"):
        fitted(pictures()[0])
    with pytest.raises(TypeError, match="uint8"):
        fitted(pictures().astype(np.float32))


def test_pictures_of_another_size():
    with pytest.raises(ValueError, match=r"expected a batch \(N, 3, 6, 5\), got \(30, 3, 6, 4\)"):
        MeanImage().fit([pictures()])(pictures()[..., :4])
    with pytest.raises(ValueError, match=r"expected a batch \(N, 3, 6, 5\), got \(30, 3, 6, 4\)"):
        MeanImage().fit([pictures(), pictures()[..., :4]])


def test_a_constant_channel_cannot_be_scaled():
    images = pictures()
    images[:, 1] = 7
    with pytest.raises(ValueError, match=r"channel 1 has standard deviation 0.*use ChannelMean"):
        ChannelMeanStd().fit([images])


def test_zero_to_one(monkeypatch):
    normalize, batch = ZeroToOne().fit([]), pictures()
    assert np.array_equal(normalize(batch), batch.astype(np.float32) / np.float32(255)) and normalize(batch).max() <= 1
    floats = batch.astype(np.float64)
    assert normalize(floats) is floats
    assert type(Normalize.from_state_dict(normalize.state_dict())) is ZeroToOne
    with pytest.raises(TypeError, match="ZeroToOne: expected a uint8 batch, got int64"):
        normalize(batch.astype(np.int64))
    with pytest.raises(ValueError, match=r"ZeroToOne: expected a batch \(N, C, H, W\), got"):
        normalize(batch[0])
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    moved = normalize(to_device(batch, "cuda"))
    assert device_of(moved) == "cuda" and np.array_equal(to_device(moved, "cpu"), normalize(batch))

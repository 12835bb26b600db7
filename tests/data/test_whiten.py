"""PCA, whitening and ZCA: the covariance of what comes out, plain float64 arithmetic, state, and what they refuse."""

import re

import numpy as np
import pytest

from minicnn.data import PCA, ZCA, MeanImage, Normalize, Whitening
from minicnn.device import device_of, to_device
from minicnn.storage.checkpoint import load_checkpoint, save_checkpoint

KINDS = [PCA, Whitening, ZCA]
SHAPE = (3, 3, 4)


def pictures(count=2000, seed=0):
    """Whose neighbours look alike, so that variances lie far apart."""
    rng = np.random.default_rng(seed)
    smooth = (
        rng.normal(0, 30, (count, 3, 1, 4)) + rng.normal(0, 9, (count, 1, 3, 1)) + rng.normal(0, 1, (count, *SHAPE))
    )
    return (120 + np.array([0, 9, -20])[:, None, None] + smooth).clip(0, 255).round().astype(np.uint8)


def flat(array):
    return array.reshape(len(array), -1).astype(np.float64)


def covariance(array):
    return np.cov(flat(array), rowvar=False, bias=True)


@pytest.mark.parametrize("kind", [Whitening, ZCA])
def test_the_covariance_of_whitened_pictures_is_the_identity(kind):
    train = pictures()
    assert np.linalg.cond(covariance(train)) > 1e3
    out = kind().fit([train])(train)
    assert out.dtype == np.float32 and out.flags["C_CONTIGUOUS"]
    assert np.abs(covariance(out) - np.eye(36)).max() < 1e-6
    assert np.abs(flat(out).mean(axis=0)).max() < 1e-6


def test_pca_decorrelates_and_keeps_lengths():
    train = pictures()
    pca = PCA().fit([train])
    out = pca(train)
    assert out.shape == (2000, 36)
    assert np.abs(covariance(out) - np.diag(pca.eigenvalues)).max() < 1e-6 * pca.eigenvalues[0]
    assert (np.diff(pca.eigenvalues) <= 0).all()
    lengths = np.linalg.norm(flat(train) - flat(train).mean(axis=0), axis=1)
    assert np.allclose(np.linalg.norm(out, axis=1), lengths, rtol=1e-6)


@pytest.mark.parametrize("epsilon", [0, 10.0])
def test_equals_plain_float64(epsilon):
    train, batch = pictures(), pictures(5, seed=1)
    centred, matrix = flat(batch) - flat(train).mean(axis=0), covariance(train)
    values, vectors = np.linalg.eigh(matrix + epsilon * np.eye(36))
    root = vectors @ np.diag(values**-0.5) @ vectors.T  # the one root that is symmetric
    zca = ZCA(epsilon).fit([train])(batch)
    assert zca.shape == (5, *SHAPE) and np.allclose(flat(zca), centred @ root, rtol=1e-5, atol=1e-5)
    whitened = Whitening(epsilon=epsilon).fit([train])
    along = centred @ whitened.eigenvectors
    assert np.allclose(matrix @ whitened.eigenvectors, whitened.eigenvectors * whitened.eigenvalues, atol=1e-8)
    assert np.allclose(whitened(batch), along / np.sqrt(whitened.eigenvalues + epsilon), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [PCA, Whitening])
def test_components_are_the_first_axes(kind):
    train = pictures()
    assert np.allclose(kind(5).fit([train])(train[:9]), kind().fit([train])(train[:9])[:, :5], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_does_not_depend_on_batches_or_order(kind):
    train = pictures()
    one, other = kind().fit([train]), kind().fit([train[:0], train[1500:], train[:0], train[:1500]])
    for name in kind.fields:
        assert np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("kind", KINDS)
def test_views_and_layouts(kind):
    normalize, batch = kind().fit([pictures()]), pictures(20, seed=2)
    views = normalize(batch.reshape(2, 10, *SHAPE))
    assert np.allclose(views[1, 3], normalize(batch)[13], rtol=1e-6, atol=1e-6)
    channels_last = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.allclose(normalize(channels_last), normalize(batch), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_on_the_gpu_is_normalised_there(kind, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    normalize, batch = kind().fit([pictures()]), pictures(4, seed=1)
    for _ in range(2):
        there = normalize(to_device(batch, "cuda"))
        assert device_of(there) == "cuda" and there.dtype == np.float32
        assert np.allclose(to_device(there, "cpu"), normalize(batch), rtol=1e-6, atol=1e-6)
        normalize.fit([pictures(seed=3)])  # what was moved before is not used again


@pytest.mark.parametrize("normalize", [PCA(), PCA(5), Whitening(5, epsilon=2), ZCA(3.0)], ids=repr)
def test_a_state_restores_the_right_kind(normalize, tmp_path):
    normalize.fit([pictures()])
    save_checkpoint(tmp_path / "normalize.npz", normalize.state_dict())
    restored = Normalize.from_state_dict(load_checkpoint(tmp_path / "normalize.npz"))
    assert type(restored) is type(normalize) and restored.components == normalize.components
    assert np.array_equal(restored(pictures(3)), normalize(pictures(3)))
    again = Normalize.from_state_dict(restored.state_dict()).fit([pictures()])  # settings are back, too
    assert np.array_equal(again(pictures(3)), normalize(pictures(3)))


def test_states_that_cannot_be():
    state = PCA(4).fit([pictures()]).state_dict()
    with pytest.raises(ValueError, match=r"Whitening\.load_state_dict: this state is of 'PCA'"):
        Whitening().load_state_dict(state)
    state["eigenvectors"] = state["eigenvectors"][:, :3]
    with pytest.raises(ValueError, match=r"PCA\.load_state_dict: these do not belong.*eigenvectors \(36, 3\)"):
        PCA().load_state_dict(state)


@pytest.mark.parametrize("kind", KINDS)
def test_misuse_is_named(kind):
    name = kind.__name__
    with pytest.raises(ValueError, match=f"{name} is not fitted"):
        kind()(pictures(3))
    with pytest.raises(ValueError, match=f"{name} is not fitted"):
        kind().state_dict()
    for nothing in ([], [pictures(0)]):
        with pytest.raises(ValueError, match=f"{name}.fit: there were no pictures to fit on"):
            kind().fit(nothing)
    with pytest.raises(TypeError, match="expected a uint8 batch, got float32"):
        kind().fit([pictures(5).astype(np.float32)])
    with pytest.raises(ValueError, match=r"expected a batch \(N, 3, 3, 4\), got \(9, 3, 3, 2\)"):
        kind().fit([pictures()])(pictures(9)[..., :2])


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_whose_covariance_does_not_fit_in_memory(kind):
    large = np.broadcast_to(np.zeros((), np.uint8), (2, 3, 224, 224))
    message = f"{kind.__name__}.fit: pictures of 3 x 224 x 224 have 150,528 values and their covariance 150,528 x "
    with pytest.raises(ValueError, match=re.escape(f"{message}150,528, 181.3 GB; make the pictures smaller (8,192")):
        kind().fit([large])


@pytest.mark.parametrize("kind", [Whitening, ZCA])
def test_an_axis_without_variance_needs_an_epsilon(kind):
    constant = pictures()
    constant[:, 1, 2, 3] = 7
    for train, count, directions in ((pictures(20), "20", 19), (constant, "2,000", 35)):
        message = f"{kind.__name__}.fit: {count} pictures of 36 values vary in {directions} directions only"
        with pytest.raises(ValueError, match=message):
            kind().fit([train])
        assert np.isfinite(kind(epsilon=1e-3).fit([train])(train)).all()
    assert np.abs(covariance(Whitening(35).fit([constant])(constant)) - np.eye(35)).max() < 1e-6


def test_settings_that_cannot_be():
    for make in (lambda: PCA(0), lambda: Whitening(2.5), lambda: ZCA(-1.0), lambda: ZCA(float("nan"))):
        with pytest.raises((ValueError, TypeError), match=r"components must be|epsilon must be"):
            make()
    with pytest.raises(ValueError, match="components=37, and pictures of 3 x 3 x 4 have 36 values"):
        PCA(37).fit([pictures(50)])
    assert MeanImage.__name__ in Normalize.kinds and not any(name.startswith("_") for name in Normalize.kinds)

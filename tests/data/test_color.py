"""Colours: exact arithmetic for colour noise, torchvision as the oracle for brightness and its kind."""

import re

import numpy as np
import pytest
from PIL import Image

from minicnn.data import ColorJitter, ColorNoise, to_array


def generator(seed=0):
    return np.random.default_rng(seed)


def random_image(width, height, seed=0):
    return Image.fromarray(generator(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


# ColorJitter


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_equals_torchvisions(name, mode):
    functional = pytest.importorskip("torchvision.transforms.functional")
    image = random_image(20, 15).convert(mode)
    for amount in (-0.5, -0.1, 0.3) if name == "hue" else (0, 0.6, 1, 1.7):
        ours = ColorJitter(**{name: (amount, amount)})(image, generator())
        theirs = getattr(functional, f"adjust_{name}")(image, amount)
        assert np.array_equal(to_array(ours), to_array(theirs))


def test_ranges():
    """A number is around what changes nothing; no factor is below 0."""
    jitter = ColorJitter(0.4, 2, (0.5, 1), hue=0.1)
    assert jitter.brightness == (0.6, 1.4) and jitter.contrast == (0, 3)
    assert jitter.saturation == (0.5, 1) and jitter.hue == (-0.1, 0.1)
    grey = Image.new("RGB", (1, 1), (100, 100, 100))
    rng, jitter = generator(), ColorJitter(brightness=0.4)
    drawn = np.array([to_array(jitter(grey, rng))[0, 0, 0] for _ in range(2000)])
    assert drawn.min() == 60 and drawn.max() >= 139 and abs(drawn.mean() - 100) < 1.5 and abs(drawn.std() - 23.1) < 1


def test_no_change_is_the_identity_and_the_order_is_random():
    image = random_image(20, 15)
    assert np.array_equal(to_array(ColorJitter()(image, generator())), to_array(image))
    fixed, rng = ColorJitter((1.5, 1.5), (0.5, 0.5)), generator()
    assert len({to_array(fixed(image, rng)).tobytes() for _ in range(30)}) == 2  # brighter first, or less contrast


def test_jitter_that_cannot_be():
    for settings in ({"brightness": -0.1}, {"hue": 0.6}, {"contrast": (2, 1)}, {"saturation": (-1, 1)}, {"hue": "x"}):
        with pytest.raises((ValueError, TypeError), match=f"ColorJitter: {next(iter(settings))} must be"):
            ColorJitter(**settings)


# ColorNoise


def correlated_images(count=6):
    rng = generator(3)
    mix = np.array([[30, 12, 2], [28, -3, -6], [31, -10, 3]])
    return [(128 + mix @ rng.normal(size=(3, 40))).clip(0, 255).astype(np.uint8).reshape(3, 8, 5) for _ in range(count)]


def test_fit_equals_the_eigenvectors_of_the_pixels_covariance():
    images = correlated_images()
    noise = ColorNoise().fit(images)
    pixels = np.concatenate([image.reshape(3, -1) for image in images], axis=1) / 255
    covariance = np.cov(pixels, bias=True)
    rebuilt = noise.eigenvectors @ np.diag(noise.eigenvalues) @ noise.eigenvectors.T
    assert np.allclose(rebuilt, covariance, rtol=0, atol=1e-12)
    assert (np.diff(noise.eigenvalues) <= 0).all()
    assert np.allclose(noise.eigenvectors.T @ noise.eigenvectors, np.eye(3))


def test_fit_takes_batches_too():
    images = correlated_images()
    one, many = ColorNoise().fit(images), ColorNoise().fit([np.stack(images[:4]), np.stack(images[4:])])
    assert np.array_equal(one.eigenvalues, many.eigenvalues)
    assert np.array_equal(one.eigenvectors, many.eigenvectors)


@pytest.mark.parametrize("sqrt, sigma", [(False, 30), (True, 2)])
def test_the_shift_is_p_times_alpha_lambda_rounded_and_clipped(sqrt, sigma):
    noise = ColorNoise(sigma, sqrt).fit(correlated_images())
    image = random_image(9, 8)
    alpha = generator(7).normal(0, sigma, 3)
    size = noise.eigenvalues**0.5 if sqrt else noise.eigenvalues
    shift = 255 * noise.eigenvectors @ (alpha * size)
    expected = np.rint(to_array(image) + shift[:, None, None]).clip(0, 255)
    assert np.abs(shift).max() > 1
    assert np.array_equal(to_array(noise(image, generator(7))), expected)


@pytest.mark.parametrize("sqrt, levels", [(False, 5.5), (True, 11.9)])
def test_imagenets_noise_has_the_documented_size(sqrt, levels):
    noise, rng = ColorNoise.imagenet(sqrt=sqrt), generator()
    assert np.allclose(noise.eigenvectors.T @ noise.eigenvectors, np.eye(3), atol=2e-4)  # four digits are published
    grey = Image.new("RGB", (1, 1), (128, 128, 128))
    shifts = np.array([to_array(noise(grey, rng)).ravel() - 128.0 for _ in range(4000)])
    assert np.std(shifts @ noise.eigenvectors[:, 0]) == pytest.approx(levels, rel=0.05)


def test_state_round_trips():
    fitted, restored = ColorNoise().fit(correlated_images()), ColorNoise()
    restored.load_state_dict(fitted.state_dict())
    image = random_image(5, 5)
    assert np.array_equal(to_array(fitted(image, generator())), to_array(restored(image, generator())))


def test_colour_noise_errors():
    with pytest.raises(ValueError, match="not fitted: call fit"):
        ColorNoise()(random_image(5, 5), generator())
    with pytest.raises(ValueError, match="no image to fit on"):
        ColorNoise().fit([])
    with pytest.raises(ValueError, match=re.escape("got float64 (3, 4, 4)")):
        ColorNoise().fit([np.zeros((3, 4, 4))])
    with pytest.raises(ValueError, match=r"\(3,\).*not \(2,\)"):
        ColorNoise(eigenvalues=[1, 2], eigenvectors=np.eye(3))
    with pytest.raises(ValueError, match="must be finite numbers"):
        ColorNoise(eigenvalues=[1, 2, np.nan], eigenvectors=np.eye(3))


def test_colour_noise_of_a_grey_picture_is_refused():
    with pytest.raises(ValueError, match="ColorNoise: a picture of mode 'L' has no colours"):
        ColorNoise.imagenet()(Image.new("L", (5, 5)), generator())

"""Other libraries' transforms in the loader: they repeat, they leave the process's generators alone."""

import random

import numpy as np
import pytest
from PIL import Image

from minicnn.data import Adapt, Compose, DataLoader, RandomFlip, to_array


def generator(seed=0):
    return np.random.default_rng(seed)


def picture(seed=0, size=(24, 24)):
    return Image.fromarray(generator(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def shifted(image):
    """Brighter by something of Python's generator, and of NumPy's."""
    return image.point(lambda value: value // 2 + random.randrange(60) + np.random.randint(60))


class Pictures:
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return picture(index), index


def epoch(transform, workers, start=0):
    loader = DataLoader(Pictures(), 4, shuffle=True, transform=transform, num_workers=workers, seed=3)
    return [batch.images for batch in loader.epoch(1, start)]


@pytest.mark.parametrize("of", ["python and numpy", "torchvision"])
def test_a_run_repeats_with_any_number_of_workers_and_from_any_batch(torchvision, of):
    from torchvision.transforms import v2

    theirs = (
        shifted if of == "python and numpy" else v2.Compose([v2.RandomCrop(20), v2.ColorJitter(0.5), v2.PILToTensor()])
    )
    transform = Compose([RandomFlip(), Adapt(theirs)])
    one, several = epoch(transform, 0), epoch(transform, 3)
    assert np.array_equal(one, several) and np.array_equal(one[1:], epoch(transform, 2, start=1))
    assert len({each.tobytes() for batch in one for each in batch}) == 12


def test_the_generators_of_the_process_go_on_as_if_nothing_had_been(torch):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)

    def draws(image):
        random.random(), np.random.rand(), torch.rand(1)
        raise KeyError("its own error")

    with pytest.raises(KeyError):
        Adapt(draws)(picture(), generator())
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_pictures_and_arrays_come_back(torch):
    image = picture()
    assert Adapt(lambda given: given)(image, generator()) is image
    for array in (to_array(image), torch.tensor(to_array(image))):
        assert np.array_equal(Adapt(lambda _, array=array: array)(image, generator()), to_array(image))


@pytest.mark.parametrize(
    "result, parts",
    [
        (np.zeros((3, 4, 4), np.float32), r"float32 \(3, 4, 4\), and a picture is uint8 \(C, H, W\); leave out"),
        (np.zeros((5, 5, 3), np.uint8), r"uint8 \(5, 5, 3\), and a picture is uint8 \(C, H, W\)"),
        ({"image": 1}, "returned a dict; it must return a PIL image"),
    ],
)
def test_results_that_are_no_pictures(result, parts):
    def other(image):
        return result

    with pytest.raises(TypeError, match=f"Adapt: other (returned )?{parts}"):
        Adapt(other)(picture(), generator())


def test_a_function_of_the_picture_alone_is_told_of_adapt(torchvision):
    from torchvision.transforms import v2

    for transform, name in ((shifted, "shifted"), (v2.ColorJitter(), "ColorJitter")):
        for owner, make in (
            ("Compose", lambda transform=transform: Compose([transform])),
            ("DataLoader", lambda transform=transform: DataLoader(Pictures(), transform=transform)),
        ):
            message = rf"{owner}: {name} takes no random-number generator .*Adapt\({name}\) does"
            with pytest.raises(TypeError, match=message):
                make()
    Compose([lambda image, rng: image, RandomFlip(), lambda image, rng=None: image, lambda *both: both[0]])
    for nothing in (3, None):
        with pytest.raises(TypeError, match="a transform is a function of"):
            Compose([nothing])
        with pytest.raises(TypeError, match="Adapt: transform must be a function"):
            Adapt(nothing)


def test_masks_and_boxes_are_refused():
    with pytest.raises(TypeError, match="Adapt takes a picture alone"):
        Adapt(shifted)({"image": picture()}, generator())

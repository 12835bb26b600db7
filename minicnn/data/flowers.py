"""Flowers-102 as its authors publish it: 8,189 photographs of 102 flowers, and which of them is for what.

    102flowers.tgz     jpg/image_00001.jpg to image_08189.jpg
    imagelabels.mat    labels: of each photograph 1 to 102
    setid.mat          trnid, valid, tstid: the numbers of the photographs of each split, from 1 on

SciPy reads the .mat files, which are MATLAB's.

Source    Nilsback and Zisserman, "Automated flower classification over a large number of classes", ICVGIP 2008
"""

from pathlib import Path
from typing import Any

import numpy as np

from .archives import Source, fetched, unpacked
from .decode import load_image
from .errors import DataError, shown
from .split import PublishedSet

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
PHOTOGRAPHS = Source(URL + "102flowers.tgz", "52808999861908f626f3c1f4e79d11fa")
LABELS = Source(URL + "imagelabels.mat", "e0620be6f572b9609742df49c70aed4d")
SPLITS = Source(URL + "setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c")
NUMBERS = {"train": "trnid", "val": "valid", "test": "tstid"}
NAMES = """
    pink primrose; hard-leaved pocket orchid; canterbury bells; sweet pea; english marigold; tiger lily; moon
    orchid; bird of paradise; monkshood; globe thistle; snapdragon; colt's foot; king protea; spear thistle;
    yellow iris; globe-flower; purple coneflower; peruvian lily; balloon flower; giant white arum lily; fire
    lily; pincushion flower; fritillary; red ginger; grape hyacinth; corn poppy; prince of wales feathers;
    stemless gentian; artichoke; sweet william; carnation; garden phlox; love in the mist; mexican aster; alpine
    sea holly; ruby-lipped cattleya; cape flower; great masterwort; siam tulip; lenten rose; barbeton daisy;
    daffodil; sword lily; poinsettia; bolero deep blue; wallflower; marigold; buttercup; oxeye daisy; common
    dandelion; petunia; wild pansy; primula; sunflower; pelargonium; bishop of llandaff; gaura; geranium; orange
    dahlia; pink-yellow dahlia?; cautleya spicata; japanese anemone; black-eyed susan; silverbush; californian
    poppy; osteospermum; spring crocus; bearded iris; windflower; tree poppy; gazania; azalea; water lily; rose;
    thorn apple; morning glory; passion flower; lotus; toad lily; anthurium; frangipani; clematis; hibiscus;
    columbine; desert-rose; tree mallow; magnolia; cyclamen; watercress; canna lily; hippeastrum; bee balm; ball
    moss; foxglove; bougainvillea; camellia; mallow; mexican petunia; bromelia; blanket flower; trumpet creeper;
    blackberry lily
"""
CLASSES = tuple(" ".join(name.split()) for name in NAMES.split(";"))


class _Photographs:
    """PIL images by index, as PublishedSet asks for them."""

    def __init__(self, folder, numbers):
        self.folder, self.numbers = folder, numbers

    def __getitem__(self, index):
        return load_image(self.folder / f"image_{self.numbers[index]:05d}.jpg"), None


def flowers102(root: Path | str, download: bool = True) -> tuple[PublishedSet, ...]:
    """(train, val) of Flowers-102, ten pictures of each of 102 flowers in both; downloaded into `root` if need be.

    DataError if they are not there and cannot be fetched, are damaged, or if SciPy is missing.
    """
    train, val, _ = flowers102_splits(root, download)
    return train, val


def flowers102_splits(root: Path | str, download: bool = True) -> tuple[PublishedSet, ...]:
    """(train, val, test), of which the last one has 6,149 pictures. Else as ``flowers102``."""
    _loadmat()  # now, before anything is fetched
    folder = Path(root) / "flowers-102"
    labels = _read(fetched(LABELS, folder, download))
    numbers = _read(fetched(SPLITS, folder, download))
    pictures = folder / "jpg"
    if not pictures.is_dir():
        pictures = unpacked(fetched(PHOTOGRAPHS, folder, download), "jpg")
    try:
        of_each = labels["labels"].ravel().astype(int)
        splits = {split: numbers[name].ravel().astype(int) for split, name in NUMBERS.items()}
        if not (1 <= of_each.min() <= of_each.max() <= len(CLASSES)):
            raise ValueError(f"its labels are {of_each.min()} to {of_each.max()}")
        sets = [_split(pictures, split, which, of_each) for split, which in splits.items()]
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{shown(folder)} does not hold Flowers-102: {error}; fetch its .mat files again") from error
    return tuple(sets)


def _split(pictures, split, numbers, labels):
    if not len(numbers) or not (1 <= numbers.min() <= numbers.max() <= len(labels)):
        raise ValueError(f"the photographs of {split} are none of the {len(labels)} that have labels")
    return PublishedSet(_Photographs(pictures, numbers), split, labels[numbers - 1] - 1, CLASSES)


def _loadmat() -> Any:
    try:
        from scipy.io import loadmat  # an optional package: only whoever asks for this set needs it
    except ImportError as error:
        advice = "pip install 'minicnn[datasets]', or give a folder of pictures"
        raise DataError(f"Flowers-102 is read by SciPy, which is not there ({error}); {advice}") from error
    return loadmat


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        return _loadmat()(path)
    except DataError:
        raise
    except Exception as error:  # of a damaged file: ValueError, zlib.error, struct.error ...
        raise DataError(f"{shown(path)} is damaged: {shown(error):.100}; remove it, to fetch it again") from error

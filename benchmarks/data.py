"""How fast pictures are read, decoded, augmented and normalised, beside torchvision, on one core.

    python benchmarks/data.py                                  500 x 375 JPEGs that the program draws
    python benchmarks/data.py --images FOLDER --out benchmarks/results

Both sides do what AlexNet and ResNet are trained with: shorter side to 256, a random crop of 224, a random mirror
image, mean and standard deviation of each channel, a batch of float32 (N, 3, 224, 224). One thread; the sides take
turns (A B A B ...), and what is compared is the processor time of each round, the median of all.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from cpubench.turns import write

from minicnn.console import say
from minicnn.train.environment import cpu_name

BATCH = 50


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, help="folder of class folders of pictures (default: drawn ones)")
    parser.add_argument("--count", type=int, default=200, help="pictures of a round (default: 200)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side, in turns (default: 7)")
    parser.add_argument("--out", type=Path, help="folder to write the raw result into, as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as drawn:
        compare(args, args.images or draw(Path(drawn), args.count))


def compare(args, folder):
    sides = {"minicnn": ours(folder, args.count), "torchvision": theirs(folder, args.count)}
    seconds = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, run in sides.items():
            start = time.process_time()
            done = run()
            seconds[name].append((time.process_time() - start) / done)
    per_second = {name: 1 / statistics.median(times) for name, times in seconds.items()}
    say(f"pictures decoded and augmented per second of one core, {cpu_name()}")
    for name, rate in per_second.items():
        say(f"{name:14}{rate:8.0f}{rate / per_second['torchvision']:8.2f} of torchvision")
    if args.out:
        write(args.out, "data", {"drawn": args.images is None, "seconds_per_picture": seconds})


def draw(folder, count):
    """JPEGs of 500 x 375 pixels, quality 90, with as much detail as a photograph: 1/f noise."""
    from PIL import Image

    rng = np.random.default_rng(0)
    fy, fx = np.fft.fftfreq(375)[:, None], np.fft.fftfreq(500)
    falloff = 1 / np.maximum(np.hypot(fy, fx), 1 / 500)
    (folder / "class").mkdir()
    for i in range(count):
        noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((3, 375, 500))) * falloff).real
        pixels = np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / "class" / f"{i}.jpg", quality=90)
    return folder


def ours(folder, count):
    """A function that reads `count` pictures, and says how many they were."""
    from minicnn.data import ChannelMeanStd, Compose, DataLoader, ImageFolder, RandomCrop, RandomFlip, ResizeShorter

    pictures = ImageFolder(folder)
    pictures = pictures.subset(range(min(count, len(pictures))))
    transform = Compose([ResizeShorter(256), RandomCrop(224), RandomFlip()])
    loader, normalize = DataLoader(pictures, BATCH, shuffle=True, transform=transform), ChannelMeanStd.imagenet()
    return lambda: sum(len(normalize(batch.images)) for batch in loader.epoch(0))


def theirs(folder, count):
    """The same by torchvision."""
    import torch
    from torchvision import datasets
    from torchvision import transforms as T

    torch.set_num_threads(1)
    scale = T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    transform = T.Compose([T.Resize(256), T.RandomCrop(224), T.RandomHorizontalFlip(), T.ToTensor(), scale])
    pictures = datasets.ImageFolder(folder, transform)
    pictures = torch.utils.data.Subset(pictures, range(min(count, len(pictures))))
    loader = torch.utils.data.DataLoader(pictures, BATCH, shuffle=True)
    return lambda: sum(len(images) for images, _ in loader)


if __name__ == "__main__":
    main()

"""Kill a training run (SIGKILL) at random moments, resume it each time, and compare the end with an undisturbed run.

    python tests/support/kill_and_resume.py --kills 20

The run is small, but it has everything that could differ: shuffling, augmentation, dropout, batch norm's running
statistics, momentum, a schedule, an unreadable picture and checkpoints within epochs. Whenever it comes to its end
it is begun again in another folder, until there have been as many kills as asked for.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import minicnn
from minicnn import nn, optim
from minicnn.cli.pictures import RandomPictures
from minicnn.data import BadImage, CenterCrop, ChannelMeanStd, ColorNoise, Compose, DataLoader, RandomCrop, RandomFlip
from minicnn.runlog import TIME_COLUMNS, read_log
from minicnn.train import Trainer, load_checkpoint
from minicnn.train.trainer import BEST, LAST


def small_trainer(folder, width=8, batch_size=8, epochs=6, validate=True, pictures=None, adam=False, **options):
    """A trainer of a small network on random pictures, or those of a class like it; the same one every time.

    adam: AdamW with amsgrad in place of SGD; options: of ``Trainer``
    """
    minicnn.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d((3, 3)),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(9 * width, 3),
    )
    groups = optim.weights_and_biases(model, 0.005 if adam else 0.05, 1e-3)
    optimizer = optim.AdamW(groups, amsgrad=True) if adam else optim.SGD(groups, 0.05, momentum=0.9)
    augment = Compose([RandomCrop(12), RandomFlip(), ColorNoise.imagenet()])
    train_set, val_set = (pictures or Pictures)(60, 0, 3, 16), (pictures or RandomPictures)(20, 1, 3, 16)
    train = DataLoader(train_set, batch_size, True, transform=augment, seed=3, num_workers=2, max_bad_fraction=0.1)
    val = DataLoader(val_set, 8, transform=CenterCrop(12), num_workers=2)
    return Trainer(
        model,
        optimizer,
        optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1),
        train,
        val if validate else None,
        ChannelMeanStd().fit(batch.images for batch in val.epoch(0)),
        folder=folder,
        epochs=epochs,
        classes=train.dataset.classes,
        checkpoint_every=3,
        **options,
    )


class Pictures(RandomPictures):
    """One of them is unreadable."""

    def load(self, index):
        if index == 5:
            raise BadImage(self.samples[index][0], "damaged")
        return super().load(index)


def resumed(trainer):
    """`trainer`, gone on to the last checkpoint in its folder, if there is one."""
    last = trainer.folder / LAST
    if last.exists():
        trainer.load_state_dict(load_checkpoint(last), last)
    return trainer


def child(folder):
    """The run: to its end, from its last checkpoint if there is one."""
    trainer = resumed(small_trainer(folder))
    print("ready", flush=True)
    trainer.fit()


def start(folder):
    """The run as a process of its own, from the moment on that it has loaded its checkpoint."""
    command = [sys.executable, __file__, "--child", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if not any(line == "ready\n" for line in process.stdout):
        raise AssertionError(f"the run in {folder} did not start (exit code {process.wait()})")
    threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it never waits for a reader
    return process


def finish(process):
    if process.wait() != 0:
        raise AssertionError(f"the run ended with exit code {process.returncode}")


def repeated_part(folder):
    """What must be equal: the checkpoints' bytes, and log.csv without the columns that measure time."""
    rows = [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in read_log(folder / "log.csv")]
    return {name: (folder / name).read_bytes() for name in (LAST, BEST)} | {"log.csv": rows}


def weights(trainer):
    return {key: np.array(tensor) for key, tensor in trainer.model.state_dict().items()}


def after_batches(trainer, count, action):
    """Call `action` once, after so many batches."""
    done, train_batch = [0], trainer.train_batch

    def counted(batch):
        result = train_batch(batch)
        done[0] += 1
        if done[0] == count:
            action()
        return result

    trainer.train_batch = counted


def ask_to_stop(trainer):
    trainer.interrupt.requested = True


def kill_and_resume(kills, seed=0):
    """Raises AssertionError if any of the interrupted runs ends otherwise than the undisturbed one.

    Returns how many runs the kills were spread over.
    """
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root) / "whole"
        whole.mkdir()
        process, begun = start(whole), time.perf_counter()
        finish(process)
        seconds, expected = time.perf_counter() - begun, repeated_part(whole)

        done = runs = 0
        while done < kills:
            runs += 1
            folder = Path(root) / f"run {runs}"
            folder.mkdir()
            while True:
                process = start(folder)
                try:
                    process.wait(moments.uniform(0, seconds / 2) if done < kills else None)
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    done += 1
            finish(process)
            found = repeated_part(folder)
            for name in expected:
                assert found[name] == expected[name], f"{name} of run {runs} differs after {done} kills in all"
            assert not list(folder.glob(".*")), "a killed run's unfinished file is still there"
    return runs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
    else:
        runs = kill_and_resume(arguments.kills, arguments.seed)
        print(f"{arguments.kills} kills, {runs} runs: each ended in the same bytes as the undisturbed run")

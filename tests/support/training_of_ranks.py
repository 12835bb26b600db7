"""Small training runs, described by a few words, on however many ranks there are: for tests of the ``Trainer``.

    mpi.run(2, PROGRAM, run(folder / "a", epochs=2), run(folder / "b", net="batch_norm"))

Each rank does one run after the other, and prints a line of JSON for each: what became of it. A folder in which there
is a checkpoint is gone on with.
"""

import contextlib
import hashlib
import json
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
from kill_and_resume import after_batches, ask_to_stop, resumed
from small_disk import Disk

import minicnn
from minicnn import Tensor, models, nn, optim
from minicnn.cli.pictures import RandomPictures
from minicnn.data import BadImage, CenterCrop, Compose, CutMix, DataLoader, MixUp, RandomChoice, RandomCrop, RandomFlip
from minicnn.distributed import world
from minicnn.optim import lr_scheduler
from minicnn.runlog import TIME_COLUMNS, read_log
from minicnn.train import Interrupted, ModelEma, Trainer, load_checkpoint
from minicnn.train.step import Steps

PROGRAM = (
    "import sys\nfrom training_of_ranks import main\nfrom minicnn.train import exit_code\nsys.exit(exit_code(main))"
)
CLASSES, SIZE = 6, 12
WHITE = 3  # the item that ``white=True`` makes a white picture, of which no finite numbers can be made


class Pictures(RandomPictures):
    """Pictures of noise; some cannot be read, and one may be white."""

    def __init__(self, count, seed, bad=(), white=False):
        super().__init__(count, seed, CLASSES, SIZE + 4)
        self.bad, self.white = set(bad), white

    def load(self, index):
        if index in self.bad:
            raise BadImage(self.samples[index][0], "damaged")
        picture = super().load(index)
        return picture.point(lambda value: 255) if self.white and index == WHITE else picture


class Scale:
    """The normaliser, in any precision. White is not a number."""

    def __init__(self, dtype):
        self.dtype = dtype

    def __call__(self, pixels):
        scaled = pixels.astype(self.dtype) / 255 - 0.5
        scaled[(pixels == 255).all(axis=(-3, -2, -1))] = np.nan
        return scaled

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        assert state == {}


def dropout_net(norm=None):
    layers = [nn.Conv2d(3, 4, 3, padding=1, bias=norm is None), *([norm(4)] if norm else []), nn.ReLU(inplace=True)]
    hidden = [nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.4), nn.Linear(4 * 36, 10), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, *hidden, nn.Linear(10, CLASSES))


class Outputs(NamedTuple):
    scores: Tensor
    aux_scores: Tensor
    auxiliary_weight = 0.3


class WithHead(nn.Module):
    """A network with an auxiliary head, as GoogLeNet has."""

    def __init__(self):
        super().__init__()
        self.first, self.rest, self.head = nn.Conv2d(3, 4, 3), dropout_net()[2:], nn.Linear(4, CLASSES)
        self.rest[-1] = nn.Linear(10, CLASSES)
        self.rest[3] = nn.Linear(4 * 25, 10)

    def forward(self, x):
        x = self.first(x)
        scores = self.rest(x.relu())
        return Outputs(scores, self.head(x.mean((2, 3)))) if self.training else scores


NETS = {
    "dropout": dropout_net,
    "batch_norm": lambda: dropout_net(nn.BatchNorm2d),
    "resnet8": lambda: models.cifar_resnet(8, num_classes=CLASSES),
    "sync_resnet8": lambda: nn.SyncBatchNorm.convert_sync_batchnorm(models.cifar_resnet(8, num_classes=CLASSES)),
    "head": WithHead,
}


def make(
    folder: Any, net: str = "dropout", *, bits: int = 64, count: int = 25, bad: Any = (), white: bool = False,
    batch_size: int = 8, val: int = 13, val_bad: Any = (), drop_last: bool = False, max_bad: float = 0.9,
    epochs: int = 2, schedule_each: str = "epoch", device: str = "cpu", lr: float = 0.05, checkpoint_every: int = 0,
    callbacks: Any = (), loss: Any = None, lars: bool = False, ema: bool = False,
    mix: bool = False, **steps: Any,
) -> Trainer:  # fmt: skip
    """The trainer of one run; lars: by LARS; ema: with an average of the weights; mix: on mixed pictures; steps: those
    of ``Steps``."""
    minicnn.manual_seed(1)
    model = NETS[net]().to(minicnn.float64 if bits == 64 else minicnn.float32).to(device)
    kind = optim.LARS if lars else optim.SGD
    optimizer = kind(model.parameters(), lr, momentum=0.9, weight_decay=1e-3)
    callbacks = [*callbacks, *([ModelEma(model, 0.75)] if ema else [])]
    if schedule_each == "batch":
        schedule = lr_scheduler.LinearWarmup(optimizer, 50, 0.1)  # another rate at each step
    else:
        schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    augment = Compose([RandomCrop(SIZE), RandomFlip()])
    bad_allowed = {"max_bad_fraction": max_bad}
    pictures = Pictures(count, 0, bad, white)
    train = DataLoader(pictures, batch_size, True, transform=augment, seed=3, drop_last=drop_last, **bad_allowed)
    val_loader = DataLoader(Pictures(val, 1, val_bad), 4, transform=CenterCrop(SIZE), **bad_allowed) if val else None
    kinds = [MixUp(num_classes=CLASSES), CutMix(num_classes=CLASSES)]
    return Trainer(
        model, optimizer, schedule, train, val_loader, Scale(np.float64 if bits == 64 else np.float32),
        folder=folder, epochs=epochs, schedule_each=schedule_each, device=device, classes=pictures.classes,
        checkpoint_every=checkpoint_every, callbacks=callbacks, loss=loss, steps=Steps(**steps),
        mix=RandomChoice(kinds) if mix else None,
    )  # fmt: skip


def train(folder, *, stop=0, tier="fast", below="", room=None, others=None, **options):
    """Train to the end, or until the last rank asks to stop, after so many batches or, for -1, in validation. What
    became of it: plain values.

    below: the rest of the folder's name; room: bytes that rank 0's disk has; others: options of rank 1 alone."""
    if others and world().rank == 1:
        below = others.pop("below", "")
        options |= others
    if room is not None and world().is_main:
        Disk(pytest.MonkeyPatch(), room)
    with minicnn.tier(tier):
        trainer = resumed(make(folder + below, **options))
        if stop and world().rank == world().size - 1:
            after_batches(trainer, stop, lambda: ask_to_stop(trainer))
            if stop < 0:
                validate = trainer.validate
                trainer.validate = lambda: (ask_to_stop(trainer), validate())
        with contextlib.suppress(*[Interrupted] if stop else []):
            trainer.fit()
    bad = [list(loader.bad) for loader in trainer.loaders]
    mpi = "mpi4py" in sys.modules
    return {"state": digest(trainer.state_dict()), "epoch": trainer.epoch, "bad": bad, "lr": trainer.lr, "mpi": mpi}


def arrays(state):
    """{name: array} of what has been learned: parameters, buffers, velocities."""
    named = {f"model {name}": np.asarray(array) for name, array in state["model"].items()}
    averaged = state.get("callbacks", {}).get("ModelEma", {"model": {}})["model"]
    named |= {f"average {name}": np.asarray(array) for name, array in averaged.items()}
    velocities = enumerate(state["optimizer"]["velocities"])
    return named | {f"velocity {i}": np.asarray(array) for i, array in velocities if array is not None}


def digest(state):
    """The SHA-256 of these."""
    found = arrays(state)
    assert len(found) > 8 and all(np.isfinite(array).all() for array in found.values())
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in found.values())).hexdigest()


def apart(path, expected):
    """The largest difference of what two checkpoints have learned."""
    found, wanted = arrays(load_checkpoint(path)), arrays(load_checkpoint(expected))
    assert found.keys() == wanted.keys()
    return max(np.abs(found[name] - wanted[name]).max(initial=0) for name in found)


def figures(folder):
    """log.csv without the columns that measure time."""
    rows = read_log(folder / "log.csv")
    return [{name: text for name, text in row.items() if name not in TIME_COLUMNS} for row in rows]


def run(folder, **options):
    """A run as an argument of the program."""
    return json.dumps({"folder": str(folder), **options})


def main():
    """Do the runs that the arguments describe."""
    for text in sys.argv[1:]:
        options = json.loads(text)
        print("result", json.dumps(train(**options)), flush=True)


def results(output):
    """What a rank has printed of its runs."""
    return [json.loads(line.removeprefix("result ")) for line in output.splitlines() if line.startswith("result ")]

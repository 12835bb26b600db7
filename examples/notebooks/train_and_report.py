# %% [markdown]
# # A run, watched, stopped, resumed, and its report
#
# Training is more than a loop: one wants curves, the best weights kept, a run that survives a closed laptop, and in the
# end an answer to *what is it wrong about?* This page trains a small network with minicnn's `Trainer`, which does all
# of that. The pictures are drawn on the spot; it takes less than a minute on a laptop without a GPU. With another
# processor the numbers differ a little.

# %%
# Only in Colab: write down where this page's repository is cloned from, then run. Elsewhere nothing is installed.
REPOSITORY = ""  # @param {type: "string"}

import importlib.util
import subprocess
import sys

missing = [name for name in ("minicnn", "matplotlib") if importlib.util.find_spec(name) is None]
if missing and "google.colab" in sys.modules and REPOSITORY:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"git+{REPOSITORY}"], check=True)
elif missing:
    sys.exit(f"{missing[0]} is not installed: fill in REPOSITORY above (Colab), or run pip install -e . in its clone")

# %% [markdown]
# ## Pictures, network, steps
#
# Ten kinds of texture in folders, `train/<class>/*` and `val/<class>/*`, of which each training picture is cut out a
# little differently in each epoch. The loaders hand out bytes; a **normaliser**, fitted on the training pictures,
# makes numbers around zero of them. It is part of the run: whoever uses the network later needs the same one.

# %%
import csv
from contextlib import closing
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minicnn
from minicnn import nn, optim, plot
from minicnn.data import (
    CenterCrop,
    ChannelMeanStd,
    Compose,
    DataLoader,
    ImageFolder,
    RandomCrop,
    ResizeShorter,
    draw_sample,
)
from minicnn.report import Report
from minicnn.train import Callback, Trainer, load_checkpoint

EPOCHS = 5
folder = draw_sample(train_per_class=80, val_per_class=30)
train_set, val_set = ImageFolder(folder / "train"), ImageFolder(folder / "val")
augment, centre = Compose([ResizeShorter(40), RandomCrop(32)]), Compose([ResizeShorter(40), CenterCrop(32)])
print(f"{len(train_set)} pictures to train on, {len(val_set)} to validate, {len(train_set.classes)} classes")


def block(channels, out):  # half the height, half the width
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2))


def a_run(name, callbacks=()):
    """A Trainer for the folder of that name, with fresh weights: always the same ones."""
    minicnn.manual_seed(0)
    model = nn.Sequential(
        block(3, 16), block(16, 32), block(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )  # images (N, 3, 32, 32) -> (N, 64, 4, 4) -> scores (N, 10)
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True, transform=augment, num_workers=2)
    val_loader = DataLoader(val_set, batch_size=100, transform=centre, num_workers=2)
    with closing(train_loader.epoch(0)) as batches:
        normalize = ChannelMeanStd().fit(batch.images for batch in batches)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)  # the steps become smaller, epoch by epoch
    Path(name).mkdir(exist_ok=True)
    return Trainer(
        model, optimizer, schedule, train_loader, val_loader, normalize, folder=name, epochs=EPOCHS,
        callbacks=callbacks, classes=train_set.classes, settings={"lr": 0.1, "batch_size": 32}, print_every=1000,
    )  # fmt: skip


# %% [markdown]
# ## The run
#
# What shall happen *besides* the loop is a **callback**: an object whose methods are called at certain moments. Two of
# them here: `Report`, which comes with minicnn, and one of our own that asks after each epoch whether the network says
# how sure it is as it should. (If it says 90 %, it should be right nine times of ten.)


# %%
class Calibration(Callback):
    """How sure the network is of what it says, and how often it is right, epoch by epoch."""

    def __init__(self):
        self.sure, self.right, self.rows = [], [], []

    def on_validation_batch(self, trainer, batch, log_p):  # log_p (N, classes): logarithms of probabilities
        self.sure.extend(np.exp(log_p.max(axis=1)))
        self.right.extend(log_p.argmax(axis=1) == batch.labels)

    def on_epoch_end(self, trainer, metrics):
        self.rows.append((100 * np.mean(self.sure), 100 * np.mean(self.right)))
        self.sure, self.right = [], []


calibration, report = Calibration(), Report()
trainer = a_run("run", [calibration, report])
trainer.fit()
for epoch, (sure, right) in enumerate(calibration.rows, 1):
    print(f"epoch {epoch}: on average {sure:.0f} % sure, {right:.0f} % right")

# %% [markdown]
# ## What it has left
#
# Everything is in the folder of the run: a row for each epoch in `log.csv`, the weights after the best epoch and the
# whole state after the last one (each with a checksum, and replaced only when the new one is complete), and the report.

# %%
print(", ".join(sorted(path.name for path in Path("run").iterdir())))
with open("run/log.csv") as file:
    for row in csv.DictReader(file):
        print(f"epoch {row['epoch']}: lr {float(row['lr']):.3f}, validation loss {float(row['val_loss']):.2f}")
plot.save_curves("run/log.csv", "curves.png")
_, axes = plt.subplots(figsize=(12, 3.6), dpi=60, layout="constrained")
axes.imshow(plt.imread("curves.png"))
axes.set_axis_off()
plt.show()

# %% [markdown]
# ## The report
#
# `run/report.html` is one page that any browser opens, without a network: curves, confusion, the surest mistakes, where
# the network looked (Grad-CAM), filters, feature maps, the network as a diagram, settings and environment. In a
# notebook, this shows it in a frame (it is not run here, so that this file stays small):
#
# ```python
# import html, IPython.display
# page = html.escape(Path("run/report.html").read_text())
# IPython.display.HTML(f'<iframe srcdoc="{page}" width="100%" height="700"></iframe>')
# ```
#
# What it is made of is at hand, too: the callback has kept the predictions of the last validation, so nothing is tested
# twice. Below, which classes are taken for which, and three pictures that the network is wrong about, and sure.

# %%
labels, guesses, _ = (np.concatenate(each) for each in zip(*report.predictions, strict=True))
classes = train_set.classes
confusion = np.zeros((len(classes), len(classes)), int)
np.add.at(confusion, (labels, guesses), 1)

_, (left, *others) = plt.subplots(1, 4, figsize=(13, 3.6), dpi=60, layout="constrained", width_ratios=[1.6, 1, 1, 1])
left.imshow(confusion, cmap="Blues", aspect="auto")
left.set(xticks=range(10), yticks=range(10), yticklabels=classes, xlabel="taken for", ylabel="is", title="confusion")
left.set_xticklabels(classes, rotation=60, ha="right")
for axes, mistake in zip(others, report.mistakes, strict=False):
    axes.imshow(mistake["image"].transpose(1, 2, 0))
    axes.set_title(f"{classes[mistake['label']]}, taken for\n{classes[mistake['guess']]} ({mistake['sure']:.0%} sure)")
for axes in others:
    axes.set_axis_off()
plt.show()
print(f"{int((labels != guesses).sum())} of {len(labels)} wrong; the report has", end=" ")
print(f"{Path('run/report.html').stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## Stopped, and resumed
#
# A run that is stopped and goes on shall end as one that was not: **with the same bits**, in every weight. For that, a
# checkpoint holds more than weights: the optimiser's velocities, the schedule, the state of each generator of random
# numbers, and the place in the order of pictures. Here another run is stopped in its second epoch, after a batch, as
# Ctrl-C would stop it; a third `Trainer`, which knows nothing of it but the file, goes on.


# %%
class Stop(Callback):
    """Ctrl-C after the third batch of the second epoch."""

    def on_batch_end(self, trainer, batch, outcome):
        if (trainer.epoch, batch.position) == (1, 2):
            trainer.save("checkpoint_last.npz")
            raise KeyboardInterrupt


try:
    a_run("stopped", [Stop()]).fit()
except KeyboardInterrupt:
    print("stopped")
resumed = a_run("stopped")
resumed.load_state_dict(load_checkpoint("stopped/checkpoint_last.npz"), "stopped/checkpoint_last.npz")
print(f"goes on behind epoch {resumed.epoch}, batch {resumed.batch}")
resumed.fit()
one, other = trainer.model.state_dict(), resumed.model.state_dict()
same = sum(np.array_equal(one[key].numpy(), other[key].numpy()) for key in one)
print(f"{same} of {len(one)} arrays of weights and statistics are the same, bit for bit")

# %% [markdown]
# ## To try
#
# 1. Give the first run a third callback, `minicnn.train.EarlyStop(patience=1)`. When does it end, and what do the
#    checkpoints hold?
# 2. Leave the normaliser's `fit` to a single batch. Does the network notice?
# 3. In `Calibration`, keep the pictures of which the network is between 80 and 90 % sure. How many of them are right?
# 4. `python examples/alexnet_imagenet.py DIR` is such a run from the command line, on pictures of your own. Open its
#    report. Which two classes would *you* mix up?
#
# More: [a loop of your own](../../docs/loop.md), [the programs](../../docs/train.md),
# [the report](../../docs/report.md). The other notebooks: [your own pictures](own_pictures.ipynb),
# [out, and a look inside](export_and_look_inside.ipynb).

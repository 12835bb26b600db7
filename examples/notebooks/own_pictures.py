# %% [markdown]
# # Your own pictures
#
# From a heap of files to a network that names what is on a new one. Write the path of your folder below, with a folder
# in it for each class; without one, the page draws some fruit, so that everything runs as it is. It takes less than a
# minute on a laptop without a GPU, with few and small pictures. With another processor the numbers differ a little.

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
# ## The folder
#
# `PICTURES/<class>/*`: JPEG or PNG, of any size. In Colab, upload an archive in the panel on the left and unpack it, or
# mount your Drive. The fruit are drawn badly on purpose: turned, cut off, in all sorts of light.

# %%
PICTURES = ""  # @param {type: "string"}

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

import minicnn
from minicnn import functional as F
from minicnn import models, optim, pretrained
from minicnn.data import (
    CenterCrop,
    ColorJitter,
    Compose,
    DataLoader,
    ImageFolder,
    RandomFlip,
    RandomResizedCrop,
    ResizeShorter,
    draw_sample,
    random_split,
    some_per_class,
    to_array,
)
from minicnn.data.folder import load_image


def fruit(kind, rng):
    """A PIL image, 96 x 96 pixels."""
    background, stem = tuple(rng.integers(60, 256, 3)), (90, 60, 30)
    red, yellow = (rng.integers(150, 230), *rng.integers(20, 70, 2)), (*rng.integers(190, 250, 2), 60)
    image = Image.new("RGB", (96, 96), background)
    draw = ImageDraw.Draw(image)
    if kind == "apple":
        draw.ellipse((24, 30, 74, 80), fill=red if rng.random() < 0.5 else yellow)
        draw.line((49, 34, 53, 18), fill=stem, width=4)
    elif kind == "banana":
        draw.arc((16, -6, 86, 74), 20, 160, fill=yellow, width=15)
    else:  # cherries
        for x, y in ((24, 58), (56, 64)):
            draw.ellipse((x, y, x + 20, y + 20), fill=red)
            draw.line((x + 10, y, 52, 18), fill=stem, width=3)
    image = image.rotate(rng.uniform(-40, 40), Image.Resampling.BILINEAR, fillcolor=background)
    left, top = rng.integers(0, 24, 2)
    pixels = np.asarray(image.crop((left, top, left + 72, top + 72))) * rng.uniform(0.6, 1.2)
    return Image.fromarray((pixels + rng.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8))


if not PICTURES:
    PICTURES = "fruit"
    for label, kind in enumerate(("apple", "banana", "cherries")):
        Path(PICTURES, kind).mkdir(parents=True, exist_ok=True)
        for number in range(100):
            fruit(kind, np.random.default_rng([label, number])).save(f"{PICTURES}/{kind}/{number:03}.jpg")

pictures = ImageFolder(PICTURES)
classes = pictures.classes
print(f"{len(pictures)} pictures of {', '.join(classes)}")

# %% [markdown]
# Look at them before anything else. Most mistakes of networks that "do not work" can be seen here: a class in the wrong
# folder, pictures that lie on their side, the same picture twice.

# %%
plt.rcParams |= {"figure.dpi": 50}


def show(images, titles=(), columns=9):
    """PIL images or arrays (3, H, W) of bytes."""
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(1.3 * columns, 1.5 * rows), layout="constrained", squeeze=False)
    for i, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if i < len(images):
            axis.imshow(to_array(images[i]).transpose(1, 2, 0))
            axis.set_title(titles[i] if i < len(titles) else "", fontsize="small")
    plt.show()


few = some_per_class(pictures, 6)
show([few.load(i) for i in range(len(few))], [classes[label] for _, label in few.samples])

# %% [markdown]
# ## Two parts, and many versions of a picture
#
# Some pictures are kept for validation. The network never learns from them, so they tell what it makes of *new* ones.
# (Usually a tenth or a fifth is enough; of the fruit it is more, so that few are left to learn from, and the figures
# below mean something.) Of the others it can see another version each time: a random part, mirrored or not, in another
# light. Here are nine of one picture.

# %%
SIDE = 32  # pixels that the network sees
train_set, val_set = random_split(pictures, [0.4, 0.6])
augment = Compose([RandomResizedCrop(SIDE, scale=(0.6, 1)), RandomFlip(), ColorJitter(0.3, 0.3, 0.3)])
centre = Compose([ResizeShorter(SIDE), CenterCrop(SIDE)])
rng = np.random.default_rng(0)
show([augment(pictures.load(0), rng) for _ in range(9)])

# %% [markdown]
# ## From nothing
#
# A ResNet-8 that begins with random weights, once on the same 120 pictures again and again, once on other versions of
# them each time. These keep a network from learning its pictures by heart, which takes it longer than these few epochs:
# here they are no gain yet.


# %%
def fit(model, lr, data, transform, epochs):
    """Train for so many epochs; the steps become smaller."""
    loader = DataLoader(data, batch_size=20, shuffle=True, transform=transform, num_workers=2)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def probabilities(model, mirrored=False):
    """Of the validation pictures: float32 (N, classes), and their labels (N,)."""
    with minicnn.no_grad():
        batches = [
            (F.softmax(model(images.flip(3) if mirrored else images), 1).numpy(), labels.numpy())
            for images, labels in DataLoader(val_set, 100, transform=centre)
        ]
    return tuple(np.concatenate(each) for each in zip(*batches, strict=True))


def right(model):
    """The percentage of validation pictures that are named rightly."""
    found, labels = probabilities(model)
    return 100 * float((found.argmax(1) == labels).mean())


def resnet(num_classes):
    return models.cifar_resnet(8, num_classes=num_classes)


minicnn.manual_seed(0)
same = fit(resnet(len(classes)), 0.05, train_set, centre, epochs=20)
print(f"the same pictures again and again: {right(same):.0f} % of new ones right")
minicnn.manual_seed(0)
scratch = fit(resnet(len(classes)), 0.05, train_set, augment, epochs=20)
print(f"another version each time:         {right(scratch):.0f} %")

# %% [markdown]
# ## From weights that know something
#
# Few pictures go further if the network need not begin with nothing. Here it first learns ten kinds of texture, which
# have little to do with fruit; its file could be anybody's, `pretrained.from_file` reads those of PyTorch, too. Then it
# gets a new last layer and is **fine-tuned**.

# %%
textures = draw_sample(train_per_class=80, val_per_class=30)
minicnn.manual_seed(0)
teacher = fit(resnet(10), 0.1, ImageFolder(textures / "train"), centre, epochs=6)
minicnn.save({"model": teacher.state_dict()}, "textures.npz")

minicnn.manual_seed(0)
tuned = pretrained.replace_head(pretrained.from_file(resnet, "textures.npz"), len(classes))
fit(tuned, 0.05, train_set, augment, epochs=20)
print(f"from the weights for textures: {right(tuned):.0f} %, from nothing {right(scratch):.0f} %")

# %% [markdown]
# Of 180 pictures to validate, a difference of a few points is chance, this one is not. On photographs, begin with
# `pretrained.load("resnet18")`, which has seen a million of them: [transfer learning](../../docs/transfer.md).
#
# ## What it gets wrong
#
# The pictures that it is least sure of, with what it takes them for. If *you* cannot tell, nothing is wrong with it.

# %%
found, labels = probabilities(tuned)
worst = np.argsort(found[np.arange(len(labels)), labels])[:9]
titles = [f"{classes[labels[i]]}?\n{classes[found[i].argmax()]} {found[i].max():.0%}" for i in worst]
show([val_set.load(i) for i in worst], titles)

# %% [markdown]
# ## A new picture
#
# It must be prepared as those in validation were; the network takes a batch, so one picture gets a first axis. What the
# network says of the picture and of its mirror image may be averaged: a second opinion that costs no training.


# %%
def name(path):
    pixels = minicnn.tensor(to_array(centre(load_image(path), None)))[None].float() / 255
    with minicnn.no_grad():
        both = F.softmax(tuned(minicnn.cat([pixels, pixels.flip(3)], dim=0)), dim=1)
    return dict(zip(classes, both.mean(dim=0).tolist(), strict=True))


example = Path(val_set.samples[int(worst[-1])][0])
for kind, probability in sorted(name(example).items(), key=lambda pair: -pair[1])[:3]:
    print(f"{probability:6.1%}  {kind}")
average = (found + probabilities(tuned, mirrored=True)[0]) / 2
print(f"validation, both opinions: {100 * float((average.argmax(1) == labels).mean()):.0f} % right")
minicnn.save({"classes": classes, "model": tuned.state_dict()}, "own_pictures.npz")

# %% [markdown]
# ## To try
#
# 1. Fill in PICTURES: twenty pictures each of two things on your table, photographed from all sides, are enough.
# 2. Take all pictures of one class before the same wall, and then test on others. What has the network learnt?
# 3. Leave a transform out of `augment`. Which of them matters most for fruit, and which would for handwriting?
# 4. Before `fit`, freeze all but the new last layer: `pretrained.freeze_backbone(tuned)`. What do textures know of
#    fruit?
#
# From the command line, with checkpoints and a report: `python examples/transfer_flowers102.py DIR`
# ([transfer learning](../../docs/transfer.md)). The other notebooks:
# [a run and its report](train_and_report.ipynb), [out, and a look inside](export_and_look_inside.ipynb).

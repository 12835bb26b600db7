# %% [markdown]
# # Modern convolutional networks: AlexNet, ResNet, transfer learning
#
# A tutorial in three sections, to run and change. In each you train a network yourself, look into it, and then solve
# exercises; the cell behind an exercise is a **solution**: try first, then run it. All pictures are drawn on the spot,
# so nothing is downloaded, and everything takes a few minutes on a laptop without a GPU. With another processor the
# numbers differ a little.

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
# ## The pictures
#
# Ten kinds of texture, 64 x 64 pixels, in folders as ImageNet's are: `train/<class>/*` and `val/<class>/*`. A class is
# a pattern and nothing else: colours, contrast, size, tilt and noise are drawn anew for each picture.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import minicnn
from minicnn import functional as F
from minicnn import models, nn, optim, pretrained
from minicnn.data import CenterCrop, Compose, DataLoader, ImageFolder, ResizeShorter, draw_sample

QUICK = bool(os.environ.get("TUTORIAL_QUICK"))  # tiny settings: everything runs, and nothing is learnt
folder = draw_sample(train_per_class=12, val_per_class=4) if QUICK else draw_sample()
plt.rcParams |= {"figure.dpi": 60, "axes.grid": True, "grid.alpha": 0.3}


def pictures(split, side):
    """float32 (N, 3, side, side) of [0, 1], labels (N,), and the names of the classes."""
    data = ImageFolder(folder / split)
    batches = list(DataLoader(data, 100, transform=Compose([ResizeShorter(side), CenterCrop(side)])))
    return *(np.concatenate([batch[i].numpy() for batch in batches]) for i in (0, 1)), data.classes


def prepared(side):
    """(train, labels), (val, labels), with the mean 0 and the variance 1 in each colour; and the classes."""
    train, labels, classes = pictures("train", side)
    val, val_labels, _ = pictures("val", side)
    mean, std = train.mean(axis=(0, 2, 3), keepdims=True), train.std(axis=(0, 2, 3), keepdims=True)
    return ((train - mean) / std, labels), ((val - mean) / std, val_labels), classes


train, val, classes = prepared(64)
print(f"{len(train[0]):,} pictures to train on, {len(val[0])} to validate")


def show(images, titles, columns=10):
    """Pictures (N, 3, H, W) or (N, H, W), each stretched to its own range."""
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(1.1 * columns, 1.3 * rows), layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        image = image.transpose(1, 2, 0) if image.ndim == 3 else image
        axis.imshow((image - image.min()) / max(np.ptp(image), 1e-9), cmap="gray")
        axis.set_title(title, fontsize="small")
    plt.show()


show([train[0][train[1] == label][0] for label in range(10)], classes)

# %% [markdown]
# # Section 1. AlexNet
#
# Five convolutions and three fully connected layers, 60 million parameters. In 2012 it won the ImageNet challenge with
# 15.3 % errors (top-5; seven networks averaged, one alone has 18.2 % in validation), the next best had 26.2 %. It stood
# out by its size, by ReLU and dropout, and by the two GPUs on which it was trained: each had half of the channels, and
# so it has `groups=2` in three convolutions ([alexnet.py](../minicnn/models/alexnet.py)). Here is its table of layers.

# %%
table = minicnn.summary(models.alexnet_2012(), (3, 227, 227))

# %% [markdown]
# **Exercise 1.** From window, stride and padding in the table, compute the sizes 55 and 27 behind the first convolution
# and the first pooling, and the first convolution's 34,944 parameters. And what share of all parameters do the fully
# connected layers have?


# %% tags=["solution"]
def output_size(size, window, stride, pad):
    return (size + 2 * pad - window) // stride + 1  # // rounds down: a window that does not fit is left out


print("sizes:", output_size(227, 11, 4, 0), output_size(55, 3, 2, 0))
print("parameters of the first convolution:", 96 * (3 * 11 * 11 + 1))
linear = sum(row.parameters for row in table.rows if "Linear" in row.layer)
print(f"fully connected: {linear:,} of {table.parameters:,}, {linear / table.parameters:.0%}")

# %% [markdown]
# ## Two epochs
#
# For 64 pixels and ten classes a narrower head is enough: 256 neurons instead of 4096. The convolutions are AlexNet's
# (of 2014, without local response normalisation). This is the whole loop; it serves the other sections, too.


# %%
def fit(model, optimizer, images, labels, epochs, batch_size=32, schedule=None):
    """Train -> the mean loss of each epoch."""
    loader = DataLoader((images, labels), batch_size, shuffle=True)
    losses = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        for batch, truth in loader:
            loss = F.cross_entropy(model(batch), truth)
            optimizer.zero_grad()
            loss.backward()  # the gradient of each weight
            optimizer.step()  # each weight, a little downhill
            total += loss.item() / len(loader)
        if schedule:
            schedule.step()
        losses.append(total)
    return losses


def accuracy(model, images, labels):
    """In percent."""
    model.eval()
    with minicnn.no_grad():
        parts = [model(minicnn.Tensor(images[i : i + 100])).numpy() for i in range(0, len(images), 100)]
    return 100 * float((np.concatenate(parts).argmax(1) == labels).mean())


minicnn.manual_seed(0)
alexnet = models.alexnet(num_classes=10, width=256, dropout=0.2)
for layer in alexnet.modules():
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
filters_before = alexnet.features[0].weight.numpy().copy()

print(f"before: {accuracy(alexnet, *val):.0f} % of new pictures right")
sgd = optim.SGD(alexnet.parameters(), lr=0.005, momentum=0.9, weight_decay=5e-4)
for epoch in range(2):
    (loss,) = fit(alexnet, sgd, *train, epochs=1)
    print(f"epoch {epoch + 1}: training loss {loss:.2f}, {accuracy(alexnet, *val):.0f} % of new pictures right")

# %% [markdown]
# ## What the first layer looks for
#
# Each of the 64 first filters is a picture of 11 x 11 pixels in three colours. Trained for 90 epochs on a million
# photographs, they become edges and blobs of colour. After two epochs they are still mostly the noise that they began
# as. The upper row has the eight filters that changed most, the lower row what training has added to them.

# %%
change = alexnet.features[0].weight.numpy() - filters_before
most = np.argsort(-np.abs(change).sum(axis=(1, 2, 3)))[:8]
show([*(filters_before + change)[most], *change[most]], [*[f"filter {i}" for i in most], *["change"] * 8], columns=8)

# %% [markdown]
# ## What it makes of a picture
#
# The picture goes through the first convolution and its ReLU; each filter gives a **feature map**, bright where it has
# found what it looks for.

# %%
one = train[0][train[1] == classes.index("rings")][:1]
with minicnn.no_grad():
    maps = nn.output_of(alexnet, "features.1", minicnn.Tensor(one)).numpy()[0]  # (64, 15, 15)
show([one[0], *maps[most]], ["the picture", *[f"filter {i}" for i in most]], columns=9)

# %% [markdown]
# **Exercise 2.** Show feature maps of the last convolution, `"features.11"`. Why is there so little to be recognised?

# %% tags=["solution"]
with minicnn.no_grad():
    deep = nn.output_of(alexnet, "features.11", minicnn.Tensor(one)).numpy()[0]
print("first maps", maps.shape, "last maps", deep.shape)  # 3 x 3: nearly each of them sees the whole picture
show(deep[np.argsort(-deep.max(axis=(1, 2)))[:9]], ["last layer"] * 9, columns=9)

# %% [markdown]
# # Section 2. ResNet
#
# The gradient of a chain of layers is a product, one factor a layer. If the factors are below 1, the product vanishes,
# and the first layers learn nothing. A **skip connection** computes x + f(x) instead of f(x); the slope becomes
# 1 + f'(x), and a product of such factors does not vanish.
#
# Here are 30 convolutions with a sigmoid behind each, without and with skips, and then what people really use, batch
# norm and ReLU, 56 layers deep. Drawn is the size of the gradient at each convolution, before any training.


# %%
class Deep(nn.Module):
    """A convolution, then `depth` layers of convolution and activation, each with a skip around it or not."""

    def __init__(self, depth, activation, skips):
        super().__init__()
        self.first, self.activation, self.skips = nn.Conv2d(3, 16, 3, padding=1), activation, skips
        self.layers = nn.Sequential(*[nn.Conv2d(16, 16, 3, padding=1) for _ in range(depth)])
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            y = self.activation(layer(x))
            x = x + y if self.skips else y
        return self.head(x.mean(dim=(2, 3)))


def gradient_sizes(model):
    """The root mean square of the gradient of each 3 x 3 convolution's weights, from the input on."""
    model.train()
    F.cross_entropy(model(minicnn.Tensor(train[0][::40, :, ::4, ::4])), minicnn.Tensor(train[1][::40])).backward()
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    return [float(np.sqrt((layer.weight.grad.numpy().astype(np.float64) ** 2).mean())) for layer in layers]


def draw_gradients(nets, title):
    _, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for (name, model), style in zip(nets.items(), ("o-", "s--", "^:", "D-."), strict=False):
        sizes = gradient_sizes(model)
        axes.semilogy(sizes, style, markersize=4, label=f"{name}: first / last {sizes[0] / sizes[-1]:.0e}")
    axes.set(xlabel="convolution, from the input on", ylabel="gradient (rms)", title=title)
    axes.legend()
    plt.show()


minicnn.manual_seed(0)
draw_gradients({f"{kind} skips": Deep(30, F.sigmoid, kind == "with") for kind in ("without", "with")}, "30 sigmoids")
draw_gradients(
    {"plain, 56 layers": models.cifar_resnet(56, residual=False), "ResNet-56": models.cifar_resnet(56)},
    "batch norm and ReLU",
)

# %% [markdown]
# Sigmoids behave as announced: without skips next to nothing arrives at the first layer, with skips a good part of it.
# **With batch norm it is otherwise**: in the plain net the gradients do not vanish, they *grow* towards the input, by a
# factor of thousands. (The ResNet paper itself says that vanishing gradients are unlikely to be its plain nets'
# trouble.) In the ResNet they grow, too, but far less.
#
# **Exercise 3.** Is the sigmoid to blame, or the depth? Draw the same with ReLU, once from weights as they come, once
# from He's, `nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")`.

# %% tags=["solution"]
nets = {"as they come": Deep(30, F.relu, skips=False), "He's": Deep(30, F.relu, skips=False)}
for layer in nets["He's"].modules():
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
draw_gradients(nets, "30 ReLUs, no skips")  # where ReLU halves the variance, He's weights double it again

# %% [markdown]
# ## Deeper by construction
#
# Plain networks of 56 layers end with a *larger training* error than those of 20. Yet a deeper net that is as good is
# easily made: copy the shallow one's layers, and let the new ones do nothing. A residual block does nothing if the last
# thing in it is 0: then it hands on x + 0.
#
# Train a ResNet-8 on five of the ten classes (the other five come in section 3). It has one block in each of three
# layers.

# %%
small_train, small_val, _ = prepared(32)
KNOWN, NEW = range(5), range(5, 10)


def of(chosen, data, per_class=None):
    """The pictures of these classes, the first `per_class` of each; labels from 0."""
    images, labels = data
    kept = np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in chosen])
    return images[kept], labels[kept] - chosen[0]


minicnn.manual_seed(0)
resnet = models.cifar_resnet(8, num_classes=5)
EPOCHS = 1 if QUICK else 8
sgd = optim.SGD(resnet.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
schedule = optim.lr_scheduler.CosineAnnealingLR(sgd, EPOCHS)
losses = fit(resnet, sgd, *of(KNOWN, small_train), epochs=EPOCHS, schedule=schedule)
print(f"loss {losses[0]:.2f} to {losses[-1]:.2f}")
print(f"{accuracy(resnet, *of(KNOWN, small_val)):.0f} % of new pictures right")

# %% [markdown]
# Now a ResNet-20, with three blocks in each layer. The first ones are copies, the scale of the last batch norm of all
# others is set to 0.


# %%
def deepened(shallow, **options):
    """A net of 20 layers whose first blocks are those of the net of 8 layers, and whose other blocks end in 0."""
    deep = models.cifar_resnet(20, num_classes=5, **options)
    deep.load_state_dict({**deep.state_dict(), **shallow.state_dict()})
    for layer in (deep.layer1, deep.layer2, deep.layer3):
        for block in list(layer)[1:]:
            nn.init.zeros_(block.bn2.weight)
    return deep


def scores(model):
    model.eval()
    with minicnn.no_grad():
        return model(minicnn.Tensor(small_val[0][:100])).numpy()


deeper = deepened(resnet)
print("largest difference of the scores:", float(np.abs(scores(deeper) - scores(resnet)).max()))

# %% [markdown]
# Exactly 0: twelve more layers, and the same function. What is left is to find out whether training makes use of them.
#
# **Exercise 4.** Go on training the deeper net for an epoch, from lr 0.02. Does its loss begin where the shallow one's
# ended? And what do the scores become if you deepen a *plain* net so?

# %% tags=["solution"]
sgd = optim.SGD(deeper.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
(loss,) = fit(deeper, sgd, *of(KNOWN, small_train), epochs=1)
print(f"loss {losses[-1]:.3f} before, {loss:.3f} in the epoch after")
plain = deepened(models.cifar_resnet(8, num_classes=5, residual=False), residual=False)
print("a plain net, deepened: scores of different pictures differ by", float(np.ptp(scores(plain), axis=0).max()))

# %% [markdown]
# # Section 3. Transfer learning
#
# The ResNet-8 has seen 750 pictures of five classes. Of the other five there shall be three pictures each. There are
# two ways to use what it has learnt:
#
# 1. **Freeze** the network and train a new linear head alone: fast and simple.
# 2. **Fine-tune**: train everything, earlier layers more slowly.
#
# Beside them stands the same network from scratch. Each gets 40 epochs.

# %%
knowledge = resnet.state_dict()
ROUNDS = 1 if QUICK else 40


def transferred(option, per_class):
    """Accuracy on new pictures of the new classes, in percent."""
    minicnn.manual_seed(1)
    model = models.cifar_resnet(8, num_classes=5)
    if option != "from scratch":
        model.load_state_dict(knowledge)
        pretrained.replace_head(model, num_classes=5)
    if option == "1: frozen":
        pretrained.freeze_backbone(model)
        groups, lr = [p for p in model.parameters() if p.requires_grad], 0.1
    elif option == "2: fine-tuned":
        groups, lr = pretrained.layer_groups(model, lr=0.02, factor=0.4), 0.02
    else:
        groups, lr = model.parameters(), 0.05
    sgd = optim.SGD(groups, lr=lr, momentum=0.9)
    schedule = optim.lr_scheduler.CosineAnnealingLR(sgd, ROUNDS)
    fit(model, sgd, *of(NEW, small_train, per_class), epochs=ROUNDS, batch_size=10, schedule=schedule)
    return accuracy(model, *of(NEW, small_val))


results = {option: transferred(option, per_class=3) for option in ("1: frozen", "2: fine-tuned", "from scratch")}
for option, right in results.items():
    print(f"{option}: {right:.1f} % right")
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.bar_label(axes.bar(results.keys(), results.values(), color=["#0072B2", "#E69F00", "#999999"]), fmt="%.1f")
axes.set(ylabel="new pictures right (%)", ylim=(0, 105), title="three pictures of each new class")
plt.show()

# %% [markdown]
# With 250 pictures to validate, differences of a few points are chance; try other seeds. And the new classes are of the
# same kind as the old ones, textures on textures. The further apart they are, the less there is to transfer.
#
# **Exercise 5.** What becomes of the advantage with ten pictures of each class?

# %% tags=["solution"]
for option in ("1: frozen", "from scratch"):
    print(f"{option}, ten pictures of each class: {transferred(option, per_class=10):.1f} % right")

# %% [markdown]
# ## Where to go from here
#
# - [The tour](../docs/tour/README.md) builds the engine behind `backward()` with you.
# - [Transfer learning](../docs/transfer.md) from ImageNet's weights, on photographs of yours.
# - [ResNets on CIFAR-10](../docs/resnet.md), and what shortcuts are for, in curves.

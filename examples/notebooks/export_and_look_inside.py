# %% [markdown]
# # Out, and a look inside
#
# A trained network is of use to others only if they can run it, and one should know what it looks at before they do.
# This page trains a small ResNet, looks inside (its graph, its filters, its feature maps, Grad-CAM), and then hands it
# on: as an ONNX file, as weights for PyTorch, and as arrays that other libraries share without a copy. It takes less
# than a minute on a laptop without a GPU. With another processor the numbers differ a little.

# %%
# Only in Colab: write down where this page's repository is cloned from, then run. Elsewhere nothing is installed.
REPOSITORY = ""  # @param {type: "string"}

import importlib.util
import subprocess
import sys

needed = ("minicnn", "matplotlib", "onnx", "onnxruntime", "safetensors")
missing = [name for name in needed if importlib.util.find_spec(name) is None]
if missing and "google.colab" in sys.modules and REPOSITORY:
    packages = [f"minicnn[onnx,safetensors] @ git+{REPOSITORY}", "onnxruntime"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *packages], check=True)
elif missing:
    clone = "pip install -e '.[onnx,safetensors]' onnxruntime in its clone"
    sys.exit(f"{missing[0]} is not installed: fill in REPOSITORY above (Colab), or run {clone}")

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import minicnn
from minicnn import Tensor, export, models, optim, pretrained
from minicnn import functional as F
from minicnn.data import CenterCrop, Compose, DataLoader, ImageFolder, ResizeShorter, draw_sample
from minicnn.report import feature_maps, grad_cam

plt.rcParams |= {"figure.dpi": 60}
folder = draw_sample(train_per_class=80, val_per_class=30)
centre = Compose([ResizeShorter(32), CenterCrop(32)])
train_set, val_set = ImageFolder(folder / "train"), ImageFolder(folder / "val")
classes = train_set.classes
batches = list(DataLoader(val_set, 100, transform=centre))
val, labels = (np.concatenate([batch[i].numpy() for batch in batches]) for i in (0, 1))  # float32 (300, 3, 32, 32)

EPOCHS = 6
minicnn.manual_seed(0)
model = models.cifar_resnet(8, num_classes=10)
loader = DataLoader(train_set, batch_size=20, shuffle=True, transform=centre, num_workers=2)
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(loader))
for _ in range(EPOCHS):
    for images, truth in loader:
        loss = F.cross_entropy(model(images), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def scores(model, images=val):
    """float32 (N, 10), of a network in evaluation mode."""
    with minicnn.no_grad():
        return model.eval()(Tensor(images)).numpy()


expected = scores(model)
print(f"{100 * (expected.argmax(1) == labels).mean():.0f} % of {len(val)} new pictures right")

# %% [markdown]
# # Inside
#
# ## The graph
#
# Every result knows how it was computed. Drawn from top to bottom, that is the network as it really runs, with the
# shape of what passes along each arrow; here its first block. (The picture needs Graphviz, which Colab has; without,
# this cell shows the text that Graphviz would draw.)

# %%
block = model.layer1[0]
block(Tensor(np.zeros((1, 16, 32, 32), np.float32))).graph(block)

# %% [markdown]
# ## Filters, and what they make of a picture
#
# The sixteen filters of the first convolution are pictures themselves, 3 x 3 pixels in three colours. Below them are
# **feature maps**: what the first, a middle and the last convolution make of one picture, of each the four maps in
# which most is going on. Up the network there are more of them, and each is smaller.


# %%
def show(images, titles, columns=8):
    """Pictures (3, H, W) or (H, W), each stretched to its own range; or arrays (H, W, 3) as they are."""
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(1.4 * columns, 1.6 * rows), layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles, strict=True):
        image = image.transpose(1, 2, 0) if image.ndim == 3 and image.shape[0] == 3 else image
        axis.imshow((image - image.min()) / max(np.ptp(image), 1e-9), cmap="gray")
        axis.set_title(title, fontsize="small")
    plt.show()


filters = model.conv1.weight.numpy()
show(list(filters), [f"filter {i}" for i in range(16)])

picture = val[labels == classes.index("rings")][:1]
maps = feature_maps(model, picture)  # [(name of a convolution, float32 (channels, h, w))]
chosen = [maps[0], maps[len(maps) // 2], maps[-1]]
parts = [(name, each) for name, channels in chosen for each in channels[np.argsort(-channels.std(axis=(1, 2)))[:4]]]
show([picture[0], *(each for _, each in parts)], ["the picture", *(name for name, _ in parts)], columns=13)

# %% [markdown]
# ## Where it looks
#
# **Grad-CAM** (Selvaraju et al. 2017) asks of the last feature maps: which of them speak for this class, and where? The
# gradient of the class's score weighs the maps, and what is left of their sum is bright where the network found what it
# was looking for. A class of this set is a pattern all over the picture, so it may look anywhere; on photographs the
# same lines show whether it looks at the dog or at the meadow. The upper row are right, the lower row are the mistakes
# of which it is surest.

# %%
sure = np.exp(expected - expected.max(1, keepdims=True))
sure = (sure / sure.sum(1, keepdims=True)).max(1)
guesses = expected.argmax(1)
is_right = guesses == labels
right, wrong = (np.flatnonzero(which)[np.argsort(-sure[which])][:6] for which in (is_right, ~is_right))
chosen = np.concatenate([right, wrong])
layer, heat = grad_cam(model, val[chosen], guesses[chosen])  # heat: (N, h, w) from 0 to 1
heat = F.interpolate(Tensor(heat[:, None]), size=(32, 32), mode="bilinear").numpy()[:, 0]
overlaid = [
    0.5 * image.transpose(1, 2, 0) + 0.5 * plt.cm.inferno(warm)[..., :3]
    for image, warm in zip(val[chosen], heat, strict=True)
]
titles = [f"{classes[labels[i]]}{'' if is_right[i] else f': {classes[guesses[i]]}?'}" for i in chosen]
print(f"heat of {layer}")
show(overlaid, titles, columns=6)

# %% [markdown]
# # Out
#
# ## An ONNX file
#
# One line writes the network down as a graph that phones, browsers and servers run; the number of pictures stays free.
# onnxruntime must say what minicnn says. The file of the **fused** network, whose batch norms are folded into the
# convolutions before them, has fewer nodes and says the same.

# %%
import onnx
import onnxruntime

for name, network in (("model", model), ("fused", minicnn.fuse(model))):
    export.onnx(network, f"{name}.onnx", (3, 32, 32))
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": val})
    nodes, size = len(onnx.load(f"{name}.onnx").graph.node), os.path.getsize(f"{name}.onnx")
    agreed, apart = int((found.argmax(1) == guesses).sum()), np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{name}: {nodes} nodes, {size:,} bytes; the same class for {agreed} of {len(val)}", end=", ")
    print("scores within 1e-5" if apart < 1e-5 else f"scores {apart:.0e} apart")

# %% [markdown]
# ## Weights
#
# `.safetensors` is the file to hand on: it holds arrays and no code, and PyTorch, JAX and others read it. Its keys are
# those that PyTorch's users expect. Read back into a fresh network, the weights give the same scores, to the last bit.

# %%
export.safetensors(model, "model.safetensors")
again = pretrained.load_file(models.cifar_resnet(8, num_classes=10), "model.safetensors")
print("the same scores:", bool((scores(again) == expected).all()))
print("keys:", ", ".join(list(model.state_dict())[:3]), "...")

# %% [markdown]
# ## Arrays, without a copy
#
# **DLPack** is how libraries lend each other arrays: the same memory, under another name. So pictures can be prepared
# in PyTorch, recognised here, and the scores go on in JAX. (Of the two, this cell tries those that are installed.)

# %%
given = np.from_dlpack(Tensor(val))
print("NumPy: the same memory", given.ctypes.data == val.ctypes.data)
if importlib.util.find_spec("torch"):
    import torch

    prepared = torch.from_numpy(val).clone(memory_format=torch.channels_last)  # as a program of PyTorch's may have it
    borrowed = minicnn.from_dlpack(prepared)
    same_memory, same_strides = borrowed.data.ctypes.data == prepared.data_ptr(), borrowed.data.strides[1] == 4
    print("PyTorch: the same memory", same_memory, "and channels-last", same_strides)
    print("scores of it agree:", np.allclose(scores(model, borrowed.data), expected, atol=1e-4))
    theirs = export.torch_state_dict(model)  # for load_state_dict, torch.save ...
    print("a state dict of PyTorch's tensors:", type(theirs["fc.weight"]).__module__ == "torch")
if importlib.util.find_spec("jax"):
    import jax

    lent = jax.numpy.from_dlpack(Tensor(expected))
    print("JAX:", int((lent.argmax(1) == guesses).sum()), "of", len(val), "classes are the same")

# %% [markdown]
# ## To try
#
# 1. Open `model.onnx` in [Netron](https://netron.app), and find the shortcut of a block. Where is its batch norm in
#    `fused.onnx`?
# 2. Ask Grad-CAM for another class than the one the network says: where does it see stripes in a picture of rings?
# 3. Write a network with `if x.mean() > 0:` in its `forward`, and export it. Why is it refused?
# 4. Overwrite a number of `prepared` in PyTorch. What does `borrowed` hold then? And what would `backward()` say?
#
# More: [out and in](../../docs/export.md), [gradients, graphs and hooks](../../docs/gradients.md). The other notebooks:
# [a run and its report](train_and_report.ipynb), [your own pictures](own_pictures.ipynb).

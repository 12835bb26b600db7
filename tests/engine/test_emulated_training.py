"""Whole training steps on device "cuda": every op together, and the processor's numbers."""

import sys

import numpy as np
import pytest
from checks import PYTHON_GPU, Place, check_close, needs_compiler

import minicnn.functional as F
from minicnn import Tensor, manual_seed, nn
from minicnn.device import to_device
from minicnn.emulated import EmulatedArray
from minicnn.models.resnet import cifar_resnet
from minicnn.optim import SGD

pytestmark = [needs_compiler, pytest.mark.gpu]


def small_alexnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.LocalResponseNorm(5, alpha=1.0, k=2.0),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 12, kernel_size=3, padding=1, groups=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(48, 20),
        nn.ReLU(inplace=True),
        nn.Linear(20, 10),
    )


@pytest.mark.parametrize(
    "make, size", [(small_alexnet, (22, 24)), (lambda: cifar_resnet(8), (8, 8))], ids=["alexnet", "resnet"]
)
def test_two_steps_are_the_processors(make, size):
    on_processor, on_gpu = (two_steps(place, make, size) for place in (Place("cpu", "plain"), Place("cuda", "fast")))
    for name, array in on_processor.items():
        check_close(on_gpu[name], array, 1e-5)


class LittleResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, kernel_size=3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(F.residual_add(self.bn2(self.conv2(x)), x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).reshape(-1, 4))


def little_alexnet():
    return nn.Sequential(
        nn.Conv2d(3, 4, kernel_size=5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.LocalResponseNorm(3, alpha=1.0, k=2.0),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(4, 6, kernel_size=3, padding=1, groups=2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(12, 10),
    )


@pytest.mark.gpu("plain")
@pytest.mark.parametrize("make, size", [(little_alexnet, (6, 9)), (LittleResNet, (3, 5))], ids=["alexnet", "resnet"])
def test_two_steps_of_numbas_kernels_are_the_processors(make, size):
    """Smaller than the others: here Python runs every thread."""
    on_processor, on_gpu = (two_steps(place, make, size) for place in (Place("cpu", "plain"), PYTHON_GPU))
    for name, array in on_processor.items():
        check_close(on_gpu[name], array, 1e-5)


def two_steps(place, make, size):
    """The loss, and every parameter and buffer after two steps."""
    with place.active():
        manual_seed(0)
        model = make().to(place.device)
        rng = np.random.default_rng(0)
        images, labels = rng.standard_normal((4, 3, *size)).astype(np.float32), np.array([3, 1, 4, 1])
        optimiser = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=True)
        for _ in range(2):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(place.tensor(images)), labels, label_smoothing=0.1)
            loss.backward()
            optimiser.step()
        assert loss.device == place.device and all(p.grad.device == place.device for p in model.parameters())
        return {"loss": loss.numpy(), **{key: np.asarray(value) for key, value in model.state_dict().items()}}


@pytest.mark.emulator
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(small_alexnet, id="alexnet"),
        pytest.param(lambda: cifar_resnet(8), id="resnet", marks=pytest.mark.slow),
    ],
)
def test_a_step_does_not_wait_for_the_gpu(monkeypatch, make):
    """Nothing is copied to the host, and no value is looked at, before the loss is asked for."""

    def waited(*_):
        raise AssertionError("the host waits for a value")

    with Place("cuda", "fast").active():
        model = make().to("cuda")
        images = to_device(np.zeros((4, 3, 22, 24), np.float32), "cuda")
        labels = to_device(np.array([3, 1, 4, 1]), "cuda")
        optimiser = SGD(model.parameters(), lr=0.05, momentum=0.9)
        with monkeypatch.context() as watched:
            for name in ("__bool__", "__float__", "__int__", "__index__", "item", "tolist"):
                watched.setattr(EmulatedArray, name, waited, raising=False)
            watched.setattr(sys.modules[to_device.__module__], "copy_to_host", waited)
            for _ in range(2):
                optimiser.zero_grad()
                loss = F.cross_entropy(model(Tensor(images)), labels)
                loss.backward()
                optimiser.step()
            with pytest.raises(AssertionError):
                loss.item()
        assert np.isfinite(loss.item())


def test_training_goes_on_from_what_was_saved():
    """Weights and velocities are read from NumPy arrays, as a checkpoint has them, and live on the device again."""
    ends = []
    for saved_between in (False, True):
        with Place("cuda", "fast").active():
            manual_seed(0)
            model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).to("cuda")
            optimiser = SGD(model.parameters(), lr=0.1, momentum=0.9)
            for step in range(2):
                if step == 1 and saved_between:
                    weights = {key: np.asarray(value) for key, value in model.state_dict().items()}
                    state = optimiser.state_dict()
                    state["velocities"] = [to_device(v, "cpu") for v in state["velocities"]]
                    manual_seed(1)
                    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).to("cuda")
                    model.load_state_dict(weights)
                    optimiser = SGD(model.parameters(), lr=0.1, momentum=0.9)
                    optimiser.load_state_dict(state)
                optimiser.zero_grad()
                x = Tensor(np.random.default_rng(step).standard_normal((4, 5)).astype(np.float32)).to("cuda")
                F.cross_entropy(model(x), np.array([0, 1, 2, 0])).backward()
                optimiser.step()
            ends.append({key: np.asarray(value).tobytes() for key, value in model.state_dict().items()})
    assert ends[0] == ends[1]

"""Networks as ONNX files: onnxruntime gives what minicnn gives, for one picture and for three; and what is refused."""

import functools
import importlib
import inspect
import pkgutil
import sys

import numpy as np
import pytest
from checks import raises
from networks import with_statistics

import minicnn
import minicnn.functional as F
from minicnn import Tensor, export, models, nn, no_grad
from minicnn.export import onnx_file
from minicnn.export.onnx_file import NODES
from minicnn.export.trace import ExportError, trace
from minicnn.models import names
from minicnn.models.resnet import BasicBlock

onnx = pytest.importorskip("onnx", reason="onnx, which writes the files, is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle of these tests, is not installed")
TOLERANCE = 1e-5  # of the largest result


class Net(nn.Module):
    """A network of one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def onnxruntimes(path, *arrays):
    """What onnxruntime makes of the inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([each.name for each in session.get_inputs()], arrays, strict=True)))


def check(folder, model, *shapes):
    """The file of the model gives what the model gives, whatever the number of pictures; returns the file's graph."""
    path = folder / "model.onnx"
    export.onnx(model, path, shapes[0] if len(shapes) == 1 else list(shapes))
    for count in (1, 3):
        rng = np.random.default_rng(count)
        arrays = [rng.standard_normal((count, *shape), np.float32) for shape in shapes]
        with no_grad():
            results = model.eval()(*map(Tensor, arrays))
        expected = [y.numpy() for y in (results if isinstance(results, tuple) else (results,))]
        found = onnxruntimes(path, *arrays)
        assert [y.shape for y in found] == [y.shape for y in expected]
        for y, y_hat in zip(found, expected, strict=True):
            assert np.abs(y_hat).max() > 0
            assert np.abs(y - y_hat).max() <= TOLERANCE * np.abs(y_hat).max()
    return onnx.load(path).graph


def ops_of(graph):
    return [node.op_type for node in graph.node]


# The networks of minicnn.models


def segmented(backbone, **options):
    model = models.fcn(backbone, 3, **options)
    for score in model.scores:
        nn.init.normal_(score.weight)  # they begin as zeros
    return model


SMALL = {
    "resnet8 A": (models.cifar_resnet, (8,), (3, 16, 16)),
    "resnet8 A around": (functools.partial(models.cifar_resnet, 8, zero_padding="around"), (), (3, 16, 16)),
    "resnet8 B": (models.cifar_resnet, (8, "B"), (3, 16, 16)),
    "alexnet": (functools.partial(models.alexnet, 5, width=16), (), (3, 95, 101)),
    "alexnet_2012": (functools.partial(models.alexnet_2012, 5, width=16), (), (3, 95, 95)),
    "mobilenet_v2": (models.mobilenet_v2, (5,), (3, 32, 40)),
    "shufflenet_v2_x1_0": (models.shufflenet_v2_x1_0, (5,), (3, 32, 40)),
    "fcn": (lambda: segmented(models.cifar_resnet(8), stride=1), (), (3, 19, 24)),
    "fused": (lambda: minicnn.fuse(with_statistics(models.cifar_resnet(8))), (), (3, 16, 16)),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_network(name, tmp_path):
    make, arguments, shape = SMALL[name]
    minicnn.manual_seed(0)
    model = make(*arguments)
    check(tmp_path, model if name == "fused" else with_statistics(model), shape)


NARROW = {"width": 256}  # the hidden layers of AlexNet and VGG: nine of ten parameters, and nothing new
ZOO = {
    **{
        name: (functools.partial(make, 1000, **(NARROW if name.startswith(("alexnet", "vgg")) else {})), (3, 224, 224))
        for name, make in names.IMAGENET.items()
    },
    **{name: (functools.partial(make, 1000), (3, 64, 64)) for name, make in names.PLAIN.items()},
    **{f"cifar_{name}": (make, (3, 32, 32)) for name, make in names.CIFAR.items()},
    "fcn": (lambda: segmented(models.resnet18(), stride=8), (3, 97, 130)),
    "ssd": (lambda: models.ssd(models.vgg16(width=64), 20), (3, 300, 300)),
    "ssd_of_resnet18": (lambda: models.ssd(models.resnet18(), 20, ["layer3", "layer4"]), (3, 128, 128)),
    "fully_convolutional": (lambda: models.fully_convolutional(models.resnet18()), (3, 128, 160)),
}
SIZES = {"alexnet_2012": (3, 227, 227), "inception_v3": (3, 299, 299)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_network_of_the_zoo(name, tmp_path):
    make, shape = ZOO[name]
    minicnn.manual_seed(0)
    model = with_statistics(make())
    for block in model.modules():
        if isinstance(block, BasicBlock):  # 600 of them, each of which doubles its input, would be too much
            block.bn2.weight.detach()[...] *= 0.1
    check(tmp_path, model, SIZES.get(name, shape))


# Ops


def drawn(*shape):
    return Tensor(np.random.default_rng(7).standard_normal(shape, np.float32))


W, B = drawn(6, 2, 3, 2), drawn(6)
ONES, TWO_ROWS = Tensor(np.ones((1, 4, 1, 1), np.float32)), np.array([2, 0, 2])
MASK = np.random.default_rng(7).random((9, 8)) > 0.5
OPS = {  # of pictures (N, 4, 9, 8)
    "conv2d": lambda x: F.conv2d(x, W, B, stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
    "conv2d same": lambda x: F.conv2d(x, W, padding="same", groups=2),
    "conv2d_relu": lambda x: F.conv2d_relu(x, W, B, groups=2, residual=F.conv2d(x, W, groups=2)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, W[:4], B[:4], (3, 2), (2, 0), (1, 0), 2, (1, 2)),
    "linear of rows": lambda x: F.linear(x, drawn(5, 8), B[:5]),
    "matmul": lambda x: x @ drawn(8, 3),
    "batch_norm": lambda x: F.batch_norm(x, drawn(4), drawn(4).exp()),
    "batch_norm_relu": lambda x: F.batch_norm_relu(x, B[:4], B[:4].exp(), B[:4], B[2:], residual=x * 2),
    "lrn": lambda x: F.local_response_norm(x * 9, 3, alpha=0.9, beta=0.6, k=1.5),
    "lrn of groups": lambda x: F.local_response_norm(x * 9, 3, alpha=0.9, groups=2),
    "lrn of rows": lambda x: F.local_response_norm(x.flatten(2) * 9, 5, alpha=0.9),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_pool2d ceil": lambda x: F.max_pool2d(x, (3, 2), (4, 3), 0, (1, 2), ceil_mode=True),
    "max_pool2d far over the edge": lambda x: F.max_pool2d(x, 2, 5, 0, (5, 4), ceil_mode=True),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg_pool2d of pixels": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_pool2d ceil": lambda x: F.avg_pool2d(x, (3, 2), (4, 3), (1, 0), ceil_mode=True),
    "avg_pool2d ceil of pixels": lambda x: F.avg_pool2d(x, 3, (4, 3), 1, ceil_mode=True, count_include_pad=False),
    "avg_pool2d divided": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (5, 11)),
    "adaptive_avg_pool2d even": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive_avg_pool2d of all": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_avg_pool2d of none": lambda x: F.adaptive_avg_pool2d(x, (9, 8)),
    "interpolate nearest": lambda x: F.interpolate(x, (4, 13)),
    "interpolate bilinear": lambda x: F.interpolate(x, scale_factor=(1.7, 0.6), mode="bilinear"),
    "interpolate corners": lambda x: F.interpolate(x, (12, 5), mode="bilinear", align_corners=True),
    "norm": lambda x: x.norm(dim=1, keepdim=True),
    "relu in place": lambda x: F.relu(x + 0, inplace=True) + x,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "relu6, sigmoid, tanh": lambda x: F.relu6(x * 5) + F.sigmoid(x) * F.tanh(x),
    "arithmetic": lambda x: (1 - x) / (2 + abs(x)) - (-x) * 3 + F.residual_add(x, x * x),
    "exp, log, powers": lambda x: (abs(x) + 1).log() + x.exp() + 2**x + x**3 + (abs(x) + 1) ** 0.5,
    "clamp, rounding": lambda x: x.clamp(min=-0.3) + x.clamp(-1, 0.5) + (x * 3).floor() + (x * 2).round() + x.sign(),
    "where, maximum, minimum": lambda x: (
        minicnn.where(MASK, x, 0.5) + minicnn.maximum(x, 0.1) - minicnn.minimum(x, x * x)
    ),
    "reductions": lambda x: x.sum((1, 3)) + x.mean(dim=(1, -1)) + x.sum(1, keepdim=True).mean(3).reshape(-1, 9),
    "statistics": lambda x: x.std(dim=1) + x.var(dim=1),
    "extremes": lambda x: x + x.max() - x.min() * x.max(1, keepdim=True).values - x.flatten(2).min(-1).values.sum(),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, -1),
    "cumsum": lambda x: x.cumsum(2),
    "pad": lambda x: F.pad(x, (1, -2, 0, 3), value=0.5),
    "reshape": lambda x: x.reshape(-1, 2, 9, 8).sum(1).reshape(len(x), 2, 9, 8).flatten(1).unsqueeze(1).squeeze(1),
    "reshape to rows": lambda x: x.permute(0, 2, 3, 1).reshape(-1, 4),
    "permute, expand": lambda x: (
        x.permute(3, 1, 0, 2).transpose(0, 2) + x[:, :1, :1].expand(-1, 4, 9, -1).permute(0, 1, 3, 2)
    ),
    "slices": lambda x: x[:, 1:3, ::2, -2:] - x[..., ::-2][:, None, 2, ::-2, :2][:, :, :5],
    "places": lambda x: x[:, TWO_ROWS],
    "cat": lambda x: minicnn.cat([x, ONES.expand(len(x), 4, 9, 8), minicnn.zeros(len(x), 1, 9, 8), x[:, :2]], 1),
    "clone, double": lambda x: x.clone() + x.double().float(),
    "in place": lambda x: doubled_in_place(x + 1),
    "a constant that is returned": lambda x: (x.flatten(1), x),
}


def doubled_in_place(x):
    y = x * 3
    x += y  # x stands for another op's result from here on, y for what it was
    return x * y


@pytest.mark.parametrize("name", OPS)
def test_an_op(name, tmp_path):
    check(tmp_path, Net(OPS[name]), (4, 9, 8))


def test_every_op_with_nodes_is_tried():
    """But for two that in evaluation, on one device, are another or none."""
    seen = set()
    for function in OPS.values():
        seen |= {step.op for step in trace(Net(function), (4, 9, 8), NODES.keys()).steps}
    rest = {op.__name__ for op in NODES.keys() - seen}
    assert rest == {"SyncBatchNorm", "ToDevice"}


def test_no_op_is_forgotten():
    """One of minicnn's has nodes, or is known to have none; Conv2dBesideNorm is training's Conv2d."""
    pages = [importlib.import_module(f"minicnn.ops.{page.name}") for page in pkgutil.iter_modules(minicnn.ops.__path__)]
    classes = {value for page in pages for value in vars(page).values() if inspect.isclass(value)}
    without = {
        each.__name__ for each in classes - NODES.keys() - {minicnn.Function} if issubclass(each, minicnn.Function)
    }
    assert {name for name in without if not name.endswith(("Loss", "Entropy"))} == {
        "AllGather", "AllReduce", "Conv2dBesideNorm", "Dropout", "FloorDivide", "ReduceScatter", "Remainder",
    }  # fmt: skip


def test_several_inputs_and_results_by_name(tmp_path):
    graph = check(tmp_path, Net(lambda x, y: (x + y, x * y.mean())), (2, 3), (1, 3))
    assert [each.name for each in graph.input] == ["input0", "input1"]
    assert [each.name for each in graph.output] == ["output0", "output1"]


# The file


def test_what_stands_in_the_file(tmp_path):
    model = with_statistics(models.cifar_resnet(8))
    graph = check(tmp_path, model, (3, 16, 16))
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    assert model.state_dict().keys() <= stored.keys()
    assert all((stored[key] == value.numpy()).all() for key, value in model.state_dict().items())
    (given,), (result,) = graph.input, graph.output
    assert (given.name, result.name) == ("input", "output")
    shapes = [[d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim] for each in (given, result)]
    assert shapes == [["batch", 3, 16, 16], ["batch", 10]]
    (opset,) = onnx.load(tmp_path / "model.onnx").opset_import
    assert opset.version == 21


def test_a_fused_network_has_fewer_nodes(tmp_path):
    model = with_statistics(models.cifar_resnet(8, "B"))
    before, after = (ops_of(check(tmp_path, each, (3, 16, 16))) for each in (model, minicnn.fuse(model)))
    assert before.count("BatchNormalization") == before.count("Conv") == 9
    assert "BatchNormalization" not in after and len(after) == len(before) - 9


def test_the_network_is_as_it_was(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(64, 2)).train()
    model[1].eval()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    export.onnx(model, tmp_path / "model.onnx", (3, 6, 6))
    assert [layer.training for layer in model] == [True, False, True, True, True]
    assert all((before[key] == value.numpy()).all() for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert "Dropout" not in ops_of(onnx.load(tmp_path / "model.onnx").graph)


def test_float64(tmp_path):
    export.onnx(models.cifar_resnet(8).double(), tmp_path / "model.onnx", (3, 16, 16))
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE


# What cannot be written


def overwrites(x):
    y = x * 2
    with no_grad():
        y += 1
    return y


class Own(minicnn.Function):
    def forward(self, x):
        return x * 2

    def backward(self, grad_out):
        return grad_out * 2


REFUSED = {
    "dropout": (lambda x: F.dropout(x, 0.5, training=True), ("Dropout", "random numbers")),
    "even lrn": (lambda x: F.local_response_norm(x, 4), ("size 4", "3 or 5")),
    "batch statistics": (lambda x: F.batch_norm(x, None, None, training=True), ("batch's statistics",)),
    "loss": (lambda x: F.mse_loss(x, x * 2), ("MSELoss", "no counterpart")),
    "order": (lambda x: x.sort(1).values, ("sort", "x.max(dim)")),
    "places of maxima": (lambda x: x.max(1).indices, ("argmax",)),
    "truncation": (lambda x: x.trunc(), ("trunc", "sign")),
    "own op": (Own.apply, ("Own", "minicnn's own ops")),
    "mask": (lambda x: x[:, np.array([True, False, True, False])], ("mask",)),
    "integers": (lambda x: minicnn.cat([x.argmax(1), x.argmax(1)]), ("Net", "argmax")),
    "read out": (lambda x: x / x.max().item(), ("item",)),
    "decided by pixels": (lambda x: x * 2 if x.mean() > 0 else x + 1, ("Mul", "Add")),
    "cut out": (lambda x: x + x.detach() * 2, ("detach",)),
    "written into": (overwrites, ("no_grad",)),
    "as many as pictures": (lambda x: x * minicnn.arange(len(x) * 4).float().reshape(len(x), 4, 1, 1), ("constant",)),
    "no tensor": (lambda x: 3, ("no Tensor",)),
    "two axes of pictures": (lambda x: (x.flatten(1) @ x.flatten(1).T).reshape(len(x), -1, 1), ("Reshape", "two axes")),
    "integers of the batch": (lambda x: x[: len(x)], ("index", "GetItem")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_one_line(name, tmp_path):
    function, parts = REFUSED[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what stood there")
    with raises(ExportError, "onnx: ", *parts):
        export.onnx(Net(function), path, (4, 9, 8))
    assert path.read_bytes() == b"what stood there" and [*tmp_path.iterdir()] == [path]


def test_wrong_arguments(tmp_path, monkeypatch):
    model, path = models.cifar_resnet(8), tmp_path / "model.onnx"
    with raises(ValueError, "onnx: ResNet cannot be run", "(4, 16, 16)", "input_shape=(C, H, W)"):
        export.onnx(model, path, (4, 16, 16))
    for shape in (16, "3", (), None):
        with raises(TypeError, "onnx: input_shape is (C, H, W)"):
            export.onnx(model, path, shape)
    with raises(ValueError, "a size of input_shape", "at least 1"):
        export.onnx(model, path, (3, 0, 16))
    with raises(TypeError, "onnx: takes a Module, not a function"):
        export.onnx(check, path, (3, 16, 16))
    with pytest.raises(OSError):
        export.onnx(model, tmp_path / "nowhere" / "model.onnx", (3, 16, 16))
    with monkeypatch.context() as small, raises(ExportError, "bytes of weights", "at most 1,000"):
        small.setattr(onnx_file, "MOST_BYTES", 1000)
        export.onnx(model, path, (3, 16, 16))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with raises(ImportError, "pip install 'minicnn[onnx]'"):
        export.onnx(model, path, (3, 16, 16))
    assert not any(tmp_path.iterdir())

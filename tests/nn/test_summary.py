"""The table of a network's layers."""

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor, models, nn, summary, tier
from minicnn.nn.watch import is_looked_at


@pytest.fixture
def model():
    return nn.Sequential(
        nn.Conv2d(3, 8, (3, 5), stride=2, padding=1, groups=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(8),
        nn.Flatten(),
        nn.Linear(8 * 4 * 3, 10),
    )


def test_rows(model, capsys):
    with tier("plain"):  # the fast tier's Flatten is a copy, out of channels-last memory
        table = summary(model, (3, 15, 16))
    assert [row.layer for row in table.rows][:2] == ["0 Conv2d", "1 ReLU"]
    assert [row.output for row in table.rows] == [(8, 8, 7), (8, 8, 7), (8, 4, 3), (8, 4, 3), (96,), (10,)]
    assert [row.parameters for row in table.rows] == [8 * 3 * 15 + 8, 0, 0, 16, 0, 970]
    assert [row.multiply_adds for row in table.rows] == [8 * 8 * 7 * 45, 0, 0, 0, 0, 960]
    assert [row.activation_bytes for row in table.rows] == [4 * 448, 0, 4 * 96, 4 * 96, 0, 40]
    assert [row.neurons for row in table.rows] == [448, 0, 0, 0, 0, 10]
    assert table.rows[0].window == "3x5 / 2, pad 1" and table.rows[2].window == "2x2 / 2, pad 0"


def test_totals_and_text(model, capsys):
    table = summary(model, (3, 15, 16))
    assert table.parameters == sum(p.size for p in model.parameters()) == 368 + 16 + 970
    assert table.multiply_adds == 20160 + 960 and table.neurons == 458
    printed = capsys.readouterr().out
    assert printed == str(table) + "\n"
    lines = printed.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "8 x 8 x 7" in lines[2] and "20,160" in lines[2] and lines[-1].startswith("total  ") and "1,354" in lines[-1]
    assert lines[-1].index("458 neurons") == lines[0].index("filter") and len(lines[0]) == 90  # no wider for it
    assert table._repr_mimebundle_()["text/html"].count(">458 neurons</th>") == 1


def test_the_model_is_left_as_it_was(model, capsys):
    model.train()
    model[3].eval()
    before = [m.training for m in model.modules()]
    statistics = model[3].running_mean.numpy().copy()
    summary(model, (3, 15, 16))
    assert [m.training for m in model.modules()] == before
    check_close(model[3].running_mean.numpy(), statistics, 0)
    assert not any(is_looked_at(m) for m in model.modules())
    assert model(Tensor(np.ones((2, 3, 15, 16), np.float32))).shape == (2, 10)


def test_the_model_is_left_as_it_was_after_an_error(model, capsys):
    with pytest.raises(ValueError, match="linear"):
        summary(model, (3, 30, 30))
    assert not any(is_looked_at(m) for m in model.modules()) and all(m.training for m in model.modules())


def test_a_layer_that_is_used_twice(capsys):
    relu = nn.ReLU()
    assert len(summary(nn.Sequential(relu, relu), (3, 4, 4)).rows) == 2


def total(model, shape):
    """What the table says, which is what there is."""
    table = summary(model, shape)
    assert table.parameters == sum(p.size for p in model.parameters())
    return table


def test_a_shared_layers_parameters_are_counted_once(capsys):
    conv = nn.Conv2d(3, 3, 3, padding=1)
    other = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    other.weight = conv.weight
    table = total(nn.Sequential(conv, other, conv), (3, 4, 4))
    assert [row.parameters for row in table.rows] == [84, 0, 0]
    assert table.multiply_adds == 3 * 3 * 4 * 4 * 27


def test_parameters_beside_layers_and_of_layers_that_do_not_run(capsys):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.unused = nn.Linear(4, 4), nn.Linear(4, 7)
            self.scale = nn.Parameter(np.ones(5, np.float32))

        def forward(self, x):
            return self.fc(x.flatten(1)) * self.scale.sum()

    table = total(nn.Sequential(Scaled(), nn.ReLU()), (1, 2, 2))
    assert [(row.layer, row.output, row.parameters) for row in table.rows] == [
        ("0.fc Linear", (4,), 20),
        ("1 ReLU", (4,), 0),
        ("0 Scaled", (), 5),
        ("0.unused Linear", (), 35),
    ]
    assert table.multiply_adds == 16


class Mix(nn.Module):
    def forward(self, a, *, b):
        return {"product": a * b, "pair": [a, (None, a.sum())]}


class WithMix(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.mix, self.nothing = nn.Linear(4, 4), Mix(), nn.Identity()

    def forward(self, x, y=None):
        x = x.flatten(1)
        return self.mix(self.fc(x), b=x if y is None else y.flatten(1)), self.nothing(None)


def test_layers_with_several_inputs_and_outputs(capsys):
    table = total(WithMix(), (1, 2, 2))
    mix, nothing = table.rows[1:]
    assert mix.output == ((4,), (4,), ()) and mix.activation_bytes == 4 * (4 + 1)
    assert nothing.output == () and nothing.activation_bytes == 0
    assert "4, 4, " in str(table)


def test_a_model_with_several_inputs(capsys):
    assert len(total(WithMix(), [(1, 2, 2), (4,)]).rows) == 3


def test_a_window_of_ones_own(capsys):
    class Windowed(nn.ReLU):
        kernel_size = 3  # and neither stride nor padding

    assert summary(nn.Sequential(Windowed()), (1, 2, 2)).rows[0].window == ""


def test_the_neurons_of_2012(capsys):
    """Of the paper's "650,000": the outputs of five convolutions and of three fully connected layers."""
    table = summary(models.alexnet_2012(width=8), (3, 227, 227))
    small = sum(channels * side**2 for channels, side in ((96, 55), (256, 27), (384, 13), (384, 13), (256, 13)))
    assert table.neurons == small + 8 + 8 + 1000 and small + 4096 + 4096 + 1000 == 659_272


def test_the_neurons_of_a_transposed_convolution(capsys):
    assert summary(nn.Sequential(nn.ConvTranspose2d(3, 2, 2, stride=2)), (3, 4, 5)).neurons == 2 * 8 * 10


def test_alexnet(capsys):
    table = summary(models.alexnet(width=8), (3, 224, 224))
    assert table.rows[0].output == (64, 55, 55) and table.rows[0].multiply_adds == 64 * 55 * 55 * 363


@pytest.mark.parametrize(
    "model, shape, parts",
    [
        (abs, (3, 8, 8), ["Module", "builtin"]),
        (nn.ReLU(), 8, ["input_shape", "8"]),
        (nn.ReLU(), "388", ["input_shape", "'388'"]),
        (nn.ReLU(), (), ["input_shape", "()"]),
        (nn.ReLU(), (3, 8.5), ["input_shape", "8.5"]),
        (nn.ReLU(), [(3, 8), (3, None)], ["input_shape", "None"]),
    ],
)
def test_what_cannot_be_summed_up(model, shape, parts):
    with raises(TypeError, "summary", *parts):
        summary(model, shape)


def test_networks_of_another_library(torch):
    with raises(TypeError, "summary", "Module", "torch.ReLU"):
        summary(torch.nn.ReLU(), (3, 8, 8))

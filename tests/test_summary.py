"""The table of a network's layers."""

import numpy as np
import pytest
from checks import check_close

from minicnn import Tensor, models, nn, summary, tier


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
    assert table.rows[0].window == "3x5 / 2, pad 1" and table.rows[2].window == "2x2 / 2, pad 0"


def test_totals_and_text(model, capsys):
    table = summary(model, (3, 15, 16))
    assert table.parameters == sum(p.size for p in model.parameters()) == 368 + 16 + 970
    assert table.multiply_adds == 20160 + 960
    printed = capsys.readouterr().out
    assert printed == str(table) + "\n"
    lines = printed.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "8 x 8 x 7" in lines[2] and "20,160" in lines[2] and lines[-1].startswith("total") and "1,354" in lines[-1]


def test_the_model_is_left_as_it_was(model, capsys):
    model.train()
    model[3].eval()
    before = [m.training for m in model.modules()]
    statistics = model[3].running_mean.numpy().copy()
    summary(model, (3, 15, 16))
    assert [m.training for m in model.modules()] == before
    check_close(model[3].running_mean.numpy(), statistics, 0)
    assert all("forward" not in vars(m) for m in model.modules())
    assert model(Tensor(np.ones((2, 3, 15, 16), np.float32))).shape == (2, 10)


def test_the_model_is_left_as_it_was_after_an_error(model, capsys):
    with pytest.raises(ValueError, match="linear"):
        summary(model, (3, 30, 30))
    assert all("forward" not in vars(m) and m.training for m in model.modules())


def test_a_layer_that_is_used_twice(capsys):
    relu = nn.ReLU()
    assert len(summary(nn.Sequential(relu, relu), (3, 4, 4)).rows) == 2


def test_alexnet(capsys):
    table = summary(models.alexnet(width=8), (3, 224, 224))
    assert table.rows[0].output == (64, 55, 55) and table.rows[0].multiply_adds == 64 * 55 * 55 * 363

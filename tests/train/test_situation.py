"""What a captured step depends on: each change of it is seen, and what a replay does by itself is none."""

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, nn, random
from minicnn.optim import SGD
from minicnn.train.situation import is_same, numbers_on_the_host, situation


def a_run():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(2, 2))
    optimizer = SGD(model[4].parameters(), 0.1, momentum=0.9)
    model.train()(Tensor(np.ones((2, 1, 1, 1), np.float32))).sum().backward()
    optimizer.step()
    return model, optimizer


def array(size):
    return Tensor(np.ones(size, np.float32))


CHANGES = {
    "frozen": lambda model, optimizer: model[4].weight.requires_grad_(False),
    "evaluation": lambda model, optimizer: model[1].eval(),
    "dropout": lambda model, optimizer: setattr(model[3], "p", 0.1),
    "momentum of batch norm": lambda model, optimizer: setattr(model[1], "momentum", 0.5),
    "another array": lambda model, optimizer: setattr(model[4].weight, "data", model[4].weight.data.copy()),
    "another parameter": lambda model, optimizer: setattr(model[4], "weight", nn.Parameter(array((2, 2)))),
    "another buffer": lambda model, optimizer: setattr(model[1], "running_mean", array(2)),
    "another layer": lambda model, optimizer: model.__setitem__(2, nn.Flatten()),
    "hook": lambda model, optimizer: model[4].register_forward_hook(lambda layer, x, y: None),
    "gradient's hook": lambda model, optimizer: model[4].weight.register_post_accumulate_grad_hook(lambda w: None),
    "gradient that nobody forgets": lambda model, optimizer: setattr(model[0].weight, "grad", None),
    "more to train": lambda model, optimizer: optimizer.add_param_group({"params": [model[0].weight]}),
    "no momentum": lambda model, optimizer: optimizer.param_groups[0].update(momentum=0.0),
    "other velocities": lambda model, optimizer: optimizer.load_state_dict(optimizer.state_dict()),
    "other numbers": lambda model, optimizer: minicnn.manual_seed(77),
    "all ops": lambda model, optimizer: minicnn.set_precision("bfloat16"),
}


@pytest.fixture(autouse=True)
def as_before():
    yield
    minicnn.set_precision("float32")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen(name):
    run = a_run()
    before = situation(*run)
    assert is_same(before, situation(*run))
    CHANGES[name](*run)
    assert not is_same(before, situation(*run))


def test_what_a_replay_renews_is_no_change():
    model, optimizer = run = a_run()
    before = situation(*run)
    optimizer.param_groups[0]["lr"] = 0.01
    random.set_dropout_calls(99)
    model.eval()
    model.train()
    model[4].weight.data *= 2
    optimizer.zero_grad()
    assert is_same(before, situation(*run))


def test_numbers_of_layers_have_names():
    model, _ = a_run()
    assert numbers_on_the_host(model)["3.p"] == 0.5

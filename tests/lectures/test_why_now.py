"""A net without one of the ingredients is the same net otherwise."""

import pytest
from lecture_runs import program

from minicnn import nn

NAME = "14_why_now"


def kinds(net):
    return [type(layer) for layer in net]


def test_one_thing_at_a_time_is_taken_away(quick):
    lecture = program(NAME)
    whole = kinds(lecture.ALL.build(1, 2, 10))
    nets = {name: lecture.ALL._replace(**changed).build(1, 2, 10) for name, changed in lecture.WITHOUT.items()}
    assert kinds(nets["all of it"]) == whole and whole.count(nn.Conv2d) == 5
    assert kinds(nets["sigmoid for ReLU"]) == [nn.Sigmoid if kind is nn.ReLU else kind for kind in whole]
    assert kinds(nets["no batch norm"]) == [kind for kind in whole if kind is not nn.BatchNorm2d]
    assert [layer.p for layer in nets["no dropout"] if isinstance(layer, nn.Dropout)] == [0]
    assert kinds(nets["none of it"]).count(nn.Conv2d) == kinds(nets["shallow"]).count(nn.Conv2d) == 1
    assert set(quick(NAME)["result"]["error"]) == set(nets)


def test_a_rate_at_the_edge_of_those_tried_is_flagged():
    lecture = program(NAME)
    rates = {"all of it": 0.03, "no dropout": 0.1, "shallow": 0.01}
    said = lecture.measured({"pictures": 8, "epochs": 1, "rate": rates, "error": {name: [5.0] for name in rates}})
    assert "all of it 5.0 (rate 0.03); no dropout 5.0 (rate 0.1, the edge of what was tried)" in said
    assert "shallow 5.0 (rate 0.01, the edge of what was tried)" in said


@pytest.mark.lectures
def test_all_of_it_is_better_than_none_of_it_or_without_what_matters_most(default):
    errors = default(NAME)["result"]["error"]
    for without in ("none of it", "sigmoid for ReLU", "no batch norm"):
        assert max(errors["all of it"]) < min(errors[without])

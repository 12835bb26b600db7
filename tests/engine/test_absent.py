"""What is not there on purpose: the errors, the page that lists it, and that nothing else is disturbed."""

import copy
import importlib
import inspect
import pickle
import re

import pytest
from checks import raises
from paths import ROOT

import minicnn
from minicnn import Tensor, nn
from minicnn.absent import ABSENT, INSTEAD, PLACES

OBJECTS = {"Tensor": Tensor([1.0]), "Module": nn.Sequential(), "BatchNorm2d": nn.BatchNorm2d(2)}
ATTRIBUTES = [name for name in INSTEAD if "(" not in name]


def test_the_page_has_the_same_table():
    page = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8").partition("## Not there")[2]
    rows = re.findall(r"^\| (`.+?`) \| (.+) \|$", page, re.M)
    assert [(" ".join(re.findall("`(.+?)`", names)), text.replace("\\|", "|")) for names, text in rows] == list(ABSENT)


def test_no_name_stands_twice():
    assert sum(len(names.split()) for names, _ in ABSENT) == len(INSTEAD) > 200


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_asking_for_it_says_what_to_write(name):
    place, _, attribute = name.rpartition(".")
    owner = OBJECTS[place] if place in OBJECTS else importlib.import_module(PLACES.get(place, place))
    with raises(AttributeError, attribute, "not there on purpose", INSTEAD[name]):
        getattr(owner, attribute)
    assert not hasattr(owner, attribute) and getattr(owner, attribute, 3) == 3


def test_attributes_that_are_there_take_no_longer():
    for kind in (Tensor, nn.Module):
        assert not hasattr(kind, "__getattr__")  # with it, Python looks up every attribute in a slower way


def test_ones_own_module_may_have_such_a_name():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.half = nn.Linear(2, 1)
            self.type = "small"

        def compile(self):
            return 3

    net = Net()
    assert [name for name, _ in net.named_children()] == ["half"] and net.type == "small" and net.compile() == 3
    with raises(AttributeError, "Module.bfloat16", "not there on purpose"):
        net.bfloat16()


@pytest.mark.parametrize("name", sorted(set(INSTEAD) - set(ATTRIBUTES)))
def test_a_keyword_that_is_not_there(name):
    kind, keyword = re.fullmatch(r"(\w+)\((\w+)=\)", name).groups()
    found = getattr(nn, kind, None) or getattr(minicnn.optim, kind)
    with raises(TypeError, kind, keyword, "not there on purpose", INSTEAD[name]):
        found(**{keyword: None})
    assert keyword not in inspect.signature(found).parameters


def test_other_names_are_errors_as_anywhere():
    for owner in (minicnn, nn, nn.functional, nn.init, minicnn.optim, minicnn.cuda, Tensor([1.0]), nn.ReLU()):
        with raises(AttributeError, "nonsense"):
            owner.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        from minicnn.nn import GRU  # noqa: F401


def test_an_error_within_a_property_is_not_hidden():
    class Net(nn.Module):
        @property
        def size(self):
            return self.there_is_none

        def forward(self, x):
            return x

    with raises(AttributeError, "there_is_none"):
        Net().size  # noqa: B018


def test_ones_own_layers_take_what_keywords_they_like():
    class Conv2d(nn.Module):
        def __init__(self, padding_mode):
            super().__init__()
            self.padding_mode = padding_mode

    assert Conv2d(padding_mode="circular").padding_mode == "circular"


def test_copies_and_signatures_are_undisturbed():
    for thing in (Tensor([1.0]), nn.Linear(2, 1)):
        for copied in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
            assert type(copied) is type(thing)
        assert "nonsense" not in dir(thing)
    assert list(inspect.signature(nn.Linear).parameters) == ["in_features", "out_features", "bias"]
    assert not inspect.signature(nn.Sigmoid).parameters

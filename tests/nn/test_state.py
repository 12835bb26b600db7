"""The state of a Module: by key, all or nothing, of one's own, of PyTorch, and of tied layers."""

import numpy as np
import pytest
from checks import check_close, raises
from small_modules import STATE, Block, Tied

from minicnn import nn


def test_state_dict_shares_memory():
    model = Block()
    model.state_dict()["scale"][0] = 7
    assert model.scale.numpy().tolist() == [7, 1]


def test_state_goes_from_one_model_to_another():
    one, other = Block(), Block()
    one.norm.running_mean[...] = 3.0
    other.load_state_dict(one.state_dict())
    for key, value in one.state_dict().items():
        assert np.array_equal(other.state_dict()[key].numpy(), value.numpy())
    assert not np.shares_memory(one.scale.data, other.scale.data)


def test_state_from_numpy_of_another_dtype():
    model = Block()
    state = {key: np.full(t.shape, 2.0) for key, t in model.state_dict().items()}
    model.load_state_dict(state | {"norm.num_batches_tracked": np.array(5)})
    assert all((t.numpy() == 2).all() and t.dtype == np.float32 for t in model.state_dict().values())


def test_state_from_torch(torch):
    theirs = torch.nn.Linear(2, 3)
    ours = nn.Linear(2, 3)
    ours.load_state_dict(theirs.state_dict())
    check_close(ours.weight.numpy(), theirs.weight.detach().numpy(), 0)


@pytest.mark.parametrize(
    "change, error, parts",
    [
        (lambda s: s.pop("scale"), KeyError, ["Block", "1 keys are missing (scale)", "0 are surplus"]),
        (lambda s: s.update(extra=np.ones(1)), KeyError, ["0 keys are missing", "1 are surplus (extra)"]),
        (lambda s: s.update(scale=np.ones(3)), ValueError, ["Block", "scale: (3,), not (2,)"]),
    ],
    ids=["missing", "surplus", "shape"],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, parts):
    model = Block()
    before = {key: t.numpy().copy() for key, t in model.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    change(state)
    with raises(error, "load_state_dict", *parts):
        model.load_state_dict(state)
    assert all(np.array_equal(before[key], t.numpy()) for key, t in model.state_dict().items())


def test_tied_ones_are_given_once():
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["first.weight", "first.bias"]
    assert [name for name, _ in model.named_modules()] == ["", "first", "other"]
    assert [name for name, _ in model.named_children()] == ["first", "other"]
    assert [name for name, _ in model.named_buffers()] == ["a"] and len(list(model.buffers())) == 1
    assert len(list(model.parameters())) == 2 and len(list(model.modules())) == 3 and len(list(model.children())) == 2
    every = [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert every == ["", "first", "again", "other"] and model.get_submodule("again") is model.first
    names = [name for name, _ in model.named_parameters("net", remove_duplicate=False)]
    assert names == [
        "net." + key for key in ("first.weight", "first.bias", "again.weight", "again.bias", "other.weight")
    ]
    assert not list(model.parameters(recurse=False)) and len(list(model.buffers(recurse=False))) == 1


def test_tied_ones_are_named_as_pytorch_names_them(torch):
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 3)
            self.again = self.first
            self.other = torch.nn.Linear(3, 3, bias=False)
            self.other.weight = self.first.weight
            self.register_buffer("a", torch.ones(1))
            self.register_buffer("b", self.a)

    ours, theirs = Tied(), Theirs()
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    for named in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, named)()] == [n for n, _ in getattr(theirs, named)()]
    ours.load_state_dict(theirs.state_dict())
    check_close(ours.other.weight.numpy(), theirs.first.weight.detach().numpy(), 0)


def test_the_state_of_tied_ones():
    one, other = Tied(), Tied()
    assert list(one.state_dict())[:4] == ["a", "b", "first.weight", "first.bias"] and len(one.state_dict()) == 7
    other.load_state_dict(one.state_dict())
    assert other.other.weight is other.first.weight
    state = {key: t.numpy() for key, t in one.state_dict().items()}
    del state["first.weight"], state["other.weight"], state["b"]  # as files keep what is shared
    other.load_state_dict(state | {"again.weight": np.full((3, 3), 7.0)})
    assert (other.first.weight.numpy() == 7).all()
    with raises(ValueError, "Tied", "again.weight and other.weight"):
        other.load_state_dict(state | {"again.weight": np.zeros((3, 3)), "other.weight": np.ones((3, 3))})
    assert (other.first.weight.numpy() == 7).all()


def test_a_state_in_part():
    model = Block()
    keys = model.load_state_dict({"scale": np.full(2, 4.0), "extra": 1}, strict=False)
    assert keys.missing_keys == STATE[1:] and keys.unexpected_keys == ["extra"]
    assert model.scale.numpy().tolist() == [4, 4] and model.load_state_dict(model.state_dict()) == ([], [])
    with raises(ValueError, "scale: (3,), not (2,)"):
        model.load_state_dict({"scale": np.ones(3)}, strict=False)


@pytest.mark.parametrize("state", ["weights.npz", None, [1, 2], nn.ReLU()])
def test_a_state_is_a_dict(state):
    with raises(TypeError, "load_state_dict", type(state).__name__):
        Block().load_state_dict(state)


@pytest.mark.parametrize("value", [["a", "b"], [None, 1], [1j, 2]])
def test_a_state_holds_numbers(value):
    model = Block()
    with raises(TypeError, "load_state_dict", "scale"):
        model.load_state_dict(model.state_dict() | {"scale": np.array(value)})


def test_a_state_has_no_masks():
    model = Block()
    with raises(TypeError, "mask", "filled"):
        model.load_state_dict(model.state_dict() | {"scale": np.ma.masked_array([7.0, 7.0], mask=[True, False])})
    assert model.scale.tolist() == [1, 1]

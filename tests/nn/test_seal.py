"""A sealed network gives what it gave before, cannot be changed in any way unseen, and can be opened again."""

import copy
import pickle

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, nn, optim
from minicnn.distributed.running import put
from minicnn.immutable import immutable, is_immutable


def network():
    minicnn.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(32, 8, 1), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.Flatten(), nn.Linear(8 * 7 * 7, 10)]
    return nn.Sequential(*layers)


def scores(model):
    with minicnn.no_grad():
        return model(Tensor(np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32))).numpy()


def test_gives_what_it_gave():
    model = network().eval()
    expected = scores(model)
    sealed = minicnn.seal(copy.deepcopy(model))
    for _ in range(2):
        np.testing.assert_allclose(scores(sealed), expected, rtol=1e-4, atol=1e-5)
    assert all(is_immutable(tensor.data) for tensor in (*sealed.parameters(), *sealed.buffers()))
    for device_tier in ("plain", "fast"):
        with minicnn.tier(device_tier):
            np.testing.assert_allclose(scores(sealed), expected, rtol=1e-4, atol=1e-5)
    with minicnn.precision("bfloat16"):  # another product, from the same weights
        rounded = scores(sealed)
    np.testing.assert_allclose(rounded, expected, atol=0.1)
    assert (rounded != expected).any()


def test_gradients_of_pictures():
    """A sealed network is frozen; what it does to a picture can still be asked."""
    model, x = network().eval(), np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    grads = []
    for each in (model, minicnn.seal(copy.deepcopy(model))):
        picture = Tensor(x, requires_grad=True)
        each(picture)[0, 0].backward()
        grads.append(picture.grad.numpy())
    np.testing.assert_allclose(grads[1], grads[0], rtol=1e-4, atol=1e-5)


def load(model):
    model.load_state_dict(network().state_dict())


def assign(model):
    model[3].weight[0] = 1.0


def in_place(model):
    with minicnn.no_grad():
        model[3].weight += 1.0


def through_data(model):
    model[3].weight.data[0] = 1.0


def through_a_view(model):
    model[3].weight.data.reshape(-1)[0] = 1.0


def out_of_numpy(model):
    np.add(model[3].weight.data, 1, out=model[3].weight.data)


def lift_the_flag(model):
    model[3].weight.data.flags.writeable = True


@pytest.mark.parametrize("change", [load, assign, in_place, through_data, through_a_view, out_of_numpy, lift_the_flag])
def test_cannot_be_changed(change):
    model = minicnn.seal(network().eval())
    before = scores(model)
    with pytest.raises((ValueError, TypeError), match=r"read-only|cannot be written to|WRITEABLE|readonly"):
        change(model)
    np.testing.assert_array_equal(scores(model), before)


def test_loading_says_the_way_out_and_changes_nothing():
    model = network().eval()
    minicnn.seal(model[3])  # a part; the others could be written to
    before = scores(model)
    with pytest.raises(ValueError, match=r"2 tensors of this Sequential cannot be written to.*minicnn\.seal\(model, F"):
        model.load_state_dict({key: value.numpy() + 1 for key, value in model.state_dict().items()})
    np.testing.assert_array_equal(scores(model), before)


def test_who_had_the_arrays_before():
    """A view of a weight, and the arrays themselves, are of memory that the sealed network no longer uses."""
    model = network().eval()
    arrays = [parameter.data for parameter in model.parameters()]
    minicnn.seal(model)
    before = scores(model)
    for array in arrays:
        array[...] = 7
    np.testing.assert_array_equal(scores(model), before)


def test_optimisers_leave_it_alone():
    model, head = minicnn.seal(network()), nn.Linear(10, 2)
    before = scores(model)
    optimizer = optim.SGD([*model.parameters(), *head.parameters()], lr=0.1)
    head(model(Tensor(np.ones((2, 3, 16, 16), np.float32)))).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(scores(model), before)


def test_whoever_trains_it_all_the_same_is_told_the_way_out():
    model, x = minicnn.seal(network()).freeze(False), Tensor(np.ones((2, 3, 16, 16), np.float32))
    model.eval()(x).sum().backward()
    before = [np.array(tensor.data) for tensor in (*model.parameters(), *model.buffers())]
    for train in (
        optim.SGD(model.parameters(), lr=0.1).step,
        optim.Adam(model.parameters()).step,
        lambda: model.train()(x),  # running statistics
        lambda: nn.init.zeros_(model[0].weight),
        lambda: put(model[0].weight, np.zeros((16, 3, 5, 5), np.float32)),  # what another rank has
    ):
        with pytest.raises(ValueError, match=r"minicnn\.seal\(model, False\) ends that"):
            train()
    for tensor, expected in zip((*model.parameters(), *model.buffers()), before, strict=True):
        np.testing.assert_array_equal(tensor.data, expected)


def test_running_statistics_of_which_one_is_read_only_stay_as_they_are():
    norm, x = nn.BatchNorm2d(3), Tensor(np.ones((2, 3, 4, 4), np.float32))
    norm.running_var.data = immutable(norm.running_var.data)
    for tier in ("plain", "fast"):
        with minicnn.tier(tier), pytest.raises(ValueError, match=r"batch_norm: running statistics.*read-only"):
            norm(x)
        assert not norm.running_mean.numpy().any()


def test_gradients_can_be_written_to():
    model = network()
    model(Tensor(np.ones((2, 3, 16, 16), np.float32))).sum().backward()
    minicnn.seal(model).zero_grad(set_to_none=False)
    assert not model[0].weight.grad.numpy().any()


def test_weights_that_were_read_only_without_it():
    """What load_state_dict advises helps for these, too."""
    layer = nn.Linear(3, 2)
    layer.weight.data.flags.writeable = False
    with pytest.raises(ValueError, match=r"1 tensors of this Linear.*minicnn\.seal\(model, False\)"):
        layer.load_state_dict(nn.Linear(3, 2).state_dict())
    minicnn.seal(layer, False).load_state_dict(nn.Linear(3, 2).state_dict())


def test_another_array():
    """What is kept belongs to the array, not to the name: a weight may be exchanged, also for an immutable one."""
    model = minicnn.seal(network().eval())
    scores(model)
    new = model[3].weight.data * 2
    expected = minicnn.seal(network().eval())
    expected[3].weight.data = new.copy()
    model[3].weight.data = new
    first = scores(model)
    np.testing.assert_array_equal(first, scores(expected))
    new[0] = 0  # not sealed, and so not kept
    assert (scores(model) != first).any()
    minicnn.seal(model)
    new[0] = 1e3
    assert (scores(model) != first).any()


def test_opened_again():
    model = minicnn.seal(network().eval())
    before = scores(model)
    assert minicnn.seal(model, False) is model
    np.testing.assert_allclose(scores(model), before, rtol=1e-4, atol=1e-5)
    model[3].weight[0] = 1.0
    assert (scores(model) != before).any()
    assert model.frozen


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_not_sealed(copied):
    model = minicnn.seal(network().eval())
    before = scores(model)
    other = copied(model)
    np.testing.assert_allclose(scores(other), before, rtol=1e-4, atol=1e-5)
    other[3].weight[0] = 1.0
    assert (scores(other) != before).any()
    np.testing.assert_array_equal(scores(model), before)


def test_on_the_emulated_gpu(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    model = nn.Linear(3, 2).to("cuda")
    x = Tensor(np.ones((1, 3), np.float32)).to("cuda")
    with minicnn.tier("plain"):
        before = model(x).numpy()
        np.testing.assert_array_equal(minicnn.seal(model)(x).numpy(), before)


def test_bad_arguments():
    with pytest.raises(TypeError, match="seal: takes a Module, not a list"):
        minicnn.seal([network()])
    with pytest.raises(TypeError, match="seal: sealed must be True or False, got 1"):
        minicnn.seal(network(), 1)

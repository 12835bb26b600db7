"""Names of weights: wrappers, prefixes, counters, tied tensors, for every kind of file; and what is not guessed."""

import argparse
import collections
import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from pickles import save
from weight_files import KINDS, check_loaded, network, numbers, write

from minicnn import nn, pretrained
from minicnn.pretrained import WeightsError, read_weights
from minicnn.pretrained.keys import AVERAGES, WRAPPERS, find_state_dict

PREFIXES = ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module."]
PREFIXES += ["_orig_mod.module._orig_mod.", "_forward_module.", "_fsdp_wrapped_module._orig_mod."]
INSIDE = ["model.", "net.", "model._orig_mod.", "module.model.", "backbone.", "any.name.of.ones_own."]


@pytest.mark.parametrize("kind", KINDS)
def test_prefixes_of_all_names(torch, tmp_path, kind):
    state = numbers(network())
    for i, prefix in enumerate([*PREFIXES, *INSIDE]):
        path = tmp_path / f"{i}.weights"
        write(torch, path, {prefix + key: array for key, array in state.items()}, kind)
        check_loaded(network(), path, state)
        if prefix in PREFIXES:
            assert read_weights(path).keys() == state.keys(), prefix


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_were_wrapped_inside_the_network(torch, tmp_path, kind):
    """As when only AlexNet's features are spread over GPUs, or a block is compiled."""
    state = numbers(network())
    inner = {key: f"0.module.{key[2:]}" if key[0] == "0" else f"{key[0]}._orig_mod.{key[2:]}" for key in state}
    write(torch, tmp_path / "w", {inner[key]: array for key, array in state.items()}, kind)
    check_loaded(network(), tmp_path / "w", state)


class Holder(nn.Module):
    """A network whose own names begin with what is taken off elsewhere."""

    def __init__(self, name):
        super().__init__()
        setattr(self, name, nn.Linear(3, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_networks_own_names_stay(torch, tmp_path, kind):
    for name in ("module", "model", "net"):
        state = numbers(Holder(name))
        for i, prefix in enumerate(("", "module.", "_orig_mod.")):
            write(torch, tmp_path / f"{name}{i}", {prefix + key: array for key, array in state.items()}, kind)
            check_loaded(Holder(name), tmp_path / f"{name}{i}", state)


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_do_not_share_the_prefix_stay(torch, tmp_path, kind):
    state = numbers(network())
    path = tmp_path / "w"
    write(torch, path, {f"model.{key}": array for key, array in state.items()} | {"loss.weight": np.ones(2)}, kind)
    with pytest.raises(WeightsError, match=r"w does not fit.*9 are surplus \((model|loss)\."):
        pretrained.load_file(network(), path)
    write(torch, path, state | {"module.0.weight": state["0.weight"]}, kind)  # two would have one name
    with pytest.raises(WeightsError, match=r"1 are surplus \(module\.0\.weight\)"):
        pretrained.load_file(network(), path)


def test_a_shared_prefix_that_leads_nowhere_stays(torch, tmp_path):
    """So that the message has the names of the file."""
    write(torch, tmp_path / "w", {"other.x": np.ones(2, np.float32), "other.y": np.ones(2, np.float32)}, "pth")
    with pytest.raises(WeightsError, match=r"2 are surplus \(other\.x, other\.y\)"):
        pretrained.load_file(network(), tmp_path / "w")


@pytest.mark.parametrize("kind", KINDS)
def test_counters_are_no_weights(torch, tmp_path, kind):
    state = numbers(network())
    counters = {"module.1.num_batches_tracked": np.array(7), "n_averaged": np.array(3), "module.total_ops": np.ones(1)}
    counters |= {"module.0.total_params": np.ones(1)}
    write(torch, tmp_path / "w", {f"module.{key}": array for key, array in state.items()} | counters, kind)
    check_loaded(network(), tmp_path / "w", state)
    assert state.keys() < read_weights(tmp_path / "w").keys()  # the count of averages does not keep the prefix on


NAMES = ["state_dict", "model_state_dict", "model", "net", "model_state", "state_dict_ema", "model_ema", "ema"]
NAMES += ["weights", "params", "network", "a name of one's own"]


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_wrappers(torch, tmp_path, new):
    state = numbers(network())
    tensors = {f"module.{key}": torch.tensor(array) for key, array in state.items()}
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    optimizer.param_groups[0]["params"][0].sum().backward()
    optimizer.step()
    beside = {
        "epoch": 3,
        "optimizer": optimizer.state_dict(),
        "loss": torch.tensor(0.5),
        "best_acc": np.float64(71.5),
        "args": argparse.Namespace(lr=0.1, out=Path("runs"), sizes=(1, 2)),
        "config": {"model": "resnet", "state_dict": {}},
        "history": collections.OrderedDict(top1=[1.0, 2.0]),
        "done": {1, 2},
        "shape": torch.Size([1, 2]),
    }
    for wrapper in NAMES:
        for protocol in (2, 4):
            path = tmp_path / "w.pth"
            path.write_bytes(save(torch, beside | {wrapper: tensors}, new, pickle_protocol=protocol))
            check_loaded(network(), path, state)
        for outer in ("state_dict", "model"):
            path.write_bytes(save(torch, {outer: {wrapper: tensors, "step": 1}, "epoch": 2}, new))
            check_loaded(network(), path, state)


def test_several_state_dicts(torch, tmp_path):
    """The trained weights come before their average; of two equal ranks, none is guessed."""
    first, second = numbers(network(), 1), numbers(network(), 2)
    one, two = ({key: torch.tensor(array) for key, array in state.items()} for state in (first, second))
    path = tmp_path / "w.pth"
    for names in (("state_dict", "state_dict_ema"), ("model", "model_ema"), ("net", "ema"), ("model", "discriminator")):
        torch.save(dict(zip(reversed(names), (two, one), strict=True)), path)
        check_loaded(network(), path, first)
    for names in (("model", "net"), ("generator", "discriminator"), ("model_ema", "ema")):
        torch.save(dict(zip(names, (one, two), strict=True)), path)
        with pytest.raises(WeightsError, match=rf"w\.pth holds 2 state dicts, under '{names[0]}' and '{names[1]}'"):
            read_weights(path)
    torch.save({"model": one, "state_dict": one}, path)  # the same twice
    check_loaded(network(), path, first)


def test_each_dict_is_looked_into_a_few_times():
    """However many wrappers lead to it: a small pickle may hold one dict a thousand times, or in itself."""
    calls = []

    class Counted(dict):
        def items(self):
            calls.append(self)
            return super().items()

    inner = Counted(x=1)
    for _ in range(3):
        inner = Counted(dict.fromkeys((*WRAPPERS, *AVERAGES), inner))
    assert find_state_dict(inner, lambda entry: False, "file") is None
    inner["state_dict"] = inner
    assert find_state_dict(inner, lambda entry: False, "file") is None
    assert len(calls) < 50


def test_weights_are_free_with_their_last_name():
    """Without a circle of references, which would keep them until Python looks for some."""
    state = {"state_dict": {"w": np.ones(3)}}
    freed = weakref.ref(state["state_dict"]["w"])
    gc.collect()
    gc.disable()
    try:
        assert find_state_dict(state, lambda entry: isinstance(entry, np.ndarray), "file") is state["state_dict"]
        del state
        assert freed() is None
    finally:
        gc.enable()


def test_numbers_among_the_weights_are_refused(torch, tmp_path):
    torch.save({"weight": torch.ones(2), "epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth holds no state dict, its entry 'epoch' is no tensor"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("kind", ["pth", "npz"])
def test_messages_are_one_line_whatever_the_names(torch, tmp_path, kind):
    write(torch, tmp_path / "w", {"a\nerror: b\x1b[31m": np.ones(2, np.float32)}, kind)
    with pytest.raises(WeightsError, match="does not fit") as caught:
        pretrained.load_file(network(), tmp_path / "w")
    assert str(caught.value).isprintable() and r"a\nerror: b\x1b[31m" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_are_no_weights(torch, tmp_path, kind):
    state = numbers(network())
    for dtype in (np.int8, np.uint8, np.int64, np.bool_):
        write(torch, tmp_path / "w", state | {"0.weight": np.ones((4, 3, 3, 3), dtype)}, kind)
        with pytest.raises(WeightsError, match=rf"w has 0\.weight in {np.dtype(dtype)}.*float32"):
            pretrained.load_file(network(), tmp_path / "w")
    for dtype in (np.float16, np.float64):
        write(torch, tmp_path / "w", state | {"0.weight": np.ones((4, 3, 3, 3), dtype)}, kind)
        assert (pretrained.load_file(network(), tmp_path / "w")[0].weight.numpy() == 1).all()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first


@pytest.mark.parametrize("kind", KINDS)
def test_tied_weights(torch, tmp_path, kind):
    """They may stand in a file once, as safetensors writes them, or under both names, but not with two values."""
    weight, bias = np.arange(9, dtype=np.float32).reshape(3, 3), np.ones(3, np.float32)
    once = {"first.weight": weight, "again.bias": bias}
    twice = {"first.weight": weight, "again.weight": weight.copy(), "first.bias": bias, "again.bias": bias.copy()}
    for name, state in (("once", once), ("twice", twice)):
        write(torch, tmp_path / name, state, kind)
        model = pretrained.load_file(Tied(), tmp_path / name)
        np.testing.assert_array_equal(model.again.weight.numpy(), weight)
        np.testing.assert_array_equal(model.first.bias.numpy(), bias)
    write(torch, tmp_path / "two", twice | {"again.weight": weight + 1}, kind)
    with pytest.raises(WeightsError, match=r"two does not fit.*one tensor of this Tied.*two values"):
        pretrained.load_file(Tied(), tmp_path / "two")

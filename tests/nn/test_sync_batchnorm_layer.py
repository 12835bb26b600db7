"""SyncBatchNorm, and networks that are converted to it: what they keep, and that no batch norm is left out."""

import inspect

import numpy as np
import pytest
import thread_ranks
from batch_norm_of_ranks import check_network_equals_one_process
from checks import check_close, raises
from small_modules import Block

import minicnn
from minicnn import Tensor, models, nn
from minicnn.nn.fused import chain

X = np.random.default_rng(0).standard_normal((5, 4, 3, 2), dtype=np.float32)


@pytest.mark.parametrize("tier", ["plain", "fast"])
def test_a_network_of_several_ranks_is_that_of_one(tier):
    with minicnn.tier(tier):
        thread_ranks.run(2, lambda world: check_network_equals_one_process(world, (5, 2)))
        thread_ranks.run(3, lambda world: check_network_equals_one_process(world, (2, 0, 3)))


def test_with_batch_norm_of_each_rank_by_itself_it_is_not():
    with pytest.raises(AssertionError, match="Mismatched elements"):
        thread_ranks.run(2, lambda world: check_network_equals_one_process(world, (5, 2), convert=lambda model: model))


def test_a_relu_and_a_residual_behind_it_follow_one_by_one():
    layer, residual = nn.SyncBatchNorm(4), Tensor(X[::-1].copy())
    y = chain(Tensor(X), layer, nn.ReLU(), residual=residual)
    expected = chain(Tensor(X), nn.BatchNorm2d(4), nn.ReLU(), residual=residual)
    check_close(y.numpy(), expected.numpy(), 1e-6)
    assert (y.numpy() == 0).any() and layer.running_mean.numpy().any()


def test_it_is_a_batch_norm_with_pytorchs_arguments(torch):
    assert issubclass(nn.SyncBatchNorm, nn.BatchNorm2d)
    assert (nn.BatchNorm2d.same_on_all_ranks, nn.SyncBatchNorm.same_on_all_ranks) == (False, True)
    theirs = inspect.signature(torch.nn.SyncBatchNorm).parameters
    for name, setting in inspect.signature(nn.SyncBatchNorm).parameters.items():
        assert setting.default == theirs[name].default
    layer = nn.SyncBatchNorm(4, eps=0.5, momentum=0.25, affine=False)
    assert repr(layer) == "SyncBatchNorm(4, eps=0.5, momentum=0.25)" and layer.weight is None
    assert list(nn.SyncBatchNorm(4).state_dict()) == list(nn.BatchNorm2d(4).state_dict())


def test_in_evaluation_and_frozen_it_asks_no_other_rank():
    def calls(world):
        for layer in (nn.SyncBatchNorm(4).eval(), nn.SyncBatchNorm(4).freeze().train()):
            check_close(layer(Tensor(X)).numpy(), X / np.float32(1 + 1e-5) ** 0.5, 1e-6)
        return world.calls

    assert thread_ranks.run(2, calls) == [[], []]


def test_what_is_converted_keeps_all_that_it_has():
    model = Block().eval()
    model.norm.freeze()
    parts, values = dict(model.named_modules()), {key: value.numpy() for key, value in model.state_dict().items()}
    tensors, settings = [*model.parameters(), *model.buffers()], vars(model.norm).copy()
    seen = []
    model.norm.register_forward_hook(lambda layer, inputs, output: seen.append(type(layer)))

    assert nn.SyncBatchNorm.convert_sync_batchnorm(model) is model
    assert type(model.norm) is nn.SyncBatchNorm
    for name, part in model.named_modules():
        assert part is parts[name]
    for ours, before in zip([*model.parameters(), *model.buffers()], tensors, strict=True):
        assert ours is before
    assert {key: vars(model.norm)[key] for key in settings} == settings
    assert model.norm.frozen and not model.norm.training
    assert list(model.state_dict()) == list(values)
    model.norm(Tensor(np.ones((1, 2, 3, 3), np.float32)))
    assert seen == [nn.SyncBatchNorm]


def test_every_batch_norm_is_converted_and_a_second_time_nothing():
    model = nn.SyncBatchNorm.convert_sync_batchnorm(models.resnet18())
    kinds = [type(part) for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert kinds == [nn.SyncBatchNorm] * 20
    assert nn.SyncBatchNorm.convert_sync_batchnorm(model) is model
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(3))) is nn.SyncBatchNorm


def test_what_works_otherwise_than_batch_norm_is_refused_before_anything_is_changed():
    class Own(nn.BatchNorm2d):
        pass

    class Synchronised(nn.SyncBatchNorm):
        pass

    model = nn.Sequential(nn.BatchNorm2d(2), Own(2))
    with raises(TypeError, "convert_sync_batchnorm", "1 is a Own", "nn.SyncBatchNorm"):
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert type(model[0]) is nn.BatchNorm2d
    layer = nn.BatchNorm2d(2)
    vars(layer)["forward"] = lambda x: x
    with raises(TypeError, "the layer is a BatchNorm2d with a forward of its own"):
        nn.SyncBatchNorm.convert_sync_batchnorm(layer)
    with raises(TypeError, "convert_sync_batchnorm", "Module", "list"):
        nn.SyncBatchNorm.convert_sync_batchnorm([layer])
    own = nn.Sequential(Synchronised(2))
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(own)[0]) is Synchronised

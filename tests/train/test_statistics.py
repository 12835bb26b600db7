"""update_bn: batch norm's running statistics as averages over batches, and what an error leaves behind."""

import numpy as np
import pytest
import thread_ranks
from checks import check_close

from minicnn import Tensor, manual_seed, nn
from minicnn.nn.fused import chain
from minicnn.train import update_bn

BATCHES = [np.random.default_rng(i).normal(i, 1 + i, (size, 3, 4, 5)) for i, size in enumerate([6, 6, 2])]


class Twice(nn.Module):
    """One batch norm that is used twice, with a ReLU behind it that the engine fuses with it; and dropout."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.relu = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, momentum=0.3), nn.ReLU()
        self.dropout, self.last = nn.Dropout(0.0), nn.BatchNorm2d(3)

    def forward(self, x):
        y = chain(x, self.conv, self.bn, self.relu)
        return self.last(self.dropout(chain(self.conv(y), self.bn, self.relu)))


def network(spoilt=np.nan):
    """A network in float64, whose old statistics are no numbers."""
    manual_seed(0)
    model = Twice().double().eval()
    for buffer in model.buffers():
        buffer[...] = spoilt
    return model


def buffers(model):
    return {name: value.numpy().copy() for name, value in model.named_buffers()}


def test_equals_pytorchs(torch):
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3)
            self.last = torch.nn.BatchNorm2d(3)

        def forward(self, x):
            y = self.bn(self.conv(x)).relu()
            return self.last(self.bn(self.conv(y)).relu())

    ours, theirs = network(), Theirs().double()
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()}, strict=False)
    torch.optim.swa_utils.update_bn([(torch.from_numpy(x), None) for x in BATCHES], theirs)
    update_bn([(Tensor(x), None) for x in BATCHES], ours)
    for name, value in buffers(ours).items():
        check_close(value, dict(theirs.named_buffers())[name].numpy(), 1e-12)


def test_is_the_plain_average_over_batches():
    layer = nn.BatchNorm2d(3).double()
    update_bn(map(Tensor, [*BATCHES[:1], np.zeros((0, 3, 4, 5)), *BATCHES[1:]]), layer)  # an empty batch says nothing
    check_close(layer.running_mean.numpy(), np.mean([x.mean((0, 2, 3)) for x in BATCHES], 0), 1e-12)
    check_close(layer.running_var.numpy(), np.mean([x.var((0, 2, 3), ddof=1) for x in BATCHES], 0), 1e-12)


def test_is_the_average_over_the_batches_of_all_ranks():
    """Of the first two the ranks have a part each, of the third the last one has all."""
    expected, cuts = network(), [(2, 6), (3, 6), (0, 2)]
    update_bn(map(Tensor, BATCHES), expected)

    def statistics(world):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(network())
        parts = [slice(cut[0]) if world.rank == 0 else slice(*cut) for cut in cuts]
        update_bn([Tensor(x[part]) for x, part in zip(BATCHES, parts, strict=True)], model)
        return buffers(model)

    first, second = thread_ranks.run(2, statistics)
    for name, value in buffers(expected).items():
        check_close(first[name], value, 1e-12)
        np.testing.assert_array_equal(first[name], second[name])


def test_nothing_else_changes():
    model = network()
    model.dropout.train()
    model.last.freeze()
    before, weights = buffers(model), [p.numpy().copy() for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    update_bn(map(Tensor, BATCHES), model)
    assert [module.training for module in model.modules()] == modes
    assert (model.bn.momentum, model.last.momentum) == (0.3, 0.1)
    assert not model.bn._hooks.before, "the counting hooks are left"
    for old, parameter in zip(weights, model.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.numpy(), old)
        assert parameter.grad is None
    assert np.isfinite(model.bn.running_var.numpy()).all()
    np.testing.assert_array_equal(model.last.running_mean.numpy(), before["last.running_mean"])  # frozen


def test_a_network_without_batch_norm_needs_no_batches():
    update_bn(None, nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ([], ValueError, r"update_bn: no picture came through bn; give the loader pictures"),
        ([np.zeros((0, 3, 4, 5))], ValueError, "no picture came through bn"),
        ([BATCHES[0], np.zeros((2, 9, 4, 5))], ValueError, "conv2d"),
    ],
)
def test_an_error_leaves_the_old_statistics(batches, error, message):
    model = network(spoilt=7.0)
    before = buffers(model)
    with pytest.raises(error, match=message):
        update_bn(map(Tensor, batches), model)
    assert not model.training and model.bn.momentum == 0.3
    for name, value in buffers(model).items():
        np.testing.assert_array_equal(value, before[name])

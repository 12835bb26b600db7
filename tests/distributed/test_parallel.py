"""DataParallel on ranks that are threads here, against one process. test_parallel_mpi.py has processes."""

import itertools

import numpy as np
import pytest
import thread_ranks
from checks import raises
from training_over_ranks import (
    BATCHES,
    CLASSES,
    apart,
    batch,
    batch_norm_net,
    digest,
    dropout_net,
    step,
    sync_batch_norm_net,
    train,
)

import minicnn
from minicnn import Tensor, nn, optim, random
from minicnn import functional as F
from minicnn.autograd import Function
from minicnn.distributed import DataParallel, RanksDiffer, World

TINY = 1e-4  # MiB of a bucket: 105 bytes, so that there are several


def check_equals_one_process(size, make, parts=1, **options):
    """Parameters, running statistics and totals; and all ranks have the same bits."""
    expected = train(World(), make)
    found = thread_ranks.run(size, lambda world: train(world, make, parts=parts, **options))
    assert max(apart(each, expected) for each in found) < 1e-12
    assert len({digest(each) for each in found}) == 1


# The same numbers on any number of ranks


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("make", [dropout_net, sync_batch_norm_net])
def test_ranks_equal_one_process(make, size):
    check_equals_one_process(size, make)


def test_every_row_counts_the_same():
    """The mean of the ranks' means would be another number: they have 5, 0 and 3 rows."""
    images, labels = batch(0, 8, (4,))
    cuts = (0, 5), (5, 5), (5, 8)

    def gradient(world, start, stop):
        minicnn.manual_seed(0)
        model = nn.Linear(4, CLASSES).to(minicnn.float64)
        with DataParallel(model, world=world).step(stop - start) as count:
            scores = model(Tensor(images[start:stop]))
            (F.cross_entropy(scores, labels[start:stop], reduction="sum") / count).backward()
        return model.weight.grad.numpy()

    expected = gradient(World(), 0, 8)
    for found in thread_ranks.run(3, lambda world: gradient(world, *cuts[world.rank])):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("size, parts", [(1, 2), (1, 3), (2, 2), (2, 3), (4, 2)])
def test_parts_equal_the_whole(size, parts):
    check_equals_one_process(size, dropout_net, parts)


@pytest.mark.parametrize("size", [2, 4])
def test_many_buckets(size):
    check_equals_one_process(size, dropout_net, bucket_cap_mb=TINY)
    check_equals_one_process(size, dropout_net, 2, bucket_cap_mb=TINY)


@pytest.mark.parametrize("options", [{"parts": 2, "bucket_cap_mb": TINY}, {"shards": 4}])
def test_everywhere(place, options):
    make, shards = (batch_norm_net, 4) if "shards" in options else (dropout_net, None)
    batches = (2,) if place.simulated else BATCHES
    expected = train(World(), make, shards=shards, batches=batches)

    def work(world):
        return train(world, make, device=place.device, batches=batches, **options)

    assert max(apart(found, expected) for found in thread_ranks.run(2, work)) < 1e-12


def test_local_batch_norm_is_another_network_but_the_same_on_all_ranks():
    expected = train(World(), batch_norm_net)
    found = thread_ranks.run(3, lambda world: train(world, batch_norm_net))
    assert apart(found[0], expected) > 1e-3
    assert len({digest(each) for each in found}) == 1


@pytest.mark.parametrize("make", [dropout_net, batch_norm_net])
def test_shards_give_the_same_bits(make):
    runs = {size: thread_ranks.run(size, lambda world: train(world, make, shards=4)) for size in (1, 2, 4)}
    assert len({digest(found) for ranks in runs.values() for found in ranks}) == 1
    one = train(World(), make, shards=4, bucket_cap_mb=TINY)  # neither do buckets matter
    assert digest(one) == digest(runs[4][0])
    if make is dropout_net:
        assert apart(one, train(World(), make)) < 1e-12


def test_one_process_is_unchanged_to_the_bit():
    minicnn.manual_seed(3)
    model, shape = batch_norm_net()
    model.to(minicnn.float64)
    optimizer = optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=0.01)
    for number, count in enumerate(BATCHES):
        images, labels = batch(number, count, shape)
        (F.cross_entropy(model(Tensor(images)), labels, reduction="sum") / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    found = train(World(), batch_norm_net)
    assert all((tensor.numpy() == found[name]).all() for name, tensor in model.state_dict().items())


def test_running_statistics_are_averaged_by_rows():
    rows, x = (5, 3, 0), np.random.default_rng(0).standard_normal((8, 2, 3, 4)) * 3 + 1
    starts = np.cumsum([0, *rows])

    def moved(images):
        layer = nn.BatchNorm2d(2).to(minicnn.float64)
        layer(Tensor(images))
        return layer.running_mean.numpy(), layer.running_var.numpy()

    def work(world):
        layer = nn.BatchNorm2d(2).to(minicnn.float64)
        with DataParallel(layer, world=world).step(rows[world.rank]):
            layer(Tensor(x[starts[world.rank] : starts[world.rank + 1]])).sum().backward()
        return layer.running_mean.numpy(), layer.running_var.numpy()

    (mean5, var5), (mean3, var3) = moved(x[:5]), moved(x[5:])
    for mean, var in thread_ranks.run(3, work):
        np.testing.assert_allclose(mean, (5 * mean5 + 3 * mean3) / 8, rtol=1e-12)
        np.testing.assert_allclose(var, (5 * var5 + 3 * var3) / 8, rtol=1e-12)


def test_synchronised_statistics_in_parts_are_averaged_by_rows():
    """As those of a rank are: parts are no batches of their own."""

    def work(world, norm):
        layer = norm(2).to(minicnn.float64)
        layer_of_step = DataParallel(layer, world=world)
        x = np.random.default_rng(world.rank).standard_normal((8, 2, 3, 4)) + world.rank
        with layer_of_step.in_parts([5, 3]):
            for i, part in enumerate((x[:5], x[5:])):
                with layer_of_step.part(i):
                    layer(Tensor(part)).sum().backward()
        return layer.running_mean.numpy()

    found = thread_ranks.run(2, lambda world: work(world, nn.SyncBatchNorm))
    (alone,) = thread_ranks.run(1, lambda world: work(world, nn.SyncBatchNorm))
    assert (found[0] == found[1]).all()
    (local,) = thread_ranks.run(1, lambda world: work(world, nn.BatchNorm2d))
    assert (alone == local).all()
    x = np.concatenate([np.random.default_rng(rank).standard_normal((8, 2, 3, 4)) + rank for rank in (0, 1)])
    np.testing.assert_allclose(found[0], 0.1 * x.mean((0, 2, 3)), rtol=1e-12)


def test_ranks_begin_alike():
    def work(world):
        minicnn.manual_seed(world.rank)
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm2d(2))
        model[0].bias.requires_grad_(False)
        model[1].running_mean.data[...] = world.rank + 5
        minicnn.randn(world.rank)
        DataParallel(model, world=world)
        state = [array.tolist() for array in map(np.asarray, model.state_dict().values())]
        return state, random.get_state()

    first, *others = thread_ranks.run(3, work)
    assert all(other == first for other in others) and first[0][-2] == [5, 5]


# Which gradients there are


class Crossed(nn.Module):
    """Its layers are used in another order than they stand in; one is used twice, one never, and one is no linear map
    of the rows: a gradient that all ranks work out whole must be worked out on one alone."""

    def __init__(self):
        super().__init__()
        self.last, self.unused, self.twice, self.first = (nn.Linear(6, 6) for _ in range(4))
        self.out = nn.Linear(6, CLASSES)

    def forward(self, x):
        x = self.first(F.relu(x.flatten(1)))
        return self.out(self.last(self.twice(F.relu(self.twice(x)))))


def crossed_net():
    return Crossed(), (1, 2, 3)


@pytest.mark.parametrize("options", [{}, {"bucket_cap_mb": TINY}, {"bucket_cap_mb": TINY, "parts": 3}])
def test_layers_in_another_order_shared_and_unused(options):
    check_equals_one_process(2, crossed_net, **options)


def test_a_parameter_that_nobody_uses_has_no_gradient():
    def work(world, shards):
        model = Crossed().to(minicnn.float64)
        parallel = DataParallel(model, shards=shards, world=world)
        step(parallel, *batch(0, 8, (1, 2, 3)), parallel.parts)
        return [name for name, p in model.named_parameters() if p.grad is None]

    for shards in (None, 4):
        found = thread_ranks.run(2, lambda world, shards=shards: work(world, shards))
        assert found == [["unused.weight", "unused.bias"]] * 2


def freeze(model):
    model.twice.freeze()


@pytest.mark.parametrize("shards", [None, 2])
def test_a_frozen_layer_is_not_sent(shards):
    expected = train(World(), crossed_net, change=freeze)
    found = thread_ranks.run(2, lambda world: train(world, crossed_net, change=freeze, shards=shards))
    assert apart(found[1], expected) < 1e-12
    assert apart(found[1], train(World(), crossed_net)) > 1e-3


@pytest.mark.parametrize("shards", [None, 4])
def test_what_is_frozen_may_change_between_steps(shards):
    def work(world):
        minicnn.manual_seed(0)
        model = Crossed().to(minicnn.float64)
        model.first.freeze()
        parallel, gradients = DataParallel(model, shards=shards, world=world), []
        for number in range(3):
            step(parallel, *batch(number, 8, (1, 2, 3)), parallel.parts)
            having = {name: p for name, p in model.named_parameters() if p.grad is not None}
            gradients.append({name: p.grad.numpy().copy() for name, p in having.items()})
            model.zero_grad()
            model.first.requires_grad_()
            if number:
                model.last.freeze()
        return gradients

    for found in thread_ranks.run(2, work):
        for mine, expected in zip(found, work(World()), strict=True):
            assert mine and apart(mine, expected) < 1e-12


def test_gradients_live_in_their_bucket_and_travel_while_backward_goes_on():
    class Look(Function):
        def forward(self, x, note):
            self.note = note
            return x.copy()

        def backward(self, grad_out):
            self.note()
            return grad_out

    def work(world):
        model, seen = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)).to(minicnn.float64), []
        parallel = DataParallel(model, world=world, bucket_cap_mb=42 * 8 / 2**20)  # the gradients of one layer each
        with parallel.step(2):
            x = Tensor(np.ones((2, 6)))
            for layer in model:
                x = Look.apply(layer(x), note=lambda: seen.append(sum(call == "start_sum" for call, _ in world.calls)))
            x.sum().backward()
            assert sum(call == "start_sum" for call, _ in world.calls) == 3
        for layer in model:
            weight, bias = layer.weight.grad.data, layer.bias.grad.data
            assert weight.base is bias.base and weight.base.size == 42
        return seen

    assert thread_ranks.run(2, work) == [[0, 1, 2]] * 2


def test_modules_of_which_each_rank_has_a_part():
    class Part(nn.BatchNorm2d):
        own_part = True

    def work(world):
        minicnn.manual_seed(world.rank)
        model = nn.Sequential(Part(2), nn.Conv2d(2, 2, 1)).to(minicnn.float64)
        part, shared = model
        part.weight.data[...] = part.running_mean.data[...] = world.rank + 5
        parallel = DataParallel(model, world=world)
        with parallel.step(4):
            (model(Tensor(np.full((4, 2, 1, 1), 3.0 * world.rank))) * (world.rank + 1)).sum().backward()
        assert (part.weight.numpy() == world.rank + 5).all()
        np.testing.assert_allclose(part.running_mean.numpy(), 0.9 * (world.rank + 5) + 0.3 * world.rank, rtol=1e-12)
        assert (shared.bias.grad.numpy() == 4 * 1 + 4 * 2).all()
        return part.bias.grad.numpy()

    own_0, own_1 = thread_ranks.run(2, work)
    np.testing.assert_allclose(own_1, 2 * own_0, rtol=1e-12)  # no sums; the shared weights behind it are the same


def test_totals_are_sums_over_parts_and_ranks():
    def work(world, shards):
        model = nn.Linear(2, 2)
        parallel = DataParallel(model, shards=shards, world=world)
        with parallel.in_parts([1, 0]):
            for i in range(2):
                with parallel.part(i):
                    model(Tensor(np.ones((1 - i, 2), np.float32))).sum().backward()
                    parallel.report(1, 10 * world.rank)
                    parallel.report(i)
        return parallel.totals.tolist()

    for shards in (None, 4):
        assert thread_ranks.run(2, lambda world, shards=shards: work(world, shards)) == [[4, 20, 2]] * 2


def test_outside_of_steps_gradients_are_a_ranks_own():
    def work(world):
        model = nn.Linear(2, 2, bias=False).to(minicnn.float64)
        parallel = DataParallel(model, world=world)
        x = Tensor(np.full((1, 2), world.rank + 1.0))
        found = []
        for _ in range(2):
            model(x).sum().backward()
            found.append(model.weight.grad.numpy().max())
            model.zero_grad()
            with parallel.step(1):
                model(x).sum().backward()
            found.append(model.weight.grad.numpy().max())
            model(x).sum().backward()  # on top of that
            found.append(model.weight.grad.numpy().max())
            model.zero_grad()
        parallel.close()
        parallel.close()
        model(x).sum().backward()
        assert not model.weight.grad_hooks
        with raises(RuntimeError, "after close()"), parallel.step(1):
            pass
        return found

    assert thread_ranks.run(2, work) == [[1, 3, 4] * 2, [2, 3, 5] * 2]


def test_a_step_that_an_error_has_ended_leaves_nothing_behind():
    def work(world):
        model = nn.Linear(2, 2, bias=False).to(minicnn.float64)
        parallel, x = DataParallel(model, world=world), Tensor(np.ones((1, 2)))
        with pytest.raises(ZeroDivisionError), parallel.step(1):
            model(x).sum().backward()
            raise ZeroDivisionError  # the gradients are on their way
        model.zero_grad()
        with parallel.step(1):
            model(x).sum().backward()
        return model.weight.grad.numpy().tolist()

    assert thread_ranks.run(2, work) == [[[2, 2], [2, 2]]] * 2


# What ranks must have in common. Each of them has to raise it: none may wait for one that has given up


def check_all_raise(size, error, parts, work):
    """work(world) raises this, with one text on all ranks."""

    def caught(world):
        with pytest.raises(error) as found:
            work(world)
        return str(found.value)

    (message,) = set(thread_ranks.run(size, caught))
    assert [part for part in parts if part not in message] == [], message


def linear_net(*sizes):
    return nn.Sequential(*(nn.Linear(*pair) for pair in itertools.pairwise(sizes))).to(minicnn.float64)


@pytest.mark.parametrize(
    "make, parts",
    [
        (lambda rank: linear_net(2, 3 + (rank == 2)), ["the model", "0.weight", "float64 (4, 2) in place 0 on rank 2"]),
        (lambda rank: linear_net(2, 3, *[2] * (rank == 2)), ["1.weight", "on rank 2", "nothing on rank 0"]),
        (lambda rank: linear_net(2, 3, *[2] * (rank == 0)), ["1.weight", "nothing on ranks 1 and 2"]),
        (lambda rank: linear_net(2, 3).to(np.float32 if rank == 1 else np.float64), ["trained float32 (3, 2) in"]),
        (lambda rank: linear_net(2, 3).requires_grad_(rank != 1), ["is float64 (3, 2)", "trained float64 (3, 2)"]),
        (lambda rank: nn.ModuleDict({name: nn.Linear(2, 2) for name in ("ab" if rank else "ba")}), ["in place 2"]),
        (lambda rank: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2 + rank, affine=False)), ["1.running_mean"]),
    ],
    ids=["shape", "more", "fewer", "dtype", "frozen", "order", "buffer"],
)  # fmt: skip
def test_models_that_differ(make, parts):
    check_all_raise(3, RanksDiffer, parts, lambda world: DataParallel(make(world.rank), world=world))


OTHER = [("shards", (4, 2)), ("bucket_cap_mb", (25.0, 24.0)), ("send", ("float32", "bfloat16"))]


@pytest.mark.parametrize("option, values", OTHER)
def test_settings_that_differ(option, values):
    def work(world):
        DataParallel(linear_net(2, 2), world=world, **{option: values[world.rank]})

    parts = ["DataParallel", f"{option} is {values[1]} on rank 1, {values[0]} on rank 0"]
    check_all_raise(2, RanksDiffer, parts, work)


def start(world, **options):
    """A model of two layers, its DataParallel, and a picture."""
    model = linear_net(2, 3, 2)
    return model, DataParallel(model, world=world, **options), Tensor(np.ones((1, 2)))


@pytest.mark.parametrize("bucket_cap_mb", [25, TINY])
def test_a_gradient_that_one_rank_has_not(bucket_cap_mb):
    def work(world):
        model, parallel, x = start(world, bucket_cap_mb=bucket_cap_mb)
        with parallel.step(1):
            (model(x) if world.rank else model[1](model[0](x).detach())).sum().backward()

    parts = ["the parameter 0.weight", "has a gradient on ranks 1 and 2, and none on rank 0", "the same layers"]
    check_all_raise(3, RanksDiffer, parts, work)


@pytest.mark.parametrize("shards", [None, 2])
@pytest.mark.parametrize("size", [1, 2])
def test_backward_behind_the_step(size, shards):
    def work(world):
        model, parallel, x = start(world, shards=shards)
        with parallel.in_parts([1] * parallel.parts):
            for number in range(parallel.parts):
                with parallel.part(number):
                    loss = model(x).sum()
        loss.backward()

    check_all_raise(size, RuntimeError, ["no parameter has a gradient", "call loss.backward() within it"], work)


@pytest.mark.parametrize("shards", [None, 2])
def test_a_gradient_of_before(shards):
    def work(world):
        model, parallel, x = start(world, shards=shards)
        if world.rank == 1:
            model(x).sum().backward()
        with parallel.step(1):
            model(x).sum().backward()

    check_all_raise(2, RuntimeError, ["a .grad is left", "optimizer.zero_grad()", "to None"], work)


@pytest.mark.parametrize("shards", [None, 4])
@pytest.mark.parametrize("size", [1, 2])
def test_an_update_within_the_step(size, shards):
    def work(world):
        model, parallel, x = start(world, shards=shards)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        with parallel.in_parts([1] * parallel.parts):
            for i in range(parallel.parts):
                with parallel.part(i):
                    model(x).sum().backward()
            if world.rank == 0:
                optimizer.step()

    check_all_raise(size, RuntimeError, ["changed within the step", "optimizer.step() after the block"], work)


def test_a_step_that_no_rank_has_rows_for_needs_no_gradient():
    with start(World())[1].step(0):
        pass


def test_shards_on_one_process_lose_no_gradient_of_before():
    model, parallel, x = start(World(), shards=2)
    model(x).sum().backward()
    with raises(RuntimeError, "a .grad is left"), parallel.in_parts([1, 1]):
        pass


def test_other_numbers_of_parts():
    def parts_of_ranks(world):
        with start(world)[1].in_parts([1] * (1 + world.rank)):
            pass

    def parts_of_shards(world):
        with start(world, shards=4)[1].in_parts([1] * (2 + world.rank)):
            pass

    check_all_raise(2, RanksDiffer, ["how many parts there are", "rank 1 and on rank 0"], parts_of_ranks)

    def caught(world):
        with raises(ValueError, "each of 2 ranks has 2 of the 4 shards", f"not {2 + world.rank}"):
            parts_of_shards(world)

    thread_ranks.run(2, caught)


def test_freezing_on_one_rank():
    def work(world):
        model, parallel, _ = start(world)
        model[world.rank].freeze()
        with parallel.step(1):
            pass

    check_all_raise(2, RanksDiffer, ["what is frozen", "rank 1 and on rank 0"], work)


@pytest.mark.parametrize("given", [(2, 0), (0, 2), (2, 3)])
def test_other_numbers_of_reports(given):
    def work(world):
        model, parallel, x = start(world)
        with parallel.step(1):
            model(x).sum().backward()
            parallel.report(*range(given[world.rank]))

    check_all_raise(2, RanksDiffer, ["report", "every part of every rank", "as many numbers"], work)


@pytest.mark.parametrize("given", [(0, 1, 0), (1, 3, 2), (2, 1, 2)])
def test_parts_that_report_other_numbers(given):
    model, parallel, x = start(World())
    with raises(RanksDiffer, "report", "every part"), parallel.in_parts([1, 1, 1]):
        for i in range(3):
            with parallel.part(i):
                model(x).sum().backward()
                parallel.report(*range(given[i]))


def test_backward_twice():
    def work(world):
        model, parallel, x = start(world, bucket_cap_mb=TINY)
        with parallel.step(1):
            model(x).sum().backward()
            model(x).sum().backward()

    check_all_raise(2, RuntimeError, ["backward() twice", "add the losses"], work)


@pytest.mark.parametrize("change", [lambda p: delattr(p, "grad"), lambda p: setattr(p, "grad", p.grad * 2)])
def test_a_gradient_that_is_changed_within_the_step(change):
    def work(world):
        model, parallel, x = start(world)
        with parallel.step(1):
            model(x).sum().backward()
            change(model[0].weight)

    check_all_raise(2, RuntimeError, ["was replaced or removed within the step", "after the step"], work)


def test_a_gradient_that_is_given_by_hand_is_summed_too():
    def work(world):
        model, parallel, _ = start(world)
        with parallel.step(1):
            model[1](Tensor(np.ones((1, 3)))).sum().backward()
            for parameter in model[0].parameters():
                parameter.grad = parameter.detach() * 0 + world.rank + 1
        return [parameter.grad.numpy().max() for parameter in model[0].parameters()]

    assert thread_ranks.run(2, work) == [[3, 3]] * 2


def test_parts_that_are_not_worked_on_in_order():
    _, parallel, _ = start(World())
    with raises(ValueError, "part(0)", "part 0 of 0 comes next", "within in_parts"), parallel.part(0):
        pass
    with raises(RuntimeError, "report", "within one"):
        parallel.report(1)
    with raises(RuntimeError, "1 of 2 parts were worked on", "parallel.part(i)"), parallel.in_parts([1, 1]):
        with raises(ValueError, "part(1)", "part 0 of 2 comes next"), parallel.part(1):
            pass
        with parallel.part(0), raises(ValueError, "part(0)", "each part once"), parallel.part(0):
            pass
        with raises(ValueError, "part(0)", "part 1 of 2 comes next"), parallel.part(0):
            pass
    with raises(ValueError, "17 numbers", "16"), parallel.step(1):
        parallel.report(*range(17))


def test_settings_that_do_not_fit():
    model = linear_net(2, 2)
    for shards in (3, 6):
        with raises(ValueError, "shards must be a power of two", str(shards)):
            DataParallel(model, shards=shards, world=World())
    with raises(ValueError, "send must be 'float32' or 'bfloat16'", "'float16'"):
        DataParallel(model, send="float16", world=World())
    with raises(ValueError, "bucket_cap_mb", "above 0"):
        DataParallel(model, bucket_cap_mb=0, world=World())
    for rows in (-1, 1.5, True):
        with raises((TypeError, ValueError), "DataParallel: rows"), DataParallel(model, world=World()).step(rows):
            pass
    with raises(ValueError, "SyncBatchNorm", "leave shards= out"):
        DataParallel(nn.SyncBatchNorm(3), shards=2, world=World())

    def three(world):
        with raises(ValueError, "4 shards cannot be shared out to 3 ranks", "1, 2, 4"):
            DataParallel(model, shards=4, world=world)

    thread_ranks.run(3, three)


def test_threads_that_stand_for_ranks_notice_what_mpi_would_not():
    """Of the tests' own ranks: without this, the errors above would show nothing."""
    with pytest.raises(AssertionError, match="different calls"):
        thread_ranks.run(2, lambda world: world.sum(np.ones(2 + world.rank)))
    with pytest.raises(thread_ranks.Left):
        thread_ranks.run(2, lambda world: world.rank or world.sum(np.ones(2)))
    with pytest.raises(thread_ranks.Left):
        thread_ranks.run(2, lambda world: world.start_sum(np.ones(2)).wait() if world.rank else world.sum(np.ones(2)))
    with pytest.raises(AssertionError, match="start_sum 0"):
        thread_ranks.run(2, lambda world: world.start_sum(np.ones(2 + world.rank)).wait())

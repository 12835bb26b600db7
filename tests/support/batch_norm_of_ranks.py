"""What a rank checks of batch norm over ranks, whether it is a thread or a process: it is batch norm of all rows."""

import numpy as np
from checks import check_close

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn
from minicnn.device import to_device


def check_equals_one_process(world, place, rows, *, pixels=(3, 2), mean=0.0, apart=0.0, tolerance=1e-12):
    """Output, running statistics and all gradients, in float64, of a batch that is cut into `rows`.

    pixels: the shape of a picture. mean: about that of all values. apart: how far that of each rank is from the next.
    """
    rng, channels, last = np.random.default_rng(sum(rows)), 4, np.cumsum(rows)[world.rank]
    own = slice(last - rows[world.rank], last)  # this rank's rows of the batch
    x, grad = rng.standard_normal((2, sum(rows), channels, *pixels))
    x += mean + apart * np.repeat(np.arange(len(rows)), rows).reshape(-1, 1, *[1] * len(pixels))
    running, affine = 1 + rng.random((2, channels)), rng.standard_normal((2, channels))

    def results(function, part):
        buffers = [place.tensor(each.copy()) for each in running]
        inputs = [place.tensor(each, requires_grad=True) for each in (x[part], *affine)]
        y = function(inputs[0], *buffers, *inputs[1:], training=True, momentum=0.3)
        y.backward(place.tensor(grad[part]))
        assert {tensor.device for tensor in (y, *buffers, inputs[0].grad)} == {place.device}
        return y, inputs[0].grad, buffers, [tensor.grad for tensor in inputs[1:]]

    y, grad_x, buffers, grads = results(F.sync_batch_norm, own)
    expected_y, expected_grad_x, expected_buffers, expected_grads = results(F.batch_norm, slice(None))
    check_close(y.numpy(), expected_y.numpy()[own], tolerance)
    check_close(grad_x.numpy(), expected_grad_x.numpy()[own], tolerance)
    for ours, expected in zip(buffers, expected_buffers, strict=True):
        check_close(ours.numpy(), expected.numpy(), tolerance)
        assert len({each.tobytes() for each in world.gather(ours.data)}) == 1, "the ranks differ"
    for ours, expected in zip(grads, expected_grads, strict=True):
        check_close(to_device(world.sum(ours.data), "cpu"), expected.numpy(), tolerance)


def check_network_equals_one_process(world, rows, *, convert=nn.SyncBatchNorm.convert_sync_batchnorm):
    """A ResNet, whose batch norms have ReLUs and shortcuts behind them: scores, gradients, running statistics."""
    rng, last = np.random.default_rng(0), np.cumsum(rows)[world.rank]
    own = slice(last - rows[world.rank], last)
    images, grad = rng.standard_normal((sum(rows), 3, 8, 8)), rng.standard_normal((sum(rows), 10))

    def results(change, part):
        manual_seed(0)
        model = change(models.cifar_resnet(8)).double().train()
        scores = model(Tensor(images[part]))
        scores.backward(Tensor(grad[part]))
        return scores.numpy(), [p.grad.numpy() for p in model.parameters()], [b.numpy() for b in model.buffers()]

    scores, grads, buffers = results(convert, own)
    expected_scores, expected_grads, expected_buffers = results(lambda model: model, slice(None))
    check_close(scores, expected_scores[own], 1e-12)
    for ours, expected in zip(grads, expected_grads, strict=True):
        check_close(world.sum(ours), expected, 1e-12)
    for ours, expected in zip(buffers, expected_buffers, strict=True):
        check_close(ours, expected, 1e-12)

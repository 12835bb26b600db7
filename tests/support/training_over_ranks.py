"""The same few training steps on any number of ranks, for tests that compare what comes out.

    expected = train(World(), dropout_net)                                    # one process
    for found in thread_ranks.run(3, lambda world: train(world, dropout_net)):
        assert apart(found, expected) < 1e-12

Ranks begin with other weights and other random numbers, of which rank 0's must prevail.
"""

import hashlib

import numpy as np

import minicnn
from minicnn import Tensor, models, nn, optim
from minicnn import functional as F
from minicnn.distributed import DataParallel
from minicnn.distributed.rows import rows

BATCHES = (8, 7, 5, 8, 1)  # rows; of the last one all ranks but one have none
CLASSES = 5


def dropout_net():
    convolution = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    hidden = [nn.Dropout(0.3), nn.Linear(4 * 4 * 4, 9), nn.ReLU(inplace=True), nn.Dropout(0.3)]
    return nn.Sequential(*convolution, nn.Flatten(), *hidden, nn.Linear(9, CLASSES)), (3, 8, 8)


def batch_norm_net(norm=nn.BatchNorm2d):
    layers = [nn.Conv2d(3, 4, 3, bias=False), norm(4), nn.ReLU(), nn.Conv2d(4, 6, 3), norm(6, affine=False)]
    return nn.Sequential(*layers, nn.Dropout(0.3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES)), (
        3,
        7,
        6,
    )


def sync_batch_norm_net():
    return batch_norm_net(nn.SyncBatchNorm)


def alexnet():
    return models.alexnet_2012(CLASSES, dropout=0.3, width=16), (3, 67, 67)


def resnet8():
    return models.cifar_resnet(8, num_classes=CLASSES), (3, 12, 12)


def sync_resnet8():
    return nn.SyncBatchNorm.convert_sync_batchnorm(resnet8()[0]), (3, 12, 12)


def train(world, make, parts=1, shards=None, batches=BATCHES, device="cpu", change=lambda model: None, **options):
    """{name: array} of parameters and buffers after these steps of momentum; and "totals" of the last: loss, rows.

    parts: in how many each rank works on its rows. change(model) is called before the first step."""
    minicnn.manual_seed(3 + world.rank)
    model, shape = make()
    model.to(device, minicnn.float64)
    change(model)
    optimizer = optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=0.01)
    parallel = DataParallel(model, shards=shards, world=world, **options)
    for number, count in enumerate(batches):
        step(parallel, *batch(number, count, shape), parts if shards is None else parallel.parts)
        optimizer.step()
        optimizer.zero_grad()
    parallel.close()
    state = {name: tensor.cpu().numpy().copy() for name, tensor in model.state_dict().items()}
    return {**state, "totals": parallel.totals}


def batch(number, count, shape):
    rng = np.random.default_rng(number)
    return rng.standard_normal((count, *shape)), rng.integers(0, CLASSES, count)


def step(parallel, images, labels, parts=1):
    """Forward and backward of this rank's rows of a batch of all, in so many parts."""
    device = next(parallel.model.parameters()).device
    first, finer = parallel.world.rank * parts, parallel.world.size * parts
    cuts = [rows(len(labels), first + i, finer) for i in range(parts)]
    with parallel.in_parts([len(cut) for cut in cuts]) as count:
        assert count == len(labels)
        for i, cut in enumerate(cuts):
            with parallel.part(i):
                scores = parallel.model(Tensor(images[cut.start : cut.stop]).to(device))
                loss = F.cross_entropy(scores, labels[cut.start : cut.stop], reduction="sum") / count
                loss.backward()
                parallel.report(loss.item(), len(cut))


def apart(found, expected):
    """The largest difference of two results of ``train``."""
    assert list(found) == list(expected)
    return max(np.abs(found[name] - expected[name]).max(initial=0) for name in found)


def digest(found):
    """The SHA-256 of all that has come out."""
    assert all(np.isfinite(array).all() for array in found.values())
    return hashlib.sha256(b"".join(array.tobytes() for array in found.values())).hexdigest()

"""DataParallel on real processes, which MPI has started, against one: AlexNet with dropout, ResNet-8 with batch norm.

Four momentum steps of global batches of 8, 7, 5 and 8 rows, and one of a single row, in float64.
"""

import functools
import json

import mpi
import numpy as np
import pytest
import training_over_ranks
from training_over_ranks import apart, train

from minicnn import tier
from minicnn.distributed import World

pytestmark = mpi.skip_without_mpi

# What each rank prints: a digest of each run. What comes out on rank 0 is kept in a folder. Shards are compared here
# with one process of as many threads: in how many parts these make a sum changes its bits, too
PROGRAM = """
import json, sys
import numpy as np
import minicnn
from minicnn.distributed import World, world
from training_over_ranks import *

folder, tier, *runs = sys.argv[1:]
minicnn.set_tier(tier)
for number, run in enumerate(runs):
    network, options = json.loads(run)
    found = train(world(), globals()[network], **options)
    print(digest(found))
    if world().is_main:
        np.savez(f"{folder}/{number}.npz", **found)
        if "shards" in options:
            assert digest(found) == digest(train(World(), globals()[network], **options)), run
"""


def on_ranks(size, tier, folder, *runs):
    """What each of these runs, (network, options), ends in; all ranks have the same bits."""
    digests = set(mpi.succeed(size, PROGRAM, folder, tier, *map(json.dumps, runs), timeout=200))
    assert len(digests) == 1, digests
    return [dict(np.load(folder / f"{i}.npz")) for i in range(len(runs))]


@functools.cache
def on_one(network, tier_name):
    with tier(tier_name):
        return train(World(), getattr(training_over_ranks, network))


def check_equals_one_process(size, tier, folder):
    dropout, synchronised, local = on_ranks(size, tier, folder, ("alexnet", {}), ("sync_resnet8", {}), ("resnet8", {}))
    assert apart(dropout, on_one("alexnet", tier)) < 1e-12
    assert apart(synchronised, on_one("resnet8", tier)) < 1e-12
    assert apart(local, on_one("resnet8", tier)) > 1e-3


def test_two_ranks_equal_one_process(tmp_path):
    check_equals_one_process(2, "fast", tmp_path)


def test_small_buckets_parts_and_shards_on_four_ranks(tmp_path):
    runs = ("dropout_net", {"bucket_cap_mb": 1e-4, "parts": 2}), ("batch_norm_net", {"shards": 4})
    buckets, _ = on_ranks(4, "fast", tmp_path, *runs)
    assert apart(buckets, on_one("dropout_net", "fast")) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("size, tier", [(2, "plain"), (3, "fast"), (4, "fast"), (4, "plain")])
def test_more_ranks_equal_one_process(size, tier, tmp_path):
    check_equals_one_process(size, tier, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_shards_of_large_networks_give_the_same_bits(size, tmp_path):
    on_ranks(size, "fast", tmp_path, ("alexnet", {"shards": 4}), ("resnet8", {"shards": 4}))

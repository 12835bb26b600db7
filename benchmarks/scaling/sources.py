"""All that is not computed here: links, clusters, the speeds of single GPUs, published results, with their sources.

Nothing about GPUs has been measured by minicnn. What no source states is marked as ASSUMED.

    NCCL       src/graph/tuning.cc and topo.h of NVIDIA's library of that name, version 2.30: the numbers by which it
               chooses between a ring and a tree (its protocol "Simple", which is that for large arrays)
    Goyal      "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017 (arXiv:1706.02677v2)
    Horovod    Sergeev and Del Balso, 2018 (arXiv:1802.05799); the numbers are in the README of the repository
               horovod/horovod: 16 GPUs and single ones in 2017, 128 GPUs at the end of 2017, 512 GPUs from 2018 on
    Chainer    Akiba et al., "Extremely large minibatch SGD: training ResNet-50 on ImageNet in 15 minutes", 2017
               (arXiv:1711.04325); efficiencies in Tokui et al., "Chainer", KDD 2019, sections 6.4 and 10.1
    TensorFlow docs_src/performance/benchmarks.md of the repository tensorflow/tensorflow, May 2017: a DGX-1, synthetic
               pictures, gradients summed by NCCL
    NVIDIA     PyTorch/Classification/ConvNets/resnet50v1.5/README.md of the repository NVIDIA/DeepLearningExamples,
               a DGX A100, PyTorch 21.03, ImageNet's pictures; the batch is in configs.yml, one folder up
"""

from typing import NamedTuple

from .collectives import Cluster, Link, ring, tree
from .step import How

GB, GBIT = 1e9, 1e9 / 8

# Of 1,538 bytes that a full frame of Ethernet takes on the wire, 1,448 are the program's: the others are its preamble,
# gap and check sum (IEEE 802.3) and the headers of IP and TCP, with time stamps. That is 94 %. Of the 50 GB/s of NDR
# InfiniBand, NCCL gets 46 to 48, so says one of its developers (NVIDIA/nccl-tests, issue 290): 94 %, too.
PAYLOAD = 1448 / 1538

HOP_NVLINK, HOP_PCIE, HOP_NETWORK = 3.4e-6, 5.7e-6, 14e-6  # seconds: NCCL, the same for all networks
HOP_TCP = 50e-6  # ASSUMED, for MPI's messages between processors

INSIDE = {  # from one GPU to the others of its machine
    "NVLink 1": Link(HOP_NVLINK, 4 * 18 * GB),  # P100: 4 links; what a link carries: NCCL (sold as 20 GB/s)
    "NVLink 2": Link(HOP_NVLINK, 6 * 20 * GB),  # V100: 6 links (25)
    "NVLink 3": Link(HOP_NVLINK, 12 * 20 * GB),  # A100: 12 links (25)
    "NVLink 4": Link(HOP_NVLINK, 18 * 20.6 * GB),  # H100: 18 links (25)
    "PCIe 3": Link(HOP_PCIE, 12 * GB),  # 16 lanes: NCCL
}

RATES = {  # Gb/s of a port: the standards
    "InfiniBand NDR": 400, "InfiniBand HDR": 200, "InfiniBand EDR": 100, "InfiniBand FDR": 54.5,  # sold as 56
    "100 Gb/s Ethernet": 100, "50 Gb/s Ethernet": 50, "25 Gb/s Ethernet": 25, "10 Gb/s Ethernet": 10,
}  # fmt: skip


def network(name: str, ports: int = 1, hop: float = HOP_NETWORK) -> Link:
    """What a machine with so many ports has."""
    return Link(hop, ports * RATES[name] * GBIT * PAYLOAD)


BIG_BASIN = Cluster(8, INSIDE["NVLink 1"], network("50 Gb/s Ethernet"))  # Goyal, section 4.3
HOROVODS = Cluster(4, INSIDE["PCIe 3"], network("25 Gb/s Ethernet"))  # 4 "Pascal" GPUs; PCIe 3 is ASSUMED
MN_1 = Cluster(8, INSIDE["PCIe 3"], network("InfiniBand FDR", ports=2))  # Chainer; PCIe 3 is ASSUMED
DGX_1 = Cluster(8, INSIDE["NVLink 1"], network("InfiniBand EDR", ports=4))  # only used by itself
DGX_A100 = Cluster(8, INSIDE["NVLink 3"], network("InfiniBand HDR", ports=8))  # NVIDIA's data sheet

IMAGENET = 1_281_167  # pictures to train with, of 2012

GOYAL_BATCH, GOYAL_EPOCHS = 32, 90  # a GPU; section 5.1
GOYAL_HOURS = {8: 29.0, 256: 1.0}  # section 1 and the abstract: whole trainings, rounded
GOYAL_BACKWARD = 0.120  # seconds on a single P100, section 4.3
GOYAL_LONGER = {352: 1.12}  # section 5.5: a step on so many GPUs beside one on 8


def goyal_seconds(gpus: int, hours: float) -> float:
    """Of a step: 90 epochs in so many hours."""
    return hours * 3600 * gpus * GOYAL_BATCH / (GOYAL_EPOCHS * IMAGENET)


CHAINER_SECONDS, CHAINER_STEPS = 897.9, 90 * IMAGENET / 32_768  # on 1,024 GPUs, with validation


class Speed(NamedTuple):
    """How fast a single GPU trains a network."""

    network: str
    batch: int
    images_per_second: float


SPEEDS = {
    "horovod resnet101": Speed("resnet101", 64, 119.4),  # Horovod, 2017
    "horovod inception_v3": Speed("inception_v3", 64, 134.4),
    "horovod vgg16": Speed("vgg16", 64, 130.9),
    "tensorflow vgg16": Speed("vgg16", 64, 154),  # TensorFlow
    "tensorflow alexnet": Speed("alexnet", 512, 2987),
    "nvidia tf32": Speed("resnet50", 256, 938),  # NVIDIA
    "nvidia mixed": Speed("resnet50", 256, 2470),
}

HOW = {
    "goyal": How(tree),  # "halving/doubling": as many messages as a tree, as many bytes as a ring (section 4.1)
    "horovod": How(ring, bucket_bytes=64 * 2**20),  # "fusion buffer" of 64 MB, section 7 of the paper
    "chainer": How(ring, bucket_bytes=float("inf"), overlap=False, bytes_sent=2),  # float16, before the update
    "tensorflow": How(ring),
    "nvidia": How(),
}

PUBLISHED = {  # {GPUs: efficiency, beside as many single GPUs}
    "horovod resnet101": {16: 1746.2 / 119.4 / 16, 128: 0.90, 512: 0.90},
    "horovod inception_v3": {16: 2022.6 / 134.4 / 16, 128: 0.90, 512: 0.90},
    "horovod vgg16": {16: 1787.4 / 130.9 / 16, 128: 0.79, 512: 0.68},
    "chainer": {8: 0.70 / 0.80, 1024: 0.70},  # 80 % beside 8 GPUs
    "tensorflow vgg16": {8: 1081 / 154 / 8},
    "tensorflow alexnet": {8: 17822 / 2987 / 8},
    "nvidia tf32": {8: 7248 / 938 / 8},
    "nvidia mixed": {8: 16621 / 2470 / 8},
}

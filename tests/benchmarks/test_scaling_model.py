"""benchmarks/scaling_model.py: limits that one can work out, what must never be slower, the page about it."""

import json
import math
import random
import sys

import numpy as np
import pytest
from gpu_benchmark import program
from paths import ROOT
from PIL import Image

import minicnn

collectives, networks, step = map(program, ("scaling.collectives", "scaling.networks", "scaling.step"))
cases, sources, results, tables = map(
    program, ("scaling.cases", "scaling.sources", "scaling.results", "scaling.tables")
)

Layer, How, Work, Link, Cluster = networks.Layer, step.How, step.Work, collectives.Link, collectives.Cluster
ring, tree, faster = collectives.ring, collectives.tree, collectives.faster
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")

LAYERS = Layer(1_000_000, 500), Layer(64, 0), Layer(3_000_000, 1000), Layer(2_000_000, 250)
WORK = Work.of(LAYERS, 0.1)
BYTES = 4 * 6_000_064
CLUSTER = Cluster(8, Link(3e-6, 200e9), Link(20e-6, 20e9))
AT_ONCE = How(ring, bucket_bytes=math.inf, overlap=False)


def longer(cluster, gpus, how, work=WORK):
    """By how much a step takes longer than on one GPU."""
    return step.step_seconds(work, cluster, gpus, how) - work.seconds


# Limits


@pytest.mark.parametrize("algorithm", [ring, tree, faster])
@pytest.mark.parametrize("overlap", [True, False])
def test_one_gpu_waits_for_nobody(algorithm, overlap):
    how = How(algorithm, overlap=overlap, jitter=0.1)
    assert step.efficiency(WORK, CLUSTER, 1, how) == 1
    assert step.efficiency(WORK, CLUSTER._replace(per_machine=1), 1, how) == 1


@pytest.mark.parametrize("algorithm", [ring, tree])
def test_an_infinite_network_costs_nothing(algorithm):
    endless = Link(0.0, math.inf)
    for gpus in (2, 8, 1024):
        assert step.efficiency(WORK, Cluster(8, endless, endless), gpus, How(algorithm, overlap=False)) == 1


@pytest.mark.parametrize(
    "gpus, bandwidth, inside, between",
    [(2, 200e9, 2, 0), (8, 200e9, 14, 0), (24, 20e9, 42, 4), (1024, 20e9, 1792, 254)],
)
def test_a_ring_in_one_piece(gpus, bandwidth, inside, between):
    expected = 2 * (gpus - 1) / gpus * BYTES / bandwidth + inside * 3e-6 + between * 20e-6
    assert longer(CLUSTER, gpus, AT_ONCE) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("gpus, bandwidth, chain, depth", [(2, 200e9, 1, 0), (24, 20e9, 7, 2), (1024, 20e9, 7, 7)])
def test_a_tree_in_one_piece(gpus, bandwidth, chain, depth):
    expected = 2 * BYTES / bandwidth + 2 * (chain * 3e-6 + depth * 20e-6)
    assert longer(CLUSTER, gpus, AT_ONCE._replace(algorithm=tree)) == pytest.approx(expected, rel=1e-9)


def test_a_wide_network_leaves_the_links_inside_as_the_narrow_ones():
    cluster = CLUSTER._replace(between=Link(0.0, 900e9))
    assert cluster.bandwidth(1024) == 200e9 and cluster._replace(per_machine=1).bandwidth(1024) == 900e9


def test_a_tree_is_for_many_gpus_and_a_ring_for_large_arrays():
    assert tree(1e3, 1024, CLUSTER) < ring(1e3, 1024, CLUSTER) / 20
    assert ring(1e9, 8, CLUSTER) < tree(1e9, 8, CLUSTER)
    assert faster(1e3, 1024, CLUSTER) == tree(1e3, 1024, CLUSTER) and faster(1e9, 8, CLUSTER) == ring(1e9, 8, CLUSTER)


def test_half_the_bytes_take_half_the_time():
    cluster = Cluster(8, Link(0.0, 200e9), Link(0.0, 20e9))
    half = AT_ONCE._replace(bytes_sent=2)
    assert longer(cluster, 64, half) == pytest.approx(longer(cluster, 64, AT_ONCE) / 2, rel=1e-9)


# Buckets


def test_backwards_share_of_a_step():
    """Twice the multiplications of forward, and once those of the first layer: 500 + 2 * 1000 + 2 * 250 of 4,750."""
    assert step.backward_costs(LAYERS) == [500, 0, 2000, 500]
    assert WORK.backward == pytest.approx(0.1 * 3000 / 4750)


def test_buckets_begin_with_the_last_layer():
    assert step.buckets(LAYERS, 4 * 2_500_000) == [(5_000_000, 2500 / 3000), (1_000_064, 1.0)]
    assert step.buckets(LAYERS, 1) == [
        (2_000_000, 500 / 3000),
        (3_000_000, 2500 / 3000),
        (64, 2500 / 3000),
        (1_000_000, 1),
    ]
    assert step.buckets(LAYERS, math.inf) == [(6_000_064, 1.0)]


def test_sums_go_on_while_backward_does():
    """Backward of 30 ms: layers of 5, 20, 0 and 5 ms, from the last on. Sums of 8, 12, 0 and 4 ms.

    At 5 ms the first begins, at 25 the second (the first has ended at 13), at 37 the third and the fourth: to 41 ms.
    """
    work = Work(LAYERS, 0.045, 0.030)
    cluster = Cluster(1, Link(0.0, math.inf), Link(0.0, 2e9))
    how = How(tree, bucket_bytes=1)
    assert longer(cluster, 2, how, work) == pytest.approx(0.011, abs=1e-6)
    assert longer(cluster, 2, how._replace(overlap=False), work) == pytest.approx(0.024, abs=1e-6)


def test_what_must_never_be_slower():
    draw = random.Random(0)
    for _ in range(200):
        layers = [Layer(draw.randrange(1, 10**7), draw.randrange(1, 10**9)) for _ in range(draw.randrange(1, 9))]
        work = Work.of(layers, draw.uniform(1e-3, 1))
        inside, between = (Link(draw.uniform(0, 1e-4), 10 ** draw.uniform(8, 12)) for _ in range(2))
        cluster, gpus = Cluster(draw.choice((1, 2, 8)), inside, between), draw.randrange(2, 2000)
        how = How(
            draw.choice((ring, tree, faster)), 10 ** draw.uniform(3, 9), draw.random() < 0.5, 4, draw.uniform(0, 0.1)
        )
        time = step.step_seconds(work, cluster, gpus, how)
        wider = cluster._replace(between=between._replace(bandwidth=2 * between.bandwidth))
        for other in (
            step.step_seconds(work, wider, gpus, how),
            step.step_seconds(work, cluster, gpus, how._replace(overlap=True)),
            step.step_seconds(work, cluster, gpus, how._replace(bytes_sent=2)),
            step.step_seconds(work, cluster, gpus, how._replace(algorithm=faster)),
            step.step_seconds(work, cluster, gpus, how._replace(jitter=0.0)),
            work.seconds,
        ):
            assert other <= time * (1 + 1e-12)


# Jitter


@pytest.mark.parametrize(
    "count, mean", [(1, 0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (10, 1.53875), (100, 2.50759)]
)
def test_the_largest_of_normal_numbers(count, mean):
    """Of 10 and 100: Tippett's tables, Biometrika 1925."""
    assert step.expected_maximum(count) == pytest.approx(mean, abs=1e-5)


def test_a_step_waits_for_the_slowest_node():
    endless = Link(0.0, math.inf)
    for gpus, machines in ((8, 1), (16, 2), (1024, 128)):
        expected = 1 / (1 + 0.03 * step.expected_maximum(machines))
        assert step.efficiency(WORK, Cluster(8, endless, endless), gpus, How(jitter=0.03)) == pytest.approx(expected)


def test_the_fitted_numbers_say_what_was_published():
    published = {gpus: sources.goyal_seconds(gpus, hours) for gpus, hours in sources.GOYAL_HOURS.items()}
    assert f"{published[8]:.3f} {published[256]:.3f}" == "0.232 0.256"
    case = cases.goyal()
    for gpus, seconds in published.items():
        assert case.seconds(gpus) == pytest.approx(seconds, rel=1e-6)
    assert case.seconds(256, jitter=0.0) < 0.95 * published[256] and 0 < case.how.jitter < 0.1
    assert case.seconds(1) == case.work.seconds < published[8]


# What is counted, measured and published


@pytest.mark.parametrize(
    "name, parameters",
    [("alexnet", 61_100_840), ("vgg16", 138_357_544), ("resnet50", 25_557_032), ("resnet101", 44_549_160)],
)
def test_parameters_of_the_networks(name, parameters):
    assert sum(layer.parameters for layer in networks.layers(name)) == parameters


def test_layers_are_those_of_the_summary(capsys):
    rows = minicnn.summary(minicnn.models.resnet18(), (3, 224, 224)).rows
    assert networks.layers("resnet18") == tuple((row.parameters, row.multiply_adds) for row in rows if row.parameters)
    first, *_ = networks.layers("inception_v3")  # pictures of 299 pixels: maps of 149
    assert first.multiply_adds == 149 * 149 * 32 * 3 * 3 * 3


def test_nodes_without_gpu_are_as_fast_as_measured():
    assert f"AlexNet, batch 64 | {64 / cases.on_processors('10 Gb/s Ethernet').work.seconds:.1f} |" in (
        ROOT / "docs" / "speed.md"
    ).read_text(encoding="utf-8")


# The page and the program


@pytest.fixture(scope="module")
def found():
    return results.results()


def test_the_page_has_the_programs_tables(found):
    stated = "\n".join(["", *PAGE.splitlines(), ""])
    for text in (tables.fitted(found), *tables.tables(found)):
        assert f"\n{text}\n" in stated


def test_the_page_tells_of_them_rightly(found):
    prose = " ".join(PAGE.split())
    goyal = {way: dict(zip(found["goyal"]["gpus"], found["goyal"][way], strict=True)) for way in results.WAYS}
    assert f"{goyal['without_jitter'][256]:.3f} s, as the overlap hides the sums" in prose
    assert f"(without it {goyal['without_overlap'][256]:.3f} s)" in prose
    published = {case["label"]: case for case in found["published"]}
    for label, quoted in (
        ("Horovod: VGG-16", "VGG-16 on Horovod's machines: {} instead of {}"),
        ("Chainer: ResNet-50", "Chainer on 1,024 GPUs: {} instead of {}"),
    ):
        model, told = published[label]["at_published"]["model"][-1], [*published[label]["published"].values()][-1]
        assert quoted.format(tables.percent(model), tables.percent(told)) in prose
    in_one = "TensorFlow: VGG-16", "TensorFlow: AlexNet", "Chainer: ResNet-50", "NVIDIA: ResNet-50, mixed"
    lost = [100 - 100 * published[label]["published"]["8"] for label in in_one]
    assert f"lose {min(lost):.0f} to {max(lost):.0f} %" in prose
    vgg, alexnet = (networks.layers(name) for name in ("vgg16", "alexnet"))
    part = sum(layer.parameters for layer in vgg[-3:]) / sum(layer.parameters for layer in vgg)
    assert f"{100 * part:.0f} % of the {4e-6 * sum(layer.parameters for layer in vgg):.0f} MB" in prose
    seconds = results.today("AlexNet", "8 x InfiniBand HDR").work.seconds
    assert f"AlexNet has {4e-6 * sum(layer.parameters for layer in alexnet):.0f} MB of gradients" in prose
    assert f"for a step of {1000 * seconds:.0f} ms" in prose


def test_the_figure_shows_them(found):
    with Image.open(ROOT / "docs" / "scale.png") as figure:
        drawn = json.loads(figure.text["Description"])
    assert list(flat(drawn)) == pytest.approx(list(flat(found)), rel=1e-4)


def flat(value, path=""):
    """All numbers, in order."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from flat(item)
    if isinstance(value, (int, float)):
        yield value


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["scaling_model.py", *arguments])
    program("scaling_model").main()


def test_the_program(found, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program("scaling_model"), "results", lambda: found)
    run(monkeypatch)
    assert capsys.readouterr().out == "\n\n".join([tables.fitted(found), *tables.tables(found)]) + "\n"
    run(monkeypatch, "--json", "--figure", str(tmp_path / "model.png"))
    assert json.loads(capsys.readouterr().out) == found
    with Image.open(tmp_path / "model.png") as figure:
        assert json.loads(figure.text["Description"]) == found
        assert np.asarray(figure.convert("L")).std() > 10


def test_a_cluster_of_your_own(monkeypatch, capsys):
    words = "own --network alexnet --batch 64 --images-per-second 640 --per-machine 2 --inside PCIe_3"
    words += " --between 25_Gb/s_Ethernet --ports 2 --algorithm ring --send bfloat16 --no-overlap --jitter 0"
    run(monkeypatch, *(word.replace("_", " ") if word[0] != "-" else word for word in words.split()))
    header, _, times, efficiencies, rates = capsys.readouterr().out.splitlines()
    assert header.startswith("| alexnet, batch 64 | 1 | 2 | 8 | 16 |")
    cluster = Cluster(2, sources.INSIDE["PCIe 3"], sources.network("25 Gb/s Ethernet", 2))
    work = Work.of(networks.layers("alexnet"), 0.1)
    seconds = step.step_seconds(work, cluster, 8, How(ring, overlap=False, bytes_sent=2))
    assert seconds > 0.13
    assert times.split(" | ")[3] == f"{1000 * seconds:.1f} ms"
    assert efficiencies.split(" | ")[3] == f"{100 * 0.1 / seconds:.0f} %"
    assert rates.split(" | ")[3] == f"{8 * 64 / seconds:,.0f}"
    for wrong in (
        "own",
        "own --images-per-second 0",
        "own --images-per-second 9 --per-machine 0",
        "own --images-per-second 9 --between ISDN",
        "--json own --images-per-second 9",
        "--batch 9",
    ):
        with pytest.raises(SystemExit):
            run(monkeypatch, *wrong.split())

"""How many examples hypothesis tries, where the ops run, and what was skipped.

pytest                               50 examples a test; device "cuda" is emulated
pytest --gpu                         only what device "cuda" is for, on this machine's GPU (support/real_gpu.py)
pytest --hypothesis-profile=ci       200, always the same ones
pytest --hypothesis-profile=nightly  5000
"""

import collections
import os
import shutil
import signal
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported: on small shapes threads only wait

sys.path.insert(0, str(Path(__file__).with_name("support")))

import paths  # noqa: F401  puts the other rooms on the path
import programs
import pytest
import real_gpu
from checks import PLACES, needs_compiler, there_is_a_compiler
from hypothesis import HealthCheck, settings
from strategies import with_settings

import minicnn.kernels.cpu.machine.jit  # noqa: F401  now: where it keeps code is settled before a test names another folder

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; the programs of tests inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("dev", max_examples=50, **COMMON)
settings.register_profile("ci", max_examples=200, derandomize=True, database=None, **COMMON)
settings.register_profile("nightly", max_examples=5000, **COMMON)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


NO_COMPILER = "the emulated GPU needs a C++20 compiler: c++, g++, clang++ or what CXX names"


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help='tests of device "cuda" alone, on this machine\'s NVIDIA GPU')


def pytest_configure(config):
    real_gpu.choose(config)


def pytest_collection_modifyitems(config, items):
    if real_gpu.chosen():
        real_gpu.select(config, items)
    elif not there_is_a_compiler():
        for item in items:
            if item.get_closest_marker("needs_compiler"):
                item.add_marker(pytest.mark.skip(reason=NO_COMPILER))


def pytest_generate_tests(metafunc):
    if "place" in metafunc.fixturenames:
        places = [pytest.param(p, marks=[needs_compiler] if str(p) == "cuda-fast" else []) for p in PLACES]
        metafunc.parametrize("place", places, ids=[str(p) for p in PLACES])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    place = item.callspec.params.get("place") if hasattr(item, "callspec") else None
    if not place:
        return (yield)

    def few(own):
        if place.device == "cpu":
            return own
        most = 4 if place.simulated else max(10, own.max_examples // 16)  # a kernel here takes its time
        return settings(own, max_examples=min(own.max_examples, most))

    with place.active(), with_settings(item.obj, few):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if real_gpu.chosen() and report.failed:
        item.has_failed = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    result = yield
    if hasattr(item, "has_failed"):  # now: what failed has been told
        real_gpu.end_if_faulted(item.nodeid)
    return result


@pytest.fixture(scope="session")
def torch():
    """PyTorch, or a skip that says that it is missing."""
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    torch.set_num_threads(1)  # on small shapes, threads only wait for one another
    return torch


@pytest.fixture(scope="session")
def torchvision(torch):
    return pytest.importorskip("torchvision", reason="torchvision, the oracle of this test, is not installed")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    programs.draw(folder / "train", ["dark", "light"], 4)
    programs.draw(folder / "val", ["dark", "light"], 3)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Pictures of three classes, five of each to train on and two to validate on."""
    folder = tmp_path_factory.mktemp("three-classes")
    for split, count in (("train", 5), ("val", 2)):
        programs.draw(folder / split, ["dark", "light", "night"], count)
    return folder


@pytest.fixture(scope="session")
def trained(pictures, tmp_path_factory):
    """The output folder of a run of two epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert programs.run(pictures, programs.SMALL, "--epochs 2 --dropout 0 --output-dir", folder) == 0
    return folder


@pytest.fixture
def ours(trained, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(trained, tmp_path / "ours")


def pytest_terminal_summary(terminalreporter):
    """The number of skipped tests, and of each reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = collections.Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    listed = "; ".join(f"{count} because {reason}" for reason, count in reasons.items())
    terminalreporter.write_line(f"skipped tests: {len(skipped)}{f' ({listed})' if listed else ''}")

"""kernels/cpu/machine/unit.py: which unit of the processor multiplies."""

import errno
import os
import subprocess
import sys

import pytest
from checks import raises
from paths import ROOT

from minicnn.envvars import EnvVarError
from minicnn.kernels.cpu.machine import unit as page
from minicnn.kernels.cpu.machine.unit import UNITS, unit, why_not

ALL = {feature for needed in UNITS.values() for feature in needed}


@pytest.fixture
def processor(monkeypatch):
    """A function that has the processor have these features, and the system this answer to who asks for tiles."""

    def be(features, answer=0, platform="linux"):
        monkeypatch.setattr(page, "_features", lambda: features)
        monkeypatch.setattr(page, "_ask", lambda: answer)
        monkeypatch.setattr(page.sys, "platform", platform)
        forget()

    def forget():
        unit.cache_clear()
        why_not.cache_clear()

    monkeypatch.delenv("MINICNN_CPU", raising=False)
    yield be
    forget()


@pytest.mark.parametrize("name", UNITS)
def test_the_best_there_is(processor, name):
    names = list(UNITS)
    features = {feature for lower in names[names.index(name) :] for feature in UNITS[lower]}
    processor(features)
    assert unit() == name


@pytest.mark.parametrize(
    "answer, reason",
    [(errno.EPERM, os.strerror(errno.EPERM)), (errno.ENOSPC, "a stack for signals")],
    ids=["not permitted", "small stack"],
)
def test_without_the_systems_permission_the_next_one_multiplies(processor, answer, reason):
    processor(ALL, answer=answer)
    assert unit() == "avx512bf16"
    assert reason in why_not("amx")


def test_other_systems_are_not_asked(processor):
    processor(ALL, platform="win32")
    assert unit() == "avx512bf16" and "Linux" in why_not("amx")


@pytest.mark.parametrize(("value", "expected"), [("avx2", "avx2"), (" AVX512 ", "avx512"), ("", "amx")])
def test_a_unit_can_be_named(processor, monkeypatch, value, expected):
    processor(ALL)
    monkeypatch.setenv("MINICNN_CPU", value)
    assert unit() == expected


@pytest.mark.parametrize(
    ("value", "features", "answer", "parts"),
    [
        ("amx", ALL - {"amx-bf16"}, 0, ["no amx-bf16", "what there is: avx512bf16, avx512, avx2, baseline"]),
        ("amx", ALL, errno.EPERM, ["refuses", os.strerror(errno.EPERM), "avx512bf16"]),
        ("avx512", {"avx2"}, 0, ["no avx512f", "what there is: avx2, baseline"]),
        ("sse9", ALL, 0, ["one of amx, avx512bf16, avx512, avx2, baseline", "'sse9'"]),
    ],
)
def test_one_that_is_not_there_is_an_error_that_names_the_way_out(
    processor, monkeypatch, value, features, answer, parts
):
    processor(features, answer)
    monkeypatch.setenv("MINICNN_CPU", value)
    with raises(EnvVarError, "MINICNN_CPU", *parts):
        unit()


def test_what_numba_does_not_compile_for_is_not_there(monkeypatch):
    monkeypatch.setattr(page.config, "CPU_FEATURES", "+avx2,-avx512f,+sse2")
    assert page._features() == {"avx2", "sse2"}
    monkeypatch.setattr(page.config, "CPU_FEATURES", None)
    monkeypatch.setattr(page.config, "ENABLE_AVX", 0)
    assert not [feature for feature in page._features() if feature.startswith("avx")]


def test_the_system_is_asked_as_it_wants_to_be():
    if reason := why_not("avx512"):
        pytest.skip(reason)
    if sys.platform != "linux":
        pytest.skip("only Linux is asked for tiles")
    refusals = errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS  # no tiles, or no such call in this kernel
    assert page._ask() in ((0,) if why_not("amx") is None else refusals)


def test_a_program_ends_with_one_line_before_it_begins():
    """One that imports kernels, which need the unit's name as they are imported."""
    variables = {**os.environ, "MINICNN_CPU": "abacus"}
    command = [sys.executable, ROOT / "benchmarks" / "cpu.py", "rounding"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: MINICNN_CPU") and "'abacus'" in done.stderr

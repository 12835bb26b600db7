"""What a run says it was made with."""

from pathlib import Path

from minicnn.train.environment import cpu_name, differences, environment


def test_the_processor_has_a_name(monkeypatch):
    assert environment()["processor"] == cpu_name() != ""
    monkeypatch.setattr(
        Path, "read_text", lambda path: "processor : 0\nmodel name\t: Fast: 3 GHz\nmodel name\t: other\n"
    )
    assert cpu_name() == "Fast: 3 GHz"
    monkeypatch.setattr(Path, "read_text", lambda path: "processor : 0\n")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert cpu_name() == "riscv64"


def test_differences():
    now = environment()
    assert differences(now, now) == ""
    assert differences(now | {"processor": "slow"}, now) == f"processor slow then, {now['processor']} now"

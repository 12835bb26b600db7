"""What benchmarks/cpu.py prints, and the tables that it writes into documents, of figures worked out by hand."""

import json

import pytest
from paths import BENCHMARKS


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def runs_of(*seconds, peak_mib):
    return [{"seconds": list(seconds), "peak_mib": peak_mib, "library_mib": 20}]


FIGURES = {
    "minicnn float32 fast": runs_of(1.0, 2.0, 9.0, peak_mib=100),
    "torch float32 NCHW": runs_of(8.0, peak_mib=50),
    "torch float32 channels-last": runs_of(4.0, peak_mib=200),
    "minicnn bfloat16 fast": runs_of(0.5, peak_mib=60),
    "torch bfloat16 NCHW compiled": runs_of(1.0, peak_mib=120),
}


def test_what_is_printed_compares_with_the_fastest_pytorch_of_the_precision():
    from cpubench.figures import rate, table

    assert rate(FIGURES["minicnn float32 fast"], 64) == 32  # the median step
    _, *lines = (line.split() for line in table(FIGURES, 64))
    assert [line[-4:] for line in lines[:5]] == [
        ["32.00", "2.00", "100", "0.50"],
        ["8.00", "0.50", "50", "0.25"],
        ["16.00", "1.00", "200", "1.00"],
        ["128.00", "2.00", "60", "0.50"],
        ["64.00", "1.00", "120", "1.00"],
    ]
    assert [line[-1] for line in lines[5:]] == ["channels-last", "compiled"]


def filled(page, folder, runs, task="train"):
    from cpubench.documents import filled

    raw = {"runs": runs, "batch_size": 64, "model": "alexnet", "settings": {"torch": {"torch": "2.9.1+cpu"}}}
    raw["settings"]["onnxruntime"] = {"onnxruntime": "1.20.0"}
    (folder / f"{task}_alexnet_b64_t2.json").write_text(json.dumps(raw))
    page = f"before\n<!-- table: {page} -->\nof old\n<!-- end of table -->\nbehind\n"
    first, comment, *rows, end, last = filled(page, folder).splitlines()
    assert (first, last, end) == ("before", "behind", "<!-- end of table -->") and comment in page
    return rows


def test_tables_of_the_documents(tmp_path):
    assert filled("speed train float32", tmp_path, FIGURES) == [
        "| training step, float32, images/s | minicnn | PyTorch 2.9 | minicnn / PyTorch | memory / PyTorch |",
        "|---|---|---|---|---|",
        "| AlexNet, batch 64 | 32.0 | 16.0 (channels-last) | 2.00 (4.00) | 0.50 |",
    ]
    head, _, row = filled("speed train bfloat16", tmp_path, FIGURES)
    assert head.endswith("| minicnn / PyTorch | memory / PyTorch | bfloat16 / float32 |")
    assert row == "| AlexNet, batch 64 | 128.0 | 64.0 (NCHW compiled) | 2.00 (2.00) | 0.50 | 4.00 (2.00) |"
    row = filled("memory train", tmp_path, FIGURES)[2]
    assert row == "| AlexNet, batch 64 | 100 (20) | 200 (20) | 60 (20) | 120 (20) |"
    both = "| 32.0 | 16.0 (channels-last) | 2.00 (4.00) | 0.50 | 128.0 | 64.0 (NCHW compiled) | 2.00 (2.00) | 0.50 |"
    assert filled("front", tmp_path, FIGURES)[2] == f"| AlexNet, batch 64 {both}"


def test_tables_have_the_columns_that_were_measured(tmp_path):
    first_three = dict(list(FIGURES.items())[:3])
    assert filled("speed train bfloat16", tmp_path, first_three) == []
    assert filled("memory train", tmp_path, first_three)[2] == "| AlexNet, batch 64 | 100 (20) | 200 (20) |"
    predicted = {**first_three, "onnxruntime float32": runs_of(2.0, peak_mib=10)}
    head, _, row = filled("speed infer float32", tmp_path, predicted, task="infer")
    assert "| minicnn | PyTorch 2.9 | onnxruntime 1.20 | minicnn / PyTorch | minicnn / onnxruntime |" in head
    assert row == "| AlexNet, batch 64 | 32.0 | 16.0 (channels-last) | 32.0 | 2.00 (4.00) | 1.00 (2.00) | 0.50 |"

"""The line that tells how far a pass is, in terminals of every width, and the clock behind it."""

import os
import struct
import sys

import pytest
from tqdm import tqdm

from minicnn import console
from minicnn.clock import Clock, duration
from minicnn.progress import Progress, layout

TEXTS = (
    "3:02:03 left",
    "1234 images/s",
    "loss 2.345",
    "top-1 45.6 %",
    "top-5 78.9 %",
    "lr 0.005",
    "waiting for data 0 %",
)
LONG = "epoch 15/15", "12345/50000"  # of a real run


def drawn(columns, title="epoch 3/15", done=32, total=47, texts=TEXTS):
    """The line as tqdm draws it."""
    bar_format = layout(columns, title, f"{done}/{total}", texts)
    return tqdm.format_meter(done, total, 1.0, ncols=columns, bar_format=bar_format)


@pytest.mark.parametrize("columns", [79, 80])  # tqdm leaves the last column of a terminal free
def test_80_columns_have_what_one_waits_for(columns):
    line = drawn(columns, LONG[0], 12345, 50000)
    assert line == "  ".join([*LONG, *TEXTS[:4]]) and len(line) == 79
    shorter = drawn(columns, texts=("0:12 left", "234 images/s", *TEXTS[2:]))
    assert shorter.startswith("epoch 3/15  32/47 \u2588") and len(shorter) == columns  # with a bar in the gap
    assert shorter.endswith("  0:12 left  234 images/s  loss 2.345  top-1 45.6 %")


@pytest.mark.parametrize(
    "columns, shown",
    [
        (60, "epoch 15/15  12345/50000  3:02:03 left  1234 images/s"),
        (40, "epoch 15/15  12345/50000  3:02:03 left"),
        (24, "epoch 15/15  12345/50000"),
        (20, "12345/50000"),
        (5, "12345"),
    ],
)
def test_narrow_terminals_have_what_matters_most(columns, shown):
    line = drawn(columns, LONG[0], 12345, 50000)
    assert line.replace("\u2588", " ").rstrip(" \u258f\u258e\u258d\u258c\u258b\u258a\u2589") == shown


@pytest.mark.parametrize("title", ["", "validation", "epoch 100/100", "a title {of} a hundred characters " * 3])
@pytest.mark.parametrize("texts", [(), TEXTS, ("long " * 60, "never shown"), ("{bar} and {n}",)])
def test_no_line_is_wider_than_the_terminal(title, texts):
    for columns in range(1, 260):
        line = drawn(columns, title, 1, 3, texts)
        assert len(line) <= columns and "never shown" not in line
        assert line.startswith("1/3"[:columns]) or line.startswith(f"{title}  1/3")


def test_wide_terminals_have_a_bar_and_everything():
    for columns in (100, 120, 140, 200):
        line = drawn(columns)
        bar = line[len("epoch 3/15  32/47 ") :].partition("  ")[0]
        assert set(bar) <= set("\u2588\u258f\u258e\u258d\u258c\u258b\u258a\u2589 ") and "\u2588" * 12 in bar, line
        assert TEXTS[2] in line and len(line) == columns
    assert line.endswith("  ".join(TEXTS))


def test_plain_lines_where_batches_come_several_at_a_time(capsys):
    with Progress("validation", total=9, every=4) as progress:
        for done in (3, 6, 7, 9):
            progress.update(done)
    assert capsys.readouterr().out == "validation  6/9\nvalidation  9/9\n"


def test_plain_lines_where_there_is_no_terminal(capsys):
    with Progress("epoch 1/2", total=7, done=2, every=3) as progress:
        for done in range(3, 8):
            progress.update(done, f"loss {done}", "top-1 10.0 %")
    assert capsys.readouterr().out == ("epoch 1/2  3/7  loss 3  top-1 10.0 %\nepoch 1/2  6/7  loss 6  top-1 10.0 %\n")


class Terminal:
    """A pseudo-terminal of so many columns as stdout and stderr: what was written to it."""

    def __init__(self, monkeypatch, columns):
        pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
        import fcntl
        import termios

        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, self.stream)

    def read(self):
        self.stream.write("END")
        self.stream.flush()
        found = b""
        while not found.endswith(b"END"):  # it comes in pieces
            found += os.read(self.master, 4096)
        return found.decode().removesuffix("END")


@pytest.mark.parametrize("columns", [0, 40, 80])
def test_a_line_on_a_terminal(monkeypatch, columns):
    terminal = Terminal(monkeypatch, columns)
    monkeypatch.setattr(tqdm, "monitor_interval", 0)
    with Progress("epoch 1/2", total=7, done=2) as progress:
        progress.bar.mininterval = 0
        progress.update(3, *TEXTS)
        assert (progress.bar.n, progress.bar.total) == (3, 7)
    lines = [line.rstrip() for line in terminal.read().split("\r")]
    assert lines[1].startswith("epoch 1/2  2/7") and all(len(line) < (columns or 80) for line in lines)
    shown = next(line for line in lines if line.startswith("epoch 1/2  3/7"))
    assert TEXTS[0] in shown and (TEXTS[3] in shown) == (columns != 40)
    assert not lines[-1], "the line is taken away at the end"


def test_other_lines_go_above_it(monkeypatch):
    terminal = Terminal(monkeypatch, 60)
    with Progress("epoch 1/2", total=7):
        console.complain("a kernel is compiled")
        console.say("a picture is skipped")
    console.say("the end")
    assert not console.live
    screen, column = [""], 0  # what a terminal makes of it
    for character in terminal.read():
        if character == "\n":
            screen.append("")
        elif character == "\r":
            column = 0
        else:
            screen[-1] = screen[-1][:column].ljust(column) + character + screen[-1][column + 1 :]
            column += 1
    assert [line.rstrip() for line in screen] == ["a kernel is compiled", "a picture is skipped", "the end", ""]


def test_what_takes_so_long_is_said_on_it(monkeypatch):
    console.remark("nobody sees this")
    terminal = Terminal(monkeypatch, 60)
    with Progress("epoch 1/2", total=7) as progress:
        progress.bar.mininterval = 0
        console.remark("compiling conv2d_backward")
        progress.update(1, "0:12 left")
    lines = [line.rstrip() for line in terminal.read().split("\r")]
    words = [[word for word in line.split("  ") if word.strip(" ▏▎▍▌▋▊▉█") == word and word] for line in lines]
    assert words[:4] == [
        [],
        ["epoch 1/2", "0/7"],
        ["epoch 1/2", "0/7", "compiling conv2d_backward"],
        ["epoch 1/2", "0:12 left"],
    ]


def test_clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock()
    for _ in range(4):
        now[0] += 0.5
        clock.update(16)
    assert (clock.seconds, clock.images_per_second, clock.left(10)) == (2.0, 32.0, 5.0)


def test_the_first_batch_says_little_of_the_others(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock()
    now[0] += 20  # kernels are compiled
    clock.update(16)
    assert clock.texts(3) == ("1:00 left", "0.8 images/s")  # nothing better is known yet
    for images in (16, 16, 8):
        now[0] += 0.5
        clock.update(images)
    assert clock.left(10) == 5.0 and clock.texts(10) == ("0:05 left", "27 images/s")
    assert clock.images_per_second == 56 / 21.5


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (63.2, "1:03"), (59.9, "1:00"), (3723, "1:02:03"), (360030, "100 h")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text

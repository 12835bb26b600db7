"""What programs say survives every state of the streams, and every name."""

import ast
import io
import os
import subprocess
import sys

import pytest
from paths import ROOT
from tqdm import tqdm

from minicnn import console

HEAD = "from minicnn import console\nimport os, sys\n"
SAYS = HEAD + "console.open_descriptors()\nfor i in range(3000): console.say(f'line {i}')\nconsole.complain('end')\n"
NAMES = "käse", "猫", "caf\udce9.jpg", "\x1b[2J\rname\x07", "\N{OLD ITALIC LETTER A}"
unix = pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirections, and descriptors, as Unix has them")


def shell(line, code=SAYS, **environment):
    """The finished process of a shell's line, in which $RUN is Python with the code."""
    variables = {**os.environ, "RUN_CODE": code, "RUN_PYTHON": sys.executable, **environment}
    line = line.replace("$RUN", '"$RUN_PYTHON" -X dev -c "$RUN_CODE"')
    return subprocess.run(["bash", "-c", line], env=variables, capture_output=True, text=True, timeout=60)


@unix
@pytest.mark.parametrize("streams", ["| head -1", "| true", ">&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&-", "2>/dev/null"])
def test_a_program_goes_on_when_nobody_listens(streams, tmp_path):
    """To its end, with exit code 0, and without a word from Python."""
    ended = tmp_path / "ended"
    code = SAYS + f"open({str(ended)!r}, 'w').close()\n"
    done = shell(f"$RUN {streams}; exit ${{PIPESTATUS[0]}}", code)
    assert done.returncode == 0 and ended.exists()
    assert done.stderr == ("" if "2>" in streams else "end\n")


@unix
def test_a_full_disk_is_said_once_and_the_program_goes_on():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    done = shell("$RUN > /dev/full")
    assert done.returncode == 0
    first, last = done.stderr.splitlines()
    assert "not written to stdout" in first and "No space left" in first and last == "end"


@unix
def test_a_terminal_that_has_vanished():
    """A session that was closed while the program went on: writing is an error of input and output."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    master, slave = pty.openpty()
    ready, go = os.pipe()
    code = HEAD + "console.say('first'); sys.stdin.read(); console.say('more'); console.complain('more'); os._exit(7)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=ready, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    assert b"first" in os.read(master, 100)
    os.close(master)
    os.close(go)
    assert process.wait(timeout=60) == 7


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "latin-1", "utf-16"])
def test_a_narrow_stream_takes_any_name(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, errors="strict", newline="\n"))
    for name in NAMES:
        console.say(f"skipped {name}")
    lines = raw.getvalue().decode(encoding).splitlines()
    assert len(lines) == len(NAMES) and all(line.startswith("skipped ") for line in lines)
    assert lines[2:4] == ["skipped caf\\udce9.jpg", "skipped \\x1b[2J\\x0dname\\x07"]
    assert lines[0] == ("skipped k\\xe4se" if encoding == "ascii" else "skipped käse")
    assert lines[1] == ("skipped 猫" if encoding.startswith("utf") else "skipped \\u732b")


def test_absent_and_closed_streams(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, stream)
        console.say("nothing")
        console.complain("nothing")
        console.say_in_handler("nothing")
        assert not console.interactive()
        for _ in tqdm(range(3), file=console.stderr):
            pass


def test_prose_is_broken_between_words_on_a_terminal_alone(capsys, monkeypatch):
    text = "  curves.png  filters.png  " + "a-path/with-dashes" * 3
    console.tell(text, "  ")
    monkeypatch.setattr(console, "interactive", lambda: True)
    monkeypatch.setattr(console, "columns", lambda: 30)
    console.tell(text, "  ")
    whole, *broken = capsys.readouterr().out.splitlines()
    assert whole == text
    assert broken == ["  curves.png  filters.png", "  " + "a-path/with-dashes" * 3]


def test_lines_reach_the_stream_of_the_moment(capsys):
    console.say("one\n  two")
    console.complain("three")
    assert capsys.readouterr() == ("one\n  two\n", "three\n")


@unix
def test_a_bar_whose_terminal_breaks(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stderr", broken)
    with tqdm(total=3, file=console.stderr, mininterval=0) as bar:
        for _ in range(3):
            bar.update()
    broken.close()  # nothing is left in it that could fail


@unix
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_what_is_written_to_descriptor_2_is_in_no_file(closed, tmp_path):
    """Python leaves a descriptor that was closed at its start to the first file that is opened."""
    file = tmp_path / "checkpoint"
    code = HEAD + (
        f"console.open_descriptors()\nfile = open({str(file)!r}, 'wb')\nfile.write(b'weights'); file.flush()\n"
        "os.write(2, b'a library crashes'); console.say_in_handler('Ctrl-C'); file.close()\n"
        "import subprocess; subprocess.run(['sh', '-c', 'echo child >&2'], check=True)\n"
    )
    assert shell(f"$RUN {closed}", code).returncode == 0
    assert file.read_bytes() == b"weights"


@unix
def test_a_handler_of_signals_writes_where_stderr_is(tmp_path):
    file = tmp_path / "checkpoint"
    code = HEAD + f"file = open({str(file)!r}, 'wb'); console.say_in_handler('Ctrl-C'); file.close()\n"
    assert shell("$RUN 2>&-", code).returncode == 0 and file.read_bytes() == b""
    assert shell("$RUN", code).stderr == "Ctrl-C\n"


def test_every_line_goes_through_this_module():
    """No print(): it fails where say() and complain() go on. The first program, the tutorial and the notebooks print,
    as their readers will."""
    found = []
    for folder in ("minicnn", "kernels", "examples", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    printing = "examples/first_steps.py:", "examples/tutorial.py:", "examples/notebooks/"
    assert [place for place in found if not place.startswith(printing)] == []

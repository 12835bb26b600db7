"""Whole programs where little is as on a developer's desk: no streams, no home, no rights, other flags, odd names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import EXAMPLES
from programs import draw

from minicnn.kernels.cpu.machine import jit

unix = pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirections, users and signals, as Unix has them")
SMALL = "--epochs 1 -b 4 -j 1 -p 1 --max-bad-fraction 0.5 --output-dir out"
STEP = """
import sys
import numpy as np, minicnn, minicnn.data, minicnn.pretrained, minicnn.train
import minicnn.functional as F
from minicnn import Tensor, nn, optim

def step(seed=0):
    minicnn.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 4)
    )
    optimizer = optim.SGD(net.parameters(), 0.1, momentum=0.9)
    images = Tensor(np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32))
    loss = F.cross_entropy(net(images), np.arange(4))
    loss.backward()
    optimizer.step()
    return loss.item()

if __name__ == "__main__":
    sys.stdout.write(f"{step():.3f}")
"""


@pytest.fixture(scope="module")
def expected():
    return python("-c", STEP).stdout


def python(*arguments, before=(), **variables):
    """The finished process; compiled code is where the tests have it."""
    environment = {**os.environ, **variables}
    if jit.FOLDER and "NUMBA_CACHE_DIR" not in variables:
        environment["NUMBA_CACHE_DIR"] = str(jit.FOLDER.parent.parent)
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [*before, sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=300)


# A training run and its streams


@unix
@pytest.mark.parametrize("streams", ["| head -1", "<&- >&- 2>&-"])
def test_a_run_goes_to_its_end_when_nobody_listens(streams, tmp_path):
    for split in ("train", "val"):
        draw(tmp_path / split, ["dark", "light"], 4)
    program = [sys.executable, str(EXAMPLES / "resnet_cifar10.py"), str(tmp_path), *SMALL.split()]
    line = f'"$@" {streams}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", line, "bash", *program], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert (tmp_path / "out" / "checkpoint_last.npz").is_file() and (tmp_path / "out" / "summary.json").is_file()


@unix
def test_a_run_with_names_that_its_terminal_cannot_show(tmp_path):
    for split in ("train", "val"):
        draw(tmp_path / split, ["käse", "猫"], 4)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "train" / "猫") + b"/caf\xe9.jpg")).write_bytes(b"no picture")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    program = [EXAMPLES / "resnet_cifar10.py", tmp_path, *SMALL.split()]
    done = subprocess.run(
        [sys.executable, *map(str, program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "skipped an unreadable picture" in done.stdout and "caf\\udce9.jpg" in done.stdout
    assert (tmp_path / "out" / "checkpoint_last.npz").is_file()


# A training step, and how Python is started


@pytest.mark.parametrize(
    "flags, variables",
    [
        (["-W", "error"], {}),
        (["-X", "dev", "-W", "error"], {}),
        ([], {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
        ([], {"TMPDIR": "/nonexistent", "MINICNN_THREADS": "", "MINICNN_AWAKE": "", "MINICNN_EMULATE_GPU": ""}),
        ([], {"MINICNN_THREADS": " 2 ", "MINICNN_AWAKE": "off", "MINICNN_EMULATE_GPU": "no"}),
    ],
    ids=["warnings are errors", "development mode", "C locale", "empty variables", "odd variables"],
)
def test_a_step_however_python_is_started(flags, variables, expected):
    done = python(*flags, "-c", STEP, **variables)
    assert (done.stdout, done.stderr) == (expected, "")


def test_a_step_with_numpys_errors_raised(expected):
    done = python("-c", STEP.replace("def step", "np.seterr(all='raise')\ndef step"))
    assert (done.stdout, done.stderr) == (expected, "")


def test_compiled_code_is_not_to_be_had():
    done = python("-c", STEP, NUMBA_DISABLE_JIT="1")
    assert "DeviceError: NUMBA_DISABLE_JIT=1" in done.stderr and "tier 'plain'" in done.stderr
    done = python("-c", f"import minicnn; minicnn.set_tier('plain')\n{STEP}", NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0 and done.stdout


@unix
def test_a_user_that_the_system_does_not_know(tmp_path, expected):
    """A container that is started with a number: no home, no name, nothing that could be written."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, by setpriv")
    program = tmp_path / "step.py"
    program.write_text(STEP)
    others = [sys.executable, program, *sys.path]
    before = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--"]
    if subprocess.run([*before, "test", "-r", str(program), "-a", "-x", others[0]], check=False).returncode:
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == 0 and folder.name.startswith(("pytest", "test_")):
                folder.chmod(0o755)
    if subprocess.run([*before, "test", "-r", str(program), "-a", "-x", others[0]], check=False).returncode:
        pytest.skip("another user can read neither Python nor the tests' folder here")
    done = python(program, before=before, HOME=None, NUMBA_CACHE_DIR="", MINICNN_CACHE=None, XDG_CACHE_HOME=None)
    assert done.stdout == expected and done.stderr.count("\n") == 1
    assert "nothing is kept" in done.stderr and "MINICNN_CACHE" in done.stderr


@unix
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_are_started_while_threads_are_there(method, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        STEP + "    import multiprocessing\n"
        f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "        results = pool.map(step, [0] * 4, chunksize=1)\n"
        "    assert results == [step()] * 4, results\n"
    )
    done = python("-W", "ignore", program, MINICNN_THREADS="2")
    assert done.returncode == 0, done.stderr


def test_many_threads_at_once(tmp_path):
    """Each with a step of its own: the same numbers as one after the other."""
    done = python(
        "-c",
        STEP.replace("minicnn.manual_seed(seed)", "") + "    import concurrent.futures\n"
        "    images = np.random.default_rng(1).standard_normal((4, 16, 40, 40)).astype(np.float32)\n"
        "    weight = np.random.default_rng(2).standard_normal((16, 16, 3, 3)).astype(np.float32)\n"
        "    def work(i):\n"
        "        x, w = Tensor(images, requires_grad=True), Tensor(weight, requires_grad=True)\n"
        "        F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2).sum().backward()\n"
        "        return x.grad.numpy().tobytes(), w.grad.numpy().tobytes()\n"
        "    alone = work(0)\n"
        "    with concurrent.futures.ThreadPoolExecutor(8) as pool:\n"
        "        assert all(result == alone for result in pool.map(work, range(64)))\n",
        MINICNN_THREADS="2",
    )
    assert done.returncode == 0, done.stderr

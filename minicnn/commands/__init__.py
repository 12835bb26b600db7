"""The command ``minicnn``, a file for each of its words; what they share with other programs is minicnn.cli's.

entry.py     which word it is; python -m minicnn is minicnn/__main__.py
train.py     train a network                networks.py   a network by its name and its weights, or of a checkpoint
evaluate.py  test published weights         classify.py   what is on a picture
export.py    a file for other programs      summary.py    the table of a network's layers
check.py     does minicnn work here?        The report is minicnn/report/__main__.py.
"""

from .entry import main

__all__ = ["main"]

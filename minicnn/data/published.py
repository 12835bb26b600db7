"""Published data sets that are fetched when they are first asked for, each read by a file of its own."""

from .cifar import cifar10
from .flowers import flowers102
from .split import PublishedSet

__all__ = ["PublishedSet", "cifar10", "flowers102"]

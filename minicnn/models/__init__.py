"""Networks assembled from ``minicnn.nn``."""

from .alexnet import AlexNet, alexnet, alexnet_2012

__all__ = ["AlexNet", "alexnet", "alexnet_2012"]

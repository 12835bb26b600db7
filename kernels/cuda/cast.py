"""Mirrors minicnn/ops/cast.py: the array library's own conversion, which goes over the array once."""

__all__ = ["cast_forward"]

from minicnn.ops.cast import cast_forward

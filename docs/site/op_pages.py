"""Below each function of minicnn.functional, folded away, the head of its op's page: shapes, formulas, gradients."""

import inspect
import sys
from pathlib import Path
from typing import Any

from links import link
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def add_head(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Event: a docstring has been found, and docstrings.py has seen it."""
    module = getattr(value, "__module__", "")
    if name.startswith("minicnn.functional.") and module.startswith("minicnn.ops."):
        path = Path(*module.split(".")).with_suffix(".py")
        head = inspect.getdoc(sys.modules[module]) or ""
        lines += ["", ".. admonition:: Shapes, formulas, gradients", "   :collapsible: closed", ""]
        lines += [f"   `{path} <{link(app.env, path)}>`__", "", "   .. code-block:: text", ""]
        lines += [f"      {line}" for line in head.splitlines()]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("autodoc-process-docstring", add_head, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

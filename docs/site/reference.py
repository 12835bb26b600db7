"""The pages of the reference, docs/reference/*.rst: one for each module that docs/reference.md names.

A page has the module's docstring, a table of its public names with their first sentences, and each of them. Public is
what stands in ``__all__``, or else what the module defines, without an underscore.
"""

import importlib
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

from docstrings import escaped
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.typing import ExtensionMetadata
from tables import linked, module_of

PAGE = "docs/reference.md"
ALL_MEMBERS = {"minicnn.Tensor"}  # whose methods come from several classes


def public_names(module: types.ModuleType) -> list[str]:
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return [name for name in own if not name.startswith("_") and not isinstance(vars(module)[name], types.ModuleType)]


def page(name: str) -> str:
    """The page of a module, in reStructuredText."""
    importlib.import_module(name)
    module = sys.modules[name]  # of minicnn.gradcheck, say, which is a function, too
    values = {each: getattr(module, each) for each in sorted(public_names(module), key=str.lower)}
    objects = {each: value for each, value in values.items() if inspect.isclass(value) or hasattr(value, "__code__")}
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", "", f".. currentmodule:: {name}", ""]
    lines += [".. list-table::", "   :class: names", ""] if objects else []
    for each, value in objects.items():
        lines += [f"   * - :py:obj:`{each} <{name}.{each}>`", f"     - {summary(value)}"]
    lines.append("")
    for each, value in objects.items():
        lines += [*directive(f"{name}.{each}", value), ""]
    for each, value in values.items():
        if each not in objects and not isinstance(value, types.ModuleType):
            lines += [*constant(module, each, value), ""]
    return "\n".join(lines)


def summary(value: Any) -> str:
    """The first sentence of a docstring."""
    first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return escaped(re.split(r"(?<=[\w)`][.;]) |(?<=\w:) ", first)[0].rstrip(":;."))


def directive(name: str, value: Any) -> list[str]:
    """The lines that describe a class or a function."""
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        options = ["   :members:"] + (["   :inherited-members:"] if name in ALL_MEMBERS else [])
        return [f".. {kind}:: {name}", *options]
    return [f".. autofunction:: {name}"]


def constant(module: types.ModuleType, name: str, value: Any) -> list[str]:
    """The lines that describe anything else: what it is, and the comment beside it."""
    comment = re.search(rf"^{name}\b.* = .*  # (.+)$", inspect.getsource(module), re.M)
    return [f".. py:data:: {name}", f"   :value: {value!r}", *(["", f"   {escaped(comment[1])}"] if comment else [])]


def write(app: Sphinx, config: Config) -> None:
    """Event: before Sphinx looks for documents."""
    folder = Path(app.srcdir, "docs", "reference")
    folder.mkdir(exist_ok=True)
    names = [module_of(path) for _, path in linked(PAGE, Path(app.srcdir, PAGE).read_text(encoding="utf-8"))]
    for old in {path.stem for path in folder.glob("*.rst")} - set(names):
        (folder / f"{old}.rst").unlink()
    for name in names:
        path, text = folder / f"{name}.rst", page(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("config-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

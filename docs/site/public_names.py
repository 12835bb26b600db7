"""Signatures as the code has them, and each name in them leads to where the reference describes it.

Wherever it is defined: minicnn.nn.module.Module leads to minicnn.nn.Module.
"""

import importlib
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import inspect as sphinx_inspect
from sphinx.util.typing import ExtensionMetadata

ALIASES = {  # Sphinx sees what they stand for
    "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~typing.Any]]": "~minicnn.types.Array",
    "tuple[int, ...]": "~minicnn.types.Shape",
    "int | tuple[int, int]": "~minicnn.types.Size",
    "~minicnn.variable.Variable": "~minicnn.Tensor",  # its base, below the ops
    "~minicnn.variable.V": "~minicnn.Tensor",
}


def shorten(
    app: Sphinx, what: str, name: str, value: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Event: a signature has been made. A class is called with the arguments of its __init__."""
    if what == "class" and "__init__" in vars(value):
        unbound = sphinx_inspect.signature(value.__init__, bound_method=True)
        signature = sphinx_inspect.stringify_signature(unbound, show_return_annotation=False, short_literals=True)
    for long, short in ALIASES.items():
        signature, result = (text and text.replace(long, short) for text in (signature, result))
    return signature, result


def found(name: str) -> Any:
    """What a dotted name means; None if nothing."""
    module, _, rest = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), rest) if module else None
    except (ImportError, AttributeError):
        return None


def lead(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    """Event: a reference has no target of its name."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.domains.python_domain, node["reftarget"]
    value = found(target)
    if value is None:
        value = found(f"{node.get('py:module')}.{target}")
    name = getattr(value, "__name__", target.rpartition(".")[2])
    public = [known for known in domain.objects if known.rpartition(".")[2] == name]
    same = [known for known in public if value is not None and found(known) is value]
    for known in same:
        entry = domain.objects[known]
        uri = app.builder.get_relative_uri(node["refdoc"], entry.docname)
        return nodes.reference("", "", content, refuri=f"{uri}#{entry.node_id}", internal=True)
    if value is not None or "." not in target:
        return content  # not public, or a variable of types: its name alone
    return None


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("autodoc-process-signature", shorten)
    app.connect("missing-reference", lead)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

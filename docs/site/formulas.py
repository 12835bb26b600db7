"""Formulas as MathML, which browsers draw by themselves: no script, and nothing to download."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator


def mathml(node: nodes.Element, as_block: bool) -> str:
    """A formula in LaTeX; a warning, and its text, for one that cannot be read."""
    formula = node.astext().replace(r"\dots", r"\ldots")  # docutils knows fewer commands
    formula = re.sub(r"\\([bB]igg?)(?![a-zA-Z])", r"\\\1l", formula)  # \big( as \bigl(
    try:
        return tex2mathml(formula, as_block=as_block)
    except MathError as error:
        logging.getLogger(__name__).warning("formula: %s", error, location=node)
        return formula


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

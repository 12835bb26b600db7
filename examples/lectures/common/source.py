"""The source that a program's results depend on: its own, and that of the modules of this folder that it imports.

Another source does not get the results of the old one. Comments, docstrings, the sentence and the figure change no
result, and the modules that keep and show results do not either; they are left out.
"""

import ast
import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent
SHOWING = {"measured", "draw"}  # functions of a program
FRAME = {"experiment", "page", "style"}


def fingerprint(program: Path) -> str:
    """Of that source; 16 digits."""
    paths = [program]
    for path in paths:  # which grows
        paths += sorted(_imported(path) - {*paths})
    return hashlib.sha256("\n".join(_code(path) for path in paths).encode()).hexdigest()[:16]


def _imported(path):
    """Files of this folder: whatever is called like a word of an import. That may be one too many."""
    words = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in (getattr(node, "module", None) or "", *(each.name for each in node.names)):
                words.update(name.split("."))
    return {FOLDER / f"{word}.py" for word in words - FRAME if (FOLDER / f"{word}.py").is_file()}


def _code(path):
    tree = _tree(path)
    tree.body = [node for node in tree.body if getattr(node, "name", "") not in SHOWING]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body[0] = ast.Pass()
    return ast.unparse(tree)


def _tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))

"""How the site is built from the repository. From its top folder, with the extra `docs`:

    sphinx-build -W -n --keep-going -c docs . build/site && python docs/site/check.py build/site

Every page lies where its file lies: docs/train.md is docs/train.html, and a link to kernels/cpu/conv.py leads to
kernels/cpu/conv.py.html, its text with colours and numbered lines. What Sphinx does not do by itself is in site/,
an idea a file. Nothing is executed, and neither building nor reading the site needs a network.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "site")]
about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = about["name"]
version = release = about["version"]
html_title = f"{project} {release}"
html_theme = "furo"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = html_copy_source = False  # the Markdown is the page
pygments_style, pygments_dark_style = "tango", "github-dark"

extensions = [
    "myst_nb",  # Markdown and notebooks
    "sphinx.ext.autodoc",  # docstrings
    "sphinx.ext.linkcode",  # [source] beside what they describe
    "contents",  # from here on: docs/site
    "docstrings",
    "formulas",
    "links",
    "op_pages",
    "public_names",
    "reference",
]

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "docs/**.ipynb", "docs/reference/*.rst", "examples/**.ipynb", "kernels/*.md"]
exclude_patterns = [".*", "build", "tests", "benchmarks", "runs", "minicnn", "**/node_modules"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 4  # the links to headings that there are on the page that hosts the repository, too
nb_execution_mode = "off"  # notebooks show what they printed when they were made
nb_output_stderr = "remove"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
toc_object_entries_show_parents = "hide"
default_role = "literal"  # what stands between single backticks in a docstring
nitpick_ignore_regex = [("py:.*", r"(numpy|np|npt|PIL|Image|mpi4py|MPI|collections|typing|pathlib|datetime)(\..*)?")]
html_math_renderer = "mathml"

"""A run as one page, report.html: what it learned, what it gets wrong, what it looks at, how it was made.

run.py        the callback that gathers what the page shows      page.py       the page and its sections
look.py       into a network: Grad-CAM, feature maps, filters    style.py      how it looks, in light and dark
files.py      report.npz, report.html, and a run's other files   charts.py     curves and bars, as SVG
images.py     arrays as pictures within a page                   confusion.py  which classes are taken for which
diagram.py    the network as a diagram, as SVG                   __main__.py   python -m minicnn.report RUN_DIR

The page is one file: no script, nothing that is fetched. ``minicnn.train`` is below, command lines are above.
"""

from .files import write_report
from .look import feature_maps, grad_cam
from .run import Report

__all__ = ["Report", "feature_maps", "grad_cam", "write_report"]

"""Run the chapters of the tour, the tutorial and examples/notebooks, and write each with what it prints and draws as a
notebook.

    python docs/tour/build.py                 all of them
    python docs/tour/build.py 1_backprop      this one
    python docs/tour/build.py tutorial        the tutorial, examples/tutorial.py
    python docs/tour/build.py own_pictures    one of examples/notebooks

A chapter is a program in jupytext's percent format, ``1_backprop.py``: the one source of its text and its code. The
notebook beside it, ``1_backprop.ipynb``, is made here and never by hand, so no output stands in one that was not
computed. Nothing in it tells of the machine or the hour: what repeats is written the same again, byte for byte.
"""

import os
import sys
import tempfile
from pathlib import Path

try:
    import ipykernel  # noqa: F401, in which the cells run
    import jupytext
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbformat import NotebookNode
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed; pip install -e '.[tour]' brings all that notebooks are made with")

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
SOURCES = *sorted(HERE.glob("[0-9]_*.py")), EXAMPLES / "tutorial.py", *sorted(EXAMPLES.glob("notebooks/*.py"))
CHAPTERS = {path.stem: path for path in SOURCES}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS = 600  # that a cell may take, on a busy machine; a chapter takes a few, the tutorial a minute


class ChapterError(RuntimeError):
    """A chapter that did not run to its end, or that warned."""


def source(chapter: Path) -> NotebookNode:
    """The chapter's cells, not yet run."""
    notebook = jupytext.read(chapter, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # else a random one
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def executed(chapter: Path) -> NotebookNode:
    """The chapter's cells with their outputs, run by this Python in an empty folder.

    ChapterError names the chapter and says what went wrong: an exception, or a warning.
    """
    notebook = source(chapter)
    with tempfile.TemporaryDirectory() as folder:
        kernel = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # this Python, whatever kernels are installed
            connection_file=str(Path(folder, "kernel.json")),
        )
        work = Path(folder, "work")
        work.mkdir()
        client = NotebookClient(
            notebook,
            km=kernel,
            timeout=SECONDS,
            record_timing=False,
            coalesce_streams=True,  # however the kernel cut them
            extra_arguments=["--log-level=ERROR"],
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(work)}},
        )
        environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}  # pictures inline
        environment["IPYTHONDIR"] = str(Path(folder, "ipython"))  # nobody's own start-up files and settings
        environment["TMPDIR"] = str(work)  # what a chapter leaves behind goes with the folder
        try:
            client.execute(env=environment, cleanup_kc=True)
        except CellExecutionError as error:
            raise ChapterError(f"{chapter.name}: {error.ename}: {error.evalue}") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_stderr(chapter, output)]
    notebook.metadata = nbformat.from_dict(METADATA)  # the kernel has added its version
    return notebook


def _is_stderr(chapter, output):
    """Whether it is stderr, which tells of the machine, what it compiles for the first time, say.

    ChapterError for a warning, which tells of the chapter.
    """
    if output.get("name") != "stderr":
        return False
    for line in output.text.splitlines():
        if "Warning: " in line:
            raise ChapterError(f"{chapter.name}: {line}")
    return True


def text(notebook: NotebookNode) -> str:
    """What the file holds."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def main(names: list[str]) -> str | None:
    """Build the chapters of these names, or all; what went wrong, or None."""
    if unknown := [name for name in names if name not in CHAPTERS]:
        return f"there is no chapter {unknown[0]}; there are {', '.join(CHAPTERS)}"
    for name in names or CHAPTERS:
        try:
            notebook = executed(CHAPTERS[name])
        except ChapterError as error:
            return str(error)
        path = CHAPTERS[name].with_suffix(".ipynb")
        path.write_text(text(notebook), encoding="utf-8")
        print(path)
    return None


if __name__ == "__main__":
    sys.exit(main([name.removesuffix(".py") for name in sys.argv[1:]]))

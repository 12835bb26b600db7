"""Every exception of the library survives pickling: a process that cannot hand its error on leaves its pool waiting."""

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil

import pytest

import minicnn
from minicnn.data import BadImage
from minicnn.data.errors import shown
from minicnn.data.folder import load_image


def exceptions():
    """Every exception class that a module of minicnn defines."""
    found = {}
    for module in pkgutil.walk_packages(minicnn.__path__, "minicnn."):
        if "kernels" in module.name:  # need a GPU or a compiler; their errors are those of minicnn.device
            continue
        page = importlib.import_module(module.name)
        for kind in vars(page).values():
            if inspect.isclass(kind) and issubclass(kind, BaseException) and kind.__module__.startswith("minicnn"):
                found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return found


ALL = exceptions()


def test_all_are_found():
    names = {name.rpartition(".")[2] for name in ALL}
    assert names >= {"BadImage", "DataError", "TooManyBadImages", "CheckpointError", "WeightsError", "SettingError"}
    assert len(ALL) > 10


@pytest.mark.parametrize("name", ALL)
def test_exceptions_survive_pickling(name):
    kind = ALL[name]
    parameters = () if "__init__" not in vars(kind) else list(inspect.signature(kind.__init__).parameters.values())[1:]
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    error = kind(*(f"text {i}" for i in range(len(needed) or 1)))
    error.add_note("where it was")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind and str(other) == str(error)
        assert (other.args, vars(other)) == (error.args, vars(error))


def test_a_pool_ends_with_the_error_of_its_worker(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.map_async(load_image, [tmp_path / "empty.jpg"])
        with pytest.raises(BadImage, match="the file is empty") as caught:
            result.get(timeout=120)
    assert caught.value.path == str(tmp_path / "empty.jpg") and caught.value.reason == "the file is empty"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a b/ü 日本.jpg", "a b/ü 日本.jpg"),
        ("caf\udce9.jpg", r"caf\udce9.jpg"),
        ("two\nlines\t.jpg", r"two\nlines\t.jpg"),
        ("\x1b[31mred", r"\x1b[31mred"),
    ],
)
def test_names_are_shown_on_one_line(name, text):
    assert shown(name) == text
    assert str(BadImage(name, "damaged")) == f"{text}: damaged"
    assert BadImage(name, "damaged").path == name

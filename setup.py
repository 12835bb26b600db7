"""Where the packages lie: ``kernels/`` stays at the top level of the repository and is imported as minicnn.kernels.

The link ``minicnn/kernels`` makes it so in a checkout, installed or not. Where a checkout has no links (git on Windows
writes a text file in its place), the package is mapped to its folder here, as the installation alone then knows it.

An sdist has all files of the repository (MANIFEST.in), and the link.
"""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.sdist import sdist

if (Path(__file__).parent / "minicnn" / "kernels" / "__init__.py").is_file():
    packages, places = find_packages(include=["minicnn", "minicnn.*"]), {"": "."}
else:
    kernels = ["minicnn.kernels", *(f"minicnn.kernels.{name}" for name in find_packages("kernels"))]
    packages, places = [*find_packages(include=["minicnn", "minicnn.*"]), *kernels], {"minicnn.kernels": "kernels"}


class WithLink(sdist):
    """An sdist in which minicnn/kernels is a link, as in a checkout, and no second copy of all that is in it."""

    def make_release_tree(self, base_dir, files):
        link = Path("minicnn", "kernels")
        super().make_release_tree(base_dir, [file for file in files if link not in Path(file).parents])
        (base_dir / link).symlink_to("../kernels", target_is_directory=True)


setup(
    cmdclass={"sdist": WithLink},
    packages=packages,
    package_dir=places,
    package_data={
        "minicnn": ["py.typed"],
        "minicnn.kernels.cuda": ["*.cu", "*.cuh"],
        "minicnn.kernels.cuda.emulator": ["*.h", "*.cuh", "*.cpp"],
        "minicnn.kernels.cuda.profiler": ["*.json"],
        "minicnn.pretrained": ["*.txt"],
    },
)

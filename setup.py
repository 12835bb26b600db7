"""Where the packages lie: ``kernels/`` stays at the top level of the repository and is imported as minicnn.kernels.

The link ``minicnn/kernels`` makes it so in a checkout, installed or not. Where a checkout has no links (git on Windows
writes a text file in its place), the package is mapped to its folder here, as the installation alone then knows it.
"""

from pathlib import Path

from setuptools import find_packages, setup

if (Path(__file__).parent / "minicnn" / "kernels" / "__init__.py").is_file():
    packages, places = find_packages(include=["minicnn", "minicnn.*"]), {"": "."}
else:
    kernels = ["minicnn.kernels", *(f"minicnn.kernels.{name}" for name in find_packages("kernels"))]
    packages, places = [*find_packages(include=["minicnn", "minicnn.*"]), *kernels], {"minicnn.kernels": "kernels"}

setup(
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

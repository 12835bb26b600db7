"""Where the packages lie: ``kernels/`` stays at the top level of the repository and is installed as minicnn.kernels."""

from setuptools import find_packages, setup

KERNELS = [f"minicnn.kernels.{name}" for name in find_packages("kernels")]

setup(
    packages=[*find_packages(include=["minicnn", "minicnn.*"]), "minicnn.kernels", *KERNELS],
    package_dir={"minicnn.kernels": "kernels"},
    package_data={
        "minicnn.kernels.cuda": ["*.cu", "*.cuh"],
        "minicnn.kernels.cuda.emulator": ["*.h", "*.cuh", "*.cpp"],
        "minicnn.pretrained": ["*.txt"],
    },
)

"""Where the packages lie: ``kernels/`` stays at the top level of the repository and is installed as minicnn.kernels."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["minicnn", "minicnn.*"]), "minicnn.kernels"],
    package_dir={"minicnn.kernels": "kernels"},
    package_data={"minicnn.kernels": ["*.cu", "*.cuh"], "minicnn.pretrained": ["*.txt"]},
)

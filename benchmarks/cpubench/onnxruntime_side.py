"""A prediction of onnxruntime, in float32: torchvision's network, which onnx_export.py writes as an ONNX file."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import onnxruntime

from .sides import LeftOut, batch, variables

FOLDER = Path(tempfile.gettempdir()) / f"minicnn-benchmarks-{os.getuid()}"


def prepare(settings):
    images, _ = batch(settings)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = settings["threads"], 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    path = exported(settings["model"], images.shape)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: images}
    return lambda: float(session.run(None, inputs)[0].max())


def exported(model, shape):
    """The path of the file; it is written first if it is not there yet, by another process, whose memory is its own."""
    path = FOLDER / f"{model}_{'x'.join(map(str, shape))}.onnx"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        command = [sys.executable, str(Path(__file__).with_name("onnx_export.py")), model, *map(str, shape)]
        done = subprocess.run([*command, str(partial)], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
            raise LeftOut(f"{model} cannot be exported to ONNX: {last}")
        partial.replace(path)
    return path


def describe(settings):
    build = onnxruntime.get_build_info()
    return {"onnxruntime": onnxruntime.__version__, "build": build, **variables()}
